//! What the gateway offers in a handshake.

use std::sync::Arc;

use rustls::{
    ServerConfig,
    crypto::ring,
    version::{TLS12, TLS13},
};
use tokio_rustls::TlsAcceptor;

use super::Certificates;

/// Protocols in the order of preference (RFC 7301). A client that offers others only is refused.
const PROTOCOLS: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// TLS 1.2 and 1.3, with the suites of rustls: all of them have forward secrecy and authenticated encryption (RFC 9325).
///
/// # Errors
/// When the system gives no random bytes.
pub(crate) fn acceptor(certificates: Arc<Certificates>) -> Result<TlsAcceptor, rustls::Error> {
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(&[&TLS13, &TLS12])?
        .with_no_client_auth()
        .with_cert_resolver(certificates);
    config.alpn_protocols = PROTOCOLS.map(<[u8]>::to_vec).to_vec();
    // Sessions are resumed by tickets that the clients keep, so that they cost no memory here.
    config.ticketer = ring::Ticketer::new()?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}
