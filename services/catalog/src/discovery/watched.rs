//! A name that is looked up again and again: which addresses it has as far as anybody knows, and when to look again.
//!
//! What was known stays when nobody can be asked; an answer replaces it, each family for itself. A name that had addresses and now
//! has none says so twice before it is believed: DNS servers that start have answered so, and everybody would be gone at once.

use std::{
    collections::BTreeSet,
    net::IpAddr,
    time::{Duration, Instant},
};

use catalog_api::Host;

use super::{
    dns::{Family, Looked},
    settings::INTERVAL_MIN,
    target::Target,
};

/// How often a name has to say that it has no address any more.
const CONFIRMATIONS: u8 = 2;

/// A name with what is known about it.
pub(super) struct WatchedName {
    pub(super) target: Target,
    /// None = never heard.
    v4: Option<BTreeSet<IpAddr>>,
    v6: Option<BTreeSet<IpAddr>>,
    /// How often in a row it said that it has none.
    denials: u8,
    /// Why the last look was not as it should be.
    problem: Option<String>,
    /// When to look again; an address is looked up by nobody.
    due: Option<Instant>,
    /// Somebody looks.
    pub(super) is_asked: bool,
}

// === impl WatchedName ===

impl WatchedName {
    pub(super) fn new(target: Target, now: Instant) -> Self {
        let mut this = Self {
            target,
            v4: None,
            v6: None,
            denials: 0,
            problem: None,
            due: Some(now),
            is_asked: false,
        };
        if let Host::Ip(address) = *this.target.address.host() {
            let (this_one, none) = (Some(BTreeSet::from([address])), Some(BTreeSet::new()));
            (this.v4, this.v6) = match address {
                IpAddr::V4(_) => (this_one, none),
                IpAddr::V6(_) => (none, this_one),
            };
            this.due = None;
        }
        this
    }

    /// When to look again; none while somebody looks.
    pub(super) fn due(&self) -> Option<Instant> {
        self.due.filter(|_| !self.is_asked)
    }

    /// Has it looked up at once. False when there is nothing to look up.
    pub(super) fn hurry(&mut self, now: Instant) -> bool {
        self.due = self.due.map(|_| now);
        self.due.is_some()
    }

    /// Takes in what a look brought.
    pub(super) fn learn(&mut self, looked: Looked, now: Instant, interval_max: Duration) {
        self.is_asked = false;
        let problem = problem(&looked);
        let interval = match looked.ttl {
            Some(ttl) => ttl.clamp(INTERVAL_MIN, interval_max),
            None if is_denial(&looked) => interval_max,
            None => INTERVAL_MIN,
        };
        self.due = Some(now + interval);
        if is_denial(&looked) && self.addresses().next().is_some() {
            self.denials += 1;
            if self.denials < CONFIRMATIONS {
                self.due = Some(now + INTERVAL_MIN);
                self.problem = problem.map(|reason| format!("{reason}; asking again"));
                return;
            }
        } else {
            self.denials = 0;
        }
        self.problem = problem;
        for (known, heard) in [(&mut self.v4, looked.v4), (&mut self.v6, looked.v6)] {
            match heard {
                Family::Addresses(addresses) => *known = Some(addresses),
                Family::NoName => *known = Some(BTreeSet::new()),
                Family::Unknown(_) => {}
            }
        }
    }

    /// Every address it has.
    pub(super) fn addresses(&self) -> impl Iterator<Item = IpAddr> {
        let families = self.v4.iter().chain(&self.v6);
        families.flatten().copied()
    }

    /// Whether it has the address, or could have it, because nobody was heard about addresses of this kind since the start.
    pub(super) fn may_have(&self, address: IpAddr) -> bool {
        let family = match address {
            IpAddr::V4(_) => &self.v4,
            IpAddr::V6(_) => &self.v6,
        };
        family.as_ref().is_none_or(|known| known.contains(&address))
    }

    /// Why the last look was not as it should be.
    pub(super) fn problem(&self) -> Option<&str> {
        match &self.problem {
            Some(problem) => Some(problem),
            None if self.v4.is_none() && self.v6.is_none() => Some("not asked yet"),
            None => None,
        }
    }
}

/// Whether it is certain that there are no addresses.
fn is_denial(looked: &Looked) -> bool {
    looked.is_found() == Some(false)
}

fn problem(looked: &Looked) -> Option<String> {
    match (&looked.v4, &looked.v6) {
        (Family::Unknown(reason), _) | (_, Family::Unknown(reason)) => {
            Some(format!("{reason}; what was known stays"))
        }
        (Family::NoName, _) | (_, Family::NoName) => Some("there is no such name".to_owned()),
        _ if is_denial(looked) => Some("the name has no address".to_owned()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAX: Duration = Duration::from_secs(5);

    fn addresses(texts: &[&str]) -> Family {
        Family::Addresses(texts.iter().map(|text| text.parse().unwrap()).collect())
    }

    fn unknown() -> Family {
        Family::Unknown("SERVFAIL".to_owned())
    }

    fn looked(v4: Family, v6: Family, ttl: Option<u64>) -> Looked {
        let ttl = ttl.map(Duration::from_secs);
        Looked { v4, v6, ttl }
    }

    /// A name that was looked up like this, and after how many seconds it is looked up again.
    struct Story {
        name: WatchedName,
        now: Instant,
    }

    impl Story {
        fn new() -> Self {
            let now = Instant::now();
            let target = "hold=http://hold:80".parse().unwrap();
            Self {
                name: WatchedName::new(target, now),
                now,
            }
        }

        fn hears(&mut self, looked: Looked) -> (u64, Vec<String>) {
            self.name.learn(looked, self.now, MAX);
            let wait = self.name.due().unwrap() - self.now;
            let addresses = self.name.addresses().map(|ip| ip.to_string()).collect();
            (wait.as_secs(), addresses)
        }
    }

    #[test]
    fn an_address_is_known_from_the_start() {
        let target = "hold=http://[fd00::1]:80".parse().unwrap();
        let mut name = WatchedName::new(target, Instant::now());
        assert_eq!(name.addresses().count(), 1);
        assert!(!name.may_have("10.0.0.1".parse().unwrap()));
        assert!(!name.hurry(Instant::now()) && name.due().is_none() && name.problem().is_none());
    }

    #[test]
    fn it_is_looked_up_at_its_ttl_within_limits() {
        let mut story = Story::new();
        for (ttl, wait) in [(0, 1), (1, 1), (3, 3), (600, 5)] {
            let heard = looked(addresses(&["10.0.0.1"]), addresses(&[]), Some(ttl));
            assert_eq!(story.hears(heard), (wait, vec!["10.0.0.1".to_owned()]));
        }
        assert_eq!(story.name.problem(), None);
    }

    #[test]
    fn who_cannot_be_asked_takes_nobody_away() {
        let mut story = Story::new();
        assert!(story.name.may_have("10.0.0.9".parse().unwrap()));
        assert_eq!(story.hears(looked(unknown(), unknown(), None)).1.len(), 0);
        assert!(story.name.may_have("10.0.0.9".parse().unwrap()));
        let both = looked(addresses(&["10.0.0.1"]), addresses(&["fd00::1"]), Some(2));
        assert_eq!(story.hears(both).1.len(), 2);
        assert!(!story.name.may_have("10.0.0.9".parse().unwrap()));
        // One family is heard of, the other is not.
        let half = looked(addresses(&["10.0.0.2"]), unknown(), Some(2));
        assert_eq!(
            story.hears(half),
            (2, vec!["10.0.0.2".into(), "fd00::1".into()])
        );
        assert!(story.name.problem().unwrap().contains("SERVFAIL"));
        assert_eq!(story.hears(looked(unknown(), unknown(), None)).1.len(), 2);
    }

    #[test]
    fn that_there_is_nobody_has_to_be_said_twice() {
        for nobody in [Family::NoName, addresses(&[])] {
            let mut story = Story::new();
            let some = looked(addresses(&["10.0.0.1"]), addresses(&[]), Some(9));
            let none = || looked(nobody.clone(), nobody.clone(), None);
            story.hears(some.clone());
            assert_eq!(story.hears(none()), (1, vec!["10.0.0.1".to_owned()]));
            // Said once, taken back, said once again.
            story.hears(some);
            assert_eq!(story.hears(none()).1.len(), 1);
            assert_eq!(story.hears(looked(unknown(), unknown(), None)).1.len(), 1);
            assert_eq!(story.hears(none()).1.len(), 1);
            assert_eq!(story.hears(none()), (5, vec![]));
            assert!(story.name.problem().is_some());
        }
    }
}
