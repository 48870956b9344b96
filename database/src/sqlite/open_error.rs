//! Why the embedded store does not open, each with what to do about it.

use std::{io, path::PathBuf};

use crate::command::Refusal;

/// Why the store cannot be opened. The file was not touched.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The folder, or a file that must lie beside the database, cannot be created.
    #[error("cannot write to {}; check that the folder exists and that this user may write there", path.display())]
    Folder {
        /// What could not be created.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Another process has it open.
    #[error("{} is in use by another process; stop that one, or choose another folder", path.display())]
    InUse {
        /// The database.
        path: PathBuf,
    },
    /// It was written by a newer version.
    #[error("{} has schema version {found}, this program knows up to {known}; use the newer program, or a backup", path.display())]
    Newer {
        /// The database.
        path: PathBuf,
        /// Version in the file.
        found: i64,
        /// Newest version known here.
        known: usize,
    },
    /// It is a database of something else.
    #[error("{} is an SQLite database of another program; choose another path", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// SQLite cannot open, lock or write it.
    #[error("cannot open {}; check its permissions and that no other program holds it locked", path.display())]
    Open {
        /// The database.
        path: PathBuf,
        /// Why.
        source: rusqlite::Error,
    },
    /// The first services of a new catalog are not acceptable.
    #[error("cannot create the first services")]
    Seed(#[from] Refusal),
    /// It is damaged and cannot be moved away.
    #[error("{} is damaged and cannot be moved away; move it yourself", path.display())]
    Stuck {
        /// The database.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The system gives no thread.
    #[error("cannot start the writing thread")]
    Thread {
        /// Why.
        source: io::Error,
    },
}
