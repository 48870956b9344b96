//! `log_events_dropped_total`: what the log lost, so that its silence is not taken for peace.

use std::sync::{Arc, Mutex, PoisonError};

use prometheus::IntCounter;
use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;

use crate::telemetry;

/// Reads the log's own count when it is collected.
#[derive(Clone)]
pub(super) struct LogCollector {
    dropped: IntCounter,
    /// Two scrapes at once must not both add the same difference.
    reading: Arc<Mutex<()>>,
}

impl LogCollector {
    pub(super) fn new() -> Result<Self, prometheus::Error> {
        Ok(Self {
            dropped: IntCounter::new(
                "log_events_dropped_total",
                "Events that were not logged because stderr did not keep up",
            )?,
            reading: Arc::default(),
        })
    }
}

impl Collector for LogCollector {
    fn desc(&self) -> Vec<&Desc> {
        self.dropped.desc()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let _reading = self.reading.lock().unwrap_or_else(PoisonError::into_inner);
        let unseen = telemetry::dropped_events().saturating_sub(self.dropped.get());
        self.dropped.inc_by(unseen);
        self.dropped.collect()
    }
}
