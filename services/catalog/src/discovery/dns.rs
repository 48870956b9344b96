//! Asks for the addresses of a name, and says how long the answer holds.
//!
//! The system's `getaddrinfo` would be simpler, but it tells neither the TTL nor whether a name has no address or nobody could be
//! asked, and its look-ups cannot be given up. So the two questions are put to the system's DNS servers here ([`exchange`]), by the
//! rules of resolv.conf(5), after a look into /etc/hosts ([`system`]). Both files are read each time: containers get new ones while
//! they run. Why this is not a library: docs/adr/0007.
//!
//! A and AAAA are two questions with two answers. That one of them went wrong says nothing about the addresses of the other.

mod exchange;
mod message;
#[cfg(any(test, fuzzing))]
mod properties;
mod system;

use std::{collections::BTreeSet, net::IpAddr, net::SocketAddr, time::Duration};

use tokio::{task::spawn_blocking, time::timeout};

#[cfg(any(test, fuzzing))]
pub use self::properties::dns_answers;
use self::{
    exchange::ask,
    message::{Answer, Kind},
    system::System,
};

/// Longest time for everything about one name.
const LOOKUP_MAX: Duration = Duration::from_secs(3);

/// Resolves names.
#[derive(Clone, Copy, Debug)]
pub(super) struct Dns {
    /// The server that is asked; none = as the system is configured.
    pub(super) server: Option<SocketAddr>,
}

/// What was learned about a name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Looked {
    pub(super) v4: Family,
    pub(super) v6: Family,
    /// How long the shortest-lived record holds; none when there is none.
    pub(super) ttl: Option<Duration>,
}

/// What was learned about the addresses of one family.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Family {
    /// These, and no others. May be none.
    Addresses(BTreeSet<IpAddr>),
    /// The name does not exist.
    NoName,
    /// Nobody could say. The reason is for people.
    Unknown(String),
}

// === impl Dns ===

impl Dns {
    /// Looks a name up. Never fails: that nobody answers is something to know as well.
    pub(super) async fn look_up(self, host: String) -> Looked {
        let reading = spawn_blocking(move || System::read(self.server));
        let Ok(system) = reading.await else {
            return Looked::unknown("the system's configuration cannot be read");
        };
        if let Some(found) = system.in_hosts(&host) {
            return found.into();
        }
        match timeout(LOOKUP_MAX, look_up_in(&system, &host)).await {
            Ok(looked) => looked,
            Err(_) => Looked::unknown(&format!("no answer within {} s", LOOKUP_MAX.as_secs())),
        }
    }
}

async fn look_up_in(system: &System, host: &str) -> Looked {
    let mut doubtful = None;
    let mut last = Looked::default();
    for name in system.candidates(host) {
        let v4 = ask(&system.servers, &name, Kind::A);
        let v6 = ask(&system.servers, &name, Kind::Aaaa);
        let (v4, v6) = futures_util::future::join(v4, v6).await;
        let ttls = [&v4, &v6].into_iter().flatten();
        let ttl = ttls.filter_map(|answer| answer.ttl).min();
        last = Looked {
            v4: v4.into(),
            v6: v6.into(),
            ttl,
        };
        match last.is_found() {
            Some(true) => return last,
            Some(false) => {}
            None => doubtful = doubtful.or_else(|| Some(last.clone())),
        }
    }
    // That there is none is only certain when every name was asked for.
    doubtful.unwrap_or(last)
}

// === impl Looked ===

impl Looked {
    fn unknown(reason: &str) -> Self {
        Self {
            v4: Family::Unknown(reason.to_owned()),
            v6: Family::Unknown(reason.to_owned()),
            ttl: None,
        }
    }

    /// Whether there are addresses; none when that is not certain.
    pub(super) fn is_found(&self) -> Option<bool> {
        let families = [&self.v4, &self.v6];
        let is_found =
            |family: &Family| matches!(family, Family::Addresses(found) if !found.is_empty());
        let is_unknown = |family: &Family| matches!(family, Family::Unknown(_));
        if families.into_iter().any(is_found) {
            Some(true)
        } else if families.into_iter().any(is_unknown) {
            None
        } else {
            Some(false)
        }
    }
}

impl From<BTreeSet<IpAddr>> for Looked {
    /// From /etc/hosts, which may change at any time.
    fn from(addresses: BTreeSet<IpAddr>) -> Self {
        let (v4, v6) = addresses.into_iter().partition(IpAddr::is_ipv4);
        Self {
            v4: Family::Addresses(v4),
            v6: Family::Addresses(v6),
            ttl: Some(Duration::ZERO),
        }
    }
}

// === impl Family ===

impl Default for Family {
    fn default() -> Self {
        Self::Addresses(BTreeSet::new())
    }
}

impl From<Result<Answer, exchange::Silence>> for Family {
    fn from(answer: Result<Answer, exchange::Silence>) -> Self {
        match answer {
            Ok(answer) if answer.exists => Self::Addresses(answer.addresses),
            Ok(_) => Self::NoName,
            Err(silence) => Self::Unknown(silence.to_string()),
        }
    }
}
