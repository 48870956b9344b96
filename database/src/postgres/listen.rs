//! Where the catalog stands, also when another process moves it: a connection of its own that listens.
//!
//! A notification is a hint to look; what counts is the revision that is then read. So nothing is lost when a notification is: every
//! two seconds somebody looks anyway, which also shows whether the database still answers. After each connect it is first listened
//! and then looked, so that no change falls between the two.

use std::{convert::Infallible, future::poll_fn, sync::Arc, time::Duration};

use catalog_api::Revision;
use rand::RngExt as _;
use tokio::{
    sync::{Notify, watch},
    time::{Instant, timeout},
};
use tokio_postgres::{AsyncMessage, Client, NoTls};

use super::{
    config::PostgresConfig,
    error::{Cause, Failure},
    pool::Pool,
    read,
    write::Writer,
};
use crate::store::{Availability, StoreError};

/// Name of the notifications. They belong to the database, so no other one can be mistaken for ours.
pub(super) const CHANNEL: &str = "catalog";

/// Longest time between two looks.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// Longest wait for the answer to a look.
const LOOK_WAIT_MAX: Duration = Duration::from_secs(3);

/// Shortest and longest pause between two attempts to connect.
const RETRY: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(3));

/// The newest revision known to be committed. Only goes up.
#[derive(Clone)]
pub(super) struct Head {
    sender: Arc<watch::Sender<Revision>>,
}

/// Keeps the head and the availability up to date.
pub(super) struct Listener {
    pub(super) config: PostgresConfig,
    pub(super) pool: Arc<Pool>,
    pub(super) head: Head,
    pub(super) writer: Writer,
    pub(super) availability: watch::Sender<Availability>,
}

// === impl Head ===

impl Head {
    pub(super) fn new(revision: Revision) -> Self {
        Self {
            sender: Arc::new(watch::Sender::new(revision)),
        }
    }

    pub(super) fn known(&self) -> Revision {
        *self.sender.borrow()
    }

    pub(super) fn advance(&self, revision: Revision) {
        self.sender.send_if_modified(|head| {
            let newer = revision > *head;
            if newer {
                *head = revision;
            }
            newer
        });
    }

    pub(super) fn subscribe(&self) -> watch::Receiver<Revision> {
        self.sender.subscribe()
    }
}

// === impl Listener ===

impl Listener {
    /// Runs until it is aborted.
    pub(super) async fn run(self) {
        let mut bound = RETRY.0;
        let mut lost_at = None;
        loop {
            let Err(cause) = self.listen(&mut lost_at, &mut bound).await;
            if lost_at.is_none() {
                lost_at = Some(Instant::now());
                tracing::warn!(
                    database = self.config.target(),
                    error = %cause,
                    "the database cannot be reached; it is looked for until it is back"
                );
            }
            // What leads nowhere may look alive for minutes.
            self.pool.renew();
            self.availability
                .send_replace(Availability::Unavailable(cause.to_string()));
            tokio::select! {
                () = tokio::time::sleep(jittered(bound)) => {}
                // Somebody else got through: whoever writes now counts on its being heard elsewhere.
                () = self.pool.connected() => {}
            }
            bound = (bound * 2).min(RETRY.1);
        }
    }

    async fn listen(
        &self,
        lost_at: &mut Option<Instant>,
        bound: &mut Duration,
    ) -> Result<Infallible, Cause> {
        let connecting = self.config.driver.connect(NoTls);
        let (client, mut connection) = timeout(self.config.connect_wait_max, connecting)
            .await
            .map_err(|_| Cause::new("the server did not answer in time"))?
            .map_err(|error| Cause::from(&error))?;
        let hint = Notify::new();
        let drive = async {
            loop {
                match poll_fn(|context| connection.poll_message(context)).await {
                    Some(Ok(AsyncMessage::Notification(_))) => hint.notify_one(),
                    Some(Ok(_)) => {}
                    Some(Err(error)) => return Cause::from(&error),
                    None => return Cause::new("the connection was closed"),
                }
            }
        };
        tokio::select! {
            cause = drive => Err(cause),
            looked = self.look(&client, &hint, lost_at, bound) => looked,
        }
    }

    async fn look(
        &self,
        client: &Client,
        hint: &Notify,
        lost_at: &mut Option<Instant>,
        bound: &mut Duration,
    ) -> Result<Infallible, Cause> {
        let listen = format!("LISTEN {CHANNEL}");
        let listening = client.batch_execute(&listen);
        in_time(async { listening.await.map_err(|error| Failure::of(&error)) }).await?;
        loop {
            let known = self.head.known();
            let revision = in_time(read::head(client)).await?;
            if let Some(lost_at) = lost_at.take() {
                tracing::info!(
                    database = self.config.target(),
                    away_ms = lost_at.elapsed().as_millis(),
                    "the database is back"
                );
            }
            *bound = RETRY.0;
            if revision < known {
                self.writer.verify();
            }
            self.head.advance(revision);
            self.availability.send_replace(Availability::Available);
            tokio::select! {
                () = hint.notified() => {}
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
        }
    }
}

/// 50 to 100 % of a bound, so that the catalogs of one database do not return in the same instant.
fn jittered(bound: Duration) -> Duration {
    bound.mul_f64(rand::rng().random_range(0.5..=1.0))
}

async fn in_time<T>(work: impl Future<Output = Result<T, Failure>>) -> Result<T, Cause> {
    match timeout(LOOK_WAIT_MAX, work).await {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(
            Failure::Unavailable(cause) | Failure::OutcomeUnknown(cause) | Failure::Failed(cause),
        )) => Err(cause),
        Ok(Err(Failure::Busy)) => Err(Cause::new(StoreError::Busy.to_string())),
        Err(_) => Err(Cause::new("the database did not answer in time")),
    }
}
