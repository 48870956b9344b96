//! Where a client is sent: by a listener from HTTP to HTTPS, with a 308 that keeps method and content (RFC 9110 §15.4.9), or by a
//! route.

use std::net::SocketAddr;

use pingora_http::RequestHeader;

use super::{Origin, admission};
use crate::route::RequestHost;

/// Port that URLs of HTTPS do not name.
const DEFAULT_PORT: u16 = 443;

/// Sends the requests of one listener to another one.
#[derive(Clone, Copy, Debug)]
pub struct Redirect {
    /// Address of the listener without TLS.
    pub from: SocketAddr,
    /// Port of the one with it.
    pub to_port: u16,
}

// === impl Redirect ===

impl Redirect {
    /// Whether a request is to come back by TLS. One that a trusted proxy has got by TLS need not.
    pub(super) fn applies(&self, listener: Option<SocketAddr>, origin: &Origin) -> bool {
        listener == Some(self.from) && !origin.is_secure
    }

    /// The same host, path and query. None without a host.
    pub(super) fn location(&self, header: &RequestHeader) -> Option<String> {
        let authority = admission::authority(header).ok()?;
        let host = RequestHost::parse(authority)?;
        let host = host.as_str();
        let target = header
            .uri
            .path_and_query()
            .map_or("/", |target| target.as_str());
        if host.is_empty() || !target.starts_with('/') {
            return None;
        }
        Some(match self.to_port {
            DEFAULT_PORT => format!("https://{host}{target}"),
            port => format!("https://{host}:{port}{target}"),
        })
    }
}

/// Where a route sends a client, with what followed its prefix and the query where it keeps them.
///
/// A client cannot choose the host: what it sent is appended behind exactly one slash, so `/old//evil.test` does not become
/// `//evil.test`, which browsers read as a host, as they do `/\\evil.test`.
pub(super) fn location(
    redirect: &catalog_api::Redirect,
    rest: &str,
    query: Option<&str>,
) -> String {
    let mut location = redirect.to.to_string();
    if !redirect.keep_rest {
        return location;
    }
    if !rest.is_empty() {
        if location.ends_with('/') {
            location.pop();
        }
        location.push('/');
        location += rest.trim_start_matches(['/', '\\']);
    }
    if let Some(query) = query {
        location.push('?');
        location += query;
    }
    location
}

#[cfg(test)]
mod tests {
    use super::*;

    fn to(target: &str, rest: &str, query: Option<&str>) -> String {
        let redirect = catalog_api::Redirect {
            to: target.parse().unwrap(),
            status: Default::default(),
            keep_rest: true,
        };
        location(&redirect, rest, query)
    }

    #[test]
    fn the_rest_follows_and_never_names_a_host() {
        for (target, rest, expected) in [
            ("/new/", "/a/b", "/new/a/b"),
            ("/new", "/a", "/new/a"),
            ("/new", "", "/new"),
            ("/new/", "/", "/new/"),
            ("/", "", "/"),
            ("/", "/a", "/a"),
            ("/", "//evil.test/x", "/evil.test/x"),
            ("/", "///evil.test", "/evil.test"),
            ("/", "/\\evil.test", "/evil.test"),
            ("/", "/\\/evil.test", "/evil.test"),
            ("https://a.test", "/x", "https://a.test/x"),
            ("https://a.test", "//evil.test", "https://a.test/evil.test"),
            ("http://a.test:8080/p/", "", "http://a.test:8080/p/"),
        ] {
            assert_eq!(to(target, rest, None), expected, "{target} + {rest}");
        }
        assert_eq!(to("/new/", "/a", Some("q=1&r")), "/new/a?q=1&r");
        assert_eq!(to("/new", "", Some("")), "/new?");
    }
}
