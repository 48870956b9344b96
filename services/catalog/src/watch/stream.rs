//! One watcher: a position in the journal, and nothing that could grow while it does not read.

use std::{collections::VecDeque, time::Duration};

use bytes::Bytes;
use catalog_api::{EventKind, Revision};
use futures_util::{Stream, stream};
use service_kit::{BoxError, shutdown::Shutdown, sse};
use tokio::time::{Instant, sleep_until};

use crate::{journal::Step, state::Subscription};

/// What one stream knows.
pub(super) struct Watcher {
    subscription: Subscription,
    /// Everything up to here was sent; none = nothing yet.
    position: Option<Revision>,
    /// Rest of a snapshot event, at most two pieces.
    pieces: VecDeque<Bytes>,
    heartbeat: Duration,
    silent_until: Instant,
    shutdown: Shutdown,
}

// === impl Watcher ===

impl Watcher {
    pub(super) fn new(
        subscription: Subscription,
        resume: Option<Revision>,
        heartbeat: Duration,
        shutdown: Shutdown,
    ) -> Self {
        Self {
            subscription,
            position: resume,
            pieces: VecDeque::new(),
            heartbeat,
            silent_until: Instant::now() + heartbeat,
            shutdown,
        }
    }

    /// The stream. `guard` is dropped with it.
    pub(super) fn into_stream<G: Send>(
        self,
        guard: G,
    ) -> impl Stream<Item = Result<Bytes, BoxError>> + Send + use<G> {
        stream::unfold((self, guard), async |(mut watcher, guard)| {
            let bytes = watcher.next().await?;
            watcher.silent_until = Instant::now() + watcher.heartbeat;
            Some((Ok(bytes), (watcher, guard)))
        })
    }

    /// The next bytes; none at the end.
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            if let Some(piece) = self.pieces.pop_front() {
                return Some(piece);
            }
            if self.shutdown.is_requested() {
                return None;
            }
            let step = self
                .position
                .map_or(Step::Gap, |position| self.subscription.after(position));
            match step {
                Step::Event(record) => {
                    self.position = Some(record.revision());
                    return Some(record.event());
                }
                Step::Gap => {
                    self.begin_anew();
                    continue;
                }
                // Also when nothing was sent: a watcher of one service must not fall behind while others change.
                Step::UpToDate(head) => self.position = Some(head),
            }
            tokio::select! {
                () = self.shutdown.requested() => return None,
                () = self.subscription.rings() => {}
                () = sleep_until(self.silent_until) => return Some(sse::comment("heartbeat")),
            }
        }
    }

    /// Has a snapshot sent. In pieces, so that all watchers share the one encoded list.
    fn begin_anew(&mut self) {
        let snapshot = self.subscription.snapshot();
        let list = match self.subscription.filter() {
            None => snapshot.list(),
            Some(target) => snapshot.list_one(target),
        };
        let head = format!(
            "event: {}\nid: {}\ndata: ",
            EventKind::Snapshot.as_str(),
            snapshot.revision()
        );
        // JSON from serde has no line breaks, so it is one data line.
        self.pieces = [head.into(), list, Bytes::from_static(b"\n\n")].into();
        self.position = Some(snapshot.revision());
    }
}
