//! A service: what its owner declares, and what the catalog makes of it.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

use crate::{
    Description, Instance, Metadata, MinInstances, Policy, Revision, Routes, ServiceId,
    ServiceName, Source, Tags, Timestamp, Version,
};

/// What an owner declares about a service. Every field but the name has a default.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, remote = "Self")]
pub struct ServiceSpec {
    /// Unique name.
    pub name: ServiceName,
    /// What it is for.
    #[serde(default)]
    pub description: Description,
    /// Its version.
    #[serde(default)]
    pub version: Version,
    /// For filters.
    #[serde(default)]
    pub tags: Tags,
    /// Owner's own entries.
    #[serde(default)]
    pub metadata: Metadata,
    /// Passing instances below which its health counts as breached.
    #[serde(default)]
    pub min_instances: MinInstances,
    /// How it is reached through the gateway.
    #[serde(default)]
    pub routes: Routes,
    /// How the gateway treats it.
    #[serde(default)]
    pub policy: Policy,
}

/// A service as the catalog answers and streams it, whole. Unknown fields are passed over when it is read, so that a newer
/// catalog can add some.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Service {
    /// Stable integer.
    pub id: ServiceId,
    /// Unique name.
    pub name: ServiceName,
    /// What it is for.
    #[serde(default)]
    pub description: Description,
    /// Its version.
    #[serde(default)]
    pub version: Version,
    /// For filters.
    #[serde(default)]
    pub tags: Tags,
    /// Owner's own entries.
    #[serde(default)]
    pub metadata: Metadata,
    /// Passing instances below which its health counts as breached.
    #[serde(default)]
    pub min_instances: MinInstances,
    /// How it is reached through the gateway.
    #[serde(default)]
    pub routes: Routes,
    /// How the gateway treats it.
    #[serde(default)]
    pub policy: Policy,
    /// Revision of the last write that changed it.
    pub revision: Revision,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
    /// What declared it; none = its owner did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<Source>,
    /// Its instances, in the order of their ids.
    #[serde(default)]
    pub instances: Vec<Instance>,
}

/// Most instances of one service.
pub const INSTANCES_MAX: usize = 10_000;

// === impl Service ===

impl Service {
    /// A new service without instances.
    pub fn new(id: ServiceId, spec: ServiceSpec, revision: Revision, now: Timestamp) -> Self {
        let ServiceSpec {
            name,
            description,
            version,
            tags,
            metadata,
            min_instances,
            routes,
            policy,
        } = spec;
        Self {
            id,
            name,
            description,
            version,
            tags,
            metadata,
            min_instances,
            routes,
            policy,
            revision,
            created_at: now,
            updated_at: now,
            source: None,
            instances: Vec::new(),
        }
    }

    /// What its owner declared.
    pub fn spec(&self) -> ServiceSpec {
        ServiceSpec {
            name: self.name.clone(),
            description: self.description.clone(),
            version: self.version.clone(),
            tags: self.tags.clone(),
            metadata: self.metadata.clone(),
            min_instances: self.min_instances,
            routes: self.routes.clone(),
            policy: self.policy.clone(),
        }
    }
}

// === impl ServiceSpec ===

impl ServiceSpec {
    /// A service of which only the name is known.
    pub fn named(name: ServiceName) -> Self {
        Self {
            name,
            description: Description::default(),
            version: Version::default(),
            tags: Tags::default(),
            metadata: Metadata::default(),
            min_instances: MinInstances::default(),
            routes: Routes::default(),
            policy: Policy::default(),
        }
    }
}

// Each part is checked by its type, the whole when it is declared. A service that the catalog has already is not refused for what a
// new release finds wrong with it.
impl<'de> Deserialize<'de> for ServiceSpec {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spec = Self::deserialize(deserializer)?;
        spec.policy.check().map_err(D::Error::custom)?;
        Ok(spec)
    }
}

impl Serialize for ServiceSpec {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Self::serialize(self, serializer)
    }
}
