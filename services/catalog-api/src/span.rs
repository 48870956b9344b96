//! Durations as people write them.

use std::{fmt, str::FromStr, time::Duration};

use serde::{Deserialize, Serialize};

use crate::Invalid;

/// A duration of 1 ms to 24 h, written `"500ms"`, `"30s"`, `"1m 30s"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Span(Duration);

/// Shortest duration a policy or lease may name.
pub const SPAN_MIN: Duration = Duration::from_millis(1);

/// Longest duration a policy or lease may name.
pub const SPAN_MAX: Duration = Duration::from_secs(24 * 60 * 60);

// === impl Span ===

impl Span {
    /// A span of whole milliseconds, for constants of this crate.
    pub(crate) const fn from_millis(millis: u64) -> Self {
        Self(Duration::from_millis(millis))
    }

    /// The duration.
    pub fn get(self) -> Duration {
        self.0
    }
}

impl TryFrom<Duration> for Span {
    type Error = Invalid;

    fn try_from(duration: Duration) -> Result<Self, Invalid> {
        if !(SPAN_MIN..=SPAN_MAX).contains(&duration) {
            return Err(Invalid::new(
                "duration",
                format_args!(
                    "must be 1ms to 24h, not {}",
                    humantime::format_duration(duration)
                ),
            ));
        }
        Ok(Self(duration))
    }
}

impl FromStr for Span {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        humantime::parse_duration(text)
            .map_err(|_| {
                Invalid::new(
                    "duration",
                    format_args!(
                        "must be a number with its unit, such as \"500ms\" or \"30s\", not {}",
                        crate::invalid::excerpt(text)
                    ),
                )
            })?
            .try_into()
    }
}

impl TryFrom<String> for Span {
    type Error = Invalid;

    fn try_from(text: String) -> Result<Self, Invalid> {
        text.parse()
    }
}

impl From<Span> for String {
    fn from(span: Span) -> Self {
        span.to_string()
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        humantime::format_duration(self.0).fmt(f)
    }
}
