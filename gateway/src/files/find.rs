//! Finding files and reading them, in two ways: at once, where the kernel has everything in memory, and with patience.

use std::{
    fs::{File, Metadata},
    io::IoSliceMut,
    os::unix::fs::FileExt as _,
    path::Path,
    time::SystemTime,
};

use bytes::Bytes;
use rustix::io::{ReadWriteFlags, preadv2};

use super::{
    FilesError,
    encoding::{Accepted, Encoding},
    open,
};

/// Whether somebody may wait for a disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Patience {
    /// On a thread that serves requests.
    None,
    /// On the blocking pool.
    Waits,
}

/// Why there is no file.
#[derive(Debug)]
pub(super) enum Miss {
    /// It cannot be told without waiting.
    WouldWait,
    No(FilesError),
}

impl From<FilesError> for Miss {
    fn from(error: FilesError) -> Self {
        Self::No(error)
    }
}

/// A file that was found.
pub(super) struct Found {
    pub(super) file: File,
    pub(super) length: u64,
    pub(super) modified: SystemTime,
    pub(super) encoding: Option<Encoding>,
}

// === impl Found ===

impl Found {
    fn new(file: File, metadata: &Metadata, encoding: Option<Encoding>) -> Self {
        Self {
            length: metadata.len(),
            modified: metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH),
            file,
            encoding,
        }
    }
}

/// The file, or the best of its compressed siblings. None for a folder, which is asked for with a slash at its end.
pub(super) fn find(
    folder: &Path,
    name: &str,
    accepted: &Accepted,
    patience: Patience,
) -> Result<Option<Found>, Miss> {
    let root = open::root(folder, patience)?;
    let plain = match open::beneath(&root, name, patience)? {
        open::Opened::Folder => return Ok(None),
        open::Opened::File(file, metadata) => Found::new(file, &metadata, None),
    };
    for encoding in accepted.in_order(&Encoding::ALL) {
        let sibling = format!("{name}.{}", encoding.suffix());
        match open::beneath(&root, &sibling, patience) {
            Ok(open::Opened::File(file, metadata)) => {
                let sibling = Found::new(file, &metadata, Some(encoding));
                // One that is older was made of something else.
                if sibling.modified >= plain.modified {
                    return Ok(Some(sibling));
                }
            }
            Err(Miss::WouldWait) => return Err(Miss::WouldWait),
            Ok(open::Opened::Folder) | Err(Miss::No(_)) => {}
        }
    }
    Ok(Some(plain))
}

/// What is in the kernel's memory of a file. None when some of it is not, and for everything else that is not as expected.
pub(super) fn read_cached(file: &File, from: u64, length: u64) -> Option<Bytes> {
    let mut bytes = vec![0; usize::try_from(length).ok()?];
    let mut slices = [IoSliceMut::new(&mut bytes)];
    let read = preadv2(file, &mut slices, from, ReadWriteFlags::NOWAIT).ok()?;
    (read as u64 == length).then(|| bytes.into())
}

/// Reads a part of a file, and waits for the disk.
pub(super) fn read_at(file: &File, from: u64, length: u64) -> Result<Bytes, FilesError> {
    let length = usize::try_from(length).map_err(|_| FilesError::Unreadable)?;
    let mut bytes = vec![0; length];
    file.read_exact_at(&mut bytes, from)
        .map_err(|_| FilesError::Unreadable)?;
    Ok(bytes.into())
}
