//! Clients of HTTP/1.1.

use bytes::{Buf as _, Bytes, BytesMut};
use http::{HeaderValue, StatusCode, header};
use pingora_core::{protocols::http::date, server::ShutdownWatch};
use pingora_error::{Error, ErrorType, Result};
use tokio::io::AsyncWriteExt as _;

use super::{
    Relay, Way,
    answer::Framing,
    client::Client,
    lines::Lines,
    message::{self, Message},
};
use crate::{
    downstream::{ClientStream, Whole},
    proxy::{Arrival, CLIENT_IO_TIMEOUT, Context, GatewayProxy, fields::Fields as _},
};

/// Ends a message in chunks: the last of them, and no trailers.
const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

/// What became of a request that was offered.
#[derive(Debug)]
pub(crate) enum Relayed {
    /// It is not plain, and nothing has been done with it.
    Declined(Whole),
    /// It was answered, and the client may send another one.
    Answered,
    /// The connection is over.
    Over,
}

/// A client, for one request.
pub(super) struct Http1<'a> {
    stream: &'a mut ClientStream,
    /// Whether the connection ends with the answer.
    closes: bool,
    framing: Framing,
}

// === impl GatewayProxy ===

impl GatewayProxy {
    /// Serves a request that has come whole, unless it is for Pingora's way. `is_last` when the connection has had enough requests.
    pub(crate) async fn relay(
        &self,
        stream: &mut ClientStream,
        whole: Whole,
        is_last: bool,
        stopping: &ShutdownWatch,
    ) -> Relayed {
        let mut client = Http1 {
            closes: is_last || whole.closes(),
            stream,
            framing: Framing::None,
        };
        let (relay, way) = match self.take_whole(&mut client, whole) {
            Ok(taken) => taken,
            Err(whole) => return Relayed::Declined(whole),
        };
        let served = relay.serve(way, stopping).await;
        if client.closes || !served {
            client.stream.close().await;
            return Relayed::Over;
        }
        Relayed::Answered
    }

    fn take_whole<'a, 'b>(
        &'a self,
        client: &'a mut Http1<'b>,
        whole: Whole,
    ) -> Result<(Box<Relay<'a, Http1<'b>>>, Way), Whole> {
        let Some(header) = message::read(&whole.head()) else {
            return Err(whole);
        };
        let arrival = Arrival {
            header: &header,
            listener: Some(client.stream.local()),
            peer: Some(client.stream.peer()),
            by_tls: client.stream.is_secure(),
        };
        let mut ctx = Context::new(self.exchanges.enter());
        let Some(way) = self.way(&arrival, whole.content(), &mut ctx) else {
            return Err(whole);
        };
        let message = Message::received(header, whole);
        Ok((Relay::new(self, client, message, ctx), way))
    }
}

// === impl Http1 ===

impl Http1<'_> {
    async fn write(&mut self, bytes: &[u8]) -> Result<()> {
        let writing = self.stream.write_all(bytes);
        sent(pingora_timeout::timeout(CLIENT_IO_TIMEOUT, writing).await)
    }

    /// Writes a piece of content. What only the end of its connection ended gets chunks, so that the client's connection can go on.
    async fn write_content(&mut self, piece: &[u8]) -> Result<()> {
        if self.framing != Framing::UntilClose {
            return self.write(piece).await;
        }
        let size = format!("{:x}\r\n", piece.len());
        self.write(size.as_bytes()).await?;
        self.write(piece).await?;
        self.write(b"\r\n").await
    }
}

impl Client for Http1<'_> {
    type Head = Vec<u8>;

    const TAKES_CHUNKS: bool = true;

    fn close(&mut self) {
        self.closes = true;
    }

    fn prepare(
        &self,
        status: StatusCode,
        reason: &str,
        mut lines: Lines<'_>,
        framing: Framing,
    ) -> Result<Vec<u8>> {
        if !status.is_informational() {
            complete(&mut lines, framing, !self.closes)?;
        }
        Ok(write_head(status, reason, &lines))
    }

    async fn interim(&mut self, head: Vec<u8>) -> Result<()> {
        self.write(&head).await?;
        self.flush().await
    }

    async fn begin(&mut self, head: Vec<u8>, framing: Framing) -> Result<()> {
        self.framing = framing;
        self.write(&head).await
    }

    async fn pass(&mut self, received: &mut BytesMut, count: usize, _is_last: bool) -> Result<()> {
        self.write_content(&received[..count]).await?;
        received.advance(count);
        Ok(())
    }

    async fn send(&mut self, piece: Bytes, _is_last: bool) -> Result<()> {
        self.write_content(&piece).await
    }

    async fn flush(&mut self) -> Result<()> {
        let flushing = self.stream.flush();
        sent(pingora_timeout::timeout(CLIENT_IO_TIMEOUT, flushing).await)
    }

    async fn end(&mut self) -> Result<()> {
        match self.framing {
            Framing::None | Framing::Length(_) => {}
            // The last chunk came from the service, without what might follow it.
            Framing::Chunked => self.write(b"\r\n").await?,
            Framing::UntilClose => self.write(LAST_CHUNK).await?,
        }
        self.flush().await
    }

    async fn gone(&mut self) {
        self.stream.gone().await;
    }
}

/// Adds what an answer says about itself and its connection, whoever it comes from.
pub(super) fn complete(lines: &mut Lines<'_>, framing: Framing, stays_open: bool) -> Result<()> {
    if lines.values(&header::DATE).next().is_none() {
        // RFC 9110 §6.6.1: who receives an answer without a date may add it.
        lines.append(header::DATE, date::get_cached_date())?;
    }
    let word = if stays_open { "keep-alive" } else { "close" };
    lines.set(header::CONNECTION, HeaderValue::from_static(word))?;
    if framing == Framing::UntilClose {
        let chunked = HeaderValue::from_static("chunked");
        lines.set(header::TRANSFER_ENCODING, chunked)?;
    }
    Ok(())
}

/// Status line and fields. An intermediary sends its own version (RFC 9110 §2.5).
pub(super) fn write_head(status: StatusCode, reason: &str, lines: &Lines<'_>) -> Vec<u8> {
    const VERSION: &[u8] = b"HTTP/1.1 ";
    let length = VERSION.len() + "200 \r\n\r\n".len() + reason.len() + lines.length();
    let mut out = Vec::with_capacity(length);
    out.extend_from_slice(VERSION);
    out.extend_from_slice(status.as_str().as_bytes());
    out.push(b' ');
    out.extend_from_slice(reason.as_bytes());
    out.extend_from_slice(b"\r\n");
    lines.write(&mut out);
    out.extend_from_slice(b"\r\n");
    out
}

fn sent(outcome: Result<std::io::Result<()>, pingora_timeout::Elapsed>) -> Result<()> {
    let error = match outcome {
        Ok(Ok(())) => return Ok(()),
        Ok(Err(error)) => Error::because(ErrorType::WriteError, "sending to the client", error),
        Err(_) => Error::explain(ErrorType::WriteTimedout, "sending to the client"),
    };
    Err(error.into_down())
}
