//! The state behind the receipts, without clocks, locks and wires.

use std::{
    collections::{BTreeMap, HashMap, HashSet, VecDeque},
    time::Duration,
};

use catalog_api::{
    DrainCounts, OpaqueId, Receipt, Receiver, ReceiverName, Refused, Revision, ServiceId,
};
use database::ReceiverNote;
use tokio::time::Instant;

use super::{SILENCE_MAX, UnknownStream};

/// Most writes whose propagation is still counted, and for how long. What takes longer shows as a gateway that lags.
const ACCEPTED_MAX: usize = 1_024;
const ACCEPTED_AGE_MAX: Duration = Duration::from_secs(60);

/// Shortest and longest time between two looks at the readers of other catalogs while something is waited for, and otherwise. The
/// older what is waited for is, the less often it is looked.
pub(super) const LOOK_MIN: Duration = Duration::from_millis(20);
const LOOK_MAX: Duration = Duration::from_secs(1);
pub(super) const LOOK_IDLE: Duration = Duration::from_secs(5);

/// The same after a receipt for a stream that nobody knows, which may be a new one of another catalog, or somebody's invention.
const LOOK_FOR_STRANGER: Duration = Duration::from_millis(200);

/// After the store was away, the others need so long to notice that it is back and to note their readers again, which a crash of the
/// database has wiped out: it is looked for at least every 3 s.
const SETTLING: Duration = Duration::from_millis(3_500);

/// Most readers that are remembered after their streams ended. More at once come back as something new.
const LOST_MAX: usize = 10_000;

/// What is known.
#[derive(Default)]
pub(super) struct Board {
    /// Readers of streams of this catalog.
    here: HashMap<OpaqueId, Position>,
    /// Readers of streams of the others, as of the last look, and as their receipts came here.
    elsewhere: HashMap<OpaqueId, Position>,
    /// Readers without a stream, what they said last, and since when. They are looked at for a few seconds only.
    pub(super) lost: HashMap<OpaqueId, (Position, Instant)>,
    looked_at: Option<Instant>,
    /// Somebody unknown has sent a receipt since then.
    stranger: bool,
    sight: Sight,
    /// What the other catalogs do not know yet: streams with news, streams that ended.
    news: HashSet<OpaqueId>,
    ended: HashSet<OpaqueId>,
    noted_at: Option<Instant>,
    /// Writes of this catalog, with the time at which they were accepted.
    accepted: VecDeque<(Revision, Instant)>,
    /// Since when somebody waits, and how many since then.
    waiting: BTreeMap<Instant, usize>,
}

/// Whether everybody who reads elsewhere can be seen in the store.
#[derive(Clone, Copy, Default)]
enum Sight {
    #[default]
    Clear,
    /// The store is away, or has come back without this catalog having noticed.
    Lost,
    /// The store was away: until then, what is seen there may not be everybody.
    Settling(Instant),
}

/// How far a reader is.
#[derive(Clone, Debug)]
pub(super) struct Position {
    pub(super) receiver: Receiver,
    pub(super) revision: Option<Revision>,
    refused: Refused,
    pub(super) draining: DrainCounts,
    heard_at: Instant,
}

/// A gateway in which a write is not in effect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Behind {
    pub(crate) name: ReceiverName,
    /// What is in effect there; none = it has not said.
    pub(crate) revision: Option<Revision>,
    /// It has seen the write, and refused it.
    pub(crate) refused: bool,
}

/// What is to be told to the other catalogs.
#[derive(Default)]
pub(super) struct Notes {
    pub(super) news: Vec<ReceiverNote>,
    pub(super) ended: Vec<OpaqueId>,
}

// === impl Board ===

impl Board {
    pub(super) fn open(&mut self, stream: OpaqueId, receiver: Receiver, now: Instant) {
        let position = Position {
            receiver,
            revision: None,
            refused: Refused::default(),
            draining: DrainCounts::default(),
            heard_at: now,
        };
        self.lost.remove(&position.receiver.id);
        self.here.insert(stream, position);
        self.news.insert(stream);
    }

    pub(super) fn close(&mut self, stream: OpaqueId, now: Instant) {
        if let Some(closed) = self.here.remove(&stream) {
            self.miss([closed], now);
        }
        self.news.remove(&stream);
        self.ended.insert(stream);
    }

    /// Takes a receipt in; answers how long each write took that it newly confirms.
    pub(super) fn take(
        &mut self,
        receipt: &Receipt,
        now: Instant,
    ) -> Result<Vec<Duration>, UnknownStream> {
        let here = self.here.get_mut(&receipt.stream);
        let Some(position) = here.or_else(|| self.elsewhere.get_mut(&receipt.stream)) else {
            self.stranger = true;
            return Err(UnknownStream);
        };
        let before = position.revision;
        position.heard_at = now;
        // One that was overtaken on its way says nothing new.
        if before.is_none_or(|before| before <= receipt.revision) {
            position.revision = Some(receipt.revision);
            position.refused = receipt.refused.clone();
            position.draining = receipt.draining.clone();
        }
        self.news.insert(receipt.stream);
        Ok(self.propagated(before, receipt.revision, now))
    }

    /// A write of this catalog; answers how long it took to where it already is in effect.
    pub(super) fn accepted(
        &mut self,
        revision: Revision,
        at: Instant,
        now: Instant,
    ) -> Vec<Duration> {
        self.accepted.push_back((revision, at));
        while self.accepted.len() > ACCEPTED_MAX
            || self
                .accepted
                .front()
                .is_some_and(|(_, at)| now.duration_since(*at) > ACCEPTED_AGE_MAX)
        {
            self.accepted.pop_front();
        }
        // A gateway can be faster than the answer of the store is on its way here.
        self.positions()
            .filter(|position| position.revision.is_some_and(|known| known >= revision))
            .map(|position| position.heard_at.saturating_duration_since(at))
            .filter(|time| !time.is_zero())
            .collect()
    }

    fn propagated(&self, before: Option<Revision>, after: Revision, now: Instant) -> Vec<Duration> {
        let Some(before) = before else {
            return Vec::new();
        };
        self.accepted
            .iter()
            .filter(|(revision, _)| before < *revision && *revision <= after)
            .map(|(_, at)| now.duration_since(*at))
            .collect()
    }

    /// Who does not have a revision in effect, in the order of names.
    pub(super) fn behind(
        &self,
        revision: Revision,
        service: Option<ServiceId>,
        now: Instant,
    ) -> Vec<Behind> {
        let mut behind: Vec<Behind> = self
            .readers(now)
            .into_iter()
            .filter_map(|position| position.behind(revision, service))
            .collect();
        behind.sort_by(|one, other| one.name.cmp(&other.name));
        behind
    }

    /// Everyone who reads, as he was heard of last.
    pub(super) fn readers(&self, now: Instant) -> Vec<&Position> {
        let mut newest: HashMap<OpaqueId, &Position> = HashMap::new();
        for position in self.positions().filter(|position| !position.is_silent(now)) {
            let known = newest.entry(position.receiver.id).or_insert(position);
            if position.heard_at > known.heard_at {
                *known = position;
            }
        }
        newest.into_values().collect()
    }

    /// Some have lost a stream; those that have no other one are away.
    fn miss(&mut self, closed: impl IntoIterator<Item = Position>, now: Instant) {
        for closed in closed {
            let receiver = closed.receiver.id;
            if !self.positions().any(|open| open.receiver.id == receiver) {
                if self.lost.len() >= LOST_MAX {
                    self.lost.clear();
                }
                self.lost.insert(receiver, (closed, now));
            }
        }
    }

    fn positions(&self) -> impl Iterator<Item = &Position> {
        self.here.values().chain(self.elsewhere.values())
    }

    pub(super) fn wait_begins(&mut self, at: Instant) {
        *self.waiting.entry(at).or_default() += 1;
    }

    pub(super) fn wait_ends(&mut self, at: Instant) {
        if let Some(count) = self.waiting.get_mut(&at) {
            *count -= 1;
            if *count == 0 {
                self.waiting.remove(&at);
            }
        }
    }

    // === what the other catalogs are told and asked ===

    /// News, and from time to time everybody.
    pub(super) fn take_notes(&mut self, now: Instant) -> Notes {
        let is_due = self
            .noted_at
            .is_none_or(|at| now.duration_since(at) >= LOOK_IDLE);
        if is_due {
            self.noted_at = Some(now);
            self.news.extend(self.here.keys());
        }
        let news = self.news.drain().filter_map(|stream| {
            let position = self.here.get(&stream).or(self.elsewhere.get(&stream))?;
            Some(position.note(stream, now))
        });
        Notes {
            news: news.collect(),
            ended: self.ended.drain().collect(),
        }
    }

    /// The last notes before the stop: every stream ends.
    pub(super) fn take_last_notes(&mut self) -> Notes {
        let ended = self.here.keys().chain(self.ended.iter()).copied();
        Notes {
            news: Vec::new(),
            ended: ended.collect(),
        }
    }

    /// What could not be told. Whatever was told before may be lost as well.
    pub(super) fn put_back(&mut self, notes: Notes) {
        let streams = notes.news.iter().map(|note| note.stream);
        self.news.extend(streams);
        self.ended.extend(notes.ended);
        self.noted_at = None;
    }

    /// How long until the next look is due.
    pub(super) fn until_look(&self, now: Instant) -> Duration {
        let Some(looked_at) = self.looked_at else {
            return Duration::ZERO;
        };
        let pause = match self.outstanding() {
            Some(since) if since > looked_at => Duration::ZERO,
            Some(since) => (now.duration_since(since) / 4).clamp(LOOK_MIN, LOOK_MAX),
            None if self.stranger => LOOK_FOR_STRANGER,
            None => LOOK_IDLE,
        };
        (looked_at + pause).saturating_duration_since(now)
    }

    /// Since when the youngest of all that is waited for is waited for.
    fn outstanding(&self) -> Option<Instant> {
        let newest = self.accepted.back().filter(|(revision, _)| {
            let is_there = |position: &Position| position.revision >= Some(*revision);
            !self.elsewhere.values().all(is_there)
        });
        let waiting = self.waiting.last_key_value().map(|(since, _)| *since);
        waiting.max(newest.map(|(_, at)| *at))
    }

    /// What was seen in the store at a look that began at some time; answers how long each write took that is newly confirmed.
    pub(super) fn see(
        &mut self,
        all: Vec<ReceiverNote>,
        begun: Instant,
        now: Instant,
    ) -> Vec<Duration> {
        let before = std::mem::take(&mut self.elsewhere);
        let mut propagated = Vec::new();
        for note in all {
            let stream = note.stream;
            if self.ended.contains(&stream) {
                continue;
            }
            // Receipts for streams of this catalog may have come to another one, and the other way round.
            let mut position = Position::from_note(note, begun);
            if let Some(known) = self.here.get(&stream).or(before.get(&stream)) {
                if let Some(revision) = position.revision {
                    propagated.extend(self.propagated(known.revision, revision, now));
                }
                position.merge(known);
            }
            match self.here.get_mut(&stream) {
                Some(here) => *here = position,
                None => drop(self.elsewhere.insert(stream, position)),
            }
        }
        let gone = before.into_iter();
        let gone = gone.filter(|(stream, _)| !self.elsewhere.contains_key(stream));
        let gone: Vec<Position> = gone.map(|(_, position)| position).collect();
        self.miss(gone, now);
        self.looked_at = Some(begun);
        self.stranger = false;
        propagated
    }

    /// The store is away. Nothing that is seen there counts until [`Self::regained_sight`], not even a look that succeeds: the store can
    /// answer before this catalog has noticed that it was started anew, and empty.
    pub(super) fn lost_sight(&mut self) {
        self.sight = Sight::Lost;
    }

    /// The store is there. Answers whether it was away: then whatever was told before may be lost.
    pub(super) fn regained_sight(&mut self, now: Instant) -> bool {
        let was_away = matches!(self.sight, Sight::Lost);
        if was_away {
            self.sight = Sight::Settling(now + SETTLING);
            self.noted_at = None;
        }
        was_away
    }

    /// A look failed, or cannot be relied on.
    pub(super) fn look_failed(&mut self, now: Instant) {
        if !matches!(self.sight, Sight::Lost) {
            self.sight = Sight::Settling(now + SETTLING);
        }
    }

    /// Whether everybody is known who was there at some time.
    pub(super) fn has_looked_since(&self, since: Instant) -> bool {
        let enough = match self.sight {
            Sight::Clear => since,
            Sight::Settling(until) => since.max(until),
            Sight::Lost => return false,
        };
        self.looked_at.is_some_and(|at| at >= enough)
    }

    pub(super) fn is_anybody_elsewhere(&self) -> bool {
        !self.elsewhere.is_empty()
    }
}

// === impl Position ===

impl Position {
    fn is_silent(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.heard_at) > SILENCE_MAX
    }

    fn behind(&self, revision: Revision, service: Option<ServiceId>) -> Option<Behind> {
        let reached = self.revision >= Some(revision);
        let refused = reached && service.is_some_and(|service| self.refused.contains(service));
        (!reached || refused).then(|| Behind {
            name: self.receiver.name.clone(),
            revision: self.revision,
            refused,
        })
    }

    /// Keeps what is newer in another account of the same reader.
    fn merge(&mut self, other: &Self) {
        if other.revision > self.revision {
            self.revision = other.revision;
            self.refused = other.refused.clone();
        }
        if other.heard_at >= self.heard_at {
            self.heard_at = other.heard_at;
            self.draining = other.draining.clone();
        }
    }

    fn note(&self, stream: OpaqueId, now: Instant) -> ReceiverNote {
        ReceiverNote {
            stream,
            receiver: self.receiver.clone(),
            revision: self.revision,
            refused: self.refused.clone(),
            draining: self.draining.clone(),
            age: now.saturating_duration_since(self.heard_at),
        }
    }

    fn from_note(note: ReceiverNote, now: Instant) -> Self {
        Self {
            receiver: note.receiver,
            revision: note.revision,
            refused: note.refused,
            draining: note.draining,
            heard_at: now.checked_sub(note.age).unwrap_or(now),
        }
    }
}

#[cfg(test)]
mod tests;
