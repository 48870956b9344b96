//! Streams of HTTP/2, each one request: plain ones take the short way, the others Pingora's.

use std::sync::Arc;

use async_trait::async_trait;
use pingora_core::{
    apps::{HttpServerApp, HttpServerOptions, ReusedHttpStream},
    protocols::http::{ServerSession, v2::server::H2Options},
    server::ShutdownWatch,
};
use pingora_proxy::HttpProxy;

use crate::proxy::{GatewayProxy, Phases};

/// What Pingora's connections of HTTP/2 give their streams to.
pub(super) struct Streams {
    pub(super) pingora: Arc<HttpProxy<Phases>>,
    pub(super) proxy: Arc<GatewayProxy>,
}

#[async_trait]
impl HttpServerApp for Streams {
    async fn process_new_http(
        self: &Arc<Self>,
        session: ServerSession,
        stopping: &ShutdownWatch,
    ) -> Option<ReusedHttpStream> {
        let mut session = session;
        // By reference: this future is copied when it is boxed, with all that it may hold.
        if let ServerSession::H2(stream) = &mut session
            && self.proxy.relays
            && self.proxy.relay_stream(stream, stopping).await
        {
            return None;
        }
        self.pingora.process_new_http(session, stopping).await
    }

    fn h2_options(&self) -> Option<H2Options> {
        self.pingora.h2_options()
    }

    fn server_options(&self) -> Option<&HttpServerOptions> {
        self.pingora.server_options()
    }
}
