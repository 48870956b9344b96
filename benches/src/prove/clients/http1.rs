//! Requests of HTTP/1.1, one after the other.

use anyhow::{Context as _, Result, bail};
use bytes::Bytes;
use http::{Response, header};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use rand::{RngExt as _, rngs::StdRng};

use super::{Surroundings, exchange::Exchange, pause, within};
use crate::prove::ledger::Count;

/// Host in the requests.
pub(super) const HOST: &str = "prove.test";
/// Requests on a connection before the client has had enough of it.
const REQUESTS_MAX: u32 = 2000;

/// How long connections are used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Connections {
    /// Until the gateway announces their end, or for a random number of requests.
    Kept,
    /// For one request, which says so.
    Fresh,
}

/// Asks until the end of the run.
pub(super) async fn ask(
    around: Surroundings,
    path: &'static str,
    connections: Connections,
    mut random: StdRng,
) -> Result<()> {
    while !around.is_over() {
        let requests = match connections {
            Connections::Kept => random.random_range(1..REQUESTS_MAX),
            Connections::Fresh => 1,
        };
        converse(&around, path, requests, &mut random).await?;
        pause(&mut random).await;
    }
    Ok(())
}

async fn converse(
    around: &Surroundings,
    path: &str,
    requests: u32,
    random: &mut StdRng,
) -> Result<()> {
    let stream = Surroundings::connect(around.http1).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    // What goes wrong on it, the exchanges say.
    let connection = tokio::spawn(connection);
    around.ledger.count(Count::Http1Connections);
    for left in (0..requests).rev() {
        let is_last = left == 0 || around.is_over();
        let exchange = Exchange::random(path, random);
        let answer = within("an answer", send(&mut sender, &exchange, is_last)).await?;
        exchange.check(&answer, around, Count::Http1Requests)?;
        if is_closing(&answer) {
            break;
        }
        if is_last {
            bail!("the connection was asked to close, and the answer does not say so");
        }
        pause(random).await;
    }
    drop(sender);
    let _ = connection.await;
    Ok(())
}

async fn send(
    sender: &mut SendRequest<Full<Bytes>>,
    exchange: &Exchange,
    is_last: bool,
) -> Result<Response<Bytes>> {
    sender
        .ready()
        .await
        .context("the connection was closed without an announcement")?;
    let mut request = exchange.head("").header(header::HOST, HOST);
    if is_last {
        request = request.header(header::CONNECTION, "close");
    }
    let request = request.body(Full::new(exchange.content.clone()))?;
    let (head, content) = sender.send_request(request).await?.into_parts();
    let content = content.collect().await.context("content")?.to_bytes();
    Ok(Response::from_parts(head, content))
}

fn is_closing(answer: &Response<Bytes>) -> bool {
    let connection = answer.headers().get(header::CONNECTION);
    connection.is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"close"))
}
