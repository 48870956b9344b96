//! Changes of the catalog at random: of the services under load, and of others that nobody asks for.

use std::{collections::BTreeMap, time::Duration};

use anyhow::Result;
use rand::{
    RngExt as _, SeedableRng as _,
    rngs::StdRng,
    seq::{IndexedRandom as _, IteratorRandom as _},
};
use serde_json::{Value, json};

use super::{
    fleet::{Fleet, Kind, Service, routes},
    ledger::{Count, Ledger},
    plan::{CHANGE_PAUSE, Plan},
    policies,
};

/// Services that nobody asks for, at most.
const OTHERS_MAX: usize = 20;
/// Where nobody listens: port 9 discards, and is closed on any machine of today.
const NOBODY: std::net::SocketAddr =
    std::net::SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 9);

/// Changes to come.
pub(super) struct Changes<'a> {
    fleet: &'a Fleet,
    random: StdRng,
    left: u32,
    /// What each service of the fleet declares now.
    declared: BTreeMap<&'static str, Declared>,
    /// Services that nobody asks for, and how many instances each has.
    others: BTreeMap<String, usize>,
}

/// What a service declares, besides its name and its own path.
#[derive(Clone, Default)]
struct Declared {
    policy: Option<Value>,
    further_routes: Vec<Value>,
    /// Of a twin: whether it has the shared route.
    is_sharing: bool,
}

// === impl Changes ===

impl<'a> Changes<'a> {
    pub(super) fn new(plan: &Plan, fleet: &'a Fleet) -> Self {
        let twin = |service: &Service| Declared {
            is_sharing: service.kind == Kind::Twin,
            ..Declared::default()
        };
        Self {
            fleet,
            random: StdRng::seed_from_u64(plan.seed),
            left: plan.changes,
            declared: fleet
                .services
                .iter()
                .map(|service| (service.name, twin(service)))
                .collect(),
            others: BTreeMap::new(),
        }
    }

    pub(super) async fn run(mut self, ledger: &Ledger) -> Result<()> {
        while self.left > 0 {
            self.left -= 1;
            self.change().await?;
            ledger.count(Count::Changes);
            // Now and then two come at once.
            let pause = self.random.random_range(0.0..2.0);
            tokio::time::sleep(Duration::mul_f64(CHANGE_PAUSE, pause)).await;
        }
        Ok(())
    }

    async fn change(&mut self) -> Result<()> {
        let fleet = self.fleet;
        let Some(service) = fleet.services.choose(&mut self.random) else {
            return Ok(());
        };
        match self.random.random_range(0..100) {
            0..25 => self.change_weight(service).await,
            25..40 => self.change_policy(service).await,
            40..50 => self.change_routes(service).await,
            50..58 => self.change_sharing().await,
            58..75 => self.change_spare(service).await,
            _ => self.change_other().await,
        }
    }

    async fn change_weight(&mut self, service: &Service) -> Result<()> {
        let members = service.members().await;
        let Some(instance) = members.serving.choose(&mut self.random) else {
            return Ok(());
        };
        let weight = self.random.random_range(1..=1000);
        let (id, address) = (&instance.id, instance.address);
        self.fleet
            .registry
            .put_instance(service.name, id, address, weight)
            .await
    }

    async fn change_policy(&mut self, service: &Service) -> Result<()> {
        let policy = policies::any(&mut self.random, service.kind);
        let policy = Some(policy).filter(|_| self.random.random_bool(0.9));
        self.declared.entry(service.name).or_default().policy = policy;
        self.declare(service).await
    }

    /// Further routes, which answer as the service does wherever they win.
    async fn change_routes(&mut self, service: &Service) -> Result<()> {
        let count = self.random.random_range(0..4);
        let further = (0..count).map(|_| {
            let number = self.random.random_range(0..50);
            match self.random.random_range(0..4) {
                0 => json!({"host": format!("h{number}.example"), "path_prefix": "/"}),
                1 => json!({"host": "*.example", "path_prefix": format!("/{number}/")}),
                2 => json!({"path_prefix": format!("/{}/", service.name), "methods": ["POST"]}),
                _ => {
                    let prefix = format!("/{}/{number}/", service.name);
                    json!({"path_prefix": prefix, "headers": {"x-other": number.to_string()}})
                }
            }
        });
        // Of the same kind a service declares one only.
        let mut further: Vec<Value> = further.collect();
        further.sort_by_key(Value::to_string);
        further.dedup();
        self.declared
            .entry(service.name)
            .or_default()
            .further_routes = further;
        self.declare(service).await
    }

    /// Gives the shared route to the twin that has it not, or takes it from one of two.
    async fn change_sharing(&mut self) -> Result<()> {
        let fleet = self.fleet;
        let twins = fleet.services.iter();
        let twins: Vec<&Service> = twins.filter(|service| service.kind == Kind::Twin).collect();
        let lacking = twins
            .iter()
            .find(|twin| !self.declared[twin.name].is_sharing);
        let Some(twin) = lacking.or_else(|| twins.choose(&mut self.random)) else {
            return Ok(());
        };
        let declared = self.declared.entry(twin.name).or_default();
        declared.is_sharing = !declared.is_sharing;
        self.declare(twin).await
    }

    async fn declare(&self, service: &Service) -> Result<()> {
        let declared = self.declared.get(service.name).cloned().unwrap_or_default();
        let further = declared.further_routes;
        let routes = routes(service.name, service.kind, declared.is_sharing, further);
        let mut spec = json!({"name": service.name, "routes": routes});
        if let Some(policy) = declared.policy {
            spec["policy"] = policy;
        }
        self.fleet.registry.put_service(service.name, &spec).await
    }

    /// An instance that runs all the time joins or leaves, at once or slowly.
    async fn change_spare(&mut self, service: &Service) -> Result<()> {
        let registry = &self.fleet.registry;
        let mut members = service.members().await;
        let Some(spare) = members.spares.iter_mut().choose(&mut self.random) else {
            return Ok(());
        };
        let (id, address) = (spare.instance.id.clone(), spare.instance.address);
        let was_registered = spare.is_registered;
        spare.is_registered = !was_registered;
        if !was_registered {
            // Another one than before: what is registered as it was before goes on draining.
            let weight = 1 + self.left % 1000;
            registry
                .put_instance(service.name, &id, address, weight)
                .await
        } else if self.random.random_bool(0.5) {
            registry.delete_instance(service.name, &id).await
        } else {
            let time = Duration::from_millis(self.random.random_range(1..500));
            registry.drain_instance(service.name, &id, time).await
        }
    }

    /// A service that nobody asks for appears, changes, gets an instance where nobody listens, or goes.
    async fn change_other(&mut self) -> Result<()> {
        let registry = &self.fleet.registry;
        let name = format!("other-{}", self.random.random_range(0..OTHERS_MAX));
        let spec = json!({
            "name": name,
            "routes": [{"path_prefix": format!("/{name}/")}],
            "policy": policies::any(&mut self.random, Kind::Requests),
        });
        match (
            self.others.get(&name).copied(),
            self.random.random_range(0..4),
        ) {
            (None, _) => {
                self.others.insert(name, 0);
                registry.create_service(&spec).await
            }
            (Some(_), 0) => {
                self.others.remove(&name);
                registry.delete_service(&name).await
            }
            (Some(_), 1) => registry.put_service(&name, &spec).await,
            (Some(instances), _) => {
                let weight = self.random.random_range(1..=10);
                let id = format!("i{}", instances % 3);
                self.others.insert(name.clone(), instances + 1);
                registry.put_instance(&name, &id, NOBODY, weight).await
            }
        }
    }
}
