//! Files that survive a crash: whoever opens them sees the old content or the new, never a part.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

/// How many broken files of one name are kept; the limit shows a program that fails at every start.
const SET_ASIDE_MAX: u32 = 1000;

/// Replaces the file at `path` by `bytes` with the permissions `mode` (for example `0o600`), whatever the umask.
///
/// When this returns, the content is on disk under its name. The folder must exist.
///
/// # Errors
///
/// Those of the file system; the old file is then untouched and no temporary file is left.
pub fn write_atomically(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let temporary = sibling(path, &format!(".{}.tmp", uuid::Uuid::new_v4().simple()))?;
    let written = write_new(&temporary, bytes, mode).and_then(|()| fs::rename(&temporary, path));
    if written.is_err() {
        // The first error is the one worth reporting.
        let _ = fs::remove_file(&temporary);
    }
    written?;
    // Without this the rename itself may be lost in a power failure.
    sync_folder(path)
}

/// Renames a file that cannot be read to `<name>.corrupt`, or `.corrupt-1` and so on: an earlier one is evidence and is
/// never overwritten. Returns the new name.
///
/// # Errors
///
/// Those of the file system, and `AlreadyExists` when all names are taken.
pub fn set_aside(path: &Path) -> io::Result<PathBuf> {
    for number in 0..SET_ASIDE_MAX {
        let suffix = match number {
            0 => ".corrupt".to_owned(),
            number => format!(".corrupt-{number}"),
        };
        let target = sibling(path, &suffix)?;
        // A hard link fails when the name exists; rename would silently replace it.
        match fs::hard_link(path, &target) {
            Ok(()) => {
                fs::remove_file(path)?;
                sync_folder(path)?;
                return Ok(target);
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
    Err(io::Error::new(
        io::ErrorKind::AlreadyExists,
        format!("{SET_ASIDE_MAX} broken copies are already kept, delete some"),
    ))
}

fn write_new(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        // Narrow from the first moment on; the umask can only take bits away from what is asked for below.
        .mode(mode & 0o600)
        .open(path)?;
    file.set_permissions(Permissions::from_mode(mode))?;
    file.write_all(bytes)?;
    file.sync_all()
}

fn sibling(path: &Path, suffix: &str) -> io::Result<PathBuf> {
    let mut name: OsString = path
        .file_name()
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "the path names no file"))?
        .to_owned();
    name.push(suffix);
    Ok(path.with_file_name(name))
}

fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replaces_the_content_sets_the_mode_and_leaves_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        for (content, mode) in [(b"old", 0o666), (b"new", 0o600)] {
            write_atomically(&path, content, mode).unwrap();
            assert_eq!(fs::read(&path).unwrap(), content);
            let found = fs::metadata(&path).unwrap().permissions().mode();
            assert_eq!(found & 0o777, mode);
        }
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_failed_write_keeps_what_was_there() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("occupied");
        fs::create_dir(&path).unwrap();
        fs::write(path.join("inside"), b"x").unwrap();
        assert!(write_atomically(&path, b"new", 0o600).is_err());
        assert_eq!(fs::read(path.join("inside")).unwrap(), b"x");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn set_aside_never_overwrites_an_earlier_copy() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("snapshot.json");
        let mut names = Vec::new();
        for content in ["first", "second", "third"] {
            fs::write(&path, content).unwrap();
            let aside = set_aside(&path).unwrap();
            assert_eq!(fs::read_to_string(&aside).unwrap(), content);
            assert!(!path.exists());
            names.push(aside.file_name().unwrap().to_str().unwrap().to_owned());
        }
        assert_eq!(
            names,
            [
                "snapshot.json.corrupt",
                "snapshot.json.corrupt-1",
                "snapshot.json.corrupt-2"
            ]
        );
    }
}
