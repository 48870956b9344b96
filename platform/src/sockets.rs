//! Every socket of the process, bound before anything runs.

use std::net::TcpListener;

use service_kit::listen::{BindError, ListenAddress, bind};

use crate::Config;

/// Port of the gateway where port 80 cannot be had.
const FALLBACK_PORT: u16 = 8080;

/// Bound sockets.
pub struct Sockets {
    /// For clients.
    pub gateway: GatewaySocket,
    /// For operators.
    pub admin: TcpListener,
    /// For the catalog.
    pub catalog: TcpListener,
    /// One per instance of the name service.
    pub names: Vec<TcpListener>,
}

/// The gateway's socket, and why it is not where it should be by default.
pub struct GatewaySocket {
    /// The socket.
    pub socket: TcpListener,
    /// Why the default address could not be had.
    pub instead_of: Option<BindError>,
}

// === impl Sockets ===

impl Sockets {
    /// Binds everything.
    ///
    /// # Errors
    /// The first address that cannot be had.
    pub fn bind(config: &Config, admin: &ListenAddress) -> Result<Self, BindError> {
        Ok(Self {
            gateway: GatewaySocket::bind(
                &config.gateway_listen,
                config.gateway_listen_is_explicit,
            )?,
            admin: bind(admin)?,
            catalog: bind(&config.catalog.listen)?,
            names: config
                .names_listen
                .iter()
                .map(bind)
                .collect::<Result<_, _>>()?,
        })
    }
}

// === impl GatewaySocket ===

impl GatewaySocket {
    fn bind(address: &ListenAddress, explicit: bool) -> Result<Self, BindError> {
        let refused = match bind(address) {
            Ok(socket) => {
                return Ok(Self {
                    socket,
                    instead_of: None,
                });
            }
            Err(error) => error,
        };
        // Only what may happen to a default on an ordinary machine; an address that somebody asked for is never replaced.
        if explicit
            || !matches!(
                refused,
                BindError::Taken { .. } | BindError::NotPermitted { .. }
            )
        {
            return Err(refused);
        }
        let fallback = ListenAddress {
            host: address.host.clone(),
            port: FALLBACK_PORT,
        };
        Ok(Self {
            socket: bind(&fallback)?,
            instead_of: Some(refused),
        })
    }
}
