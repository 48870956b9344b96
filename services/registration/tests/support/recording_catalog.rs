//! A catalog in miniature on a real socket: it answers as the real one does, writes down every request, and can be told to
//! refuse, to forget or to hold its answers.

use std::{collections::BTreeSet, net::SocketAddr, sync::Arc, time::Duration};

use http::{Method, StatusCode};
use registration::{CatalogUrl, CatalogUrls};
use serde_json::Value;
use service_kit::{
    http::{Application, Call, Limits, Operations, Response, Service, body, serve},
    metrics::{Metrics, RequestMetrics},
    problem::Problem,
    readiness::Readiness,
    shutdown::{self, ShutdownTrigger},
};
use tokio::{
    net::{TcpListener, TcpSocket},
    sync::watch,
    time::timeout,
};

/// The token it asks for.
pub(crate) const TOKEN: &str = "correct-token";
/// How long a test waits for something that has to happen. Far beyond what it takes, so that a slow machine fails nothing.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);
/// Largest document a client may send.
const BODY_BYTES_MAX: usize = 64 * 1024;

/// A request as it was received.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Recorded {
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) body: Value,
    /// What was answered.
    pub(crate) status: StatusCode,
}

/// How it behaves towards every request.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Behaviour {
    /// As a catalog does.
    Normal,
    /// No answer until the behaviour changes.
    Hold,
    /// Always this status.
    Refuse(StatusCode),
}

/// Handle on the running catalog; it stops when this is dropped.
pub(crate) struct RecordingCatalog {
    address: SocketAddr,
    catalog: Arc<Catalog>,
    _stop: ShutdownTrigger,
}

struct Catalog {
    requests: watch::Sender<Vec<Recorded>>,
    arrived: watch::Sender<usize>,
    behaviour: watch::Sender<Behaviour>,
    token: watch::Sender<String>,
    services: watch::Sender<BTreeSet<String>>,
    instances: watch::Sender<BTreeSet<String>>,
}

#[derive(Clone, Copy)]
enum Endpoint {
    Create,
    Put,
    Delete,
}

/// A port that is ours and on which nobody listens yet: connections are refused, and no other test can take it.
pub(crate) fn silent_port() -> (TcpSocket, SocketAddr) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = socket.local_addr().unwrap();
    (socket, address)
}

/// The list of these replicas.
pub(crate) fn urls(addresses: &[SocketAddr]) -> CatalogUrls {
    let urls: Vec<CatalogUrl> = addresses
        .iter()
        .map(|address| format!("http://{address}").parse().unwrap())
        .collect();
    urls.try_into().unwrap()
}

// === impl RecordingCatalog ===

impl RecordingCatalog {
    pub(crate) async fn start() -> Self {
        Self::start_on(silent_port().0).await
    }

    pub(crate) async fn start_on(socket: TcpSocket) -> Self {
        let listener: TcpListener = socket.listen(64).unwrap();
        let address = listener.local_addr().unwrap();
        let catalog = Arc::new(Catalog {
            requests: watch::Sender::default(),
            arrived: watch::Sender::default(),
            behaviour: watch::Sender::new(Behaviour::Normal),
            token: watch::Sender::new(TOKEN.to_owned()),
            services: watch::Sender::default(),
            instances: watch::Sender::default(),
        });
        let metrics = Metrics::new("recording-catalog", "0");
        let requests = RequestMetrics::new(&metrics, "recording_catalog");
        let operations = Operations {
            readiness: Readiness::new(),
            metrics,
        };
        let service = Service::new(Arc::clone(&catalog), operations, requests);
        let (stop, stopping) = shutdown::channel();
        tokio::spawn(serve(listener, service, Limits::default(), stopping));
        Self {
            address,
            catalog,
            _stop: stop,
        }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn requests(&self) -> Vec<Recorded> {
        self.catalog.requests.borrow().clone()
    }

    /// `METHOD status` of every request so far.
    pub(crate) fn log(&self) -> Vec<String> {
        self.requests().iter().map(Recorded::line).collect()
    }

    pub(crate) fn behave(&self, behaviour: Behaviour) {
        self.catalog.behaviour.send_replace(behaviour);
    }

    pub(crate) fn set_token(&self, token: &str) {
        self.catalog.token.send_replace(token.to_owned());
    }

    pub(crate) fn know(&self, service: &str) {
        self.catalog.services.send_modify(|services| {
            services.insert(service.to_owned());
        });
    }

    pub(crate) fn evict_everyone(&self) {
        self.catalog.instances.send_modify(BTreeSet::clear);
    }

    pub(crate) fn forget_everything(&self) {
        self.evict_everyone();
        self.catalog.services.send_modify(BTreeSet::clear);
    }

    pub(crate) fn instances(&self) -> BTreeSet<String> {
        self.catalog.instances.borrow().clone()
    }

    /// Waits until the answered requests are as wanted.
    pub(crate) async fn until(&self, wanted: impl FnMut(&Vec<Recorded>) -> bool) -> Vec<Recorded> {
        let mut requests = self.catalog.requests.subscribe();
        match timeout(PATIENCE, requests.wait_for(wanted)).await {
            Ok(Ok(requests)) => requests.clone(),
            _ => panic!("never happened; requests so far: {:?}", self.log()),
        }
    }

    /// Waits until `count` requests have arrived, answered or not.
    pub(crate) async fn until_arrived(&self, count: usize) {
        let mut arrived = self.catalog.arrived.subscribe();
        let waited = timeout(PATIENCE, arrived.wait_for(|arrived| *arrived >= count)).await;
        assert!(waited.is_ok(), "fewer than {count} requests arrived");
    }
}

// === impl Recorded ===

impl Recorded {
    pub(crate) fn line(&self) -> String {
        format!("{} {}", self.method, self.status.as_u16())
    }
}

// === impl Catalog ===

impl Catalog {
    fn decide(
        &self,
        endpoint: Endpoint,
        service: &str,
        instance: &str,
        body: &Value,
    ) -> StatusCode {
        match endpoint {
            Endpoint::Create => {
                let name = body["name"].as_str().unwrap_or_default().to_owned();
                match self
                    .services
                    .send_if_modified(|services| services.insert(name))
                {
                    true => StatusCode::CREATED,
                    false => StatusCode::CONFLICT,
                }
            }
            _ if !self.services.borrow().contains(service) => StatusCode::NOT_FOUND,
            Endpoint::Put => {
                let instance = instance.to_owned();
                match self
                    .instances
                    .send_if_modified(|instances| instances.insert(instance))
                {
                    true => StatusCode::CREATED,
                    false => StatusCode::OK,
                }
            }
            Endpoint::Delete => {
                match self
                    .instances
                    .send_if_modified(|instances| instances.remove(instance))
                {
                    true => StatusCode::NO_CONTENT,
                    false => StatusCode::NOT_FOUND,
                }
            }
        }
    }

    fn authorize(&self, bearer: Option<&str>) -> Result<(), StatusCode> {
        match bearer {
            None => Err(StatusCode::UNAUTHORIZED),
            Some(token) if token != *self.token.borrow() => Err(StatusCode::FORBIDDEN),
            Some(_) => Ok(()),
        }
    }
}

impl Application for Catalog {
    type Endpoint = Endpoint;

    fn routes() -> Vec<(Method, &'static str, Endpoint)> {
        let instance = "/services/{service}/instances/{instance}";
        vec![
            (Method::POST, "/services", Endpoint::Create),
            (Method::PUT, instance, Endpoint::Put),
            (Method::DELETE, instance, Endpoint::Delete),
        ]
    }

    async fn respond(&self, call: Call<Endpoint>) -> Result<Response, Problem> {
        self.arrived.send_modify(|arrived| *arrived += 1);
        let authorized = self.authorize(call.bearer());
        let (service, instance) = (
            call.params.get("service").to_owned(),
            call.params.get("instance").to_owned(),
        );
        let (endpoint, method, path) = (
            call.endpoint,
            call.request.method().clone(),
            call.request.uri().path().to_owned(),
        );
        let mut behaviour = self.behaviour.subscribe();
        let behaviour = behaviour
            .wait_for(|behaviour| *behaviour != Behaviour::Hold)
            .await
            .map_err(|_| Problem::internal())?
            .clone();
        let body = match endpoint {
            Endpoint::Delete => Value::Null,
            _ => body::read_json(call.request, BODY_BYTES_MAX).await?,
        };
        let status = match (behaviour, authorized) {
            (Behaviour::Refuse(status), _) | (_, Err(status)) => status,
            _ => self.decide(endpoint, &service, &instance, &body),
        };
        self.requests.send_modify(|requests| {
            requests.push(Recorded {
                method,
                path,
                body,
                status,
            })
        });
        if status.is_success() {
            return Ok(body::json(status, &serde_json::json!({})));
        }
        Err(Problem::new(status, "test", "As told").detail("the test wants it so"))
    }

    fn health(&self) -> Value {
        serde_json::json!({ "status": "ok" })
    }
}
