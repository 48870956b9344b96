//! Listeners of clients: who gets in, and how everybody gets out.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use pingora_core::{
    apps::{HttpServerApp as _, HttpServerOptions},
    protocols::http::v2::server::{H2Options, default_h2_options},
    server::ShutdownWatch,
};
use pingora_proxy::HttpProxy;
use rustix::net::sockopt::set_tcp_nodelay;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{Semaphore, watch},
    task::JoinHandle,
};
use tokio_rustls::TlsAcceptor;

use super::{Limits, stream::ClientStream, streams::Streams, transport::Transport};
use crate::{
    error::GatewayError,
    proxy::{GatewayProxy, Phases},
};

/// Pause after an error of accepting, which mostly means that no file descriptor is left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Longest handshake of TLS.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// Streams that a client may have open at once on a connection of HTTP/2.
const HTTP2_STREAMS_MAX: u32 = 100;

/// What is spoken on a listener.
#[derive(Clone)]
pub(crate) enum Speaks {
    /// HTTP/1.
    Http1,
    /// HTTP/2 without TLS, by prior knowledge (RFC 9113 §3.3).
    Http2,
    /// TLS, and in it what the client prefers.
    Tls(TlsAcceptor),
}

/// How far the end is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// It is not.
    Serving,
    /// A successor accepts on the same sockets. Connections get an answer to what they ask next, and end with it.
    HandingOver,
    /// No connection is accepted any more, and those that have no request under way are closed.
    Draining,
}

/// What all listeners of clients share.
pub(crate) struct Front {
    /// Pingora's way of serving requests.
    pingora: Arc<HttpProxy<Phases>>,
    streams: Arc<Streams>,
    /// What decides about them, and the short way.
    proxy: Arc<GatewayProxy>,
    limits: Limits,
    connections: Arc<Semaphore>,
    stage: watch::Sender<Stage>,
    /// The same in the form that Pingora knows.
    told: watch::Sender<bool>,
    stopping: ShutdownWatch,
}

// === impl Front ===

impl Front {
    pub(crate) fn new(
        mut pingora: HttpProxy<Phases>,
        proxy: Arc<GatewayProxy>,
        limits: Limits,
    ) -> Arc<Self> {
        let mut options = HttpServerOptions::default();
        options.h2_idle_timeout = Some(limits.idle_timeout);
        pingora.server_options = Some(options);
        pingora.h2_options = Some(http2_options(&limits));
        let pingora = Arc::new(pingora);
        let (told, stopping) = watch::channel(false);
        Arc::new(Self {
            streams: Arc::new(Streams {
                pingora: Arc::clone(&pingora),
                proxy: Arc::clone(&proxy),
            }),
            pingora,
            proxy,
            connections: Arc::new(Semaphore::new(limits.connections_max)),
            limits,
            stage: watch::Sender::new(Stage::Serving),
            told,
            stopping,
        })
    }

    /// Accepts connections on a socket that is already bound, until the end begins.
    ///
    /// # Errors
    /// When the socket cannot be used.
    pub(crate) fn listen(
        self: &Arc<Self>,
        socket: std::net::TcpListener,
        speaks: Speaks,
    ) -> io::Result<(SocketAddr, JoinHandle<()>)> {
        socket.set_nonblocking(true)?;
        // Connections inherit it (Linux), which saves a system call each. Without it small answers would wait for the client's
        // acknowledgement of the one before.
        set_tcp_nodelay(&socket, true)?;
        let address = socket.local_addr()?;
        let socket = TcpListener::from_std(socket)?;
        let front = Arc::clone(self);
        let accepting = tokio::spawn(async move {
            let mut stage = front.stage();
            tokio::select! {
                () = front.accept(&socket, address, &speaks) => {}
                _ = stage.wait_for(|stage| *stage != Stage::Serving) => {}
            }
        });
        Ok((address, accepting))
    }

    /// Begins the end. Requests under way go on; whoever waits for them counts them.
    pub(crate) async fn enter(&self, stage: Stage) {
        self.stage.send_replace(stage);
        self.told.send_replace(true);
        // Answers say from now on that the connection ends with them.
        self.pingora.http_cleanup().await;
    }

    /// Waits until no connection is open, `limit` at most.
    pub(crate) async fn closed(&self, limit: Duration) {
        let all = u32::try_from(self.limits.connections_max).unwrap_or(u32::MAX);
        // Whoever runs out of time is cut.
        let _ = tokio::time::timeout(limit, self.connections.acquire_many(all)).await;
    }

    async fn accept(self: &Arc<Self>, socket: &TcpListener, local: SocketAddr, speaks: &Speaks) {
        loop {
            match socket.accept().await {
                Ok((stream, peer)) => self.admit(stream, peer, local, speaks.clone()),
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    fn admit(
        self: &Arc<Self>,
        stream: TcpStream,
        peer: SocketAddr,
        local: SocketAddr,
        speaks: Speaks,
    ) {
        // Closed without a word: whoever has too many connections cannot spare the time for an answer on each of them.
        let Ok(permit) = Arc::clone(&self.connections).try_acquire_owned() else {
            return self
                .proxy
                .metrics
                .rejected(GatewayError::TooManyConnections.reason());
        };
        let front = Arc::clone(self);
        tokio::spawn(async move {
            let _open = front.proxy.metrics.connection_opened();
            front.serve(stream, peer, local, speaks).await;
            drop(permit);
        });
    }

    async fn serve(&self, stream: TcpStream, peer: SocketAddr, local: SocketAddr, speaks: Speaks) {
        let transport = match &speaks {
            Speaks::Http1 | Speaks::Http2 => Transport::Plain(stream),
            Speaks::Tls(acceptor) => {
                let handshake = acceptor.accept(stream);
                match pingora_timeout::timeout(HANDSHAKE_TIMEOUT, handshake).await {
                    Ok(Ok(stream)) => Transport::Tls(Box::new(stream)),
                    failed => {
                        let error = failed.map(|handshake| handshake.err());
                        tracing::debug!(?error, %peer, "no handshake of TLS");
                        return self
                            .proxy
                            .metrics
                            .rejected(GatewayError::Handshake.reason());
                    }
                }
            }
        };
        let is_http2 = matches!(speaks, Speaks::Http2) || transport.agreed_on_http2();
        let stream = Box::new(ClientStream::new(transport, peer, local));
        if is_http2 {
            self.serve_http2(stream).await;
        } else {
            self.serve_http1(stream).await;
        }
    }

    pub(super) fn pingora(&self) -> &Arc<HttpProxy<Phases>> {
        &self.pingora
    }

    pub(super) fn streams(&self) -> &Arc<Streams> {
        &self.streams
    }

    pub(super) fn proxy(&self) -> &GatewayProxy {
        &self.proxy
    }

    pub(super) fn limits(&self) -> &Limits {
        &self.limits
    }

    pub(super) fn stage(&self) -> watch::Receiver<Stage> {
        self.stage.subscribe()
    }

    pub(super) fn stopping(&self) -> &ShutdownWatch {
        &self.stopping
    }
}

/// Limits of a connection of HTTP/2. Streams that are opened and reset at once (CVE-2023-44487) are limited by the defaults of h2: 20
/// that nobody has seen yet, then the connection ends.
fn http2_options(limits: &Limits) -> H2Options {
    let mut options = default_h2_options();
    options.max_concurrent_streams(HTTP2_STREAMS_MAX);
    options.max_header_list_size(u32::try_from(limits.header_bytes_max).unwrap_or(u32::MAX));
    options
}
