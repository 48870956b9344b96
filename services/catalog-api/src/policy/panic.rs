//! When health checks are not believed any longer.

use serde::{Deserialize, Serialize};

use crate::Invalid;

/// Share of healthy endpoints, in percent, below which all that may be alive get requests, so that the load of all does not crush
/// the few; 0 to 100, 0 = never, 50 by default. While no endpoint is healthy there is no request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "u64", into = "u64")]
pub struct PanicPercent(u8);

// === impl PanicPercent ===

impl PanicPercent {
    /// The share.
    pub fn get(self) -> u8 {
        self.0
    }

    /// Whether it is the default.
    pub(super) fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

impl Default for PanicPercent {
    fn default() -> Self {
        Self(50)
    }
}

impl TryFrom<u64> for PanicPercent {
    type Error = Invalid;

    fn try_from(percent: u64) -> Result<Self, Invalid> {
        match u8::try_from(percent) {
            Ok(percent @ 0..=100) => Ok(Self(percent)),
            _ => Err(Invalid::new(
                "panic_percent",
                format_args!("must be 0 to 100, not {percent}"),
            )),
        }
    }
}

impl From<PanicPercent> for u64 {
    fn from(percent: PanicPercent) -> Self {
        percent.0.into()
    }
}
