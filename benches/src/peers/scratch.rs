//! A temporary folder for configurations, sockets and logs, and ports that are free.

use std::{
    fs, io,
    net::TcpListener,
    path::{Path, PathBuf},
};

/// Removed at the end, unless the run failed: then it holds the logs.
pub(super) struct Scratch {
    folder: tempfile::TempDir,
}

// === impl Scratch ===

impl Scratch {
    pub(super) fn new() -> io::Result<Self> {
        let folder = tempfile::Builder::new().prefix("bench-peers-").tempdir()?;
        Ok(Self { folder })
    }

    pub(super) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Writes a file and says where it is.
    pub(super) fn write(&self, name: &str, content: impl AsRef<[u8]>) -> io::Result<PathBuf> {
        let path = self.path().join(name);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        fs::write(&path, content)?;
        Ok(path)
    }
}

/// A port that nobody had a moment ago. The contenders take a configuration, not a socket, so it cannot be held for them.
pub(super) fn free_port() -> io::Result<u16> {
    Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}
