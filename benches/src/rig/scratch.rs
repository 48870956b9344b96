//! A temporary folder for configurations, sockets and logs, and ports that are free.

use std::{
    fs, io,
    net::TcpListener,
    path::{Path, PathBuf},
    sync::atomic::{AtomicUsize, Ordering},
};

/// Removed at the end.
pub(crate) struct Scratch {
    root: tempfile::TempDir,
    folders: AtomicUsize,
}

/// A folder in it that nobody else uses: one contender may run several times at once.
pub(crate) struct Folder {
    path: PathBuf,
}

// === impl Scratch ===

impl Scratch {
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self {
            root: tempfile::Builder::new().prefix("bench-peers-").tempdir()?,
            folders: AtomicUsize::new(0),
        })
    }

    pub(crate) fn path(&self) -> &Path {
        self.root.path()
    }

    /// A new one.
    pub(crate) fn folder(&self, name: &str) -> io::Result<Folder> {
        let number = self.folders.fetch_add(1, Ordering::Relaxed);
        let path = self.root.path().join(format!("{number}-{name}"));
        fs::create_dir(&path)?;
        Ok(Folder { path })
    }
}

// === impl Folder ===

impl Folder {
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Writes a file and says where it is.
    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) -> io::Result<PathBuf> {
        let path = self.path().join(name);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        fs::write(&path, content)?;
        Ok(path)
    }
}

/// A port that nobody had a moment ago. The contenders take a configuration, not a socket, so it cannot be held for them.
pub(crate) fn free_port() -> io::Result<u16> {
    Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}
