//! Watch streams: who may open one, and where it starts.

mod onlookers;
mod stream;

use std::{num::NonZeroUsize, sync::Arc, time::Duration};

use bytes::Bytes;
use catalog_api::{OpaqueId, Receiver, Revision, ServiceRef};
use futures_util::Stream;
use service_kit::{BoxError, shutdown::Shutdown};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use uuid::Uuid;

use onlookers::Onlooker;
pub(crate) use onlookers::Onlookers;

use crate::{
    metrics::CatalogMetrics,
    receipts::{Reading, Receipts},
    state::Live,
};

/// Opens streams and counts them.
pub(crate) struct Watchers {
    live: Arc<Live>,
    receipts: Arc<Receipts>,
    onlookers: Arc<Onlookers>,
    slots: Arc<Semaphore>,
    slots_max: usize,
    heartbeat: Duration,
    metrics: Arc<CatalogMetrics>,
    shutdown: Shutdown,
    history: String,
}

/// Who reads a stream.
pub(crate) enum Reader {
    /// Will send receipts.
    Acknowledging(Receiver),
    /// Says that it sends no requests to instances.
    Observing,
    /// Nobody knows.
    Unknown,
}

/// A stream, and the id that receipts for it name when its reader announced some.
pub(crate) struct Opened<S> {
    pub(crate) events: S,
    pub(crate) id: Option<OpaqueId>,
}

/// Every slot is taken.
#[derive(Debug, thiserror::Error)]
#[error("{slots_max} watch streams are open, which is the most there can be")]
pub(crate) struct Full {
    slots_max: usize,
}

/// A slot; given back when the stream ends, however it ends.
struct Slot {
    _permit: OwnedSemaphorePermit,
    _reading: Option<Reading>,
    _onlooker: Option<Onlooker>,
    metrics: Arc<CatalogMetrics>,
}

// === impl Watchers ===

impl Watchers {
    /// See [`catalog_api::HISTORY_HEADER`].
    pub(crate) fn history(&self) -> &str {
        &self.history
    }

    /// Streams end when `shutdown` is requested, or a drain would wait for them.
    pub(crate) fn new(
        live: Arc<Live>,
        receipts: Arc<Receipts>,
        onlookers: Arc<Onlookers>,
        slots_max: NonZeroUsize,
        heartbeat: Duration,
        metrics: Arc<CatalogMetrics>,
        shutdown: Shutdown,
    ) -> Self {
        let slots_max = slots_max.get().min(Semaphore::MAX_PERMITS);
        Self {
            live,
            receipts,
            onlookers,
            slots: Arc::new(Semaphore::new(slots_max)),
            slots_max,
            heartbeat,
            metrics,
            shutdown,
            history: Uuid::new_v4().to_string(),
        }
    }

    /// A stream of events after `resume`; without one, or when that is too long ago, a snapshot comes first.
    pub(crate) fn open(
        &self,
        resume: Option<Revision>,
        filter: Option<ServiceRef>,
        reader: Reader,
    ) -> Result<Opened<impl Stream<Item = Result<Bytes, BoxError>> + Send + use<>>, Full> {
        let permit = Arc::clone(&self.slots)
            .try_acquire_owned()
            .map_err(|_| Full {
                slots_max: self.slots_max,
            })?;
        self.metrics.watchers.inc();
        let (mut reading, mut onlooker) = (None, None);
        match reader {
            Reader::Acknowledging(receiver) => reading = Some(self.receipts.open(receiver)),
            Reader::Observing => {}
            Reader::Unknown => onlooker = Some(self.onlookers.open(filter.as_ref())),
        }
        let id = reading.as_ref().map(|reading| reading.stream);
        let slot = Slot {
            _permit: permit,
            _reading: reading,
            _onlooker: onlooker,
            metrics: Arc::clone(&self.metrics),
        };
        let watcher = stream::Watcher::new(
            self.live.subscribe(filter),
            resume,
            self.heartbeat,
            self.shutdown.clone(),
        );
        Ok(Opened {
            events: watcher.into_stream(slot),
            id,
        })
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.metrics.watchers.dec();
    }
}
