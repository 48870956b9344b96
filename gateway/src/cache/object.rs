//! One kept answer.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use catalog_api::ServiceId;
use http::{HeaderMap, HeaderName};
use pingora_cache::{CacheMeta, key::HashBinary};
use pingora_http::ResponseHeader;

use super::budget::Charge;

/// What an object costs besides its body, its header and its URL, in bytes: the structures here, its place in the shard, its part of
/// the memory of evicted objects, and what the allocator rounds up. Measured at about 700; rounded up.
pub(super) const OVERHEAD_BYTES: usize = 1024;
/// What a header field costs besides its name and its value, in bytes.
const FIELD_OVERHEAD_BYTES: usize = 96;

/// Fields by which services tag their answers, values separated by blanks or commas. They are for caches only and do not reach clients.
pub(crate) const TAG_FIELDS: [HeaderName; 2] = [
    HeaderName::from_static("cache-tag"),
    HeaderName::from_static("surrogate-key"),
];

/// Whose answer an object is, as operators name it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct StoredUrl {
    /// The service that answered.
    pub(crate) service: ServiceId,
    /// Host, with its port unless it is the scheme's default.
    pub(crate) authority: Box<str>,
    /// Path and query as the client asked for them, normalised.
    pub(crate) path_and_query: Box<str>,
}

/// A body, shared by the object's successive states and by the clients that read it.
#[derive(Debug)]
pub(super) struct Body {
    pub(super) bytes: Bytes,
    pub(super) charge: Charge,
}

/// A kept answer. Never changed; a validation makes another one with the same body.
#[derive(Debug)]
pub(crate) struct Object {
    pub(super) url: Arc<StoredUrl>,
    pub(super) header: ResponseHeader,
    pub(super) body: Arc<Body>,
    times: Times,
    /// What of a request it depends on, as the request that fetched it had it.
    pub(super) variance: Option<HashBinary>,
    charge: Charge,
}

/// The numbers of a `CacheMeta`, which itself cannot be copied.
#[derive(Clone, Copy, Debug)]
struct Times {
    fresh_until: SystemTime,
    /// Since when this URL has been kept without interruption. Variants older than that of their first sibling are void.
    provenance: SystemTime,
    /// When it would have had the age 0.
    epoch: SystemTime,
    stale_while_revalidate_sec: u32,
    stale_if_error_sec: u32,
}

// === impl Object ===

impl Object {
    pub(super) fn new(
        url: Arc<StoredUrl>,
        meta: &CacheMeta,
        header: ResponseHeader,
        body: Arc<Body>,
        charge: Charge,
    ) -> Self {
        Self {
            url,
            header,
            body,
            times: Times {
                fresh_until: meta.fresh_until(),
                provenance: meta.provenance(),
                epoch: meta.epoch(),
                stale_while_revalidate_sec: meta.stale_while_revalidate_sec(),
                stale_if_error_sec: meta.stale_if_error_sec(),
            },
            variance: meta.variance(),
            charge,
        }
    }

    /// What Pingora wants to know about it.
    ///
    /// `CacheMeta` offers no way to set its provenance, which is the time of creation unless it is set. Creation means nothing else
    /// to Pingora (the age has its own reference), so it stands for both.
    pub(super) fn meta(&self) -> CacheMeta {
        let times = self.times;
        let mut meta = CacheMeta::new(
            times.fresh_until,
            times.provenance,
            times.stale_while_revalidate_sec,
            times.stale_if_error_sec,
            self.header.clone(),
        );
        meta.set_epoch_override(times.epoch);
        if let Some(variance) = self.variance {
            meta.set_variance(variance);
        }
        meta
    }

    /// The service's answer, without its content.
    pub(crate) fn header(&self) -> &ResponseHeader {
        &self.header
    }

    /// The content.
    pub(crate) fn content(&self) -> &Bytes {
        &self.body.bytes
    }

    /// How old it is (RFC 9111 §4.2.3).
    pub(crate) fn age(&self, now: SystemTime) -> Duration {
        now.duration_since(self.times.epoch).unwrap_or_default()
    }

    /// For how long it may be sent without asking the service; none when it may not.
    pub(crate) fn fresh_for(&self, now: SystemTime) -> Option<Duration> {
        self.times.fresh_until.duration_since(now).ok()
    }

    /// Whether it is void beside another variant of its URL, whose provenance tells of a purge of all of them.
    pub(super) fn is_void_beside(&self, first: &Self) -> bool {
        self.times.provenance < first.times.provenance
    }

    /// All its bytes.
    pub(super) fn bytes(&self) -> usize {
        self.charge.bytes() + self.body.charge.bytes()
    }

    /// Whether the service gave it this tag.
    pub(super) fn has_tag(&self, tag: &str) -> bool {
        TAG_FIELDS
            .iter()
            .flat_map(|field| self.header.headers.get_all(field))
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split([',', ' ', '\t']))
            .any(|given| given == tag)
    }
}

/// What header and URL of an object cost, with its overhead.
pub(super) fn header_bytes(headers: &HeaderMap, url: &StoredUrl) -> usize {
    let fields: usize = headers
        .iter()
        .map(|(name, value)| name.as_str().len() + value.len() + FIELD_OVERHEAD_BYTES)
        .sum();
    OVERHEAD_BYTES + fields + url.authority.len() + url.path_and_query.len()
}

/// Age of an object at the moment it arrives (RFC 9111 §4.2.3): what the way of its bytes may have added, and what others say.
pub(crate) fn initial_age(
    date: Option<SystemTime>,
    age_field: Duration,
    asked_at: SystemTime,
    now: SystemTime,
) -> Duration {
    let since = |earlier: SystemTime| now.duration_since(earlier).unwrap_or_default();
    let apparent = date.map(since).unwrap_or_default();
    apparent.max(age_field + since(asked_at))
}
