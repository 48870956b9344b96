//! What the gateway may keep of a service's answers.

use serde::{Deserialize, Serialize};

use super::range::lasting;
use crate::{Invalid, Span};

/// How the gateway caches the answers of a service (RFC 9111). A service without this is not cached.
///
/// The service's own `Cache-Control` decides; what is set here applies where it is silent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "RawCache", into = "RawCache")]
pub struct Cache {
    /// How long an answer is fresh that does not say so itself, 1 s to 24 h. None = such an answer is not kept.
    pub default_ttl: Option<Span>,
    /// How long after that a kept answer may be given while a new one is fetched (RFC 5861 §3), 1 s to 24 h. None = never.
    pub stale_while_revalidate: Option<Span>,
    /// How long after that a kept answer may be given in place of an error (RFC 5861 §4), 1 s to 24 h. None = never.
    pub stale_if_error: Option<Span>,
    /// Longest body that is kept, in bytes, 1 to 64 MiB. Longer ones pass through.
    pub max_object_bytes: u32,
}

const SPAN_RANGE: (Span, Span) = (Span::from_millis(1_000), Span::from_millis(86_400_000));
const OBJECT_BYTES: u32 = 1 << 20;
const OBJECT_BYTES_MAX: u32 = 64 << 20;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawCache {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    default_ttl: Option<Span>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    stale_while_revalidate: Option<Span>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    stale_if_error: Option<Span>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    max_object_bytes: Option<u64>,
}

// === impl Cache ===

impl Default for Cache {
    fn default() -> Self {
        Self {
            default_ttl: None,
            stale_while_revalidate: None,
            stale_if_error: None,
            max_object_bytes: OBJECT_BYTES,
        }
    }
}

impl TryFrom<RawCache> for Cache {
    type Error = Invalid;

    fn try_from(raw: RawCache) -> Result<Self, Invalid> {
        let some = |what, span: Option<Span>| {
            span.map(|span| lasting(what, Some(span), span, SPAN_RANGE))
                .transpose()
        };
        Ok(Self {
            default_ttl: some("cache.default_ttl", raw.default_ttl)?,
            stale_while_revalidate: some(
                "cache.stale_while_revalidate",
                raw.stale_while_revalidate,
            )?,
            stale_if_error: some("cache.stale_if_error", raw.stale_if_error)?,
            max_object_bytes: match raw.max_object_bytes.map(u32::try_from) {
                None => OBJECT_BYTES,
                Some(Ok(bytes @ 1..=OBJECT_BYTES_MAX)) => bytes,
                Some(_) => {
                    return Err(Invalid::new(
                        "cache.max_object_bytes",
                        format_args!("must be 1 to {OBJECT_BYTES_MAX} bytes"),
                    ));
                }
            },
        })
    }
}

impl From<Cache> for RawCache {
    fn from(cache: Cache) -> Self {
        Self {
            default_ttl: cache.default_ttl,
            stale_while_revalidate: cache.stale_while_revalidate,
            stale_if_error: cache.stale_if_error,
            max_object_bytes: Some(cache.max_object_bytes.into()),
        }
    }
}
