//! Receipts: tells the catalog how far its stream is in effect here, so that a write can wait for it and its propagation is measured.
//!
//! Beside the stream and off every request's path. One receipt is under way at a time and stands for everything that was applied until
//! then, so a burst of changes costs a few. It is repeated while nothing changes, which tells a lost gateway from a quiet one. Whether
//! receipts arrive changes nothing here.

use std::{sync::Arc, time::Duration};

use catalog_api::{CatalogUrl, DrainCount, DrainCounts, OpaqueId, RECEIPTS_PATH, Receipt};
use http::{Request, StatusCode, header};
use service_kit::{
    backoff::Backoff,
    client::{Client, ClientError},
    http::body,
    shutdown::Shutdown,
};
use tokio::{
    sync::{Notify, watch},
    time,
};

use crate::snapshot::{Applied, Drains};

/// Shortest time between two receipts.
const PAUSE_MIN: Duration = Duration::from_millis(10);
/// Longest time between two receipts: the catalog takes a gateway for lost after 15 s.
const PAUSE_MAX: Duration = Duration::from_secs(5);
/// Longest wait for the answer to a receipt.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(2);
/// Longest time for the last receipt: a stop does not wait for a catalog that is gone.
const LAST_TIMEOUT: Duration = Duration::from_millis(500);
/// Longest answer that is read.
const ANSWER_BYTES_MAX: usize = 4_096;
/// First and last wait after one did not arrive.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(2));

/// Sends the receipts of one stream.
pub(super) struct Receipts<'a> {
    pub(super) client: &'a Client,
    /// Where the stream comes from.
    pub(super) url: &'a CatalogUrl,
    /// What the catalog calls the stream.
    pub(super) stream: OpaqueId,
    /// In which history its revisions count. What was applied of another one is no news to this catalog.
    pub(super) history: u64,
    /// What is in effect.
    pub(super) applied: watch::Receiver<Applied>,
    /// Whether the catalog takes counts of requests.
    pub(super) counts: bool,
    /// Rings when such a count changes.
    pub(super) bell: &'a Notify,
}

/// Why a receipt did not arrive.
#[derive(Debug, thiserror::Error)]
enum NotTaken {
    #[error("cannot reach the catalog")]
    Unreachable(#[from] ClientError),
    #[error("the catalog answered {0}")]
    Refused(StatusCode),
    #[error("the receipt cannot be written")]
    Unwritable(#[source] service_kit::BoxError),
}

// === impl Receipts ===

impl Receipts<'_> {
    /// Sends until the stop is asked for, and then once more: what draining instances had is over, and nobody else can say so.
    pub(super) async fn send(mut self, shutdown: &Shutdown) {
        tokio::select! {
            () = self.send_all() => {}
            () = shutdown.requested() => {}
        }
        let last = self.receipt().filter(|last| !last.draining.is_empty());
        // Whether it arrives or not, this is the end.
        let _ = time::timeout(LAST_TIMEOUT, self.post(last.as_ref())).await;
    }

    async fn send_all(&mut self) {
        let mut backoff = Backoff::new(BACKOFF.0, BACKOFF.1);
        loop {
            let receipt = self.receipt();
            match self.post(receipt.as_ref()).await {
                Ok(()) => {
                    backoff.reset();
                    time::sleep(PAUSE_MIN).await;
                    self.is_due().await;
                }
                Err(error) => {
                    tracing::debug!(catalog = %self.url, %error, "a receipt did not arrive");
                    time::sleep(backoff.next_delay()).await;
                }
            }
        }
    }

    /// Waits for news, or for the time after which old ones are repeated.
    async fn is_due(&mut self) {
        tokio::select! {
            changed = self.applied.changed() => if changed.is_err() {
                // Nobody applies any more: the gateway stops.
                std::future::pending::<()>().await;
            },
            () = self.bell.notified(), if self.counts => {}
            () = time::sleep(PAUSE_MAX) => {}
        }
    }

    /// What can be said; nothing before the stream's history is in effect.
    fn receipt(&mut self) -> Option<Receipt> {
        let applied = self.applied.borrow_and_update();
        let heard = applied.heard.filter(|heard| heard.history == self.history);
        heard.map(|heard| Receipt {
            stream: self.stream,
            revision: heard.revision,
            refused: applied.refused.clone(),
            draining: if self.counts {
                count(&applied.draining)
            } else {
                DrainCounts::default()
            },
        })
    }

    async fn post(&self, receipt: Option<&Receipt>) -> Result<(), NotTaken> {
        let Some(receipt) = receipt else {
            return Ok(());
        };
        let unwritable = |error: service_kit::BoxError| NotTaken::Unwritable(error);
        let json = serde_json::to_vec(receipt).map_err(|error| unwritable(error.into()))?;
        let request = Request::post(self.url.join(RECEIPTS_PATH))
            .header(header::CONTENT_TYPE, "application/json")
            .body(body::full(json))
            .map_err(|error| unwritable(error.into()))?;
        let answer = self
            .client
            .fetch(request, ANSWER_TIMEOUT, ANSWER_BYTES_MAX)
            .await?;
        if answer.status() == StatusCode::NO_CONTENT {
            Ok(())
        } else {
            Err(NotTaken::Refused(answer.status()))
        }
    }
}

/// The requests of each instance. Those of one instance follow each other.
fn count(draining: &Arc<[Drains]>) -> DrainCounts {
    let same = |one: &Drains, other: &Drains| {
        one.service == other.service && one.instance == other.instance
    };
    let counts = draining.chunk_by(same).filter_map(|addresses| {
        let Drains {
            service, instance, ..
        } = addresses.first()?;
        let counted = addresses.iter().map(|address| address.load.draining());
        let sum = counted.fold((0, 0), |(in_flight, finished), address| {
            (in_flight + address.in_flight, finished + address.finished)
        });
        Some(DrainCount {
            service: *service,
            instance: instance.clone(),
            in_flight: sum.0,
            finished: sum.1,
        })
    });
    DrainCounts::first_of(counts)
}

#[cfg(test)]
mod tests {
    use catalog_api::{Refused, Revision, ServiceId};

    use super::*;
    use crate::{snapshot::Heard, upstream::Load};

    #[test]
    fn what_was_applied_of_another_history_is_not_said() {
        let (sender, applied) = watch::channel(Applied::default());
        let url = "http://127.0.0.1:1".parse().unwrap();
        let mut receipts = Receipts {
            client: &Client::new(),
            url: &url,
            stream: OpaqueId::new(1),
            history: 2,
            applied,
            counts: true,
            bell: &Notify::new(),
        };
        assert_eq!(receipts.receipt(), None);
        for (history, revision, said) in [(1, 900, None), (2, 7, Some(7))] {
            let revision = Revision(revision);
            sender.send_replace(Applied {
                heard: Some(Heard { history, revision }),
                refused: Refused::first_of([ServiceId(3)]),
                draining: Arc::default(),
            });
            let receipt = receipts.receipt();
            assert_eq!(
                receipt.as_ref().map(|receipt| receipt.revision.0),
                said,
                "{history}"
            );
            assert!(receipt.is_none_or(|receipt| receipt.refused.contains(ServiceId(3))));
        }
    }

    #[test]
    fn addresses_of_one_instance_are_counted_together() {
        let drains = |service: u64, instance: &str| Drains {
            service: ServiceId(service),
            instance: instance.parse().unwrap(),
            load: Arc::new(Load::default()),
        };
        let all: Arc<[Drains]> = [
            drains(1, "a"),
            drains(1, "a"),
            drains(1, "b"),
            drains(2, "b"),
        ]
        .into();
        for (drains, requests) in all.iter().zip([1, 2, 0, 4]) {
            (0..requests).for_each(|_| drains.load.enter());
        }
        let counts = count(&all);
        let in_flight = counts.as_slice().iter().map(|count| count.in_flight);
        assert_eq!(in_flight.collect::<Vec<_>>(), [3, 0, 4]);
    }
}
