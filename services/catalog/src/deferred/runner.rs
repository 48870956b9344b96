//! Who has calls carried out: one task that takes them from the queue as long as there are workers to spare, renews what they hold, and
//! looks after calls whose worker fell silent.

use std::{collections::HashMap, sync::Arc, time::Duration};

use database::jobs::{Fate, Held, Hold, JobId, Swept};
use parking_lot::Mutex;
use prometheus::IntGauge;
use service_kit::shutdown::Shutdown;
use tokio::{
    task::JoinSet,
    time::{Instant, Interval, MissedTickBehavior, interval, sleep_until},
};

use super::{Deferred, Failure, Label, Outcome, metrics::Event, worker::Worker};
use crate::{
    calls::Calls,
    follower::chain,
    history::{Ended, History},
    state::Live,
};

/// Calls that one catalog carries out at once.
const WORKERS_MAX: usize = 32;

/// Pause between two looks at the queue without a reason. A hold has to be much longer.
const LOOK: Duration = Duration::from_secs(1);

/// Time for the calls under way when the stop was asked for; as much as others have.
const DRAIN_MAX: Duration = Duration::from_secs(10);

/// Has calls carried out.
pub(crate) struct Runner {
    worker: Arc<Worker>,
    workers: JoinSet<()>,
    holds: Arc<Holds>,
    /// When the queue could not be reached last.
    disturbed: Instant,
}

/// What the workers hold.
#[derive(Default)]
struct Holds(Mutex<HashMap<JobId, Held>>);

/// One job in a worker's hands. It ends with the worker, however that ends: then nobody renews the hold, and the job is found.
struct Holding {
    holds: Arc<Holds>,
    job: JobId,
    running: IntGauge,
}

// === impl Runner ===

impl Runner {
    pub(crate) fn new(
        deferred: Arc<Deferred>,
        calls: Arc<Calls>,
        history: Arc<History>,
        live: Arc<Live>,
    ) -> Self {
        Self {
            worker: Arc::new(Worker {
                deferred,
                calls,
                history,
                live,
            }),
            workers: JoinSet::new(),
            holds: Arc::default(),
            disturbed: Instant::now(),
        }
    }

    /// Runs until the stop is asked for, and then until what is under way is done, within a limit.
    pub(crate) async fn run(mut self, shutdown: Shutdown) {
        let mut looks = interval(LOOK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while !shutdown.is_requested() {
            self.take().await;
            let has_room = self.workers.len() < WORKERS_MAX;
            tokio::select! {
                () = self.worker.deferred.arrived.notified(), if has_room => {}
                Some(_) = self.workers.join_next() => {}
                _ = looks.tick() => self.look().await,
                () = shutdown.requested() => {}
            }
        }
        self.drain(&mut looks).await;
        self.let_go().await;
    }

    /// Takes jobs while there are workers to spare.
    async fn take(&mut self) {
        while self.workers.len() < WORKERS_MAX {
            let held = match self.worker.deferred.queue.take().await {
                Ok(Some(held)) => held,
                Ok(None) => return,
                Err(error) => {
                    tracing::debug!(error = %chain(&error), "no calls can be taken");
                    self.disturbed = Instant::now();
                    return;
                }
            };
            let running = self.worker.deferred.metrics.running.clone();
            let holding = Holding::new(&self.holds, &held, running);
            let worker = Arc::clone(&self.worker);
            self.workers.spawn(async move {
                worker.work(&held).await;
                drop(holding);
            });
        }
    }

    /// Renews what is held, and looks for what was forgotten.
    async fn look(&mut self) {
        let queue = Arc::clone(&self.worker.deferred.queue);
        let holds: Vec<Hold> = self.holds.0.lock().values().map(|held| held.hold).collect();
        if !holds.is_empty() && queue.renew(&holds).await.is_err() {
            self.disturbed = Instant::now();
        }
        // After an outage everybody gets the time to renew before he counts as silent.
        let is_quiet = self.disturbed.elapsed() >= self.worker.deferred.limits.hold;
        match queue.sweep(is_quiet).await {
            Ok(sweep) => {
                let waiting = i64::try_from(sweep.waiting).unwrap_or(i64::MAX);
                self.worker.deferred.metrics.waiting.set(waiting);
                for swept in sweep.swept {
                    self.settle(swept).await;
                }
            }
            Err(error) => {
                tracing::debug!(error = %chain(&error), "the queue of calls cannot be looked at");
                self.disturbed = Instant::now();
            }
        }
    }

    /// Says what is to be said of a job that nobody works on.
    async fn settle(&self, swept: Swept) {
        let Swept { job, fate } = swept;
        let failure = match fate {
            Fate::WaitsAgain => {
                self.worker.deferred.metrics.happened(Event::Abandoned);
                if let Some(label) = Label::read(&job.label) {
                    tracing::warn!(
                        service = label.service.as_str(),
                        request.id = label.request_id,
                        run = job.run,
                        "the catalog that carried a call out is silent; it is begun again"
                    );
                    let record = label.record(job.run, Ended::Abandoned, None);
                    let snapshot = self.worker.live.load();
                    self.worker.history.record(record, &snapshot);
                }
                return;
            }
            Fate::Abandoned => {
                self.worker.deferred.metrics.happened(Event::Abandoned);
                Failure::Unknown
            }
            Fate::Overdue => Failure::Overdue,
        };
        self.fail(&job, failure).await;
    }

    async fn fail(&self, job: &Held, failure: Failure) {
        let Some(label) = Label::read(&job.label) else {
            return;
        };
        let outcome = Outcome::failure(failure, &label.service, &label.request_id);
        let finishing = self
            .worker
            .deferred
            .queue
            .finish(job.hold.job, outcome.to_bytes());
        match finishing.await {
            Ok(true) => {
                tracing::warn!(
                    service = label.service.as_str(),
                    request.id = label.request_id,
                    run = job.run,
                    reason = %failure,
                    "a call that was to be answered later failed"
                );
                self.worker.takes_down(&label, job.run, failure);
                self.worker.counts(&outcome);
            }
            // It has an outcome meanwhile.
            Ok(false) => {}
            // It is found again.
            Err(error) => {
                tracing::debug!(error = %chain(&error), "the failure of a call has to wait");
            }
        }
    }

    /// Waits for the calls under way. What waits in a queue of this process is begun as well, because nobody else can.
    async fn drain(&mut self, looks: &mut Interval) {
        let end = Instant::now() + DRAIN_MAX;
        loop {
            if !self.worker.deferred.queue.is_shared() {
                self.take().await;
            }
            if self.workers.is_empty() {
                return;
            }
            tokio::select! {
                Some(_) = self.workers.join_next() => {}
                _ = looks.tick() => self.look().await,
                () = sleep_until(end) => return,
            }
        }
    }

    /// Gives up what is not done, so that others can go on with it at once.
    async fn let_go(&mut self) {
        let left: Vec<Held> = self.holds.0.lock().values().cloned().collect();
        self.workers.shutdown().await;
        let queue = &self.worker.deferred.queue;
        for held in &left {
            let label = Label::read(&held.label);
            let is_repeatable = label.is_some_and(|label| label.is_repeatable());
            if !(queue.is_shared() && is_repeatable) {
                self.fail(held, Failure::Unknown).await;
            } else if let Err(error) = queue.give_back(held.hold).await {
                // It is found by the others.
                tracing::debug!(error = %chain(&error), "a call cannot be given back");
            }
        }
        if !left.is_empty() {
            tracing::warn!(
                cut = left.len(),
                "calls to be answered later were cut at the end of the drain"
            );
        }
    }
}

// === impl Holding ===

impl Holding {
    fn new(holds: &Arc<Holds>, held: &Held, running: IntGauge) -> Self {
        let job = held.hold.job;
        holds.0.lock().insert(job, held.clone());
        running.inc();
        Self {
            holds: Arc::clone(holds),
            job,
            running,
        }
    }
}

impl Drop for Holding {
    fn drop(&mut self) {
        self.holds.0.lock().remove(&self.job);
        self.running.dec();
    }
}
