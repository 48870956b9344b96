//! The queue of jobs that catalogs share. Each operation is one action of a script (`jobs.lua`), by the clock of Redis, so that it does not
//! matter how the catalogs' clocks differ.

use std::time::Duration;

use async_trait::async_trait;
use bb8_redis::redis::{Cmd, FromRedisValue, ToRedisArgs, cmd};
use bytes::Bytes;

use super::{OPERATION_MAX, PREFIX, Redis, SharedError};
use crate::jobs::{
    Fate, Held, Hold, JOB_BYTES, Job, JobId, JobLimits, JobQueue, PutError, SWEPT_MAX, Seen, Sweep,
    Swept,
};

const JOBS: &str = include_str!("jobs.lua");

/// The jobs of all catalogs on one Redis. All of them must have the same limits.
pub struct RedisJobs {
    redis: Redis,
    limits: JobLimits,
}

/// A job as the script tells it: id, number of its hold, runs, label, work.
type Told = (String, u64, u32, Vec<u8>, Vec<u8>);

/// A job to which something happened.
type ToldSwept = (u8, String, u64, u32, Vec<u8>, Vec<u8>);

// === impl RedisJobs ===

impl RedisJobs {
    /// On this Redis.
    pub fn new(redis: Redis, limits: JobLimits) -> Self {
        Self { redis, limits }
    }

    async fn ask<T: FromRedisValue>(&self, command: &Cmd) -> Result<T, SharedError> {
        self.redis.command(command, OPERATION_MAX).await
    }
}

#[async_trait]
impl JobQueue for RedisJobs {
    fn is_shared(&self) -> bool {
        true
    }

    async fn put(&self, job: Job) -> Result<(), PutError> {
        if !self.redis.shared.health.is_connected() {
            return Err(PutError::Away);
        }
        let mut command = action("put");
        command.arg(job.id.to_string());
        command.arg(&job.label[..]).arg(&job.work[..]);
        command.arg(u8::from(job.is_repeatable)).arg(job.bytes());
        command.arg(self.limits.unfinished_max);
        command.arg(self.limits.bytes_max);
        match self.ask(&command).await {
            Ok(true) => Ok(()),
            Ok(false) => Err(PutError::Full),
            Err(error) => Err(PutError::Unknown(error)),
        }
    }

    async fn take(&self) -> Result<Option<Held>, SharedError> {
        let mut command = action("take");
        command.arg(micros(self.limits.hold));
        let taken: Option<Told> = self.ask(&command).await?;
        taken.map(held).transpose()
    }

    async fn renew(&self, holds: &[Hold]) -> Result<(), SharedError> {
        let mut command = action("renew");
        command.arg(micros(self.limits.hold));
        for hold in holds {
            command.arg(hold.job.to_string()).arg(hold.number);
        }
        self.ask(&command).await
    }

    async fn finish(&self, job: JobId, outcome: Bytes) -> Result<bool, SharedError> {
        let mut command = action("finish");
        command.arg(job.to_string()).arg(&outcome[..]);
        command.arg(micros(self.limits.kept)).arg(JOB_BYTES);
        self.ask(&command).await
    }

    async fn give_back(&self, hold: Hold) -> Result<bool, SharedError> {
        let mut command = action("give_back");
        command.arg(hold.job.to_string()).arg(hold.number);
        self.ask(&command).await
    }

    async fn look(&self, job: JobId) -> Result<Option<Seen>, SharedError> {
        let mut command = action("look");
        command.arg(job.to_string());
        let (label, outcome): (Option<Vec<u8>>, Option<Vec<u8>>) = self.ask(&command).await?;
        Ok(label.map(|label| Seen {
            label: label.into(),
            outcome: outcome.map(Bytes::from),
        }))
    }

    async fn sweep(&self, holds: bool) -> Result<Sweep, SharedError> {
        let mut command = action("sweep");
        command.arg(u8::from(holds)).arg(micros(self.limits.hold));
        command.arg(micros(self.limits.wait_max));
        command.arg(self.limits.runs_max).arg(SWEPT_MAX);
        let (waiting, told): (usize, Vec<ToldSwept>) = self.ask(&command).await?;
        let swept: Result<_, SharedError> = told.into_iter().map(swept).collect();
        Ok(Sweep {
            swept: swept?,
            waiting,
        })
    }
}

fn action(name: &str) -> Cmd {
    let mut command = cmd("EVAL");
    command.arg(JOBS).arg(1).arg(PREFIX).arg(name);
    command
}

fn micros(time: Duration) -> impl ToRedisArgs {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

fn held((id, number, run, label, work): Told) -> Result<Held, SharedError> {
    Ok(Held {
        hold: Hold {
            job: id.parse().map_err(SharedError::new)?,
            number,
        },
        run,
        label: label.into(),
        work: work.into(),
    })
}

fn swept((fate, id, number, run, label, work): ToldSwept) -> Result<Swept, SharedError> {
    Ok(Swept {
        job: held((id, number, run, label, work))?,
        fate: match fate {
            0 => Fate::WaitsAgain,
            1 => Fate::Abandoned,
            _ => Fate::Overdue,
        },
    })
}
