//! Where an instance listens.

use std::{
    fmt,
    net::{IpAddr, Ipv6Addr},
    str::FromStr,
};

use serde::{Deserialize, Serialize};

use crate::{Invalid, invalid::excerpt};

/// `host:port` of an instance. IPv6 is written in brackets; the port is never 0.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Address {
    host: Host,
    port: u16,
}

/// The host part of an [`Address`].
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Host {
    /// A literal address.
    Ip(IpAddr),
    /// A DNS name in lower case, to be resolved by whoever connects.
    Name(String),
}

/// Longest DNS name, in bytes (RFC 1035 §2.3.4).
const HOST_NAME_BYTES_MAX: usize = 253;

// === impl Address ===

impl Address {
    /// The host part.
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// The port, 1 to 65535.
    pub fn port(&self) -> u16 {
        self.port
    }
}

impl FromStr for Address {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let refuse = |reason: &str| {
            Invalid::new(
                "address",
                format_args!(
                    "must be host:port such as 10.0.0.7:8080; {} {reason}",
                    excerpt(text)
                ),
            )
        };
        let (host, port) = text.rsplit_once(':').ok_or_else(|| refuse("has no port"))?;
        let port = match port.parse::<u16>() {
            Ok(port @ 1..) if port.to_string() == text[host.len() + 1..] => port,
            _ => return Err(refuse("has no port of 1 to 65535")),
        };
        let host = if let Some(inner) = host
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'))
        {
            let ip: Ipv6Addr = inner
                .parse()
                .map_err(|_| refuse("has no valid IPv6 address in its brackets"))?;
            Host::Ip(ip.into())
        } else {
            host.parse().map_err(|()| refuse("has no valid host"))?
        };
        if let Host::Ip(ip) = host
            && (ip.is_unspecified() || ip.is_multicast())
        {
            return Err(refuse("names no single machine"));
        }
        Ok(Self { host, port })
    }
}

impl TryFrom<String> for Address {
    type Error = Invalid;

    fn try_from(text: String) -> Result<Self, Invalid> {
        text.parse()
    }
}

impl From<Address> for String {
    fn from(address: Address) -> Self {
        address.to_string()
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            Host::Ip(IpAddr::V6(ip)) => write!(f, "[{ip}]:{}", self.port),
            Host::Ip(ip) => write!(f, "{ip}:{}", self.port),
            Host::Name(name) => write!(f, "{name}:{}", self.port),
        }
    }
}

// === impl Host ===

impl FromStr for Host {
    type Err = ();

    /// IPv4 or a DNS name; IPv6 needs the brackets that [`Address`] takes off.
    fn from_str(text: &str) -> Result<Self, ()> {
        if let Ok(ip) = text.parse::<std::net::Ipv4Addr>() {
            return Ok(Self::Ip(ip.into()));
        }
        // A last label of digits is a mistyped IPv4 address, not a name (WHATWG URL §3.5).
        let numeric_end = text
            .rsplit('.')
            .next()
            .is_some_and(|last| last.bytes().all(|byte| byte.is_ascii_digit()));
        if text.len() > HOST_NAME_BYTES_MAX || numeric_end || !text.split('.').all(is_host_label) {
            return Err(());
        }
        Ok(Self::Name(text.to_ascii_lowercase()))
    }
}

/// Whether this is one label of a host name (RFC 1123 §2.1). Underscores are let in, because names of containers have them.
pub(crate) fn is_host_label(label: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    !label.is_empty()
        && label.len() <= crate::name::SERVICE_NAME_BYTES_MAX
        && !label.starts_with('-')
        && !label.ends_with('-')
        && label.bytes().all(allowed)
}
