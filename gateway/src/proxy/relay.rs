//! A shorter way for plain requests of HTTP/1, beside Pingora's.
//!
//! ```text
//! whole request ─▶ decide ─▶ follow ─▶ pass ─▶ choose ─▶ connect ─▶ ask ─▶ head of the answer ─▶ content ─▶ finish
//!      │              │                          ▲                    │
//!      └── declined ◀─┘                          └──── again, if so ◀─┘
//! ```
//!
//! Most requests are plain: HTTP/1.1, no content or content that has come whole with the head, to a service that speaks HTTP/1 and is not
//! cached. For them Pingora's sessions, channels and maps of headers cost more than the work itself (`docs/performance.md`). Everything
//! that decides is the same code for both ways: admission, policies, choice of the endpoint, retries, what is changed in the
//! fields, metrics and log. Only the moving of bytes is here: `message` is the request, `exchange` one attempt, `answer` the head that
//! comes back, `content` what follows it, `lines` the fields of both.
//!
//! What is not plain is declined before anything has been done for it, and takes Pingora's way: content that is still coming, tunnels,
//! HTTP/2, caches, files, redirects, refusals. Why there are two ways: `docs/adr/0012-relay.md`.

mod answer;
mod content;
mod exchange;
mod failure;
mod lines;
mod message;
#[cfg(any(test, fuzzing))]
pub(crate) mod properties;

use catalog_api::Protocol;
use http::StatusCode;
use pingora_core::server::ShutdownWatch;
use pingora_error::Error;
use service_kit::http::RequestId;

use super::{
    Arrival, Context, Decision, GatewayProxy, ToService, access_log, access_log::Exchanged, passing,
};
use crate::{
    downstream::{ClientStream, Whole},
    error::GatewayError,
};
use message::Message;

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

/// A plain request on its way.
struct Relay<'a> {
    proxy: &'a GatewayProxy,
    stream: &'a mut ClientStream,
    message: Message,
    whole: Whole,
    ctx: Context,
    sent: Sent,
    /// Whether the connection to the client ends with the answer.
    closes: bool,
}

/// What the client has got so far.
#[derive(Debug, Default)]
struct Sent {
    /// Status of the last head, interim ones included.
    status: Option<StatusCode>,
    /// Bytes of content.
    bytes: u64,
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
        let Some(message) = Message::read(&whole) else {
            return Relayed::Declined(whole);
        };
        let mut ctx = Context::new(self.exchanges.enter());
        let arrival = Arrival {
            header: &message.header,
            listener: Some(stream.local()),
            peer: Some(stream.peer()),
            by_tls: stream.is_secure(),
        };
        let to = match self.decide(&arrival, &mut ctx) {
            Ok(Decision::Service(to)) if self.is_plain(&to) => to,
            _ => return Relayed::Declined(whole),
        };
        self.metrics.relayed();
        ctx.request_id = Some(RequestId::from_headers(&message.header.headers));
        ctx.follow(to);
        let closes = is_last || whole.closes();
        Relay {
            proxy: self,
            stream,
            message,
            whole,
            ctx,
            sent: Sent::default(),
            closes,
        }
        .serve(stopping)
        .await
    }

    fn is_plain(&self, to: &ToService) -> bool {
        let policy = to.pool.policy();
        let is_cached = self.cache.is_some() && policy.cache.is_some();
        policy.protocol == Protocol::Http1 && !to.upgrade && !is_cached
    }
}

// === impl Relay ===

impl Relay<'_> {
    async fn serve(mut self, stopping: &ShutdownWatch) -> Relayed {
        let failed = match self.admit() {
            Ok(()) => self.exchange(stopping).await,
            Err(refused) => self.refuse(refused, stopping).await,
        };
        if let Err(error) = &failed {
            self.fail(error).await;
        }
        self.account(failed.as_ref().err().map(|error| &**error));
        if self.closes || failed.is_err() {
            self.stream.close().await;
            return Relayed::Over;
        }
        Relayed::Answered
    }

    fn admit(&mut self) -> Result<(), GatewayError> {
        passing::take_rate(&self.message.header, &self.ctx, &self.proxy.rates)?;
        passing::pass(&mut self.ctx)
    }

    fn account(&mut self, failed: Option<&Error>) {
        let header = &self.message.header;
        let exchanged = Exchanged {
            method: &header.method,
            path: header.uri.path(),
            headers: &header.headers,
            status: self.sent.status.map(|status| status.as_u16()),
            bytes_received: self.whole.content().len(),
            bytes_sent: usize::try_from(self.sent.bytes).unwrap_or(usize::MAX),
            has_failed: failed.is_some(),
            cached: None,
            is_of_client: true,
        };
        access_log::finish(&exchanged, &mut self.ctx, self.proxy);
    }
}
