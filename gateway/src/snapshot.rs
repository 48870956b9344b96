//! One consistent view of everything a request needs, and how the next one is made from it.
//!
//! ```text
//! watch stream ─▶ Change ─▶ Snapshot::next(&previous, changes) ─▶ Live (one ArcSwap) ─▶ copy on disk
//! ```
//!
//! A snapshot is never changed. `next` takes over every pool and the route table when nothing in them changed; endpoints come
//! from [`crate::upstream::Endpoints`], so what is known about an address survives in any case.

mod apply;
mod disk;
mod live;
mod materials;
mod resolver;

use std::{collections::BTreeMap, collections::BTreeSet, sync::Arc};

use ahash::AHashMap;
use catalog_api::{Address, Deleted, Host, Revision, Service, ServiceId, ServiceName};

use crate::{route::RouteTable, upstream::Pool};

pub use apply::{Applied, Applier, Drains, Heard, Refusal, UPDATES_MAX, Update};
pub use disk::{DiskCopy, DiskError};
pub use live::Live;
pub use materials::{FileRoute, Materials};
pub use resolver::{HostAddresses, Resolver};

/// Routes, pools and endpoints at one revision.
#[derive(Debug, Default)]
pub struct Snapshot {
    revision: Revision,
    services: BTreeMap<ServiceId, Arc<Service>>,
    pools: AHashMap<ServiceName, Arc<Pool>>,
    routes: Arc<RouteTable>,
}

/// A step of the catalog, as the watch stream tells it.
#[derive(Clone, Debug)]
pub enum Change {
    /// The whole catalog. Services in `keep` were sent in a form that was refused: their last good state stays.
    Replace {
        /// Revision of the whole.
        revision: Revision,
        /// Every service that was understood.
        services: Vec<Arc<Service>>,
        /// Services that exist but were not understood.
        keep: BTreeSet<ServiceId>,
    },
    /// The whole state of one service.
    Put(Arc<Service>),
    /// A service is gone.
    Delete(Deleted),
}

/// What made a new snapshot necessary, besides catalog changes.
#[derive(Clone, Debug, Default)]
pub struct Outside {
    /// Host names whose addresses changed.
    pub hosts: BTreeSet<String>,
    /// Whether the operator's routes were reloaded.
    pub file_routes: bool,
}

// === impl Snapshot ===

impl Snapshot {
    /// The next snapshot. Leaves everything unchanged shared with this one.
    #[must_use]
    pub fn next(&self, changes: Vec<Change>, outside: &Outside, materials: &mut Materials) -> Self {
        let (revision, services) = self.services_after(changes);
        let mut pools = AHashMap::with_capacity(services.len());
        for service in services.values() {
            let previous = self.pools.get(&service.name);
            let reusable = self.services.get(&service.id).is_some_and(|before| {
                let is_same = Arc::ptr_eq(before, service)
                    || before.name == service.name
                        && before.instances == service.instances
                        && before.policy == service.policy;
                is_same && !names_one_of(service, &outside.hosts)
            });
            let pool = match previous {
                // While two services have one name, the pool may be the other's.
                Some(pool) if reusable && pool.id() == service.id => Arc::clone(pool),
                previous => {
                    let carried = previous.map(|pool| pool.carried());
                    let pool = Arc::new(materials.pool(service, carried));
                    pool.take_over();
                    pool
                }
            };
            pools.insert(service.name.clone(), pool);
        }
        let same_routes = !outside.file_routes
            && services.len() == self.services.len()
            && services.iter().all(|(id, service)| {
                self.services.get(id).is_some_and(|before| {
                    Arc::ptr_eq(before, service)
                        || before.name == service.name && before.routes == service.routes
                })
            });
        let routes = if same_routes && !self.routes.all().is_empty() {
            Arc::clone(&self.routes)
        } else {
            Arc::new(materials.routes(services.values()))
        };
        Self {
            revision,
            services,
            pools,
            routes,
        }
    }

    fn services_after(
        &self,
        changes: Vec<Change>,
    ) -> (Revision, BTreeMap<ServiceId, Arc<Service>>) {
        let mut revision = self.revision;
        let mut services = self.services.clone();
        for change in changes {
            match change {
                Change::Replace {
                    revision: whole,
                    services: fresh,
                    keep,
                } => {
                    // Authoritative, also when the revision went back: a catalog restored from a backup is the catalog.
                    revision = whole;
                    let before = std::mem::take(&mut services);
                    services.extend(
                        before
                            .iter()
                            .filter(|(id, _)| keep.contains(id))
                            .map(|(id, old)| (*id, Arc::clone(old))),
                    );
                    for service in fresh {
                        let unchanged = before.get(&service.id).filter(|old| **old == service);
                        let service = unchanged.map_or(service, Arc::clone);
                        services.insert(service.id, service);
                    }
                }
                Change::Put(service) => {
                    revision = revision.max(service.revision);
                    services.insert(service.id, service);
                }
                Change::Delete(deleted) => {
                    revision = revision.max(deleted.revision);
                    services.remove(&deleted.id);
                }
            }
        }
        (revision, services)
    }

    /// Catalog revision of this view.
    pub fn revision(&self) -> Revision {
        self.revision
    }

    /// Every route.
    pub fn routes(&self) -> &RouteTable {
        &self.routes
    }

    /// The pool of a service.
    pub fn pool(&self, service: &ServiceName) -> Option<&Arc<Pool>> {
        self.pools.get(service)
    }

    /// Every pool, in the order of service ids.
    pub fn pools(&self) -> impl Iterator<Item = &Arc<Pool>> {
        self.services
            .values()
            .filter_map(|service| self.pools.get(&service.name))
    }

    /// What drains, of every service.
    pub fn draining(&self) -> Vec<Drains> {
        let of = |pool: &Arc<Pool>| {
            let service = pool.id();
            let draining = pool.draining().to_vec().into_iter();
            draining.map(move |(instance, load)| Drains {
                service,
                instance,
                load,
            })
        };
        self.pools().flat_map(of).collect()
    }

    /// Every service as the catalog declared it.
    pub fn services(&self) -> impl ExactSizeIterator<Item = &Arc<Service>> {
        self.services.values()
    }
}

fn names_one_of(service: &Service, hosts: &BTreeSet<String>) -> bool {
    let named =
        |address: &Address| matches!(address.host(), Host::Name(name) if hosts.contains(name));
    !hosts.is_empty()
        && service
            .instances
            .iter()
            .any(|instance| named(&instance.address))
}
