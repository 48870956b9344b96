//! What can be asked of a catalog, and for which reasons it says no.

use catalog_api::{
    Address, Instance, InstanceId, InstanceSpec, Revision, ServiceId, ServiceName, ServiceRef,
    ServiceSpec, Source, Span, Status,
};

/// Most services of one catalog.
pub const SERVICES_MAX: usize = 10_000;

/// One write. Either it happens whole, with the next revision, or nothing happens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// A new service; refused when the name is taken.
    Create(ServiceSpec),
    /// A service is to be as declared. An unknown name creates it, an unknown id does not.
    Put {
        /// Which service.
        target: ServiceRef,
        /// What it is to be.
        spec: ServiceSpec,
        /// Precondition on the service.
        expect: Expect,
    },
    /// A service is to be gone, with its instances.
    Delete {
        /// Which service.
        target: ServiceRef,
        /// Precondition on the service.
        expect: Expect,
    },
    /// An instance is to be as declared. What makes a `suspect` one `passing` again.
    PutInstance {
        /// Whose instance.
        service: ServiceRef,
        /// Which instance.
        id: InstanceId,
        /// What it is to be.
        spec: InstanceSpec,
        /// Precondition: existence of the instance, revision of the service.
        expect: Expect,
    },
    /// An instance is to be gone.
    DeleteInstance {
        /// Whose instance.
        service: ServiceRef,
        /// Which instance.
        id: InstanceId,
        /// Precondition: existence of the instance, revision of the service.
        expect: Expect,
    },
    /// The catalog learned something about an instance. Changes nothing when the instance is gone or no longer `only_if`.
    SetStatus {
        /// Whose instance.
        service: ServiceId,
        /// Which instance.
        id: InstanceId,
        /// What it is to be.
        status: Status,
        /// What it must be.
        only_if: Status,
    },
    /// Discovery found a service. Creates it, or declares anew what the same source declared; changes nothing when somebody else did.
    FoundService {
        /// What it is to be.
        spec: ServiceSpec,
        /// What found it.
        source: Source,
    },
    /// Discovery found an instance. Changes nothing when the id, or the address, belongs to somebody who
    /// [outranks](crate::found::outranks) the source.
    FoundInstance {
        /// Whose instance.
        service: ServiceId,
        /// Which instance.
        id: InstanceId,
        /// What it is to be.
        found: Found,
    },
    /// A lease ended. Changes nothing when the instance is gone or was registered anew on other terms.
    Evict {
        /// Whose instance.
        service: ServiceId,
        /// Which instance.
        id: InstanceId,
        /// The lease that ended.
        only_if: LeaseTerms,
    },
}

/// A condition on what is there before a write (RFC 9110 §13.1).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Expect {
    /// No condition.
    #[default]
    Anything,
    /// Something is there (`If-Match: *`).
    Exists,
    /// Nothing is there (`If-None-Match: *`).
    Absent,
    /// The service is at one of these revisions (`If-Match: "7"`).
    OneOf(Vec<Revision>),
}

/// An instance as discovery found it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// What is known of it.
    pub spec: InstanceSpec,
    /// What found it.
    pub source: Source,
    /// Whether it answered. What is known better of one that is there already stays.
    pub status: Status,
}

/// What identifies the registration that a lease belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaseTerms {
    /// Where the instance listens.
    pub address: Address,
    /// How long its lease lasts; none = it has no lease.
    pub ttl: Option<Span>,
    /// What found it; none = it was registered.
    pub source: Option<Source>,
}

/// Why a command was not carried out. Nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// There is no such service.
    #[error("there is no service {0}")]
    UnknownService(ServiceRef),
    /// The service has no such instance.
    #[error("service {service} has no instance {id}")]
    UnknownInstance {
        /// The service.
        service: ServiceName,
        /// What it does not have.
        id: InstanceId,
    },
    /// Another service has the name.
    #[error(
        "the name {name} is taken by service {id}; choose another name, or PUT the existing one"
    )]
    NameTaken {
        /// The name.
        name: ServiceName,
        /// Who has it.
        id: ServiceId,
    },
    /// The precondition does not hold.
    #[error("the precondition does not hold: {}", match current {
        Some(revision) => format!("the service is at revision {revision}; read it again and decide anew"),
        None => "there is nothing to match".to_owned(),
    })]
    RevisionMismatch {
        /// Revision of the service as it is; none when the target does not exist.
        current: Option<Revision>,
    },
    /// Declared name and existing name differ.
    #[error(
        "renaming is not supported: the path means {existing}, the body says {declared}; create a new service and delete the old one"
    )]
    RenameRefused {
        /// Name by which the service is known.
        existing: ServiceName,
        /// Name in the declaration.
        declared: ServiceName,
    },
    /// The service is full.
    #[error(
        "service {service} has {} instances, which is the most it can have",
        catalog_api::service::INSTANCES_MAX
    )]
    TooManyInstances {
        /// The service.
        service: ServiceName,
    },
    /// The catalog is full.
    #[error("the catalog has {SERVICES_MAX} services, which is the most it can have")]
    TooManyServices,
}

/// Whether an instance is what somebody declares who registers it, its status aside. One that discovery put there is not: whoever
/// registers it takes it over.
pub fn declares(spec: &InstanceSpec, instance: &Instance) -> bool {
    instance.source.is_none() && is_as_specified(spec, instance)
}

/// Whether an instance is what discovery found, its status aside.
pub fn is_as_found(found: &Found, instance: &Instance) -> bool {
    instance.source == Some(found.source) && is_as_specified(&found.spec, instance)
}

/// Whether an instance is what a specification says, whoever put it there.
fn is_as_specified(spec: &InstanceSpec, instance: &Instance) -> bool {
    // Taken apart by name, so that a new field cannot be forgotten here.
    let InstanceSpec {
        address,
        ttl,
        weight,
        zone,
        metadata,
    } = spec;
    *address == instance.address
        && *ttl == instance.ttl
        && *weight == instance.weight
        && *zone == instance.zone
        && *metadata == instance.metadata
}

// === impl Command ===

impl Command {
    /// The service it is about: what [`decide`](crate::decide()) wants to see as it is now.
    pub fn target(&self) -> ServiceRef {
        match self {
            Self::Create(spec) => ServiceRef::Name(spec.name.clone()),
            Self::Put { target, .. } | Self::Delete { target, .. } => target.clone(),
            Self::PutInstance { service, .. } | Self::DeleteInstance { service, .. } => {
                service.clone()
            }
            Self::FoundService { spec, .. } => ServiceRef::Name(spec.name.clone()),
            Self::SetStatus { service, .. }
            | Self::FoundInstance { service, .. }
            | Self::Evict { service, .. } => ServiceRef::Id(*service),
        }
    }
}

// === impl LeaseTerms ===

impl LeaseTerms {
    /// Those of an instance as it is.
    pub fn of(instance: &Instance) -> Self {
        Self {
            address: instance.address.clone(),
            ttl: instance.ttl,
            source: instance.source,
        }
    }

    /// Those of an instance that somebody registers.
    pub fn registered(spec: &InstanceSpec) -> Self {
        Self {
            address: spec.address.clone(),
            ttl: spec.ttl,
            source: None,
        }
    }

    /// Those of an instance that discovery found.
    pub fn found(found: &Found) -> Self {
        Self {
            source: Some(found.source),
            ..Self::registered(&found.spec)
        }
    }
}

// === impl Expect ===

impl Expect {
    /// Refuses when the condition does not hold. `exists` is about the target, `revision` about its service.
    pub(crate) fn check(&self, exists: bool, revision: Option<Revision>) -> Result<(), Refusal> {
        let holds = match self {
            Self::Anything => true,
            Self::Exists => exists,
            Self::Absent => !exists,
            Self::OneOf(revisions) => revision.is_some_and(|current| revisions.contains(&current)),
        };
        if holds {
            Ok(())
        } else {
            Err(Refusal::RevisionMismatch { current: revision })
        }
    }
}
