//! Writes that belong together, sent together.
//!
//! Pingora writes the head of a message, then its content piece by piece, and the parts of a chunk one by one. Here small writes are
//! gathered until somebody flushes, and a large one takes what was gathered along in the same system call (`writev`). tokio's
//! `BufWriter` would send the head alone in front of a large write, and keeps its buffer for as long as the connection lives, which
//! is most of the memory of an idle one.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Bytes gathered before they are sent without a flush.
const GATHERED_BYTES_MAX: usize = 16 << 10;
/// Room for a head and a small answer, so that they need one allocation.
const FIRST_BYTES: usize = 1 << 10;

/// A stream whose writes are gathered. Holds no memory between two messages.
#[derive(Debug)]
pub(crate) struct Gather<T> {
    io: T,
    gathered: Vec<u8>,
    /// How much of it has been sent.
    sent: usize,
}

// === impl Gather ===

impl<T> Gather<T> {
    pub(crate) fn new(io: T) -> Self {
        Self {
            io,
            gathered: Vec::new(),
            sent: 0,
        }
    }

    pub(crate) fn get_ref(&self) -> &T {
        &self.io
    }

    /// The stream; what waits to be sent is lost.
    pub(crate) fn into_inner(self) -> T {
        self.io
    }

    /// Whether nothing waits to be sent.
    pub(crate) fn is_empty(&self) -> bool {
        self.gathered.is_empty()
    }

    fn keep(&mut self, bytes: &[u8]) {
        if self.gathered.is_empty() {
            self.gathered.reserve_exact(bytes.len().max(FIRST_BYTES));
        }
        self.gathered.extend_from_slice(bytes);
    }

    fn fits(&self, count: usize) -> bool {
        // One that is large by itself is not copied.
        count < GATHERED_BYTES_MAX && self.gathered.len() + count <= GATHERED_BYTES_MAX
    }

    /// Takes in that so many bytes were sent, and answers how many of them had not been gathered.
    fn account(&mut self, count: usize) -> usize {
        let waiting = self.gathered.len() - self.sent;
        if count < waiting {
            self.sent += count;
            return 0;
        }
        self.gathered = Vec::new();
        self.sent = 0;
        count - waiting
    }
}

impl<T: AsyncWrite + Unpin> Gather<T> {
    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.gathered.is_empty() {
            let waiting = &self.gathered[self.sent..];
            let count = ready!(Pin::new(&mut self.io).poll_write(cx, waiting))?;
            if count == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.account(count);
        }
        Poll::Ready(Ok(()))
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Gather<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(cx, out)
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Gather<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        if this.fits(bytes.len()) {
            this.keep(bytes);
            return Poll::Ready(Ok(bytes.len()));
        }
        loop {
            let io = Pin::new(&mut this.io);
            let count = if this.gathered.is_empty() {
                return io.poll_write(cx, bytes);
            } else {
                let slices = [
                    IoSlice::new(&this.gathered[this.sent..]),
                    IoSlice::new(bytes),
                ];
                ready!(io.poll_write_vectored(cx, &slices))?
            };
            if count == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            let taken = this.account(count);
            if taken > 0 {
                return Poll::Ready(Ok(taken));
            }
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let total = slices.iter().map(|slice| slice.len()).sum();
        if self.fits(total) {
            slices.iter().for_each(|slice| self.keep(slice));
            return Poll::Ready(Ok(total));
        }
        if self.gathered.is_empty() {
            return Pin::new(&mut self.io).poll_write_vectored(cx, slices);
        }
        let first = slices.iter().find(|slice| !slice.is_empty());
        self.poll_write(cx, first.map_or(&[], |slice| slice))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_send(cx))?;
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_send(cx))?;
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tokio::io::AsyncWriteExt as _;

    use super::*;

    /// Takes so many bytes per call, in turn, and remembers the calls.
    struct Narrow {
        widths: Vec<usize>,
        calls: Vec<usize>,
        taken: Vec<u8>,
    }

    impl Narrow {
        fn take(&mut self, slices: &[&[u8]]) -> usize {
            let width = self.widths[self.calls.len() % self.widths.len()];
            let bytes: Vec<u8> = slices.concat().into_iter().take(width).collect();
            self.calls.push(bytes.len());
            self.taken.extend_from_slice(&bytes);
            bytes.len()
        }
    }

    impl AsyncWrite for Narrow {
        fn poll_write(
            mut self: Pin<&mut Self>,
            _cx: &mut Context<'_>,
            bytes: &[u8],
        ) -> Poll<io::Result<usize>> {
            Poll::Ready(Ok(self.take(&[bytes])))
        }

        fn poll_write_vectored(
            mut self: Pin<&mut Self>,
            _cx: &mut Context<'_>,
            slices: &[IoSlice<'_>],
        ) -> Poll<io::Result<usize>> {
            let slices: Vec<&[u8]> = slices.iter().map(|slice| &**slice).collect();
            Poll::Ready(Ok(self.take(&slices)))
        }

        fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    fn narrow(widths: Vec<usize>) -> Gather<Narrow> {
        Gather::new(Narrow {
            widths,
            calls: Vec::new(),
            taken: Vec::new(),
        })
    }

    #[tokio::test]
    async fn a_head_goes_with_its_content_in_one_call() {
        for content in [10, 10 << 10, 100 << 10] {
            let mut gather = narrow(vec![usize::MAX]);
            gather.write_all(b"head").await.unwrap();
            assert!(gather.get_ref().calls.is_empty(), "sent before its content");
            gather.write_all(&vec![b'x'; content]).await.unwrap();
            gather.flush().await.unwrap();
            assert_eq!(gather.get_ref().calls, [4 + content]);
            assert!(gather.is_empty() && gather.gathered.capacity() == 0);
        }
    }

    proptest! {
        #[test]
        fn nothing_is_lost_or_reordered(
            writes in prop::collection::vec((prop::collection::vec(0usize..20_000, 1..4), any::<bool>()), 1..20),
            widths in prop::collection::vec(1usize..30_000, 1..5),
        ) {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let mut gather = narrow(widths);
            let mut expected = Vec::new();
            let mut next = 0u8;
            runtime.block_on(async {
                for (parts, flush) in writes {
                    for length in parts {
                        next = next.wrapping_add(1);
                        let part = vec![next; length];
                        gather.write_all(&part).await.unwrap();
                        expected.extend_from_slice(&part);
                        let two = [IoSlice::new(&part[..length / 2]), IoSlice::new(&part[length / 2..])];
                        let taken = gather.write_vectored(&two).await.unwrap();
                        expected.extend_from_slice(&part[..taken]);
                    }
                    if flush {
                        gather.flush().await.unwrap();
                    }
                }
                gather.flush().await.unwrap();
            });
            prop_assert!(gather.get_ref().taken == expected);
        }
    }
}
