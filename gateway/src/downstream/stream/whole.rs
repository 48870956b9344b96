//! A request that has come whole can be taken out of the stream with one move, instead of being read through it.

use std::{future::poll_fn, io, net::SocketAddr, pin::Pin};

use bytes::{Bytes, BytesMut};
use pingora_core::protocols::Shutdown;
use tokio::io::{AsyncRead as _, ReadBuf};

use super::{ClientStream, Rest};
use crate::downstream::manner::Manner;

/// A plain request with all of its content, as it came. Its head has been checked.
#[derive(Debug)]
pub(crate) struct Whole {
    bytes: Bytes,
    head: usize,
    closes: bool,
}

// === impl Whole ===

impl Whole {
    /// Request line and fields, with the empty line at their end.
    pub(crate) fn head(&self) -> Bytes {
        self.bytes.slice(..self.head)
    }

    /// The content; mostly there is none.
    pub(crate) fn content(&self) -> &[u8] {
        &self.bytes[self.head..]
    }

    /// Whether the client says that this is its last request.
    pub(crate) fn closes(&self) -> bool {
        self.closes
    }
}

// === impl ClientStream ===

impl ClientStream {
    /// Takes the present request out, when it is plain and all of it has come. Otherwise it is to be read through the stream.
    pub(crate) fn take_whole(&mut self) -> Option<Whole> {
        let (Manner::Plain { closes }, Rest::Length(content)) = (self.manner, &self.rest) else {
            return None;
        };
        let head = self.released;
        let length = head.checked_add(usize::try_from(*content).ok()?)?;
        if head == 0 || self.received.len() < length {
            return None;
        }
        let bytes = if self.received.len() == length {
            // Without a split, which would make it shared memory.
            std::mem::take(&mut self.received)
        } else {
            self.received.split_to(length)
        };
        self.released = 0;
        self.rest = Rest::Length(0);
        Some(Whole {
            bytes: bytes.freeze(),
            head,
            closes,
        })
    }

    /// Gives a request back to be read through the stream, as if it had not been taken.
    pub(crate) fn put_back(&mut self, whole: Whole) {
        let mut received = BytesMut::with_capacity(whole.bytes.len() + self.received.len());
        received.extend_from_slice(&whole.bytes);
        received.extend_from_slice(&self.received);
        self.received = received;
        self.released = whole.head;
        self.rest = Rest::Length(whole.content().len() as u64);
    }

    /// Waits until the client is gone, after its request has been taken. What it sends meanwhile is its next request and is kept.
    pub(crate) async fn gone(&mut self) {
        let mut nothing = [0; 1];
        let mut out = ReadBuf::new(&mut nothing);
        // An error is an end as well.
        let _: io::Result<()> = poll_fn(|cx| Pin::new(&mut *self).poll_read(cx, &mut out)).await;
    }

    /// Ends the connection after the last answer.
    pub(crate) async fn close(&mut self) {
        Shutdown::shutdown(self).await;
    }

    /// Address of the listener.
    pub(crate) fn local(&self) -> SocketAddr {
        self.local
    }

    /// Whether the connection has TLS.
    pub(crate) fn is_secure(&self) -> bool {
        self.tls.is_some()
    }
}
