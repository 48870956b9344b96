//! Somebody who writes, and knows what must be there: he alone writes his services, and repeats each write until it is acknowledged.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use serde_json::{Value, json};
use tokio::time::sleep;

use super::client::{Catalogs, Outcome};

/// Services of each writer, and most instances of each.
const SERVICES: usize = 4;
const INSTANCES: u16 = 4;

/// Before a write that failed is sent again, elsewhere.
const PAUSE: Duration = Duration::from_millis(20);

/// What a service must be: its description, and the weights of its instances.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Service {
    pub(crate) description: String,
    instances: BTreeMap<String, u64>,
}

pub(crate) struct Writer {
    number: usize,
    random: StdRng,
    catalogs: Catalogs,
    done: Arc<AtomicUsize>,
    services: BTreeMap<String, Service>,
    revision: u64,
}

/// One write.
struct Command {
    method: &'static str,
    path: String,
    content: Option<Value>,
}

/// The name of a service of a writer.
pub(crate) fn name(writer: usize, service: usize) -> String {
    format!("m-{writer}-{service}")
}

// === impl Writer ===

impl Writer {
    pub(crate) fn new(
        seed: u64,
        number: usize,
        catalogs: Catalogs,
        done: Arc<AtomicUsize>,
    ) -> Self {
        Self {
            number,
            random: StdRng::seed_from_u64(seed ^ (number as u64) << 32),
            catalogs,
            done,
            services: BTreeMap::new(),
            revision: 0,
        }
    }

    /// Writes so often, and returns what must be there.
    pub(crate) async fn run(mut self, writes: usize) -> BTreeMap<String, Service> {
        for turn in 0..writes {
            let command = self.choose(turn);
            let at = self.random.random_range(0..2);
            self.carry_out(&command, at).await;
            self.done.fetch_add(1, Ordering::Relaxed);
        }
        self.services
    }

    /// The next write, which changes the model at once: it is repeated until it is true.
    fn choose(&mut self, turn: usize) -> Command {
        let name = name(self.number, self.random.random_range(0..SERVICES));
        let path = format!("/services/{name}");
        let dice = self.random.random_range(0..100);
        let id = format!("i-{}", self.random.random_range(0..INSTANCES));
        let Some(service) = self.services.get_mut(&name).filter(|_| dice < 90) else {
            if self.services.remove(&name).is_some() {
                return Command::delete(path);
            }
            return self.declare(name, turn);
        };
        let instance = format!("{path}/instances/{id}");
        if dice < 50 {
            let weight = self.random.random_range(1..4);
            service.instances.insert(id, weight);
            let spec = json!({"address": "127.0.0.1:9", "weight": weight});
            return Command::put(instance, spec);
        }
        if service.instances.remove(&id).is_some() {
            return Command::delete(instance);
        }
        self.declare(name, turn)
    }

    fn declare(&mut self, name: String, turn: usize) -> Command {
        let description = turn.to_string();
        let path = format!("/services/{name}");
        let spec = json!({"name": name, "description": description});
        let service = self.services.entry(name).or_insert_with(|| Service {
            description: String::new(),
            instances: BTreeMap::new(),
        });
        service.description = description;
        Command::put(path, spec)
    }

    async fn carry_out(&mut self, command: &Command, first: usize) {
        for attempt in 0_usize.. {
            let Command {
                method,
                path,
                content,
            } = command;
            let at = first + attempt;
            let outcome = self.catalogs.write(at, method, path, content.as_ref());
            match outcome.await {
                Outcome::Done { revision } => {
                    // His writes follow one another, so their revisions do, wherever each was taken.
                    assert!(revision >= self.revision, "{method} {path}: {revision}");
                    self.revision = revision;
                    return;
                }
                // An attempt of which nobody knew has done it.
                Outcome::NotFound if *method == "DELETE" && attempt > 0 => return,
                Outcome::NotFound => panic!("{method} {path}: it is lost"),
                Outcome::Failed => sleep(PAUSE).await,
            }
        }
    }
}

// === impl Service ===

impl Service {
    /// A service of the model as a catalog answers it, with its name; none when it is none of ours.
    pub(crate) fn read(service: &Value) -> Option<(String, Self)> {
        let name = service["name"].as_str()?;
        let instances = service["instances"].as_array()?.iter();
        let instances = instances
            .filter_map(|instance| {
                let id = instance["id"].as_str()?.to_owned();
                Some((id, instance["weight"].as_u64()?))
            })
            .collect();
        name.starts_with("m-").then(|| {
            let description = service["description"]
                .as_str()
                .unwrap_or_default()
                .to_owned();
            let service = Self {
                description,
                instances,
            };
            (name.to_owned(), service)
        })
    }
}

// === impl Command ===

impl Command {
    fn put(path: String, content: Value) -> Self {
        Self {
            method: "PUT",
            path,
            content: Some(content),
        }
    }

    fn delete(path: String) -> Self {
        Self {
            method: "DELETE",
            path,
            content: None,
        }
    }
}
