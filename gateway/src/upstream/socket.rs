//! A connection to an endpoint as Pingora's HTTP/1 client sees it, for the time of one exchange.
//!
//! Two things cost less than with a bare socket. Head and content of a request go out together: the flush after a head that has content
//! is held back until the content has been written or the answer is waited for. And an answer comes in with one read: Pingora asks for
//! 4 KiB first; what else has come waits in `ahead`.
//!
//! At the end of an exchange the connection goes back to the idle ones of its endpoint, but only when Pingora would use it again. It
//! says so by `TransportConnector::release_stream`, which first tries to read a single byte into an initialised buffer, to see whether
//! the other side has sent more than it should; nothing else reads like that. The answer to this question is "closed", so that
//! Pingora drops the stream instead of pooling it, and the drop is what gives the connection back. Whatever is done to it after that
//! question, or was left over before, closes it instead. The tests of reuse would fail if a new release of
//! Pingora asked otherwise.

use std::{
    io,
    mem::MaybeUninit,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::{Buf as _, Bytes};
use pingora_core::protocols::l4::virt::{VirtualSockOpt, VirtualSocket};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};

use super::{
    idle::{IdleConnections, is_quiet},
    silence::Silence,
};
use crate::gather::Gather;

/// Bytes read at once: the head of an answer with 10 KiB of content.
const READ_BYTES: usize = 16 << 10;

/// A connection to an endpoint that serves an exchange.
#[derive(Debug)]
pub(super) struct ServiceSocket {
    /// None when it was given back.
    io: Option<Gather<TcpStream>>,
    /// Read already, not asked for yet.
    ahead: Bytes,
    hold: Hold,
    /// Watched where the request has content; Pingora watches otherwise.
    silence: Option<Silence>,
    /// The last write waits for the endpoint, or was given up while it did.
    is_stuck: bool,
    is_over: bool,
    idle: Arc<IdleConnections>,
}

/// Whether a flush is held back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Hold {
    /// The next flush is that of a head, and content will follow.
    Next,
    /// One is.
    Held,
    /// The answer was asked for meanwhile. Another turn of the task, and the head goes alone.
    LastTurn,
    /// None.
    Not,
}

// === impl ServiceSocket ===

impl ServiceSocket {
    pub(super) fn new(
        connection: TcpStream,
        idle: Arc<IdleConnections>,
        silence: Option<Silence>,
    ) -> Self {
        Self {
            io: Some(Gather::new(connection)),
            ahead: Bytes::new(),
            hold: if silence.is_some() {
                Hold::Next
            } else {
                Hold::Not
            },
            silence,
            is_stuck: false,
            is_over: false,
            idle,
        }
    }

    fn io(&mut self) -> io::Result<Pin<&mut Gather<TcpStream>>> {
        let closed = || io::Error::from(io::ErrorKind::NotConnected);
        self.io.as_mut().map(Pin::new).ok_or_else(closed)
    }

    /// Sends what is held back before an answer is waited for.
    fn poll_release(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.hold {
            Hold::Next | Hold::Not => Poll::Ready(Ok(())),
            Hold::Held => {
                // Pingora reads the content and waits for the answer in turn, and either may come first.
                self.hold = Hold::LastTurn;
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            Hold::LastTurn => {
                ready!(self.io()?.poll_flush(cx))?;
                self.hold = Hold::Not;
                Poll::Ready(Ok(()))
            }
        }
    }

    /// Reads from the endpoint unless it has been silent for too long.
    fn poll_receive(
        &mut self,
        cx: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let read = self.io()?.poll_read(cx, out);
        let Some(silence) = &mut self.silence else {
            return read;
        };
        if read.is_ready() {
            silence.sent();
            return read;
        }
        silence.poll_over(cx).map(Err)
    }

    /// Whether nothing is left over of an exchange, and nothing has come after it.
    fn is_clean(&self) -> bool {
        self.ahead.is_empty()
            && self
                .io
                .as_ref()
                .is_some_and(|io| io.is_empty() && is_quiet(io.get_ref()))
    }
}

/// Whether Pingora asks if a connection can be used again.
fn is_asked_to_rest(out: &ReadBuf<'_>) -> bool {
    out.capacity() == 1 && out.initialized().len() == 1
}

impl AsyncRead for ServiceSocket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if is_asked_to_rest(out) {
            this.is_over = this.is_clean();
            let left_over = || io::Error::from(io::ErrorKind::InvalidData);
            return Poll::Ready(this.is_over.then_some(()).ok_or_else(left_over));
        }
        this.is_over = false;
        if this.is_stuck {
            // Pingora writes and reads in turn: this write took too long. It would wait for an answer all the same, up to the read
            // timeout, and then tell of the write.
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        if this.ahead.is_empty() {
            ready!(this.poll_release(cx))?;
            if out.remaining() >= READ_BYTES {
                return this.poll_receive(cx, out);
            }
            let mut space = [const { MaybeUninit::uninit() }; READ_BYTES];
            let mut some = ReadBuf::uninit(&mut space);
            ready!(this.poll_receive(cx, &mut some))?;
            let (asked, more) = some
                .filled()
                .split_at(some.filled().len().min(out.remaining()));
            out.put_slice(asked);
            if !more.is_empty() {
                this.ahead = Bytes::copy_from_slice(more);
            }
            return Poll::Ready(Ok(()));
        }
        let count = this.ahead.len().min(out.remaining());
        out.put_slice(&this.ahead[..count]);
        this.ahead.advance(count);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for ServiceSocket {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.is_over = false;
        let written = self.io()?.poll_write(cx, bytes);
        self.is_stuck = written.is_pending();
        if let (Poll::Ready(Ok(_)), Some(silence)) = (&written, &mut self.silence) {
            silence.taken();
        }
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.hold == Hold::Next {
            self.hold = Hold::Held;
            return Poll::Ready(Ok(()));
        }
        // A stream that is dropped is flushed, too; there is nothing to send by then.
        let flushed = match self.io() {
            Ok(io) => io.poll_flush(cx),
            Err(error) => Poll::Ready(Err(error)),
        };
        self.is_stuck = flushed.is_pending();
        if flushed.is_ready() {
            self.hold = Hold::Not;
            self.silence.iter_mut().for_each(Silence::taken);
        }
        flushed
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.is_over = false;
        self.io()?.poll_shutdown(cx)
    }
}

impl VirtualSocket for ServiceSocket {
    fn set_socket_option(&self, _option: VirtualSockOpt) -> io::Result<()> {
        // `TCP_NODELAY` was set when it was opened; nothing else is asked for.
        Ok(())
    }
}

impl Drop for ServiceSocket {
    fn drop(&mut self) {
        if self.is_over
            && let Some(io) = self.io.take()
        {
            self.idle.keep(io.into_inner());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::TcpListener,
        time::Instant,
    };

    use super::{super::AnswerTime, *};

    struct Ends {
        gateway: ServiceSocket,
        service: TcpStream,
        idle: Arc<IdleConnections>,
    }

    async fn connected(has_content: bool) -> Ends {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (gateway, accepted) = tokio::join!(TcpStream::connect(address), listener.accept());
        let idle = Arc::default();
        Ends {
            gateway: ServiceSocket::new(
                gateway.unwrap(),
                Arc::clone(&idle),
                has_content.then(long_silence),
            ),
            service: accepted.unwrap().0,
            idle,
        }
    }

    fn long_silence() -> Silence {
        let silence = Duration::from_secs(3600);
        let until = Instant::now() + silence;
        Silence::new(AnswerTime { silence, until }, Arc::default())
    }

    /// As `TransportConnector::release_stream` does.
    async fn asks_to_rest(socket: &mut ServiceSocket) -> bool {
        let mut byte = [0; 1];
        let read = tokio::task::unconstrained(socket.read(&mut byte[..]));
        matches!(futures_util::FutureExt::now_or_never(read), Some(Ok(0)))
    }

    /// What has come in one piece.
    async fn piece(service: &mut TcpStream) -> String {
        let mut piece = vec![0; 64 << 10];
        let count = service.read(&mut piece).await.unwrap();
        String::from_utf8(piece[..count].to_vec()).unwrap()
    }

    #[tokio::test]
    async fn head_and_content_go_together() {
        let mut ends = connected(true).await;
        ends.gateway.write_all(b"head ").await.unwrap();
        ends.gateway.flush().await.unwrap();
        ends.gateway.write_all(b"content").await.unwrap();
        ends.gateway.flush().await.unwrap();
        assert_eq!(piece(&mut ends.service).await, "head content");
    }

    #[tokio::test]
    async fn a_head_does_not_wait_for_content_that_does_not_come() {
        for has_content in [true, false] {
            let mut ends = connected(has_content).await;
            ends.gateway.write_all(b"head").await.unwrap();
            ends.gateway.flush().await.unwrap();
            let mut answer = [0; 16];
            let (answered, ()) = tokio::join!(ends.gateway.read(&mut answer), async {
                assert_eq!(piece(&mut ends.service).await, "head");
                ends.service.write_all(b"go on").await.unwrap();
            });
            assert_eq!(&answer[..answered.unwrap()], b"go on");
        }
    }

    #[tokio::test]
    async fn an_answer_is_read_whole_whatever_is_asked_for() {
        let mut ends = connected(false).await;
        let answer: Vec<u8> = (0..40_000u32).map(|index| index as u8).collect();
        let sent = answer.clone();
        let sending = tokio::spawn(async move { ends.service.write_all(&sent).await });
        let mut received = Vec::new();
        for room in [2, 4096, 7, 20_000].into_iter().cycle() {
            let mut part = vec![0; room.min(answer.len() - received.len())];
            if part.len() < 2 {
                break;
            }
            let count = ends.gateway.read(&mut part).await.unwrap();
            received.extend_from_slice(&part[..count]);
        }
        sending.await.unwrap().unwrap();
        assert!(answer.starts_with(&received) && received.len() + 1 >= answer.len());
    }

    #[tokio::test]
    async fn a_connection_at_rest_is_taken_again_and_any_other_is_closed() {
        let mut ends = connected(false).await;
        assert!(asks_to_rest(&mut ends.gateway).await);
        drop(ends.gateway);
        let again = ends.idle.take().expect("it was given back");

        let mut dropped_before_its_end = ServiceSocket::new(again, Arc::clone(&ends.idle), None);
        dropped_before_its_end.write_all(b"x").await.unwrap();
        drop(dropped_before_its_end);
        assert!(ends.idle.take().is_none());

        let mut with_more_than_it_should = connected(false).await;
        with_more_than_it_should
            .service
            .write_all(b"more")
            .await
            .unwrap();
        with_more_than_it_should
            .gateway
            .io
            .as_ref()
            .unwrap()
            .get_ref()
            .readable()
            .await
            .unwrap();
        assert!(!asks_to_rest(&mut with_more_than_it_should.gateway).await);
        drop(with_more_than_it_should.gateway);
        assert!(with_more_than_it_should.idle.take().is_none());

        let mut shut_down = connected(false).await;
        assert!(asks_to_rest(&mut shut_down.gateway).await);
        shut_down.gateway.shutdown().await.unwrap();
        drop(shut_down.gateway);
        assert!(shut_down.idle.take().is_none());
    }

    #[tokio::test]
    async fn a_connection_that_the_service_closed_is_not_taken() {
        let mut ends = connected(false).await;
        assert!(asks_to_rest(&mut ends.gateway).await);
        ends.service.shutdown().await.unwrap();
        ends.gateway
            .io
            .as_ref()
            .unwrap()
            .get_ref()
            .readable()
            .await
            .unwrap();
        drop(ends.gateway);
        assert!(ends.idle.take().is_none());
    }
}
