//! What a new catalog starts with.

use catalog_api::{Invalid, Probe, ServiceSpec};

/// The first services of a new catalog, in the order of their ids. Probed by `/readyz`, so that one that is about to stop gets
/// no new requests.
pub(crate) fn seeds() -> Result<[ServiceSpec; 2], Invalid> {
    let seed = |name: &str, description: &str| -> Result<ServiceSpec, Invalid> {
        let mut spec = ServiceSpec::named(name.parse()?);
        spec.description = description.to_owned().try_into()?;
        spec.policy.health.probe = Probe::Http {
            path: "/readyz".to_owned(),
        };
        // Closer than the default: the platform promises that a killed instance is out of rotation within 2 s.
        spec.policy.health.interval = "1s".parse()?;
        Ok(spec)
    };
    Ok([
        seed("service-api", "The name service")?,
        seed("service-catalog", "The service catalog")?,
    ])
}
