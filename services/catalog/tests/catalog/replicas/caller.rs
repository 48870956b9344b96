//! Somebody who calls a service through both catalogs all the time. Only a catalog that is dead or just starting may have none for him: a
//! call needs neither the database nor Redis.

#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use http::StatusCode;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::{LOOK, PATIENCE, client::Catalogs};
use crate::backend::Backend;

/// Whom he calls.
const SERVICE: &str = "called";

/// Said by a catalog that has begun and has nothing to show yet, and never later.
const STARTING: &str = "the catalog is waiting for its database";

pub(crate) struct Caller {
    catalogs: Catalogs,
    _backend: Backend,
}

// === impl Caller ===

impl Caller {
    /// Declares whom he calls.
    pub(crate) async fn new(catalogs: Catalogs) -> Self {
        let backend = Backend::start(SERVICE).await;
        let service = format!("/services/{SERVICE}");
        let spec = json!({"name": SERVICE});
        catalogs.until_done("PUT", &service, Some(&spec)).await;
        let spec = json!({"address": format!("127.0.0.1:{}", backend.port)});
        let instance = format!("{service}/instances/a");
        catalogs.until_done("PUT", &instance, Some(&spec)).await;
        let caller = Self {
            catalogs,
            _backend: backend,
        };
        for at in 0..2 {
            caller.is_known(at, &service).await;
        }
        caller
    }

    /// Waits until a catalog has heard of the instance, which the other one may have been told.
    async fn is_known(&self, at: usize, service: &str) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some((_, content)) = self.catalogs.get(at, service).await
                && String::from_utf8_lossy(&content).contains("\"instances\":[{")
            {
                return;
            }
            assert!(
                Instant::now() < deadline,
                "catalog {at} does not hear of it"
            );
            sleep(LOOK).await;
        }
    }

    /// Calls, until he is dropped.
    pub(crate) async fn run(&self) {
        for turn in 0_usize.. {
            self.call(turn, &turn.to_string()).await;
            sleep(LOOK).await;
        }
    }

    /// One call. False when the catalog is dead, or has not read its database yet.
    async fn call(&self, at: usize, endpoint: &str) -> bool {
        let path = format!("/services/call/{SERVICE}/{endpoint}");
        let Some((status, content)) = self.catalogs.get(at, &path).await else {
            return false;
        };
        let is_starting = String::from_utf8_lossy(&content).contains(STARTING);
        assert!(
            status == StatusCode::OK || is_starting,
            "{endpoint}: {content:?}"
        );
        !is_starting
    }

    /// Calls once at each catalog, while both live.
    pub(crate) async fn mark(&self, mark: &str) {
        for at in 0..2 {
            let answered = self.call(at, &format!("{mark}-{at}")).await;
            assert!(answered, "catalog {at} is dead");
        }
    }

    /// Waits until each catalog has the marked call that went through it in its own log.
    pub(crate) async fn is_in_own_log(&self, mark: &str) {
        for at in 0..2 {
            self.shows(at, "process", &[format!("/{mark}-{at}")]).await;
        }
    }

    /// Waits until both catalogs have both marked calls in the log that they share.
    pub(crate) async fn is_in_shared_log(&self, mark: &str) {
        for at in 0..2 {
            let wanted = [format!("/{mark}-0"), format!("/{mark}-1")];
            self.shows(at, "shared", &wanted).await;
        }
    }

    async fn shows(&self, at: usize, scope: &str, endpoints: &[String]) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let path = format!("/services/logs?service={SERVICE}&limit=1000");
            let (_, content) = self.catalogs.get(at, &path).await.unwrap();
            let log: Value = serde_json::from_slice(&content).unwrap();
            let calls = log["calls"].as_array().unwrap();
            let has = |endpoint: &String| calls.iter().any(|call| call["endpoint"] == *endpoint);
            if log["scope"] == scope && endpoints.iter().all(has) {
                return;
            }
            assert!(
                Instant::now() < deadline,
                "catalog {at} does not show {endpoints:?} in its log, {scope}"
            );
            sleep(LOOK).await;
        }
    }
}
