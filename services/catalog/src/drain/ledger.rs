//! What is known about the requests of one draining instance: what everybody has said who may have some.
//!
//! Whoever was there once stays in it. One that left after it had none is done with; one that left before may have some still.

use std::collections::BTreeMap;

use catalog_api::{OpaqueId, Revision};
use tokio::time::Instant;

use super::report::Unknown;

/// Of one drain.
#[derive(Debug)]
pub(super) struct Ledger {
    /// Since when it drains. Who does not know that revision sends it requests.
    revision: Revision,
    began: Instant,
    accounts: BTreeMap<OpaqueId, Account>,
    onlookers: u64,
    strangers: Vec<String>,
    /// From when on everybody is in it; none = not known yet.
    whole_from: Option<Instant>,
}

#[derive(Debug)]
struct Account {
    name: String,
    count: Option<Count>,
    is_there: bool,
}

/// Requests as somebody counts them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Count {
    pub(crate) in_flight: u64,
    pub(crate) finished: u64,
}

/// What everybody says about one instance at one time.
#[derive(Debug, Default)]
pub(crate) struct Census {
    pub(crate) words: Vec<Word>,
    /// Readers that say nothing.
    pub(crate) onlookers: u64,
    /// Catalogs that say nothing.
    pub(crate) strangers: Vec<String>,
    /// Who is away since a short time.
    pub(crate) lost: Vec<Lost>,
    /// From when on everybody may be known; none = the others could not be asked yet.
    pub(crate) whole_from: Option<Instant>,
}

/// What one of them says.
#[derive(Clone, Debug)]
pub(crate) struct Word {
    pub(crate) id: OpaqueId,
    pub(crate) name: String,
    pub(crate) said: Said,
}

/// Somebody whose stream has just ended.
#[derive(Clone, Debug)]
pub(crate) struct Lost {
    pub(crate) id: OpaqueId,
    /// It said last that it had nothing left, and how much had ended.
    pub(crate) finished: Option<u64>,
    /// Until when it is expected back; none = only what it said is known.
    pub(crate) returns_until: Option<Instant>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Said {
    /// It does not know that the instance drains.
    NotYet,
    /// It should know, and does not say how many requests there are.
    Nothing,
    /// So many.
    Count(Count),
}

/// The sums.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    pub(super) finished: u64,
    pub(super) in_flight: u64,
    pub(super) unknown: Vec<Unknown>,
    pub(super) onlookers: u64,
}

// === impl Ledger ===

impl Ledger {
    pub(super) fn new(revision: Revision, began: Instant) -> Self {
        Self {
            revision,
            began,
            accounts: BTreeMap::new(),
            onlookers: 0,
            strangers: Vec::new(),
            whole_from: None,
        }
    }

    pub(super) fn revision(&self) -> Revision {
        self.revision
    }

    pub(super) fn began(&self) -> Instant {
        self.began
    }

    /// It drains anew: what was said before does not count.
    pub(super) fn begin_again(&mut self, revision: Revision, now: Instant) {
        if revision > self.revision {
            *self = Self::new(revision, now);
        }
    }

    pub(super) fn take(&mut self, census: Census) {
        for account in self.accounts.values_mut() {
            account.is_there = false;
        }
        // What was said last may be heard only when whoever said it is gone.
        for lost in &census.lost {
            if let (Some(account), Some(finished)) =
                (self.accounts.get_mut(&lost.id), lost.finished)
            {
                let in_flight = 0;
                account.count = Some(Count {
                    in_flight,
                    finished,
                });
            }
        }
        for Word { id, name, said } in census.words {
            let account = self.accounts.entry(id).or_insert_with(|| Account {
                name,
                count: None,
                is_there: true,
            });
            account.is_there = true;
            match said {
                Said::NotYet => {}
                Said::Nothing => account.count = None,
                Said::Count(count) => account.count = Some(count),
            }
        }
        // One that has come and gone has seen the instance all the same.
        self.onlookers = self.onlookers.max(census.onlookers);
        self.strangers = census.strangers;
        // Who left while it drains has an account.
        let lost = census.lost.into_iter();
        let lost = lost.filter(|lost| !self.accounts.contains_key(&lost.id));
        let returned = lost.filter_map(|lost| lost.returns_until).max();
        self.whole_from = census
            .whole_from
            .map(|whole| returned.map_or(whole, |returned| whole.max(returned)));
    }

    /// When it may be that nobody has a request any more; none while that depends on what somebody says.
    pub(super) fn is_over_from(&self) -> Option<Instant> {
        let has_none = |account: &Account| account.count.is_some_and(|count| count.in_flight == 0);
        let over = self.onlookers == 0
            && self.strangers.is_empty()
            && self.accounts.values().all(has_none);
        self.whole_from.filter(|_| over)
    }

    pub(super) fn tally(&self) -> Tally {
        let mut tally = Tally {
            onlookers: self.onlookers,
            ..Tally::default()
        };
        for account in self.accounts.values() {
            let count = account.count;
            tally.finished += count.map_or(0, |count| count.finished);
            let in_flight = count.map(|count| count.in_flight);
            match in_flight {
                Some(in_flight) if account.is_there || in_flight == 0 => {
                    tally.in_flight += in_flight;
                }
                in_flight => tally.unknown.push(Unknown {
                    name: account.name.clone(),
                    in_flight,
                }),
            }
        }
        let strangers = self.strangers.iter().cloned();
        tally.unknown.extend(strangers.map(|name| Unknown {
            name,
            in_flight: None,
        }));
        tally
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn word(id: u128, said: Said) -> Word {
        Word {
            id: OpaqueId::new(id),
            name: format!("gw-{id}"),
            said,
        }
    }

    fn count(in_flight: u64, finished: u64) -> Said {
        Said::Count(Count {
            in_flight,
            finished,
        })
    }

    fn census(now: Instant, words: &[Word]) -> Census {
        Census {
            words: words.to_vec(),
            whole_from: Some(now),
            ..Census::default()
        }
    }

    fn ledger() -> (Ledger, Instant) {
        let now = Instant::now();
        (Ledger::new(Revision(5), now), now)
    }

    #[test]
    fn it_is_over_when_everybody_has_said_that_there_are_none() {
        let (mut ledger, now) = ledger();
        for (first, second, is_over) in [
            (Said::NotYet, Said::NotYet, false),
            (count(0, 0), Said::NotYet, false),
            (count(0, 0), Said::Nothing, false),
            (count(0, 0), count(2, 1), false),
            (count(0, 0), count(0, 3), true),
            // It is late, and says what it said before.
            (count(0, 0), Said::NotYet, true),
        ] {
            ledger.take(census(now, &[word(1, first), word(2, second)]));
            assert_eq!(ledger.is_over_from().is_some(), is_over, "{second:?}");
        }
        let tally = ledger.tally();
        assert_eq!((tally.finished, tally.in_flight), (3, 0));
        assert!(tally.unknown.is_empty());
        ledger.begin_again(Revision(5), now);
        assert!(ledger.is_over_from().is_some());
        ledger.begin_again(Revision(6), now);
        assert!(ledger.is_over_from().is_none());
    }

    #[test]
    fn who_left_with_requests_is_unknown_and_who_left_without_is_not() {
        let (mut ledger, now) = ledger();
        let all = [
            word(1, count(0, 4)),
            word(2, count(3, 0)),
            word(3, Said::NotYet),
        ];
        ledger.take(census(now, &all));
        assert_eq!(ledger.tally().in_flight, 3);
        ledger.take(census(now, &[]));
        assert!(ledger.is_over_from().is_none());
        let tally = ledger.tally();
        let unknown: Vec<_> = tally.unknown.iter().map(|who| who.in_flight).collect();
        assert_eq!((tally.finished, tally.in_flight), (4, 0));
        assert_eq!(unknown, [Some(3), None]);
        // They come back.
        ledger.take(census(now, &[word(2, count(0, 3)), word(3, count(0, 0))]));
        assert!(ledger.is_over_from().is_some());
        assert_eq!(ledger.tally().finished, 7);
    }

    #[test]
    fn last_words_count_when_whoever_said_them_is_gone() {
        let (mut ledger, now) = ledger();
        ledger.take(census(now, &[word(1, count(2, 0))]));
        let mut after = census(now, &[]);
        after.lost = vec![Lost {
            id: OpaqueId::new(1),
            finished: Some(2),
            returns_until: None,
        }];
        ledger.take(after);
        assert!(ledger.is_over_from().is_some());
        assert_eq!(ledger.tally().finished, 2);
    }

    #[test]
    fn nothing_is_over_while_somebody_says_nothing_or_may_come_back() {
        let (mut ledger, now) = ledger();
        let later = now + Duration::from_secs(3);
        let said = [word(1, count(0, 0))];
        let mut lost = census(now, &said);
        let gone = |id: u128, returns_until| Lost {
            id: OpaqueId::new(id),
            finished: None,
            returns_until: Some(returns_until),
        };
        // The first one has an account, so it is known that it had none.
        lost.lost = vec![gone(2, later), gone(1, later + Duration::from_secs(1))];
        ledger.take(lost);
        assert_eq!(ledger.is_over_from(), Some(later));
        let unasked = Census {
            whole_from: None,
            ..census(now, &said)
        };
        ledger.take(unasked);
        assert_eq!(ledger.is_over_from(), None);
        let strangers = Census {
            strangers: vec!["catalog-1".to_owned()],
            ..census(now, &said)
        };
        ledger.take(strangers);
        assert_eq!(ledger.is_over_from(), None);
        assert_eq!(ledger.tally().unknown[0].name, "catalog-1");
        ledger.take(census(now, &said));
        assert_eq!(ledger.is_over_from(), Some(now));
        // It only looked in, and may have taken the address with it.
        let onlooker = Census {
            onlookers: 1,
            ..census(now, &said)
        };
        ledger.take(onlooker);
        ledger.take(census(now, &said));
        assert_eq!(ledger.is_over_from(), None);
    }
}
