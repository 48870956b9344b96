//! When a service is left alone because it fails as a whole.

use serde::{Deserialize, Serialize};

use super::range::{lasting, within};
use crate::{Invalid, Span};

/// A circuit breaker. None = the service is asked however much it fails.
///
/// It looks at the outcome of whole requests, after all attempts, over all endpoints: [`super::Ejection`] takes out one endpoint
/// that is worse than its neighbours, this stops asking all of them, which is what helps when they fail for a common reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "RawBreaker", into = "RawBreaker")]
pub struct Breaker {
    /// Share of failed requests from which it opens, 1 to 100 %.
    pub error_percent: u8,
    /// How far back it looks, 1 s to 10 min.
    pub window: Span,
    /// Fewest requests in the window for a verdict, 1 to 10,000.
    pub requests_min: u16,
    /// How long it stays open before it tries the service again, 100 ms to 10 min.
    pub open: Span,
    /// Successful requests in a row, and most at once, with which it closes again, 1 to 100.
    pub probes: u8,
}

const WINDOW: (Span, Span) = (Span::from_millis(1_000), Span::from_millis(600_000));
const OPEN: (Span, Span) = (Span::from_millis(100), Span::from_millis(600_000));
const REQUESTS_MIN_MAX: u16 = 10_000;
const PROBES_MAX: u8 = 100;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawBreaker {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    error_percent: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    window: Option<Span>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    requests_min: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    open: Option<Span>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    probes: Option<u64>,
}

// === impl Breaker ===

impl Default for Breaker {
    fn default() -> Self {
        Self {
            error_percent: 50,
            window: Span::from_millis(10_000),
            requests_min: 20,
            open: Span::from_millis(5_000),
            probes: 3,
        }
    }
}

impl TryFrom<RawBreaker> for Breaker {
    type Error = Invalid;

    fn try_from(raw: RawBreaker) -> Result<Self, Invalid> {
        let default = Self::default();
        Ok(Self {
            error_percent: within(
                "breaker.error_percent",
                raw.error_percent,
                default.error_percent,
                1,
                100,
            )?,
            window: lasting("breaker.window", raw.window, default.window, WINDOW)?,
            requests_min: within(
                "breaker.requests_min",
                raw.requests_min,
                default.requests_min,
                1,
                REQUESTS_MIN_MAX,
            )?,
            open: lasting("breaker.open", raw.open, default.open, OPEN)?,
            probes: within("breaker.probes", raw.probes, default.probes, 1, PROBES_MAX)?,
        })
    }
}

impl From<Breaker> for RawBreaker {
    fn from(breaker: Breaker) -> Self {
        Self {
            error_percent: Some(breaker.error_percent.into()),
            window: Some(breaker.window),
            requests_min: Some(breaker.requests_min.into()),
            open: Some(breaker.open),
            probes: Some(breaker.probes.into()),
        }
    }
}
