//! Streams of server-sent events.

use anyhow::{Context as _, Result, bail};
use bytes::Bytes;
use http::{Request, StatusCode, header};
use http_body_util::{BodyExt as _, Empty};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rand::{RngExt as _, rngs::StdRng};
use service_kit::sse::Parser;

use super::{Surroundings, http1::HOST, pause, within};
use crate::prove::{
    backend::{EVENTS, LAST_EVENT},
    ledger::Count,
    sequence::Sequence,
};

/// Most events of a stream that has an end; they come every few milliseconds, so that it takes a second at most.
const COUNT_MAX: u64 = 200;
const EVENT_BYTES_MAX: usize = 1024;

/// How long streams are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Length {
    /// A random number of events.
    Counted,
    /// As long as the run.
    Lasting,
}

/// Reads one stream.
pub(super) struct Reader {
    parser: Parser,
    sequence: Sequence,
    /// How many events have to come, where that is known.
    count: Option<u64>,
    has_ended: bool,
}

/// Path of a stream with an end, and how many events it has.
pub(super) fn some(random: &mut StdRng) -> (String, u64) {
    let count = random.random_range(1..=COUNT_MAX);
    (format!("/feed/{EVENTS}?events={count}"), count)
}

/// Listens until the end of the run.
pub(super) async fn listen(around: Surroundings, length: Length, mut random: StdRng) -> Result<()> {
    while !around.is_over() {
        let (path, count) = match length {
            Length::Counted => {
                let (path, count) = some(&mut random);
                (path, Some(count))
            }
            Length::Lasting => (format!("/kept/{EVENTS}"), None),
        };
        listen_once(&around, &path, count).await?;
        pause(&mut random).await;
    }
    Ok(())
}

async fn listen_once(around: &Surroundings, path: &str, count: Option<u64>) -> Result<()> {
    let stream = Surroundings::connect(around.http1).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    // What goes wrong on it, the stream says.
    let connection = tokio::spawn(connection);
    let request = Request::get(path)
        .header(header::HOST, HOST)
        .header(header::CONNECTION, "close")
        .body(Empty::<Bytes>::new())?;
    let answer = within("an answer", async {
        Ok(sender.send_request(request).await?)
    })
    .await?;
    if answer.status() != StatusCode::OK {
        bail!("GET {path}: {}", answer.status());
    }
    let mut content = answer.into_body();
    let mut reader = Reader::new(count);
    loop {
        let next = async { content.frame().await.transpose().context("broken off") };
        let Some(frame) = within("an event", next).await? else {
            break;
        };
        if let Ok(piece) = frame.into_data() {
            reader.take(&piece)?;
        }
    }
    reader.end(around)?;
    let _ = connection.await;
    Ok(())
}

// === impl Reader ===

impl Reader {
    pub(super) fn new(count: Option<u64>) -> Self {
        Self {
            parser: Parser::new(EVENT_BYTES_MAX),
            sequence: Sequence::default(),
            count,
            has_ended: false,
        }
    }

    pub(super) fn take(&mut self, piece: &[u8]) -> Result<()> {
        for event in self.parser.feed(piece)? {
            if self.has_ended {
                bail!("an event came after the last one");
            }
            self.sequence.take(&event.data)?;
            self.has_ended = event.event.as_deref() == Some(LAST_EVENT);
        }
        Ok(())
    }

    /// The stream is over.
    ///
    /// # Errors
    /// When its last event has not come, or not all before it.
    pub(super) fn end(self, around: &Surroundings) -> Result<()> {
        let came = self.sequence.taken();
        if !self.has_ended || self.count.is_some_and(|count| count != came) {
            bail!("a stream ended after {came} events, before its end");
        }
        around.ledger.count_many(Count::Events, came);
        around.ledger.count(Count::Streams);
        Ok(())
    }
}
