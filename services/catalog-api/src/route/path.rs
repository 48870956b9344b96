//! Paths that routes name. They are compared with the normalised path of a request, so they have to be in normal form themselves.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::{Invalid, invalid::excerpt};

/// Which paths a route takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PathMatch {
    /// Those below a prefix.
    Prefix(PathPrefix),
    /// This one only; a final slash counts.
    Exact(AbsolutePath),
}

/// Which path the service sees.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum PathChange {
    /// The one that the client asked for.
    #[default]
    Keep,
    /// What follows the prefix, from `/`. Only with [`PathMatch::Prefix`].
    Strip,
    /// This one in place of the prefix or the whole path that matched.
    Rewrite(AbsolutePath),
}

/// A path prefix in whole segments, kept with its final slash: `/api/` matches `/api` and `/api/x`, not `/apiary`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PathPrefix(String);

/// A whole path, kept as it was given.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct AbsolutePath(String);

/// Longest path that a route names, in bytes.
pub const PATH_BYTES_MAX: usize = 1024;

// === impl PathMatch ===

impl Default for PathMatch {
    fn default() -> Self {
        Self::Prefix(PathPrefix::default())
    }
}

/// A prefix as it is, a whole path behind `=`, as nginx writes it.
impl fmt::Display for PathMatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Prefix(prefix) => prefix.fmt(f),
            Self::Exact(path) => write!(f, "={path}"),
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
        let mut prefix = normal("path_prefix", text)?.to_owned();
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

// === impl AbsolutePath ===

impl AbsolutePath {
    /// The path.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for AbsolutePath {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        Ok(Self(normal("path", text)?.to_owned()))
    }
}

impl TryFrom<String> for AbsolutePath {
    type Error = Invalid;

    fn try_from(text: String) -> Result<Self, Invalid> {
        text.parse()
    }
}

impl From<AbsolutePath> for String {
    fn from(path: AbsolutePath) -> Self {
        path.0
    }
}

impl fmt::Display for AbsolutePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// `text` if it is a path in normal form.
fn normal<'a>(what: &'static str, text: &'a str) -> Result<&'a str, Invalid> {
    // pchar of RFC 3986 §3.3. Percent-encoding is refused: whether %2F equals a slash is a question on which proxies and
    // services disagree, and a route must not depend on the answer.
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"/-._~!$&'()*+,;=:@".contains(&byte);
    let refuse = |reason: &str| {
        Err(Invalid::new(
            what,
            format_args!("{reason}, not {}", excerpt(text)),
        ))
    };
    if !text.starts_with('/') || text.len() > PATH_BYTES_MAX {
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
    Ok(text)
}
