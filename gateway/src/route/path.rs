//! The path a request is for, in the one form on which gateway and service cannot disagree.
//!
//! Without this, `/%61dmin` or `/x/../admin` would slip past a route that the service behind it then reads as `/admin`.

use std::borrow::Cow;

/// A path without dot segments and without needless percent-encoding (RFC 3986 §6.2.2.2 and §6.2.2.3). Encoded slashes stay
/// encoded: they are data, not separators.
#[derive(Debug, PartialEq, Eq)]
pub struct RequestPath<'a>(Cow<'a, str>);

/// Why a path cannot be routed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// Not an absolute path; `*` is one of these.
    #[error("the request target must be an absolute path")]
    NotAbsolute,
    /// `%` without two hexadecimal digits.
    #[error("the path has a percent sign without two hexadecimal digits")]
    BadEncoding,
    /// More `..` than segments: it would leave the root.
    #[error("the path climbs above the root")]
    AboveRoot,
}

// === impl RequestPath ===

impl<'a> RequestPath<'a> {
    /// Normalises a path; borrows it when there is nothing to do, which is the common case.
    pub fn parse(path: &'a str) -> Result<Self, PathError> {
        if !path.starts_with('/') {
            return Err(PathError::NotAbsolute);
        }
        if !path.contains('%') && !path.contains("/.") {
            return Ok(Self(Cow::Borrowed(path)));
        }
        let decoded = decode_unreserved(path)?;
        let resolved = remove_dot_segments(&decoded)?;
        Ok(Self(if resolved == path {
            Cow::Borrowed(path)
        } else {
            Cow::Owned(resolved)
        }))
    }

    /// The normalised path.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it differs from what was received.
    pub fn is_changed(&self) -> bool {
        matches!(self.0, Cow::Owned(_))
    }
}

fn decode_unreserved(path: &str) -> Result<String, PathError> {
    let mut decoded = String::with_capacity(path.len());
    let mut rest = path;
    while let Some(at) = rest.find('%') {
        decoded.push_str(&rest[..at]);
        let escape = rest.get(at..at + 3).ok_or(PathError::BadEncoding)?;
        let byte = u8::from_str_radix(&escape[1..], 16).map_err(|_| PathError::BadEncoding)?;
        if escape.as_bytes()[1] == b'+' {
            // from_str_radix takes a sign, RFC 3986 does not.
            return Err(PathError::BadEncoding);
        }
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            decoded.push(byte.into());
        } else {
            decoded.push_str(escape);
        }
        rest = &rest[at + 3..];
    }
    decoded.push_str(rest);
    Ok(decoded)
}

fn remove_dot_segments(path: &str) -> Result<String, PathError> {
    let mut kept: Vec<&str> = Vec::new();
    let mut segments = path[1..].split('/').peekable();
    while let Some(segment) = segments.next() {
        let last = segments.peek().is_none();
        match segment {
            "." | ".." => {
                if segment == ".." && kept.pop().is_none() {
                    return Err(PathError::AboveRoot);
                }
                if last {
                    kept.push("");
                }
            }
            segment => kept.push(segment),
        }
    }
    Ok(format!("/{}", kept.join("/")))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn paths_are_read_as_services_read_them() {
        for (given, expected) in [
            ("/", "/"),
            ("/a/b", "/a/b"),
            ("/a/./b", "/a/b"),
            ("/a/../b", "/b"),
            ("/a/..", "/"),
            ("/a/b/..", "/a/"),
            ("/a/b/.", "/a/b/"),
            ("/%61pi/", "/api/"),
            ("/%2e%2E/x/%2e", ""),
            ("/x/%2e%2e/y", "/y"),
            ("/a%2Fb", "/a%2Fb"),
            ("/a%20b", "/a%20b"),
            ("/.well-known/x", "/.well-known/x"),
            ("/a//b", "/a//b"),
        ] {
            match RequestPath::parse(given) {
                Ok(path) => assert_eq!(path.as_str(), expected, "{given}"),
                Err(error) => assert_eq!((expected, error), ("", PathError::AboveRoot), "{given}"),
            }
        }
        for (bad, error) in [
            ("*", PathError::NotAbsolute),
            ("", PathError::NotAbsolute),
            ("/%", PathError::BadEncoding),
            ("/%4", PathError::BadEncoding),
            ("/%zz", PathError::BadEncoding),
            ("/%+1", PathError::BadEncoding),
            ("/%é", PathError::BadEncoding),
            ("/..", PathError::AboveRoot),
        ] {
            assert_eq!(RequestPath::parse(bad).unwrap_err(), error, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn normalising_twice_changes_nothing_more(path in "/[a-c./%2eE]{0,24}") {
            if let Ok(once) = RequestPath::parse(&path) {
                let twice = RequestPath::parse(once.as_str()).unwrap();
                prop_assert_eq!(twice.as_str(), once.as_str());
                prop_assert!(!once.as_str().split('/').any(|segment| segment == "." || segment == ".."));
            }
        }
    }
}
