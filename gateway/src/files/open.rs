//! Opening a file that is in a folder, whatever its name says and wherever links lead.
//!
//! `openat2(2)` with `RESOLVE_BENEATH` lets the kernel refuse every way out, links and races included. Linux has it since 5.6; where it is
//! missing or filtered, names are opened one by one and no link is followed.

use std::{fs::File, os::fd::OwnedFd, path::Path};

use rustix::{
    fs::{Mode, OFlags, ResolveFlags, openat, openat2},
    io::Errno,
};

use super::FilesError;

/// What a name leads to.
#[derive(Debug)]
pub(super) enum Opened {
    File(File),
    Folder,
}

/// `NONBLOCK`, or opening a pipe would wait for its writer.
const READ: OFlags = OFlags::RDONLY
    .union(OFlags::CLOEXEC)
    .union(OFlags::NONBLOCK)
    .union(OFlags::NOCTTY);
const PASS: OFlags = OFlags::PATH.union(OFlags::CLOEXEC).union(OFlags::DIRECTORY);

/// The folder; none when it is not there or is none.
pub(super) fn root(folder: &Path) -> Option<OwnedFd> {
    rustix::fs::open(folder, PASS, Mode::empty()).ok()
}

/// Opens `names`, separated by `/`, beneath the folder.
pub(super) fn beneath(root: &OwnedFd, names: &str) -> Result<Opened, FilesError> {
    let within = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
    let opened = match openat2(root, names, READ, Mode::empty(), within) {
        Err(Errno::NOSYS | Errno::PERM) => one_by_one(root, names),
        opened => opened,
    };
    let file = File::from(opened.map_err(failure)?);
    let metadata = file.metadata().map_err(|_| FilesError::Unreadable)?;
    if metadata.is_dir() {
        return Ok(Opened::Folder);
    }
    // Pipes, sockets and devices are not for clients.
    metadata
        .is_file()
        .then_some(Opened::File(file))
        .ok_or(FilesError::NotFound)
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
        let root = root(folder.path()).unwrap();
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
            let root = root(&folder).unwrap();
            // As the gateway does it, and without the check of the names.
            let raw = path.trim_start_matches('/').to_owned();
            let parsed = super::super::name::parse(&path).map(|names| names.join("/"));
            for names in [Some(raw), parsed].into_iter().flatten() {
                let walked = one_by_one(&root, &names);
                let walked = walked.ok().map(File::from);
                let opened = match beneath(&root, &names) {
                    Ok(Opened::File(file)) => Some(file),
                    _ => None,
                };
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
