//! Receipts between the catalogs of one store.
//!
//! Each catalog notes in the store who reads its streams and how far everyone is, and looks there for the readers of the others: at
//! once when something begins to be waited for, then with growing pauses, and every 5 s anyway. One statement takes all notes of a turn, and
//! there are at least 20 ms between two turns, however many receipts and writes there are.
//!
//! A stream of another catalog that was opened within the last turn is not known here yet. And a catalog that is cut off from the
//! store cannot note anything: its gateways do not count as connected after [`SILENCE_MAX`], because nothing that is written elsewhere
//! can reach them.
//!
//! What a catalog says of its own calls to draining instances goes the same way. It is made up before the notes about readers and
//! recorded after them: who finds an instance in it finds every stream that was opened before that was known.
//!
//! While the store is away, and for 3.5 s afterwards, nobody is sure who is there: the notes may be gone, and the others have to see
//! that it is back. Writes that wait go on waiting meanwhile.

use std::{sync::Arc, time::Duration};

use database::{Availability, CallerNote, Callers, Receivers, StoreError};
use service_kit::shutdown::Shutdown;
use tokio::{
    sync::watch,
    time::{Instant, sleep},
};

use super::{
    Receipts, SILENCE_MAX,
    board::{LOOK_IDLE, LOOK_MIN, Notes},
};
use crate::{drain::Witnesses, follower::chain};

/// Pause after the store could not be asked.
const RETRY: Duration = Duration::from_millis(500);

/// A turn that takes longer may have waited for a database that crashed and came back meanwhile.
const TURN_MAX: Duration = Duration::from_millis(500);

/// Exchanges receipts with the other catalogs.
pub(crate) struct Sharing {
    pub(crate) receipts: Arc<Receipts>,
    pub(crate) notes: Arc<dyn Receivers>,
    pub(crate) callers: Arc<dyn Callers>,
    pub(crate) witnesses: Arc<Witnesses>,
    /// What was said of the own calls, and when.
    pub(crate) said: Option<(CallerNote, Instant)>,
    pub(crate) availability: watch::Receiver<Availability>,
}

// === impl Sharing ===

impl Sharing {
    /// Runs until the stop is asked for, and then says that every stream of this catalog has ended.
    pub(crate) async fn run(mut self, shutdown: Shutdown) {
        let mut availability = self.availability.clone();
        let mut failing = false;
        loop {
            let pause = self.receipts.board.lock().until_look(Instant::now());
            tokio::select! {
                // That the store is away must not wait until nothing else is to be done.
                biased;
                () = shutdown.requested() => return self.leave().await,
                // The sender lives as long as the store. A branch that fails is not looked at again.
                Ok(()) = availability.changed() => {
                    let is_away = *availability.borrow_and_update() != Availability::Available;
                    let mut board = self.receipts.board.lock();
                    if is_away {
                        board.lost_sight();
                    }
                    // It is told that the store is there whenever somebody has looked.
                    if is_away || !board.regained_sight(Instant::now()) {
                        continue;
                    }
                    // After a crash of the database the notes are gone.
                    self.said = None;
                }
                () = self.called() => {}
                () = sleep(pause) => {}
            }
            let begun = Instant::now();
            let pause = match self.turn().await {
                Ok(()) => {
                    failing = false;
                    let now = Instant::now();
                    if now - begun > TURN_MAX {
                        self.receipts.board.lock().look_failed(now);
                    }
                    LOOK_MIN
                }
                Err(error) => {
                    if !failing {
                        tracing::warn!(error = %chain(&error), "cannot exchange receipts with the other catalogs");
                    }
                    failing = true;
                    self.receipts.board.lock().look_failed(Instant::now());
                    RETRY
                }
            };
            tokio::select! {
                () = shutdown.requested() => return self.leave().await,
                () = sleep(pause) => {}
            }
        }
    }

    async fn called(&self) {
        match &self.receipts.sharing {
            Some(bell) => bell.notified().await,
            None => std::future::pending().await,
        }
    }

    async fn turn(&mut self) -> Result<(), StoreError> {
        let own = self.witnesses.note();
        let board = &self.receipts.board;
        let notes = board.lock().take_notes(Instant::now());
        if let Err(error) = self.note(&notes).await {
            board.lock().put_back(notes);
            return Err(error);
        }
        let drains = !own.draining.is_empty();
        self.say(own).await?;
        let board = &self.receipts.board;
        let begun = Instant::now();
        if !board.lock().until_look(begun).is_zero() {
            return Ok(());
        }
        let all = self.notes.all(SILENCE_MAX).await?;
        if drains {
            let callers = self.callers.all(SILENCE_MAX).await?;
            let own = self.witnesses.process();
            self.receipts.callers.lock().see(callers, own, begun);
        }
        let propagated = board.lock().see(all, begun, Instant::now());
        self.receipts.count(&propagated);
        self.receipts.changed.send_replace(());
        Ok(())
    }

    /// Says what there is to say of the own calls, if that is something else than before; and from time to time in any case.
    async fn say(&mut self, own: CallerNote) -> Result<(), StoreError> {
        let now = Instant::now();
        let is_known = self.said.as_ref().is_some_and(|(said, at)| {
            said.draining == own.draining && now.duration_since(*at) < LOOK_IDLE
        });
        if !is_known {
            self.callers.record(&own, SILENCE_MAX).await?;
            self.said = Some((own, now));
        }
        Ok(())
    }

    async fn note(&self, notes: &Notes) -> Result<(), StoreError> {
        if notes.news.is_empty() && notes.ended.is_empty() {
            return Ok(());
        }
        self.notes
            .record(&notes.news, &notes.ended, SILENCE_MAX)
            .await
    }

    async fn leave(&self) {
        let notes = self.receipts.board.lock().take_last_notes();
        let ended = match self.note(&notes).await {
            Ok(()) => self.callers.end(self.witnesses.process()).await,
            error => error,
        };
        if let Err(error) = ended {
            // They are thrown away by their age.
            tracing::debug!(error = %chain(&error), "cannot say that the streams have ended");
        }
    }
}
