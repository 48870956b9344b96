//! What follows the head of an answer, passed on piece by piece: no piece is taken from the service before the client has the one before.

use std::time::Instant;

use bytes::{Buf as _, Bytes};
use http::StatusCode;
use pingora_error::{Error, ErrorType, Result};

use super::{Relay, answer::Framing, client::Client, exchange::Service, lines::Lines};
use crate::{downstream::ChunkScanner, error::GatewayError, files::PIECE_BYTES};

// === impl Relay ===

impl<C: Client> Relay<'_, C> {
    /// Passes the content on. The head, which was sent before, goes with the first piece.
    ///
    /// # Errors
    /// The service broke off, the client is gone, or the time is over.
    pub(super) async fn pass_content(
        &mut self,
        service: &mut Service,
        framing: Framing,
    ) -> Result<()> {
        match framing {
            Framing::None => {}
            Framing::Length(length) => self.pass_length(service, length).await?,
            Framing::Chunked if C::TAKES_CHUNKS => self.pass_chunks(service).await?,
            Framing::Chunked => self.pass_data_of_chunks(service).await?,
            Framing::UntilClose => self.pass_rest(service).await?,
        }
        self.client.end().await
    }

    async fn pass_length(&mut self, service: &mut Service, length: u64) -> Result<()> {
        let mut left = length;
        while left > 0 {
            let waiting = service.received.len();
            let piece = usize::try_from(left).map_or(waiting, |left| left.min(waiting));
            if piece > 0 {
                left -= piece as u64;
                self.pass(service, piece, left == 0).await?;
                self.sent.bytes += piece as u64;
                self.client.flush().await?;
            } else {
                self.receive(service).await?;
            }
        }
        Ok(())
    }

    /// The chunks go on as they are. Trailers do not: whoever merges them into the fields would take them for the service's.
    async fn pass_chunks(&mut self, service: &mut Service) -> Result<()> {
        let mut scanner = ChunkScanner::default();
        loop {
            let chunks = scanner.scan_chunks(&service.received).map_err(broken)?;
            if chunks > 0 {
                self.pass(service, chunks, false).await?;
                self.sent.bytes = scanner.data_bytes();
            }
            let trailers = scanner.scan(&service.received).map_err(broken)?;
            service.received.advance(trailers);
            if scanner.is_done() {
                return Ok(());
            }
            self.client.flush().await?;
            self.receive(service).await?;
        }
    }

    /// Only what is in the chunks goes on.
    async fn pass_data_of_chunks(&mut self, service: &mut Service) -> Result<()> {
        let mut scanner = ChunkScanner::default();
        loop {
            let framing = scanner.scan_framing(&service.received).map_err(broken)?;
            service.received.advance(framing);
            if scanner.is_done() {
                return Ok(());
            }
            let data = scanner.scan_data(&service.received).map_err(broken)?;
            if data > 0 {
                self.pass(service, data, false).await?;
                self.sent.bytes = scanner.data_bytes();
            } else {
                self.client.flush().await?;
                self.receive(service).await?;
            }
        }
    }

    /// The end of the connection ends the answer.
    async fn pass_rest(&mut self, service: &mut Service) -> Result<()> {
        loop {
            let piece = service.received.len();
            if piece > 0 {
                self.pass(service, piece, false).await?;
                self.sent.bytes += piece as u64;
            }
            self.client.flush().await?;
            if service.receive(self.client).await? == 0 {
                return Ok(());
            }
        }
    }

    async fn pass(&mut self, service: &mut Service, count: usize, is_last: bool) -> Result<()> {
        self.in_time()?;
        self.client
            .pass(&mut service.received, count, is_last)
            .await
    }

    async fn receive(&mut self, service: &mut Service) -> Result<()> {
        match service.receive(self.client).await? {
            0 => Err(broken("it ended too early")),
            _ => Ok(()),
        }
    }

    /// Begins an answer that the gateway has itself, with `length` bytes of content.
    ///
    /// # Errors
    /// The client is gone, or too slow.
    pub(super) async fn begin_own(
        &mut self,
        status: StatusCode,
        reason: &str,
        lines: Lines<'_>,
        length: u64,
    ) -> Result<()> {
        let framing = match length {
            0 => Framing::None,
            _ if self.is_head() => Framing::None,
            length => Framing::Length(length),
        };
        self.sent.status = Some(status);
        let head = self.client.prepare(status, reason, lines, framing)?;
        self.client.begin(head, framing).await
    }

    /// Sends content of an own answer, and ends it when this is the last of it. The time limit of writing is for each piece.
    ///
    /// # Errors
    /// The client is gone, or too slow.
    pub(super) async fn send_own(&mut self, mut content: Bytes, is_last: bool) -> Result<()> {
        while !content.is_empty() && !self.is_head() {
            let piece = content.split_to(content.len().min(PIECE_BYTES as usize));
            let length = piece.len() as u64;
            self.in_time()?;
            self.client
                .send(piece, is_last && content.is_empty())
                .await?;
            self.sent.bytes += length;
        }
        if is_last {
            self.client.end().await?;
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
}

fn broken(why: impl ToString) -> Box<Error> {
    Error::explain(ErrorType::ReadError, why.to_string()).into_up()
}
