//! Instances that leave slowly: nobody sends them anything new, they finish what they have, and when nobody has a request with them any
//! more, or their time is over, they are taken out.
//!
//! ```text
//! gateways ── receipts ──▶ Receipts ─┐
//! other catalogs ── notes ──▶        ├─▶ Witnesses ─▶ Ledger of each drain ─▶ taken out, DrainReport
//! own calls ── Flights, Onlookers ───┘
//! ```
//!
//! That an instance drains is in the store; until when is not. A catalog that was restarted, or another one on the same store, gives
//! every draining instance the longest time there is, because the catalog that knows may be gone: an entry that stays too long
//! gets no requests, while one that goes too early cuts some off. Of several catalogs only the one that was asked for the drain ends it
//! early: it looks at what the others note often enough that nobody comes and goes unseen.

mod ledger;
mod report;
mod schedule;
mod witnesses;

use std::{sync::Arc, time::Duration};

use catalog_api::{Revision, Service, ServiceId, ServiceRef, Status};
use database::{Command, Expect, WriteError};
use parking_lot::Mutex;
use service_kit::shutdown::Shutdown;
use tokio::{
    sync::{Notify, watch},
    time::Instant,
};

use crate::{follower::chain, lease::Key, receipts::Waiting, registry::Registry};

pub(crate) use ledger::{Count, Lost, Said, Word};
pub(crate) use report::{DrainReport, NAMED_MAX, Outcome};
use schedule::{Schedule, Verdict};
pub(crate) use witnesses::Witnesses;

/// Longest drain.
pub(crate) const DRAIN_MAX: Duration = Duration::from_secs(10 * 60);

/// Pause before another try, after the service changed while its instance was taken out, and after the store could not be written.
const CHANGED_RETRY: Duration = Duration::from_millis(20);
const STORE_RETRY: Duration = Duration::from_secs(1);

/// The instances that drain.
#[derive(Default)]
pub(crate) struct Drains {
    schedule: Mutex<Schedule>,
    /// Rings when there is another end.
    changed: Notify,
}

/// How a drain ends; none until then.
pub(crate) type Ending = watch::Receiver<Option<DrainReport>>;

/// Takes instances out when their requests or their time are over, until the stop is asked for.
pub(crate) async fn run(registry: Arc<Registry>, witnesses: Arc<Witnesses>, shutdown: Shutdown) {
    let drains = &registry.drains;
    let mut news = registry.receipts.news();
    loop {
        news.mark_unchanged();
        let due = drains.schedule.lock().judge(&witnesses, Instant::now());
        for (key, verdict) in due {
            let pause = take_out(&registry, &key, verdict).await;
            let again = Instant::now() + pause;
            drains.schedule.lock().put_off(&key, again);
        }
        let changed = drains.changed.notified();
        let next = drains.schedule.lock().next();
        let wait = async {
            match next {
                Some(end) => tokio::time::sleep_until(end).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = shutdown.requested() => return drains.schedule.lock().stop(),
            () = wait => {}
            () = changed => {}
            // The sender lives as long as the registry. Without a drain receipts are of no interest.
            Ok(()) = news.changed(), if next.is_some() => {}
        }
    }
}

/// Takes an instance out if it still drains. Says after which pause it is to be tried again if it is there then.
async fn take_out(registry: &Registry, key: &Key, verdict: Verdict) -> Duration {
    let by_id = ServiceRef::Id(key.service);
    let snapshot = registry.live.load();
    let service = snapshot.get(&by_id).map(|entry| &entry.service);
    let Some(service) = service.filter(|service| is_draining(service, key)) else {
        return STORE_RETRY;
    };
    let command = Command::DeleteInstance {
        service: by_id,
        id: key.instance.clone(),
        // As it was looked at: it may be registered anew just now.
        expect: Expect::OneOf(vec![service.revision]),
    };
    match registry.write(command).await {
        Ok(committed) => {
            tracing::info!(
                service = service.name.as_str(),
                instance = key.instance.as_str(),
                revision = committed.revision.0,
                why = Outcome::from(verdict).as_str(),
                "a drained instance is taken out"
            );
            STORE_RETRY
        }
        Err(WriteError::Refused(_)) => CHANGED_RETRY,
        Err(error) => {
            tracing::warn!(
                service = service.name.as_str(),
                instance = key.instance.as_str(),
                error = %chain(&error),
                "cannot take a drained instance out yet"
            );
            STORE_RETRY
        }
    }
}

/// Whether an instance is there and drains.
fn is_draining(service: &Service, key: &Key) -> bool {
    let place = service
        .instances
        .binary_search_by(|instance| instance.id.cmp(&key.instance));
    place.is_ok_and(|index| service.instances[index].status == Status::Draining)
}

// === impl Drains ===

impl Drains {
    /// Gives a draining instance so much time from now on. `since` is the revision at which it began, or an older one if it drained
    /// already; `waiting` goes on until it ends.
    pub(crate) fn schedule(
        &self,
        key: &Key,
        since: Revision,
        time: Duration,
        waiting: Waiting,
    ) -> Ending {
        let now = Instant::now();
        let mut schedule = self.schedule.lock();
        let ending = schedule.give(key, since, (now, now + time), waiting);
        self.changed.notify_one();
        ending
    }

    /// Brings the drains in line with a service's instances.
    pub(crate) fn follow(&self, service: &Service) {
        if self.schedule.lock().follow(service, Instant::now()) {
            self.changed.notify_one();
        }
    }

    /// The service is gone.
    pub(crate) fn forget(&self, service: ServiceId) {
        self.schedule.lock().forget(service);
    }
}
