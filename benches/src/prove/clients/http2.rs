//! Requests of HTTP/2 without TLS, several at a time on one connection.

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
    while !around.is_over() {
        let stream = Surroundings::connect(around.http2).await?;
        let (sender, connection) = h2::client::handshake(stream).await?;
        around.ledger.count(Count::Http2Connections);
        let connection = tokio::spawn(connection);
        let asking = (0..STREAMS).map(|_| {
            let random = StdRng::from_rng(&mut random);
            ask_on(&around, sender.clone(), random)
        });
        try_join_all(asking).await?;
        drop(sender);
        // Whichever side ends it, it ends in peace: GOAWAY with no error, and every stream answered.
        within("the end", async { Ok(connection.await??) }).await?;
    }
    Ok(())
}

/// Asks until the gateway announces the end of the connection, or for a random number of requests.
async fn ask_on(
    around: &Surroundings,
    mut sender: SendRequest<Bytes>,
    mut random: StdRng,
) -> Result<()> {
    for _ in 0..random.random_range(1..REQUESTS_MAX) {
        if around.is_over() {
            break;
        }
        // An error of either means that nothing was sent, because the gateway takes no more on this connection. When it did not
        // announce that, the connection's own result says so.
        let Ok(mut ready) = sender.ready().await else {
            break;
        };
        let is_sent = if random.random_bool(EVENTS) {
            listen(around, &mut ready, &mut random).await?
        } else {
            exchange(around, &mut ready, &mut random).await?
        };
        if !is_sent {
            break;
        }
        sender = ready;
        pause(&mut random).await;
    }
    Ok(())
}

/// False when nothing was sent.
async fn exchange(
    around: &Surroundings,
    sender: &mut SendRequest<Bytes>,
    random: &mut StdRng,
) -> Result<bool> {
    let path = if random.random_bool(0.3) {
        SHARED_PATH
    } else {
        "/web/"
    };
    let exchange = Exchange::random(path, random);
    let request = exchange.head(&format!("http://{HOST}")).body(())?;
    let is_all = exchange.content.is_empty();
    let Ok((answer, mut content)) = sender.send_request(request, is_all) else {
        return Ok(false);
    };
    let answered = async {
        if !is_all {
            // It waits for the window of the gateway by itself.
            content.send_data(exchange.content.clone(), true)?;
        }
        let (head, mut content) = answer.await?.into_parts();
        let mut whole = BytesMut::new();
        while let Some(piece) = next(&mut content).await? {
            whole.extend_from_slice(&piece);
        }
        Ok(Response::from_parts(head, whole.freeze()))
    };
    let answer = within("an answer", answered).await?;
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
    let answer = within("an answer", async { Ok(answer.await?) }).await?;
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

/// The next piece of content; gives the gateway the right to send as much again.
async fn next(content: &mut RecvStream) -> Result<Option<Bytes>> {
    let Some(piece) = content.data().await.transpose().context("content")? else {
        return Ok(None);
    };
    content.flow_control().release_capacity(piece.len())?;
    Ok(Some(piece))
}
