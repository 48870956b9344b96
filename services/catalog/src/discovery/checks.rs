//! Asks what was discovered how it is, one small task per instance, and writes it down when that changes: `passing` or `critical`.
//!
//! The gateways ask for themselves, and faster. This is for calls through the catalog, for people, and for gateways that did not get
//! around to it yet.

use std::{collections::HashMap, hash::Hasher as _, sync::Arc};

use catalog_api::{Address, HealthCheck, ServiceRef, Status};
use database::Command;
use service_kit::shutdown::Shutdown;
use siphasher::sip::SipHasher13;
use tokio::{
    sync::Semaphore,
    task::{AbortHandle, JoinSet},
    time::sleep,
};

pub(crate) use super::duty::Duty;
use crate::{follower::chain, lease::Key, probe::Prober, registry::Registry};

/// Most questions at the same time.
const PROBES_MAX: usize = 64;

/// Looks after the health of what was discovered.
pub(crate) struct Checks {
    registry: Arc<Registry>,
    prober: Prober,
    probes: Semaphore,
    duty: Duty,
}

/// What is asked. Another question is another task.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Question {
    address: Address,
    check: HealthCheck,
}

/// Answers in a row.
#[derive(Debug, Default)]
struct Streak {
    is_up: bool,
    length: u8,
}

// === impl Checks ===

impl Checks {
    pub(crate) fn new(registry: Arc<Registry>, duty: Duty) -> Arc<Self> {
        Arc::new(Self {
            registry,
            prober: Prober::new(),
            probes: Semaphore::new(PROBES_MAX),
            duty,
        })
    }

    /// Checks until the stop is asked for.
    pub(crate) async fn run(self: Arc<Self>, shutdown: Shutdown) {
        let mut news = self.registry.live.subscribe(None);
        let mut asked: HashMap<Key, (Question, AbortHandle)> = HashMap::new();
        let mut tasks = JoinSet::new();
        loop {
            let discovered = self.discovered();
            asked.retain(|key, (question, task)| {
                let is_asked = discovered.get(key) == Some(question);
                if !is_asked {
                    task.abort();
                }
                is_asked
            });
            for (key, question) in discovered {
                asked.entry(key.clone()).or_insert_with(|| {
                    let task = Arc::clone(&self).watch(key, question.clone());
                    (question, tasks.spawn(task))
                });
            }
            tokio::select! {
                () = shutdown.requested() => break,
                () = news.rings() => {}
                // Only what was aborted ends.
                Some(_) = tasks.join_next() => {}
            }
        }
        tasks.shutdown().await;
    }

    fn discovered(&self) -> HashMap<Key, Question> {
        let snapshot = self.registry.live.load();
        let mut discovered = HashMap::new();
        for entry in snapshot.entries() {
            let service = &entry.service;
            for instance in &service.instances {
                if instance.source.is_some() {
                    let question = Question {
                        address: instance.address.clone(),
                        check: service.policy.health.clone(),
                    };
                    discovered.insert(Key::new(service.id, instance.id.clone()), question);
                }
            }
        }
        discovered
    }

    async fn watch(self: Arc<Self>, key: Key, question: Question) {
        let interval = question.check.interval.get();
        let mut streak = Streak::default();
        // Those that came together are not asked together for ever.
        sleep(interval.mul_f64(fraction(&key))).await;
        loop {
            if self.duty.has(&key, &self.registry.live.load()) {
                self.look(&key, &question, &mut streak).await;
            } else {
                streak = Streak::default();
            }
            sleep(interval).await;
        }
    }

    async fn look(&self, key: &Key, question: &Question, streak: &mut Streak) {
        let Question { address, check } = question;
        let asked = {
            // The semaphore is never closed; without a permit the question is asked all the same.
            let _permit = self.probes.acquire().await.ok();
            self.prober.ask(address, check).await
        };
        streak.add(asked.is_ok());
        let Some(known) = self.status(key) else {
            return;
        };
        let Some(status) = streak.verdict(known, check) else {
            return;
        };
        let command = Command::SetStatus {
            service: key.service,
            id: key.instance.clone(),
            status,
            only_if: known,
        };
        match self.registry.write(command).await {
            Ok(committed) => tracing::info!(
                service.id = key.service.0,
                instance = key.instance.as_str(),
                status = status.as_str(),
                reason = asked
                    .err()
                    .map_or_else(|| "it answers".to_owned(), |silence| silence.to_string()),
                revision = committed.revision.0,
                "a discovered instance is another than before"
            ),
            // The next look tries again.
            Err(error) => tracing::warn!(
                service.id = key.service.0,
                instance = key.instance.as_str(),
                error = %chain(&error),
                "cannot store how a discovered instance is"
            ),
        }
    }

    fn status(&self, key: &Key) -> Option<Status> {
        let snapshot = self.registry.live.load();
        let service = &snapshot.get(&ServiceRef::Id(key.service))?.service;
        let place = service
            .instances
            .binary_search_by(|instance| instance.id.cmp(&key.instance));
        Some(service.instances[place.ok()?].status)
    }
}

/// A part of 1, another one for each instance.
fn fraction(key: &Key) -> f64 {
    let mut hasher = SipHasher13::new();
    hasher.write_u64(key.service.0);
    hasher.write(key.instance.as_str().as_bytes());
    // 53 bits are what a float holds without rounding.
    (hasher.finish() >> 11) as f64 / (1_u64 << 53) as f64
}

// === impl Streak ===

impl Streak {
    fn add(&mut self, is_up: bool) {
        if self.is_up != is_up {
            *self = Self { is_up, length: 0 };
        }
        self.length = self.length.saturating_add(1);
    }

    /// What the instance is from now on; none = what it is. Suspects and those that drain are somebody else's business.
    fn verdict(&self, known: Status, check: &HealthCheck) -> Option<Status> {
        let (status, needed) = match (known, self.is_up) {
            (Status::Passing, false) => (Status::Critical, check.unhealthy_after),
            (Status::Critical, true) => (Status::Passing, check.healthy_after),
            _ => return None,
        };
        (self.length >= needed).then_some(status)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_verdict_needs_its_number_of_answers_in_a_row() {
        let check = HealthCheck {
            healthy_after: 2,
            unhealthy_after: 3,
            ..HealthCheck::default()
        };
        let mut streak = Streak::default();
        let mut known = Status::Passing;
        let mut verdicts = String::new();
        for is_up in "--+---+-++-".chars().map(|answer| answer == '+') {
            streak.add(is_up);
            if let Some(status) = streak.verdict(known, &check) {
                known = status;
            }
            verdicts.push(if known == Status::Passing { 'p' } else { 'c' });
        }
        assert_eq!(verdicts, "pppppcccc".to_owned() + "pp");
        assert_eq!(streak.verdict(Status::Draining, &check), None);
        assert_eq!(streak.verdict(Status::Suspect, &check), None);
    }

    #[test]
    fn instances_have_their_own_moments() {
        let moment = |id: &str| fraction(&Key::new(catalog_api::ServiceId(1), id.parse().unwrap()));
        assert!((0.0..1.0).contains(&moment("a")));
        assert_ne!(moment("a"), moment("b"));
    }
}
