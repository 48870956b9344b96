//! Gauges read from the live snapshot when they are scraped: nothing to keep in step, nothing left behind by a removed service,
//! and no way for `("a1", "1.1.1.1:80")` and `("a", "11.1.1.1:80")` to become one series, as they would in a `GaugeVec`.

use std::sync::Arc;

use prometheus::{
    core::{Collector, Desc},
    proto::{Gauge, LabelPair, Metric, MetricFamily, MetricType},
};

use crate::{snapshot::Live, upstream::Health};

/// Exports `gateway_endpoint_healthy`, `gateway_inflight`, `gateway_breaker_open` and `gateway_config_revision`.
#[derive(Clone)]
pub struct LiveCollector {
    live: Arc<Live>,
    descriptions: Vec<Desc>,
}

const ENDPOINT_HEALTHY: (&str, &str) = (
    "gateway_endpoint_healthy",
    "1 while an endpoint is in rotation, by service",
);
const INFLIGHT: (&str, &str) = (
    "gateway_inflight",
    "Requests that are with endpoints now, by service",
);
const BREAKER_OPEN: (&str, &str) = (
    "gateway_breaker_open",
    "1 while a circuit breaker lets nobody or only probes pass, by service with a breaker",
);
const REVISION: (&str, &str) = (
    "gateway_config_revision",
    "Catalog revision that is being served",
);

// === impl LiveCollector ===

impl LiveCollector {
    /// Reads from `live`.
    ///
    /// # Errors
    /// None in practice: the names are constants.
    pub fn new(live: Arc<Live>) -> Result<Self, prometheus::Error> {
        let describe = |(name, help): (&str, &str), labels: &[&str]| {
            let labels = labels.iter().map(|label| (*label).to_owned()).collect();
            Desc::new(name.to_owned(), help.to_owned(), labels, Default::default())
        };
        Ok(Self {
            live,
            descriptions: vec![
                describe(ENDPOINT_HEALTHY, &["service", "endpoint"])?,
                describe(INFLIGHT, &["service"])?,
                describe(BREAKER_OPEN, &["service"])?,
                describe(REVISION, &[])?,
            ],
        })
    }
}

impl Collector for LiveCollector {
    fn desc(&self) -> Vec<&Desc> {
        self.descriptions.iter().collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let snapshot = self.live.load();
        let mut healthy = Vec::new();
        let mut in_flight = Vec::new();
        let mut open = Vec::new();
        for pool in snapshot.pools() {
            let service = pool.service().as_str();
            let mut sum = 0;
            let mut seen = std::collections::BTreeSet::new();
            for member in pool.members() {
                let endpoint = &member.endpoint;
                if !seen.insert(endpoint.address()) {
                    continue;
                }
                sum += endpoint.in_flight();
                let up = endpoint.health() == Health::Healthy && pool.may_pick(member);
                let address = endpoint.address().to_string();
                healthy.push(gauge(
                    &[("endpoint", &address), ("service", service)],
                    u8::from(up).into(),
                ));
            }
            if let Some(breaker) = pool.breaker() {
                let is_open = u8::from(breaker.is_open());
                open.push(gauge(&[("service", service)], is_open.into()));
            }
            in_flight.push(gauge(&[("service", service)], sum as f64));
        }
        vec![
            family(ENDPOINT_HEALTHY, healthy),
            family(INFLIGHT, in_flight),
            family(BREAKER_OPEN, open),
            family(REVISION, vec![gauge(&[], snapshot.revision().0 as f64)]),
        ]
        .into_iter()
        .filter(|family| !family.get_metric().is_empty())
        .collect()
    }
}

fn gauge(labels: &[(&str, &str)], value: f64) -> Metric {
    let labels = labels
        .iter()
        .map(|(name, value)| {
            let mut pair = LabelPair::default();
            pair.set_name((*name).to_owned());
            pair.set_value((*value).to_owned());
            pair
        })
        .collect();
    let mut metric = Metric::from_label(labels);
    let mut gauge = Gauge::default();
    gauge.set_value(value);
    metric.set_gauge(gauge);
    metric
}

fn family((name, help): (&str, &str), metrics: Vec<Metric>) -> MetricFamily {
    let mut family = MetricFamily::default();
    family.set_name(name.to_owned());
    family.set_help(help.to_owned());
    family.set_field_type(MetricType::GAUGE);
    family.set_metric(metrics);
    family
}

#[cfg(test)]
mod tests {
    use catalog_api::Revision;
    use serde_json::json;
    use service_kit::metrics::Metrics;

    use super::*;
    use crate::{
        metrics::GatewayMetrics,
        snapshot::{Change, HostAddresses, Materials, Outside, Snapshot},
        upstream::Endpoints,
    };

    #[test]
    fn endpoints_whose_labels_concatenate_equally_are_two_series() {
        let service = |id: u64, name: &str, address: &str| {
            let document = json!({
                "id": id, "name": name, "revision": 1, "created_at": "2026-01-31T12:00:00Z", "updated_at": "2026-01-31T12:00:00Z",
                "instances": [{"id": "i", "address": address}],
            });
            Arc::new(serde_json::from_value(document).unwrap())
        };
        let mut materials = Materials {
            endpoints: Endpoints::new(None),
            hosts: HostAddresses::default(),
            file_routes: Vec::new(),
            metrics: GatewayMetrics::new(Metrics::new("gateway", "0")),
        };
        let whole = Change::Replace {
            revision: Revision(1),
            services: vec![
                service(1, "a1", "1.1.1.1:80"),
                service(2, "a", "11.1.1.1:80"),
            ],
            keep: Default::default(),
        };
        let snapshot = Snapshot::default().next(vec![whole], &Outside::default(), &mut materials);
        let live = Live::default();
        live.publish(Arc::new(snapshot));
        let families = LiveCollector::new(Arc::new(live)).unwrap().collect();
        assert_eq!(families[0].name(), "gateway_endpoint_healthy");
        assert_eq!(families[0].get_metric().len(), 2);
    }
}
