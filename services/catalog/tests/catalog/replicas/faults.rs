//! What goes wrong, and when: after numbers of writes that the seed decides.

#![expect(
    clippy::print_stdout,
    reason = "a failing run says what was done to it"
)]

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use rand::{RngExt as _, SeedableRng as _, rngs::StdRng, seq::SliceRandom as _};
use tokio::{
    task::block_in_place,
    time::{Instant, sleep},
};

use super::{LOOK, PATIENCE, caller::Caller, replica::Replica};
use crate::servers::RedisServer;

/// How long a way stays silent: short enough to go unnoticed but for the delay, and long enough for every limit to run out.
const SILENCES: [Duration; 2] = [Duration::from_millis(300), Duration::from_secs(6)];

/// Times that Redis dies.
const REDIS_DEATHS: usize = 2;

#[derive(Clone, Copy, Debug)]
enum Fault {
    /// Nothing passes to the database of a catalog for a while, and nothing is closed.
    Silence { catalog: usize, time: Duration },
    /// Every connection of a catalog to the database is closed.
    Sever { catalog: usize },
    /// `kill -9` of a catalog, and a start.
    Kill { catalog: usize },
    /// `kill -9` of Redis, and later a start on the same port, empty.
    KillRedis { death: usize },
}

/// What can fail.
pub(crate) struct Scene<'a> {
    pub(crate) replicas: &'a mut [Replica],
    pub(crate) redis: &'a mut RedisServer,
    /// Who sees what Redis is for.
    pub(crate) caller: &'a Caller,
    /// Writes that were done.
    pub(crate) done: &'a AtomicUsize,
}

/// Every fault, in an order of the seed.
fn plan(seed: u64, catalogs: usize) -> Vec<Fault> {
    let mut random = StdRng::seed_from_u64(seed);
    let mut faults = Vec::new();
    for catalog in 0..catalogs {
        let time = SILENCES[0];
        faults.push(Fault::Silence { catalog, time });
        faults.extend([Fault::Sever { catalog }; 2]);
        faults.extend([Fault::Kill { catalog }; 2]);
    }
    // Once is enough for what takes long.
    faults.push(Fault::Silence {
        catalog: random.random_range(0..catalogs),
        time: SILENCES[1],
    });
    faults.extend((0..REDIS_DEATHS).map(|death| Fault::KillRedis { death }));
    faults.shuffle(&mut random);
    faults
}

// === impl Scene ===

impl Scene<'_> {
    /// Causes every fault, spread over so many writes.
    pub(crate) async fn cause(mut self, seed: u64, writes: usize) {
        let faults = plan(seed, self.replicas.len());
        let apart = writes / (faults.len() + 1);
        let mut due = apart / 2;
        for fault in faults {
            reached(self.done, due).await;
            println!("after {due} writes: {fault:?}");
            match fault {
                Fault::Silence { catalog, time } => {
                    let way = &self.replicas[catalog].way;
                    way.cut();
                    sleep(time).await;
                    way.heal();
                }
                Fault::Sever { catalog } => self.replicas[catalog].way.sever(),
                Fault::Kill { catalog } => self.replicas[catalog].kill_and_restart().await,
                Fault::KillRedis { death } => self.kill_redis(death, due + apart / 2).await,
            }
            due += apart;
        }
    }

    /// While it is away, each catalog shows the calls that it knows of. When it is back, nothing of that is missing in what they share.
    async fn kill_redis(&mut self, death: usize, until: usize) {
        let mark = format!("without-redis-{death}");
        block_in_place(|| self.redis.kill());
        self.caller.mark(&mark).await;
        self.caller.is_in_own_log(&mark).await;
        reached(self.done, until).await;
        block_in_place(|| self.redis.restart());
        self.caller.is_in_shared_log(&mark).await;
    }
}

/// Waits until so many writes are done. The other catalog takes them while one cannot.
async fn reached(done: &AtomicUsize, due: usize) {
    let mut seen = (0, Instant::now());
    loop {
        let now = done.load(Ordering::Relaxed);
        if now >= due {
            return;
        }
        if now > seen.0 {
            seen = (now, Instant::now());
        }
        assert!(seen.1.elapsed() < PATIENCE, "nothing is written any more");
        sleep(LOOK).await;
    }
}
