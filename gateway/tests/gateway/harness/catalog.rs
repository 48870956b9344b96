//! A catalog that says what a test tells it to, in the real wire form and also in broken ones.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use bytes::Bytes;
use catalog_api::{
    CatalogUrl, DRAINING_HEADER, RECEIPTS_PATH, RECEIVER_HEADER, Receipt, STREAM_HEADER,
};
use futures_util::stream;
use http::{Method, StatusCode, header};
use serde_json::{Value, json};
use service_kit::{
    http::{Application, Call, Limits, Operations, Response, Service, body, serve},
    metrics::{Metrics, RequestMetrics},
    problem::Problem,
    readiness::Readiness,
    shutdown::{self, ShutdownTrigger},
    sse::{self, Event},
};
use tokio::{net::TcpListener, sync::mpsc};

/// A running catalog. Dropping it closes its streams and its port.
pub(crate) struct Catalog {
    address: SocketAddr,
    script: Arc<Script>,
    stop: ShutdownTrigger,
}

/// What happens to a watcher that connects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mood {
    /// It gets a snapshot, and then every change.
    Talking,
    /// It gets a stream without events.
    Silent,
    /// It gets a 503.
    Refusing,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Endpoint {
    Watch,
    Receipt,
}

struct Script(Mutex<State>);

struct State {
    mood: Mood,
    revision: u64,
    ids: BTreeMap<String, u64>,
    services: BTreeMap<u64, Value>,
    streams: Vec<mpsc::UnboundedSender<Bytes>>,
    /// `Last-Event-ID` of everyone who came.
    resumed_from: Vec<Option<String>>,
    /// Whether receipts are known: an older release does not know them.
    takes_receipts: bool,
    /// Whether receipts may count requests, which an older release refuses.
    takes_counts: bool,
    /// Whether receipts are refused, as by a catalog that has lost the stream.
    refuses_receipts: bool,
    receipts: Vec<Receipt>,
    /// What readers called themselves.
    receivers: Vec<String>,
}

// === impl Catalog ===

impl Catalog {
    /// An empty catalog.
    pub(crate) async fn start() -> Self {
        let script = Arc::new(Script(Mutex::new(State {
            mood: Mood::Talking,
            revision: 1,
            ids: BTreeMap::new(),
            services: BTreeMap::new(),
            streams: Vec::new(),
            resumed_from: Vec::new(),
            takes_receipts: true,
            takes_counts: true,
            refuses_receipts: false,
            receipts: Vec::new(),
            receivers: Vec::new(),
        })));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let operations = Operations {
            readiness: Readiness::new(),
            metrics: Metrics::new("scripted-catalog", "0"),
        };
        let requests = RequestMetrics::new(&operations.metrics, "scripted_catalog");
        let service = Service::new(Arc::clone(&script), operations, requests);
        let (stop, stopping) = shutdown::channel();
        tokio::spawn(serve(listener, service, Limits::default(), stopping));
        Self {
            address,
            script,
            stop,
        }
    }

    /// Its base URL.
    pub(crate) fn url(&self) -> CatalogUrl {
        format!("http://{}", self.address).parse().unwrap()
    }

    /// Sets or replaces a service given without `id`, `revision` and times. Answers the revision.
    pub(crate) fn put(&self, service: Value) -> u64 {
        self.script.change(|state| {
            let name = service["name"].as_str().unwrap().to_owned();
            let next_id = state.ids.len() as u64 + 1;
            let id = *state.ids.entry(name).or_insert(next_id);
            let mut service = service;
            service["id"] = id.into();
            service["revision"] = state.revision.into();
            service["created_at"] = "2026-01-31T12:00:00Z".into();
            service["updated_at"] = "2026-01-31T12:00:00Z".into();
            state.services.insert(id, service.clone());
            ("service", service)
        })
    }

    /// Removes a service. Answers the revision.
    pub(crate) fn delete(&self, name: &str) -> u64 {
        self.script.change(|state| {
            let id = state.ids[name];
            state.services.remove(&id);
            let deleted = json!({"id": id, "name": name, "revision": state.revision});
            ("deleted", deleted)
        })
    }

    /// Continues at a revision as if it had a history.
    pub(crate) fn jump_to(&self, revision: u64) {
        self.script.0.lock().unwrap().revision = revision;
    }

    /// From the next watcher on.
    pub(crate) fn be(&self, mood: Mood) {
        self.script.0.lock().unwrap().mood = mood;
    }

    /// Sends these bytes into every stream.
    pub(crate) fn say(&self, bytes: &str) {
        self.script
            .broadcast(Bytes::copy_from_slice(bytes.as_bytes()));
    }

    /// Ends every stream.
    pub(crate) fn hang_up(&self) {
        self.script.0.lock().unwrap().streams.clear();
    }

    /// From the next watcher on it knows nothing of receipts.
    pub(crate) fn be_of_an_older_release(&self) {
        self.script.0.lock().unwrap().takes_receipts = false;
    }

    /// From the next watcher on it knows nothing of draining instances.
    pub(crate) fn take_no_counts(&self) {
        self.script.0.lock().unwrap().takes_counts = false;
    }

    /// From now on.
    pub(crate) fn refuse_receipts(&self, refuse: bool) {
        self.script.0.lock().unwrap().refuses_receipts = refuse;
    }

    /// Every receipt so far, also those that were refused.
    pub(crate) fn receipts(&self) -> Vec<Receipt> {
        self.script.0.lock().unwrap().receipts.clone()
    }

    /// What every watcher called itself.
    pub(crate) fn receivers(&self) -> Vec<String> {
        self.script.0.lock().unwrap().receivers.clone()
    }

    /// `Last-Event-ID` of everyone who came so far.
    pub(crate) fn resumed_from(&self) -> Vec<Option<String>> {
        self.script.0.lock().unwrap().resumed_from.clone()
    }
}

impl Drop for Catalog {
    fn drop(&mut self) {
        self.stop.trigger();
        self.hang_up();
    }
}

// === impl Script ===

impl Script {
    fn change(&self, change: impl FnOnce(&mut State) -> (&'static str, Value)) -> u64 {
        let (revision, event) = {
            let mut state = self.0.lock().unwrap();
            state.revision += 1;
            let (kind, data) = change(&mut state);
            (state.revision, event(kind, state.revision, &data))
        };
        self.broadcast(event);
        revision
    }

    fn receipt(&self, receipt: Receipt) -> Result<Response, Problem> {
        let mut state = self.0.lock().unwrap();
        state.receipts.push(receipt);
        if state.refuses_receipts {
            return Err(Problem::not_found("there is no such stream"));
        }
        let mut response = Response::new(body::empty());
        *response.status_mut() = StatusCode::NO_CONTENT;
        Ok(response)
    }

    fn broadcast(&self, bytes: Bytes) {
        let state = self.0.lock().unwrap();
        for stream in &state.streams {
            // A watcher that left is no concern of the catalog.
            let _gone = stream.send(bytes.clone());
        }
    }
}

impl Application for Script {
    type Endpoint = Endpoint;

    fn routes() -> Vec<(Method, &'static str, Endpoint)> {
        vec![
            (Method::GET, "/services/watch", Endpoint::Watch),
            (Method::POST, RECEIPTS_PATH, Endpoint::Receipt),
        ]
    }

    async fn respond(&self, call: Call<Endpoint>) -> Result<Response, Problem> {
        if let Endpoint::Receipt = call.endpoint {
            let receipt = body::read_json(call.request, 4_096).await?;
            return self.receipt(receipt);
        }
        let mut state = self.0.lock().unwrap();
        let position = call.request.headers().get("last-event-id");
        let position = position.map(|id| id.to_str().unwrap().to_owned());
        state.resumed_from.push(position);
        let receiver = &call.request.headers()[RECEIVER_HEADER];
        state.receivers.push(receiver.to_str().unwrap().to_owned());
        if state.mood == Mood::Refusing {
            return Ok(body::text(
                StatusCode::SERVICE_UNAVAILABLE,
                "text/plain",
                "not now",
            ));
        }
        let (sender, receiver) = mpsc::unbounded_channel();
        if state.mood == Mood::Talking {
            let services: Vec<_> = state.services.values().collect();
            let whole = json!({"revision": state.revision, "services": services});
            let _received = sender.send(event("snapshot", state.revision, &whole));
        }
        state.streams.push(sender);
        let events = stream::unfold(receiver, |mut receiver| async move {
            let bytes = receiver.recv().await?;
            Some((Ok(bytes), receiver))
        });
        let mut response = Response::new(body::stream(events));
        let content_type = header::HeaderValue::from_static(sse::CONTENT_TYPE);
        response
            .headers_mut()
            .insert(header::CONTENT_TYPE, content_type);
        if state.takes_receipts {
            let id = stream_id(state.resumed_from.len());
            let id = header::HeaderValue::try_from(id).unwrap();
            response.headers_mut().insert(STREAM_HEADER, id);
            if state.takes_counts {
                let counted = header::HeaderValue::from_static("counted");
                response.headers_mut().insert(DRAINING_HEADER, counted);
            }
        }
        Ok(response)
    }

    fn health(&self) -> Value {
        json!({"status": "ok"})
    }
}

/// Of the stream of a watcher, counted from 1.
pub(crate) fn stream_id(number: usize) -> String {
    format!("{number:032x}")
}

fn event(kind: &str, revision: u64, data: &Value) -> Bytes {
    let event = Event {
        event: Some(kind.to_owned()),
        id: Some(revision.to_string()),
        data: data.to_string(),
    };
    event.encode()
}
