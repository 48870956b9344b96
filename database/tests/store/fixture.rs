//! Words for tests: specifications in one call, and commands without their common fields.

#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use catalog_api::{Description, InstanceId, InstanceSpec, ServiceName, ServiceRef, ServiceSpec};
use database::{Command, Committed, Expect, Refusal, WriteError};

pub(crate) fn name(text: &str) -> ServiceName {
    text.parse().unwrap()
}

pub(crate) fn by_name(text: &str) -> ServiceRef {
    ServiceRef::Name(name(text))
}

pub(crate) fn service(text: &str) -> ServiceSpec {
    ServiceSpec::named(name(text))
}

pub(crate) fn described(text: &str, description: &str) -> ServiceSpec {
    ServiceSpec {
        description: Description::try_from(description.to_owned()).unwrap(),
        ..service(text)
    }
}

pub(crate) fn instance(port: u16) -> InstanceSpec {
    InstanceSpec {
        address: format!("127.0.0.1:{port}").parse().unwrap(),
        ttl: Some("10s".parse().unwrap()),
        weight: catalog_api::Weight::default(),
        zone: None,
        metadata: catalog_api::Metadata::default(),
    }
}

pub(crate) fn instance_id(text: &str) -> InstanceId {
    text.parse().unwrap()
}

pub(crate) fn put(spec: ServiceSpec) -> Command {
    put_if(spec, Expect::Anything)
}

pub(crate) fn put_if(spec: ServiceSpec, expect: Expect) -> Command {
    Command::Put {
        target: ServiceRef::Name(spec.name.clone()),
        spec,
        expect,
    }
}

pub(crate) fn delete(text: &str) -> Command {
    Command::Delete {
        target: by_name(text),
        expect: Expect::Anything,
    }
}

pub(crate) fn put_instance(service: &str, id: &str, port: u16) -> Command {
    Command::PutInstance {
        service: by_name(service),
        id: instance_id(id),
        spec: instance(port),
        expect: Expect::Anything,
    }
}

pub(crate) fn delete_instance(service: &str, id: &str) -> Command {
    Command::DeleteInstance {
        service: by_name(service),
        id: instance_id(id),
        expect: Expect::Anything,
    }
}

/// The refusal in an answer that must be one.
pub(crate) fn refusal(answer: Result<Committed, WriteError>) -> Refusal {
    match answer {
        Err(WriteError::Refused(refusal)) => refusal,
        other => panic!("not a refusal: {other:?}"),
    }
}
