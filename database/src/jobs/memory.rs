//! The jobs of one process.

use std::collections::{BTreeSet, HashMap, VecDeque};

use async_trait::async_trait;
use bytes::Bytes;
use parking_lot::Mutex;
use tokio::time::Instant;

use super::{
    Fate, Held, Hold, JOB_BYTES, Job, JobId, JobLimits, JobQueue, PutError, SWEPT_MAX, Seen, Sweep,
    Swept,
};
use crate::redis::SharedError;

/// A bounded queue in memory. Every operation is short and never waits for anything but another one.
pub struct MemoryJobs {
    table: Mutex<Table>,
}

struct Table {
    limits: JobLimits,
    jobs: HashMap<JobId, Entry>,
    /// Since when who waits, the longest first. All wait equally long at most, so they are in this order by themselves.
    waiting: VecDeque<(Instant, JobId)>,
    /// Until when who is held, the soonest first.
    held: BTreeSet<(Instant, JobId)>,
    /// Until when which outcome is kept, the soonest first, for the same reason.
    finished: VecDeque<(Instant, JobId)>,
    bytes: usize,
}

struct Entry {
    label: Bytes,
    work: Bytes,
    is_repeatable: bool,
    runs: u32,
    holds: u64,
    state: State,
}

enum State {
    Waiting,
    /// Until then.
    Held(Instant),
    Finished(Bytes),
}

// === impl MemoryJobs ===

impl MemoryJobs {
    /// An empty queue.
    pub fn new(limits: JobLimits) -> Self {
        Self {
            table: Mutex::new(Table {
                limits,
                jobs: HashMap::new(),
                waiting: VecDeque::new(),
                held: BTreeSet::new(),
                finished: VecDeque::new(),
                bytes: 0,
            }),
        }
    }
}

#[async_trait]
impl JobQueue for MemoryJobs {
    fn is_shared(&self) -> bool {
        false
    }

    async fn put(&self, job: Job) -> Result<(), PutError> {
        self.table.lock().put(job, Instant::now())
    }

    async fn take(&self) -> Result<Option<Held>, SharedError> {
        Ok(self.table.lock().take(Instant::now()))
    }

    async fn renew(&self, holds: &[Hold]) -> Result<(), SharedError> {
        self.table.lock().renew(holds, Instant::now());
        Ok(())
    }

    async fn finish(&self, job: JobId, outcome: Bytes) -> Result<bool, SharedError> {
        Ok(self.table.lock().finish(job, outcome, Instant::now()))
    }

    async fn give_back(&self, hold: Hold) -> Result<bool, SharedError> {
        Ok(self.table.lock().give_back(hold, Instant::now()))
    }

    async fn look(&self, job: JobId) -> Result<Option<Seen>, SharedError> {
        Ok(self.table.lock().look(job, Instant::now()))
    }

    async fn sweep(&self, holds: bool) -> Result<Sweep, SharedError> {
        Ok(self.table.lock().sweep(holds, Instant::now()))
    }
}

// === impl Table ===

impl Table {
    fn put(&mut self, job: Job, now: Instant) -> Result<(), PutError> {
        self.forget(now);
        let unfinished = self.waiting.len() + self.held.len();
        if unfinished >= self.limits.unfinished_max
            || self.bytes + job.bytes() > self.limits.bytes_max
        {
            return Err(PutError::Full);
        }
        self.bytes += job.bytes();
        let Job {
            id,
            label,
            work,
            is_repeatable,
        } = job;
        let entry = Entry {
            label,
            work,
            is_repeatable,
            runs: 0,
            holds: 0,
            state: State::Waiting,
        };
        self.jobs.insert(id, entry);
        self.waiting.push_back((now, id));
        Ok(())
    }

    fn take(&mut self, now: Instant) -> Option<Held> {
        let (_, id) = self.waiting.pop_front()?;
        self.jobs.get_mut(&id)?.runs += 1;
        self.hold(id, now)
    }

    /// Gives a job that is in no list to somebody.
    fn hold(&mut self, id: JobId, now: Instant) -> Option<Held> {
        let until = now + self.limits.hold;
        let entry = self.jobs.get_mut(&id)?;
        entry.holds += 1;
        entry.state = State::Held(until);
        self.held.insert((until, id));
        Some(entry.held(id))
    }

    fn renew(&mut self, holds: &[Hold], now: Instant) {
        for hold in holds {
            let entry = self.jobs.get_mut(&hold.job);
            let Some(entry) = entry.filter(|entry| entry.holds == hold.number) else {
                continue;
            };
            if let State::Held(until) = &mut entry.state {
                self.held.remove(&(*until, hold.job));
                *until = now + self.limits.hold;
                self.held.insert((*until, hold.job));
            }
        }
    }

    fn finish(&mut self, id: JobId, outcome: Bytes, now: Instant) -> bool {
        let Some(entry) = self.jobs.get_mut(&id) else {
            return false;
        };
        match entry.state {
            State::Finished(_) => return false,
            State::Held(until) => {
                self.held.remove(&(until, id));
            }
            // Rare: somebody fell silent and came back with an outcome.
            State::Waiting => self.waiting.retain(|(_, waiting)| *waiting != id),
        }
        self.bytes = self.bytes + outcome.len() - entry.work.len();
        entry.work = Bytes::new();
        entry.state = State::Finished(outcome);
        self.finished.push_back((now + self.limits.kept, id));
        true
    }

    fn give_back(&mut self, hold: Hold, now: Instant) -> bool {
        let Some(entry) = self.jobs.get_mut(&hold.job) else {
            return false;
        };
        let State::Held(until) = entry.state else {
            return false;
        };
        if entry.holds != hold.number || !entry.is_repeatable {
            return false;
        }
        entry.state = State::Waiting;
        self.held.remove(&(until, hold.job));
        self.waiting.push_back((now, hold.job));
        true
    }

    fn look(&mut self, id: JobId, now: Instant) -> Option<Seen> {
        self.forget(now);
        let entry = self.jobs.get(&id)?;
        Some(Seen {
            label: entry.label.clone(),
            outcome: match &entry.state {
                State::Finished(outcome) => Some(outcome.clone()),
                State::Waiting | State::Held(_) => None,
            },
        })
    }

    fn sweep(&mut self, holds: bool, now: Instant) -> Sweep {
        self.forget(now);
        let mut swept = Vec::new();
        while holds && swept.len() < SWEPT_MAX {
            let Some((until, id)) = self.held.first().copied() else {
                break;
            };
            if until > now {
                break;
            }
            self.held.remove(&(until, id));
            swept.extend(self.fallen_silent(id, now));
        }
        while swept.len() < SWEPT_MAX
            && let Some((since, id)) = self.waiting.front().copied()
            && since + self.limits.wait_max <= now
        {
            self.waiting.pop_front();
            swept.extend(self.hold(id, now).map(|job| Swept {
                job,
                fate: Fate::Overdue,
            }));
        }
        Sweep {
            swept,
            waiting: self.waiting.len(),
        }
    }

    fn fallen_silent(&mut self, id: JobId, now: Instant) -> Option<Swept> {
        let entry = self.jobs.get_mut(&id)?;
        if !entry.is_repeatable || entry.runs >= self.limits.runs_max {
            let job = self.hold(id, now)?;
            return Some(Swept {
                job,
                fate: Fate::Abandoned,
            });
        }
        entry.state = State::Waiting;
        entry.holds += 1;
        self.waiting.push_back((now, id));
        Some(Swept {
            job: entry.held(id),
            fate: Fate::WaitsAgain,
        })
    }

    /// Forgets outcomes whose time is over.
    fn forget(&mut self, now: Instant) {
        while let Some((end, id)) = self.finished.front().copied()
            && end <= now
        {
            self.finished.pop_front();
            if let Some(entry) = self.jobs.remove(&id) {
                self.bytes -= entry.bytes();
            }
        }
    }
}

// === impl Entry ===

impl Entry {
    fn held(&self, job: JobId) -> Held {
        Held {
            hold: Hold {
                job,
                number: self.holds,
            },
            run: self.runs,
            label: self.label.clone(),
            work: self.work.clone(),
        }
    }

    fn bytes(&self) -> usize {
        let outcome = match &self.state {
            State::Finished(outcome) => outcome.len(),
            State::Waiting | State::Held(_) => 0,
        };
        self.label.len() + self.work.len() + outcome + JOB_BYTES
    }
}
