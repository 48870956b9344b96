//! Listening sockets: an address as people write it, and errors that say what to do when it cannot be had.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, ToSocketAddrs as _};
use std::str::FromStr;

use socket2::{Domain, Protocol, Socket, Type};

/// Connections the kernel keeps for us while none is accepted. The standard library's 128 overflows in a burst.
const BACKLOG: i32 = 4096;

/// Where to listen: `host:port`, with an IPv6 address in brackets. Port 0 asks for a free one.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ListenAddress {
    /// Name or address, without brackets.
    pub host: String,
    /// TCP port.
    pub port: u16,
}

/// Why a text is no [`ListenAddress`].
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ListenAddressError {
    /// No colon.
    #[error("the port is missing, write host:port")]
    PortMissing,
    /// Nothing before the colon.
    #[error("the host is missing, write 0.0.0.0 for every address of this machine")]
    HostMissing,
    /// Not a number of 16 bits.
    #[error("{0:?} is not a port, write a number from 0 to 65535")]
    Port(String),
    /// Not a name, nor an address.
    #[error("{0:?} is not a host, write a name, an IPv4 address or an IPv6 address in brackets")]
    Host(String),
}

/// Why a [`ListenAddress`] cannot be listened on.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// Another socket listens there.
    #[error(
        "port {} is taken by another program; stop it or choose another port (address {address})",
        address.port
    )]
    Taken {
        /// The address asked for.
        address: ListenAddress,
    },
    /// The port is privileged for this user.
    #[error(
        "port {} is not permitted for this user; choose a port from 1024 on, or give the program CAP_NET_BIND_SERVICE \
         (address {address})",
        address.port
    )]
    NotPermitted {
        /// The address asked for.
        address: ListenAddress,
    },
    /// Anything else, for example a host that is not of this machine.
    #[error("cannot listen on {address}; choose an address of this machine")]
    Other {
        /// The address asked for.
        address: ListenAddress,
        /// What the operating system said.
        source: io::Error,
    },
}

/// Listens on the first address the host stands for. The socket is non-blocking, ready for tokio, and its port can be
/// taken again right after a restart.
///
/// # Errors
///
/// [`BindError`], by what the user has to do.
pub fn bind(address: &ListenAddress) -> Result<TcpListener, BindError> {
    let classify = |source: io::Error| {
        let address = address.clone();
        match source.kind() {
            io::ErrorKind::AddrInUse => BindError::Taken { address },
            io::ErrorKind::PermissionDenied => BindError::NotPermitted { address },
            _ => BindError::Other { address, source },
        }
    };
    let resolved = (address.host.as_str(), address.port)
        .to_socket_addrs()
        .map_err(classify)?
        .next()
        .ok_or_else(|| classify(io::Error::other("the host has no address")))?;
    listen(resolved).map_err(classify)
}

/// The address under which this machine reaches a listener: its own, or loopback where it listens on every address.
pub fn reachable(listening: SocketAddr) -> SocketAddr {
    let ip = match listening.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, listening.port())
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

// === impl ListenAddress ===

impl ListenAddress {
    /// Parses a host that stands alone, with or without brackets.
    pub(crate) fn parse_host(text: &str) -> Result<String, ListenAddressError> {
        let bare = text
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'));
        if bare.unwrap_or(text).is_empty() {
            return Err(ListenAddressError::HostMissing);
        }
        if let Ok(address) = bare.unwrap_or(text).parse::<Ipv6Addr>() {
            return Ok(address.to_string());
        }
        let name = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
        if bare.is_none() && text.bytes().all(name) {
            return Ok(text.to_owned());
        }
        Err(ListenAddressError::Host(text.to_owned()))
    }
}

impl FromStr for ListenAddress {
    type Err = ListenAddressError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (host, port) = text
            .rsplit_once(':')
            .ok_or(ListenAddressError::PortMissing)?;
        // `::1` is an address without a port, not the host `:` with port 1.
        if host.contains(':') && !host.starts_with('[') {
            return Err(ListenAddressError::Host(text.to_owned()));
        }
        // `u16::from_str` takes "+80" too.
        if !port.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(ListenAddressError::Port(port.to_owned()));
        }
        Ok(Self {
            host: Self::parse_host(host)?,
            port: port
                .parse()
                .map_err(|_| ListenAddressError::Port(port.to_owned()))?,
        })
    }
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(formatter, "[{}]:{}", self.host, self.port)
        } else {
            write!(formatter, "{}:{}", self.host, self.port)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_it_writes() {
        for text in [
            "0.0.0.0:80",
            "[::1]:80",
            "localhost:0",
            "catalog-1.example:65535",
        ] {
            let address: ListenAddress = text.parse().unwrap();
            assert_eq!(address.to_string(), text);
        }
    }

    #[test]
    fn refuses_what_is_no_address_and_says_why() {
        for (text, part) in [
            ("5001", "port is missing"),
            (":5001", "host is missing"),
            ("localhost:", "is not a port"),
            ("localhost:+80", "is not a port"),
            ("localhost:65536", "is not a port"),
            ("::1", "is not a host"),
            ("[localhost]:1", "is not a host"),
            ("a b:1", "is not a host"),
            ("http://x:1", "is not a host"),
        ] {
            let error = text.parse::<ListenAddress>().unwrap_err().to_string();
            assert!(error.contains(part), "{text}: {error}");
        }
    }

    #[test]
    fn a_taken_port_is_told_apart() {
        let first = bind(&"127.0.0.1:0".parse().unwrap()).unwrap();
        let address = ListenAddress {
            host: "127.0.0.1".to_owned(),
            port: first.local_addr().unwrap().port(),
        };
        let error = bind(&address).unwrap_err();
        assert!(matches!(error, BindError::Taken { .. }), "{error:?}");
        assert!(error.to_string().contains("stop it or choose"), "{error}");
    }
}
