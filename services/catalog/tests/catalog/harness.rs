//! A catalog on a free port with a folder of its own, and a client that says little for common things.

#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::{net::TcpListener, path::Path, sync::Arc, time::Duration};

use catalog::{Catalog, Config, Running, StartError};
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use service_kit::{
    client::Client,
    http::{Drained, body},
    shutdown::{self, ShutdownTrigger},
    sse::{Event, Parser},
};
use tempfile::TempDir;

/// Longest wait for anything; only a failing test waits so long.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// Pause between two looks at something that happens on its own.
const LOOK: Duration = Duration::from_millis(10);

const ANSWER_BYTES_MAX: usize = 64 * 1024 * 1024;

pub(crate) struct Harness {
    pub(crate) folder: Arc<TempDir>,
    pub(crate) url: String,
    pub(crate) token: String,
    pub(crate) running: Running,
    client: Client,
    trigger: ShutdownTrigger,
}

pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
}

/// One request in the making.
pub(crate) struct Call<'a> {
    harness: &'a Harness,
    method: Method,
    path: String,
    headers: Vec<(&'static str, String)>,
    body: String,
}

/// An open watch stream.
pub(crate) struct Watch {
    headers: HeaderMap,
    incoming: hyper::body::Incoming,
    parser: Parser,
    pending: Vec<Event>,
    /// Everything as it came, comments too.
    pub(crate) raw: String,
}

pub(crate) fn config(data_dir: &Path) -> Config {
    Config {
        listen: "127.0.0.1:0".parse().unwrap(),
        data_dir: data_dir.to_owned(),
        database: None,
        redis: None,
        token: None,
        advertise: None,
        watchers_max: 64.try_into().unwrap(),
        heartbeat: Duration::from_secs(10),
        discovery: catalog::DiscoveryConfig::default(),
        jobs: database::jobs::JobLimits::default(),
    }
}

/// Waits until a look finds something.
pub(crate) async fn eventually<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(tokio::time::Instant::now() < deadline, "never: {what}");
        tokio::time::sleep(LOOK).await;
    }
}

// === impl Harness ===

impl Harness {
    pub(crate) async fn start() -> Self {
        Self::start_with(|_| {}).await
    }

    pub(crate) async fn start_with(adjust: impl FnOnce(&mut Config)) -> Self {
        Self::start_in(Arc::new(TempDir::new().unwrap()), adjust)
            .await
            .unwrap()
    }

    pub(crate) async fn start_in(
        folder: Arc<TempDir>,
        adjust: impl FnOnce(&mut Config),
    ) -> Result<Self, StartError> {
        let mut config = config(folder.path());
        adjust(&mut config);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (trigger, shutdown) = shutdown::channel();
        let running = Catalog::start(config, listener, shutdown).await?;
        Ok(Self {
            folder,
            url: running.url(),
            token: running.token.expose().to_owned(),
            running,
            client: Client::new(),
            trigger,
        })
    }

    pub(crate) async fn stop(self) -> (Drained, Arc<TempDir>) {
        self.trigger.trigger();
        let drained = tokio::time::timeout(PATIENCE, self.running.finished());
        (drained.await.unwrap(), self.folder)
    }

    pub(crate) async fn restart(self) -> Self {
        let (drained, folder) = self.stop().await;
        assert!(drained.finished);
        Self::start_in(folder, |_| {}).await.unwrap()
    }

    /// A request without a token.
    pub(crate) fn call(&self, method: Method, path: &str) -> Call<'_> {
        Call {
            harness: self,
            method,
            path: path.to_owned(),
            headers: Vec::new(),
            body: String::new(),
        }
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.call(Method::GET, path).send().await
    }

    /// A write with the token.
    pub(crate) fn write(&self, method: Method, path: &str) -> Call<'_> {
        self.call(method, path)
            .header("authorization", &format!("Bearer {}", self.token))
    }

    pub(crate) async fn put(&self, path: &str, body: Value) -> Answer {
        self.write(Method::PUT, path).json(&body).send().await
    }

    pub(crate) async fn delete(&self, path: &str) -> Answer {
        self.write(Method::DELETE, path).send().await
    }

    /// Declares a service of which only the name matters.
    pub(crate) async fn put_service(&self, name: &str) -> Answer {
        self.put(&format!("/services/{name}"), json!({ "name": name }))
            .await
    }

    /// The catalog's revision.
    pub(crate) async fn revision(&self) -> u64 {
        self.get("/services").await.json()["revision"]
            .as_u64()
            .unwrap()
    }

    /// Status of an instance; none when there is no such instance.
    pub(crate) async fn status_of(&self, service: &str, instance: &str) -> Option<String> {
        let answer = self.get(&format!("/services/{service}")).await.json();
        let instances = answer["instances"].as_array()?.clone();
        let found = instances.iter().find(|found| found["id"] == instance)?;
        Some(found["status"].as_str().unwrap().to_owned())
    }

    /// Waits until the catalog has Redis (1) or has lost it (0).
    pub(crate) async fn until_redis_connected(&self, wanted: f64) {
        eventually("the metric tells", async || {
            let found = self.metric("service_catalog_redis_connected").await?;
            (found == wanted).then_some(())
        })
        .await;
    }

    /// The value of one line of `/metrics`.
    pub(crate) async fn metric(&self, series: &str) -> Option<f64> {
        let text = self.get("/metrics").await.text;
        let line = text.lines().find(|line| {
            line.strip_prefix(series)
                .is_some_and(|rest| rest.starts_with(' '))
        })?;
        line.rsplit(' ').next()?.parse().ok()
    }

    pub(crate) async fn watch(&self, query: &str) -> Watch {
        self.call(Method::GET, &format!("/services/watch{query}"))
            .watch()
            .await
    }
}

// === impl Call ===

impl Call<'_> {
    pub(crate) fn header(mut self, name: &'static str, value: &str) -> Self {
        self.headers.push((name, value.to_owned()));
        self
    }

    pub(crate) fn json(self, body: &Value) -> Self {
        self.text("application/json", body.to_string())
    }

    pub(crate) fn text(mut self, content_type: &'static str, body: String) -> Self {
        self.body = body;
        self.header("content-type", content_type)
    }

    fn build(&self) -> Request<service_kit::http::Body> {
        let mut request = Request::builder()
            .method(self.method.clone())
            .uri(format!("{}{}", self.harness.url, self.path));
        for (name, value) in &self.headers {
            request = request.header(*name, value);
        }
        request.body(body::full(self.body.clone())).unwrap()
    }

    pub(crate) async fn send(self) -> Answer {
        self.begin().await
    }

    /// The answer as something that outlives the harness.
    pub(crate) fn begin(self) -> impl Future<Output = Answer> + Send + use<> {
        let (client, request) = (self.harness.client.clone(), self.build());
        async move {
            let answer = client.fetch(request, PATIENCE, ANSWER_BYTES_MAX);
            let (parts, bytes) = answer.await.unwrap().into_parts();
            Answer {
                status: parts.status,
                headers: parts.headers,
                text: String::from_utf8(bytes.to_vec()).unwrap(),
            }
        }
    }

    pub(crate) async fn watch(self) -> Watch {
        let answer = self.harness.client.send(self.build(), PATIENCE).await;
        let answer = answer.unwrap();
        assert_eq!(answer.status(), StatusCode::OK);
        assert_eq!(answer.headers()["content-type"], "text/event-stream");
        Watch {
            headers: answer.headers().clone(),
            incoming: answer.into_body(),
            parser: Parser::new(ANSWER_BYTES_MAX),
            pending: Vec::new(),
            raw: String::new(),
        }
    }
}

// === impl Answer ===

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap()
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }

    /// Checks that it is a problem with this status, and returns its detail.
    pub(crate) fn problem(&self, status: u16) -> String {
        assert_eq!(self.status.as_u16(), status, "{}", self.text);
        assert_eq!(self.header("content-type"), "application/problem+json");
        let problem = self.json();
        assert_eq!(problem["status"], status);
        assert_eq!(problem["instance"], self.header("x-request-id"));
        problem["detail"].as_str().unwrap().to_owned()
    }
}

// === impl Watch ===

impl Watch {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }

    /// The next event; none at the end of the stream.
    pub(crate) async fn event(&mut self) -> Option<Event> {
        while self.pending.is_empty() {
            if !self.read().await {
                return None;
            }
        }
        Some(self.pending.remove(0))
    }

    /// The next event's type, id and data.
    pub(crate) async fn next(&mut self) -> (String, u64, Value) {
        let event = self.event().await.unwrap();
        (
            event.event.unwrap(),
            event.id.unwrap().parse().unwrap(),
            serde_json::from_str(&event.data).unwrap(),
        )
    }

    /// Reads one more piece. False at the end.
    pub(crate) async fn read(&mut self) -> bool {
        let frame = tokio::time::timeout(PATIENCE, self.incoming.frame());
        let Some(frame) = frame.await.unwrap() else {
            return false;
        };
        let bytes = frame.unwrap().into_data().unwrap();
        self.raw.push_str(std::str::from_utf8(&bytes).unwrap());
        self.pending.extend(self.parser.feed(&bytes).unwrap());
        true
    }
}
