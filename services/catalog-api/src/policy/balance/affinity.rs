//! What keeps the requests of one client on one endpoint.

use std::fmt;

use http::HeaderName;
use serde::{Deserialize, Serialize};

use crate::{Invalid, invalid::excerpt, route::HEADER_BYTES_MAX};

/// What tells the clients of a consistent hash apart: `{"header": "x-user"}`, `{"cookie": "session"}` or `"client_address"`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HashBy {
    /// The value of this request header.
    Header(FieldName),
    /// The value of this cookie.
    Cookie(CookieName),
    /// The address from which the client connects, without its port.
    ClientAddress,
}

/// A cookie of the gateway that names the endpoint of a client: `{"cookie": "hold-at"}`.
///
/// Two services that browsers reach under one host name need different names, or each overwrites the other's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "RawSticky", into = "RawSticky")]
pub struct Sticky {
    /// Name of the cookie.
    pub cookie: CookieName,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawSticky {
    cookie: CookieName,
}

/// The name of a header field (RFC 9110 §5.1), at most 256 bytes. Lower case.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct FieldName(HeaderName);

/// The name of a cookie (a token, RFC 6265 §4.1.1), 1 to 64 bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct CookieName(String);

/// Longest name of a cookie, in bytes.
const COOKIE_NAME_BYTES_MAX: usize = 64;
/// Prefixes with which browsers refuse a cookie that came without TLS.
const SECURE_PREFIXES: [&str; 2] = ["__secure-", "__host-"];

// === impl Sticky ===

impl TryFrom<RawSticky> for Sticky {
    type Error = Invalid;

    fn try_from(raw: RawSticky) -> Result<Self, Invalid> {
        let name = raw.cookie.as_str().to_ascii_lowercase();
        if SECURE_PREFIXES
            .iter()
            .any(|prefix| name.starts_with(prefix))
        {
            return Err(Invalid::new(
                "balance.sticky.cookie",
                "must not start with __Secure- or __Host-: browsers drop such a cookie when it comes over plain HTTP",
            ));
        }
        Ok(Self { cookie: raw.cookie })
    }
}

impl From<Sticky> for RawSticky {
    fn from(sticky: Sticky) -> Self {
        Self {
            cookie: sticky.cookie,
        }
    }
}

// === impl FieldName ===

impl FieldName {
    /// The name.
    pub fn get(&self) -> &HeaderName {
        &self.0
    }
}

impl TryFrom<String> for FieldName {
    type Error = Invalid;

    fn try_from(text: String) -> Result<Self, Invalid> {
        if text.len() <= HEADER_BYTES_MAX
            && let Ok(name) = HeaderName::from_bytes(text.as_bytes())
        {
            return Ok(Self(name));
        }
        Err(Invalid::new(
            "header",
            format_args!(
                "must be a header name such as x-user, not {}",
                excerpt(&text)
            ),
        ))
    }
}

impl From<FieldName> for String {
    fn from(name: FieldName) -> Self {
        name.0.as_str().to_owned()
    }
}

// === impl CookieName ===

impl CookieName {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for CookieName {
    type Error = Invalid;

    fn try_from(text: String) -> Result<Self, Invalid> {
        let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
        if (1..=COOKIE_NAME_BYTES_MAX).contains(&text.len()) && text.bytes().all(token) {
            return Ok(Self(text));
        }
        Err(Invalid::new(
            "cookie",
            format_args!(
                "must be a cookie name of 1 to {COOKIE_NAME_BYTES_MAX} letters, digits or -_., not {}",
                excerpt(&text)
            ),
        ))
    }
}

impl From<CookieName> for String {
    fn from(name: CookieName) -> Self {
        name.0
    }
}

impl fmt::Display for CookieName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
