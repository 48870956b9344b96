//! What a route matches. Precedence and matching live in the gateway; here is only what can be said.

use std::{collections::BTreeMap, collections::BTreeSet, fmt, ops::Deref, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::{Invalid, address::is_host_label, invalid::excerpt};

/// One way to reach a service through the gateway. Every condition must hold; an absent one always holds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RouteSpec {
    /// Host of the request, without its port.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<HostPattern>,
    /// Prefix of the path, in whole segments.
    #[serde(default)]
    pub path_prefix: PathPrefix,
    /// Whether the prefix is taken off before the request goes to the service.
    #[serde(default)]
    pub strip_prefix: bool,
    /// Methods; none = any. `GET` includes `HEAD` (RFC 9110 §9.3.2).
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub methods: BTreeSet<Method>,
    /// Headers that must be present with exactly these values.
    #[serde(default, skip_serializing_if = "HeaderMatch::is_empty")]
    pub headers: HeaderMatch,
}

/// The routes of one service, at most 64.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<RouteSpec>", into = "Vec<RouteSpec>")]
pub struct Routes(Vec<RouteSpec>);

/// `example.org`, or `*.example.org` for every name below it. Lower case, no port.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum HostPattern {
    /// This host only.
    Exact(String),
    /// Every host that ends in `.` and this suffix.
    Wildcard(String),
}

/// A path prefix in whole segments, kept with its final slash: `/api/` matches `/api` and `/api/x`, not `/apiary`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PathPrefix(String);

/// A request method that routes may name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
#[expect(
    missing_docs,
    reason = "the names are those of RFC 9110 §9.3 and RFC 5789"
)]
pub enum Method {
    Get,
    Head,
    Post,
    Put,
    Patch,
    Delete,
    Options,
}

/// Header names (lower case) with the value each must have, at most 16.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(
    try_from = "BTreeMap<String, String>",
    into = "BTreeMap<String, String>"
)]
pub struct HeaderMatch(BTreeMap<String, String>);

/// Most routes of one service.
pub const ROUTES_MAX: usize = 64;
/// Most header conditions of one route.
pub const HEADER_CONDITIONS_MAX: usize = 16;
/// Longest path prefix, in bytes.
pub const PATH_PREFIX_BYTES_MAX: usize = 1024;
/// Longest host, in bytes (RFC 1035 §2.3.4).
pub const HOST_BYTES_MAX: usize = 253;
/// Longest header name or value of a condition, in bytes.
pub const HEADER_BYTES_MAX: usize = 256;

// === impl Routes ===

impl TryFrom<Vec<RouteSpec>> for Routes {
    type Error = Invalid;

    fn try_from(routes: Vec<RouteSpec>) -> Result<Self, Invalid> {
        if routes.len() > ROUTES_MAX {
            return Err(Invalid::new(
                "routes",
                format_args!("must be at most {ROUTES_MAX}, not {}", routes.len()),
            ));
        }
        Ok(Self(routes))
    }
}

impl From<Routes> for Vec<RouteSpec> {
    fn from(routes: Routes) -> Self {
        routes.0
    }
}

impl Deref for Routes {
    type Target = [RouteSpec];

    fn deref(&self) -> &[RouteSpec] {
        &self.0
    }
}

// === impl HostPattern ===

impl FromStr for HostPattern {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let lower = text.to_ascii_lowercase();
        let (wildcard, name) = match lower.strip_prefix("*.") {
            Some(name) => (true, name),
            None => (false, lower.as_str()),
        };
        let ipv6 = !wildcard
            && name
                .strip_prefix('[')
                .and_then(|rest| rest.strip_suffix(']'))
                .is_some_and(|inner| inner.parse::<std::net::Ipv6Addr>().is_ok());
        if name.len() > HOST_BYTES_MAX || !(ipv6 || name.split('.').all(is_host_label)) {
            return Err(Invalid::new(
                "host",
                format_args!(
                    "must be a name such as example.org or *.example.org, without a port, not {}",
                    excerpt(text)
                ),
            ));
        }
        Ok(if wildcard {
            Self::Wildcard(name.to_owned())
        } else {
            Self::Exact(name.to_owned())
        })
    }
}

impl TryFrom<String> for HostPattern {
    type Error = Invalid;

    fn try_from(text: String) -> Result<Self, Invalid> {
        text.parse()
    }
}

impl From<HostPattern> for String {
    fn from(pattern: HostPattern) -> Self {
        pattern.to_string()
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(name) => f.write_str(name),
            Self::Wildcard(name) => write!(f, "*.{name}"),
        }
    }
}

// === impl PathPrefix ===

impl PathPrefix {
    /// The prefix with its final slash; `/` matches every path.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for PathPrefix {
    fn default() -> Self {
        Self("/".to_owned())
    }
}

impl FromStr for PathPrefix {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        // pchar of RFC 3986 §3.3. Percent-encoding is refused: whether %2F equals a slash is a question on which proxies and
        // services disagree, and a route must not depend on the answer.
        let allowed =
            |byte: u8| byte.is_ascii_alphanumeric() || b"/-._~!$&'()*+,;=:@".contains(&byte);
        let refuse = |reason: &str| {
            Err(Invalid::new(
                "path_prefix",
                format_args!("{reason}, not {}", excerpt(text)),
            ))
        };
        if !text.starts_with('/') || text.len() > PATH_PREFIX_BYTES_MAX {
            return refuse("must start with / and have at most 1024 bytes");
        }
        if !text.bytes().all(allowed) {
            return refuse("must consist of unencoded path characters");
        }
        let inner = text.trim_start_matches('/').trim_end_matches('/');
        if text.contains("//")
            || inner
                .split('/')
                .any(|segment| matches!(segment, "." | ".."))
        {
            return refuse("must not contain empty or dot segments");
        }
        let mut prefix = text.to_owned();
        if !prefix.ends_with('/') {
            prefix.push('/');
        }
        Ok(Self(prefix))
    }
}

impl TryFrom<String> for PathPrefix {
    type Error = Invalid;

    fn try_from(text: String) -> Result<Self, Invalid> {
        text.parse()
    }
}

impl From<PathPrefix> for String {
    fn from(prefix: PathPrefix) -> Self {
        prefix.0
    }
}

impl fmt::Display for PathPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

// === impl Method ===

impl Method {
    /// The method token of the request line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Head => "HEAD",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
            Self::Options => "OPTIONS",
        }
    }
}

// === impl HeaderMatch ===

impl HeaderMatch {
    /// Whether there is no condition.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Names and values, in the order of names.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &str)> {
        self.0
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

impl TryFrom<BTreeMap<String, String>> for HeaderMatch {
    type Error = Invalid;

    fn try_from(raw: BTreeMap<String, String>) -> Result<Self, Invalid> {
        const WHAT: &str = "header condition";
        let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
        if raw.len() > HEADER_CONDITIONS_MAX {
            return Err(Invalid::new(
                WHAT,
                format_args!("list must have at most {HEADER_CONDITIONS_MAX} entries"),
            ));
        }
        let mut conditions = BTreeMap::new();
        for (name, value) in raw {
            if name.is_empty() || name.len() > HEADER_BYTES_MAX || !name.bytes().all(token) {
                return Err(Invalid::new(
                    WHAT,
                    format_args!("has no valid header name: {}", excerpt(&name)),
                ));
            }
            let plain =
                value.bytes().all(|byte| (b' '..=b'~').contains(&byte)) && value.trim() == value;
            if value.len() > HEADER_BYTES_MAX || !plain {
                return Err(Invalid::new(
                    WHAT,
                    format_args!(
                        "{name} must have a value of at most {HEADER_BYTES_MAX} printable ASCII characters without outer blanks"
                    ),
                ));
            }
            if conditions
                .insert(name.to_ascii_lowercase(), value)
                .is_some()
            {
                return Err(Invalid::new(
                    WHAT,
                    format_args!("names the header {name} twice"),
                ));
            }
        }
        Ok(Self(conditions))
    }
}

impl From<HeaderMatch> for BTreeMap<String, String> {
    fn from(conditions: HeaderMatch) -> Self {
        conditions.0
    }
}
