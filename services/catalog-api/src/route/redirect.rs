//! Routes that answer with another place to ask.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use super::{AbsolutePath, HostPattern, PathMatch};
use crate::{Invalid, invalid::excerpt};

/// An answer that sends the client elsewhere: `{"to": "/new/", "status": 301, "keep_rest": true}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Redirect {
    /// Where to.
    pub to: RedirectTarget,
    /// With which status.
    #[serde(default)]
    pub status: RedirectStatus,
    /// Whether what follows the prefix of the route is appended, and the query.
    #[serde(default)]
    pub keep_rest: bool,
}

/// A path on the same host, `/new/`, or a URL without query, `https://example.org/new/`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RedirectTarget {
    /// Scheme and authority, `https://example.org`; none = where the client is.
    origin: Option<String>,
    path: AbsolutePath,
}

/// Statuses of RFC 9110 §15.4 that redirect.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "u16", into = "u16")]
pub enum RedirectStatus {
    /// 301: for good; a POST may become a GET.
    MovedPermanently,
    /// 302: for now; a POST may become a GET.
    Found,
    /// 303: the other place is asked with GET.
    SeeOther,
    /// 307: for now, with the same method.
    Temporary,
    /// 308: for good, with the same method. The default, as the only one that loses nothing.
    #[default]
    Permanent,
}

// === impl Redirect ===

impl Redirect {
    /// Whether it sends every client to where it is.
    pub(super) fn leads_back_to(&self, path: &PathMatch) -> bool {
        self.to.origin.is_none() && matches!(path, PathMatch::Exact(path) if *path == self.to.path)
    }
}

// === impl RedirectTarget ===

impl RedirectTarget {
    /// Scheme and authority; none = those of the request.
    pub fn origin(&self) -> Option<&str> {
        self.origin.as_deref()
    }

    /// The path there.
    pub fn path(&self) -> &AbsolutePath {
        &self.path
    }
}

impl FromStr for RedirectTarget {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let refuse = || {
            Invalid::new(
                "redirect.to",
                format_args!(
                    "must be a path such as /new/ or a URL such as https://example.org/new/, without query, not {}",
                    excerpt(text)
                ),
            )
        };
        if text.starts_with('/') {
            let path = text.parse().map_err(|_| refuse())?;
            return Ok(Self { origin: None, path });
        }
        let (scheme, rest) = text.split_once("://").ok_or_else(refuse)?;
        if !matches!(scheme, "http" | "https") {
            return Err(refuse());
        }
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let (host, port) = match authority.rsplit_once(':') {
            // The colons of an IPv6 address are within its brackets.
            Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
            _ => (authority, None),
        };
        let Ok(HostPattern::Exact(host)) = host.parse() else {
            return Err(refuse());
        };
        let path = if path.is_empty() { "/" } else { path };
        let origin = match port.map(str::parse::<u16>) {
            None => format!("{scheme}://{host}"),
            Some(Ok(port)) if port > 0 => format!("{scheme}://{host}:{port}"),
            Some(_) => return Err(refuse()),
        };
        Ok(Self {
            origin: Some(origin),
            path: path.parse().map_err(|_| refuse())?,
        })
    }
}

impl TryFrom<String> for RedirectTarget {
    type Error = Invalid;

    fn try_from(text: String) -> Result<Self, Invalid> {
        text.parse()
    }
}

impl From<RedirectTarget> for String {
    fn from(target: RedirectTarget) -> Self {
        target.to_string()
    }
}

impl fmt::Display for RedirectTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.origin().unwrap_or_default(), self.path)
    }
}

// === impl RedirectStatus ===

impl RedirectStatus {
    /// The status as a number.
    pub fn code(self) -> u16 {
        match self {
            Self::MovedPermanently => 301,
            Self::Found => 302,
            Self::SeeOther => 303,
            Self::Temporary => 307,
            Self::Permanent => 308,
        }
    }
}

impl TryFrom<u16> for RedirectStatus {
    type Error = Invalid;

    fn try_from(code: u16) -> Result<Self, Invalid> {
        match code {
            301 => Ok(Self::MovedPermanently),
            302 => Ok(Self::Found),
            303 => Ok(Self::SeeOther),
            307 => Ok(Self::Temporary),
            308 => Ok(Self::Permanent),
            _ => Err(Invalid::new(
                "redirect.status",
                format_args!("must be 301, 302, 303, 307 or 308, not {code}"),
            )),
        }
    }
}

impl From<RedirectStatus> for u16 {
    fn from(status: RedirectStatus) -> Self {
        status.code()
    }
}
