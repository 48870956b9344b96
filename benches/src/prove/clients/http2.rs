//! Requests of HTTP/2 without TLS, several at a time on one connection.
//!
//! A GOAWAY says which streams the gateway has not looked at and never will (RFC 9113 §6.8): those that were on their way when it announced
//! the end. Such a request has not failed; it belongs on the next connection, as every client does it (§8.7), and it is counted.

use anyhow::{Context as _, Result, bail};
use bytes::{Bytes, BytesMut};
use futures_util::future::try_join_all;
use h2::{RecvStream, client::SendRequest};
use http::{Request, Response, StatusCode};
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};

use super::{
    Surroundings,
    events::{self, Reader},
    exchange::Exchange,
    http1::HOST,
    pause, within,
};
use crate::prove::{fleet::SHARED_PATH, ledger::Count};

/// Streams at once.
const STREAMS: usize = 6;
/// Streams on a connection, one after the other, before the client has had enough of it.
const REQUESTS_MAX: u32 = 500;
/// Part of the streams that are events.
const EVENTS: f64 = 0.01;

/// Asks until the end of the run.
pub(super) async fn ask(around: Surroundings, mut random: StdRng) -> Result<()> {
    let mut again = Vec::new();
    while !around.is_over() || !again.is_empty() {
        let stream = Surroundings::connect(around.http2).await?;
        let (sender, connection) = h2::client::handshake(stream).await?;
        around.ledger.count(Count::Http2Connections);
        let connection = tokio::spawn(connection);
        let asking = (0..STREAMS).map(|_| {
            let random = StdRng::from_rng(&mut random);
            ask_on(&around, sender.clone(), again.pop(), random)
        });
        let asking: Vec<_> = asking.collect();
        again.extend(try_join_all(asking).await?.into_iter().flatten());
        drop(sender);
        // Whichever side ends it, it ends in peace: GOAWAY with no error, and every stream answered.
        within("the end", async { Ok(connection.await??) }).await?;
    }
    Ok(())
}

/// Asks until the gateway announces the end of the connection, or for a random number of requests, and first what the connection before
/// has left. Answers what this one leaves to the next.
async fn ask_on(
    around: &Surroundings,
    mut sender: SendRequest<Bytes>,
    mut first: Option<Exchange>,
    mut random: StdRng,
) -> Result<Option<Exchange>> {
    for _ in 0..random.random_range(1..REQUESTS_MAX) {
        if around.is_over() && first.is_none() {
            break;
        }
        // An error of either means that nothing was sent, because the gateway takes no more on this connection. When it did not
        // announce that, the connection's own result says so.
        let Ok(mut ready) = sender.ready().await else {
            break;
        };
        if first.is_none() && random.random_bool(EVENTS) {
            if !listen(around, &mut ready, &mut random).await? {
                break;
            }
        } else {
            let path = if random.random_bool(0.3) {
                SHARED_PATH
            } else {
                "/web/"
            };
            let exchange = first
                .take()
                .unwrap_or_else(|| Exchange::random(path, &mut random));
            if !answered(around, &mut ready, &exchange).await? {
                return Ok(Some(exchange));
            }
        }
        sender = ready;
        pause(&mut random).await;
    }
    Ok(first)
}

/// False when the gateway has not looked at it.
async fn answered(
    around: &Surroundings,
    sender: &mut SendRequest<Bytes>,
    exchange: &Exchange,
) -> Result<bool> {
    let request = exchange.head(&format!("http://{HOST}")).body(())?;
    let is_all = exchange.content.is_empty();
    let Ok((answer, mut content)) = sender.send_request(request, is_all) else {
        return Ok(false);
    };
    let answered = async {
        if !is_all {
            // It waits for the window of the gateway by itself. When the stream is over already, the answer says why.
            let _ = content.send_data(exchange.content.clone(), true);
        }
        let (head, mut content) = match answer.await {
            Err(error) if is_refused(&error) => return Ok(None),
            answer => answer?.into_parts(),
        };
        let mut whole = BytesMut::new();
        while let Some(piece) = next(&mut content).await? {
            whole.extend_from_slice(&piece);
        }
        Ok(Some(Response::from_parts(head, whole.freeze())))
    };
    let Some(answer) = within("an answer", answered).await? else {
        around.ledger.count(Count::Refused);
        return Ok(false);
    };
    exchange.check(&answer, around, Count::Http2Requests)?;
    Ok(true)
}

/// The same for a stream of events.
async fn listen(
    around: &Surroundings,
    sender: &mut SendRequest<Bytes>,
    random: &mut StdRng,
) -> Result<bool> {
    let (path, count) = events::some(random);
    let request = Request::get(format!("http://{HOST}{path}")).body(())?;
    let Ok((answer, _)) = sender.send_request(request, true) else {
        return Ok(false);
    };
    let answer = match within("an answer", async { Ok(answer.await) }).await? {
        Err(error) if is_refused(&error) => {
            around.ledger.count(Count::Refused);
            return Ok(false);
        }
        answer => answer?,
    };
    if answer.status() != StatusCode::OK {
        bail!("GET {path}: {}", answer.status());
    }
    let mut content = answer.into_body();
    let mut reader = Reader::new(Some(count));
    while let Some(piece) = within("an event", next(&mut content)).await? {
        reader.take(&piece)?;
    }
    reader.end(around)?;
    Ok(true)
}

/// Whether the stream is one of those that a GOAWAY without an error excludes.
fn is_refused(error: &h2::Error) -> bool {
    error.is_go_away() && error.is_remote() && error.reason() == Some(h2::Reason::NO_ERROR)
}

/// The next piece of content; gives the gateway the right to send as much again.
async fn next(content: &mut RecvStream) -> Result<Option<Bytes>> {
    let Some(piece) = content.data().await.transpose().context("content")? else {
        return Ok(None);
    };
    content.flow_control().release_capacity(piece.len())?;
    Ok(Some(piece))
}
