//! Work that is done later: bytes that say what to do, and bytes that say what became of it.
//!
//! A job waits until a worker takes it, is held while he works and renews his hold, and is finished with an outcome that is kept for a
//! while. Whoever is silent for too long has lost what he held: a job that may be repeated waits again, and any other one goes to
//! whoever sweeps, who finishes it without doing it. So a job that may be repeated is done at least once, and any other at most
//! once. The first outcome of a job is the only one.
//!
//! [`MemoryJobs`] is of one process and lost with it, [`RedisJobs`](crate::redis::RedisJobs) of all catalogs on one Redis and lost with
//! that. Both are [`JobQueue`] and give the same answers (`tests/store/jobs.rs`).

mod memory;

use std::{fmt, str::FromStr, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use uuid::Uuid;

pub use self::memory::MemoryJobs;
use crate::redis::SharedError;

/// What is charged for keeping a job besides its bytes.
pub const JOB_BYTES: usize = 512;

/// Jobs that one sweep hands over at most; the rest has to wait for the next one.
pub const SWEPT_MAX: usize = 32;

/// Name of a job: random, so that only who was told it can ask for the outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct JobId(Uuid);

/// No name of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the name of a job is a UUID in lower case")]
pub struct InvalidJobId;

/// Limits of a queue.
#[derive(Clone, Debug)]
pub struct JobLimits {
    /// Most jobs that wait or are held. 512.
    pub unfinished_max: usize,
    /// Bytes of all jobs from which on no further one is taken in. Outcomes of those that were are kept all the same. 32 MiB.
    pub bytes_max: usize,
    /// How long a job waits at most. 10 min.
    pub wait_max: Duration,
    /// How long a job is held without a renewal. 10 s.
    pub hold: Duration,
    /// How often a job that may be repeated is begun in all. 3.
    pub runs_max: u32,
    /// How long an outcome is kept. 10 min.
    pub kept: Duration,
}

/// Something to do.
#[derive(Clone, Debug)]
pub struct Job {
    /// Its name.
    pub id: JobId,
    /// What is told about it while there is something to tell.
    pub label: Bytes,
    /// What is to be done. Forgotten when it is.
    pub work: Bytes,
    /// Whether it may be begun again when it is not known how far it came.
    pub is_repeatable: bool,
}

/// A job in somebody's hands.
#[derive(Clone, Debug)]
pub struct Held {
    /// The hold.
    pub hold: Hold,
    /// How often it was begun, this time included.
    pub run: u32,
    /// As it was put.
    pub label: Bytes,
    /// As it was put.
    pub work: Bytes,
}

/// What tells one who holds a job from those who held it before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hold {
    /// The job.
    pub job: JobId,
    /// Counts those who held it.
    pub number: u64,
}

/// A job as it is seen from outside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// As it was put.
    pub label: Bytes,
    /// None as long as it is not finished.
    pub outcome: Option<Bytes>,
}

/// What a sweep came across.
#[derive(Clone, Debug)]
pub struct Swept {
    /// The job. Unless it waits again, whoever sweeps holds it now and has to finish it.
    pub job: Held,
    /// Why.
    pub fate: Fate,
}

/// What became of a job by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Its worker fell silent, and it waits again.
    WaitsAgain,
    /// Its worker fell silent, and it must not be begun again.
    Abandoned,
    /// It waited too long.
    Overdue,
}

/// Result of a sweep.
#[derive(Clone, Debug, Default)]
pub struct Sweep {
    /// Jobs to which something happened.
    pub swept: Vec<Swept>,
    /// How many jobs wait now.
    pub waiting: usize,
}

/// Why a job was not put.
#[derive(Clone, Debug, thiserror::Error)]
pub enum PutError {
    /// There are as many as there may be, or as many bytes.
    #[error("the queue is full")]
    Full,
    /// The queue cannot be reached, and nothing was sent there.
    #[error("the queue is away")]
    Away,
    /// It may be in the queue or not.
    #[error("whether the queue has it is not known")]
    Unknown(#[source] SharedError),
}

/// Keeps jobs.
#[async_trait]
pub trait JobQueue: Send + Sync + 'static {
    /// Whether others than this process take jobs from it, too.
    fn is_shared(&self) -> bool;

    /// Puts a job at the end.
    ///
    /// # Errors
    /// [`PutError`].
    async fn put(&self, job: Job) -> Result<(), PutError>;

    /// Takes the job that waits longest; none when none waits.
    ///
    /// # Errors
    /// [`SharedError`]: the queue could not be reached. A job that was taken all the same is one whose worker is silent.
    async fn take(&self) -> Result<Option<Held>, SharedError>;

    /// Goes on holding jobs. Those that are held no longer are passed over.
    ///
    /// # Errors
    /// [`SharedError`]: the queue could not be reached.
    async fn renew(&self, holds: &[Hold]) -> Result<(), SharedError>;

    /// Finishes a job, whoever holds it. False when it is finished already, or unknown.
    ///
    /// # Errors
    /// [`SharedError`]: the queue could not be reached. It may be asked again.
    async fn finish(&self, job: JobId, outcome: Bytes) -> Result<bool, SharedError>;

    /// Lets a job that may be repeated wait again. False when it is another one, or not held like this any more.
    ///
    /// # Errors
    /// [`SharedError`]: the queue could not be reached.
    async fn give_back(&self, hold: Hold) -> Result<bool, SharedError>;

    /// What is known of a job; none when it never was there, or its outcome is not kept any more.
    ///
    /// # Errors
    /// [`SharedError`]: the queue could not be reached.
    async fn look(&self, job: JobId) -> Result<Option<Seen>, SharedError>;

    /// Finds jobs that wait too long, forgets outcomes whose time is over, and finds those whose worker is silent, unless `holds` is
    /// false: after an outage of the queue, silence means nothing until everybody had the time to speak.
    ///
    /// # Errors
    /// [`SharedError`]: the queue could not be reached.
    async fn sweep(&self, holds: bool) -> Result<Sweep, SharedError>;
}

// === impl JobId ===

impl JobId {
    /// A new one.
    pub fn random() -> Self {
        Self(Uuid::new_v4())
    }
}

impl FromStr for JobId {
    type Err = InvalidJobId;

    fn from_str(text: &str) -> Result<Self, InvalidJobId> {
        let id = Self(text.parse().map_err(|_| InvalidJobId)?);
        // UUIDs have other spellings, which would be other names of one thing.
        (id.to_string() == text).then_some(id).ok_or(InvalidJobId)
    }
}

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.hyphenated().fmt(f)
    }
}

// === impl JobLimits ===

impl Default for JobLimits {
    fn default() -> Self {
        Self {
            unfinished_max: 512,
            bytes_max: 32 * 1024 * 1024,
            wait_max: Duration::from_secs(10 * 60),
            hold: Duration::from_secs(10),
            runs_max: 3,
            kept: Duration::from_secs(10 * 60),
        }
    }
}

impl Job {
    /// What it is charged for until it is finished.
    pub(crate) fn bytes(&self) -> usize {
        self.label.len() + self.work.len() + JOB_BYTES
    }
}
