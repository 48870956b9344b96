//! Readiness: whether this process can serve, and if not, why. "Can serve" is not "everything around me is well":
//! what only describes the surroundings is a detail, which is shown and gates nothing.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use serde::Serialize;

/// The conditions of one process. Cheap to clone; all clones are the same set.
#[derive(Clone, Default, Debug)]
pub struct Readiness {
    // A std mutex: it is held for a few instructions, and never on a path of proxied requests.
    state: Arc<Mutex<State>>,
}

/// One named condition; clones report about the same one.
#[derive(Clone, Debug)]
pub struct Condition {
    state: Arc<Mutex<State>>,
    index: usize,
}

/// What `/readyz?verbose` shows.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Report {
    /// `ok`, `starting` (a gating condition never held yet), `failing` or `stopping`.
    pub status: &'static str,
    /// Every condition, in the order of its declaration.
    pub conditions: Vec<ConditionReport>,
}

/// One condition of a [`Report`].
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct ConditionReport {
    /// Name as declared.
    pub name: &'static str,
    /// Whether it holds.
    pub ok: bool,
    /// Why it does not hold.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Whether it gates readiness.
    pub gates: bool,
    /// Since when it is as it is: RFC 3339, UTC, seconds.
    pub since: String,
}

#[derive(Default, Debug)]
struct State {
    stopping: bool,
    entries: Vec<Entry>,
}

#[derive(Debug)]
struct Entry {
    name: &'static str,
    gates: bool,
    held_once: bool,
    /// `None` while the condition holds.
    failure: Option<String>,
    since: SystemTime,
}

/// Reason of a condition about which nothing was reported yet.
const STARTING: &str = "starting";

// === impl Readiness ===

impl Readiness {
    /// A process without conditions, which is ready.
    pub fn new() -> Self {
        Self::default()
    }

    /// Declares a condition that gates readiness. It fails with `starting` until it is passed. A name that was
    /// declared before gives the same condition.
    pub fn condition(&self, name: &'static str) -> Condition {
        self.declare(name, true)
    }

    /// Declares a condition that is shown with `?verbose` and never gates.
    pub fn detail(&self, name: &'static str) -> Condition {
        self.declare(name, false)
    }

    /// From now on the process is not ready, whatever its conditions say.
    pub fn begin_shutdown(&self) {
        lock(&self.state).stopping = true;
    }

    /// Whether every gating condition holds and no shutdown began.
    pub fn is_ready(&self) -> bool {
        lock(&self.state).status() == "ok"
    }

    /// The conditions as they are now.
    pub fn report(&self) -> Report {
        let state = lock(&self.state);
        Report {
            status: state.status(),
            conditions: state.entries.iter().map(Entry::report).collect(),
        }
    }

    fn declare(&self, name: &'static str, gates: bool) -> Condition {
        let mut state = lock(&self.state);
        let known = state.entries.iter().position(|entry| entry.name == name);
        let index = known.unwrap_or_else(|| {
            state.entries.push(Entry {
                name,
                gates,
                held_once: false,
                failure: Some(STARTING.to_owned()),
                since: SystemTime::now(),
            });
            state.entries.len() - 1
        });
        Condition {
            state: Arc::clone(&self.state),
            index,
        }
    }
}

// === impl Condition ===

impl Condition {
    /// The condition holds.
    pub fn pass(&self) {
        self.set(None);
    }

    /// The condition does not hold, for a reason that a person can act on.
    pub fn fail(&self, reason: impl Into<String>) {
        self.set(Some(reason.into()));
    }

    fn set(&self, failure: Option<String>) {
        let mut state = lock(&self.state);
        let Some(entry) = state.entries.get_mut(self.index) else {
            return;
        };
        // `since` tells how long an outage lasts; a new wording of the reason does not restart it.
        if entry.failure.is_some() != failure.is_some() {
            entry.since = SystemTime::now();
        }
        entry.held_once |= failure.is_none();
        entry.failure = failure;
    }
}

// === impl State ===

impl State {
    fn status(&self) -> &'static str {
        let mut failing = self
            .entries
            .iter()
            .filter(|entry| entry.gates && entry.failure.is_some())
            .peekable();
        if self.stopping {
            "stopping"
        } else if failing.peek().is_none() {
            "ok"
        } else if failing.any(|entry| !entry.held_once) {
            "starting"
        } else {
            "failing"
        }
    }
}

impl Entry {
    fn report(&self) -> ConditionReport {
        ConditionReport {
            name: self.name,
            ok: self.failure.is_none(),
            reason: self.failure.clone(),
            gates: self.gates,
            since: humantime::format_rfc3339_seconds(self.since).to_string(),
        }
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    // No code under this lock panics halfway through a change, so a poisoned state is still whole.
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ready_once_every_gate_passed_and_never_again_after_shutdown_began() {
        let readiness = Readiness::new();
        let snapshot = readiness.condition("snapshot");
        assert!(!readiness.is_ready());
        assert_eq!(readiness.report().status, "starting");
        snapshot.pass();
        assert!(readiness.is_ready());
        snapshot.fail("the catalog sent an empty table");
        assert_eq!(readiness.report().status, "failing");
        snapshot.pass();
        readiness.begin_shutdown();
        assert!(!readiness.is_ready());
        assert_eq!(readiness.report().status, "stopping");
    }

    #[test]
    fn a_detail_is_reported_and_never_gates() {
        let readiness = Readiness::new();
        readiness.detail("store").fail("down");
        assert!(readiness.is_ready());
        let report = readiness.report();
        assert_eq!(report.conditions[0].reason.as_deref(), Some("down"));
        assert!(!report.conditions[0].ok && !report.conditions[0].gates);
    }

    #[test]
    fn one_name_is_one_condition() {
        let readiness = Readiness::new();
        readiness.condition("listener").pass();
        readiness.condition("listener");
        assert!(readiness.is_ready());
        assert_eq!(readiness.report().conditions.len(), 1);
    }
}
