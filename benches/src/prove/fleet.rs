//! The services under load and their instances.
//!
//! Every service has at least one registered instance that runs, at every moment: that is all that the proof promises the gateway.

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

use anyhow::Result;
use serde_json::{Value, json};
use tokio::sync::{Mutex, MutexGuard};

use super::{backend::Instance, ledger::Ledger, registry::Registry};

/// What the load of a service is, which decides what may be changed about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Requests, over any protocol that instances speak.
    Requests,
    /// The same; shares a route with its twin, and one of both always has it.
    Twin,
    /// Tunnels, which need HTTP/1.1.
    Tunnels,
    /// Streams of events with an end.
    Events,
    /// Tunnels and streams that last as long as the run. Its instances are replaced in the catalog, but do not stop.
    Kept,
}

/// What each service is called, for what, and how many instances it has.
const SERVICES: [(&str, Kind, usize); 6] = [
    ("web", Kind::Requests, 3),
    ("twin-a", Kind::Twin, 2),
    ("twin-b", Kind::Twin, 2),
    ("talk", Kind::Tunnels, 3),
    ("feed", Kind::Events, 3),
    ("kept", Kind::Kept, 2),
];
/// Instances of each service that run, but are in the catalog only now and then.
const SPARES: usize = 2;

/// Path of the route that the twins share.
pub(super) const SHARED_PATH: &str = "/shared/";

/// All services.
pub(super) struct Fleet {
    pub(super) registry: Registry,
    pub(super) services: Vec<Service>,
    ledger: Arc<Ledger>,
    /// Number of the next instance.
    next: AtomicU32,
}

/// One service.
pub(super) struct Service {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    members: Mutex<Members>,
}

/// Its instances. Whoever changes them in the catalog holds the lock, so that the changes do not undo each other.
pub(super) struct Members {
    /// Registered, and not draining.
    pub(super) serving: Vec<Instance>,
    /// Running.
    pub(super) spares: Vec<Spare>,
    /// No longer registered, but still running.
    pub(super) retired: Vec<Instance>,
}

/// An instance that comes and goes in the catalog.
pub(super) struct Spare {
    pub(super) instance: Instance,
    pub(super) is_registered: bool,
}

// === impl Fleet ===

impl Fleet {
    /// Starts every instance and registers everything.
    pub(super) async fn start(registry: Registry, ledger: Arc<Ledger>) -> Result<Self> {
        let mut fleet = Self {
            registry,
            services: Vec::with_capacity(SERVICES.len()),
            ledger,
            next: AtomicU32::new(0),
        };
        for (name, kind, count) in SERVICES {
            let routes = routes(name, kind, kind == Kind::Twin, Vec::new());
            let spec = json!({"name": name, "routes": routes});
            fleet.registry.create_service(&spec).await?;
            let mut members = Members {
                serving: Vec::with_capacity(count),
                spares: Vec::with_capacity(SPARES),
                retired: Vec::new(),
            };
            for _ in 0..count {
                members.serving.push(fleet.register_new(name).await?);
            }
            for _ in 0..SPARES {
                members.spares.push(Spare {
                    instance: fleet.start_instance(name).await?,
                    is_registered: false,
                });
            }
            let members = Mutex::new(members);
            fleet.services.push(Service {
                name,
                kind,
                members,
            });
        }
        Ok(fleet)
    }

    /// Names of the services, and how many endpoints each has at the start.
    pub(super) fn endpoints() -> impl Iterator<Item = (&'static str, usize)> {
        SERVICES.into_iter().map(|(name, _, count)| (name, count))
    }

    /// Starts another instance and registers it.
    pub(super) async fn register_new(&self, service: &str) -> Result<Instance> {
        let instance = self.start_instance(service).await?;
        let (id, address) = (&instance.id, instance.address);
        self.registry.put_instance(service, id, address, 1).await?;
        Ok(instance)
    }

    async fn start_instance(&self, service: &str) -> Result<Instance> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        Instance::start(format!("{service}-{number}"), Arc::clone(&self.ledger)).await
    }

    /// Lets streams without a length come to their end.
    pub(super) async fn end_streams(&self) {
        for service in &self.services {
            let members = service.members().await;
            let spares = members.spares.iter().map(|spare| &spare.instance);
            members
                .serving
                .iter()
                .chain(spares)
                .chain(&members.retired)
                .for_each(Instance::end_streams);
        }
    }
}

// === impl Service ===

impl Service {
    pub(super) async fn members(&self) -> MutexGuard<'_, Members> {
        self.members.lock().await
    }
}

/// Routes of a service: its own path, the one it shares if it has it now, and further ones.
pub(super) fn routes(name: &str, kind: Kind, is_sharing: bool, further: Vec<Value>) -> Vec<Value> {
    let mut routes = vec![json!({"path_prefix": format!("/{name}/")})];
    if kind == Kind::Twin && is_sharing {
        routes.push(json!({"path_prefix": SHARED_PATH}));
    }
    routes.extend(further);
    routes
}
