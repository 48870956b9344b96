//! Services and instances from a TOML file that is read again when it changes.
//!
//! ```toml
//! [[services]]
//! name = "hold"                      # and everything else that a service declares: tags, routes, policy
//! instances = [
//!   { address = "10.0.0.7:8080" },   # weight, zone and metadata as everywhere; id = the address, if left out
//! ]
//! ```
//!
//! The file is looked at rather than watched by the kernel: mounted files of containers are exchanged through symlinks, and file systems
//! over the network tell nothing. A file that cannot be read or understood is reported, and what was read before goes on.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, Read as _},
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use catalog_api::{
    Address, InstanceId, InstanceSpec, Invalid, Metadata, ServiceName, ServiceSpec, Weight, Zone,
};
use serde::Deserialize;

use super::found_ttl;

/// Longest file.
const FILE_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// What a file says: each service with its instances.
pub(super) type Services = BTreeMap<ServiceName, Declared>;

/// A service in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Declared {
    pub(super) spec: ServiceSpec,
    pub(super) instances: BTreeMap<InstanceId, InstanceSpec>,
}

/// A file that is looked at.
pub(super) struct WatchedFile {
    path: PathBuf,
    fingerprint: Fingerprint,
    pub(super) services: Services,
    pub(super) problem: Option<String>,
}

/// Why a file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// It cannot be read.
    #[error("it cannot be read: {0}")]
    Read(#[from] io::Error),
    /// It is no TOML, or none of ours.
    #[error("{0}")]
    Syntax(#[from] Box<toml::de::Error>),
    /// A service of it cannot be as it is written.
    #[error("service {0}: {1}")]
    Service(ServiceName, String),
}

/// What changes when a file is written or exchanged: inode, length, time of change.
type Fingerprint = Option<(u64, u64, i64, i64)>;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawFile {
    #[serde(default)]
    services: Vec<toml::Table>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawInstance {
    id: Option<InstanceId>,
    address: Address,
    #[serde(default)]
    weight: Weight,
    zone: Option<Zone>,
    #[serde(default)]
    metadata: Metadata,
}

const INSTANCES: &str = "instances";

/// Reads a file. Blocks.
///
/// # Errors
/// [`FileError`]
pub(super) fn read(path: &Path) -> Result<Services, FileError> {
    let mut text = String::new();
    let file = File::open(path)?;
    file.take(FILE_BYTES_MAX + 1).read_to_string(&mut text)?;
    if text.len() as u64 > FILE_BYTES_MAX {
        let reason = format!("it is longer than {FILE_BYTES_MAX} bytes");
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, reason).into());
    }
    parse(&text)
}

fn parse(text: &str) -> Result<Services, FileError> {
    let wrong = |error| FileError::from(Box::new(error));
    let raw: RawFile = toml::from_str(text).map_err(wrong)?;
    let mut services = Services::new();
    for mut table in raw.services {
        let instances = table.remove(INSTANCES);
        let spec: ServiceSpec = table.try_into().map_err(wrong)?;
        let name = spec.name.clone();
        let refuse = |reason| FileError::Service(name.clone(), reason);
        let instances: Vec<RawInstance> = match instances {
            Some(list) => list.try_into().map_err(wrong)?,
            None => Vec::new(),
        };
        // Whether a service is still wanted by anybody shows in its instances.
        if instances.is_empty() {
            return Err(refuse(
                "it has no instances; give it one, or take it out".to_owned(),
            ));
        }
        let mut declared = Declared {
            spec,
            instances: BTreeMap::new(),
        };
        for raw in instances {
            let (id, spec) = raw.identify().map_err(|error| refuse(error.to_string()))?;
            let address = &spec.address;
            if declared
                .instances
                .values()
                .any(|other| other.address == *address)
            {
                return Err(refuse(format!("{address} is there twice")));
            }
            if declared.instances.insert(id.clone(), spec).is_some() {
                return Err(refuse(format!("instance {id} is there twice")));
            }
        }
        if services.insert(name.clone(), declared).is_some() {
            return Err(refuse("it is there twice".to_owned()));
        }
    }
    Ok(services)
}

fn fingerprint(path: &Path) -> Fingerprint {
    let file = fs::metadata(path).ok()?;
    Some((file.ino(), file.len(), file.mtime(), file.mtime_nsec()))
}

// === impl RawInstance ===

impl RawInstance {
    fn identify(self) -> Result<(InstanceId, InstanceSpec), Invalid> {
        let id = match self.id {
            Some(id) => id,
            None => super::instance_id("file", &self.address)?,
        };
        let spec = InstanceSpec {
            address: self.address,
            ttl: Some(found_ttl()?),
            weight: self.weight,
            zone: self.zone,
            metadata: self.metadata,
        };
        Ok((id, spec))
    }
}

// === impl WatchedFile ===

impl WatchedFile {
    /// Reads it for the first time; a file that cannot be used is an error then. Blocks.
    ///
    /// # Errors
    /// [`FileError`]
    pub(super) fn open(path: PathBuf) -> Result<Self, FileError> {
        let fingerprint = fingerprint(&path);
        Ok(Self {
            services: read(&path)?,
            path,
            fingerprint,
            problem: None,
        })
    }

    /// Reads it again if it changed, and tells whether it did so with success. Blocks.
    pub(super) fn look(&mut self) -> bool {
        // Before it is read: what is written meanwhile is a change again.
        let now = fingerprint(&self.path);
        if now == self.fingerprint {
            return false;
        }
        self.fingerprint = now;
        match read(&self.path) {
            Ok(services) => {
                tracing::info!(
                    services = services.len(),
                    "the file of services was read again"
                );
                self.services = services;
                self.problem = None;
                true
            }
            Err(error) => {
                tracing::error!(
                    path = %self.path.display(),
                    %error,
                    "the file of services cannot be used; what was read before goes on"
                );
                self.problem = Some(format!("{error}; what was read before goes on"));
                false
            }
        }
    }
}
