//! What a route matches and what it does. Precedence and matching live in the gateway; here is only what can be said.

mod path;
mod redirect;

use std::{collections::BTreeMap, collections::BTreeSet, fmt, ops::Deref, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::{Invalid, address::is_host_label, invalid::excerpt};

pub use path::{AbsolutePath, PATH_BYTES_MAX, PathChange, PathMatch, PathPrefix};
pub use redirect::{Redirect, RedirectStatus, RedirectTarget};

/// One way to reach a service through the gateway. Every condition must hold; an absent one always holds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "RawRoute", into = "RawRoute")]
pub struct RouteSpec {
    /// Host of the request, without its port.
    pub host: Option<HostPattern>,
    /// Path of the request: `path_prefix` or `path` on the wire.
    pub path: PathMatch,
    /// Methods; none = any. `GET` includes `HEAD` (RFC 9110 §9.3.2).
    pub methods: BTreeSet<Method>,
    /// Headers that must be present with exactly these values.
    pub headers: HeaderMatch,
    /// What happens to the request: `strip_prefix`, `rewrite` or `redirect` on the wire.
    pub action: RouteAction,
}

/// What happens to the requests of a route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RouteAction {
    /// They go to the service, which sees this path.
    Forward(PathChange),
    /// They are answered with another place to ask.
    Redirect(Redirect),
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawRoute {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    host: Option<HostPattern>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    path_prefix: Option<PathPrefix>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    path: Option<AbsolutePath>,
    #[serde(default)]
    strip_prefix: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    rewrite: Option<AbsolutePath>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    redirect: Option<Redirect>,
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    methods: BTreeSet<Method>,
    #[serde(default, skip_serializing_if = "HeaderMatch::is_empty")]
    headers: HeaderMatch,
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
/// Longest host, in bytes (RFC 1035 §2.3.4).
pub const HOST_BYTES_MAX: usize = 253;
/// Longest header name or value of a condition, in bytes.
pub const HEADER_BYTES_MAX: usize = 256;

// === impl RouteSpec ===

impl TryFrom<RawRoute> for RouteSpec {
    type Error = Invalid;

    fn try_from(raw: RawRoute) -> Result<Self, Invalid> {
        let path = match (raw.path_prefix, raw.path) {
            (prefix, None) => PathMatch::Prefix(prefix.unwrap_or_default()),
            (None, Some(path)) => PathMatch::Exact(path),
            (Some(_), Some(_)) => {
                return Err(Invalid::new(
                    "path",
                    "must not be given with path_prefix: a path is matched as a whole or by its beginning",
                ));
            }
        };
        let action = match (raw.redirect, raw.strip_prefix, raw.rewrite) {
            (None, false, None) => RouteAction::Forward(PathChange::Keep),
            (None, true, None) if matches!(path, PathMatch::Exact(_)) => {
                return Err(Invalid::new(
                    "strip_prefix",
                    "has no effect with path; use rewrite, or path_prefix",
                ));
            }
            (None, true, None) => RouteAction::Forward(PathChange::Strip),
            (None, false, Some(rewrite)) => RouteAction::Forward(PathChange::Rewrite(rewrite)),
            (None, true, Some(_)) => {
                return Err(Invalid::new(
                    "rewrite",
                    "must not be given with strip_prefix: \"rewrite\": \"/\" strips the prefix, too",
                ));
            }
            (Some(redirect), false, None) if redirect.leads_back_to(&path) => {
                return Err(Invalid::new(
                    "redirect.to",
                    "must not be the path of the route itself: clients would go round in circles",
                ));
            }
            (Some(redirect), false, None) => RouteAction::Redirect(redirect),
            (Some(_), ..) => {
                return Err(Invalid::new(
                    "redirect",
                    "must not be given with strip_prefix or rewrite, which would have no effect",
                ));
            }
        };
        Ok(Self {
            host: raw.host,
            path,
            methods: raw.methods,
            headers: raw.headers,
            action,
        })
    }
}

impl From<RouteSpec> for RawRoute {
    fn from(route: RouteSpec) -> Self {
        let (path_prefix, path) = match route.path {
            PathMatch::Prefix(prefix) => (Some(prefix), None),
            PathMatch::Exact(path) => (None, Some(path)),
        };
        let (strip_prefix, rewrite, redirect) = match route.action {
            RouteAction::Forward(PathChange::Keep) => (false, None, None),
            RouteAction::Forward(PathChange::Strip) => (true, None, None),
            RouteAction::Forward(PathChange::Rewrite(path)) => (false, Some(path), None),
            RouteAction::Redirect(redirect) => (false, None, Some(redirect)),
        };
        Self {
            host: route.host,
            path_prefix,
            path,
            strip_prefix,
            rewrite,
            redirect,
            methods: route.methods,
            headers: route.headers,
        }
    }
}

impl Default for RouteAction {
    fn default() -> Self {
        Self::Forward(PathChange::Keep)
    }
}

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
