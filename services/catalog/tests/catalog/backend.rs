//! Instances of services: well-behaved ones that tell what they were asked, and ones with any fault.

#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::{
    convert::Infallible,
    net::TcpListener as StdListener,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use bytes::Bytes;
use http::{HeaderMap, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use serde_json::json;
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

use crate::harness::Harness;

/// A server on a free port. Ends with the value.
pub(crate) struct Backend {
    pub(crate) port: u16,
    /// Every request with its whole body, in the order of arrival.
    pub(crate) seen: Arc<Mutex<Vec<Seen>>>,
    /// Connections that came.
    pub(crate) connections: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

pub(crate) struct Seen {
    pub(crate) method: String,
    pub(crate) target: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// A port that was free a moment ago, so that nobody answers there.
pub(crate) fn dead_port() -> u16 {
    StdListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port()
}

/// Puts an instance without a lease.
pub(crate) async fn register(catalog: &Harness, service: &str, instance: &str, port: u16) {
    let answer = catalog
        .put(
            &format!("/services/{service}/instances/{instance}"),
            json!({"address": format!("127.0.0.1:{port}")}),
        )
        .await;
    assert!(answer.status.is_success(), "{}", answer.text);
}

// === impl Backend ===

impl Backend {
    /// Answers 200 with its name and what it was asked; `/status/{code}` with that status.
    pub(crate) async fn start(name: &'static str) -> Self {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&seen);
        let mut backend = Self::raw(move |stream| {
            let log = Arc::clone(&log);
            async move {
                let service = service_fn(|request: http::Request<Incoming>| {
                    let log = Arc::clone(&log);
                    async move { Ok::<_, Infallible>(answer(name, request, &log).await) }
                });
                // A client that goes away is no failure of the test.
                let _ = http1::Builder::new()
                    .serve_connection(TokioIo::new(stream), service)
                    .await;
            }
        })
        .await;
        backend.seen = seen;
        backend
    }

    /// Does anything with each connection.
    pub(crate) async fn raw<F>(serve: impl Fn(TcpStream) -> F + Send + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let connections = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&connections);
        let task = tokio::spawn(async move {
            let mut tasks = tokio::task::JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                count.fetch_add(1, Ordering::SeqCst);
                tasks.spawn(serve(stream));
            }
        });
        Self {
            port,
            seen: Arc::default(),
            connections,
            task,
        }
    }

    pub(crate) fn requests(&self) -> usize {
        self.seen.lock().unwrap().len()
    }

    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    /// The one request that came.
    pub(crate) fn only(&self) -> Seen {
        let mut seen = self.seen.lock().unwrap();
        assert_eq!(seen.len(), 1);
        seen.remove(0)
    }
}

impl Drop for Backend {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn answer(
    name: &str,
    request: http::Request<Incoming>,
    log: &Mutex<Vec<Seen>>,
) -> Response<Full<Bytes>> {
    let (parts, body) = request.into_parts();
    let Ok(body) = body.collect().await else {
        return Response::new(Full::default());
    };
    let target = parts.uri.to_string();
    let status = target
        .strip_prefix("/status/")
        .map_or(StatusCode::OK, |code| code.parse().unwrap());
    let seen = Seen {
        method: parts.method.to_string(),
        target,
        headers: parts.headers,
        body: body.to_bytes(),
    };
    let text = json!({
        "instance": name, "method": seen.method, "target": seen.target, "bytes": seen.body.len(),
    });
    log.lock().unwrap().push(seen);
    Response::builder()
        .status(status)
        .header("content-type", "application/json")
        .header("location", "http://127.0.0.1:1/elsewhere")
        .header("connection", "x-private")
        .header("x-private", "1")
        .header("x-public", "1")
        .header("proxy-authenticate", "Basic")
        .body(Full::from(text.to_string()))
        .unwrap()
}
