//! Opening a file that is in a folder, whatever its name says and wherever links lead.
//!
//! `openat2(2)` with `RESOLVE_BENEATH` lets the kernel refuse every way out, links and races included. Linux has it since 5.6; where it is
//! missing or filtered, names are opened one by one and no link is followed.
//!
//! With `RESOLVE_CACHED` (Linux 5.12) the kernel opens only what it need not ask a disk for, so that whoever serves requests can do it.

use std::{
    fs::{File, Metadata},
    os::fd::{AsFd, OwnedFd},
    path::Path,
};

use rustix::{
    fs::{CWD, Mode, OFlags, ResolveFlags, openat, openat2},
    io::Errno,
};

use super::{
    FilesError,
    find::{Miss, Patience},
};

/// What a name leads to.
#[derive(Debug)]
pub(super) enum Opened {
    File(File, Metadata),
    Folder,
}

/// `NONBLOCK`, or opening a pipe would wait for its writer.
const READ: OFlags = OFlags::RDONLY
    .union(OFlags::CLOEXEC)
    .union(OFlags::NONBLOCK)
    .union(OFlags::NOCTTY);
const PASS: OFlags = OFlags::PATH.union(OFlags::CLOEXEC).union(OFlags::DIRECTORY);

/// The folder.
pub(super) fn root(folder: &Path, patience: Patience) -> Result<OwnedFd, Miss> {
    let opened = match patience {
        Patience::Waits => rustix::fs::open(folder, PASS, Mode::empty()),
        Patience::None => Ok(open_cached(CWD, folder, PASS, ResolveFlags::empty())?),
    };
    opened.map_err(|_| FilesError::NoFolder.into())
}

/// Opens `names`, separated by `/`, beneath the folder.
pub(super) fn beneath(root: &OwnedFd, names: &str, patience: Patience) -> Result<Opened, Miss> {
    let within = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
    let opened = match patience {
        Patience::None => open_cached(root, Path::new(names), READ, within)?,
        Patience::Waits => match openat2(root, names, READ, Mode::empty(), within) {
            Err(Errno::NOSYS | Errno::PERM) => one_by_one(root, names),
            opened => opened,
        }
        .map_err(failure)?,
    };
    let file = File::from(opened);
    let metadata = file.metadata().map_err(|_| FilesError::Unreadable)?;
    if metadata.is_dir() {
        return Ok(Opened::Folder);
    }
    // Pipes, sockets and devices are not for clients.
    if !metadata.is_file() {
        return Err(FilesError::NotFound.into());
    }
    Ok(Opened::File(file, metadata))
}

/// Opens what the kernel has in memory. Only that something is not there is believed: every other failure may be one of this way of
/// asking, which is looked into by whoever may wait.
fn open_cached(
    folder: impl AsFd,
    path: &Path,
    flags: OFlags,
    within: ResolveFlags,
) -> Result<OwnedFd, Miss> {
    let resolve = within | ResolveFlags::CACHED;
    match openat2(folder, path, flags, Mode::empty(), resolve) {
        Ok(opened) => Ok(opened),
        Err(Errno::NOENT) if within.contains(ResolveFlags::BENEATH) => {
            Err(FilesError::NotFound.into())
        }
        Err(_) => Err(Miss::WouldWait),
    }
}

fn one_by_one(root: &OwnedFd, names: &str) -> Result<OwnedFd, Errno> {
    let mut at: Option<OwnedFd> = None;
    let mut names = names.split('/').peekable();
    while let Some(name) = names.next() {
        if name == ".." {
            return Err(Errno::XDEV);
        }
        let folder = at.as_ref().unwrap_or(root);
        let flags = if names.peek().is_some() { PASS } else { READ };
        at = Some(openat(
            folder,
            name,
            flags | OFlags::NOFOLLOW,
            Mode::empty(),
        )?);
    }
    at.ok_or(Errno::NOENT)
}

/// What is not there and what may not be seen look the same from outside.
fn failure(error: Errno) -> FilesError {
    match error {
        Errno::IO | Errno::MFILE | Errno::NFILE | Errno::NOMEM => FilesError::Unreadable,
        _ => FilesError::NotFound,
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, io::Read as _, os::unix::fs::symlink};

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_way_without_openat2_follows_no_link() {
        let folder = tempfile::TempDir::new().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::create_dir(at("in")).unwrap();
        fs::write(at("in/file"), "x").unwrap();
        symlink("in/file", at("link")).unwrap();
        symlink("/", at("out")).unwrap();
        let root = root(folder.path(), Patience::Waits).unwrap();
        assert!(one_by_one(&root, "in/file").is_ok());
        for refused in ["link", "out/etc/passwd", "in/nothing", "nothing"] {
            assert!(one_by_one(&root, refused).is_err(), "{refused}");
        }
    }

    proptest! {
        /// Whatever is asked for in a folder full of links, only its own files come out, in either way of opening.
        #[test]
        fn no_path_opens_what_is_outside(path in "(/(in|file|up|far|loop|secret|etc|passwd|%2e%2e|\\.\\.|[.]|%2f)){1,6}") {
            let outside = tempfile::TempDir::new().unwrap();
            let folder = outside.path().join("folder");
            fs::create_dir_all(folder.join("in")).unwrap();
            fs::write(outside.path().join("secret"), "secret").unwrap();
            fs::write(folder.join("in/file"), "inside").unwrap();
            for (target, link) in [("..", "up"), ("/", "far"), ("../in", "in/in"), (".", "loop"), ("../../secret", "in/secret")] {
                symlink(target, folder.join(link)).unwrap();
            }
            let root = root(&folder, Patience::Waits).unwrap();
            // As the gateway does it, and without the check of the names.
            let raw = path.trim_start_matches('/').to_owned();
            let parsed = super::super::name::parse(&path).map(|names| names.join("/"));
            for names in [Some(raw), parsed].into_iter().flatten() {
                let walked = one_by_one(&root, &names);
                let walked = walked.ok().map(File::from);
                let opened = [Patience::Waits, Patience::None]
                    .into_iter()
                    .filter_map(|patience| match beneath(&root, &names, patience) {
                        Ok(Opened::File(file, _)) => Some(file),
                        _ => None,
                    });
                for mut file in walked.into_iter().chain(opened) {
                    let mut content = String::new();
                    // A folder has no content.
                    if file.read_to_string(&mut content).is_ok() {
                        prop_assert_eq!(&content, "inside", "{}", names);
                    }
                }
            }
        }
    }
}
