//! Durations in settings, as people write them.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// A duration, written as `500ms`, `30s` or `1h 30m`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Span(pub Duration);

/// Not a duration.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("not a duration, write a number with a unit such as 500ms or 30s")]
pub struct SpanError;

impl FromStr for Span {
    type Err = SpanError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        humantime::parse_duration(text)
            .map(Self)
            .map_err(|_| SpanError)
    }
}

impl fmt::Display for Span {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        humantime::format_duration(self.0).fmt(formatter)
    }
}
