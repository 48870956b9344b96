//! A Redis server with a password. What it holds is lost with its process.
//!
//! The program is searched as `REDIS_SERVER` names it, in `PATH`, in `/usr/bin` and where `scripts/tools` unpacks it.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "tests fail by panicking"
)]

use std::{
    env,
    io::{Read as _, Write as _},
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Child, Command},
    time::Duration,
};

use super::running::{Program, Running};

/// In the URL it has to be encoded, so that this is tested as well.
const PASSWORD: &str = "p@ss/w0rd";
const PASSWORD_IN_URL: &str = "p%40ss%2Fw0rd";

pub(crate) type RedisServer = Running<Redis>;

pub(crate) struct Redis {
    program: PathBuf,
}

// === impl RedisServer ===

impl RedisServer {
    pub(crate) fn start() -> Self {
        let folder = tempfile::Builder::new().prefix("redis-").tempdir().unwrap();
        Self::launch(Redis { program: find() }, folder)
    }

    pub(crate) fn url(&self) -> String {
        Self::url_at(self.port)
    }

    /// Its URL by another way to it.
    pub(crate) fn url_at(port: u16) -> String {
        format!("redis://:{PASSWORD_IN_URL}@127.0.0.1:{port}/0")
    }
}

// === impl Redis ===

impl Program for Redis {
    fn command(&self, folder: &Path, port: u16) -> Command {
        let mut command = Command::new(&self.program);
        command
            .args(["--port", &port.to_string(), "--bind", "127.0.0.1"])
            .args(["--requirepass", PASSWORD, "--save", ""])
            .args(["--appendonly", "no"])
            .arg("--dir")
            .arg(folder);
        command
    }

    fn is_ready(&self, _: &Path, port: u16, _: &Child) -> bool {
        let ask = || {
            let mut stream = TcpStream::connect(("127.0.0.1", port))?;
            stream.set_read_timeout(Some(Duration::from_secs(1)))?;
            stream.write_all(format!("AUTH {PASSWORD}\r\n").as_bytes())?;
            let mut answer = [0; 3];
            stream.read_exact(&mut answer)?;
            std::io::Result::Ok(answer == *b"+OK")
        };
        ask().unwrap_or(false)
    }

    fn end(&self, child: &mut Child) {
        drop(child.kill());
    }
}

fn find() -> PathBuf {
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
