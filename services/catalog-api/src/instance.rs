//! One running copy of a service.

use serde::{Deserialize, Serialize};

use crate::{Address, InstanceId, Metadata, Source, Span, Weight, Zone};

/// What a client sends to register an instance or to renew its lease.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InstanceSpec {
    /// Where the instance listens.
    pub address: Address,
    /// How long the lease lasts without a renewal. Without one the instance stays until it is deleted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl: Option<Span>,
    /// Share of the traffic.
    #[serde(default)]
    pub weight: Weight,
    /// Failure domain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zone: Option<Zone>,
    /// Users' own entries.
    #[serde(default)]
    pub metadata: Metadata,
}

/// An instance as the catalog knows it. Read without refusing unknown fields, so that a newer catalog can add some.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Instance {
    /// Unique within the service.
    pub id: InstanceId,
    /// Where the instance listens.
    pub address: Address,
    /// How long its lease lasts without a renewal; none = it stays until it is deleted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl: Option<Span>,
    /// Share of the traffic.
    #[serde(default)]
    pub weight: Weight,
    /// Failure domain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zone: Option<Zone>,
    /// Users' own entries.
    #[serde(default)]
    pub metadata: Metadata,
    /// Whether it may get traffic.
    #[serde(default)]
    pub status: Status,
    /// What found it; none = it was registered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<Source>,
}

/// What the catalog knows about an instance's fitness.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Registered, lease kept.
    #[default]
    Passing,
    /// Its probes fail; kept because discovery, which found it, still finds it.
    Critical,
    /// Its lease ran out but it answered the probe.
    Suspect,
    /// It finishes what it has and gets no new requests.
    Draining,
}

// === impl Instance ===

impl Instance {
    /// A newly registered instance.
    pub fn new(id: InstanceId, spec: InstanceSpec) -> Self {
        let InstanceSpec {
            address,
            ttl,
            weight,
            zone,
            metadata,
        } = spec;
        Self {
            id,
            address,
            ttl,
            weight,
            zone,
            metadata,
            status: Status::Passing,
            source: None,
        }
    }
}

// === impl Status ===

impl Status {
    /// Every status, in the order of metrics.
    pub const ALL: [Self; 4] = [Self::Passing, Self::Critical, Self::Suspect, Self::Draining];

    /// The word used on the wire and in metric labels.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Passing => "passing",
            Self::Critical => "critical",
            Self::Suspect => "suspect",
            Self::Draining => "draining",
        }
    }
}
