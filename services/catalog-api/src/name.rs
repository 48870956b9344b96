//! Names of services and instances, and the two ways a path may refer to a service.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::{Invalid, ServiceId, invalid::excerpt};

/// Names that would be unreachable behind the catalog's own paths (`GET /services/health`, …).
pub const RESERVED: [&str; 7] = [
    "health", "discover", "logs", "stats", "call", "calls", "watch",
];

/// Longest service name, in bytes: one DNS label (RFC 1035 §2.3.4).
pub const SERVICE_NAME_BYTES_MAX: usize = 63;

/// Longest instance id, in bytes. Container ids and `host:port` pairs fit.
pub const INSTANCE_ID_BYTES_MAX: usize = 128;

/// The unique name of a service: a DNS label in lower case, not reserved and not a number.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ServiceName(String);

/// The name of an instance, unique within its service.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct InstanceId(String);

/// What `{id}` in a path may be: the integer id or the name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ServiceRef {
    /// Refers by the stable integer.
    Id(ServiceId),
    /// Refers by the unique name.
    Name(ServiceName),
}

// === impl ServiceName ===

impl ServiceName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ServiceName {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        const WHAT: &str = "service name";
        if text.is_empty() || text.len() > SERVICE_NAME_BYTES_MAX {
            return Err(Invalid::new(
                WHAT,
                format_args!(
                    "must have 1 to {SERVICE_NAME_BYTES_MAX} characters, not {}",
                    text.len()
                ),
            ));
        }
        let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        if !text.bytes().all(allowed) || text.starts_with('-') || text.ends_with('-') {
            return Err(Invalid::new(
                WHAT,
                format_args!(
                    "must be a DNS label (a-z, 0-9 and inner hyphens), not {}",
                    excerpt(text)
                ),
            ));
        }
        if text.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(Invalid::new(
                WHAT,
                format_args!("must not be a number, because {text} would be read as an id"),
            ));
        }
        if RESERVED.contains(&text) {
            return Err(Invalid::new(
                WHAT,
                format_args!("{text:?} is reserved (reserved: {})", RESERVED.join(", ")),
            ));
        }
        Ok(Self(text.to_owned()))
    }
}

impl TryFrom<String> for ServiceName {
    type Error = Invalid;

    fn try_from(text: String) -> Result<Self, Invalid> {
        text.parse()
    }
}

impl From<ServiceName> for String {
    fn from(name: ServiceName) -> Self {
        name.0
    }
}

impl fmt::Display for ServiceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

// === impl InstanceId ===

impl InstanceId {
    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for InstanceId {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._:-".contains(&byte);
        if text.is_empty() || text.len() > INSTANCE_ID_BYTES_MAX || !text.bytes().all(allowed) {
            return Err(Invalid::new(
                "instance id",
                format_args!(
                    "must have 1 to {INSTANCE_ID_BYTES_MAX} characters of A-Z a-z 0-9 . _ : -, not {}",
                    excerpt(text)
                ),
            ));
        }
        Ok(Self(text.to_owned()))
    }
}

impl TryFrom<String> for InstanceId {
    type Error = Invalid;

    fn try_from(text: String) -> Result<Self, Invalid> {
        text.parse()
    }
}

impl From<InstanceId> for String {
    fn from(id: InstanceId) -> Self {
        id.0
    }
}

impl fmt::Display for InstanceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

// === impl ServiceRef ===

impl FromStr for ServiceRef {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
            return text.parse().map(Self::Id);
        }
        text.parse().map(Self::Name)
    }
}

impl fmt::Display for ServiceRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Id(id) => id.fmt(f),
            Self::Name(name) => name.fmt(f),
        }
    }
}
