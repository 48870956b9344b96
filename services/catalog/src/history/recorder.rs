//! From calls that ended to the history that catalogs share: a bounded buffer, and one task that empties it in batches.
//!
//! While the history cannot be reached, calls wait in the buffer; when it is full, the oldest are left out and counted. A batch whose
//! answer was lost is offered again under its number, so nothing is taken down twice.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use database::history::{Batch, CallHistory};
use parking_lot::Mutex;
use prometheus::IntCounter;
use service_kit::{backoff::Backoff, shutdown::Shutdown};
use tokio::sync::{Notify, watch};

use super::{CallRecord, exists};
use crate::{follower::chain, state::Live};

/// Calls that wait at most; as many as the log keeps.
const WAITING_MAX: usize = database::history::RECORDS_MAX;

/// Calls in one batch.
const BATCH_MAX: usize = 256;

/// Shortest and longest pause after a batch that was not taken.
const RETRY: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(2));

/// Longest time for what is left when the catalog stops.
const LAST_MAX: Duration = Duration::from_secs(1);

/// Calls on their way.
pub(crate) struct Buffer {
    waiting: Mutex<VecDeque<Arc<CallRecord>>>,
    arrived: Notify,
    /// Calls that were left out.
    left_out: IntCounter,
}

/// Empties a buffer.
pub(crate) struct Recorder {
    pub(crate) buffer: Arc<Buffer>,
    pub(crate) history: Arc<dyn CallHistory>,
    /// Whether the history can be reached.
    pub(crate) connected: watch::Receiver<bool>,
    pub(crate) live: Arc<Live>,
}

// === impl Buffer ===

impl Buffer {
    pub(crate) fn new(left_out: IntCounter) -> Self {
        Self {
            waiting: Mutex::default(),
            arrived: Notify::new(),
            left_out,
        }
    }

    /// Never waits for more than another push.
    pub(super) fn push(&self, record: Arc<CallRecord>) {
        let mut waiting = self.waiting.lock();
        if waiting.len() >= WAITING_MAX {
            waiting.pop_front();
            self.left_out.inc();
        }
        waiting.push_back(record);
        drop(waiting);
        self.arrived.notify_one();
    }

    fn take(&self) -> Vec<Arc<CallRecord>> {
        let mut waiting = self.waiting.lock();
        let count = waiting.len().min(BATCH_MAX);
        waiting.drain(..count).collect()
    }
}

// === impl Recorder ===

impl Recorder {
    /// Empties the buffer until the stop is asked for, and then once more.
    pub(crate) async fn run(mut self, shutdown: Shutdown) {
        let mut batch = Batch {
            number: 1,
            calls: Vec::new(),
        };
        tokio::select! {
            () = self.empty_for_ever(&mut batch) => {}
            () = shutdown.requested() => {}
        }
        let last = async {
            while self.fill(&mut batch) {
                if !self.offer(&mut batch).await {
                    return;
                }
            }
        };
        if tokio::time::timeout(LAST_MAX, last).await.is_err() {
            tracing::warn!("the last calls are missing in the shared log");
        }
    }

    async fn empty_for_ever(&mut self, batch: &mut Batch) {
        let mut backoff = Backoff::new(RETRY.0, RETRY.1);
        loop {
            if !self.fill(batch) {
                self.buffer.arrived.notified().await;
            } else if self.offer(batch).await {
                backoff.reset();
            } else {
                tokio::time::sleep(backoff.next_delay()).await;
                // Its end is the end of the connection's owner, which is ours, too.
                drop(self.connected.wait_for(|connected| *connected).await);
            }
        }
    }

    /// Fills a batch that is empty. False when there is nothing.
    fn fill(&self, batch: &mut Batch) -> bool {
        if batch.calls.is_empty() {
            batch.calls = self.buffer.take();
        }
        !batch.calls.is_empty()
    }

    /// Offers a batch, and empties it when it was taken. A batch that is cut off here is offered again.
    async fn offer(&self, batch: &mut Batch) -> bool {
        let snapshot = self.live.load();
        let exists = |id| exists(&snapshot, id);
        match self.history.record(batch, &exists).await {
            Ok(()) => {
                batch.number += 1;
                batch.calls.clear();
                true
            }
            Err(error) => {
                tracing::debug!(error = %chain(&error), "calls wait for the shared log");
                false
            }
        }
    }
}
