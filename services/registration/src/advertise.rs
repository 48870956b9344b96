//! The address under which others reach this instance, when nobody said it.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    time::Duration,
};

use catalog_api::Address;
use tokio::{
    net::{UdpSocket, lookup_host},
    time::timeout,
};

use crate::{CatalogUrl, Config, Failure};

/// Determines the address anew before every renewal rather than once at start: the catalog's name may not resolve yet when the
/// service starts, and a machine's own address may change while it runs.
pub(crate) async fn address(
    config: &Config,
    catalog: &CatalogUrl,
    deadline: Duration,
) -> Result<Address, Failure> {
    if let Some(address) = &config.settings.advertise {
        return Ok(address.clone());
    }
    let port = config.listening.port();
    let ip = match config.listening.ip() {
        ip if !ip.is_unspecified() => ip,
        _ => match timeout(deadline, local_address_towards(catalog)).await {
            Ok(Ok(ip)) => ip,
            Ok(Err(error)) => return Err(Failure::unreachable(catalog, error)),
            Err(_) => {
                return Err(Failure::unreachable(
                    catalog,
                    "its name did not resolve in time",
                ));
            }
        },
    };
    SocketAddr::new(ip, port)
        .to_string()
        .parse()
        .map_err(|error| Failure::unreachable(catalog, error))
}

/// Connecting a UDP socket sends nothing; it only makes the kernel choose the route, and with it the source address.
async fn local_address_towards(catalog: &CatalogUrl) -> io::Result<IpAddr> {
    let mut last = io::Error::other("its name has no address");
    for target in lookup_host((catalog.host(), catalog.port())).await? {
        let any: IpAddr = if target.is_ipv4() {
            Ipv4Addr::UNSPECIFIED.into()
        } else {
            Ipv6Addr::UNSPECIFIED.into()
        };
        let socket = UdpSocket::bind((any, 0)).await?;
        match socket.connect(target).await {
            Ok(()) => return Ok(socket.local_addr()?.ip()),
            Err(error) => last = error,
        }
    }
    Err(last)
}
