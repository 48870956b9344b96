//! A PostgreSQL server.
//!
//! The binaries are searched in `PG_BIN_DIR`, where `pg_config --bindir` points, in the newest of `/usr/lib/postgresql/*/bin`, and in
//! `PATH`. PostgreSQL refuses to run as root; then it runs as `nobody`. Creating a cluster takes a second, so it is done once per
//! build folder and copied for each server.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "tests fail by panicking"
)]

use std::{
    env, fs,
    os::unix::{fs::chown, process::CommandExt as _},
    path::{Path, PathBuf},
    process::{Child, Command, Output},
    sync::atomic::{AtomicUsize, Ordering},
};

use super::running::{Program, Running};

const USER: &str = "postgres";

/// In the URL it has to be encoded, so that this is tested as well.
const PASSWORD: &str = "p@ss/w0rd";
const PASSWORD_IN_URL: &str = "p%40ss%2Fw0rd";

/// Whether what was committed must survive the death of the server.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Durability {
    /// As in earnest.
    Durable,
    /// Without flushing, for tests that kill nothing.
    Fast,
}

pub(crate) type PostgresServer = Running<Postgres>;

pub(crate) struct Postgres {
    binaries: Binaries,
    durability: Durability,
    databases: AtomicUsize,
}

#[derive(Clone)]
struct Binaries {
    folder: PathBuf,
    /// User and group to run as; none = as we are.
    identity: Option<(u32, u32)>,
}

// === impl PostgresServer ===

impl PostgresServer {
    pub(crate) fn start(durability: Durability) -> Self {
        let binaries = Binaries::find();
        let folder = tempfile::Builder::new().prefix("pg-").tempdir().unwrap();
        binaries.own(folder.path());
        let template = binaries.template();
        run(Command::new("cp")
            .arg("-a")
            .arg(&template)
            .arg(folder.path().join("data")));
        let program = Postgres {
            binaries,
            durability,
            databases: AtomicUsize::new(0),
        };
        Self::launch(program, folder)
    }

    /// A new empty database, as a URL.
    pub(crate) fn database(&self) -> String {
        let number = self.program.databases.fetch_add(1, Ordering::Relaxed);
        let name = format!("test_{number}");
        run(self.program.binaries.command("createdb").args([
            "--host".as_ref(),
            self.folder().as_os_str(),
            "--port".as_ref(),
            self.port.to_string().as_ref(),
            "--username".as_ref(),
            USER.as_ref(),
            name.as_ref(),
        ]));
        self.url_as(USER, PASSWORD_IN_URL, &name)
    }

    /// The URL of a database for any user.
    pub(crate) fn url_as(&self, user: &str, password: &str, database: &str) -> String {
        format!(
            "postgres://{user}:{password}@127.0.0.1:{}/{database}",
            self.port
        )
    }
}

// === impl Postgres ===

impl Program for Postgres {
    fn command(&self, folder: &Path, port: u16) -> Command {
        let flush = match self.durability {
            Durability::Durable => "on",
            Durability::Fast => "off",
        };
        let mut command = self.binaries.command("postgres");
        command.arg("-D").arg(folder.join("data"));
        for setting in [
            format!("port={port}"),
            "listen_addresses=127.0.0.1".to_owned(),
            format!("unix_socket_directories={}", folder.display()),
            format!("fsync={flush}"),
            format!("full_page_writes={flush}"),
            // The store must not rely on the server's default.
            "synchronous_commit=off".to_owned(),
            "shared_buffers=16MB".to_owned(),
            "max_connections=60".to_owned(),
        ] {
            command.arg("-c").arg(setting);
        }
        command
    }

    /// The server writes its state into the file of its process id.
    fn is_ready(&self, folder: &Path, _: u16, child: &Child) -> bool {
        let text = fs::read_to_string(folder.join("data/postmaster.pid")).unwrap_or_default();
        let mut lines = text.lines();
        lines.next() == Some(&child.id().to_string())
            && lines.last().is_some_and(|line| line.trim() == "ready")
    }

    /// An immediate stop: it takes its other processes with it.
    fn end(&self, child: &mut Child) {
        let asked = Command::new("kill")
            .args(["-QUIT", &child.id().to_string()])
            .status();
        if !asked.is_ok_and(|status| status.success()) {
            drop(child.kill());
        }
    }
}

// === impl Binaries ===

impl Binaries {
    fn find() -> Self {
        let named = env::var_os("PG_BIN_DIR").map(PathBuf::from);
        let configured = || {
            let output = Command::new("pg_config").arg("--bindir").output().ok()?;
            Some(PathBuf::from(String::from_utf8(output.stdout).ok()?.trim()))
        };
        let newest = || {
            let versions = fs::read_dir("/usr/lib/postgresql").ok()?;
            let versions = versions.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
            let newest = versions.max_by_key(|name| name.parse::<u32>().unwrap_or_default())?;
            Some(PathBuf::from(format!("/usr/lib/postgresql/{newest}/bin")))
        };
        let in_path = || {
            env::split_paths(&env::var_os("PATH")?).find(|folder| folder.join("postgres").exists())
        };
        let complete = |folder: &PathBuf| folder.join("postgres").exists();
        let folder = match named {
            Some(folder) => folder,
            None => configured()
                .filter(complete)
                .or_else(|| newest().filter(complete))
                .or_else(in_path)
                .expect("PostgreSQL is not installed; run scripts/tools test, or set PG_BIN_DIR"),
        };
        let identity = (id(&["-u"]) == 0).then(|| (id(&["-u", "nobody"]), id(&["-g", "nobody"])));
        Self { folder, identity }
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(self.folder.join(program));
        if let Some((user, group)) = self.identity {
            command.uid(user).gid(group);
        }
        // Not where we are: the other user may not be allowed to be there.
        command.current_dir("/").env("LC_ALL", "C");
        command
    }

    fn own(&self, path: &Path) {
        if let Some((user, group)) = self.identity {
            chown(path, Some(user), Some(group)).unwrap();
        }
    }

    /// A cluster that was never started. Made by the first who comes.
    fn template(&self) -> PathBuf {
        let version = run(self.command("postgres").arg("--version")).stdout;
        let version: String = String::from_utf8(version)
            .unwrap()
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() { c } else { '-' })
            .collect();
        let user = self.identity.map_or_else(|| id(&["-u"]), |(user, _)| user);
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let template = folder.join(format!("{}-{user}", version.trim_matches('-')));
        let lock = fs::File::create(template.with_extension("lock")).unwrap();
        lock.lock().unwrap();
        if !template.exists() {
            let making = tempfile::Builder::new().prefix("pg-").tempdir().unwrap();
            self.own(making.path());
            let password = making.path().join("password");
            fs::write(&password, PASSWORD).unwrap();
            run(self
                .command("initdb")
                .args([
                    "--no-sync",
                    "--encoding=UTF8",
                    "--no-locale",
                    "--wal-segsize=1",
                ])
                .args(["--auth-local=trust", "--auth-host=scram-sha-256"])
                .args(["--username", USER])
                .arg("--pwfile")
                .arg(&password)
                .arg("--pgdata")
                .arg(making.path().join("data")));
            let partial = template.with_extension("partial");
            drop(fs::remove_dir_all(&partial));
            run(Command::new("cp")
                .arg("-a")
                .arg(making.path().join("data"))
                .arg(&partial));
            fs::rename(partial, &template).unwrap();
        }
        template
    }
}

fn id(arguments: &[&str]) -> u32 {
    let output = run(Command::new("id").args(arguments));
    String::from_utf8(output.stdout)
        .unwrap()
        .trim()
        .parse()
        .unwrap()
}

fn run(command: &mut Command) -> Output {
    let output = command.output().unwrap();
    assert!(
        output.status.success(),
        "{command:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    output
}
