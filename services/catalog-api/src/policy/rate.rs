//! How often one client may ask.

use serde::{Deserialize, Serialize};

use super::{
    balance::FieldName,
    range::{lasting, within},
};
use crate::{Invalid, Span};

/// A rate limit per client and route: `{"requests": 10, "per": "1s", "burst": 20, "by": {"header": "x-api-key"}}`.
///
/// Each gateway counts for itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "RawRate", into = "RawRate")]
pub struct Rate {
    /// Requests that come back in each [`Rate::per`], 1 to 1,000,000; 100,000 a second at most.
    pub requests: u32,
    /// The time in which they come back, 1 s to 1 h.
    pub per: Span,
    /// Requests that a client who was quiet has at once, 1 to 1,000,000; [`Rate::requests`] unless given.
    pub burst: u32,
    /// What tells clients apart.
    pub by: RateBy,
}

/// What tells clients apart.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RateBy {
    /// The address: that of the connection, or what a trusted proxy says. IPv6 clients count by their /64, of which each has every
    /// address.
    #[default]
    ClientAddress,
    /// The value of this header; whoever does not send it counts by address. Whoever may choose its value has as many limits as
    /// values, so it should be one that is checked before.
    Header(FieldName),
    /// Nothing: all clients of a route together.
    Route,
}

const COUNT_MAX: u32 = 1_000_000;
const PER: (Span, Span) = (Span::from_millis(1_000), Span::from_millis(3_600_000));
/// Most requests per second: below it the time between two is told apart.
const PER_SECOND_MAX: u128 = 100_000;
/// Longest time until a whole burst is back: longer ones could not be told from the distant past.
const REFILL_MAX_SECS: u128 = 24 * 3600;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawRate {
    requests: u64,
    per: Span,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    burst: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    by: Option<RateBy>,
}

// === impl Rate ===

impl TryFrom<RawRate> for Rate {
    type Error = Invalid;

    fn try_from(raw: RawRate) -> Result<Self, Invalid> {
        let requests = within("limits.rate.requests", Some(raw.requests), 1, 1, COUNT_MAX)?;
        let per = lasting("limits.rate.per", Some(raw.per), raw.per, PER)?;
        let burst = within("limits.rate.burst", raw.burst, requests, 1, COUNT_MAX)?;
        let per_micros = per.get().as_micros();
        if u128::from(requests) * 1_000_000 > PER_SECOND_MAX * per_micros {
            return Err(Invalid::new(
                "limits.rate.requests",
                format_args!("must be at most {PER_SECOND_MAX} a second, not {requests} per {per}"),
            ));
        }
        if u128::from(burst) * per_micros > REFILL_MAX_SECS * 1_000_000 * u128::from(requests) {
            return Err(Invalid::new(
                "limits.rate.burst",
                format_args!(
                    "must come back within 24h, which {burst} at {requests} per {per} do not"
                ),
            ));
        }
        Ok(Self {
            requests,
            per,
            burst,
            by: raw.by.unwrap_or_default(),
        })
    }
}

impl From<Rate> for RawRate {
    fn from(rate: Rate) -> Self {
        Self {
            requests: rate.requests.into(),
            per: rate.per,
            burst: (rate.burst != rate.requests).then_some(rate.burst.into()),
            by: (rate.by != RateBy::default()).then_some(rate.by),
        }
    }
}
