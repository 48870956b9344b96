//! Leases of one store and several catalogs.
//!
//! An instance renews with whichever catalog it reaches. That one keeps the deadline in memory, as ever, and leaves a note in the
//! store; the others read the note before they call the instance dead. In detail:
//!
//! * A renewal is noted with its age when the last note is a third of its lease old, else as soon as it is. So a note is at most a
//!   third of a lease late, and when another catalog's deadline passes, it has two thirds of a lease's time to be there. One statement
//!   takes all notes of a tick; it makes no revision.
//! * Deadlines are compared by ages from the database's own clock, so the clocks of catalogs need not agree.
//! * A lease that ran out is looked up, all that ran out together in one query. A younger note gives it the rest of its time; only
//!   the others are probed, and looked up once more before anything is decided.
//! * While the store cannot be asked, nothing expires. When it is back, every lease starts anew, as after a restart: nobody could tell
//!   the others who renewed meanwhile.
//!
//! What remains: a catalog that is cut off from the store while others are not cannot note what it hears. The others then probe the
//! instance, as always, and evict it only if it does not answer them; it comes back with its next renewal.

use std::{collections::HashMap, sync::Arc, time::Duration};

use catalog_api::Span;
use database::{Renewal, Renewals, StoreError};
use parking_lot::Mutex;
use service_kit::shutdown::Shutdown;
use tokio::time::Instant;

use super::Key;
use crate::follower::chain;

/// How often notes are written. Shorter than a third of any lease that makes sense.
const TICK: Duration = Duration::from_millis(100);

/// Most renewals that wait for their note. With more leases than that something else is wrong.
const WAITING_MAX: usize = 1_000_000;

/// Notes that this catalog owes the others.
pub(crate) struct Sharing {
    notes: Arc<dyn Renewals>,
    // A lock for look-ups only, never held while the store is asked.
    ledger: Mutex<Ledger>,
}

#[derive(Default)]
struct Ledger {
    /// Renewals without a note.
    waiting: HashMap<Key, Heard>,
    /// When the newest note was written, as long as that matters.
    noted: HashMap<Key, Heard>,
}

#[derive(Clone, Copy)]
struct Heard {
    at: Instant,
    ttl: Duration,
}

// === impl Sharing ===

impl Sharing {
    pub(crate) fn new(notes: Arc<dyn Renewals>) -> Self {
        Self {
            notes,
            ledger: Mutex::default(),
        }
    }

    /// An instance renewed here.
    pub(super) fn heard(&self, key: &Key, ttl: Option<Span>) {
        let Some(ttl) = ttl else {
            return;
        };
        let mut ledger = self.ledger.lock();
        if ledger.waiting.len() < WAITING_MAX {
            let heard = Heard {
                at: Instant::now(),
                ttl: ttl.get(),
            };
            ledger.waiting.insert(key.clone(), heard);
        }
    }

    /// How long ago anybody heard of these instances.
    pub(super) async fn ages(&self, keys: &[Key]) -> Result<Vec<Option<Duration>>, StoreError> {
        let asked: Vec<_> = keys
            .iter()
            .map(|key| (key.service, key.instance.clone()))
            .collect();
        self.notes.ages(&asked).await
    }

    /// Writes notes until the stop is asked for, and what is left then.
    pub(crate) async fn run(self: Arc<Self>, shutdown: Shutdown) {
        let mut failing = false;
        loop {
            let stopping = tokio::select! {
                () = shutdown.requested() => true,
                () = tokio::time::sleep(TICK) => false,
            };
            let due = self.ledger.lock().take_due(Instant::now(), stopping);
            if !due.is_empty() {
                match self.note(&due).await {
                    Ok(()) => failing = false,
                    Err(error) => {
                        if !failing {
                            tracing::warn!(error = %chain(&error), "cannot note renewed leases for the other catalogs");
                        }
                        failing = true;
                        self.ledger.lock().put_back(due);
                    }
                }
            }
            if stopping {
                return;
            }
        }
    }

    async fn note(&self, due: &[(Key, Heard)]) -> Result<(), StoreError> {
        for part in due.chunks(database::renewals::NOTES_MAX) {
            let notes: Vec<_> = part
                .iter()
                .map(|(key, heard)| Renewal {
                    service: key.service,
                    instance: key.instance.clone(),
                    age: heard.at.elapsed(),
                })
                .collect();
            self.notes.record(&notes).await?;
        }
        Ok(())
    }
}

// === impl Ledger ===

impl Ledger {
    /// Renewals whose last note is a third of the lease old. They count as noted from now on.
    fn take_due(&mut self, now: Instant, all: bool) -> Vec<(Key, Heard)> {
        self.noted
            .retain(|_, note| now.duration_since(note.at) < note.ttl / 3);
        let noted = &self.noted;
        let due: Vec<_> = self
            .waiting
            .extract_if(|key, _| all || !noted.contains_key(key))
            .collect();
        for (key, heard) in &due {
            let note = Heard {
                at: now,
                ttl: heard.ttl,
            };
            self.noted.insert(key.clone(), note);
        }
        due
    }

    /// What could not be noted, unless there is something newer.
    fn put_back(&mut self, due: Vec<(Key, Heard)>) {
        for (key, heard) in due {
            self.noted.remove(&key);
            self.waiting.entry(key).or_insert(heard);
        }
    }
}

#[cfg(test)]
mod tests {
    use catalog_api::ServiceId;

    use super::*;

    fn key() -> Key {
        Key::new(ServiceId(1), "a".parse().unwrap())
    }

    fn heard(at: Instant) -> Heard {
        Heard {
            at,
            ttl: Duration::from_secs(30),
        }
    }

    #[test]
    fn a_renewal_is_noted_at_once_and_then_every_third_of_its_lease() {
        let (mut ledger, start) = (Ledger::default(), Instant::now());
        let mut noted_after = Vec::new();
        for second in 0..32 {
            let now = start + Duration::from_secs(second);
            // The last renewal falls between two notes, and is not lost.
            if second <= 15 {
                ledger.waiting.insert(key(), heard(now));
            }
            for (_, heard) in ledger.take_due(now, false) {
                noted_after.push((second, heard.at.duration_since(start).as_secs()));
            }
        }
        assert_eq!(noted_after, [(0, 0), (10, 10), (20, 15)]);
        assert!(ledger.waiting.is_empty() && ledger.noted.is_empty());
    }

    #[test]
    fn what_could_not_be_noted_is_tried_again_unless_it_is_old_news() {
        let (mut ledger, start) = (Ledger::default(), Instant::now());
        let later = start + Duration::from_secs(1);
        ledger.waiting.insert(key(), heard(start));
        let due = ledger.take_due(start, false);
        ledger.put_back(due);
        let due = ledger.take_due(later, false);
        assert_eq!(due[0].1.at, start);
        ledger.waiting.insert(key(), heard(later));
        ledger.put_back(due);
        assert_eq!(ledger.take_due(later, false)[0].1.at, later);
    }

    #[test]
    fn at_the_stop_nothing_waits() {
        let (mut ledger, start) = (Ledger::default(), Instant::now());
        ledger.waiting.insert(key(), heard(start));
        ledger.take_due(start, false);
        ledger.waiting.insert(key(), heard(start));
        assert!(ledger.take_due(start, false).is_empty());
        assert_eq!(ledger.take_due(start, true).len(), 1);
    }
}
