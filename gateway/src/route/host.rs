//! The host a request is for, in the one form in which routes know hosts.

use std::borrow::Cow;

/// Host of a request: lower case, without port and without the root dot.
#[derive(Debug)]
pub struct RequestHost<'a>(Cow<'a, str>);

// === impl RequestHost ===

impl<'a> RequestHost<'a> {
    /// Takes the `Host` field or the authority of the target apart (RFC 9110 §7.2: `uri-host [ ":" port ]`).
    /// None when it is not that; an empty host is one (RFC 9112 §3.2 for targets without an authority).
    pub fn parse(authority: &'a str) -> Option<Self> {
        let (host, port) = match authority.strip_prefix('[') {
            Some(rest) => {
                let (inner, after) = rest.split_once(']')?;
                inner.parse::<std::net::Ipv6Addr>().ok()?;
                let port = if after.is_empty() {
                    None
                } else {
                    Some(after.strip_prefix(':')?)
                };
                (&authority[..inner.len() + 2], port)
            }
            None => match authority.split_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (authority, None),
            },
        };
        let port_is_valid = port.is_none_or(|port| {
            port.is_empty() || port.parse::<u16>().is_ok() && !port.starts_with('+')
        });
        let plain =
            |byte: u8| byte.is_ascii_alphanumeric() || b"-._~%!$&'()*,;=[]:".contains(&byte);
        if !port_is_valid || !host.bytes().all(plain) {
            return None;
        }
        let host = host.strip_suffix('.').unwrap_or(host);
        Some(Self(
            if host.bytes().any(|byte| byte.is_ascii_uppercase()) {
                Cow::Owned(host.to_ascii_lowercase())
            } else {
                Cow::Borrowed(host)
            },
        ))
    }

    /// The host as routes name it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_lose_port_case_and_root_dot() {
        for (given, expected) in [
            ("Example.ORG:8080", "example.org"),
            ("example.org.", "example.org"),
            ("[::1]:80", "[::1]"),
            ("[::1]", "[::1]"),
            ("a:", "a"),
            ("", ""),
        ] {
            assert_eq!(RequestHost::parse(given).unwrap().as_str(), expected);
        }
        for bad in [
            "a:b",
            "a:99999",
            "a:+1",
            "[::1",
            "[x]:1",
            "a b",
            "a/b",
            "user@host",
            "[::1]x",
        ] {
            assert!(RequestHost::parse(bad).is_none(), "{bad}");
        }
    }
}
