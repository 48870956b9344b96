//! Whether Redis can be used, found out by using it: a small write every second, at once when something else failed, and more often
//! while it is away.

use std::{sync::Arc, time::Duration};

use bb8_redis::redis::cmd;
use tokio::sync::{Notify, watch};

use super::{SharedError, key, pool::Pool};

/// Pause between two looks, while it is there and while it is away.
const LOOK: (Duration, Duration) = (Duration::from_secs(1), Duration::from_millis(200));

/// Longest time for a look.
const LOOK_MAX: Duration = Duration::from_secs(1);

/// What is known. It begins with "away".
pub(super) struct Health {
    connected: watch::Sender<bool>,
    doubt: Notify,
}

// === impl Health ===

impl Health {
    pub(super) fn new() -> Self {
        Self {
            connected: watch::Sender::new(false),
            doubt: Notify::new(),
        }
    }

    pub(super) fn is_connected(&self) -> bool {
        *self.connected.borrow()
    }

    pub(super) fn subscribe(&self) -> watch::Receiver<bool> {
        self.connected.subscribe()
    }

    /// An operation failed: nobody else should wait for the same. If it was only that one, the next look says so.
    pub(super) fn failed(&self, error: &SharedError) {
        self.set(Err(error));
        self.doubt.notify_one();
    }

    fn set(&self, found: Result<&(), &SharedError>) {
        let changed = self.connected.send_if_modified(|connected| {
            std::mem::replace(connected, found.is_ok()) != found.is_ok()
        });
        match found {
            Ok(_) if changed => tracing::info!("Redis is there"),
            Err(error) if changed => {
                tracing::warn!(%error, "Redis is away; the catalog goes on without it");
            }
            _ => {}
        }
    }
}

/// Looks until it is aborted.
pub(super) async fn run(pool: Arc<Pool>, health: Arc<Health>) {
    let mut command = cmd("SET");
    // A write, because a standby and a full server answer reads.
    command.arg(key("alive")).arg(1).arg("EX").arg(60);
    let mut said = false;
    loop {
        let looked = pool
            .with(LOOK_MAX, async |connection| {
                command.query_async::<()>(connection).await
            })
            .await;
        if let Err(error) = &looked
            && !std::mem::replace(&mut said, true)
        {
            tracing::warn!(%error, "Redis is not there yet; the catalog begins without it");
        }
        said |= looked.is_ok();
        let pause = if looked.is_ok() { LOOK.0 } else { LOOK.1 };
        health.set(looked.as_ref());
        tokio::select! {
            () = health.doubt.notified() => {}
            () = tokio::time::sleep(pause) => {}
        }
    }
}
