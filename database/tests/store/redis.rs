//! What catalogs share in a Redis, over real servers that are killed and brought back.

#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::time::{Duration, Instant};

use bytes::Bytes;
use catalog_api::ServiceId;
use database::{
    Redis, RedisCache, RedisHistory, RedisJobs,
    history::CallHistory as _,
    jobs::{Fate, JobLimits, JobQueue as _, PutError},
};

use crate::{
    cache,
    fault_proxy::FaultProxy,
    history::{self, batch, call, everything},
    jobs,
    servers::RedisServer,
};

/// Longest wait for something that happens on its own.
const PATIENCE: Duration = Duration::from_secs(20);

async fn becomes(redis: &Redis, wanted: bool) {
    let mut connected = redis.connected();
    let reached = tokio::time::timeout(PATIENCE, connected.wait_for(|now| *now == wanted));
    assert_eq!(*reached.await.unwrap().unwrap(), wanted);
}

async fn open(url: &str) -> Redis {
    let redis = Redis::open(&url.parse().unwrap());
    becomes(&redis, true).await;
    redis
}

#[tokio::test]
async fn the_history_keeps_its_promises() {
    let mut servers = Vec::new();
    history::all(async || {
        let server = RedisServer::start();
        let redis = open(&server.url()).await;
        servers.push(server);
        RedisHistory::new(redis)
    })
    .await;
}

#[tokio::test]
async fn the_cache_keeps_its_promises() {
    let mut servers = Vec::new();
    cache::all(async || {
        let server = RedisServer::start();
        let redis = open(&server.url()).await;
        servers.push(server);
        RedisCache::new(redis, cache::TOTAL_BYTES_MAX)
    })
    .await;
}

#[tokio::test]
async fn the_queue_keeps_its_promises() {
    let mut servers = Vec::new();
    jobs::all(async |limits| {
        let server = RedisServer::start();
        let redis = open(&server.url()).await;
        servers.push(server);
        RedisJobs::new(redis, limits)
    })
    .await;
}

#[tokio::test]
async fn what_one_takes_and_forgets_is_found_by_the_other() {
    let server = RedisServer::start();
    let limits = JobLimits {
        hold: Duration::from_millis(300),
        ..JobLimits::default()
    };
    let one = RedisJobs::new(open(&server.url()).await, limits.clone());
    let other = RedisJobs::new(open(&server.url()).await, limits);
    let job = jobs::job("work", true);
    one.put(job.clone()).await.unwrap();
    assert!(one.take().await.unwrap().is_some());
    assert!(other.take().await.unwrap().is_none());
    drop(one);
    let deadline = Instant::now() + PATIENCE;
    loop {
        let swept = other.sweep(true).await.unwrap().swept;
        if let Some(swept) = swept.first() {
            assert_eq!((swept.fate, swept.job.hold.job), (Fate::WaitsAgain, job.id));
            break;
        }
        assert!(Instant::now() < deadline, "nobody finds it");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let again = other.take().await.unwrap().unwrap();
    assert_eq!((again.run, again.work), (2, job.work));
    let outcome = Bytes::from_static(b"done");
    assert!(other.finish(job.id, outcome.clone()).await.unwrap());
    let seen = other.look(job.id).await.unwrap().unwrap();
    assert_eq!(seen.outcome, Some(outcome));
}

#[tokio::test]
async fn nothing_is_put_into_a_queue_that_is_away() {
    let mut server = RedisServer::start();
    let redis = open(&server.url()).await;
    let queue = RedisJobs::new(redis.clone(), JobLimits::default());
    server.kill();
    becomes(&redis, false).await;
    let put = queue.put(jobs::job("work", true)).await;
    assert!(matches!(put, Err(PutError::Away)), "{put:?}");
    queue.take().await.unwrap_err();
    queue.sweep(true).await.unwrap_err();
    server.restart();
    becomes(&redis, true).await;
    queue.put(jobs::job("work", true)).await.unwrap();
    assert!(queue.take().await.unwrap().is_some());
}

#[tokio::test]
async fn histories_are_one_and_no_batch_counts_twice() {
    let server = RedisServer::start();
    let redis = open(&server.url()).await;
    let histories = [RedisHistory::new(redis.clone()), RedisHistory::new(redis)];
    for history in &histories {
        for _ in 0..2 {
            // As when the first answer was lost.
            history::record(history, &batch(1, [call(1, "/a", 200), call(1, "/b", 500)])).await;
        }
        history::record(history, &batch(2, [call(1, "/a", 200)])).await;
    }
    for history in &histories {
        assert_eq!(history.newest(&everything()).await.unwrap().len(), 6);
        let found = history.statistics(&[ServiceId(1)]).await.unwrap();
        let service = &found.services[&ServiceId(1)];
        assert_eq!(
            (service.totals.all.calls, service.totals.all.errors),
            (6, 2)
        );
    }
}

#[tokio::test]
async fn a_server_that_dies_fails_at_once_and_comes_back() {
    let mut server = RedisServer::start();
    let redis = open(&server.url()).await;
    let history = RedisHistory::new(redis.clone());
    history::record(&history, &batch(1, [call(1, "/a", 200)])).await;
    server.kill();
    becomes(&redis, false).await;
    let error = history.newest(&everything()).await.unwrap_err();
    assert!(!error.to_string().contains("w0rd"), "{error}");
    server.restart();
    becomes(&redis, true).await;
    // The server has forgotten everything, the sender nothing.
    history::record(&history, &batch(2, [call(1, "/a", 200)])).await;
    assert_eq!(history.newest(&everything()).await.unwrap().len(), 1);
}

#[tokio::test]
async fn silence_is_an_outage_that_ends() {
    let server = RedisServer::start();
    let port = server
        .url()
        .rsplit(':')
        .next()
        .unwrap()
        .trim_end_matches("/0")
        .parse();
    let proxy = FaultProxy::start(port.unwrap()).await;
    let redis = open(&RedisServer::url_at(proxy.port())).await;
    let history = RedisHistory::new(redis.clone());
    proxy.cut();
    becomes(&redis, false).await;
    let asked = Instant::now();
    history.newest(&everything()).await.unwrap_err();
    assert!(asked.elapsed() < PATIENCE, "nobody waits for it");
    proxy.heal();
    becomes(&redis, true).await;
    history::record(&history, &batch(1, [call(1, "/a", 200)])).await;
}

#[tokio::test]
async fn a_wrong_password_is_an_outage() {
    let server = RedisServer::start();
    let url = server.url().replace("w0rd", "wrong");
    let redis = Redis::open(&url.parse().unwrap());
    let mut connected = redis.connected();
    let changed = tokio::time::timeout(Duration::from_secs(1), connected.wait_for(|now| *now));
    assert!(changed.await.is_err());
}
