//! The drains of one catalog: until when each goes on, and what is known about it. Without clocks and locks.

use std::collections::HashMap;

use catalog_api::{Revision, Service, ServiceId, Status};
use tokio::{sync::watch, time::Instant};

use super::{
    DRAIN_MAX, DrainReport, Ending, NAMED_MAX, Outcome, Witnesses, is_draining, ledger::Ledger,
};
use crate::{lease::Key, receipts::Waiting};

/// Every drain.
#[derive(Default)]
pub(super) struct Schedule {
    drains: HashMap<Key, Drain>,
    /// Nothing is taken out any more.
    is_stopped: bool,
}

struct Drain {
    /// It goes on until then at most.
    end: Instant,
    /// It is not taken out before then: that was just tried.
    put_off: Option<Instant>,
    ledger: Ledger,
    /// Why it is being taken out, with the account of it.
    verdict: Option<(Verdict, DrainReport)>,
    ending: watch::Sender<Option<DrainReport>>,
    /// Somebody has given it a time here, so its end is looked out for.
    waiting: Option<Waiting>,
    /// Whether it may end before its time: of several catalogs only the one that was asked for it hears of everybody at once.
    may_end_early: bool,
}

/// Why an instance is taken out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Nobody has requests with it.
    Finished,
    /// It had its time.
    TimeOver,
}

// === impl Schedule ===

impl Schedule {
    /// Somebody has an instance drain, since a revision if that is news, until some time at the latest.
    pub(super) fn give(
        &mut self,
        key: &Key,
        since: Revision,
        (now, end): (Instant, Instant),
        waiting: Waiting,
    ) -> Ending {
        let drain = self.drains.entry(key.clone());
        let drain = drain.or_insert_with(|| Drain::new(since, now));
        drain.ledger.begin_again(since, now);
        drain.end = end;
        drain.put_off = None;
        drain.waiting = Some(waiting);
        let ending = drain.ending.subscribe();
        if self.is_stopped {
            self.stop();
        }
        ending
    }

    /// True when there is a new one.
    pub(super) fn follow(&mut self, service: &Service, now: Instant) -> bool {
        let ended = |key: &Key| key.service == service.id && !is_draining(service, key);
        for (key, drain) in self.drains.extract_if(|key, _| ended(key)) {
            let mut instances = service.instances.iter();
            let is_there = instances.any(|instance| instance.id == key.instance);
            let revision = Some(service.revision);
            if is_there {
                drain.ends(&key, Outcome::Kept, revision, now);
            } else {
                drain.goes(&key, revision, now);
            }
        }
        let before = self.drains.len();
        for instance in &service.instances {
            if instance.status == Status::Draining {
                let key = Key::new(service.id, instance.id.clone());
                let drain = self.drains.entry(key);
                drain.or_insert_with(|| Drain::new(service.revision, now));
            }
        }
        self.drains.len() > before
    }

    pub(super) fn forget(&mut self, service: ServiceId) {
        let now = Instant::now();
        for (key, drain) in self.drains.extract_if(|key, _| key.service == service) {
            drain.goes(&key, None, now);
        }
    }

    /// Takes in what everybody says. Answers who is to be taken out; that one stays here meanwhile.
    pub(super) fn judge(&mut self, witnesses: &Witnesses, now: Instant) -> Vec<(Key, Verdict)> {
        let mut due = Vec::new();
        for (key, drain) in &mut self.drains {
            let (revision, since) = (drain.ledger.revision(), drain.ledger.began());
            drain.ledger.take(witnesses.hear(key, revision, since, now));
            drain.may_end_early = drain.waiting.is_some() || !witnesses.is_shared();
            if let Some(verdict) = drain.verdict(now) {
                drain.verdict = Some((verdict, drain.report(key, verdict.into(), now)));
                due.push((key.clone(), verdict));
            }
        }
        due
    }

    /// After an attempt to take it out.
    pub(super) fn put_off(&mut self, key: &Key, again: Instant) {
        if let Some(drain) = self.drains.get_mut(key) {
            drain.put_off = Some(again);
        }
    }

    /// When there is something to do, whatever anybody says.
    pub(super) fn next(&self) -> Option<Instant> {
        let next = |drain: &Drain| {
            let over = drain.is_over_from();
            let end = over.map_or(drain.end, |over| over.min(drain.end));
            drain.put_off.map_or(end, |again| again.max(end))
        };
        self.drains.values().map(next).min()
    }

    pub(super) fn stop(&mut self) {
        self.is_stopped = true;
        let now = Instant::now();
        for (key, drain) in self.drains.drain() {
            drain.ends(&key, Outcome::Interrupted, None, now);
        }
    }
}

// === impl Drain ===

impl Drain {
    fn new(revision: Revision, now: Instant) -> Self {
        Self {
            end: now + DRAIN_MAX,
            put_off: None,
            ledger: Ledger::new(revision, now),
            verdict: None,
            ending: watch::Sender::new(None),
            waiting: None,
            may_end_early: false,
        }
    }

    fn is_over_from(&self) -> Option<Instant> {
        self.ledger.is_over_from().filter(|_| self.may_end_early)
    }

    fn verdict(&self, now: Instant) -> Option<Verdict> {
        let past = |at: Instant| at <= now;
        if !self.put_off.is_none_or(past) {
            None
        } else if self.is_over_from().is_some_and(past) {
            Some(Verdict::Finished)
        } else {
            past(self.end).then_some(Verdict::TimeOver)
        }
    }

    fn report(&self, key: &Key, outcome: Outcome, now: Instant) -> DrainReport {
        let mut tally = self.ledger.tally();
        let unknown_count = tally.unknown.len();
        tally.unknown.truncate(NAMED_MAX);
        let is_out = !matches!(outcome, Outcome::Kept | Outcome::Interrupted);
        DrainReport {
            instance: key.instance.clone(),
            outcome,
            finished: tally.finished,
            cut: if is_out { tally.in_flight } else { 0 },
            unknown_count,
            unknown: tally.unknown,
            onlookers: tally.onlookers,
            seconds: (now - self.ledger.began()).as_secs_f64(),
            revision: None,
        }
    }

    /// It is not in the catalog any more, taken out here or by somebody else.
    fn goes(mut self, key: &Key, revision: Option<Revision>, now: Instant) {
        match self.verdict.take() {
            Some((_, report)) => self.tell(DrainReport { revision, ..report }),
            None => self.ends(key, Outcome::Deleted, revision, now),
        }
    }

    fn ends(self, key: &Key, outcome: Outcome, revision: Option<Revision>, now: Instant) {
        let report = self.report(key, outcome, now);
        self.tell(DrainReport { revision, ..report });
    }

    fn tell(self, report: DrainReport) {
        self.ending.send_replace(Some(report));
    }
}

// === impl Outcome ===

impl From<Verdict> for Outcome {
    fn from(verdict: Verdict) -> Self {
        match verdict {
            Verdict::Finished => Self::Finished,
            Verdict::TimeOver => Self::TimeOver,
        }
    }
}
