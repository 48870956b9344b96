//! What becomes of a damaged file: it is kept under another name, because someone may still want to rescue what is in it.

use std::{
    ffi::OsString,
    io,
    path::{Path, PathBuf},
};

/// A damaged database that was moved away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetAside {
    /// Where it is now. Its write-ahead log, if any, is beside it, so that SQLite tools find both.
    pub path: PathBuf,
    /// What is wrong with it.
    pub reason: String,
}

/// Names tried (`catalog.db.corrupt`, `catalog.db.corrupt-1`, …) before giving up.
const NAMES_MAX: u32 = 1_000;

/// The suffixes of a database's files. The log goes first: left behind, SQLite would replay it into the new database.
const SUFFIXES: [&str; 3] = ["-wal", "-shm", ""];

pub(super) fn set_aside(database: &Path) -> io::Result<PathBuf> {
    let target = (0..NAMES_MAX)
        .map(|attempt| match attempt {
            0 => with_suffix(database, ".corrupt"),
            _ => with_suffix(database, &format!(".corrupt-{attempt}")),
        })
        .find(|target| {
            SUFFIXES
                .iter()
                .all(|suffix| !with_suffix(target, suffix).exists())
        })
        .ok_or_else(|| {
            io::Error::other(format!(
                "{NAMES_MAX} damaged databases are kept already; remove some"
            ))
        })?;
    for suffix in SUFFIXES {
        match std::fs::rename(with_suffix(database, suffix), with_suffix(&target, suffix)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(target)
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    name.into()
}
