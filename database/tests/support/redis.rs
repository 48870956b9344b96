//! A Redis server of a test's own: on a free port of 127.0.0.1, with a password, in a temporary folder, gone with its [`RedisServer`].
//!
//! The program is searched as `REDIS_SERVER` names it, in `PATH`, in `/usr/bin` and where `scripts/tools` unpacks it.
//!
//! The tests of several crates include this file by its path, so it uses nothing but the standard library and `tempfile`.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "tests fail by panicking"
)]

use std::{
    env,
    io::{Read as _, Write as _},
    net::{TcpListener, TcpStream},
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use tempfile::TempDir;

/// Longest wait for a start.
const PATIENCE: Duration = Duration::from_secs(60);

/// Pause between two looks whether something has happened.
const LOOK: Duration = Duration::from_millis(10);

/// In the URL it has to be encoded, so that this is tested as well.
const PASSWORD: &str = "p@ss/w0rd";
const PASSWORD_IN_URL: &str = "p%40ss%2Fw0rd";

/// A running server, or a stopped one that can be started again. What it holds is lost with its process.
pub(crate) struct RedisServer {
    folder: TempDir,
    port: u16,
    child: Option<Child>,
}

// === impl RedisServer ===

impl RedisServer {
    pub(crate) fn start() -> Self {
        let mut server = Self {
            folder: tempfile::Builder::new().prefix("redis-").tempdir().unwrap(),
            port: 0,
            child: None,
        };
        server.launch();
        server
    }

    pub(crate) fn url(&self) -> String {
        Self::url_at(self.port)
    }

    /// Its URL by another way to it.
    pub(crate) fn url_at(port: u16) -> String {
        format!("redis://:{PASSWORD_IN_URL}@127.0.0.1:{port}/0")
    }

    /// `kill -9`.
    pub(crate) fn kill(&mut self) {
        let mut child = self.child.take().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// Starts it again after [`RedisServer::kill`], on the same port and empty.
    pub(crate) fn restart(&mut self) {
        assert!(self.child.is_none(), "it runs");
        self.launch();
    }

    fn launch(&mut self) {
        let deadline = Instant::now() + PATIENCE;
        let first = self.port == 0;
        loop {
            if first {
                self.port = free_port();
            }
            let mut child = self.spawn();
            while child.try_wait().unwrap().is_none() {
                if self.answers() {
                    self.child = Some(child);
                    return;
                }
                assert!(Instant::now() < deadline, "Redis does not start");
                std::thread::sleep(LOOK);
            }
            // Somebody took the port.
            assert!(Instant::now() < deadline, "Redis does not start");
            std::thread::sleep(LOOK);
        }
    }

    fn spawn(&self) -> Child {
        Command::new(program())
            .args(["--port", &self.port.to_string(), "--bind", "127.0.0.1"])
            .args(["--requirepass", PASSWORD, "--save", ""])
            .args(["--appendonly", "no"])
            .arg("--dir")
            .arg(self.folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap()
    }

    fn answers(&self) -> bool {
        let ask = || {
            let mut stream = TcpStream::connect(("127.0.0.1", self.port))?;
            stream.set_read_timeout(Some(Duration::from_secs(1)))?;
            stream.write_all(format!("AUTH {PASSWORD}\r\n").as_bytes())?;
            let mut answer = [0; 3];
            stream.read_exact(&mut answer)?;
            std::io::Result::Ok(answer == *b"+OK")
        };
        ask().unwrap_or(false)
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            drop(child.kill());
            drop(child.wait());
        }
    }
}

fn program() -> PathBuf {
    const NAME: &str = "redis-server";
    if let Some(named) = env::var_os("REDIS_SERVER") {
        return named.into();
    }
    // The folder of temporary files of tests is within the one of the build.
    let build = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    let unpacked = build
        .parent()
        .map(|build| build.join("tools/debian/usr/bin"));
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path)
        .chain([PathBuf::from("/usr/bin")])
        .chain(unpacked)
        .map(|folder| folder.join(NAME))
        .find(|program| program.exists())
        .expect("Redis is not installed; run scripts/tools test, or set REDIS_SERVER")
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}
