//! What Pingora wants to know of a client's stream.

use std::{os::fd::AsRawFd as _, sync::Arc};

use async_trait::async_trait;
use pingora_core::protocols::{
    ALPN, GetProxyDigest, GetSocketDigest, GetTimingDigest, Peek, Shutdown, SocketDigest, Ssl,
    TimingDigest, UniqueID, UniqueIDType, raw_connect::ProxyDigest, tls::SslDigest,
};

use super::{ClientStream, Rest};

#[async_trait]
impl Shutdown for ClientStream {
    async fn shutdown(&mut self) {
        let is_over = self.is_at_message_end() || matches!(self.rest, Rest::Everything);
        // A client that is gone needs no farewell.
        if tokio::io::AsyncWriteExt::shutdown(self).await.is_ok() && !is_over {
            self.linger().await;
        }
    }
}

impl std::fmt::Debug for ClientStream {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Not what was received: it may hold secrets.
        formatter
            .debug_struct("ClientStream")
            .field("peer", &self.peer)
            .field("rest", &self.rest)
            .finish_non_exhaustive()
    }
}

impl UniqueID for ClientStream {
    fn id(&self) -> UniqueIDType {
        self.io.get_ref().as_raw_fd()
    }
}

impl Ssl for ClientStream {
    fn get_ssl_digest(&self) -> Option<Arc<SslDigest>> {
        self.tls.clone()
    }

    fn selected_alpn_proto(&self) -> Option<ALPN> {
        self.is_http2.then_some(ALPN::H2)
    }
}

impl Peek for ClientStream {}

impl GetTimingDigest for ClientStream {
    fn get_timing_digest(&self) -> Vec<Option<TimingDigest>> {
        Vec::new()
    }
}

impl GetProxyDigest for ClientStream {
    fn get_proxy_digest(&self) -> Option<Arc<ProxyDigest>> {
        None
    }
}

impl GetSocketDigest for ClientStream {
    fn get_socket_digest(&self) -> Option<Arc<SocketDigest>> {
        Some(Arc::clone(&self.socket))
    }
}
