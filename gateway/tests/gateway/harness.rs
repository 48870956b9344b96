//! A whole gateway on free ports, with a catalog and backends that follow a script.

mod backend;
mod catalog;
mod client;
pub(crate) mod frames;
mod message;

use std::{net::SocketAddr, net::TcpListener, path::Path, sync::Arc, time::Duration};

use gateway::{
    Config, Gateway, Listeners,
    snapshot::{FileRoute, Snapshot},
    upstream::{Endpoint, Health},
};
use serde_json::{Value, json};
use service_kit::shutdown::{self, ShutdownTrigger};
use tempfile::TempDir;
use tokio::time::{Instant, sleep};

pub(crate) use backend::{Answers, Backend, Behaviour};
pub(crate) use catalog::{Catalog, Mood, stream_id};
pub(crate) use client::{Authority, Http2, replace};
pub(crate) use message::{Connection, Message};

/// Longest wait for something that must come.
const EVENTUALLY: Duration = Duration::from_secs(15);
/// The same tests hold for both ways of a request: with this variable they all take Pingora's.
pub(crate) const NO_RELAY: &str = "GATEWAY_TEST_NO_RELAY";
/// How often it is looked for.
const POLL_INTERVAL: Duration = Duration::from_millis(5);

/// A gateway with its catalog.
pub(crate) struct Rig {
    pub(crate) gateway: Gateway,
    pub(crate) catalog: Catalog,
    pub(crate) stop: ShutdownTrigger,
    data: Arc<TempDir>,
}

/// Waits until something holds.
pub(crate) async fn eventually(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + EVENTUALLY;
    while !holds().await {
        assert!(Instant::now() < deadline, "never came true: {what}");
        sleep(POLL_INTERVAL).await;
    }
}

/// A service on `/{name}/` (stripped) whose endpoints are asked for `/health` ten times a second.
pub(crate) fn service(name: &str, backends: &[&Backend]) -> Value {
    let instances: Vec<_> = backends
        .iter()
        .map(|backend| instance(backend, 1))
        .collect();
    json!({
        "name": name,
        "routes": [{"path_prefix": format!("/{name}/"), "strip_prefix": true}],
        "policy": {
            "health": {"path": "/health", "interval": "100ms", "timeout": "100ms"},
        },
        "instances": instances,
    })
}

/// The same, checked at the start and on suspicion only, and never taken out of rotation by a few failures.
pub(crate) fn steady_service(name: &str, backends: &[&Backend]) -> Value {
    let health =
        json!({"path": "/health", "interval": "1h", "timeout": "1s", "unhealthy_after": 100});
    let steady = with(service(name, backends), "policy/health", health);
    with(steady, "policy/balance", json!("round_robin"))
}

/// An instance of a service.
pub(crate) fn instance(backend: &Backend, weight: u16) -> Value {
    json!({"id": backend.name(), "address": backend.address().to_string(), "weight": weight})
}

/// A copy of a document with one place changed, `a/b/c`.
pub(crate) fn with(mut document: Value, place: &str, value: Value) -> Value {
    let mut inner = &mut document;
    for key in place.split('/') {
        inner = match key.parse::<usize>() {
            Ok(place) => &mut inner[place],
            Err(_) => &mut inner[key],
        };
    }
    *inner = value;
    document
}

/// A configuration for a folder and catalogs, on free ports, with the built-in routes.
pub(crate) fn config(data: &Path, catalogs: &[&Catalog]) -> Config {
    Config {
        listen: "127.0.0.1:0".parse().unwrap(),
        service_listeners: Vec::new(),
        admin_listen: "127.0.0.1:0".parse().unwrap(),
        catalog_urls: catalogs.iter().map(|catalog| catalog.url()).collect(),
        data_dir: data.to_owned(),
        expose_revision: false,
        relay: std::env::var_os(NO_RELAY).is_none(),
        drain_timeout: Duration::from_secs(10),
        upgrade: false,
        upgrade_timeout: Duration::from_secs(10),
        tls: None,
        h2c_listen: None,
        trusted_proxies: Vec::new(),
        limits: gateway::Limits::default(),
        cache_bytes: 64 << 20,
        file_routes: gateway::config::default_routes(),
    }
}

/// Free sockets.
pub(crate) fn listeners() -> Listeners {
    let free = || TcpListener::bind("127.0.0.1:0").unwrap();
    Listeners::plain(free(), free())
}

/// One `GET` on a connection of its own.
pub(crate) async fn get(address: SocketAddr, target: &str) -> Message {
    send(address, "GET", target, &[], "").await
}

/// One request on a connection of its own.
pub(crate) async fn send(
    address: SocketAddr,
    method: &str,
    target: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> Message {
    let mut connection = Connection::open(address).await.unwrap();
    let request = request(method, target, headers, body);
    connection.send(request).await.unwrap();
    connection.response().await.unwrap()
}

/// The bytes of a request. `Host` is `gateway.test` unless given.
pub(crate) fn request(method: &str, target: &str, headers: &[(&str, &str)], body: &str) -> String {
    let mut text = format!("{method} {target} HTTP/1.1\r\n");
    let named = |wanted: &str| {
        headers
            .iter()
            .any(|(name, _)| name.eq_ignore_ascii_case(wanted))
    };
    if !named("host") {
        text += "Host: gateway.test\r\n";
    }
    for (name, value) in headers {
        text += &format!("{name}: {value}\r\n");
    }
    if !body.is_empty() {
        text += &format!("Content-Length: {}\r\n", body.len());
    }
    text + "\r\n" + body
}

// === impl Rig ===

impl Rig {
    /// A gateway with the built-in routes that has heard from its empty catalog.
    pub(crate) async fn start() -> Self {
        Self::configured(|_| {}).await
    }

    /// A gateway that has only the catalog's routes.
    pub(crate) async fn without_file_routes() -> Self {
        Self::configured(|config| config.file_routes = Vec::<FileRoute>::new()).await
    }

    /// A gateway with changes to its configuration.
    pub(crate) async fn configured(change: impl FnOnce(&mut Config)) -> Self {
        let catalog = Catalog::start().await;
        let data = Arc::new(TempDir::new().unwrap());
        let mut config = config(data.path(), &[&catalog]);
        change(&mut config);
        let (stop, stopping) = shutdown::channel();
        let listeners = Listeners::bind(&config).unwrap();
        let gateway = Gateway::start(config, listeners, stopping).await.unwrap();
        eventually("ready", async || gateway.readiness().is_ready()).await;
        Self {
            gateway,
            catalog,
            stop,
            data,
        }
    }

    /// Where clients connect.
    pub(crate) fn address(&self) -> SocketAddr {
        self.gateway.address()
    }

    /// The data folder.
    pub(crate) fn data(&self) -> &Path {
        self.data.path()
    }

    /// Puts a service and waits until the gateway has it and every eligible endpoint has passed its first check.
    pub(crate) async fn put(&self, service: Value) {
        let name = service["name"].as_str().unwrap().to_owned();
        self.apply(service).await;
        eventually("every endpoint is healthy", async || {
            let endpoints = self.endpoints(&name);
            let healthy = |endpoint: &Arc<Endpoint>| endpoint.health() == Health::Healthy;
            endpoints.iter().all(healthy)
        })
        .await;
    }

    /// Puts a service and waits until the gateway has it.
    pub(crate) async fn apply(&self, service: Value) {
        let revision = self.catalog.put(service);
        self.at(revision).await;
    }

    /// Deletes a service and waits until the gateway has done so.
    pub(crate) async fn delete(&self, name: &str) {
        let revision = self.catalog.delete(name);
        self.at(revision).await;
    }

    /// Waits for a revision.
    pub(crate) async fn at(&self, revision: u64) {
        eventually("the revision is applied", async || {
            self.snapshot().revision().0 >= revision
        })
        .await;
    }

    /// The view of now.
    pub(crate) fn snapshot(&self) -> Arc<Snapshot> {
        self.gateway.live().load_full()
    }

    /// Endpoints of a service; none when it does not exist.
    pub(crate) fn endpoints(&self, service: &str) -> Vec<Arc<Endpoint>> {
        let snapshot = self.snapshot();
        let pool = snapshot.pool(&service.parse().unwrap());
        pool.map(|pool| {
            pool.members()
                .iter()
                .map(|member| Arc::clone(&member.endpoint))
                .collect()
        })
        .unwrap_or_default()
    }

    /// Health of a backend within a service.
    pub(crate) fn health(&self, service: &str, backend: &Backend) -> Option<Health> {
        let endpoints = self.endpoints(service);
        let found = endpoints
            .iter()
            .find(|endpoint| endpoint.address() == backend.address());
        found.map(|endpoint| endpoint.health())
    }

    /// Waits for a backend to have this health.
    pub(crate) async fn until(&self, service: &str, backend: &Backend, health: Health) {
        let what = format!("{} is {health:?}", backend.name());
        eventually(&what, async || {
            self.health(service, backend) == Some(health)
        })
        .await;
    }

    /// One `GET` on a connection of its own.
    pub(crate) async fn get(&self, target: &str) -> Message {
        get(self.address(), target).await
    }

    /// One request on a connection of its own.
    pub(crate) async fn send(
        &self,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Message {
        send(self.address(), method, target, headers, body).await
    }

    /// One `GET` on the operators' listener.
    pub(crate) async fn admin(&self, target: &str) -> Message {
        get(self.gateway.admin_address(), target).await
    }

    /// The value of a series, written as Prometheus does; none when there is no such series.
    pub(crate) async fn metric(&self, series: &str) -> Option<f64> {
        let text = self.admin("/metrics").await.text();
        text.lines()
            .find_map(|line| line.strip_prefix(series)?.strip_prefix(' '))
            .map(|value| value.parse().unwrap())
    }
    /// How many requests were refused for this reason.
    pub(crate) async fn rejected(&self, reason: &str) -> f64 {
        let series = format!("gateway_rejected_total{{reason=\"{reason}\"}}");
        self.metric(&series).await.unwrap_or(0.0)
    }
}
