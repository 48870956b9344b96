//! Answers of services, kept in memory (RFC 9111), on `pingora-cache`.
//!
//! ```text
//! request ─▶ identity (key) ─▶ lookup ─┬─ fresh ──────────────────────────────▶ answered (hit)
//!                                       ├─ stale ─▶ one request asks the service ─▶ 304: validated │ 200: replaced
//!                                       └─ none ──▶ one request asks the service ─▶ kept when it may be (freshness) and is whole
//! ```
//!
//! Pingora's state machine says what happens when, except for a hit that needs no decision ([`Cache::get`]). Here is what it leaves open: what an object's identity is ([`key`], [`vary`]), what may
//! be kept and for how long ([`freshness`], [`directives`]), and where it is ([`store`]: bounded in bytes, S3-FIFO, 16 locks).
//!
//! An object becomes visible when it is whole, not before: whoever waits for a fetch gets the object, or takes over when the fetch fails. Pingora
//! can show objects that are still being written; but then a slow client that fetches holds up everyone who reads along over HTTP/2,
//! and a body that outgrows the limit has to be broken off.
//!
//! Must not know: routes, endpoints, the admin API.

mod budget;
mod directives;
mod freshness;
mod key;
mod object;
#[cfg(any(test, fuzzing))]
pub(crate) mod properties;
mod purge;
mod shard;
mod storage;
mod store;
mod vary;

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use catalog_api::ServiceId;
use http::HeaderMap;
use pingora_cache::{CacheKey, lock::CacheLock, predictor::Predictor};
use tokio::sync::watch;

use crate::{route::RequestPath, snapshot::Snapshot};
use key::Keys;
use purge::Selector;
use shard::EntryId;
use store::Store;

pub(crate) use directives::Directives;
pub(crate) use freshness::{Request, assess};
pub(crate) use key::Identity;
pub(crate) use object::{Object, StoredUrl, TAG_FIELDS};
pub(crate) use vary::variance;

/// How long a request that fetches holds up the others that want the same. Then one of them fetches as well: the first client may be slow
/// on purpose.
const FETCH_AGE_MAX: Duration = Duration::from_secs(5);
/// URLs that are remembered because their answers could not be kept, in each of 16 parts. Requests for them do not wait for one another.
const UNCACHEABLE_MAX: usize = 4096;

/// The cache of a gateway.
pub struct Cache {
    store: Store,
    keys: Keys,
    locks: CacheLock,
    predictor: Predictor<16>,
}

/// What is to be purged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Purge {
    /// Every variant of a URL.
    Url(PurgeUrl),
    /// Every URL of the same host that begins so.
    Prefix(PurgeUrl),
    /// What a service gave this tag, by `Cache-Tag` or `Surrogate-Key`.
    Tag(String),
    /// Answers of a service.
    Service(ServiceId),
    /// Everything.
    All,
}

/// A URL in the form in which objects have it. The scheme makes no difference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PurgeUrl {
    authority: String,
    path_and_query: String,
}

/// Goes with a Pingora key from the request to the store.
#[derive(Clone, Debug)]
struct Fetch {
    url: Arc<StoredUrl>,
    /// Of the URL, before the service was asked.
    epoch: u64,
    /// Longest body that is kept, in bytes.
    object_bytes_max: usize,
}

// === impl Cache ===

impl Cache {
    /// A cache of at most so many bytes; none for 0. It lives as long as the process: Pingora demands `'static`, and a gateway ends with its
    /// process.
    pub fn leak(capacity_bytes: usize) -> Option<&'static Self> {
        if capacity_bytes == 0 {
            return None;
        }
        Some(Box::leak(Box::new(Self {
            store: Store::new(capacity_bytes),
            keys: Keys::random(),
            locks: CacheLock::new(FETCH_AGE_MAX),
            predictor: Predictor::new(UNCACHEABLE_MAX, None),
        })))
    }

    /// Bytes held, also by fetches under way.
    pub fn bytes(&self) -> usize {
        self.store.bytes()
    }

    /// Objects kept.
    pub fn objects(&self) -> usize {
        self.store.objects()
    }

    /// Objects that had to go for others since the start.
    pub fn evictions(&self) -> u64 {
        self.store.evictions()
    }

    /// Removes objects, and keeps nothing of them that is being fetched now. Answers how many there were.
    pub fn purge(&self, what: Purge) -> usize {
        self.store.purge(&match what {
            Purge::Url(url) => Selector::Url {
                id: self.keys.url(&url.authority, &url.path_and_query),
            },
            Purge::Prefix(url) => Selector::Prefix {
                authority: url.authority,
                path: url.path_and_query,
            },
            Purge::Tag(tag) => Selector::Tag(tag),
            Purge::Service(service) => Selector::Service(service),
            Purge::All => Selector::All,
        })
    }

    /// Removes the objects of services that are gone or no longer cached, until there are no more snapshots.
    pub(crate) async fn follow(&self, mut snapshots: watch::Receiver<Arc<Snapshot>>) {
        let mut before = BTreeSet::new();
        loop {
            let now: BTreeSet<ServiceId> = snapshots
                .borrow_and_update()
                .services()
                .filter(|service| service.policy.cache.is_some())
                .map(|service| service.id)
                .collect();
            for gone in before.difference(&now) {
                self.purge(Purge::Service(*gone));
            }
            before = now;
            if snapshots.changed().await.is_err() {
                return;
            }
        }
    }

    /// Who waits for whom.
    pub(crate) fn locks(&self) -> &CacheLock {
        &self.locks
    }

    /// What could not be kept.
    pub(crate) fn predictor(&self) -> &Predictor<16> {
        &self.predictor
    }

    /// The object for a request, as Pingora's state machine would find it: the first that was kept of the URL, or the variant that the
    /// first one's `Vary` leads to. It may be stale.
    pub(crate) fn get(&self, identity: &Identity<'_>, request: &HeaderMap) -> Option<Arc<Object>> {
        let primary = self.keys.entry(identity);
        let url = key::url_of(&primary);
        let first = self.store.get(url, EntryId::from_be_bytes(primary))?;
        let Some(wanted) = variance(&first.header.headers, request) else {
            return Some(first);
        };
        if first.variance == Some(wanted) {
            return Some(first);
        }
        let variant = self.store.get(url, key::variant_of(primary, wanted))?;
        let is_it = variance(&variant.header.headers, request) == variant.variance;
        (is_it && !variant.is_void_beside(&first)).then_some(variant)
    }

    /// The key of a request, as Pingora wants it.
    pub(crate) fn key(
        &self,
        identity: &Identity<'_>,
        url: &Arc<StoredUrl>,
        object_bytes_max: usize,
    ) -> CacheKey {
        let entry = self.keys.entry(identity);
        let mut key = CacheKey::new(Vec::new(), String::new());
        key.set_primary_bin_override(entry);
        key.extensions.insert(Fetch {
            url: Arc::clone(url),
            epoch: self.store.epoch(key::url_of(&entry)),
            object_bytes_max,
        });
        key
    }
}

impl std::fmt::Debug for Cache {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cache")
            .field("bytes", &self.bytes())
            .finish_non_exhaustive()
    }
}

// === impl PurgeUrl ===

impl PurgeUrl {
    /// Reads `http://host/path?query` or `https://…`.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let uri: http::Uri = text.parse().map_err(|error| format!("{text:?}: {error}"))?;
        let (Some(scheme @ ("http" | "https")), Some(authority)) =
            (uri.scheme_str(), uri.authority())
        else {
            return Err(format!(
                "{text:?} is no URL such as http://example.org/path"
            ));
        };
        let authority = stored_authority(authority.as_str(), scheme == "https")
            .ok_or_else(|| format!("the host of {text:?} is not valid"))?;
        let path = RequestPath::parse(uri.path()).map_err(|error| error.to_string())?;
        Ok(Self {
            authority,
            path_and_query: stored_path(path.as_str(), uri.query()),
        })
    }

    /// Whether its host is this one.
    pub(crate) fn is_of(&self, authority: &str) -> bool {
        self.authority == authority
    }

    /// The URL of a request.
    pub(crate) fn of(url: &StoredUrl) -> Self {
        Self {
            authority: url.authority.to_string(),
            path_and_query: url.path_and_query.to_string(),
        }
    }
}

/// Host and port in the form of [`StoredUrl`]. None when they are not valid.
pub(crate) fn stored_authority(authority: &str, tls: bool) -> Option<String> {
    let host = crate::route::RequestHost::parse(authority)?;
    let after_host = authority
        .rsplit_once(']')
        .map_or(authority, |(_, rest)| rest);
    let port = after_host.split_once(':').map_or("", |(_, port)| port);
    let default = if tls { "443" } else { "80" };
    Some(if port.is_empty() || port == default {
        host.as_str().to_owned()
    } else {
        format!("{}:{port}", host.as_str())
    })
}

/// Path and query in the form of [`StoredUrl`].
pub(crate) fn stored_path(path: &str, query: Option<&str>) -> String {
    match query {
        Some(query) => format!("{path}?{query}"),
        None => path.to_owned(),
    }
}
