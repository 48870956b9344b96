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
use tokio::time::{Instant, sleep};

use super::{LOOK, PATIENCE, replica::Replica};

/// How long a way stays silent: short enough to go unnoticed but for the delay, and long enough for every limit to run out.
const SILENCES: [Duration; 2] = [Duration::from_millis(300), Duration::from_secs(6)];

#[derive(Clone, Copy, Debug)]
enum Fault {
    /// Nothing passes to the database for a while, and nothing is closed.
    Silence(Duration),
    /// Every connection to the database is closed.
    Sever,
    /// `kill -9`, and a start.
    Kill,
}

/// Causes every fault at both catalogs, in an order of the seed, spread over so many writes.
pub(crate) async fn cause(seed: u64, writes: usize, done: &AtomicUsize, replicas: &mut [Replica]) {
    let mut random = StdRng::seed_from_u64(seed);
    let mut faults = Vec::new();
    for victim in 0..replicas.len() {
        for fault in [
            Fault::Silence(SILENCES[0]),
            Fault::Sever,
            Fault::Sever,
            Fault::Kill,
            Fault::Kill,
        ] {
            faults.push((victim, fault));
        }
    }
    // Once is enough for what takes long.
    faults.push((
        random.random_range(0..replicas.len()),
        Fault::Silence(SILENCES[1]),
    ));
    faults.shuffle(&mut random);
    let apart = writes / (faults.len() + 1);
    let mut due = apart / 2;
    for (victim, fault) in faults {
        reached(done, due).await;
        println!("after {due} writes: {fault:?} of catalog {victim}");
        let replica = &mut replicas[victim];
        match fault {
            Fault::Silence(time) => {
                replica.way.cut();
                sleep(time).await;
                replica.way.heal();
            }
            Fault::Sever => replica.way.sever(),
            Fault::Kill => replica.kill_and_restart().await,
        }
        due += apart;
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
