//! What receipts, and the notes of other catalogs, say about the requests of one draining instance.

use std::time::Duration;

use catalog_api::{InstanceId, OpaqueId, Revision};
use database::{CallerNote, Departed};
use tokio::time::Instant;

use super::{Receipts, SILENCE_MAX, board::Board};
use crate::{
    drain::{Count, Lost, Said, Word},
    lease::Key,
};

/// A reader whose stream ended comes back within this time if it lives: gateways wait for 5 s at most between two attempts.
const RETURN_MAX: Duration = Duration::from_secs(6);

/// Most that are named at once.
const DEPARTED_MAX: usize = 100;

/// What the other catalogs say of themselves.
#[derive(Default)]
pub(super) struct Callers {
    /// With the time at which each was heard of.
    known: Vec<(CallerNote, Instant)>,
    looked_at: Option<Instant>,
}

/// Of one instance.
pub(crate) struct Testimony {
    pub(crate) words: Vec<Word>,
    /// Readers whose streams have just ended.
    pub(crate) lost: Vec<Lost>,
    /// Readers of streams of other catalogs that send no receipts.
    pub(crate) onlookers: u64,
    /// The other catalogs that were heard.
    pub(crate) catalogs: Vec<InstanceId>,
    /// From when on everybody may be known; none = the others could not be asked yet.
    pub(crate) whole_from: Option<Instant>,
}

// === impl Callers ===

impl Callers {
    pub(super) fn see(&mut self, notes: Vec<CallerNote>, own: OpaqueId, begun: Instant) {
        let others = notes.into_iter().filter(|note| note.catalog != own);
        let heard = |note: CallerNote| {
            let at = begun.checked_sub(note.age).unwrap_or(begun);
            (note, at)
        };
        self.known = others.map(heard).collect();
        self.looked_at = Some(begun);
    }

    fn there(&self, now: Instant) -> impl Iterator<Item = &CallerNote> {
        let heard = move |at: Instant| now.saturating_duration_since(at) <= SILENCE_MAX;
        let known = self.known.iter().filter(move |(_, at)| heard(*at));
        known.map(|(note, _)| note)
    }
}

// === impl Receipts ===

impl Receipts {
    /// What is said about an instance that drains since a revision; `since` is when that became known here.
    pub(crate) fn testimony(
        &self,
        key: &Key,
        revision: Revision,
        since: Instant,
        now: Instant,
    ) -> Testimony {
        let board = self.board.lock();
        let callers = self.callers.lock();
        let mut testimony = Testimony {
            words: board.words(key, revision, now),
            lost: board.lost(key, revision, now),
            onlookers: 0,
            catalogs: Vec::new(),
            whole_from: Some(self.started + RETURN_MAX),
        };
        if self.sharing.is_some() {
            let looked = callers.looked_at.is_some_and(|at| at >= since);
            if !looked || !board.has_looked_since(since) {
                testimony.whole_from = None;
            }
            testimony.add(&callers, key, revision, now);
        }
        testimony
    }
}

impl Receipts {
    /// Readers that have just left with nothing of an instance that drains, for the other catalogs: they do not see receipts that are
    /// followed by the end of the stream.
    pub(crate) fn departed(&self, key: &Key, now: Instant) -> Vec<Departed> {
        let lost = self.board.lock().lost(key, Revision::default(), now);
        let departed = lost.into_iter().filter_map(|lost| {
            let finished = lost.finished?;
            Some(Departed {
                receiver: lost.id,
                finished,
            })
        });
        departed.take(DEPARTED_MAX).collect()
    }
}

impl Testimony {
    fn add(&mut self, callers: &Callers, key: &Key, revision: Revision, now: Instant) {
        for note in callers.there(now) {
            let mut counts = note.draining.iter();
            let count = counts.find(|count| {
                count.calls.service == key.service && count.calls.instance == key.instance
            });
            self.onlookers += count.map_or(0, |count| count.onlookers);
            let departed = count.into_iter().flat_map(|count| &count.departed);
            self.lost.extend(departed.map(|departed| Lost {
                id: departed.receiver,
                finished: Some(departed.finished).filter(|_| note.revision >= revision),
                returns_until: None,
            }));
            let count = count.map(|count| &count.calls);
            self.catalogs.push(note.name.clone());
            self.words.push(Word {
                id: note.catalog,
                name: note.name.to_string(),
                said: Said::of(note.revision >= revision, count),
            });
        }
    }
}

// === impl Board ===

impl Board {
    fn words(&self, key: &Key, revision: Revision, now: Instant) -> Vec<Word> {
        let readers = self.readers(now).into_iter();
        let words = readers.map(|position| {
            let count = position.draining.of(key.service, &key.instance);
            Word {
                id: position.receiver.id,
                name: position.receiver.name.to_string(),
                said: Said::of(position.revision >= Some(revision), count),
            }
        });
        words.collect()
    }

    fn lost(&self, key: &Key, revision: Revision, now: Instant) -> Vec<Lost> {
        let lost = self.lost.iter().map(|(id, (position, at))| {
            let count = position.draining.of(key.service, &key.instance);
            let knows = position.revision >= Some(revision);
            let done = count.filter(|count| knows && count.in_flight == 0);
            Lost {
                id: *id,
                finished: done.map(|count| count.finished),
                returns_until: Some(*at + RETURN_MAX).filter(|until| *until > now),
            }
        });
        lost.filter(|lost| lost.returns_until.is_some()).collect()
    }
}

// === impl Said ===

impl Said {
    fn of(knows: bool, count: Option<&catalog_api::DrainCount>) -> Self {
        match count {
            _ if !knows => Self::NotYet,
            None => Self::Nothing,
            Some(count) => Self::Count(Count {
                in_flight: count.in_flight,
                finished: count.finished,
            }),
        }
    }
}
