//! What the name service counts beyond its requests.

use std::time::Instant;

use prometheus::{
    Gauge, IntCounter, IntCounterVec, IntGauge, Opts,
    core::{Collector, Desc},
    proto::MetricFamily,
};
use service_kit::metrics::{Metrics, resident_memory_bytes};

use crate::Locale;

/// Handles to the metrics, one per label value, so that a request looks nothing up.
#[derive(Clone, Debug)]
pub(crate) struct NameMetrics {
    generated: [IntCounter; Locale::ALL.len()],
}

/// Values that are read when somebody asks rather than kept up to date by a timer.
#[derive(Clone, Debug)]
struct Now {
    started: Instant,
    uptime: Gauge,
    memory: IntGauge,
}

// === impl NameMetrics ===

impl NameMetrics {
    pub(crate) fn new(metrics: &Metrics, started: Instant) -> Self {
        let up = metrics.register(IntGauge::new(
            "service_api_up",
            "Always 1 while the service answers",
        ));
        up.set(1);
        metrics.register(Now::new(started));
        let generated = metrics.register(IntCounterVec::new(
            Opts::new("service_api_names_generated_total", "Names handed out"),
            &["locale"],
        ));
        Self {
            generated: Locale::ALL.map(|locale| generated.with_label_values(&[locale.as_str()])),
        }
    }

    pub(crate) fn generated(&self, locale: Locale, count: usize) {
        self.generated[locale as usize].inc_by(count as u64);
    }
}

// === impl Now ===

impl Now {
    fn new(started: Instant) -> Result<Self, prometheus::Error> {
        Ok(Self {
            started,
            uptime: Gauge::new(
                "service_api_uptime_seconds",
                "Seconds since the service started",
            )?,
            memory: IntGauge::new(
                "service_api_memory_usage_bytes",
                "Resident memory of the process",
            )?,
        })
    }
}

impl Collector for Now {
    fn desc(&self) -> Vec<&Desc> {
        [self.uptime.desc(), self.memory.desc()].concat()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        self.uptime.set(self.started.elapsed().as_secs_f64());
        self.memory
            .set(i64::try_from(resident_memory_bytes()).unwrap_or(i64::MAX));
        [self.uptime.collect(), self.memory.collect()].concat()
    }
}
