//! Discovery: services and instances that do not register themselves. Names are resolved to all of their addresses ([`dns`]), a file is
//! read ([`mod@file`]); what they have is put into the catalog and kept there by one task ([`runner`]), and asked how it is by another
//! ([`checks`]).
//!
//! **Whose is what.** What discovery puts there carries its source. A source touches only what carries its own mark, and it gives way:
//! an address that somebody registered is not put there a second time, an id that somebody registers is his from then on, and a file
//! stands before a name (`database::found`).
//!
//! **What is gone.** A source that answers is believed, one that cannot be asked is not: then everything stays. So does what was there
//! before a restart until its name was heard of.
//!
//! **Several catalogs on one store** all discover, and cannot fight. What is found is held by a lease of [`FOUND_TTL`] that every
//! catalog which finds it renews; renewals are shared as always and make no revision. One that does not find it takes it out only
//! when nobody has renewed it for that long. So the catalog has what any of them finds. Two files with different declarations of one
//! service: the one that was read last holds. When nobody has the source any more, the lease ends it (`lease::keeper`).
//!
//! **How they are.** An instance is asked once before it is put there, and then as its service's health check says, by one catalog at a
//! time ([`duty`]).

pub(crate) mod checks;
mod dns;
mod duty;
mod file;
mod plan;
mod reconcile;
mod report;
mod runner;
pub mod settings;
mod target;
mod wanted;
mod watched;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use catalog_api::{Address, Host, InstanceId, Invalid, Span};
use service_kit::readiness::Readiness;
use tokio::{
    sync::{mpsc, oneshot},
    task::spawn_blocking,
    time::timeout,
};

#[cfg(any(test, fuzzing))]
pub use self::dns::dns_answers;
use self::{
    dns::Dns,
    file::WatchedFile,
    reconcile::Reconciler,
    runner::{Asker, State},
    watched::WatchedName,
};
pub use self::{
    file::FileError,
    settings::DiscoveryConfig,
    target::{Target, TargetError, TargetUrl},
};
pub(crate) use self::{report::Report, runner::Runner};
use crate::{probe::Prober, registry::Registry, state::Live};

/// Lease of what is found, and how often it is renewed.
const FOUND_TTL: Duration = Duration::from_secs(6);
const RENEWAL: Duration = Duration::from_millis(1_500);

/// How often a file is looked at.
const FILE_INTERVAL: Duration = Duration::from_secs(1);

/// How old a report may be that is given to somebody who asks; bounds what asking can cost.
const REPORT_AGE_MAX: Duration = Duration::from_secs(1);

/// Longest wait for a report: a look-up, the first questions to what is new, and writing it down.
const REPORT_WAIT_MAX: Duration = Duration::from_secs(15);

/// Most who wait to be taken notice of; those who wait for one report are not limited, they cost nothing.
const ASKS_MAX: usize = 64;

/// Has things discovered.
pub(crate) struct Discovery {
    live: Arc<Live>,
    /// None = there are no sources.
    asks: Option<mpsc::Sender<Asker>>,
}

/// The sources, opened.
pub(crate) struct Sources {
    config: DiscoveryConfig,
    file: Option<WatchedFile>,
}

// === impl Sources ===

impl Sources {
    /// Reads the file for the first time.
    pub(crate) async fn open(config: DiscoveryConfig) -> Result<Self, FileError> {
        let path = config.file.clone();
        let opening = spawn_blocking(move || path.map(WatchedFile::open).transpose());
        let file = opening.await.map_err(std::io::Error::other)??;
        Ok(Self { config, file })
    }
}

// === impl Discovery ===

impl Discovery {
    /// The handle, and the task if there is something to discover.
    pub(crate) fn new(
        sources: Sources,
        registry: Arc<Registry>,
        readiness: &Readiness,
    ) -> (Self, Option<Runner>) {
        let live = Arc::clone(&registry.live);
        let Sources { config, file } = sources;
        if config.is_empty() {
            return (Self { live, asks: None }, None);
        }
        let now = Instant::now();
        let (asks, asked) = mpsc::channel(ASKS_MAX);
        let condition = readiness.detail("discovery");
        condition.pass();
        let names = config.targets.into_iter();
        let runner = Runner {
            reconciler: Reconciler {
                registry,
                prober: Prober::new(),
            },
            dns: Dns {
                server: config.resolver,
            },
            interval_max: config.interval_max,
            names: names.map(|target| WatchedName::new(target, now)).collect(),
            file,
            condition,
            asks: asked,
            state: State::new(now),
        };
        let asks = Some(asks);
        (Self { live, asks }, Some(runner))
    }

    /// Looks at every source now, or was just looking, and tells what came of it. None when that takes too long.
    pub(crate) async fn now(&self) -> Option<Arc<Report>> {
        let Some(asks) = &self.asks else {
            return Some(Arc::new(Report::nothing(self.live.load().revision())));
        };
        let (asker, report) = oneshot::channel();
        let asking = async {
            asks.send(asker).await.ok()?;
            report.await.ok()
        };
        timeout(REPORT_WAIT_MAX, asking).await.ok()?
    }
}

fn found_ttl() -> Result<Span, Invalid> {
    FOUND_TTL.try_into()
}

/// `<source>-<host>-<port>`: the same for as long as the address is the same. With the end of the host when it is too long for an id.
fn instance_id(source: &str, address: &Address) -> Result<InstanceId, Invalid> {
    const HOST_CHARS_MAX: usize = 100;
    let host = match address.host() {
        Host::Ip(ip) => ip.to_string(),
        Host::Name(name) => name.clone(),
    };
    let start = host.len().saturating_sub(HOST_CHARS_MAX);
    let host = host.get(start..).unwrap_or_default();
    format!("{source}-{host}-{}", address.port()).parse()
}
