//! Somebody who watches, loses his stream at random, and comes again at one catalog or the other.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "tests fail by panicking"
)]

use std::{collections::BTreeMap, time::Duration};

use catalog_api::HISTORY_HEADER;
use http::{Request, StatusCode};
use http_body_util::BodyExt as _;
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use serde_json::{Value, json};
use service_kit::{
    client::Client,
    http::body,
    sse::{Event, Parser},
};
use tokio::time::{Instant, sleep, timeout};

use super::{END, LOOK, PATIENCE, client::Catalogs};

const EVENT_BYTES_MAX: usize = 64 << 20;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Longest time without even a heartbeat, which come every 10 s.
const SILENCE_MAX: Duration = Duration::from_secs(25);

/// Most events before he hangs up.
const EVENTS_MAX: usize = 400;

pub(crate) struct Watcher {
    random: StdRng,
    catalogs: Catalogs,
    /// The service that he asks for; none = everything.
    filter: Option<String>,
    watched: Watched,
}

/// What a watcher knows.
#[derive(Default)]
pub(crate) struct Watched {
    filter: Option<String>,
    services: BTreeMap<u64, Value>,
    revision: u64,
    /// In which the revision counts.
    history: Option<String>,
    streams: usize,
    ended: bool,
}

// === impl Watcher ===

impl Watcher {
    pub(crate) fn new(seed: u64, number: u64, catalogs: Catalogs, filter: Option<String>) -> Self {
        Self {
            random: StdRng::seed_from_u64(!seed ^ number << 32),
            catalogs,
            watched: Watched {
                filter: filter.clone(),
                ..Watched::default()
            },
            filter,
        }
    }

    /// Watches until the end is written.
    pub(crate) async fn run(mut self) -> Watched {
        let client = Client::new();
        while !self.watched.ended {
            let at = self.random.random_range(0..2);
            let events = self.random.random_range(1..EVENTS_MAX);
            if self.follow(&client, at, events).await.is_none() {
                // It is being started again.
                sleep(LOOK).await;
            }
        }
        self.watched
    }

    /// Reads one stream until so many events have come, the end is there, or the stream breaks. None without a stream.
    async fn follow(&mut self, client: &Client, at: usize, events: usize) -> Option<()> {
        let address = self.catalogs.address(at);
        let query = self.filter.as_ref().map(|name| format!("?service={name}"));
        let query = query.unwrap_or_default();
        let mut request = Request::get(format!("http://{address}/services/watch{query}"));
        if let Some(history) = &self.watched.history {
            request = request
                .header("last-event-id", self.watched.revision)
                .header(HISTORY_HEADER, history);
        }
        let request = request.body(body::empty()).unwrap();
        let answer = client.send(request, CONNECT_TIMEOUT).await.ok()?;
        if answer.status() != StatusCode::OK {
            return None;
        }
        let history = answer.headers()[HISTORY_HEADER].to_str().unwrap();
        self.watched.begins(history);
        let mut stream = answer.into_body();
        let mut parser = Parser::new(EVENT_BYTES_MAX);
        let mut seen = 0;
        while seen < events && !self.watched.ended {
            let frame = timeout(SILENCE_MAX, stream.frame()).await;
            let Some(Ok(frame)) = frame.expect("heartbeats come") else {
                return Some(());
            };
            for event in parser.feed(&frame.into_data().unwrap()).unwrap() {
                self.watched.hears(&event);
                seen += 1;
            }
        }
        Some(())
    }
}

// === impl Watched ===

impl Watched {
    fn begins(&mut self, history: &str) {
        self.streams += 1;
        if self.history.as_deref() != Some(history) {
            self.history = Some(history.to_owned());
            // Until its snapshot, nothing that comes may be anything else.
            self.revision = u64::MAX;
        }
    }

    fn hears(&mut self, event: &Event) {
        let kind = event.event.as_deref().unwrap();
        let revision: u64 = event.id.as_deref().unwrap().parse().unwrap();
        let data: Value = serde_json::from_str(&event.data).unwrap();
        // In order, none twice; a snapshot is a beginning.
        assert!(
            kind == "snapshot" || revision > self.revision,
            "{kind} {revision} after {}: {data}",
            self.revision
        );
        self.revision = revision;
        match kind {
            "snapshot" => {
                let services = data["services"].as_array().unwrap().iter();
                self.services = services
                    .inspect(|service| self.concerns(service))
                    .map(|service| (service["id"].as_u64().unwrap(), service.clone()))
                    .collect();
            }
            "service" => {
                self.concerns(&data);
                let id = data["id"].as_u64().unwrap();
                let before = self.services.insert(id, data.clone());
                // He is woken by changes only.
                assert_ne!(before, Some(data));
            }
            "deleted" => {
                self.concerns(&data);
                // It may never have been heard of: created and deleted while he was away.
                self.services.remove(&data["id"].as_u64().unwrap());
            }
            other => panic!("{other}"),
        }
        self.ended = self.services.values().any(|service| match &self.filter {
            None => service["name"] == END,
            Some(_) => service["description"] == END,
        });
    }

    /// Nobody hears of what he did not ask for.
    fn concerns(&self, service: &Value) {
        if let Some(name) = &self.filter {
            assert_eq!(service["name"], *name);
        }
    }

    /// What he knows is what the store has.
    pub(crate) async fn equals(&self, catalogs: &Catalogs) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let list = catalogs.list(0).await.unwrap_or_default();
            let services = list["services"].as_array().into_iter().flatten();
            // The catalogs' own entries go on changing with their leases.
            let ours = |service: &&Value| service["name"] != "service-catalog";
            let mine = self.filter.as_ref();
            let expected: Vec<&Value> = services
                .filter(ours)
                .filter(|service| mine.is_none_or(|name| service["name"] == **name))
                .collect();
            let known: Vec<&Value> = self.services.values().filter(ours).collect();
            if known == expected {
                return;
            }
            assert!(
                Instant::now() < deadline,
                "after {} streams, {:?} knows {} and the store has {}",
                self.streams,
                self.filter,
                json!(known),
                json!(expected)
            );
            sleep(LOOK).await;
        }
    }
}
