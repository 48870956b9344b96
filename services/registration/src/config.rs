//! Everything one registration needs to know: the settings, and who registers.

use std::net::SocketAddr;

use catalog_api::{InstanceId, Metadata, ServiceSpec, Weight, Zone};

use crate::RegistrationSettings;

/// Who registers, as what, and with which catalog.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where and how.
    pub settings: RegistrationSettings,
    /// The service. Created with this description when the catalog does not know it; never changed when it does, because an
    /// operator may have.
    pub service: ServiceSpec,
    /// The instance's name within the service.
    pub instance: InstanceId,
    /// Where the instance really listens. Advertised unless the settings name another address; an unspecified address
    /// (`0.0.0.0`) is replaced by the local address that leads to the catalog.
    pub listening: SocketAddr,
    /// Share of the traffic.
    pub weight: Weight,
    /// Failure domain.
    pub zone: Option<Zone>,
    /// Own entries.
    pub metadata: Metadata,
}

// === impl Config ===

impl Config {
    /// An instance of weight 1, without zone and metadata.
    pub fn new(
        settings: RegistrationSettings,
        service: ServiceSpec,
        instance: InstanceId,
        listening: SocketAddr,
    ) -> Self {
        Self {
            settings,
            service,
            instance,
            listening,
            weight: Weight::default(),
            zone: None,
            metadata: Metadata::default(),
        }
    }
}
