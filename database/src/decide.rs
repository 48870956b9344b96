//! What a write comes to, as a pure function of what is there: no store, no clock, no counter of its own.

use catalog_api::{
    Deleted, Instance, InstanceId, InstanceSpec, Revision, Service, ServiceId, ServiceRef,
    ServiceSpec, Status, Timestamp, service::INSTANCES_MAX,
};

use crate::{
    command::{Command, Expect, LeaseTerms, Refusal, SERVICES_MAX, declares},
    found,
};

/// Where the catalog stands when a command is decided.
#[derive(Clone, Copy, Debug)]
pub struct Position {
    /// Revision the write gets if it changes something.
    pub revision: Revision,
    /// Id a new service gets.
    pub next_id: ServiceId,
    /// How many services there are.
    pub services: usize,
    /// The time of the write.
    pub now: Timestamp,
}

/// What is to be stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Nothing: everything is already as asked for, or a condition of the catalog's own no longer holds.
    Unchanged,
    /// The service as it is from now on. Boxed: it is some hundred bytes, its siblings are few.
    Put(Box<Service>, Outcome),
    /// The service is gone.
    Delete(Deleted),
}

/// What a write did, from the view of who asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Nothing had to be done; there is no new revision.
    Unchanged,
    /// What was put was not there before.
    Created,
    /// What was put differs from what was there.
    Updated,
    /// Something is gone.
    Deleted,
}

/// Decides a command. `current` is the service that [`Command::target`] names, if there is one.
///
/// # Errors
/// A [`Refusal`]; an unknown target is found before a failing precondition (RFC 9110 §13.2.1), anything about the content after.
pub fn decide(
    current: Option<&Service>,
    command: &Command,
    at: &Position,
) -> Result<Decision, Refusal> {
    match command {
        Command::Create(spec) => create(current, spec, at),
        Command::Put {
            target,
            spec,
            expect,
        } => put(current, target, spec, expect, at),
        Command::Delete { target, expect } => {
            let service = known(current, target)?;
            expect.check(true, Some(service.revision))?;
            Ok(Decision::Delete(Deleted {
                id: service.id,
                name: service.name.clone(),
                revision: at.revision,
            }))
        }
        Command::PutInstance {
            service,
            id,
            spec,
            expect,
        } => put_instance(known(current, service)?, id, spec, expect, at),
        Command::DeleteInstance {
            service,
            id,
            expect,
        } => delete_instance(known(current, service)?, id, expect, at),
        Command::SetStatus {
            id,
            status,
            only_if,
            ..
        } => Ok(set_status(current, id, *status, *only_if, at)),
        Command::FoundService { spec, source } => found::service(current, spec, *source, at),
        Command::FoundInstance { service, id, found } => {
            let service = known(current, &ServiceRef::Id(*service))?;
            found::instance(service, id, found, at)
        }
        Command::Evict { id, only_if, .. } => Ok(evict(current, id, only_if, at)),
    }
}

fn known<'a>(current: Option<&'a Service>, target: &ServiceRef) -> Result<&'a Service, Refusal> {
    current.ok_or_else(|| Refusal::UnknownService(target.clone()))
}

pub(crate) fn create(
    current: Option<&Service>,
    spec: &ServiceSpec,
    at: &Position,
) -> Result<Decision, Refusal> {
    if let Some(holder) = current {
        return Err(Refusal::NameTaken {
            name: spec.name.clone(),
            id: holder.id,
        });
    }
    if at.services >= SERVICES_MAX {
        return Err(Refusal::TooManyServices);
    }
    let service = Service::new(at.next_id, spec.clone(), at.revision, at.now);
    Ok(Decision::Put(Box::new(service), Outcome::Created))
}

fn put(
    current: Option<&Service>,
    target: &ServiceRef,
    spec: &ServiceSpec,
    expect: &Expect,
    at: &Position,
) -> Result<Decision, Refusal> {
    if let (None, ServiceRef::Id(_)) = (current, target) {
        return Err(Refusal::UnknownService(target.clone()));
    }
    expect.check(current.is_some(), current.map(|service| service.revision))?;
    let existing = match (current, target) {
        (Some(service), _) => Some(&service.name),
        (None, ServiceRef::Name(name)) => Some(name),
        (None, ServiceRef::Id(_)) => None,
    };
    if let Some(existing) = existing
        && *existing != spec.name
    {
        return Err(Refusal::RenameRefused {
            existing: existing.clone(),
            declared: spec.name.clone(),
        });
    }
    let Some(service) = current else {
        return create(None, spec, at);
    };
    if service.spec() == *spec && service.source.is_none() {
        return Ok(Decision::Unchanged);
    }
    let changed = redeclared(service, spec, at);
    Ok(Decision::Put(Box::new(changed), Outcome::Updated))
}

/// The service under another declaration.
pub(crate) fn redeclared(service: &Service, spec: &ServiceSpec, at: &Position) -> Service {
    let mut changed = Service::new(service.id, spec.clone(), at.revision, at.now);
    changed.created_at = service.created_at;
    changed.instances.clone_from(&service.instances);
    changed
}

fn put_instance(
    service: &Service,
    id: &InstanceId,
    spec: &InstanceSpec,
    expect: &Expect,
    at: &Position,
) -> Result<Decision, Refusal> {
    let place = position(service, id);
    expect.check(place.is_ok(), Some(service.revision))?;
    match place {
        Ok(index) => {
            let instance = &service.instances[index];
            if declares(spec, instance) && instance.status != Status::Suspect {
                return Ok(Decision::Unchanged);
            }
            Ok(changed(service, at, Outcome::Updated, |instances| {
                instances[index] = Instance::new(id.clone(), spec.clone());
            }))
        }
        Err(_) if service.instances.len() >= INSTANCES_MAX => Err(Refusal::TooManyInstances {
            service: service.name.clone(),
        }),
        Err(index) => Ok(changed(service, at, Outcome::Created, |instances| {
            instances.insert(index, Instance::new(id.clone(), spec.clone()));
        })),
    }
}

fn delete_instance(
    service: &Service,
    id: &InstanceId,
    expect: &Expect,
    at: &Position,
) -> Result<Decision, Refusal> {
    let index = position(service, id).map_err(|_| Refusal::UnknownInstance {
        service: service.name.clone(),
        id: id.clone(),
    })?;
    expect.check(true, Some(service.revision))?;
    Ok(changed(service, at, Outcome::Deleted, |instances| {
        instances.remove(index);
    }))
}

fn set_status(
    current: Option<&Service>,
    id: &InstanceId,
    status: Status,
    only_if: Status,
    at: &Position,
) -> Decision {
    let Some(service) = current else {
        return Decision::Unchanged;
    };
    match position(service, id) {
        Ok(index) if service.instances[index].status == only_if && status != only_if => {
            changed(service, at, Outcome::Updated, |instances| {
                instances[index].status = status;
            })
        }
        _ => Decision::Unchanged,
    }
}

fn evict(
    current: Option<&Service>,
    id: &InstanceId,
    only_if: &LeaseTerms,
    at: &Position,
) -> Decision {
    let Some(service) = current else {
        return Decision::Unchanged;
    };
    match position(service, id) {
        Ok(index) if LeaseTerms::of(&service.instances[index]) == *only_if => {
            changed(service, at, Outcome::Deleted, |instances| {
                instances.remove(index);
            })
        }
        _ => Decision::Unchanged,
    }
}

/// Where the instance is, or where it would have to be inserted.
pub(crate) fn position(service: &Service, id: &InstanceId) -> Result<usize, usize> {
    service
        .instances
        .binary_search_by(|instance| instance.id.cmp(id))
}

pub(crate) fn changed(
    service: &Service,
    at: &Position,
    outcome: Outcome,
    edit: impl FnOnce(&mut Vec<Instance>),
) -> Decision {
    let mut service = service.clone();
    edit(&mut service.instances);
    service.revision = at.revision;
    service.updated_at = at.now;
    Decision::Put(Box::new(service), outcome)
}

// === impl Outcome ===

impl Outcome {
    /// Whether there is a new revision.
    pub fn changed(self) -> bool {
        self != Self::Unchanged
    }
}
