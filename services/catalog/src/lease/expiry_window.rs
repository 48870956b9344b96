//! Tells a dead instance from a dead network: when a large part of all leases runs out within seconds, it is more likely that
//! nobody could reach the catalog than that everybody died. And when nobody at all is heard of since, it is the catalog that is cut
//! off: then what it finds out about others says nothing about them.

use std::{collections::VecDeque, time::Duration};

use tokio::time::Instant;

/// Length of the window.
const WINDOW: Duration = Duration::from_secs(5);

/// Share of all leases, in percent, above which it is a mass expiry.
const SHARE_PERCENT: usize = 30;

/// Never a mass: with a handful of instances any one of them is a large share.
pub(super) const FEW: usize = 3;

/// The leases that ran out lately.
#[derive(Default)]
pub(super) struct ExpiryWindow {
    expired: VecDeque<Instant>,
    mass: bool,
    /// Since when nobody was heard of, once that was noticed.
    silent_since: Option<Instant>,
}

// === impl ExpiryWindow ===

impl ExpiryWindow {
    /// Adds what ran out now. True when this makes it a mass expiry.
    pub(super) fn add(&mut self, count: usize, leases: usize, now: Instant) -> bool {
        self.expired.extend(std::iter::repeat_n(now, count));
        let before = self.mass;
        self.mass = self.is_mass(leases, now);
        self.mass && !before
    }

    /// Whether there is a mass expiry, of so many leases.
    pub(super) fn is_mass(&mut self, leases: usize, now: Instant) -> bool {
        while self
            .expired
            .front()
            .is_some_and(|at| now.duration_since(*at) > WINDOW)
        {
            self.expired.pop_front();
        }
        self.expired.len() > FEW && self.expired.len() * 100 > leases * SHARE_PERCENT
    }

    /// Whether this catalog is cut off: many of so many leases ran out together, and nobody was heard of since. It is until somebody
    /// is heard of; `heard` is when that was the last time.
    pub(super) fn is_cut_off(
        &mut self,
        leases: usize,
        heard: Option<Instant>,
        now: Instant,
    ) -> bool {
        let is_mass = self.is_mass(leases, now);
        let first = self.expired.front().copied().filter(|_| is_mass);
        let Some(since) = self.silent_since.or(first) else {
            return false;
        };
        let is_silent = heard.is_none_or(|heard| heard <= since);
        self.silent_since = is_silent.then_some(since);
        is_silent
    }

    /// How many ran out.
    pub(super) fn len(&self) -> usize {
        self.expired.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_at_once_are_a_mass_and_few_never_are() {
        let now = Instant::now();
        assert!(!ExpiryWindow::default().add(3, 3, now));
        assert!(ExpiryWindow::default().add(4, 4, now));
        assert!(!ExpiryWindow::default().add(30, 100, now));
        assert!(ExpiryWindow::default().add(31, 100, now));
    }

    #[test]
    fn who_hears_nobody_is_cut_off_until_he_hears_somebody() {
        let (mut window, now) = (ExpiryWindow::default(), Instant::now());
        let later = |seconds| now + Duration::from_secs(seconds);
        window.add(3, 3, later(1));
        assert!(!window.is_cut_off(3, None, later(1)), "few are no mass");
        window.add(3, 6, later(2));
        assert!(!window.is_cut_off(6, Some(later(2)), later(2)));
        assert!(window.is_cut_off(6, Some(now), later(2)));
        // Long after the window.
        assert!(window.is_cut_off(6, Some(now), later(60)));
        assert!(!window.is_cut_off(6, Some(later(61)), later(62)));
        assert!(!window.is_cut_off(6, Some(later(61)), later(63)));
    }

    #[test]
    fn a_mass_is_reported_once_and_ends_with_the_window() {
        let (mut window, now) = (ExpiryWindow::default(), Instant::now());
        assert!(!window.add(2, 10, now));
        assert!(window.add(2, 10, now + Duration::from_secs(4)));
        assert!(!window.add(1, 10, now + Duration::from_secs(5)));
        assert!(!window.is_mass(10, now + Duration::from_secs(9)));
        assert!(!window.add(1, 10, now + Duration::from_secs(20)));
        assert_eq!(window.len(), 1);
    }
}
