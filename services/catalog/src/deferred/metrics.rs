//! What is counted of calls that are answered later. The doc comment of each field is its help text.

use database::jobs::PutError;
use prometheus::{IntCounterVec, IntGauge, Opts};
use service_kit::metrics::Metrics;

/// Handles.
pub(crate) struct DeferredMetrics {
    /// Calls to be answered later that wait, as of a second ago; where catalogs share a queue, all of them.
    pub(super) waiting: IntGauge,
    /// Calls to be answered later that this catalog carries out now.
    pub(super) running: IntGauge,
    /// Calls to be answered later, by what happened.
    events: IntCounterVec,
}

/// What happened to a call.
#[derive(Clone, Copy, Debug)]
pub(super) enum Event {
    /// It was taken in.
    Accepted,
    /// It was not.
    Refused,
    /// It was begun, this time or again.
    Begun,
    /// There is an answer.
    Answered,
    /// There is none.
    Failed,
    /// Its worker fell silent.
    Abandoned,
}

const EVENTS: [Event; 6] = [
    Event::Accepted,
    Event::Refused,
    Event::Begun,
    Event::Answered,
    Event::Failed,
    Event::Abandoned,
];

// === impl DeferredMetrics ===

impl DeferredMetrics {
    pub(crate) fn new(metrics: &Metrics) -> Self {
        let gauge = |name: &str, help: &str| metrics.register(IntGauge::new(name, help));
        let this = Self {
            waiting: gauge(
                "service_catalog_async_calls_waiting",
                "Calls to be answered later that wait, as of a second ago; where catalogs share a queue, all of them",
            ),
            running: gauge(
                "service_catalog_async_calls_running",
                "Calls to be answered later that this catalog carries out now",
            ),
            events: metrics.register(IntCounterVec::new(
                Opts::new(
                    "service_catalog_async_calls_total",
                    "Calls to be answered later, by what happened",
                ),
                &["event"],
            )),
        };
        // Alerts on a rate need the series before its first event.
        for event in EVENTS {
            this.events.with_label_values(&[event.as_str()]);
        }
        this
    }

    pub(super) fn happened(&self, event: Event) {
        self.events.with_label_values(&[event.as_str()]).inc();
    }

    pub(super) fn put(&self, put: &Result<(), PutError>) {
        match put {
            Ok(()) => self.happened(Event::Accepted),
            // It is carried out at once.
            Err(PutError::Away) => {}
            Err(PutError::Full | PutError::Unknown(_)) => self.happened(Event::Refused),
        }
    }
}

// === impl Event ===

impl Event {
    fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Refused => "refused",
            Self::Begun => "begun",
            Self::Answered => "answered",
            Self::Failed => "failed",
            Self::Abandoned => "abandoned",
        }
    }
}
