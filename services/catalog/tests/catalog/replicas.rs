//! Ten thousand random writes over two catalogs on one database and one Redis, while connections are cut, processes are killed, Redis too, and
//! watchers hang up. Whatever happens: every watcher ends with what the store has, no stream goes back or says anything twice, no write
//! that was acknowledged is lost, nobody hears of a service that he did not ask for, and calls go on.
//!
//! `MODEL_SEED` and `MODEL_WRITES` choose another run. The same seed gives the same writes and the same faults after the same number of
//! writes; what happens at once in between is the machine's choice.

#![expect(clippy::expect_used, reason = "tests fail by panicking")]

mod caller;
mod client;
mod faults;
pub(crate) mod replica;
mod watcher;
mod writer;

use std::{
    collections::BTreeMap,
    env,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use serde_json::{Value, json};
use tokio::{task::JoinSet, time::Instant};

use self::{
    caller::Caller, client::Catalogs, faults::Scene, replica::Replica, watcher::Watcher,
    writer::Writer,
};
use crate::servers::{Durability, PostgresServer, RedisServer};

const SEED: u64 = 20_261_125;
const WRITES: usize = 10_000;
const WRITERS: usize = 16;

/// Watchers of everything, and of one service each.
const WATCHERS: u64 = 4;
const WATCHERS_OF_ONE: u64 = 4;

/// Longest wait for what must come when all faults are over.
const PATIENCE: Duration = Duration::from_secs(60);

/// Pause between two looks at something that happens on its own.
const LOOK: Duration = Duration::from_millis(20);

/// Written last, so that watchers know the end when they see it.
const END: &str = "the-end";

fn chosen<T: std::str::FromStr>(variable: &str, default: T) -> T {
    let text = env::var(variable).ok();
    text.and_then(|text| text.parse().ok()).unwrap_or(default)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_fails_every_watcher_ends_equal_to_the_store() {
    let seed = chosen("MODEL_SEED", SEED);
    let writes = chosen("MODEL_WRITES", WRITES);
    println!("MODEL_SEED={seed} MODEL_WRITES={writes}");
    let begun = Instant::now();
    let server = PostgresServer::start(Durability::Fast);
    let mut redis = RedisServer::start();
    let url = server.database();
    let mut replicas = Vec::new();
    for _ in 0..2 {
        replicas.push(Replica::start(&url, redis.url()).await);
    }
    let catalogs = Catalogs::new(&replicas);
    let caller = Caller::new(catalogs.clone()).await;

    let watching = watch(seed, &catalogs);
    let done = Arc::new(AtomicUsize::new(0));
    let mut writers = JoinSet::new();
    for number in 0..WRITERS {
        let writer = Writer::new(seed, number, catalogs.clone(), Arc::clone(&done));
        writers.spawn(writer.run(writes / WRITERS));
    }
    let scene = Scene {
        replicas: &mut replicas,
        redis: &mut redis,
        caller: &caller,
        done: &done,
    };
    let faults = scene.cause(seed, writes);
    let written = tokio::select! {
        (written, ()) = async { tokio::join!(writers.join_all(), faults) } => written,
        () = caller.run() => panic!("he calls until the end"),
    };
    println!(
        "{} writes after {:?}",
        done.load(Ordering::Relaxed),
        begun.elapsed()
    );

    let mut model = BTreeMap::new();
    for services in written {
        model.extend(services);
    }
    finish(&catalogs, &model).await;
    let store = converged(&catalogs).await;
    holds(&model, &store);
    let mut watchers = watching;
    while let Some(watched) = watchers.join_next().await {
        let watched = watched.expect("a watcher ends");
        watched.equals(&catalogs).await;
    }
    caller.mark("last").await;
    caller.is_in_shared_log("last").await;
    println!("over after {:?}", begun.elapsed());
}

fn watch(seed: u64, catalogs: &Catalogs) -> JoinSet<watcher::Watched> {
    let mut watching = JoinSet::new();
    for number in 0..WATCHERS + WATCHERS_OF_ONE {
        let filter = (number >= WATCHERS).then(|| writer::name(number as usize % WRITERS, 0));
        let watcher = Watcher::new(seed, number, catalogs.clone(), filter);
        watching.spawn(async move {
            let watched = tokio::time::timeout(PATIENCE * 3, watcher.run());
            watched.await.expect("the watcher sees the end")
        });
    }
    watching
}

/// The last writes: one that everybody hears, and one for each service that somebody watches.
async fn finish(catalogs: &Catalogs, model: &BTreeMap<String, writer::Service>) {
    for number in WATCHERS..WATCHERS + WATCHERS_OF_ONE {
        let name = writer::name(number as usize % WRITERS, 0);
        if model.contains_key(&name) {
            catalogs
                .until_done("DELETE", &format!("/services/{name}"), None)
                .await;
        }
        let spec = json!({"name": name, "description": END});
        catalogs
            .until_done("PUT", &format!("/services/{name}"), Some(&spec))
            .await;
    }
    let spec = json!({"name": END});
    catalogs
        .until_done("PUT", &format!("/services/{END}"), Some(&spec))
        .await;
}

/// What both catalogs answer, as soon as that is the same.
async fn converged(catalogs: &Catalogs) -> Value {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let (one, other) = (catalogs.list(0).await, catalogs.list(1).await);
        if one.is_some() && one == other {
            return one.unwrap_or_default();
        }
        assert!(Instant::now() < deadline, "the catalogs do not converge");
        tokio::time::sleep(LOOK).await;
    }
}

/// Nothing that was acknowledged is lost, and nothing is there that nobody wrote.
fn holds(model: &BTreeMap<String, writer::Service>, store: &Value) {
    let services = store["services"].as_array().into_iter().flatten();
    let mut found: BTreeMap<String, writer::Service> =
        services.filter_map(writer::Service::read).collect();
    let ended: Vec<String> = found
        .iter()
        .filter(|(_, service)| service.description == END)
        .map(|(name, _)| name.clone())
        .collect();
    let mut model = model.clone();
    for name in ended {
        found.remove(&name);
        model.remove(&name);
    }
    assert_eq!(found, model);
}
