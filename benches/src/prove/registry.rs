//! Writes to the catalog. Every accepted one is measured until it arrives.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use bytes::Bytes;
use http::{Method, Request, Response};
use serde_json::Value;
use service_kit::{client::Client, http::body};

use super::propagation::Propagation;

/// Longest wait for the catalog's answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(20);
const ANSWER_BYTES_MAX: usize = 16 << 20;

/// The catalog.
pub(super) struct Registry {
    base: String,
    token: String,
    client: Client,
    propagation: Arc<Propagation>,
    /// The newest revision that was measured: a write that changes nothing is answered with one that was there before.
    newest: AtomicU64,
}

// === impl Registry ===

impl Registry {
    pub(super) fn new(address: SocketAddr, token: &str, propagation: Arc<Propagation>) -> Self {
        Self {
            base: format!("http://{address}/services"),
            token: token.to_owned(),
            client: Client::new(),
            propagation,
            newest: AtomicU64::new(0),
        }
    }

    pub(super) async fn put_service(&self, name: &str, spec: &Value) -> Result<()> {
        self.write(Method::PUT, name, Some(spec)).await
    }

    pub(super) async fn create_service(&self, spec: &Value) -> Result<()> {
        self.write(Method::POST, "", Some(spec)).await
    }

    pub(super) async fn delete_service(&self, name: &str) -> Result<()> {
        self.write(Method::DELETE, name, None).await
    }

    pub(super) async fn put_instance(
        &self,
        service: &str,
        id: &str,
        address: SocketAddr,
        weight: u32,
    ) -> Result<()> {
        let spec = serde_json::json!({"address": address.to_string(), "weight": weight});
        self.write(Method::PUT, &instance(service, id), Some(&spec))
            .await
    }

    pub(super) async fn delete_instance(&self, service: &str, id: &str) -> Result<()> {
        self.write(Method::DELETE, &instance(service, id), None)
            .await
    }

    /// Begins a drain, without a wait for its end.
    pub(super) async fn drain_instance(
        &self,
        service: &str,
        id: &str,
        time: Duration,
    ) -> Result<()> {
        let path = format!("{}?drain={}ms", instance(service, id), time.as_millis());
        self.write(Method::DELETE, &path, None).await
    }

    /// Whether a service has an instance.
    pub(super) async fn has_instance(&self, service: &str, id: &str) -> Result<bool> {
        let answer = self.send(Method::GET, service, None).await?;
        let service: Value = serde_json::from_slice(answer.body())?;
        let instances = service["instances"].as_array().context("no instances")?;
        Ok(instances.iter().any(|instance| instance["id"] == id))
    }

    async fn write(&self, method: Method, path: &str, content: Option<&Value>) -> Result<()> {
        let answer = self.send(method, path, content).await?;
        let revision = answer.headers().get("x-catalog-revision");
        let revision = revision.context("a write was answered without a revision")?;
        let revision = revision.to_str()?.parse()?;
        if self.newest.fetch_max(revision, Ordering::SeqCst) < revision {
            self.propagation.accepted(revision);
        }
        Ok(())
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        content: Option<&Value>,
    ) -> Result<Response<Bytes>> {
        let separator = if path.is_empty() { "" } else { "/" };
        let uri = format!("{}{separator}{path}", self.base);
        let what = format!("{method} {uri}");
        let request = Request::builder()
            .method(method)
            .uri(uri)
            .header("authorization", format!("Bearer {}", self.token))
            .header("content-type", "application/json")
            .header("prefer", "respond-async");
        let content = content.map_or_else(body::empty, |content| body::full(content.to_string()));
        let answer = self
            .client
            .fetch(request.body(content)?, ANSWER_TIMEOUT, ANSWER_BYTES_MAX)
            .await
            .with_context(|| what.clone())?;
        let status = answer.status();
        if !status.is_success() {
            bail!(
                "{what}: {status} {}",
                String::from_utf8_lossy(answer.body())
            );
        }
        Ok(answer)
    }
}

fn instance(service: &str, id: &str) -> String {
    format!("{service}/instances/{id}")
}
