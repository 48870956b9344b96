//! The one error of this crate: a value that is not what its type allows.

use std::fmt;

/// Why a value was refused: what it was meant to be, and what is allowed instead.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what} {reason}")]
pub struct Invalid {
    what: &'static str,
    reason: String,
}

impl Invalid {
    /// `what` names the type for a person ("weight"), `reason` says what is allowed ("must be 1 to 1000, not 0").
    pub fn new(what: &'static str, reason: impl fmt::Display) -> Self {
        Self {
            what,
            reason: reason.to_string(),
        }
    }
}

/// Cuts a value for an error message, so that an overlong input does not become an overlong answer.
pub(crate) fn excerpt(value: &str) -> String {
    const EXCERPT_CHARS_MAX: usize = 40;
    let mut shown: String = value.chars().take(EXCERPT_CHARS_MAX).collect();
    if shown.len() < value.len() {
        shown.push('…');
    }
    format!("{shown:?}")
}
