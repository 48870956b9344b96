//! A shorter way for plain requests, beside Pingora's.
//!
//! ```text
//! whole request ─▶ decide ─┬─ service ─▶ follow ─▶ pass ─▶ choose ─▶ connect ─▶ ask ─▶ head of the answer ─▶ content ─▶ finish
//!      │                   │                                 ▲                    │                                      ▲
//!      │                   │                                 └──── again, if so ◀─┘                                      │
//!      └─────── declined ◀─┼─ kept ────▶ follow ─────────────────────────────────────▶ head and content of the object ───┤
//!                          └─ folder ────────────────────────────────────────────────▶ head and content of the file ─────┘
//! ```
//!
//! Most requests are plain: no content or, in HTTP/1.1, content that has come whole with the head, to a service that speaks HTTP/1 and is
//! not cached, or to something that the gateway has itself: a fresh object of the cache, a file. For them Pingora's sessions, channels and
//! maps of headers cost more than the work itself (`docs/performance.md`). Everything that decides is the same code for both ways:
//! admission, policies, choice of the endpoint, retries, what is changed in the fields, metrics and log. Only the moving of bytes is here:
//! `message` is the request, `exchange` one attempt, `answer` the head that comes back, `content` what follows it, `lines` the fields of
//! both, `kept` and `folder` the answers that need no service, `client` who asked, over `http1` or a stream of `http2`.
//!
//! What is not plain is declined before anything has been done for it, and takes Pingora's way: content that is still coming, tunnels,
//! gRPC, what a cache has to decide about, redirects, refusals. Why there are two ways: `docs/adr/0012-relay.md`.

mod answer;
mod client;
mod content;
mod exchange;
mod failure;
mod folder;
mod http1;
mod http2;
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
use pingora_http::RequestHeader;
use service_kit::http::RequestId;

use super::{
    Arrival, Context, Decision, GatewayProxy, Origin, ToService, access_log, access_log::Exchanged,
    passing,
};
use crate::{error::GatewayError, metrics::CacheResult, route::Route};
use client::Client;
use kept::Kept;
use message::Message;

pub(crate) use http1::Relayed;

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
struct Relay<'a, C> {
    proxy: &'a GatewayProxy,
    client: &'a mut C,
    message: Message,
    ctx: Context,
    sent: Sent,
    /// What the cache did, if it was asked.
    cached: Option<CacheResult>,
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
    /// Where a request with this content goes; none when it is for Pingora's way.
    fn way(&self, arrival: &Arrival<'_>, content: &[u8], ctx: &mut Context) -> Option<Way> {
        match self.decide(arrival, ctx) {
            Ok(Decision::Service(to)) => self.way_to(to, arrival.header, content, &ctx.origin),
            Ok(Decision::Files(route, folder)) => Some(Way::Folder(route, folder)),
            _ => None,
        }
    }

    fn way_to(
        &self,
        to: ToService,
        request: &RequestHeader,
        content: &[u8],
        origin: &Origin,
    ) -> Option<Way> {
        let policy = to.pool.policy();
        match self.cache.filter(|_| policy.cache.is_some()) {
            None => (policy.protocol == Protocol::Http1 && !to.upgrade).then_some(Way::Service(to)),
            Some(cache) if content.is_empty() => {
                let kept = Kept::find(cache, &to, origin, request)?;
                Some(Way::Kept(to, kept))
            }
            Some(_) => None,
        }
    }
}

// === impl Relay ===

impl<'a, C: Client> Relay<'a, C> {
    /// In a box, which is handed on by its address: by value it would be copied into each future that it passes through.
    fn new(
        proxy: &'a GatewayProxy,
        client: &'a mut C,
        message: Message,
        mut ctx: Context,
    ) -> Box<Self> {
        proxy.metrics.relayed();
        ctx.request_id = Some(RequestId::from_headers(&message.header.headers));
        Box::new(Self {
            proxy,
            client,
            message,
            ctx,
            sent: Sent::default(),
            cached: None,
        })
    }

    /// Answers whether all went well: otherwise the client may have got a part of an answer.
    async fn serve(mut self: Box<Self>, way: Way, stopping: &ShutdownWatch) -> bool {
        let failed = self.answer(way, stopping).await;
        if let Err(error) = &failed {
            self.fail(error).await;
        }
        self.account(failed.as_ref().err().map(|error| &**error));
        failed.is_ok()
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

    /// Once the gateway stops, each answer is the last one of its connection.
    fn close_if(&mut self, stopping: &ShutdownWatch) {
        if *stopping.borrow() {
            self.client.close();
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
            bytes_received: self.message.content().len(),
            bytes_sent: usize::try_from(self.sent.bytes).unwrap_or(usize::MAX),
            has_failed: failed.is_some(),
            cached: self.cached,
            is_of_client: true,
        };
        access_log::finish(&exchanged, &mut self.ctx, self.proxy);
    }
}
