//! When a request is tried again.

use serde::{Deserialize, Serialize};

use super::range::within;
use crate::Invalid;

/// When a request is sent again after an attempt failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "RawRetry", into = "RawRetry")]
pub struct Retry {
    /// Attempts in all, 1 to 10; 1 = no retry.
    pub attempts: u8,
    /// Retries as a share of the service's requests, 0 to 100 %; a few are always allowed so that a quiet service can retry.
    pub budget_percent: u8,
}

const ATTEMPTS_MAX: u8 = 10;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawRetry {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    attempts: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    budget_percent: Option<u64>,
}

// === impl Retry ===

impl Default for Retry {
    fn default() -> Self {
        Self {
            attempts: 3,
            budget_percent: 20,
        }
    }
}

impl TryFrom<RawRetry> for Retry {
    type Error = Invalid;

    fn try_from(raw: RawRetry) -> Result<Self, Invalid> {
        let default = Self::default();
        Ok(Self {
            attempts: within(
                "retry.attempts",
                raw.attempts,
                default.attempts,
                1,
                ATTEMPTS_MAX,
            )?,
            budget_percent: within(
                "retry.budget_percent",
                raw.budget_percent,
                default.budget_percent,
                0,
                100,
            )?,
        })
    }
}

impl From<Retry> for RawRetry {
    fn from(retry: Retry) -> Self {
        Self {
            attempts: Some(retry.attempts.into()),
            budget_percent: Some(retry.budget_percent.into()),
        }
    }
}
