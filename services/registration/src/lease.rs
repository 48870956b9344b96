//! The lease of an instance and the rhythm that follows from it.

use std::{fmt, str::FromStr, time::Duration};

use catalog_api::{Invalid, Span};

/// How long the catalog keeps an instance without hearing from it: 100 ms to 1 h, written `"10s"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lease(Span);

/// Shortest lease: below it, three renewals would be more traffic than the service itself.
pub const LEASE_MIN: Duration = Duration::from_millis(100);
/// Longest lease: beyond it a dead instance is a ghost for too long.
pub const LEASE_MAX: Duration = Duration::from_secs(60 * 60);

/// Longest wait for one answer of the catalog.
pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(2);

/// Renewals per lease: one may be lost, and the one after it too, before the lease ends.
const RENEWALS_PER_LEASE: u32 = 3;
/// Attempts that fit into the time between two renewals when the catalog fails, once the back-off is at its longest.
const RETRIES_PER_RENEWAL: u32 = 4;
/// Shortest and longest first delay after a failure.
const RETRY_MIN: Duration = Duration::from_millis(20);
const RETRY_MAX: Duration = Duration::from_secs(5);

// === impl Lease ===

impl Lease {
    /// The duration as the catalog reads it.
    pub fn span(self) -> Span {
        self.0
    }

    /// Time between two renewals.
    pub(crate) fn renewal_interval(self) -> Duration {
        self.0.get() / RENEWALS_PER_LEASE
    }

    /// Longest wait for one answer, so that a hanging replica leaves time for the next one within the lease.
    pub(crate) fn request_timeout(self) -> Duration {
        self.renewal_interval().min(REQUEST_TIMEOUT)
    }

    /// Shortest and longest delay after a failed round. For long leases the cap is absolute: a catalog that comes back should
    /// not wait minutes for its instances.
    pub(crate) fn retry_delays(self) -> (Duration, Duration) {
        let longest = (self.renewal_interval() / RETRIES_PER_RENEWAL).clamp(RETRY_MIN, RETRY_MAX);
        ((longest / 4).max(RETRY_MIN), longest)
    }
}

impl TryFrom<Duration> for Lease {
    type Error = Invalid;

    fn try_from(duration: Duration) -> Result<Self, Invalid> {
        if !(LEASE_MIN..=LEASE_MAX).contains(&duration) {
            return Err(Invalid::new("lease", "must be 100ms to 1h"));
        }
        Ok(Self(duration.try_into()?))
    }
}

impl FromStr for Lease {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        text.parse::<Span>()?.get().try_into()
    }
}

impl fmt::Display for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bounds_are_part_of_the_type() {
        for good in ["100ms", "10s", "1h"] {
            assert_eq!(good.parse::<Lease>().unwrap().to_string(), good);
        }
        for bad in ["99ms", "1h 1s", "10", "", "0s"] {
            assert!(bad.parse::<Lease>().is_err(), "{bad}");
        }
    }

    #[test]
    fn several_attempts_fit_into_every_lease() {
        for text in ["100ms", "1s", "10s", "1m", "1h"] {
            let lease: Lease = text.parse().unwrap();
            let (shortest, longest) = lease.retry_delays();
            assert!(shortest <= longest);
            let one_failed_renewal = lease.renewal_interval() + lease.request_timeout() + longest;
            assert!(one_failed_renewal < lease.span().get(), "{text}");
        }
    }
}
