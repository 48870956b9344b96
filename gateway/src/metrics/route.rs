//! Counters of one route.

use std::{
    sync::{Arc, OnceLock, Weak},
    time::Duration,
};

use prometheus::{Histogram, IntCounter};

use super::GatewayMetrics;

const METHODS: [&str; 8] = [
    "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "OTHER",
];
const CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];

/// Counters of one route by method and status class, each resolved at its first use.
pub struct RouteMetrics {
    name: Arc<str>,
    duration: Histogram,
    requests: [[OnceLock<IntCounter>; CLASSES.len()]; METHODS.len()],
    registry: Weak<GatewayMetrics>,
}

// === impl RouteMetrics ===

impl RouteMetrics {
    pub(super) fn new(metrics: &Arc<GatewayMetrics>, name: Arc<str>) -> Self {
        Self {
            duration: metrics.request_duration.with_label_values(&[&*name]),
            name,
            requests: Default::default(),
            registry: Arc::downgrade(metrics),
        }
    }

    /// Counts one answered request. A status outside 100 to 599 counts as 5xx.
    pub fn observe(&self, method: &http::Method, status: u16, took: Duration) {
        self.duration.observe(took.as_secs_f64());
        let method = METHODS
            .iter()
            .position(|known| *known == method.as_str())
            .unwrap_or(METHODS.len() - 1);
        let class = usize::from(status / 100)
            .wrapping_sub(1)
            .min(CLASSES.len() - 1);
        let slot = &self.requests[method][class];
        if let Some(counter) = slot.get() {
            return counter.inc();
        }
        if let Some(registry) = self.registry.upgrade() {
            let labels = [&*self.name, METHODS[method], CLASSES[class]];
            slot.get_or_init(|| registry.requests.with_label_values(&labels))
                .inc();
        }
    }
}

impl std::fmt::Debug for RouteMetrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("RouteMetrics").field(&self.name).finish()
    }
}

impl Drop for RouteMetrics {
    fn drop(&mut self) {
        let Some(registry) = self.registry.upgrade() else {
            return;
        };
        let mut routes = registry.routes.lock();
        // A route of the same name may have come back meanwhile; then the series are its own now.
        if routes
            .get(&self.name)
            .is_some_and(|current| current.strong_count() > 0)
        {
            return;
        }
        routes.remove(&self.name);
        // Series that never were are no error.
        let _ = registry
            .request_duration
            .remove_label_values(&[&*self.name]);
        for (method, classes) in METHODS.iter().zip(&self.requests) {
            for (class, counter) in CLASSES.iter().zip(classes) {
                if counter.get().is_some() {
                    let _ = registry
                        .requests
                        .remove_label_values(&[&*self.name, method, class]);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use service_kit::metrics::Metrics;

    use super::*;

    #[test]
    fn series_live_as_long_as_their_route() {
        let metrics = GatewayMetrics::new(Metrics::new("gateway", "0"));
        let name: Arc<str> = "hold".into();
        let (first, second) = (metrics.route(&name), metrics.route(&name));
        first.observe(&http::Method::GET, 200, Duration::from_millis(1));
        second.observe(&http::Method::GET, 204, Duration::from_millis(1));
        let series = r#"gateway_requests_total{method="GET",route="hold",status_class="2xx"} 2"#;
        assert!(metrics.encode().contains(series), "{}", metrics.encode());
        drop(first);
        assert!(metrics.encode().contains(series));
        drop(second);
        assert!(!metrics.encode().contains("hold"), "{}", metrics.encode());
    }

    #[test]
    fn labels_that_concatenate_equally_are_still_told_apart() {
        // prometheus 0.14 hashes the values of labels without a separator: what follows a free text must say where that ends.
        for closed in [&METHODS[..], &CLASSES, &["true", "false"]] {
            for one in closed {
                let ends_another = |other: &&str| one != other && other.ends_with(one);
                assert!(!closed.iter().any(ends_another), "{one}");
            }
        }
        let metrics = GatewayMetrics::new(Metrics::new("gateway", "0"));
        let get = http::Method::GET;
        let routes = ["a", "aG", "GET", "aGET"].map(|name| metrics.route(&name.into()));
        for route in &routes {
            route.observe(&get, 200, Duration::ZERO);
        }
        for name in ["a", "aG", "GET", "aGET"] {
            let series = format!(
                r#"gateway_requests_total{{method="GET",route="{name}",status_class="2xx"}} 1"#
            );
            assert!(metrics.encode().contains(&series), "{}", metrics.encode());
        }
    }

    #[test]
    fn odd_methods_and_statuses_stay_bounded() {
        let metrics = GatewayMetrics::new(Metrics::new("gateway", "0"));
        let route = metrics.route(&"r".into());
        for status in [0, 99, 600, 999, u16::MAX] {
            route.observe(
                &http::Method::from_bytes(b"BREW").unwrap(),
                status,
                Duration::ZERO,
            );
        }
        let text = metrics.encode();
        assert!(
            text.contains(r#"{method="OTHER",route="r",status_class="5xx"} 5"#),
            "{text}"
        );
    }
}
