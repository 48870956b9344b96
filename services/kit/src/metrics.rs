//! Metrics: one registry per program instance, so that several programs in one process, and tests, do not mix.

mod log;
mod process;
mod requests;

use prometheus::core::Collector;
use prometheus::{IntGaugeVec, Opts, Registry, TextEncoder};

pub use process::resident_memory_bytes;
pub use requests::RequestMetrics;

/// Upper bounds of histograms of durations, in seconds. They begin at 100 µs because most answers come from memory.
pub const DURATION_BUCKETS: [f64; 15] = [
    0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5,
    10.0,
];

/// A program's registry, with `build_info`, `process_*` and `log_events_dropped_total` in it. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Metrics {
    registry: Registry,
}

impl Metrics {
    /// Content type of [`encode`](Self::encode).
    pub const CONTENT_TYPE: &str = prometheus::TEXT_FORMAT;

    /// A registry that knows the program and its process.
    pub fn new(program: &'static str, version: &'static str) -> Self {
        let metrics = Self {
            registry: Registry::new(),
        };
        let build_info = metrics.register(IntGaugeVec::new(
            Opts::new("build_info", "Always 1; which program this is"),
            &["program", "version"],
        ));
        build_info.with_label_values(&[program, version]).set(1);
        metrics.register(process::ProcessCollector::new());
        metrics.register(log::LogCollector::new());
        metrics
    }

    /// The registry itself, for collectors that come and go.
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// Everything in the Prometheus text format.
    pub fn encode(&self) -> String {
        let mut text = String::new();
        if let Err(error) = TextEncoder::new().encode_utf8(&self.registry.gather(), &mut text) {
            tracing::error!(%error, "cannot encode the metrics");
        }
        text
    }

    /// Registers what was just made: `metrics.register(IntCounter::new("name", "help"))`.
    ///
    /// # Panics
    ///
    /// When the name is not a metric's name or is taken. Names are constants, so the first test shows it.
    #[expect(
        clippy::expect_used,
        reason = "names of metrics are constants of the program; a wrong one is a fault to be found by any test"
    )]
    pub fn register<C: Collector + Clone + 'static>(
        &self,
        collector: Result<C, prometheus::Error>,
    ) -> C {
        let collector = collector.expect("metrics have valid names, labels and buckets");
        self.registry
            .register(Box::new(collector.clone()))
            .expect("metrics are registered once");
        collector
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn a_new_registry_describes_program_and_process() {
        let metrics = Metrics::new("example", "1.2.3");
        let text = metrics.encode();
        assert!(text.contains(r#"build_info{program="example",version="1.2.3"} 1"#));
        let names: BTreeSet<&str> = text
            .lines()
            .filter(|line| !line.starts_with('#'))
            .filter_map(|line| line.split(['{', ' ']).next())
            .collect();
        for name in [
            "process_cpu_seconds_total",
            "process_resident_memory_bytes",
            "process_virtual_memory_bytes",
            "process_open_fds",
            "process_max_fds",
            "process_start_time_seconds",
            "process_threads",
            "log_events_dropped_total",
        ] {
            assert!(names.contains(name), "{name} is missing in {names:?}");
        }
    }

    #[test]
    fn two_programs_in_one_process_do_not_mix() {
        let (a, b) = (Metrics::new("a", "1"), Metrics::new("b", "1"));
        let counter = a.register(prometheus::IntCounter::new("hits_total", "Hits"));
        counter.inc();
        assert!(a.encode().contains("hits_total 1"));
        assert!(!b.encode().contains("hits_total"));
    }
}
