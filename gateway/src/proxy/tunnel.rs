//! Connections to endpoints on which a tunnel may begin.
//!
//! Pingora pumps both directions at once. The request's end waits in a queue for one pump while the other already reads the answer; when
//! an endpoint is so quick that its 101 is read first, the end that follows is taken for the end of the tunnel, and both sides are closed
//! without a word (pingora-proxy 0.9.1, `proxy_handle_upstream`). So on these connections the first read after a write is put off until
//! everything else that is ready has had its turn, and the end of the request is always first.
//!
//! They are kept apart from the other connections to the same endpoint, because those are not held back.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use async_trait::async_trait;
use pingora_core::{
    connectors::L4Connect,
    protocols::l4::{
        socket::SocketAddr,
        stream::Stream,
        virt::{VirtualSockOpt, VirtualSocket, VirtualSocketStream},
    },
    upstreams::peer::HttpPeer,
};
use pingora_error::{Error, ErrorType, Result};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};

/// Tells the connections apart in Pingora's pool, where everything else is in group 0.
const GROUP: u64 = 1;

/// Lets a request that asks for a tunnel have a connection that is fit for it.
pub(super) fn prepare(peer: &mut HttpPeer) {
    peer.group_key = GROUP;
    peer.options.custom_l4 = Some(Arc::new(Connector));
}

#[derive(Debug)]
struct Connector;

/// A connection whose first read after a write lets the others go first.
#[derive(Debug)]
struct Patient {
    socket: TcpStream,
    has_written: bool,
}

#[async_trait]
impl L4Connect for Connector {
    /// The time for it is limited by whoever asks.
    async fn connect(&self, address: &SocketAddr) -> Result<Stream> {
        let address = address
            .as_inet()
            .ok_or_else(|| Error::explain(ErrorType::InternalError, "not an internet address"))?;
        let socket = TcpStream::connect(address).await.map_err(|error| {
            let kind = match error.kind() {
                io::ErrorKind::ConnectionRefused => ErrorType::ConnectRefused,
                io::ErrorKind::TimedOut => ErrorType::ConnectTimedout,
                io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => {
                    ErrorType::ConnectNoRoute
                }
                _ => ErrorType::ConnectError,
            };
            Error::because(kind, "connecting for a tunnel", error)
        })?;
        let patient = Patient {
            socket,
            has_written: false,
        };
        Ok(VirtualSocketStream::new(Box::new(patient)).into())
    }
}

impl VirtualSocket for Patient {
    fn set_socket_option(&self, option: VirtualSockOpt) -> io::Result<()> {
        match option {
            VirtualSockOpt::NoDelay => self.socket.set_nodelay(true),
            // No peer asks for more.
            _ => Ok(()),
        }
    }
}

impl AsyncRead for Patient {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if std::mem::take(&mut self.has_written) {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        Pin::new(&mut self.socket).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Patient {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.has_written = true;
        Pin::new(&mut self.socket).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }
}
