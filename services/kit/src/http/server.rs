//! Connections: how many, how slow they may be, and how they end.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use http::header::{CONNECTION, HeaderValue};
use http::{Request, Version};
use hyper::body::{Body as _, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::accept::Acceptor;
use super::linger::{Lingering, MayBeSending};
use super::refusal::Explained;
use super::sniff::{self, Protocol};
use super::{Application, Response, Service};
use crate::shutdown::Shutdown;

/// hyper refuses a smaller buffer.
const HEADER_BYTES_MIN: usize = 8192;
/// Requests at once on one HTTP/2 connection.
const STREAMS_MAX: u32 = 128;
/// How often a silent HTTP/2 connection is asked whether it lives, and how long it may take to say so.
const PING_INTERVAL: Duration = Duration::from_secs(20);
/// Time that a new connection gets for its first request although the stop was asked for: it may be on its way.
const FIRST_REQUEST_GRACE: Duration = Duration::from_millis(200);

/// Limits of one listener.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Connections at once; further ones wait in the kernel's queue. Default 4096.
    pub connections_max: usize,
    /// Time for a request's header to arrive, and for a kept-alive connection to begin its next one. Default 10 s.
    pub header_read_timeout: Duration,
    /// Bytes of a request's header, at least 8 KiB; more is a 431. Default 64 KiB.
    pub header_bytes_max: usize,
    /// Time for the requests in flight when the stop was asked for. Default 10 s.
    pub drain_timeout: Duration,
}

/// How the serving ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Drained {
    /// Whether every connection ended by itself.
    pub finished: bool,
    /// Connections that were cut at the deadline.
    pub cut: usize,
}

/// What all connections of one listener share.
struct Shared<A: Application> {
    service: Arc<Service<A>>,
    http1: auto::Builder<TokioExecutor>,
    http2: auto::Builder<TokioExecutor>,
    header_read_timeout: Duration,
    shutdown: Shutdown,
}

/// Serves until the stop is asked for, then lets the requests in flight finish within the limit.
///
/// Speaks HTTP/1.1 and, with prior knowledge, HTTP/2. Connections that already wait in the kernel's queue when the stop
/// comes are still answered, so that a client that just connected sees no reset.
pub async fn serve<A: Application>(
    listener: TcpListener,
    service: Arc<Service<A>>,
    limits: Limits,
    shutdown: Shutdown,
) -> Drained {
    let slots = Arc::new(Semaphore::new(limits.connections_max));
    let mut acceptor = Acceptor::new(listener);
    let mut tasks = JoinSet::new();
    let shared = Arc::new(Shared::new(service, &limits, shutdown.clone()));
    loop {
        tokio::select! {
            (slot, (stream, peer)) = next(&slots, &mut acceptor) => {
                let shared = Arc::clone(&shared);
                tasks.spawn(shared.connection(stream, peer, slot));
            }
            // Finished tasks are collected as they end; the set would grow without limit otherwise.
            Some(_) = tasks.join_next() => {}
            () = shutdown.requested() => break,
        }
    }
    for (stream, peer) in acceptor.into_waiting() {
        // The maximum holds to the end: beyond it the rest is reset with the listener.
        let Ok(slot) = Arc::clone(&slots).try_acquire_owned() else {
            break;
        };
        let shared = Arc::clone(&shared);
        tasks.spawn(shared.connection(stream, peer, Some(slot)));
    }
    let all = async { while tasks.join_next().await.is_some() {} };
    // Which of the two ended the wait shows in what is left.
    let _ = timeout(limits.drain_timeout, all).await;
    while tasks.try_join_next().is_some() {}
    let cut = tasks.len();
    tasks.shutdown().await;
    if cut > 0 {
        tracing::warn!(cut, "connections were cut at the end of the drain");
    }
    Drained {
        finished: cut == 0,
        cut,
    }
}

/// A connection and the slot it takes. The slot comes first: a connection that is accepted is also served.
async fn next(
    slots: &Arc<Semaphore>,
    acceptor: &mut Acceptor,
) -> (Option<OwnedSemaphorePermit>, (TcpStream, SocketAddr)) {
    // The semaphore is never closed, so there always is a permit.
    let slot = Arc::clone(slots).acquire_owned().await.ok();
    (slot, acceptor.next().await)
}

// === impl Shared ===

impl<A: Application> Shared<A> {
    fn new(service: Arc<Service<A>>, limits: &Limits, shutdown: Shutdown) -> Self {
        let header_bytes_max = limits.header_bytes_max.max(HEADER_BYTES_MIN);
        let mut builder = auto::Builder::new(TokioExecutor::new());
        // Without a timer hyper ignores its own timeouts.
        builder
            .http1()
            .timer(TokioTimer::new())
            .header_read_timeout(limits.header_read_timeout)
            .max_buf_size(header_bytes_max)
            .keep_alive(true);
        builder
            .http2()
            .timer(TokioTimer::new())
            .max_concurrent_streams(STREAMS_MAX)
            .max_header_list_size(u32::try_from(header_bytes_max).unwrap_or(u32::MAX))
            .keep_alive_interval(PING_INTERVAL)
            .keep_alive_timeout(PING_INTERVAL);
        Self {
            service,
            http1: builder.clone().http1_only(),
            http2: builder.http2_only(),
            header_read_timeout: limits.header_read_timeout,
            shutdown,
        }
    }

    async fn connection(
        self: Arc<Self>,
        stream: TcpStream,
        peer: SocketAddr,
        slot: Option<OwnedSemaphorePermit>,
    ) {
        let _slot = slot;
        // Answers are written whole; waiting for more to send would only delay them.
        let _ = stream.set_nodelay(true);
        let may_be_sending = MayBeSending::default();
        match self.protocol(&stream).await {
            Some(Protocol::Http1) => {
                let stream = Lingering::new(stream, may_be_sending.clone());
                let service = Arc::clone(&self.service);
                let refused = may_be_sending.clone();
                let stream = Explained::new(stream, move |problem| {
                    refused.set(true);
                    service.refused(problem, peer)
                });
                self.converse(&self.http1, stream, peer, &may_be_sending)
                    .await;
            }
            Some(Protocol::Http2) => {
                self.converse(&self.http2, stream, peer, &may_be_sending)
                    .await;
            }
            None => {}
        }
    }

    /// All requests of one connection, to its end.
    async fn converse(
        self: &Arc<Self>,
        builder: &auto::Builder<TokioExecutor>,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        peer: SocketAddr,
        may_be_sending: &MayBeSending,
    ) {
        let service = service_fn(|request: Request<Incoming>| {
            // During a stop nobody is waited for longer than for his answer.
            may_be_sending.set(!request.body().is_end_stream() && !self.shutdown.is_requested());
            Arc::clone(self).respond(request, peer)
        });
        let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service));
        let ended = tokio::select! {
            // Not at random: hyper closes a connection that is asked to end before anything was read from it, and the
            // first bytes of a request are already here.
            biased;
            ended = connection.as_mut() => ended,
            () = self.shutdown.requested() => {
                may_be_sending.set(false);
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(error) = ended {
            // A client that goes away or talks nonsense is its own business.
            tracing::debug!(error, client.address = %peer.ip(), "a connection ended with an error");
        }
    }

    async fn respond(
        self: Arc<Self>,
        request: Request<Incoming>,
        peer: SocketAddr,
    ) -> Result<Response, Infallible> {
        let is_http1 = request.version() < Version::HTTP_2;
        let mut response = Arc::clone(&self.service).handle(request, peer).await;
        // HTTP/2 says the same with a frame, which hyper sends when the connection is asked to end.
        if is_http1 && self.shutdown.is_requested() {
            response
                .headers_mut()
                .insert(CONNECTION, HeaderValue::from_static("close"));
        }
        Ok(response)
    }

    async fn protocol(&self, stream: &TcpStream) -> Option<Protocol> {
        let too_late = async {
            self.shutdown.requested().await;
            sleep(FIRST_REQUEST_GRACE).await;
        };
        let limited = timeout(self.header_read_timeout, sniff::protocol(stream));
        tokio::select! {
            biased;
            decided = limited => decided.ok().flatten(),
            () = too_late => None,
        }
    }
}

// === impl Limits ===

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections_max: 4096,
            header_read_timeout: Duration::from_secs(10),
            header_bytes_max: 64 * 1024,
            drain_timeout: Duration::from_secs(10),
        }
    }
}
