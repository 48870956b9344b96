//! Catalogs of a given size, as the gateway sees them, without sockets.

use std::sync::Arc;

use catalog_api::{Revision, Service};
use gateway::{
    config::default_routes,
    metrics::GatewayMetrics,
    snapshot::{Change, HostAddresses, Materials, Outside, Snapshot},
    upstream::{Endpoints, Health},
};
use serde_json::json;
use service_kit::{BoxError, VERSION, metrics::Metrics};

/// A snapshot and what the next one is built from.
pub(crate) struct Bed {
    /// The snapshot.
    pub(crate) snapshot: Snapshot,
    /// For the next one.
    pub(crate) materials: Materials,
}

/// The service `s<number>` with a route `/s<number>/` and so many instances. `revision` distinguishes its states.
///
/// # Errors
/// When the numbers make no valid service.
pub(crate) fn service(
    number: usize,
    instances: usize,
    revision: u64,
) -> Result<Arc<Service>, BoxError> {
    let instances: Vec<_> = (0..instances)
        .map(|instance| {
            let address = format!(
                "10.{}.{}.{}:{}",
                number >> 8,
                number & 0xff,
                instance & 0xff,
                1024 + revision % 60_000
            );
            json!({"id": format!("i{instance}"), "address": address, "weight": 1 + instance % 3})
        })
        .collect();
    let service = json!({
        "id": number + 1,
        "name": format!("s{number}"),
        "routes": [{"path_prefix": format!("/s{number}/"), "strip_prefix": true}],
        "revision": revision,
        "created_at": "2026-01-31T12:00:00Z",
        "updated_at": "2026-01-31T12:00:00Z",
        "instances": instances,
    });
    Ok(Arc::new(serde_json::from_value(service)?))
}

/// The services of a [`bed`].
///
/// # Errors
/// When the numbers make no valid catalog.
pub(crate) fn catalog(services: usize, instances: usize) -> Result<Vec<Arc<Service>>, BoxError> {
    (0..services)
        .map(|number| service(number, instances, 1))
        .collect()
}

/// A catalog of so many services with so many instances each, all of them healthy.
///
/// # Errors
/// When the numbers make no valid catalog.
pub(crate) fn bed(services: usize, instances: usize) -> Result<Bed, BoxError> {
    let mut materials = Materials {
        endpoints: Endpoints::new(None),
        hosts: HostAddresses::default(),
        file_routes: default_routes(),
        metrics: GatewayMetrics::new(Metrics::new("bench", VERSION)),
    };
    let whole = Change::Replace {
        revision: Revision(1),
        services: catalog(services, instances)?,
        keep: Default::default(),
    };
    let snapshot = Snapshot::default().next(vec![whole], &Outside::default(), &mut materials);
    for member in snapshot.pools().flat_map(|pool| pool.members()) {
        member.endpoint.observe(true);
        debug_assert_eq!(member.endpoint.health(), Health::Healthy);
    }
    Ok(Bed {
        snapshot,
        materials,
    })
}
