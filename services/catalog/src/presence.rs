//! The catalog's own entry: it is a service like any other, registered with a lease and taken out before it stops.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket},
    sync::Arc,
    time::Duration,
};

use catalog_api::{
    Address, Host, InstanceId, InstanceSpec, Invalid, Metadata, ServiceName, ServiceRef,
    ServiceSpec, Span, Weight,
};
use database::{Command, Expect, Refusal, WriteError};
use service_kit::{listen::reachable, shutdown::Shutdown};

use crate::{discovery::checks::Duty, follower::chain, registry::Registry};

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

/// A network that is nowhere (RFC 5737, RFC 3849): the way to it is the way out of this machine.
const OUTSIDE: (Ipv4Addr, Ipv6Addr) = (
    Ipv4Addr::new(192, 0, 2, 1),
    Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1),
);

/// What is to be advertised when nothing is configured: the bound address. Where that is every address, loopback; but catalogs that
/// share a database are for others to reach, so theirs is the address from which packets leave this machine.
pub(crate) fn address_of(bound: SocketAddr, is_shared: bool) -> Result<Address, Invalid> {
    let outward = if is_shared && bound.ip().is_unspecified() {
        // Without a way out there is nobody else to reach us.
        outward_address(bound).ok()
    } else {
        None
    };
    let address = match outward {
        Some(ip) => SocketAddr::new(ip, bound.port()),
        None => reachable(bound),
    };
    address.to_string().parse()
}

/// Connecting a UDP socket sends nothing; it only makes the kernel choose the route, and with it the source address.
fn outward_address(bound: SocketAddr) -> io::Result<IpAddr> {
    let socket = UdpSocket::bind((bound.ip(), 0))?;
    let outside: IpAddr = match bound {
        SocketAddr::V4(_) => OUTSIDE.0.into(),
        SocketAddr::V6(_) => OUTSIDE.1.into(),
    };
    socket.connect((outside, 9))?;
    Ok(socket.local_addr()?.ip())
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

impl OwnEntry {
    /// Its service and its id.
    pub(crate) fn names(&self) -> (ServiceName, InstanceId) {
        (self.service.name.clone(), self.id.clone())
    }

    /// By which catalogs of one store know who asks what was discovered.
    pub(crate) fn duty(&self) -> Duty {
        Duty::new(self.service.name.clone(), self.id.clone())
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
            let found = address_of(bound.parse().unwrap(), false).unwrap();
            assert_eq!(found.to_string(), address);
        }
        let chosen = address_of("10.1.2.3:80".parse().unwrap(), true).unwrap();
        assert_eq!(chosen.to_string(), "10.1.2.3:80");
        // An address of this machine, and the one for others wherever there is a way to them.
        let shared = address_of("0.0.0.0:5001".parse().unwrap(), true).unwrap();
        let Host::Ip(ip) = shared.host() else {
            panic!("{shared} is no address");
        };
        assert!(UdpSocket::bind((*ip, 0)).is_ok(), "{ip}");
        let has_way_out = outward_address("0.0.0.0:0".parse().unwrap()).is_ok();
        assert_eq!(ip.is_loopback(), !has_way_out, "{ip}");
        let long = format!("{}.example", "a".repeat(240));
        for host in ["127.0.0.1", "::1", "catalog.internal", &long] {
            assert!(instance_id(host, 65_535).is_ok(), "{host}");
        }
    }
}
