//! When an endpoint is left alone because requests fail on it.

use serde::{Deserialize, Serialize};

use super::range::{lasting, within};
use crate::{Invalid, Span};

/// Passive ejection: an endpoint on which requests fail in a row gets none for a while, whatever its health check says. None = only
/// health checks decide.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "RawEjection", into = "RawEjection")]
pub struct Ejection {
    /// Failures in a row, of any method: no connection, no whole answer in time, or a 5xx; 1 to 100.
    pub failures: u8,
    /// How long the first time, 100 ms to 1 h; the second time twice as long, and so on.
    pub time: Span,
    /// How long at most, [`Ejection::time`] to 24 h. An endpoint that has done well for so long begins anew.
    pub time_max: Span,
    /// Largest share of the service's endpoints that is ejected at once, 1 to 100 %. One of two or more may always be, the last
    /// one never.
    pub percent_max: u8,
}

const TIME: (Span, Span) = (Span::from_millis(100), Span::from_millis(3_600_000));
const TIME_MAX: Span = Span::from_millis(86_400_000);
const FAILURES_MAX: u8 = 100;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawEjection {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    failures: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    time: Option<Span>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    time_max: Option<Span>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    percent_max: Option<u64>,
}

// === impl Ejection ===

impl Default for Ejection {
    fn default() -> Self {
        Self {
            failures: 5,
            time: Span::from_millis(30_000),
            time_max: Span::from_millis(300_000),
            percent_max: 50,
        }
    }
}

impl TryFrom<RawEjection> for Ejection {
    type Error = Invalid;

    fn try_from(raw: RawEjection) -> Result<Self, Invalid> {
        let default = Self::default();
        let time = lasting("ejection.time", raw.time, default.time, TIME)?;
        Ok(Self {
            failures: within(
                "ejection.failures",
                raw.failures,
                default.failures,
                1,
                FAILURES_MAX,
            )?,
            time,
            time_max: lasting(
                "ejection.time_max",
                raw.time_max,
                default.time_max.max(time),
                (time, TIME_MAX),
            )?,
            percent_max: within(
                "ejection.percent_max",
                raw.percent_max,
                default.percent_max,
                1,
                100,
            )?,
        })
    }
}

impl From<Ejection> for RawEjection {
    fn from(ejection: Ejection) -> Self {
        Self {
            failures: Some(ejection.failures.into()),
            time: Some(ejection.time),
            time_max: Some(ejection.time_max),
            percent_max: Some(ejection.percent_max.into()),
        }
    }
}
