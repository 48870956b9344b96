//! Names of hosts to addresses, beside the path of changes: a name server that hangs delays only its own names.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    net::IpAddr,
    time::Duration,
};

use catalog_api::{Host, Service};
use tokio::{net::lookup_host, sync::mpsc, task::JoinSet, time};

use super::Update;

/// Longest wait for one name.
const LOOKUP_TIMEOUT: Duration = Duration::from_secs(2);
/// How often a name is asked for again: containers come and go behind one name, and the system's resolver tells no TTL.
const REFRESH_INTERVAL: Duration = Duration::from_secs(5);
/// How often a name without an answer is asked for again.
const RETRY_INTERVAL: Duration = Duration::from_millis(500);
/// Most look-ups at once.
const LOOKUPS_MAX: usize = 32;

/// Addresses of host names, as last heard.
#[derive(Clone, Debug, Default)]
pub struct HostAddresses(BTreeMap<String, Vec<IpAddr>>);

/// Asks for the names that the catalog mentions, for as long as it mentions them.
#[derive(Clone, Debug)]
pub struct Resolver(mpsc::Sender<BTreeSet<String>>);

// === impl HostAddresses ===

impl HostAddresses {
    /// Known addresses of a name, in a stable order.
    pub fn get(&self, name: &str) -> &[IpAddr] {
        self.0.get(name).map_or(&[], Vec::as_slice)
    }

    /// Takes in an answer; true when it says something new.
    pub fn learn(&mut self, name: String, addresses: Vec<IpAddr>) -> bool {
        self.0
            .insert(name, addresses.clone())
            .is_none_or(|before| before != addresses)
    }

    /// Forgets names that nobody mentions any more.
    pub fn retain(&mut self, wanted: &BTreeSet<String>) {
        self.0.retain(|name, _| wanted.contains(name));
    }
}

/// The host names among the addresses of services.
pub(super) fn names<'a>(services: impl Iterator<Item = &'a Service>) -> BTreeSet<String> {
    services
        .flat_map(|service| &service.instances)
        .filter_map(|instance| match instance.address.host() {
            Host::Name(name) => Some(name.clone()),
            Host::Ip(_) => None,
        })
        .collect()
}

// === impl Resolver ===

impl Resolver {
    /// Starts the task; answers go to `updates`. It ends with the last handle.
    pub fn start(updates: mpsc::Sender<Update>) -> Self {
        let (wanted, changes) = mpsc::channel(1);
        tokio::spawn(keep_resolving(changes, updates));
        Self(wanted)
    }

    /// Replaces the set of names to be resolved.
    pub async fn want(&self, names: BTreeSet<String>) {
        // A send fails only when the task is gone, which is at the end of the process.
        let _ = self.0.send(names).await;
    }
}

async fn keep_resolving(
    mut changes: mpsc::Receiver<BTreeSet<String>>,
    updates: mpsc::Sender<Update>,
) {
    let mut wanted = BTreeSet::new();
    let mut answered = BTreeSet::new();
    loop {
        let due = match wanted.is_subset(&answered) {
            true => REFRESH_INTERVAL,
            false => RETRY_INTERVAL,
        };
        let fresh = match time::timeout(due, changes.recv()).await {
            Ok(Some(names)) => {
                let fresh = names.difference(&wanted).cloned().collect();
                wanted = names;
                fresh
            }
            Ok(None) => return,
            Err(_) => wanted.clone(),
        };
        answered.retain(|name| wanted.contains(name));
        resolve_all(fresh, &mut answered, &updates).await;
    }
}

async fn resolve_all(
    names: BTreeSet<String>,
    answered: &mut BTreeSet<String>,
    updates: &mpsc::Sender<Update>,
) {
    let mut lookups = JoinSet::new();
    let mut waiting = names.into_iter();
    loop {
        while lookups.len() < LOOKUPS_MAX
            && let Some(name) = waiting.next()
        {
            lookups.spawn(resolve(name));
        }
        let Some(outcome) = lookups.join_next().await else {
            return;
        };
        // A name without an answer keeps its last addresses: a silent name server is no reason to drop anybody.
        if let Ok(Some((name, addresses))) = outcome {
            answered.insert(name.clone());
            if updates
                .send(Update::Resolved { name, addresses })
                .await
                .is_err()
            {
                return;
            }
        }
    }
}

async fn resolve(name: String) -> Option<(String, Vec<IpAddr>)> {
    let lookup = async {
        let found = lookup_host((name.as_str(), 0)).await?;
        Ok::<BTreeSet<IpAddr>, io::Error>(found.map(|address| address.ip()).collect())
    };
    match time::timeout(LOOKUP_TIMEOUT, lookup).await {
        Ok(Ok(addresses)) => Some((name, addresses.into_iter().collect())),
        Ok(Err(error)) => {
            tracing::warn!(host = name, %error, "host name of an instance has no address");
            None
        }
        Err(_) => {
            tracing::warn!(
                host = name,
                "host name of an instance was not resolved in time"
            );
            None
        }
    }
}
