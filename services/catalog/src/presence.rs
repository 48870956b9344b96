//! The catalog's own entry: it is a service like any other, registered with a lease and taken out before it stops.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use catalog_api::{
    Address, Host, InstanceId, InstanceSpec, Invalid, Metadata, ServiceName, ServiceRef,
    ServiceSpec, Span, Weight,
};
use database::{Command, Expect, Refusal, WriteError};
use service_kit::{listen::reachable, shutdown::Shutdown};

use crate::{follower::chain, registry::Registry};

/// Lease of the own instance.
const TTL: Duration = Duration::from_secs(10);

/// Time between two renewals: two may fail before the lease is lost.
const RENEWAL: Duration = Duration::from_secs(3);

/// Longest time for taking the own entry out at the stop.
const LEAVE_WAIT_MAX: Duration = Duration::from_secs(2);

/// What the catalog registers of itself.
pub(crate) struct OwnEntry {
    service: ServiceSpec,
    id: InstanceId,
    instance: InstanceSpec,
}

/// The own instance in its registry.
pub(crate) struct Presence {
    registry: Arc<Registry>,
    own: OwnEntry,
}

/// What is to be advertised when nothing is configured: the bound address, or loopback where that is every address.
pub(crate) fn address_of(bound: SocketAddr) -> Result<Address, Invalid> {
    reachable(bound).to_string().parse()
}

// === impl OwnEntry ===

impl OwnEntry {
    pub(crate) fn new(service: ServiceSpec, address: Address) -> Result<Self, Invalid> {
        let host = match address.host() {
            Host::Ip(ip) => ip.to_string(),
            Host::Name(name) => name.clone(),
        };
        Ok(Self {
            service,
            id: instance_id(&host, address.port())?,
            instance: InstanceSpec {
                address,
                ttl: Some(Span::try_from(TTL)?),
                weight: Weight::default(),
                zone: None,
                metadata: Metadata::default(),
            },
        })
    }
}

// === impl Presence ===

impl Presence {
    pub(crate) fn new(registry: Arc<Registry>, own: OwnEntry) -> Self {
        Self { registry, own }
    }

    /// Registers or renews. The service is created again when somebody deleted it: the gateway's way to us depends on it.
    pub(crate) async fn announce(&self) -> Result<(), WriteError> {
        match self.put().await {
            Err(WriteError::Refused(Refusal::UnknownService(_))) => {}
            other => return other,
        }
        let created = self
            .registry
            .write(Command::Create(self.own.service.clone()));
        match created.await {
            Ok(_) | Err(WriteError::Refused(Refusal::NameTaken { .. })) => self.put().await,
            Err(error) => Err(error),
        }
    }

    /// Renews until the stop is asked for.
    pub(crate) async fn run(&self, shutdown: &Shutdown) {
        loop {
            tokio::select! {
                () = shutdown.requested() => return,
                () = tokio::time::sleep(RENEWAL) => {}
            }
            if let Err(error) = self.announce().await {
                tracing::warn!(error = %chain(&error), "cannot renew the catalog's own entry");
            }
        }
    }

    /// Takes the own instance out. What cannot be taken out in time expires.
    pub(crate) async fn leave(&self) {
        let leaving =
            self.registry
                .delete_instance(self.target(), self.own.id.clone(), Expect::Anything);
        match tokio::time::timeout(LEAVE_WAIT_MAX, leaving).await {
            Ok(Ok(_) | Err(WriteError::Refused(_))) => {}
            Ok(Err(error)) => {
                tracing::warn!(error = %chain(&error), "cannot take the catalog's own entry out");
            }
            Err(_) => tracing::warn!("no time to take the catalog's own entry out"),
        }
    }

    async fn put(&self) -> Result<(), WriteError> {
        self.registry
            .put_instance(
                self.target(),
                self.own.id.clone(),
                self.own.instance.clone(),
                Expect::Anything,
            )
            .await
            .map(drop)
    }

    fn target(&self) -> ServiceRef {
        let name: &ServiceName = &self.own.service.name;
        ServiceRef::Name(name.clone())
    }
}

/// `catalog-<host>-<port>`, with the end of the host when it is too long for an id.
fn instance_id(host: &str, port: u16) -> Result<InstanceId, Invalid> {
    const HOST_CHARS_MAX: usize = 100;
    let start = host.len().saturating_sub(HOST_CHARS_MAX);
    let host = host.get(start..).unwrap_or_default();
    format!("catalog-{host}-{port}").parse()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_address_can_be_registered() {
        for (bound, address) in [
            ("0.0.0.0:5001", "127.0.0.1:5001"),
            ("[::]:5001", "[::1]:5001"),
            ("10.1.2.3:80", "10.1.2.3:80"),
        ] {
            let found = address_of(bound.parse().unwrap()).unwrap();
            assert_eq!(found.to_string(), address);
        }
        let long = format!("{}.example", "a".repeat(240));
        for host in ["127.0.0.1", "::1", "catalog.internal", &long] {
            assert!(instance_id(host, 65_535).is_ok(), "{host}");
        }
    }
}
