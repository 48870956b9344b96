//! The sockets that a gateway serves on: bound anew, or handed over by the gateway before it.

use std::{io, net::TcpListener};

use catalog_api::ServiceName;
use service_kit::listen::{BindError, ListenAddress, bind};

use crate::{
    admin::explain,
    config::{Config, ServiceListener},
};

/// Names of the sockets when they are handed over; those of services have the service behind a colon.
const CLIENTS: &str = "clients";
const TLS: &str = "tls";
const H2C: &str = "h2c";
const SERVICE: &str = "service:";
const ADMIN: &str = "admin";

/// Bound sockets to serve on.
pub struct Listeners {
    /// For clients.
    pub clients: TcpListener,
    /// For clients that speak TLS; needs certificates in the configuration.
    pub tls: Option<TcpListener>,
    /// For clients that speak HTTP/2 without TLS.
    pub h2c: Option<TcpListener>,
    /// For clients of one service each.
    pub services: Vec<(ServiceName, TcpListener)>,
    /// For operators.
    pub admin: TcpListener,
}

// === impl Listeners ===

impl Listeners {
    /// Listeners without TLS, HTTP/2 and services.
    pub fn plain(clients: TcpListener, admin: TcpListener) -> Self {
        Self {
            clients,
            tls: None,
            h2c: None,
            services: Vec::new(),
            admin,
        }
    }

    /// Binds every address of a configuration.
    ///
    /// # Errors
    /// The first address that cannot be had.
    pub fn bind(config: &Config) -> Result<Self, BindError> {
        Self::inherit(config, Vec::new())
    }

    /// Takes what the gateway before has handed over where it is what the configuration asks for, and binds the rest. Sockets that
    /// nobody asks for are closed.
    ///
    /// # Errors
    /// The first address that cannot be had.
    pub fn inherit(
        config: &Config,
        mut handed_over: Vec<(String, TcpListener)>,
    ) -> Result<Self, BindError> {
        let mut socket = |name: &str, address: &ListenAddress| {
            let fits =
                |(known, socket): &(String, TcpListener)| known == name && is_for(socket, address);
            match handed_over.iter().position(fits) {
                Some(place) => Ok(handed_over.swap_remove(place).1),
                None => bind(address),
            }
        };
        let clients = socket(CLIENTS, &config.listen)?;
        let tls = match &config.tls {
            Some(tls) => Some(socket(TLS, &tls.listen)?),
            None => None,
        };
        let h2c = match &config.h2c_listen {
            Some(listen) => Some(socket(H2C, listen)?),
            None => None,
        };
        let mut service = |listener: &ServiceListener| {
            let name = format!("{SERVICE}{}", listener.service);
            Ok((listener.service.clone(), socket(&name, &listener.listen)?))
        };
        Ok(Self {
            clients,
            tls,
            h2c,
            services: config
                .service_listeners
                .iter()
                .map(&mut service)
                .collect::<Result<_, _>>()?,
            admin: socket(ADMIN, &config.admin_listen)?,
        })
    }

    /// The same sockets again, for a successor.
    ///
    /// # Errors
    /// When no file descriptor is left.
    pub fn try_clone(&self) -> io::Result<Self> {
        let each =
            |socket: &Option<TcpListener>| socket.as_ref().map(TcpListener::try_clone).transpose();
        Ok(Self {
            clients: self.clients.try_clone()?,
            tls: each(&self.tls)?,
            h2c: each(&self.h2c)?,
            services: self
                .services
                .iter()
                .map(|(service, socket)| Ok((service.clone(), socket.try_clone()?)))
                .collect::<io::Result<_>>()?,
            admin: self.admin.try_clone()?,
        })
    }

    /// Where clients connect, by the names under which operators ask about them.
    ///
    /// # Errors
    /// When a socket cannot tell its address.
    pub(crate) fn of_clients(&self) -> io::Result<Vec<explain::Listener>> {
        let services = self.services.iter();
        [
            (CLIENTS, Some(&self.clients)),
            (TLS, self.tls.as_ref()),
            (H2C, self.h2c.as_ref()),
        ]
        .into_iter()
        .filter_map(|(name, socket)| Some((name.to_owned(), socket?)))
        .chain(services.map(|(service, socket)| (format!("{SERVICE}{service}"), socket)))
        .map(|(name, socket)| {
            Ok(explain::Listener {
                address: socket.local_addr()?,
                has_tls: name == TLS,
                name,
            })
        })
        .collect()
    }

    /// Every socket with its name.
    pub(crate) fn into_named(self) -> Vec<(String, TcpListener)> {
        let services = self.services.into_iter();
        [
            (CLIENTS, Some(self.clients)),
            (TLS, self.tls),
            (H2C, self.h2c),
            (ADMIN, Some(self.admin)),
        ]
        .into_iter()
        .filter_map(|(name, socket)| Some((name.to_owned(), socket?)))
        .chain(services.map(|(service, socket)| (format!("{SERVICE}{service}"), socket)))
        .collect()
    }
}

/// Whether a socket listens where an address says. Port 0 is content with any port, and a host name with any address.
fn is_for(socket: &TcpListener, address: &ListenAddress) -> bool {
    let Ok(local) = socket.local_addr() else {
        return false;
    };
    let host: Option<std::net::IpAddr> = address.host.parse().ok();
    (address.port == 0 || address.port == local.port())
        && host.is_none_or(|host| host == local.ip())
}
