//! What follows the head of an answer, passed on piece by piece: no piece is taken from the service before the client has the one before.

use std::time::Instant;

use bytes::Buf as _;
use pingora_error::{Error, ErrorType, Result};
use tokio::io::AsyncWriteExt as _;

use super::{Relay, answer::Framing, exchange::Service};
use crate::{
    downstream::ChunkScanner, error::GatewayError, files::PIECE_BYTES, proxy::CLIENT_IO_TIMEOUT,
};

/// Ends a message in chunks: the last of them, and no trailers.
const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

// === impl Relay ===

impl Relay<'_> {
    /// Passes the content on. The head, which was written before, goes with the first piece.
    ///
    /// # Errors
    /// The service broke off, the client is gone, or the time is over.
    pub(super) async fn pass_content(
        &mut self,
        service: &mut Service,
        framing: Framing,
    ) -> Result<()> {
        match framing {
            Framing::None => self.flush().await,
            Framing::Length(length) => self.pass_length(service, length).await,
            Framing::Chunked => self.pass_chunks(service).await,
            Framing::UntilClose => self.pass_rest(service).await,
        }
    }

    async fn pass_length(&mut self, service: &mut Service, length: u64) -> Result<()> {
        let mut left = length;
        loop {
            let waiting = service.received.len();
            let piece = usize::try_from(left).map_or(waiting, |left| left.min(waiting));
            if piece > 0 {
                self.in_time()?;
                self.write(&service.received[..piece]).await?;
                service.received.advance(piece);
                left -= piece as u64;
                self.sent.bytes += piece as u64;
                self.flush().await?;
            }
            if left == 0 {
                return self.flush().await;
            }
            self.receive(service).await?;
        }
    }

    /// The chunks go on as they are. Trailers do not: whoever merges them into the fields would take them for the service's.
    async fn pass_chunks(&mut self, service: &mut Service) -> Result<()> {
        let mut scanner = ChunkScanner::default();
        loop {
            let chunks = scanner.scan_chunks(&service.received).map_err(broken)?;
            if chunks > 0 {
                self.in_time()?;
                self.write(&service.received[..chunks]).await?;
                service.received.advance(chunks);
                self.sent.bytes = scanner.data_bytes();
            }
            let trailers = scanner.scan(&service.received).map_err(broken)?;
            service.received.advance(trailers);
            if scanner.is_done() {
                self.write(b"\r\n").await?;
                return self.flush().await;
            }
            self.flush().await?;
            self.receive(service).await?;
        }
    }

    /// The end of the connection ends the answer; the client gets chunks, so that its own can go on.
    async fn pass_rest(&mut self, service: &mut Service) -> Result<()> {
        loop {
            let piece = service.received.len();
            if piece > 0 {
                self.in_time()?;
                self.write(format!("{piece:x}\r\n").as_bytes()).await?;
                self.write(&service.received).await?;
                self.write(b"\r\n").await?;
                service.received.clear();
                self.sent.bytes += piece as u64;
            }
            self.flush().await?;
            if service.receive(self.stream).await? == 0 {
                self.write(LAST_CHUNK).await?;
                return self.flush().await;
            }
        }
    }

    async fn receive(&mut self, service: &mut Service) -> Result<()> {
        match service.receive(self.stream).await? {
            0 => Err(broken("it ended too early")),
            _ => Ok(()),
        }
    }

    /// Sends content that is in memory. The time limit of writing is for each piece.
    ///
    /// # Errors
    /// The client is gone, or too slow.
    pub(super) async fn send_content(&mut self, content: &[u8]) -> Result<()> {
        if self.is_head() {
            return Ok(());
        }
        for piece in content.chunks(PIECE_BYTES as usize) {
            self.in_time()?;
            self.write(piece).await?;
            self.sent.bytes += piece.len() as u64;
        }
        Ok(())
    }

    /// Whether there is time left, before more of an answer is taken.
    pub(super) fn in_time(&mut self) -> Result<()> {
        match self.ctx.deadline {
            Some(deadline) if Instant::now() > deadline => {
                Err(self.ctx.fail(GatewayError::DeadlineExceeded))
            }
            _ => Ok(()),
        }
    }

    /// Writes to the client; small pieces wait for the next flush.
    pub(super) async fn write(&mut self, bytes: &[u8]) -> Result<()> {
        let writing = self.stream.write_all(bytes);
        sent(pingora_timeout::timeout(CLIENT_IO_TIMEOUT, writing).await)
    }

    pub(super) async fn flush(&mut self) -> Result<()> {
        let flushing = self.stream.flush();
        sent(pingora_timeout::timeout(CLIENT_IO_TIMEOUT, flushing).await)
    }
}

fn sent(outcome: Result<std::io::Result<()>, pingora_timeout::Elapsed>) -> Result<()> {
    let error = match outcome {
        Ok(Ok(())) => return Ok(()),
        Ok(Err(error)) => Error::because(ErrorType::WriteError, "sending to the client", error),
        Err(_) => Error::explain(ErrorType::WriteTimedout, "sending to the client"),
    };
    Err(error.into_down())
}

fn broken(why: impl ToString) -> Box<Error> {
    Error::explain(ErrorType::ReadError, why.to_string()).into_up()
}
