//! From HTTP to HTTPS: 308 keeps method and content (RFC 9110 §15.4.9).

use std::net::SocketAddr;

use pingora_core::protocols::l4::socket;
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
    pub(super) fn applies(&self, listener: Option<&socket::SocketAddr>, origin: &Origin) -> bool {
        let listener = listener.and_then(|address| address.as_inet());
        listener == Some(&self.from) && !origin.is_secure
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
