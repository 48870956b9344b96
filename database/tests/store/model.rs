//! Random commands against a model so simple that it is obviously right.

#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::collections::BTreeMap;

use catalog_api::{Revision, Service, Status};
use database::{CatalogStore, Command, Expect, Outcome, Refusal, WriteError};
use proptest::prelude::*;

use crate::fixture::*;

const NAMES: [&str; 3] = ["alpha", "beta", "gamma"];
const INSTANCES: [&str; 3] = ["a", "b", "c"];

#[derive(Clone, Debug)]
pub(crate) enum Step {
    Create(usize),
    Put(usize, u8, Guard),
    Delete(usize, Guard),
    PutInstance(usize, usize, u16, Guard),
    DeleteInstance(usize, usize, Guard),
    Suspect(usize, usize),
}

/// A precondition in terms of the model.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Guard {
    None,
    Exists,
    Absent,
    Current,
    Stale,
}

pub(crate) fn steps() -> impl Strategy<Value = Vec<Step>> {
    let guard = prop_oneof![
        4 => Just(Guard::None),
        1 => Just(Guard::Exists),
        1 => Just(Guard::Absent),
        1 => Just(Guard::Current),
        1 => Just(Guard::Stale),
    ];
    let (service, instance) = (0..NAMES.len(), 0..INSTANCES.len());
    let step = prop_oneof![
        1 => service.clone().prop_map(Step::Create),
        3 => (service.clone(), 0..3u8, guard.clone()).prop_map(|(s, d, g)| Step::Put(s, d, g)),
        1 => (service.clone(), guard.clone()).prop_map(|(s, g)| Step::Delete(s, g)),
        4 => (service.clone(), instance.clone(), 1..4u16, guard.clone())
            .prop_map(|(s, i, p, g)| Step::PutInstance(s, i, p, g)),
        2 => (service.clone(), instance.clone(), guard)
            .prop_map(|(s, i, g)| Step::DeleteInstance(s, i, g)),
        2 => (service, instance).prop_map(|(s, i)| Step::Suspect(s, i)),
    ];
    proptest::collection::vec(step, 1..40)
}

#[derive(Default)]
struct Model {
    revision: u64,
    next_id: u64,
    services: BTreeMap<&'static str, Known>,
}

struct Known {
    id: u64,
    revision: u64,
    description: String,
    instances: BTreeMap<&'static str, (u16, Status)>,
}

/// Runs the steps on both and compares every answer, and the whole state at the end.
pub(crate) async fn agrees(store: &dyn CatalogStore, steps: &[Step]) {
    let mut model = Model {
        next_id: 1,
        ..Model::default()
    };
    for step in steps {
        let (command, expected) = model.step(step);
        let answer = match store.write(command).await {
            Ok(committed) => {
                assert_eq!(committed.revision, Revision(model.revision), "{step:?}");
                Ok(committed.outcome)
            }
            Err(WriteError::Refused(refusal)) => Err(kind(&refusal)),
            Err(error) => panic!("{step:?}: {error:?}"),
        };
        assert_eq!(answer, expected, "{step:?}");
    }
    let snapshot = store.snapshot().await.unwrap();
    assert_eq!(snapshot.revision, Revision(model.revision));
    let stored: BTreeMap<_, _> = snapshot
        .services
        .iter()
        .map(|s| (s.name.as_str(), s))
        .collect();
    assert_eq!(stored.len(), model.services.len());
    for (name, known) in &model.services {
        assert_eq!(known.seen(), seen(stored[name]), "{name}");
    }
}

type Seen = (u64, u64, String, Vec<(String, u16, Status)>);

fn seen(service: &Service) -> Seen {
    let instances = service.instances.iter();
    (
        service.id.0,
        service.revision.0,
        service.description.to_string(),
        instances
            .map(|i| (i.id.to_string(), i.address.port(), i.status))
            .collect(),
    )
}

fn kind(refusal: &Refusal) -> &'static str {
    match refusal {
        Refusal::UnknownService(_) => "unknown service",
        Refusal::UnknownInstance { .. } => "unknown instance",
        Refusal::NameTaken { .. } => "taken",
        Refusal::RevisionMismatch { .. } => "mismatch",
        other => panic!("not expected here: {other}"),
    }
}

// === impl Known ===

impl Known {
    fn seen(&self) -> Seen {
        let instances = self.instances.iter();
        (
            self.id,
            self.revision,
            self.description.clone(),
            instances
                .map(|(id, (port, status))| ((*id).to_owned(), *port, *status))
                .collect(),
        )
    }
}

// === impl Model ===

impl Model {
    /// The command of a step, and what must come of it; the model is changed accordingly.
    fn step(&mut self, step: &Step) -> (Command, Result<Outcome, &'static str>) {
        match *step {
            Step::Create(s) => {
                let taken = self.services.contains_key(NAMES[s]);
                let answer = if taken {
                    Err("taken")
                } else {
                    Ok(self.create(NAMES[s], ""))
                };
                (Command::Create(service(NAMES[s])), answer)
            }
            Step::Put(s, description, guard) => {
                let description = format!("description {description}");
                let exists = self.services.contains_key(NAMES[s]);
                let (expect, holds) = self.guard(guard, NAMES[s], exists);
                let command = put_if(described(NAMES[s], &description), expect);
                let answer = match self.services.get_mut(NAMES[s]) {
                    _ if !holds => Err("mismatch"),
                    None => Ok(self.create(NAMES[s], &description)),
                    Some(known) if known.description == description => Ok(Outcome::Unchanged),
                    Some(known) => {
                        known.description = description;
                        Ok(self.touch(NAMES[s], Outcome::Updated))
                    }
                };
                (command, answer)
            }
            Step::Delete(s, guard) => {
                let exists = self.services.contains_key(NAMES[s]);
                let (expect, holds) = self.guard(guard, NAMES[s], exists);
                let answer = match (exists, holds) {
                    (false, _) => Err("unknown service"),
                    (true, false) => Err("mismatch"),
                    (true, true) => {
                        self.services.remove(NAMES[s]);
                        self.revision += 1;
                        Ok(Outcome::Deleted)
                    }
                };
                (
                    Command::Delete {
                        target: by_name(NAMES[s]),
                        expect,
                    },
                    answer,
                )
            }
            Step::PutInstance(s, i, port, guard) => self.put_instance(s, i, port, guard),
            Step::DeleteInstance(s, i, guard) => self.delete_instance(s, i, guard),
            Step::Suspect(s, i) => self.suspect(s, i),
        }
    }

    fn put_instance(
        &mut self,
        s: usize,
        i: usize,
        port: u16,
        guard: Guard,
    ) -> (Command, Result<Outcome, &'static str>) {
        let (name, id) = (NAMES[s], INSTANCES[i]);
        let (expect, holds) = self.guard(guard, name, self.has(name, id));
        let command = Command::PutInstance {
            service: by_name(name),
            id: instance_id(id),
            spec: instance(port),
            expect,
        };
        let answer = match self.services.get_mut(name) {
            None => Err("unknown service"),
            Some(_) if !holds => Err("mismatch"),
            Some(known) => match known.instances.insert(id, (port, Status::Passing)) {
                None => Ok(self.touch(name, Outcome::Created)),
                Some(before) if before == (port, Status::Passing) => Ok(Outcome::Unchanged),
                Some(_) => Ok(self.touch(name, Outcome::Updated)),
            },
        };
        (command, answer)
    }

    fn delete_instance(
        &mut self,
        s: usize,
        i: usize,
        guard: Guard,
    ) -> (Command, Result<Outcome, &'static str>) {
        let (name, id) = (NAMES[s], INSTANCES[i]);
        let has = self.has(name, id);
        let (expect, holds) = self.guard(guard, name, has);
        let command = Command::DeleteInstance {
            service: by_name(name),
            id: instance_id(id),
            expect,
        };
        let answer = match self.services.get_mut(name) {
            None => Err("unknown service"),
            Some(_) if !has => Err("unknown instance"),
            Some(_) if !holds => Err("mismatch"),
            Some(known) => {
                known.instances.remove(id);
                Ok(self.touch(name, Outcome::Deleted))
            }
        };
        (command, answer)
    }

    fn suspect(&mut self, s: usize, i: usize) -> (Command, Result<Outcome, &'static str>) {
        let (name, id) = (NAMES[s], INSTANCES[i]);
        let known = self.services.get_mut(name);
        let command = Command::SetStatus {
            service: catalog_api::ServiceId(known.as_ref().map_or(u64::MAX, |known| known.id)),
            id: instance_id(id),
            status: Status::Suspect,
            only_if: Status::Passing,
        };
        let answer = match known.and_then(|known| known.instances.get_mut(id)) {
            Some((_, status @ Status::Passing)) => {
                *status = Status::Suspect;
                Ok(self.touch(name, Outcome::Updated))
            }
            _ => Ok(Outcome::Unchanged),
        };
        (command, answer)
    }

    fn has(&self, name: &str, id: &str) -> bool {
        self.services
            .get(name)
            .is_some_and(|known| known.instances.contains_key(id))
    }

    fn guard(&self, guard: Guard, name: &str, exists: bool) -> (Expect, bool) {
        let current = self.services.get(name).map(|known| known.revision);
        match guard {
            Guard::None => (Expect::Anything, true),
            Guard::Exists => (Expect::Exists, exists),
            Guard::Absent => (Expect::Absent, !exists),
            Guard::Current => (
                Expect::OneOf(vec![Revision(current.unwrap_or(7_777))]),
                current.is_some(),
            ),
            Guard::Stale => (Expect::OneOf(vec![Revision(8_888)]), false),
        }
    }

    fn create(&mut self, name: &'static str, description: &str) -> Outcome {
        let known = Known {
            id: self.next_id,
            revision: 0,
            description: description.to_owned(),
            instances: BTreeMap::new(),
        };
        self.next_id += 1;
        self.services.insert(name, known);
        self.touch(name, Outcome::Created)
    }

    fn touch(&mut self, name: &str, outcome: Outcome) -> Outcome {
        self.revision += 1;
        self.services.get_mut(name).unwrap().revision = self.revision;
        outcome
    }
}
