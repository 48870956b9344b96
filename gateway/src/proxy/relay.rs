//! A shorter way for plain requests of HTTP/1, beside Pingora's.
//!
//! ```text
//! whole request ─▶ decide ─┬─ service ─▶ follow ─▶ pass ─▶ choose ─▶ connect ─▶ ask ─▶ head of the answer ─▶ content ─▶ finish
//!      │                   │                                 ▲                    │                                      ▲
//!      │                   │                                 └──── again, if so ◀─┘                                      │
//!      └─────── declined ◀─┼─ kept ────▶ follow ─────────────────────────────────────▶ head and content of the object ───┤
//!                          └─ folder ────────────────────────────────────────────────▶ head and content of the file ─────┘
//! ```
//!
//! Most requests are plain: HTTP/1.1, no content or content that has come whole with the head, to a service that speaks HTTP/1 and is not
//! cached, or to something that the gateway has itself: a fresh object of the cache, a file. For them Pingora's sessions, channels and maps
//! of headers cost more than the work itself (`docs/performance.md`). Everything that decides is the same code for both ways: admission,
//! policies, choice of the endpoint, retries, what is changed in the fields, metrics and log. Only the moving of bytes is here: `message`
//! is the request, `exchange` one attempt, `answer` the head that comes back, `content` what follows it, `lines` the fields of both, `kept`
//! and `folder` the answers that need no service.
//!
//! What is not plain is declined before anything has been done for it, and takes Pingora's way: content that is still coming, tunnels,
//! HTTP/2, what a cache has to decide about, redirects, refusals. Why there are two ways: `docs/adr/0012-relay.md`.

mod answer;
mod content;
mod exchange;
mod failure;
mod folder;
mod head;
mod kept;
mod lines;
mod message;
#[cfg(any(test, fuzzing))]
pub(crate) mod properties;

use std::{path::Path, sync::Arc};

use catalog_api::Protocol;
use http::{Method, StatusCode};
use pingora_core::server::ShutdownWatch;
use pingora_error::{Error, Result};
use service_kit::http::RequestId;

use super::{
    Arrival, Context, Decision, GatewayProxy, ToService, access_log, access_log::Exchanged, passing,
};
use crate::{
    downstream::{ClientStream, Whole},
    error::GatewayError,
    metrics::CacheResult,
    route::Route,
};
use kept::Kept;
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

/// Who answers a plain request.
#[derive(Debug)]
enum Way {
    /// A service.
    Service(ToService),
    /// The cache, with what a service answered before.
    Kept(ToService, Kept),
    /// A folder.
    Folder(Arc<Route>, Arc<Path>),
}

/// A plain request on its way.
struct Relay<'a> {
    proxy: &'a GatewayProxy,
    stream: &'a mut ClientStream,
    message: Message,
    whole: Whole,
    ctx: Context,
    sent: Sent,
    /// What the cache did, if it was asked.
    cached: Option<CacheResult>,
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
        let way = match self.decide(&arrival, &mut ctx) {
            Ok(Decision::Service(to)) => self.way_to(to, &message, &whole, &ctx),
            Ok(Decision::Files(route, folder)) => Some(Way::Folder(route, folder)),
            _ => None,
        };
        let Some(way) = way else {
            return Relayed::Declined(whole);
        };
        self.metrics.relayed();
        ctx.request_id = Some(RequestId::from_headers(&message.header.headers));
        let closes = is_last || whole.closes();
        Relay {
            proxy: self,
            stream,
            message,
            whole,
            ctx,
            sent: Sent::default(),
            cached: None,
            closes,
        }
        .serve(way, stopping)
        .await
    }

    fn way_to(
        &self,
        to: ToService,
        message: &Message,
        whole: &Whole,
        ctx: &Context,
    ) -> Option<Way> {
        let policy = to.pool.policy();
        match self.cache.filter(|_| policy.cache.is_some()) {
            None => (policy.protocol == Protocol::Http1 && !to.upgrade).then_some(Way::Service(to)),
            Some(cache) if whole.content().is_empty() => {
                let kept = Kept::find(cache, &to, &ctx.origin, &message.header)?;
                Some(Way::Kept(to, kept))
            }
            Some(_) => None,
        }
    }
}

// === impl Relay ===

impl Relay<'_> {
    async fn serve(mut self, way: Way, stopping: &ShutdownWatch) -> Relayed {
        let failed = self.answer(way, stopping).await;
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

    async fn answer(&mut self, way: Way, stopping: &ShutdownWatch) -> Result<()> {
        match way {
            Way::Service(to) => {
                self.ctx.follow(to);
                match self.admit() {
                    Ok(()) => self.exchange(stopping).await,
                    Err(refused) => self.refuse(refused, stopping).await,
                }
            }
            Way::Kept(to, kept) => {
                self.ctx.follow(to);
                match self.take_rate() {
                    Ok(()) => self.answer_kept(&kept, stopping).await,
                    Err(refused) => self.refuse(refused, stopping).await,
                }
            }
            Way::Folder(route, folder) => {
                self.ctx.route = Some(route);
                self.answer_file(&folder, stopping).await
            }
        }
    }

    fn take_rate(&self) -> Result<(), GatewayError> {
        passing::take_rate(&self.message.header, &self.ctx, &self.proxy.rates)
    }

    fn admit(&mut self) -> Result<(), GatewayError> {
        self.take_rate()?;
        passing::pass(&mut self.ctx)
    }

    fn is_head(&self) -> bool {
        self.message.header.method == Method::HEAD
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
            cached: self.cached,
            is_of_client: true,
        };
        access_log::finish(&exchanged, &mut self.ctx, self.proxy);
    }
}
