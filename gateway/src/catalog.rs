//! The catalog as the gateway knows it: a list of URLs and a stream of whole states.
//!
//! ```text
//! connect (next URL, Last-Event-ID) ─▶ events ─▶ Update ─▶ queue of the applier
//!        ▲                               │
//!        └── backoff, jittered ◀── closed, silent, unreadable
//!
//! what the applier has put into effect ─▶ receipts ─▶ the catalog of the stream
//! ```
//!
//! Losing the stream changes nothing but a gauge: routes are cleared only by a catalog that says so.

mod decode;
#[cfg(any(test, fuzzing))]
pub(crate) mod properties;
mod receipts;

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use catalog_api::{
    CatalogUrl, DRAINING_HEADER, HISTORY_HEADER, OpaqueId, RECEIVER_HEADER, Receiver, Revision,
    STREAM_HEADER,
};
use http::{HeaderMap, HeaderValue, Request, header};
use http_body_util::BodyExt;
use service_kit::{
    BoxError,
    backoff::Backoff,
    client::{Client, ClientError},
    http::body,
    readiness::Condition,
    shutdown::Shutdown,
    sse,
};
use tokio::{
    sync::{Notify, mpsc, watch},
    time,
};

use crate::{
    metrics::GatewayMetrics,
    snapshot::{Applied, Heard, Update},
};
use receipts::Receipts;

/// Longest wait for the header of the stream.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// Longest silence of a stream: the catalog sends heartbeats every 10 s, so two may get lost.
const SILENCE_MAX: Duration = Duration::from_secs(25);
/// First and last wait between attempts.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(5));
/// Largest event. A snapshot of ten thousand services with ten instances each stays far below.
const EVENT_BYTES_MAX: usize = 256 << 20;

/// Follows the catalog and feeds the applier.
pub struct Watcher {
    /// Base URLs of the catalog's replicas, asked in turn.
    pub urls: Vec<CatalogUrl>,
    /// What this gateway calls itself before the catalog.
    pub receiver: Receiver,
    /// Where updates go.
    pub updates: mpsc::Sender<Update>,
    /// What became of them.
    pub applied: watch::Receiver<Applied>,
    /// Rings when requests of a draining endpoint come or go.
    pub bell: Arc<Notify>,
    /// Gauge of the connection.
    pub metrics: Arc<GatewayMetrics>,
    /// Detail of readiness: connected, or since when not.
    pub connection: Condition,
}

/// How far the stream has been heard, and in which history that counts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Position {
    revision: Option<Revision>,
    history: Option<HeaderValue>,
    /// Which history that is, counted here.
    number: u64,
}

/// Why a stream ended.
#[derive(Debug, thiserror::Error)]
enum StreamEnd {
    #[error("cannot reach the catalog")]
    Unreachable(#[source] ClientError),
    #[error("the catalog answered {0} instead of a stream")]
    Refused(http::StatusCode),
    #[error("the catalog closed the stream")]
    Closed,
    #[error("the stream broke")]
    Broken(#[source] service_kit::BoxError),
    #[error("the catalog was silent for {}s", SILENCE_MAX.as_secs())]
    Silent,
    #[error("an event of the catalog was too long")]
    TooLong(#[source] sse::TooLong),
    #[error("an event of the catalog made no sense: {0}")]
    Nonsense(String),
    #[error("the gateway is stopping")]
    Stopping,
}

// === impl Watcher ===

impl Watcher {
    /// Follows until shutdown.
    pub async fn run(self, shutdown: Shutdown) {
        let client = Client::new();
        let mut backoff = Backoff::new(BACKOFF.0, BACKOFF.1);
        let mut position = Position::default();
        let mut failed_in_a_row = 0_usize;
        for url in self.urls.iter().cycle() {
            let heard_before = position.revision;
            let end = self.follow(&client, url, &mut position, &shutdown).await;
            self.metrics.catalog_connected(false);
            if matches!(end, StreamEnd::Stopping) {
                return;
            }
            if position.revision != heard_before {
                backoff.reset();
                failed_in_a_row = 0;
            }
            failed_in_a_row += 1;
            self.connection.fail(end.to_string());
            let cause = std::error::Error::source(&end)
                .map(ToString::to_string)
                .unwrap_or_default();
            tracing::warn!(catalog = %url, reason = %end, cause, "not connected to the catalog, the last snapshot goes on");
            // Every replica gets its chance before the first wait.
            if failed_in_a_row.is_multiple_of(self.urls.len()) {
                tokio::select! {
                    () = time::sleep(backoff.next_delay()) => {}
                    () = shutdown.requested() => return,
                }
            }
        }
    }

    async fn follow(
        &self,
        client: &Client,
        url: &CatalogUrl,
        position: &mut Position,
        shutdown: &Shutdown,
    ) -> StreamEnd {
        let mut request = Request::get(url.join("/services/watch"))
            .header(header::ACCEPT, sse::CONTENT_TYPE)
            .header(RECEIVER_HEADER, self.receiver.to_string());
        if let Some(Revision(heard)) = position.revision {
            request = request.header("last-event-id", heard);
            if let Some(history) = &position.history {
                request = request.header(HISTORY_HEADER, history);
            }
        }
        let request = match request.body(body::empty()) {
            Ok(request) => request,
            Err(error) => return StreamEnd::Broken(error.into()),
        };
        let answer = tokio::select! {
            answer = client.send(request, CONNECT_TIMEOUT) => answer,
            () = shutdown.requested() => return StreamEnd::Stopping,
        };
        let response = match answer {
            Ok(response) => response,
            Err(error) => return StreamEnd::Unreachable(error),
        };
        if response.status() != http::StatusCode::OK {
            return StreamEnd::Refused(response.status());
        }
        tracing::info!(catalog = %url, "connected to the catalog");
        self.metrics.catalog_connected(true);
        self.connection.pass();
        let history = response.headers().get(HISTORY_HEADER).cloned();
        if history != position.history {
            // Whatever was heard counts for nothing here, also when the stream breaks before its snapshot.
            *position = Position {
                revision: None,
                history,
                number: position.number + 1,
            };
        }
        // A catalog of an older release takes none.
        let receipts = stream_id(response.headers()).map(|stream| Receipts {
            client,
            url,
            stream,
            history: position.number,
            applied: self.applied.clone(),
            counts: response.headers().contains_key(DRAINING_HEADER),
            bell: &self.bell,
        });
        let until_stop = async {
            match receipts {
                Some(receipts) => receipts.send(shutdown).await,
                None => shutdown.requested().await,
            }
        };
        tokio::select! {
            end = self.read(response.into_body(), position) => end,
            () = until_stop => StreamEnd::Stopping,
        }
    }

    async fn read(
        &self,
        mut stream: impl BodyExt<Data = Bytes, Error: Into<BoxError>> + Unpin,
        position: &mut Position,
    ) -> StreamEnd {
        let mut parser = sse::Parser::new(EVENT_BYTES_MAX);
        loop {
            let chunk = match time::timeout(SILENCE_MAX, stream.frame()).await {
                Err(_) => return StreamEnd::Silent,
                Ok(None) => return StreamEnd::Closed,
                Ok(Some(Err(error))) => return StreamEnd::Broken(error.into()),
                Ok(Some(Ok(frame))) => frame.into_data().unwrap_or_default(),
            };
            if let Err(end) = self.take_in(&mut parser, chunk, position).await {
                return end;
            }
        }
    }

    async fn take_in(
        &self,
        parser: &mut sse::Parser,
        chunk: Bytes,
        position: &mut Position,
    ) -> Result<(), StreamEnd> {
        for event in parser.feed(&chunk).map_err(StreamEnd::TooLong)? {
            let Some(decoded) = decode::event(&event).map_err(StreamEnd::Nonsense)? else {
                continue;
            };
            let update = Update::Catalog {
                heard: Some(Heard {
                    history: position.number,
                    revision: decoded.revision,
                }),
                change: decoded.change,
                refusals: decoded.refusals,
            };
            // The queue is bounded: while the applier is busy, the stream waits in its socket.
            if self.updates.send(update).await.is_err() {
                return Err(StreamEnd::Stopping);
            }
            position.revision = Some(decoded.revision);
        }
        Ok(())
    }
}

/// What receipts for a stream name; none when its catalog takes no receipts.
fn stream_id(headers: &HeaderMap) -> Option<OpaqueId> {
    headers.get(STREAM_HEADER)?.to_str().ok()?.parse().ok()
}
