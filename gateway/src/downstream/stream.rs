//! A client's connection as Pingora sees it: a stream that holds one request, and the next one only when it has been asked for.
//!
//! Bytes wait in `received`. The first `released` of them belong to the present message and may be read; `rest` says how many more
//! will. Past the end of its message a reader finds nothing, as if the client waited for the answer; only the end of the connection
//! is told.

mod pingora;
mod whole;

use std::{
    future::poll_fn,
    io,
    mem::MaybeUninit,
    net::SocketAddr,
    os::fd::AsRawFd as _,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::{Duration, Instant},
};

use bytes::{Buf as _, BytesMut};
use pingora_core::protocols::{SocketDigest, tls::SslDigest};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, ReadBuf};

use super::{
    Limits,
    chunked::ChunkScanner,
    head::{Content, Head, HeadParser},
    manner::Manner,
    transport::Transport,
};
use crate::{error::GatewayError, gather::Gather};

pub(crate) use whole::Whole;

/// Bytes read at once. 16 KiB take a 10 KiB body in one system call; Pingora's default keeps 64 KiB per connection.
const READ_BYTES: usize = 16 << 10;
/// What a client of HTTP/2 sends first (RFC 9113 §3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// How long, and how much, of a request that nobody wanted is still read after its answer. Without it the kernel resets the
/// connection and the client may lose the answer (RFC 9112 §9.6).
const LINGER_TIME: Duration = Duration::from_secs(1);
const LINGER_BYTES: u64 = 1 << 20;

/// A connection of a client.
pub(crate) struct ClientStream {
    io: Gather<Transport>,
    /// Without an allocation while the connection is idle.
    received: BytesMut,
    released: usize,
    rest: Rest,
    /// Of the present message.
    manner: Manner,
    socket: Arc<SocketDigest>,
    tls: Option<Arc<SslDigest>>,
    /// Pingora asks for the outcome of ALPN to know which protocol it is to speak.
    is_http2: bool,
    /// A flush has let the other tasks go first.
    has_yielded: bool,
    peer: SocketAddr,
    local: SocketAddr,
}

/// What of the present message has not been received yet.
#[derive(Debug)]
enum Rest {
    Length(u64),
    Chunked(Box<ChunkScanner>),
    /// No messages any more, or none that are told apart here.
    Everything,
}

/// What a wait for a request came to.
#[derive(Debug)]
pub(super) enum Next {
    /// A whole head is there, and Pingora may read the message.
    Request,
    /// The client is gone, or was silent for too long between two requests.
    End,
    /// What came is no request.
    Refused(Refused),
}

/// A request that is none.
#[derive(Debug)]
pub(super) struct Refused {
    pub(super) error: GatewayError,
    /// As far as it has one.
    pub(super) method: Option<http::Method>,
    /// When it began.
    pub(super) since: Instant,
}

/// The content of a request is not framed as it says; inside an [`io::Error`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Malformed(pub(crate) &'static str);

// === impl ClientStream ===

impl ClientStream {
    /// Takes an accepted connection. `local` is the address of its listener.
    pub(super) fn new(transport: Transport, peer: SocketAddr, local: SocketAddr) -> Self {
        let socket = SocketDigest::from_raw_fd(transport.as_raw_fd());
        // Known already, which saves two system calls. Nobody else has the digest yet, so both are unset.
        let _ = socket.peer_addr.set(Some(peer.into()));
        let _ = socket.local_addr.set(Some(local.into()));
        Self {
            tls: transport.tls_digest(),
            is_http2: false,
            has_yielded: false,
            io: Gather::new(transport),
            received: BytesMut::new(),
            released: 0,
            rest: Rest::Length(0),
            manner: Manner::Special,
            socket: Arc::new(socket),
            peer,
            local,
        }
    }

    /// Who is at the other end.
    pub(crate) fn peer(&self) -> SocketAddr {
        self.peer
    }

    /// Waits for the next request and releases it.
    pub(super) async fn next_request(&mut self, limits: &Limits) -> Next {
        let mut parser = HeadParser::default();
        let mut begun = None;
        loop {
            if !self.received.is_empty() {
                let since = *begun.get_or_insert_with(Instant::now);
                match parser.advance(&self.received, limits) {
                    Ok(Some(head)) => {
                        self.release(head);
                        return Next::Request;
                    }
                    Ok(None) => {}
                    Err(error) => return self.refused(error, &parser, since),
                }
            }
            let left = begun.map_or(limits.idle_timeout, |since: Instant| {
                limits.header_timeout.saturating_sub(since.elapsed())
            });
            let receiving = poll_fn(|cx| self.poll_receive(cx));
            match (pingora_timeout::timeout(left, receiving).await, begun) {
                (Ok(Ok(true)), _) => {}
                (Err(_), Some(since)) => {
                    return self.refused(GatewayError::HeaderTimeout, &parser, since);
                }
                _ => return Next::End,
            }
        }
    }

    /// Waits for the preface of HTTP/2 (RFC 9113 §3.4) within the time for a head, and releases everything.
    pub(super) async fn begin_http2(&mut self, limits: &Limits) -> Next {
        let since = Instant::now();
        loop {
            let seen = self.received.len().min(PREFACE.len());
            if self.received[..seen] != PREFACE[..seen] {
                let error = GatewayError::Malformed("this address speaks HTTP/2 only");
                return self.refused(error, &HeadParser::default(), since);
            }
            if seen == PREFACE.len() {
                self.rest = Rest::Everything;
                self.is_http2 = true;
                return Next::Request;
            }
            let left = limits.header_timeout.saturating_sub(since.elapsed());
            let receiving = poll_fn(|cx| self.poll_receive(cx));
            match pingora_timeout::timeout(left, receiving).await {
                Ok(Ok(true)) => {}
                _ => return Next::End,
            }
        }
    }

    /// Whether the present message has been read to its end, so that another one may follow.
    pub(super) fn is_at_message_end(&self) -> bool {
        self.released == 0
            && match &self.rest {
                Rest::Length(left) => *left == 0,
                Rest::Chunked(scanner) => scanner.is_done(),
                Rest::Everything => false,
            }
    }

    fn refused(&self, error: GatewayError, parser: &HeadParser, since: Instant) -> Next {
        let method = parser
            .method(&self.received)
            .and_then(|method| http::Method::from_bytes(method).ok());
        Next::Refused(Refused {
            error,
            method,
            since,
        })
    }

    fn release(&mut self, head: Head) {
        self.received.advance(head.skip);
        self.released = head.length;
        self.manner = head.manner;
        self.rest = match head.content {
            Content::Length(length) => Rest::Length(length),
            Content::Chunked => Rest::Chunked(Box::default()),
            Content::Tunnel => Rest::Everything,
        };
    }

    /// Reads some more; false at the end of the connection.
    fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
        // On the stack, so that whoever waits for a client holds no buffer: what comes is mostly a small head.
        let mut space = [const { MaybeUninit::uninit() }; READ_BYTES];
        let mut some = ReadBuf::uninit(&mut space);
        ready!(Pin::new(&mut self.io).poll_read(cx, &mut some))?;
        self.received.extend_from_slice(some.filled());
        Poll::Ready(Ok(!some.filled().is_empty()))
    }

    /// Gives out what is released.
    fn hand_out(&mut self, out: &mut ReadBuf<'_>) {
        let count = self.released.min(out.remaining());
        out.put_slice(&self.received[..count]);
        self.received.advance(count);
        self.released -= count;
        if self.received.is_empty() {
            self.received = BytesMut::new();
        }
    }

    /// Reads what belongs to the reader without a stop in the buffer.
    fn poll_directly(
        &mut self,
        cx: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
        limit: u64,
    ) -> Poll<io::Result<u64>> {
        let before = out.filled().len();
        let mut limited = (&mut self.io).take(limit);
        ready!(Pin::new(&mut limited).poll_read(cx, out))?;
        Poll::Ready(Ok((out.filled().len() - before) as u64))
    }

    /// The message is over. Looks out for the end of the connection, and keeps the beginning of the next message.
    fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.received.is_empty() {
            // Nothing wakes the reader: it has to finish with this message by itself.
            return Poll::Pending;
        }
        match ready!(self.poll_receive(cx))? {
            true => Poll::Pending,
            false => Poll::Ready(Ok(())),
        }
    }

    /// Reads on for a moment, so that the client gets the answer before it learns that its content was not wanted.
    async fn linger(&mut self) {
        let mut unwanted = (&mut self.io).take(LINGER_BYTES);
        let mut nowhere = tokio::io::sink();
        let reading = tokio::io::copy(&mut unwanted, &mut nowhere);
        // However it ends, the connection is over.
        let _ = pingora_timeout::timeout(LINGER_TIME, reading).await;
    }
}

impl AsyncRead for ClientStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        loop {
            if this.released > 0 {
                this.hand_out(out);
                return Poll::Ready(Ok(()));
            }
            let waiting = this.received.len();
            match &mut this.rest {
                Rest::Length(0) => return this.poll_end(cx),
                Rest::Length(left) if waiting == 0 => {
                    let limit = *left;
                    let read = ready!(this.poll_directly(cx, out, limit))?;
                    this.rest = Rest::Length(limit - read);
                    return Poll::Ready(Ok(()));
                }
                Rest::Length(left) => {
                    this.released =
                        usize::try_from(*left).map_or(waiting, |left| left.min(waiting));
                    *left -= this.released as u64;
                }
                Rest::Chunked(scanner) if scanner.is_done() => return this.poll_end(cx),
                Rest::Chunked(scanner) if waiting > 0 => {
                    this.released = scanner
                        .scan(&this.received)
                        .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
                }
                Rest::Chunked(_) => {
                    if !ready!(this.poll_receive(cx))? {
                        return Poll::Ready(Ok(()));
                    }
                }
                Rest::Everything if waiting > 0 => this.released = waiting,
                Rest::Everything => {
                    ready!(this.poll_directly(cx, out, u64::MAX))?;
                    return Poll::Ready(Ok(()));
                }
            }
        }
    }
}

impl AsyncWrite for ClientStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    /// Streams of HTTP/2 share the connection, and each that has an answer wakes it up at once. Before it sends that, it lets those
    /// streams go first that are ready as well: under load their answers take one system call, without load nobody waits.
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.is_http2 && !self.has_yielded && !self.io.is_empty() {
            self.has_yielded = true;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        self.has_yielded = false;
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.is_at_message_end() && self.tls.is_none() {
            // Pingora drops the stream next, and closing tells the client the same.
            return Pin::new(&mut self.io).poll_flush(cx);
        }
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}
