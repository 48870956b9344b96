//! Points in time as RFC 3339 text in UTC, to the millisecond.

use std::{
    fmt,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use serde::{Deserialize, Serialize};

use crate::Invalid;

/// When something happened. Kept to the millisecond, so that what is stored equals what was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Timestamp(SystemTime);

/// The last moment that RFC 3339 can write.
const UNIX_MILLIS_MAX: u64 = 253_402_300_799_999;

// === impl Timestamp ===

impl Timestamp {
    /// The clock of this machine. A clock before 1970 reads as 1970.
    pub fn now() -> Self {
        let since_epoch = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        let whole_millis = Duration::new(
            since_epoch.as_secs(),
            since_epoch.subsec_millis() * 1_000_000,
        );
        Self(UNIX_EPOCH + whole_millis)
    }

    /// So many milliseconds after the beginning of 1970, in UTC; the end of the year 9999 when it is later.
    pub fn from_unix_millis(millis: u64) -> Self {
        Self(UNIX_EPOCH + Duration::from_millis(millis.min(UNIX_MILLIS_MAX)))
    }

    /// Milliseconds since the beginning of 1970.
    pub fn unix_millis(self) -> u64 {
        let since_epoch = self.0.duration_since(UNIX_EPOCH).unwrap_or_default();
        u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX)
    }

    /// The time before this one by so much; 1970 when that is further back than times go.
    #[must_use]
    pub fn earlier(self, by: Duration) -> Self {
        Self(self.0.checked_sub(by).unwrap_or(UNIX_EPOCH).max(UNIX_EPOCH))
    }
}

impl TryFrom<String> for Timestamp {
    type Error = Invalid;

    fn try_from(text: String) -> Result<Self, Invalid> {
        humantime::parse_rfc3339(&text).map(Self).map_err(|_| {
            Invalid::new(
                "time",
                "must be RFC 3339 in UTC, such as 2026-01-31T12:00:00Z",
            )
        })
    }
}

impl From<Timestamp> for String {
    fn from(timestamp: Timestamp) -> Self {
        timestamp.to_string()
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        humantime::format_rfc3339_millis(self.0).fmt(f)
    }
}
