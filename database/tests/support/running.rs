//! A server as a process: its port, its folder, its start, its deaths.

#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::{
    fs,
    net::TcpListener,
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use tempfile::TempDir;

/// Longest wait for a start.
const PATIENCE: Duration = Duration::from_secs(60);

/// Pause between two looks whether something has happened.
const LOOK: Duration = Duration::from_millis(10);

/// What one kind of server needs to run.
pub(crate) trait Program {
    /// How it is started, so that it listens on this port of 127.0.0.1 and leaves its files in the folder.
    fn command(&self, folder: &Path, port: u16) -> Command;

    /// Whether the process takes connections.
    fn is_ready(&self, folder: &Path, port: u16, child: &Child) -> bool;

    /// Ends the process for good. It is waited for afterwards.
    fn end(&self, child: &mut Child);
}

/// A running server, or a killed one that can be started again.
pub(crate) struct Running<P: Program> {
    pub(super) program: P,
    pub(super) port: u16,
    folder: TempDir,
    child: Option<Child>,
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

// === impl Running ===

impl<P: Program> Running<P> {
    /// Starts it in a folder that it owns. Blocks until it is ready.
    pub(super) fn launch(program: P, folder: TempDir) -> Self {
        let mut server = Self {
            program,
            port: 0,
            folder,
            child: None,
        };
        server.run();
        server
    }

    pub(super) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// `kill -9` of the server's first process.
    pub(crate) fn kill(&mut self) {
        let mut child = self.child.take().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// Starts it again after [`Running::kill`], on the same port. Blocks until it is ready.
    pub(crate) fn restart(&mut self) {
        assert!(self.child.is_none(), "it runs");
        self.run();
    }

    fn run(&mut self) {
        let deadline = Instant::now() + PATIENCE;
        let first = self.port == 0;
        loop {
            if first {
                self.port = free_port();
            }
            let mut child = self.spawn();
            while child.try_wait().unwrap().is_none() {
                if self.program.is_ready(self.folder(), self.port, &child) {
                    self.child = Some(child);
                    return;
                }
                assert!(Instant::now() < deadline, "{}", self.log());
                std::thread::sleep(LOOK);
            }
            // Somebody took the port, or what the killed server held is not free yet.
            assert!(Instant::now() < deadline, "{}", self.log());
            std::thread::sleep(LOOK);
        }
    }

    fn spawn(&self) -> Child {
        let log = fs::File::options()
            .create(true)
            .append(true)
            .open(self.folder().join("log"))
            .unwrap();
        self.program
            .command(self.folder(), self.port)
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap()
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder().join("log")).unwrap_or_default()
    }
}

impl<P: Program> Drop for Running<P> {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            // Before the folder goes.
            self.program.end(&mut child);
            drop(child.wait());
        }
    }
}
