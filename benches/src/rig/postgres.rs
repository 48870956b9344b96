//! A PostgreSQL server of the harness's own, with the durability that it has by default.

use std::{
    env, fs,
    net::SocketAddr,
    os::unix::{fs::chown, process::CommandExt as _},
    path::PathBuf,
    process::Command,
};

use anyhow::{Context as _, Result, bail};

use super::{
    processes::{LOAD_CORE, Running, pinned},
    scratch::{Folder, Scratch, free_port},
};

/// Ends with this value.
pub(crate) struct Postgres {
    port: u16,
    programs: PathBuf,
    _running: Running,
}

// === impl Postgres ===

impl Postgres {
    /// A new, empty cluster on a free port of 127.0.0.1, on the core of what is not measured.
    pub(crate) fn start(scratch: &Scratch) -> Result<Self> {
        let programs = programs()?;
        let folder = scratch.folder("postgres")?;
        let identity = identity()?;
        if let Some((user, group)) = identity {
            chown(folder.path(), Some(user), Some(group))?;
        }
        let data = folder.path().join("data");
        let mut initdb = Command::new(programs.join("initdb"));
        initdb
            .args(["--no-sync", "--encoding=UTF8", "--no-locale"])
            .args(["--auth=trust", "--username=bench", "--pgdata"])
            .arg(&data);
        run(as_who(&mut initdb, identity))?;
        let port = free_port()?;
        let mut server = pinned(LOAD_CORE, programs.join("postgres"));
        server
            .arg("-D")
            .arg(&data)
            .args(["-c", "listen_addresses=127.0.0.1", "-c"])
            .arg(format!("port={port}"))
            .arg("-c")
            .arg(format!(
                "unix_socket_directories={}",
                folder.path().display()
            ));
        as_who(&mut server, identity);
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        let running = Running::start(server, &log(&folder), address)?;
        Ok(Self {
            port,
            programs,
            _running: running,
        })
    }

    /// A new database, as a URL.
    pub(crate) fn database(&self, name: &str) -> Result<String> {
        let mut command = Command::new(self.programs.join("createdb"));
        command
            .args(["--host=127.0.0.1", "--username=bench", "--port"])
            .arg(self.port.to_string())
            .arg(name);
        run(&mut command)?;
        Ok(format!("postgres://bench@127.0.0.1:{}/{name}", self.port))
    }
}

fn log(folder: &Folder) -> PathBuf {
    folder.path().with_extension("log")
}

/// Folder of the server's programs: Debian keeps them out of `PATH`.
pub(crate) fn programs() -> Result<PathBuf> {
    if let Some(folder) = env::var_os("PG_BIN_DIR") {
        return Ok(folder.into());
    }
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten();
    let mut found: Vec<_> = versions
        .filter_map(|version| Some(version.ok()?.path().join("bin")))
        .collect();
    found.sort();
    let in_path = env::var_os("PATH").unwrap_or_default();
    found
        .into_iter()
        .rev()
        .chain(env::split_paths(&in_path))
        .find(|folder| folder.join("initdb").exists())
        .context("PostgreSQL is not installed; run scripts/tools bench, or set PG_BIN_DIR")
}

/// PostgreSQL refuses to run as root: then it runs as `nobody`.
fn identity() -> Result<Option<(u32, u32)>> {
    let id = |arguments: &[&str]| -> Result<u32> {
        let said = Command::new("id").args(arguments).output()?.stdout;
        Ok(String::from_utf8(said)?.trim().parse()?)
    };
    if id(&["-u"])? != 0 {
        return Ok(None);
    }
    Ok(Some((id(&["-u", "nobody"])?, id(&["-g", "nobody"])?)))
}

fn as_who(command: &mut Command, identity: Option<(u32, u32)>) -> &mut Command {
    if let Some((user, group)) = identity {
        command.uid(user).gid(group);
    }
    // Not where we are: the other user may not be allowed to be there.
    command.current_dir("/").env("LC_ALL", "C")
}

fn run(command: &mut Command) -> Result<()> {
    let output = command
        .output()
        .with_context(|| format!("cannot start {command:?}"))?;
    if !output.status.success() {
        bail!("{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(())
}
