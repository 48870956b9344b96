//! The two catalogs as their clients see them.

#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::{net::SocketAddr, time::Duration};

use bytes::Bytes;
use http::{Method, Request, StatusCode};
use serde_json::Value;
use service_kit::{client::Client, http::body};
use tokio::time::sleep;

use super::replica::{Replica, TOKEN};

/// Longer than any catalog takes to say that it cannot.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);
const ANSWER_BYTES_MAX: usize = 64 << 20;

/// Before a write that failed is sent again.
const PAUSE: Duration = Duration::from_millis(20);

/// Most times that one write is sent.
const TRIES_MAX: usize = 2_000;

#[derive(Clone)]
pub(crate) struct Catalogs {
    addresses: [SocketAddr; 2],
    client: Client,
}

/// What became of one write.
pub(crate) enum Outcome {
    Done {
        revision: u64,
    },
    NotFound,
    /// It was not taken, or nobody knows.
    Failed,
}

// === impl Catalogs ===

impl Catalogs {
    pub(crate) fn new(replicas: &[Replica]) -> Self {
        Self {
            addresses: [replicas[0].address, replicas[1].address],
            client: Client::new(),
        }
    }

    pub(crate) fn address(&self, index: usize) -> SocketAddr {
        self.addresses[index % 2]
    }

    /// Sends a write to one of them.
    pub(crate) async fn write(
        &self,
        index: usize,
        method: &str,
        path: &str,
        content: Option<&Value>,
    ) -> Outcome {
        let request = Request::builder()
            .method(method.parse::<Method>().unwrap())
            .uri(format!("http://{}{path}", self.address(index)))
            .header("authorization", format!("Bearer {TOKEN}"))
            .header("content-type", "application/json")
            .body(content.map_or_else(body::empty, |content| body::full(content.to_string())))
            .unwrap();
        let answer = self.client.fetch(request, ANSWER_TIMEOUT, ANSWER_BYTES_MAX);
        let Ok(answer) = answer.await else {
            return Outcome::Failed;
        };
        match answer.status() {
            StatusCode::NOT_FOUND => Outcome::NotFound,
            StatusCode::SERVICE_UNAVAILABLE => {
                assert!(answer.headers().contains_key("retry-after"));
                Outcome::Failed
            }
            status if status.is_success() => {
                let revision = answer.headers()["x-catalog-revision"].to_str().unwrap();
                Outcome::Done {
                    revision: revision.parse().unwrap(),
                }
            }
            status => panic!("{method} {path}: {status} {:?}", answer.body()),
        }
    }

    /// Sends a write until it is acknowledged, to the one and to the other. What is not there any more is deleted.
    pub(crate) async fn until_done(&self, method: &str, path: &str, content: Option<&Value>) {
        for index in 0..TRIES_MAX {
            match self.write(index, method, path, content).await {
                Outcome::Done { .. } => return,
                Outcome::NotFound if method == "DELETE" => return,
                Outcome::NotFound | Outcome::Failed => sleep(PAUSE).await,
            }
        }
        panic!("{method} {path} is never taken");
    }

    /// What one of them answers, if it does.
    pub(crate) async fn get(&self, index: usize, path: &str) -> Option<(StatusCode, Bytes)> {
        let request = Request::get(format!("http://{}{path}", self.address(index)));
        let request = request.body(body::empty()).unwrap();
        let answer = self.client.fetch(request, ANSWER_TIMEOUT, ANSWER_BYTES_MAX);
        let answer = answer.await.ok()?;
        Some((answer.status(), answer.into_body()))
    }

    /// Everything, if it answers.
    pub(crate) async fn list(&self, index: usize) -> Option<Value> {
        let (status, content) = self.get(index, "/services").await?;
        let is_there = status == StatusCode::OK;
        is_there.then(|| serde_json::from_slice(&content).unwrap())
    }
}
