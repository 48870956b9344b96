//! Only one process per file. SQLite itself would let two processes take turns, and each would serve a catalog that misses the
//! other's leases; so a second one is refused at its start.

use std::{
    ffi::OsString,
    fs::{File, TryLockError},
    path::Path,
};

use super::OpenError;

/// An advisory lock on `<file>.lock`, held until it is dropped; the system releases it when the process dies.
#[derive(Debug)]
pub(super) struct FileLock {
    _file: File,
}

// === impl FileLock ===

impl FileLock {
    pub(super) fn acquire(database: &Path) -> Result<Self, OpenError> {
        let mut name = OsString::from(database);
        name.push(".lock");
        // The file stays when the process ends: removing it would race with a successor that has just opened it.
        let file = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&name)
            .map_err(|source| OpenError::Folder {
                path: name.clone().into(),
                source,
            })?;
        match file.try_lock() {
            Ok(()) => Ok(Self { _file: file }),
            Err(TryLockError::WouldBlock) => Err(OpenError::InUse {
                path: database.to_owned(),
            }),
            Err(TryLockError::Error(source)) => Err(OpenError::Folder {
                path: name.into(),
                source,
            }),
        }
    }
}
