//! How an endpoint is chosen.

use serde::{Deserialize, Serialize};

/// How an endpoint is chosen among the healthy ones.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Balance {
    /// The better of two random choices by requests in flight (Mitzenmacher, "The power of two choices", 2001).
    #[default]
    LeastRequest,
    /// In turn, by weight, spread evenly.
    RoundRobin,
}

// === impl Balance ===

impl Balance {
    /// The word used on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::LeastRequest => "least_request",
            Self::RoundRobin => "round_robin",
        }
    }
}
