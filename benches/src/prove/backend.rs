//! The instances behind the gateway. Each answers requests, tunnels and streams, counts what is under way, and knows when nothing may
//! come any more.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use anyhow::{Result, bail};
use bytes::Bytes;
use futures_util::stream;
use http::{Request, Response, StatusCode, header};
use http_body_util::BodyExt as _;
use hyper::{body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
};
use service_kit::{
    BoxError,
    http::{Body, body},
};
use tokio::{net::TcpListener, sync::watch, task::JoinHandle};

use super::{
    ledger::Ledger,
    message::{self, Message, Sender},
    sequence::Sequence,
};

/// Where the health checks ask, with or without a query.
pub(super) const HEALTH_PATH: &str = "/health";
/// Field by which a client knows its answer again.
pub(super) const TAG: &str = "x-proof";
/// Path of streams of events, below the service's own. `?events=` says how many; without it the stream goes on until the end of the run.
pub(super) const EVENTS: &str = "events";
/// Name of the event with which a stream ends.
pub(super) const LAST_EVENT: &str = "last";

/// How long an instance that has left still listens, so that a request that comes too late is found out.
const GHOST_TIME: Duration = Duration::from_millis(500);

/// A running instance.
#[derive(Debug)]
pub(super) struct Instance {
    pub(super) id: String,
    pub(super) address: SocketAddr,
    state: Arc<State>,
    accepting: JoinHandle<()>,
}

#[derive(Debug)]
struct State {
    id: String,
    under_way: AtomicUsize,
    has_left: AtomicBool,
    /// Whether streams without a length have to end.
    ending: watch::Sender<bool>,
    ledger: Arc<Ledger>,
}

/// A request, tunnel or stream under way.
struct UnderWay(Arc<State>);

/// A stream of events until its end, or until it is dropped, which means that somebody broke it off.
struct Events {
    under_way: UnderWay,
    next: u64,
    /// None until the end of the run.
    count: Option<u64>,
    ending: watch::Receiver<bool>,
    is_over: bool,
}

// === impl Instance ===

impl Instance {
    pub(super) async fn start(id: String, ledger: Arc<Ledger>) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let state = Arc::new(State {
            id: id.clone(),
            under_way: AtomicUsize::new(0),
            has_left: AtomicBool::new(false),
            ending: watch::Sender::new(false),
            ledger,
        });
        Ok(Self {
            id,
            address: listener.local_addr()?,
            accepting: tokio::spawn(accept(listener, Arc::clone(&state))),
            state,
        })
    }

    /// Lets streams without a length come to their end.
    pub(super) fn end_streams(&self) {
        self.state.ending.send_replace(true);
    }

    /// Stops, as the catalog has taken it out: nothing may be under way, and nothing may come.
    pub(super) async fn leave(self) {
        let state = &self.state;
        state.has_left.store(true, Ordering::SeqCst);
        let cut = state.under_way.load(Ordering::SeqCst);
        if cut > 0 {
            state.fail(format_args!(
                "it was taken out with {cut} requests under way"
            ));
        }
        tokio::time::sleep(GHOST_TIME).await;
        self.accepting.abort();
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn accept(listener: TcpListener, state: Arc<State>) {
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            state.fail("it cannot accept a connection");
            return;
        };
        // A connection that is gone already shows by itself.
        let _ = stream.set_nodelay(true);
        let state = Arc::clone(&state);
        tokio::spawn(async move {
            let answer = service_fn(move |request| answer(request, Arc::clone(&state)));
            // How a connection ends is the gateway's business; what is lost by it, the client says.
            let _ = auto::Builder::new(TokioExecutor::new())
                .serve_connection_with_upgrades(TokioIo::new(stream), answer)
                .await;
        });
    }
}

async fn answer(
    mut request: Request<Incoming>,
    state: Arc<State>,
) -> Result<Response<Body>, BoxError> {
    if request.uri().path() == HEALTH_PATH {
        return Ok(Response::new(body::full("alive")));
    }
    let under_way = UnderWay::begin(&state);
    if state.has_left.load(Ordering::SeqCst) {
        let (method, uri) = (request.method(), request.uri());
        state.fail(format_args!("{method} {uri} came after it had left"));
    }
    if request.headers().contains_key(header::UPGRADE) {
        let upgraded = hyper::upgrade::on(&mut request);
        tokio::spawn(async move {
            let talk = async {
                let stream = TokioIo::new(upgraded.await?);
                echo(stream).await
            };
            if let Err(error) = talk.await {
                under_way.0.fail(format_args!("a tunnel ended: {error:#}"));
            }
        });
        let response = Response::builder()
            .status(StatusCode::SWITCHING_PROTOCOLS)
            .header(header::CONNECTION, "Upgrade")
            .header(header::UPGRADE, "websocket")
            .header(header::SEC_WEBSOCKET_ACCEPT, message::ACCEPT);
        return Ok(response.body(body::empty())?);
    }
    if request.uri().path().ends_with(EVENTS) {
        let query = request.uri().query().unwrap_or_default();
        let events = Events {
            under_way,
            next: 0,
            count: query
                .strip_prefix("events=")
                .and_then(|count| count.parse().ok()),
            ending: state.ending.subscribe(),
            is_over: false,
        };
        let response =
            Response::builder().header(header::CONTENT_TYPE, service_kit::sse::CONTENT_TYPE);
        return Ok(response.body(body::stream(stream::unfold(events, Events::next)))?);
    }
    let tag = request.headers().get(TAG).cloned();
    let content = request.into_body().collect().await?.to_bytes();
    let mut response = Response::new(body::full(content));
    // Nothing is to be answered but by an instance.
    let no_store = header::HeaderValue::from_static("no-store");
    response
        .headers_mut()
        .insert(header::CACHE_CONTROL, no_store);
    if let Some(tag) = tag {
        response.headers_mut().insert(TAG, tag);
    }
    Ok(response)
}

/// Sends every message back until the client closes.
async fn echo(mut stream: impl tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin) -> Result<()> {
    let mut sequence = Sequence::default();
    loop {
        let message = message::receive(&mut stream, Sender::Client).await?;
        if let Message::Text(text) = &message {
            sequence.take(text)?;
        }
        message::send(&mut stream, Sender::Server, &message).await?;
        if message == Message::Close {
            break;
        }
    }
    let mut rest = [0];
    match tokio::io::AsyncReadExt::read(&mut stream, &mut rest).await {
        Ok(0) => Ok(()),
        other => bail!("after its close came {other:?}"),
    }
}

// === impl State ===

impl State {
    fn fail(&self, what: impl std::fmt::Display) {
        self.ledger.fail(&format!("instance {}", self.id), what);
    }
}

// === impl UnderWay ===

impl UnderWay {
    fn begin(state: &Arc<State>) -> Self {
        state.under_way.fetch_add(1, Ordering::SeqCst);
        Self(Arc::clone(state))
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.under_way.fetch_sub(1, Ordering::SeqCst);
    }
}

// === impl Events ===

impl Events {
    async fn next(mut self) -> Option<(Result<Bytes, BoxError>, Self)> {
        if self.is_over {
            return None;
        }
        // Uneven, so that events fall together with everything else that happens.
        tokio::time::sleep(Duration::from_millis(self.next % 7)).await;
        self.is_over = match self.count {
            Some(count) => self.next + 1 >= count,
            None => *self.ending.borrow(),
        };
        let name = if self.is_over { LAST_EVENT } else { "tick" };
        let event = format!("event: {name}\ndata: {}\n\n", self.next);
        self.next += 1;
        Some((Ok(event.into()), self))
    }
}

impl Drop for Events {
    fn drop(&mut self) {
        if !self.is_over {
            self.under_way.0.fail("a stream of events was broken off");
        }
    }
}
