//! Every socket of the process, bound before anything runs.

use std::net::TcpListener;

use service_kit::listen::{BindError, ListenAddress, bind};

use crate::Config;

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
            gateway: GatewaySocket::bind(&config.gateway_listen, config.gateway_fallback.as_ref())?,
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
    fn bind(address: &ListenAddress, fallback: Option<&ListenAddress>) -> Result<Self, BindError> {
        let refused = match bind(address) {
            Ok(socket) => {
                return Ok(Self {
                    socket,
                    instead_of: None,
                });
            }
            Err(error) => error,
        };
        // Only for what may happen to a default on an ordinary machine.
        let expected = matches!(
            refused,
            BindError::Taken { .. } | BindError::NotPermitted { .. }
        );
        match fallback {
            Some(fallback) if expected => Ok(Self {
                socket: bind(fallback)?,
                instead_of: Some(refused),
            }),
            _ => Err(refused),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_taken_default_port_is_replaced_and_a_chosen_one_is_not() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let address: ListenAddress = taken.local_addr().unwrap().to_string().parse().unwrap();
        let fallback: ListenAddress = "127.0.0.1:0".parse().unwrap();
        let other = GatewaySocket::bind(&address, Some(&fallback)).unwrap();
        let reason = other.instead_of.unwrap().to_string();
        assert!(reason.contains(&address.port.to_string()), "{reason}");
        assert_ne!(other.socket.local_addr().unwrap().port(), address.port);
        assert!(matches!(
            GatewaySocket::bind(&address, None),
            Err(BindError::Taken { .. })
        ));

        let free = GatewaySocket::bind(&fallback, None).unwrap();
        assert!(free.instead_of.is_none());
    }

    #[test]
    fn an_address_that_is_none_is_not_replaced() {
        let nowhere: ListenAddress = "name.invalid:1".parse().unwrap();
        let fallback: ListenAddress = "127.0.0.1:0".parse().unwrap();
        assert!(GatewaySocket::bind(&nowhere, Some(&fallback)).is_err());
    }
}
