//! An application with an endpoint for every behaviour of the kit, served on a free port.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use http::{Method, StatusCode};
use serde::Deserialize;
use service_kit::http::{
    Application, Call, Drained, Limits, Operations, Response, Service, body, serve,
};
use service_kit::metrics::{Metrics, RequestMetrics};
use service_kit::problem::Problem;
use service_kit::readiness::Readiness;
use service_kit::shutdown::{self, Shutdown, ShutdownTrigger};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

use crate::wire::within;

/// Longest body of `/wish`.
pub(crate) const WISH_BYTES_MAX: usize = 1024;

#[derive(Clone, Copy)]
pub(crate) enum Endpoint {
    Hello,
    Names,
    Query,
    Wish,
    Slow,
    Panic,
    Hold,
    Stream,
}

/// Shared with the test, which sees and steers the held requests.
pub(crate) struct Example {
    entered: Semaphore,
    released: Semaphore,
    held: AtomicUsize,
    held_max: AtomicUsize,
}

pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) example: Arc<Example>,
    pub(crate) readiness: Readiness,
    pub(crate) trigger: ShutdownTrigger,
    serving: JoinHandle<Drained>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wish {
    name: String,
}

impl Application for Example {
    type Endpoint = Endpoint;

    fn routes() -> Vec<(Method, &'static str, Endpoint)> {
        vec![
            (Method::GET, "/hello", Endpoint::Hello),
            (Method::GET, "/names/{count}", Endpoint::Names),
            (Method::GET, "/query", Endpoint::Query),
            (Method::POST, "/wish", Endpoint::Wish),
            (Method::POST, "/slow", Endpoint::Slow),
            (Method::GET, "/panic", Endpoint::Panic),
            (Method::GET, "/hold", Endpoint::Hold),
            (Method::GET, "/stream", Endpoint::Stream),
        ]
    }

    async fn respond(&self, call: Call<Endpoint>) -> Result<Response, Problem> {
        let plain = |text: String| Ok(body::text(StatusCode::OK, "text/plain", text));
        match call.endpoint {
            Endpoint::Hello => plain("hello".to_owned()),
            Endpoint::Names => plain(call.params.get("count").to_owned()),
            Endpoint::Query => {
                let bearer = call.bearer().unwrap_or("nobody").to_owned();
                plain(format!("{bearer} {:?}", call.query()?))
            }
            Endpoint::Wish => {
                let wish: Wish = body::read_json(call.request, WISH_BYTES_MAX).await?;
                plain(wish.name)
            }
            Endpoint::Slow => {
                let time_max = Duration::from_millis(50);
                body::read_bytes(call.request.into_body(), 1024, time_max).await?;
                plain("fast enough".to_owned())
            }
            Endpoint::Panic => panic!("as the test wants it"),
            Endpoint::Hold => {
                self.hold().await;
                plain("released".to_owned())
            }
            Endpoint::Stream => {
                let pieces = ["a", "b", "c"].map(|piece| Ok(piece.into()));
                Ok(Response::new(body::stream(futures_util::stream::iter(
                    pieces,
                ))))
            }
        }
    }

    fn health(&self) -> serde_json::Value {
        serde_json::json!({"status": "ok", "held": self.held.load(Ordering::SeqCst)})
    }
}

impl Example {
    async fn hold(&self) {
        let held = self.held.fetch_add(1, Ordering::SeqCst) + 1;
        self.held_max.fetch_max(held, Ordering::SeqCst);
        self.entered.add_permits(1);
        self.released.acquire().await.unwrap().forget();
        self.held.fetch_sub(1, Ordering::SeqCst);
    }

    /// Waits until one more request is held.
    pub(crate) async fn entered(&self) {
        within(self.entered.acquire()).await.unwrap().forget();
    }

    /// Lets one held request go.
    pub(crate) fn release(&self) {
        self.released.add_permits(1);
    }

    /// The most requests that were held at once.
    pub(crate) fn held_max(&self) -> usize {
        self.held_max.load(Ordering::SeqCst)
    }
}

impl Server {
    pub(crate) async fn start(limits: Limits) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (trigger, shutdown) = shutdown::channel();
        Self::start_on(listener, limits, trigger, shutdown)
    }

    pub(crate) fn start_on(
        listener: TcpListener,
        limits: Limits,
        trigger: ShutdownTrigger,
        shutdown: Shutdown,
    ) -> Self {
        let address = listener.local_addr().unwrap();
        let example = Arc::new(Example {
            entered: Semaphore::new(0),
            released: Semaphore::new(0),
            held: AtomicUsize::new(0),
            held_max: AtomicUsize::new(0),
        });
        let readiness = Readiness::new();
        let metrics = Metrics::new("example", "1");
        let requests = RequestMetrics::new(&metrics, "example");
        let operations = Operations {
            readiness: readiness.clone(),
            metrics,
        };
        let service = Service::new(Arc::clone(&example), operations, requests);
        Self {
            address,
            example,
            readiness,
            trigger,
            serving: tokio::spawn(serve(listener, service, limits, shutdown)),
        }
    }

    /// Waits for the end of the serving.
    pub(crate) async fn drained(self) -> Drained {
        within(self.serving).await.unwrap()
    }
}
