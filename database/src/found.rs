//! What discovery may write: it adds and keeps up to date what nobody else has put there, and gives way to everybody.

use catalog_api::{
    Instance, InstanceId, Service, ServiceSpec, Source, Status, service::INSTANCES_MAX,
};

use crate::{
    command::{Found, Refusal, is_as_found},
    decide::{Decision, Outcome, Position, changed, create, position, redeclared},
};

/// Whether somebody else's entry stands before what a source finds: what was registered before what was found, what an operator
/// wrote into a file before what a name happens to resolve to.
pub fn outranks(other: Option<Source>, source: Source) -> bool {
    match (other, source) {
        (None, _) | (Some(Source::File), Source::Dns) => true,
        (Some(Source::Dns), _) | (Some(Source::File), Source::File) => false,
    }
}

pub(crate) fn service(
    current: Option<&Service>,
    spec: &ServiceSpec,
    source: Source,
    at: &Position,
) -> Result<Decision, Refusal> {
    let decision = match current {
        None => create(None, spec, at)?,
        Some(service)
            if !outranks(service.source, source)
                && (service.spec() != *spec || service.source != Some(source)) =>
        {
            Decision::Put(Box::new(redeclared(service, spec, at)), Outcome::Updated)
        }
        Some(_) => Decision::Unchanged,
    };
    Ok(match decision {
        Decision::Put(mut service, outcome) => {
            service.source = Some(source);
            Decision::Put(service, outcome)
        }
        other => other,
    })
}

pub(crate) fn instance(
    service: &Service,
    id: &InstanceId,
    found: &Found,
    at: &Position,
) -> Result<Decision, Refusal> {
    let is_elsewhere = service.instances.iter().any(|other| {
        other.id != *id
            && other.address == found.spec.address
            && outranks(other.source, found.source)
    });
    if is_elsewhere {
        return Ok(Decision::Unchanged);
    }
    let fresh = |status| {
        let mut instance = Instance::new(id.clone(), found.spec.clone());
        instance.source = Some(found.source);
        instance.status = status;
        instance
    };
    match position(service, id) {
        Ok(index) => {
            let there = &service.instances[index];
            let is_mine = there.source == Some(found.source);
            let is_as_found = is_as_found(found, there) && there.status != Status::Suspect;
            if !is_mine || is_as_found {
                return Ok(Decision::Unchanged);
            }
            // Weight or zone say nothing about whether it answers, and a drain goes on.
            let is_known = there.address == found.spec.address && there.status != Status::Suspect;
            let status = if is_known { there.status } else { found.status };
            Ok(changed(service, at, Outcome::Updated, |instances| {
                instances[index] = fresh(status);
            }))
        }
        Err(_) if service.instances.len() >= INSTANCES_MAX => Err(Refusal::TooManyInstances {
            service: service.name.clone(),
        }),
        Err(index) => Ok(changed(service, at, Outcome::Created, |instances| {
            instances.insert(index, fresh(found.status));
        })),
    }
}
