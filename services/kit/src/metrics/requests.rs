//! Requests as every program counts them.

use prometheus::{HistogramOpts, HistogramVec, IntCounterVec, Opts};

use super::{DURATION_BUCKETS, Metrics};
use crate::http::Exchange;

/// `{prefix}_requests_total{method,endpoint,status}` and `{prefix}_request_duration_seconds{endpoint}`.
#[derive(Clone, Debug)]
pub struct RequestMetrics {
    requests: IntCounterVec,
    duration: HistogramVec,
}

impl RequestMetrics {
    /// Registers both with the given prefix, for example `service_catalog`.
    pub fn new(metrics: &Metrics, prefix: &str) -> Self {
        Self {
            // The label order matters: prometheus 0.14 hashes values without a separator, and a route pattern, which
            // starts with "/", between two fixed alphabets cannot collide.
            requests: metrics.register(IntCounterVec::new(
                Opts::new(format!("{prefix}_requests_total"), "Requests answered"),
                &["method", "endpoint", "status"],
            )),
            duration: metrics.register(HistogramVec::new(
                HistogramOpts::new(
                    format!("{prefix}_request_duration_seconds"),
                    "Time from the request's header to the response's header",
                )
                .buckets(DURATION_BUCKETS.to_vec()),
                &["endpoint"],
            )),
        }
    }

    /// Counts one finished request.
    pub fn observe(&self, exchange: &Exchange) {
        let mut digits = [0_u8; 3];
        let status = status_text(exchange.status, &mut digits);
        self.requests
            .with_label_values(&[exchange.method, exchange.endpoint, status])
            .inc();
        self.duration
            .with_label_values(&[exchange.endpoint])
            .observe(exchange.duration.as_secs_f64());
    }
}

/// Three digits without an allocation per request.
fn status_text(status: u16, digits: &mut [u8; 3]) -> &str {
    for (digit, unit) in digits.iter_mut().zip([100, 10, 1]) {
        // At most 9, so the cast loses nothing.
        *digit = b'0' + (status / unit % 10) as u8;
    }
    str::from_utf8(digits).unwrap_or("000")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn an_exchange_is_counted_and_timed_under_its_route() {
        let metrics = Metrics::new("example", "1");
        let requests = RequestMetrics::new(&metrics, "example");
        requests.observe(&Exchange {
            method: "GET",
            endpoint: "/names/{count}",
            status: 204,
            duration: Duration::from_micros(200),
        });
        let text = metrics.encode();
        for line in [
            r#"example_requests_total{endpoint="/names/{count}",method="GET",status="204"} 1"#,
            r#"example_request_duration_seconds_bucket{endpoint="/names/{count}",le="0.0001"} 0"#,
            r#"example_request_duration_seconds_bucket{endpoint="/names/{count}",le="0.00025"} 1"#,
        ] {
            assert!(text.contains(line), "{line} is missing in\n{text}");
        }
    }
}
