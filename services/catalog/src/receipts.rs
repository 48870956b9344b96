//! Receipts: which gateways read a watch stream, how far each is, and who waits for them.
//!
//! ```text
//! watch stream opens ──▶ Board ◀── receipt (POST)         Board ──▶ ?wait=applied, propagation_seconds
//!              ends ──▶   ▲  └── notes ──▶ store ──▶ Boards of the other catalogs (sharing)
//! ```
//!
//! * Only a stream whose reader announced itself counts: somebody who looks on with curl is nobody to wait for.
//! * A receipt names its stream by an id that only its reader was told, so it needs no token, and nobody else can send one.
//! * A stream that ends takes its reader with it. One that was lost without a word is silent, and does not count after
//!   [`SILENCE_MAX`]; and of two streams of one reader only that counts which was heard of last.
//! * A receipt may reach another catalog of the same store than the stream comes from, because a name can lead to any of them. That
//!   one passes it on with its notes.
//! * How far somebody is never goes back within a stream. The first receipt of a stream says where its reader begins, which is no news
//!   about any write, so it is not counted as propagation.

mod board;
pub(crate) mod sharing;
mod testimony;

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use catalog_api::{OpaqueId, Receipt, Receiver, Revision, ServiceId};
use parking_lot::Mutex;
use tokio::{
    sync::{Notify, watch},
    time::{Instant, timeout_at},
};
use uuid::Uuid;

pub(crate) use board::Behind;
use board::Board;
use testimony::Callers;

use crate::metrics::CatalogMetrics;

/// Longest time that a write waits for the gateways.
pub(crate) const APPLIED_WAIT_MAX: Duration = Duration::from_secs(5);

/// A reader that says nothing for so long is not waited for. Gateways say at least every 5 s how far they are.
pub(crate) const SILENCE_MAX: Duration = Duration::from_secs(15);

/// Everything that is known about readers.
pub(crate) struct Receipts {
    // A lock for look-ups and small changes, never held across an await.
    board: Mutex<Board>,
    /// What other catalogs say of their own calls. Taken after the board, if both are.
    callers: Mutex<Callers>,
    started: Instant,
    /// Rings when there may be fewer to wait for.
    changed: watch::Sender<()>,
    /// Rings when the other catalogs are to be told or asked something; none = there can be no others.
    sharing: Option<Notify>,
    metrics: Arc<CatalogMetrics>,
}

/// A stream whose reader sends receipts. Dropped with the stream.
pub(crate) struct Reading {
    pub(crate) stream: OpaqueId,
    // Weak: the end of a stream that is still open at the stop of the catalog is of no interest.
    receipts: Weak<Receipts>,
}

/// Somebody waits, so the other catalogs are asked often. Dropped when the wait is over.
pub(crate) struct Waiting {
    receipts: Arc<Receipts>,
    begun: Instant,
}

/// Not everybody has applied a revision.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Missing {
    /// Who has not, by name.
    pub(crate) behind: Vec<Behind>,
    /// Whether the readers of other catalogs are known. They are not while the store is away.
    pub(crate) complete: bool,
}

/// No stream has this id: it ended, or never was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct UnknownStream;

// === impl Receipts ===

impl Receipts {
    /// `shared` = there may be other catalogs on the store; then [`sharing::Sharing`] must run.
    pub(crate) fn new(shared: bool, metrics: Arc<CatalogMetrics>) -> Self {
        Self {
            board: Mutex::default(),
            callers: Mutex::default(),
            started: Instant::now(),
            changed: watch::Sender::new(()),
            sharing: shared.then(Notify::new),
            metrics,
        }
    }

    /// A reader has been given a stream.
    pub(crate) fn open(self: &Arc<Self>, receiver: Receiver) -> Reading {
        let stream = OpaqueId::new(Uuid::new_v4().as_u128());
        tracing::info!(gateway = %receiver.name, "a gateway reads the stream and sends receipts");
        self.board.lock().open(stream, receiver, Instant::now());
        self.ring();
        Reading {
            stream,
            receipts: Arc::downgrade(self),
        }
    }

    /// Takes a receipt in.
    pub(crate) fn take(&self, receipt: &Receipt) -> Result<(), UnknownStream> {
        let taken = self.board.lock().take(receipt, Instant::now());
        match taken {
            Ok(propagated) => self.count(&propagated),
            Err(UnknownStream) => {
                // It may be one of another catalog that has only just been opened.
                self.ring_sharing();
                return Err(UnknownStream);
            }
        }
        self.ring();
        Ok(())
    }

    /// A write that was accepted at some time has got a revision.
    pub(crate) fn accepted(&self, revision: Revision, at: Instant) {
        let (propagated, elsewhere) = {
            let mut board = self.board.lock();
            let propagated = board.accepted(revision, at, Instant::now());
            (propagated, board.is_anybody_elsewhere())
        };
        self.count(&propagated);
        if elsewhere {
            self.ring_sharing();
        }
    }

    /// Waits until a revision is in effect at every connected gateway; `service` is the one that must not have been refused.
    ///
    /// # Errors
    /// [`Missing`] when that takes longer than [`APPLIED_WAIT_MAX`].
    pub(crate) async fn applied(
        self: &Arc<Self>,
        revision: Revision,
        service: Option<ServiceId>,
    ) -> Result<(), Missing> {
        let begun = Instant::now();
        let deadline = begun + APPLIED_WAIT_MAX;
        let mut changed = self.changed.subscribe();
        let _waiting = self.waits(begun);
        loop {
            changed.mark_unchanged();
            let missing = self.missing(revision, service, begun);
            if missing.complete && missing.behind.is_empty() {
                return Ok(());
            }
            // The sender lives as long as this, so the only end is the deadline.
            if timeout_at(deadline, changed.changed()).await.is_err() {
                return Err(missing);
            }
        }
    }

    /// Somebody waits for what readers say, since some time.
    pub(crate) fn waits(self: &Arc<Self>, begun: Instant) -> Waiting {
        self.board.lock().wait_begins(begun);
        self.ring_sharing();
        Waiting {
            receipts: Arc::clone(self),
            begun,
        }
    }

    /// Rings whenever somebody says something new.
    pub(crate) fn news(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    fn missing(&self, revision: Revision, service: Option<ServiceId>, since: Instant) -> Missing {
        let board = self.board.lock();
        Missing {
            behind: board.behind(revision, service, Instant::now()),
            complete: self.sharing.is_none() || board.has_looked_since(since),
        }
    }

    fn count(&self, propagated: &[Duration]) {
        for time in propagated {
            self.metrics.propagation.observe(time.as_secs_f64());
        }
    }

    /// There is something to be heard, here and by other catalogs.
    pub(crate) fn ring(&self) {
        self.changed.send_replace(());
        self.ring_sharing();
    }

    fn ring_sharing(&self) {
        if let Some(sharing) = &self.sharing {
            sharing.notify_one();
        }
    }
}

// === impl Reading ===

impl Drop for Reading {
    fn drop(&mut self) {
        if let Some(receipts) = self.receipts.upgrade() {
            receipts.board.lock().close(self.stream, Instant::now());
            receipts.ring();
        }
    }
}

// === impl Waiting ===

impl Drop for Waiting {
    fn drop(&mut self) {
        self.receipts.board.lock().wait_ends(self.begun);
    }
}
