//! An instance in this process, and a client for it.

use std::net::SocketAddr;

use bytes::Bytes;
use http::{Method, Request, Response};
use names::{Config, Names, Running};
use serde_json::Value;
use service_kit::{
    client::Client,
    http::body,
    listen::bind,
    shutdown::{self, ShutdownTrigger},
};

use crate::recording_catalog::PATIENCE;

/// Largest answer a test reads.
const ANSWER_BYTES_MAX: usize = 1024 * 1024;

pub(crate) struct Instance {
    pub(crate) running: Running,
    pub(crate) stop: ShutdownTrigger,
}

/// Asks whoever listens at an address.
pub(crate) struct Asker {
    client: Client,
    address: SocketAddr,
}

pub(crate) fn start(config: Config) -> Instance {
    let listener = bind(&"127.0.0.1:0".parse().unwrap()).unwrap();
    let (stop, stopping) = shutdown::channel();
    let running = Names::start(config, listener, stopping).unwrap();
    Instance { running, stop }
}

// === impl Instance ===

impl Instance {
    pub(crate) fn asker(&self) -> Asker {
        Asker::new(self.running.address)
    }
}

// === impl Asker ===

impl Asker {
    pub(crate) fn new(address: SocketAddr) -> Self {
        Self {
            client: Client::new(),
            address,
        }
    }

    pub(crate) async fn ask(&self, method: Method, path: &str) -> Response<Bytes> {
        let uri = format!("http://{}{path}", self.address);
        let request = Request::builder()
            .method(method)
            .uri(uri)
            .body(body::empty())
            .unwrap();
        self.client
            .fetch(request, PATIENCE, ANSWER_BYTES_MAX)
            .await
            .unwrap()
    }

    pub(crate) async fn get(&self, path: &str) -> Response<Bytes> {
        self.ask(Method::GET, path).await
    }

    /// The document at a path that answers 200.
    pub(crate) async fn json(&self, path: &str) -> Value {
        let response = self.get(path).await;
        assert_eq!(response.status(), 200, "{path}: {response:?}");
        serde_json::from_slice(response.body()).unwrap()
    }

    pub(crate) async fn text(&self, path: &str) -> String {
        String::from_utf8(self.get(path).await.into_body().to_vec()).unwrap()
    }

    pub(crate) async fn names(&self, path: &str) -> Vec<String> {
        serde_json::from_value(self.json(path).await["names"].clone()).unwrap()
    }
}
