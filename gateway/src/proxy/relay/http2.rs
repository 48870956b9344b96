//! Clients of HTTP/2: one stream of a connection, which Pingora frames.

use bytes::{Bytes, BytesMut};
use http::{HeaderName, Method, StatusCode, header};
use pingora_core::{protocols::http::v2::server::HttpSession, server::ShutdownWatch};
use pingora_error::{ErrorType, OrErr, Result};
use pingora_http::{RequestHeader, ResponseHeader};

use super::{Relay, Way, answer::Framing, client::Client, lines::Lines, message::Message};
use crate::{
    downstream::is_of_the_hop,
    proxy::{Arrival, CLIENT_IO_TIMEOUT, Context, GatewayProxy, grpc},
};

/// A client, for one stream.
pub(super) struct Http2<'a>(&'a mut HttpSession);

// === impl GatewayProxy ===

impl GatewayProxy {
    /// Serves a stream, unless it is for Pingora's way; then it is as it was, and the answer is false.
    pub(crate) async fn relay_stream(
        &self,
        session: &mut HttpSession,
        stopping: &ShutdownWatch,
    ) -> bool {
        let mut client = Http2(session);
        let Some((relay, way)) = self.take_stream(&mut client) else {
            return false;
        };
        if !relay.serve(way, stopping).await {
            session.shutdown();
        }
        true
    }

    fn take_stream<'a, 'b>(
        &'a self,
        client: &'a mut Http2<'b>,
    ) -> Option<(Box<Relay<'a, Http2<'b>>>, Way)> {
        let session = &mut *client.0;
        if !is_plain(session) {
            return None;
        }
        let empty = RequestHeader::build_no_case(Method::GET, b"/", None).ok()?;
        let mut ctx = Context::new(self.exchanges.enter());
        let way = self.way(&Arrival::of_stream(session), &[], &mut ctx)?;
        let header = std::mem::replace(session.req_header_mut(), empty);
        session.set_write_timeout(Some(CLIENT_IO_TIMEOUT));
        Some((Relay::new(self, client, Message::of(header), ctx), way))
    }
}

/// Whether a request asks for an answer and nothing else. Calls of gRPC have trailers.
fn is_plain(session: &HttpSession) -> bool {
    let request = session.req_header();
    let is_of_hop =
        |name: &HeaderName| *name != header::TE && is_of_the_hop(name.as_str().as_bytes());
    matches!(request.method, Method::GET | Method::HEAD)
        && session.is_body_empty()
        && !grpc::is_call(request)
        && !request.headers.keys().any(is_of_hop)
}

// === impl Http2 ===

impl Client for Http2<'_> {
    type Head = Box<ResponseHeader>;

    const TAKES_CHUNKS: bool = false;

    fn close(&mut self) {}

    fn prepare(
        &self,
        status: StatusCode,
        _reason: &str,
        lines: Lines<'_>,
        _framing: Framing,
    ) -> Result<Box<ResponseHeader>> {
        let mut head = ResponseHeader::build_no_case(status, Some(lines.count()))?;
        for (name, value) in lines.fields() {
            let name = HeaderName::from_bytes(name);
            let name = name.or_err(ErrorType::InvalidHTTPHeader, "a field of the answer")?;
            head.append_header(name, value)?;
        }
        Ok(Box::new(head))
    }

    async fn interim(&mut self, _head: Box<ResponseHeader>) -> Result<()> {
        // The library for HTTP/2 has no way to send one.
        Ok(())
    }

    async fn begin(&mut self, head: Box<ResponseHeader>, framing: Framing) -> Result<()> {
        let is_last = matches!(framing, Framing::None | Framing::Length(0));
        let begun = self.0.write_response_header(head, is_last);
        begun.map_err(|error| error.into_down())
    }

    async fn pass(&mut self, received: &mut BytesMut, count: usize, is_last: bool) -> Result<()> {
        self.send(received.split_to(count).freeze(), is_last).await
    }

    async fn send(&mut self, piece: Bytes, is_last: bool) -> Result<()> {
        let sent = self.0.write_body(piece, is_last).await;
        sent.map_err(|error| error.into_down())
    }

    async fn flush(&mut self) -> Result<()> {
        Ok(())
    }

    async fn end(&mut self) -> Result<()> {
        self.0.finish().map_err(|error| error.into_down())
    }

    async fn gone(&mut self) {
        // A reset, or the end of the connection.
        let _ = self.0.idle().await;
    }
}
