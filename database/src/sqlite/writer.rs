//! Writing: one thread that owns the writing connection and commits all writes that wait with one fsync.

use std::{
    io,
    sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel},
    thread::JoinHandle,
};

use catalog_api::{Revision, Service, ServiceId, Timestamp};
use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior, params};
use tokio::sync::{oneshot, watch};

use super::{
    lock::FileLock,
    schema::{self, Meta, column, number},
};
use crate::{
    command::{Command, Refusal},
    decide::{Decision, Outcome, Position, decide},
    retention::Options,
    store::{Committed, StoreError, WriteError},
};

/// Most writes that may wait; one more is [`StoreError::Busy`].
const QUEUE_MAX: usize = 1_024;

/// Most writes in one transaction.
const BATCH_MAX: usize = 256;

/// The writing half of the store. Dropping it waits until the queue is worked off.
pub(super) struct Writer {
    head: watch::Receiver<Revision>,
    // Both are there until the drop, which must let go of the queue before it waits for the thread.
    queue: Option<SyncSender<Job>>,
    thread: Option<JoinHandle<()>>,
}

struct Job {
    command: Command,
    done: oneshot::Sender<Result<Committed, WriteError>>,
}

/// What the thread owns. The lock lives as long as the connection.
struct Worker {
    connection: Connection,
    _lock: FileLock,
    head: watch::Sender<Revision>,
    options: Options,
}

// === impl Writer ===

impl Writer {
    pub(super) fn start(
        connection: Connection,
        lock: FileLock,
        revision: Revision,
        options: Options,
    ) -> io::Result<Self> {
        let (queue, jobs) = sync_channel(QUEUE_MAX);
        let (sender, head) = watch::channel(revision);
        let worker = Worker {
            connection,
            _lock: lock,
            head: sender,
            options,
        };
        let thread = std::thread::Builder::new()
            .name("catalog-writer".to_owned())
            .spawn(move || worker.run(&jobs))?;
        Ok(Self {
            head,
            queue: Some(queue),
            thread: Some(thread),
        })
    }

    pub(super) fn head(&self) -> watch::Receiver<Revision> {
        self.head.clone()
    }

    pub(super) async fn write(&self, command: Command) -> Result<Committed, WriteError> {
        let (done, answer) = oneshot::channel();
        let queue = self.queue.as_ref().ok_or(StoreError::Closed)?;
        queue
            .try_send(Job { command, done })
            .map_err(|error| match error {
                TrySendError::Full(_) => StoreError::Busy,
                TrySendError::Disconnected(_) => StoreError::Closed,
            })?;
        answer.await.map_err(|_| StoreError::Closed)?
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        drop(self.queue.take());
        if let Some(thread) = self.thread.take() {
            // A panic of the thread was reported by the panic hook; there is nobody left to tell.
            drop(thread.join());
        }
    }
}

// === impl Worker ===

impl Worker {
    fn run(mut self, jobs: &Receiver<Job>) {
        while let Ok(first) = jobs.recv() {
            let mut batch = vec![first];
            while batch.len() < BATCH_MAX
                && let Ok(job) = jobs.try_recv()
            {
                batch.push(job);
            }
            let (commands, waiting): (Vec<_>, Vec<_>) =
                batch.into_iter().map(|job| (job.command, job.done)).unzip();
            match self.commit(&commands) {
                Ok((revision, answers)) => {
                    // Before the answers: who has an answer finds the head at least there.
                    self.head
                        .send_if_modified(|head| std::mem::replace(head, revision) != revision);
                    for (done, answer) in waiting.into_iter().zip(answers) {
                        // Nobody waits any more when the request was given up; the write counts all the same.
                        drop(done.send(answer.map_err(WriteError::Refused)));
                    }
                }
                Err(error) => {
                    // Rolled back: nothing of the batch happened, and the next one starts afresh.
                    let error = std::sync::Arc::new(error);
                    for done in waiting {
                        let source = Box::new(BatchFailed(std::sync::Arc::clone(&error)));
                        drop(done.send(Err(StoreError::Failed(source).into())));
                    }
                }
            }
        }
    }

    /// One transaction. A refused command leaves no trace in it, so the others need no savepoints.
    fn commit(
        &mut self,
        commands: &[Command],
    ) -> rusqlite::Result<(Revision, Vec<Result<Committed, Refusal>>)> {
        let transaction = self
            .connection
            .transaction_with_behavior(TransactionBehavior::Immediate)?;
        let mut meta = schema::meta(&transaction)?;
        let before = meta.revision;
        let mut services = count(&transaction)?;
        let mut deleted = false;
        let mut answers = Vec::with_capacity(commands.len());
        for command in commands {
            let current = schema::service(&transaction, &command.target())?;
            let position = Position {
                revision: meta.revision.next(),
                next_id: meta.next_id,
                services,
                now: Timestamp::now(),
            };
            let decision = match decide(current.as_ref(), command, &position) {
                Ok(decision) => decision,
                Err(refusal) => {
                    answers.push(Err(refusal));
                    continue;
                }
            };
            deleted |= matches!(decision, Decision::Delete(_));
            answers.push(Ok(apply(
                &transaction,
                &mut meta,
                &mut services,
                current,
                decision,
            )?));
        }
        if meta.revision != before {
            if deleted {
                compact(&transaction, &mut meta, self.options.deletions_kept)?;
            }
            schema::set_meta(&transaction, &meta)?;
        }
        transaction.commit()?;
        Ok((meta.revision, answers))
    }
}

fn count(transaction: &Transaction<'_>) -> rusqlite::Result<usize> {
    let services: i64 = transaction
        .prepare_cached("SELECT count(*) FROM services")?
        .query_row([], |row| row.get(0))?;
    Ok(usize::try_from(services).unwrap_or_default())
}

fn apply(
    transaction: &Transaction<'_>,
    meta: &mut Meta,
    services: &mut usize,
    current: Option<Service>,
    decision: Decision,
) -> rusqlite::Result<Committed> {
    match decision {
        Decision::Unchanged => Ok(Committed {
            revision: meta.revision,
            outcome: Outcome::Unchanged,
            service: current,
        }),
        Decision::Put(service, outcome) => {
            schema::put_service(transaction, &service)?;
            meta.revision = service.revision;
            if current.is_none() {
                meta.next_id = ServiceId(service.id.0 + 1);
                *services += 1;
            }
            Ok(Committed {
                revision: service.revision,
                outcome,
                service: Some(*service),
            })
        }
        Decision::Delete(deleted) => {
            transaction
                .prepare_cached("DELETE FROM services WHERE id = ?1")?
                .execute([column(deleted.id.0)])?;
            transaction
                .prepare_cached("INSERT INTO deletions VALUES (?1, ?2, ?3)")?
                .execute(params![
                    column(deleted.revision.0),
                    column(deleted.id.0),
                    deleted.name.as_str()
                ])?;
            meta.revision = deleted.revision;
            *services -= 1;
            Ok(Committed {
                revision: deleted.revision,
                outcome: Outcome::Deleted,
                service: None,
            })
        }
    }
}

/// Forgets all but the newest deletions.
fn compact(transaction: &Transaction<'_>, meta: &mut Meta, kept: usize) -> rusqlite::Result<()> {
    let newest_forgotten: Option<i64> = transaction
        .prepare_cached("SELECT revision FROM deletions ORDER BY revision DESC LIMIT 1 OFFSET ?1")?
        .query_row([column(kept as u64)], |row| row.get(0))
        .optional()?;
    if let Some(revision) = newest_forgotten {
        transaction
            .prepare_cached("DELETE FROM deletions WHERE revision <= ?1")?
            .execute([revision])?;
        meta.compacted = Revision(number(revision));
    }
    Ok(())
}

/// One failure, told to everyone whose write was in the batch.
#[derive(Debug, thiserror::Error)]
#[error("the transaction failed: {0}")]
struct BatchFailed(std::sync::Arc<rusqlite::Error>);
