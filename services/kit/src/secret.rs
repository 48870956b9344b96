//! Secrets: values that must never reach a log, and whose comparison must not leak them by its timing.

use std::fmt;
use std::fmt::Write as _;
use std::sync::Arc;

use subtle::ConstantTimeEq as _;

/// A token, password or URL with a password in it. `Debug` is redacted and there is no `Display`.
#[derive(Clone)]
pub struct Secret(Arc<str>);

/// Entropy of a random secret.
const RANDOM_BYTES: usize = 32;

impl Secret {
    /// Wraps a value.
    pub fn new(value: String) -> Self {
        Self(value.into())
    }

    /// A fresh secret: 32 bytes from the operating system, as 64 hexadecimal digits.
    ///
    /// # Panics
    ///
    /// When the operating system has no random source, without which no secret would be one.
    pub fn random() -> Self {
        let mut bytes = [0_u8; RANDOM_BYTES];
        #[expect(
            clippy::expect_used,
            reason = "a predictable secret would be worse than a program that does not start"
        )]
        getrandom::fill(&mut bytes).expect("the operating system gives random bytes");
        let mut text = String::with_capacity(2 * RANDOM_BYTES);
        for byte in bytes {
            let _ = write!(text, "{byte:02x}");
        }
        Self::new(text)
    }

    /// The value itself. Named so that every use is easy to find.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Whether `candidate` is this secret, in time that depends on the lengths only.
    pub fn matches(&self, candidate: &[u8]) -> bool {
        self.0.as_bytes().ct_eq(candidate).into()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Secret(<redacted>)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_never_shows_the_value() {
        let secret = Secret::new("hunter2".to_owned());
        assert_eq!(format!("{secret:?}"), "Secret(<redacted>)");
        assert_eq!(secret.expose(), "hunter2");
    }

    #[test]
    fn matches_only_the_whole_value() {
        let secret = Secret::new("hunter2".to_owned());
        assert!(secret.matches(b"hunter2"));
        for other in [&b"hunter"[..], b"hunter22", b"Hunter2", b""] {
            assert!(!secret.matches(other));
        }
    }

    #[test]
    fn random_secrets_are_long_and_differ() {
        let (a, b) = (Secret::random(), Secret::random());
        assert_eq!(a.expose().len(), 64);
        assert!(a.expose().bytes().all(|byte| byte.is_ascii_hexdigit()));
        assert_ne!(a.expose(), b.expose());
    }
}
