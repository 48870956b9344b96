//! What catalogs share in a Redis, over real servers that are killed and brought back.

#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::time::{Duration, Instant};

use catalog_api::ServiceId;
use database::{Redis, RedisCache, RedisHistory, history::CallHistory as _};

use crate::{
    cache,
    fault_proxy::FaultProxy,
    history::{self, batch, call, everything},
    redis_server::RedisServer,
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
