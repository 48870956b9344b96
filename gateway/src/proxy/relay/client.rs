//! The side of the client: how an answer goes there, in either protocol.

use bytes::{Bytes, BytesMut};
use http::StatusCode;
use pingora_error::Result;

use super::{answer::Framing, lines::Lines};

/// Who asked. All waits for a client have limits; their errors say that it is the client who failed.
pub(super) trait Client {
    /// A head that is ready to be sent.
    type Head;

    /// Whether chunks go on as the service framed them.
    const TAKES_CHUNKS: bool;

    /// The answer that is being prepared is the last one of its connection, where a connection has one at a time.
    fn close(&mut self);

    /// Makes a head of what the service, or the gateway itself, says.
    ///
    /// # Errors
    /// It cannot be said in this protocol.
    fn prepare(
        &self,
        status: StatusCode,
        reason: &str,
        lines: Lines<'_>,
        framing: Framing,
    ) -> Result<Self::Head>;

    /// Sends an interim head, where the protocol lets us.
    async fn interim(&mut self, head: Self::Head) -> Result<()>;

    /// Begins the answer.
    async fn begin(&mut self, head: Self::Head, framing: Framing) -> Result<()>;

    /// Sends the first `count` bytes of what was received, and takes them out.
    async fn pass(&mut self, received: &mut BytesMut, count: usize, is_last: bool) -> Result<()>;

    /// Sends a piece of content that is kept.
    async fn send(&mut self, piece: Bytes, is_last: bool) -> Result<()>;

    /// What was sent goes out now, also if it is little.
    async fn flush(&mut self) -> Result<()>;

    /// Ends the answer.
    async fn end(&mut self) -> Result<()>;

    /// Waits until the client is gone.
    async fn gone(&mut self);
}
