//! Writing: one task that takes all writes that wait and commits them in one transaction.
//!
//! All catalogs on one database take turns at one lock anyway, so a second writing connection would only wait for the first. Together
//! they get one turn, one flush of the disk, and one notification.

use std::{sync::Arc, time::Duration};

use catalog_api::Revision;
use tokio::{
    sync::{mpsc, oneshot},
    time::{Instant, timeout_at},
};

use super::{
    error::{Cause, Failure},
    listen::Head,
    pool::Pool,
    transaction,
};
use crate::{
    command::{Command, Refusal},
    retention::Options,
    store::{Committed, StoreError, WriteError},
};

/// Most writes that may wait; one more is [`StoreError::Busy`].
const QUEUE_MAX: usize = 1_024;

/// Most writes in one transaction.
const BATCH_MAX: usize = 256;

/// Longest time for a transaction once there is a connection.
const TRANSACTION_MAX: Duration = Duration::from_secs(5);

/// The way to the writing task, which ends when the last of these is gone and the queue is worked off.
#[derive(Clone)]
pub(super) struct Writer {
    queue: mpsc::Sender<Job>,
}

enum Job {
    Write {
        // Boxed because its sibling is nothing.
        command: Box<Command>,
        done: oneshot::Sender<Result<Committed, WriteError>>,
    },
    /// Compare the database with what is known to be committed.
    Verify,
}

struct Worker {
    pool: Arc<Pool>,
    head: Head,
    options: Options,
}

type Answers = Vec<Result<Committed, Refusal>>;

// === impl Writer ===

impl Writer {
    /// Starts the task. Must be called inside a runtime.
    pub(super) fn start(pool: Arc<Pool>, head: Head, options: Options) -> Self {
        let (queue, jobs) = mpsc::channel(QUEUE_MAX);
        let worker = Worker {
            pool,
            head,
            options,
        };
        tokio::spawn(worker.run(jobs));
        Self { queue }
    }

    pub(super) async fn write(&self, command: Command) -> Result<Committed, WriteError> {
        let (done, answer) = oneshot::channel();
        self.queue
            .try_send(Job::Write {
                command: Box::new(command),
                done,
            })
            .map_err(|error| match error {
                mpsc::error::TrySendError::Full(_) => StoreError::Busy,
                mpsc::error::TrySendError::Closed(_) => StoreError::Closed,
            })?;
        answer.await.map_err(|_| StoreError::Closed)?
    }

    /// Has the database repaired if it is behind what was committed. With a full queue the next write does it.
    pub(super) fn verify(&self) {
        drop(self.queue.try_send(Job::Verify));
    }
}

// === impl Worker ===

impl Worker {
    async fn run(self, mut jobs: mpsc::Receiver<Job>) {
        let mut batch = Vec::with_capacity(BATCH_MAX);
        while jobs.recv_many(&mut batch, BATCH_MAX).await > 0 {
            let (mut commands, mut waiting) = (Vec::new(), Vec::new());
            for job in batch.drain(..) {
                // Who gave up while waiting was told that nothing happened, or nothing at all.
                if let Job::Write { command, done } = job
                    && !done.is_closed()
                {
                    commands.push(*command);
                    waiting.push(done);
                }
            }
            match self.carry_out(&commands).await {
                Ok((revision, answers)) => {
                    // Before the answers: who has an answer finds the head at least there.
                    self.head.advance(revision);
                    for (done, answer) in waiting.into_iter().zip(answers) {
                        drop(done.send(answer.map_err(WriteError::Refused)));
                    }
                }
                Err(failure) => {
                    for done in waiting {
                        drop(done.send(Err(StoreError::from(failure.clone()).into())));
                    }
                    // The others would wait just as long, one batch after the other, to hear the same.
                    if matches!(failure, Failure::Unavailable(_)) {
                        refuse(&mut jobs, &failure);
                    }
                }
            }
        }
    }

    async fn carry_out(&self, commands: &[Command]) -> Result<(Revision, Answers), Failure> {
        let connection = self.pool.get().await?;
        let client = connection.client();
        let deadline = Instant::now() + TRANSACTION_MAX;
        let floor = self.head.known();
        let mut batch = self
            .until(
                deadline,
                Failure::Unavailable,
                transaction::begin(client, commands, floor),
            )
            .await?;
        let answers = commands
            .iter()
            .map(|command| batch.carry_out(command))
            .collect();
        if batch.went_back() {
            tracing::error!(
                known = floor.0,
                revision = batch.meta.revision.0,
                "the database is older than what was committed before, as after a restore or a failover; everyone reads it anew"
            );
        }
        if batch.is_changed() {
            let kept = self.options.deletions_kept;
            let storing = transaction::commit(client, &batch, kept);
            self.until(deadline, Failure::OutcomeUnknown, storing)
                .await?;
            connection.release();
        } else if self
            .until(
                deadline,
                Failure::Unavailable,
                transaction::roll_back(client),
            )
            .await
            .is_ok()
        {
            // Otherwise the answers are right all the same: nothing was changed, and nothing is kept.
            connection.release();
        }
        Ok((batch.meta.revision, answers))
    }

    async fn until<T>(
        &self,
        deadline: Instant,
        late: impl FnOnce(Cause) -> Failure,
        work: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Failure> {
        timeout_at(deadline, work).await.unwrap_or_else(|_| {
            self.pool.renew();
            Err(late(Cause::new("the database did not answer in time")))
        })
    }
}

/// Answers everything that waits.
fn refuse(jobs: &mut mpsc::Receiver<Job>, failure: &Failure) {
    while let Ok(job) = jobs.try_recv() {
        if let Job::Write { done, .. } = job {
            drop(done.send(Err(StoreError::from(failure.clone()).into())));
        }
    }
}
