//! Closing a connection so that its last answer arrives.
//!
//! Who answers before the whole request was read (413 to a long body, 401 to any) and closes with bytes unread makes the kernel
//! send a reset, and a reset makes the client's kernel throw away what the client has not read yet: the answer. So the sending
//! side is closed first, and what still comes is read and thrown away, within limits (RFC 9112, section 9.6).

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

/// How long a closed connection is still read from.
const TIME_MAX: Duration = Duration::from_secs(10);
/// How much is thrown away. A client with more to say than this gets the reset.
const BYTES_MAX: usize = 64 * 1024 * 1024;
/// Read at once.
const PIECE_BYTES: usize = 16 * 1024;

/// Whether the other end may still be sending, said by whoever knows requests.
#[derive(Clone, Default, Debug)]
pub(super) struct MayBeSending(Arc<AtomicBool>);

/// A stream whose shutdown waits for the other end where that may still be sending.
pub(super) struct Lingering<T> {
    inner: T,
    may_be_sending: MayBeSending,
    rest: Option<Rest>,
}

/// What is still read after the sending side was closed.
struct Rest {
    end: Pin<Box<Sleep>>,
    bytes_left: usize,
    piece: Vec<u8>,
}

// === impl MayBeSending ===

impl MayBeSending {
    pub(super) fn set(&self, value: bool) {
        self.0.store(value, Ordering::Relaxed);
    }

    fn get(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

// === impl Lingering ===

impl<T> Lingering<T> {
    pub(super) fn new(inner: T, may_be_sending: MayBeSending) -> Self {
        Self {
            inner,
            may_be_sending,
            rest: None,
        }
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Lingering<T> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_read(context, buffer)
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Lingering<T> {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().inner).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().inner).poll_write_vectored(context, pieces)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let rest = match &mut this.rest {
            Some(rest) => rest,
            None => {
                ready!(Pin::new(&mut this.inner).poll_shutdown(context))?;
                if !this.may_be_sending.get() {
                    return Poll::Ready(Ok(()));
                }
                this.rest.insert(Rest::new())
            }
        };
        rest.poll_discard(&mut this.inner, context).map(Ok)
    }
}

// === impl Rest ===

impl Rest {
    fn new() -> Self {
        Self {
            end: Box::pin(sleep(TIME_MAX)),
            bytes_left: BYTES_MAX,
            piece: vec![0; PIECE_BYTES],
        }
    }

    /// Ready when the other end has closed, or has had its time or its bytes.
    fn poll_discard<T: AsyncRead + Unpin>(
        &mut self,
        inner: &mut T,
        context: &mut Context<'_>,
    ) -> Poll<()> {
        while self.bytes_left > 0 && self.end.as_mut().poll(context).is_pending() {
            let mut buffer = ReadBuf::new(&mut self.piece);
            match ready!(Pin::new(&mut *inner).poll_read(context, &mut buffer)) {
                Ok(()) if !buffer.filled().is_empty() => {
                    self.bytes_left = self.bytes_left.saturating_sub(buffer.filled().len());
                }
                // The end, or a connection that is broken anyway.
                _ => break,
            }
        }
        Poll::Ready(())
    }
}
