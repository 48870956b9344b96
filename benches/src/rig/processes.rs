//! Programs under measurement: started on one core, ended with the run, and what they cost.

use std::{
    ffi::OsStr,
    fs::{self, File},
    io::{BufRead as _, BufReader},
    net::{SocketAddr, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};

/// The core of what is measured. Everything else runs on the other one.
pub(crate) const PROXY_CORE: &str = "0";
/// Both, for what is not a matter of CPU per request.
pub(crate) const BOTH_CORES: &str = "0,1";
/// The core of load generators and backends.
pub(crate) const LOAD_CORE: &str = "1";
/// Longest wait for a program to accept connections.
const START_TIMEOUT: Duration = Duration::from_secs(60);
/// Longest wait for a program to end after TERM.
const STOP_TIMEOUT: Duration = Duration::from_secs(10);
/// How much of what a program said is repeated when it does not start.
const SAID_CHARS_MAX: usize = 2_000;
/// `USER_HZ` of Linux: the unit of the times in `/proc/PID/stat`.
const TICKS_PER_SECOND: f64 = 100.0;

/// A program that ends with this value.
pub(crate) struct Running {
    child: Child,
}

/// A command whose process stays on one core.
pub(crate) fn pinned(core: &str, program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new("taskset");
    command.args(["-c", core]).arg(program);
    command
}

// === impl Running ===

impl Running {
    /// Starts a program whose output goes to a file, and waits until it accepts connections at `address`.
    pub(crate) fn start(mut command: Command, log: &Path, address: SocketAddr) -> Result<Self> {
        let out = File::create(log).with_context(|| format!("cannot create {}", log.display()))?;
        command
            .stdin(Stdio::null())
            .stdout(out.try_clone()?)
            .stderr(out);
        let child = command
            .spawn()
            .with_context(|| format!("cannot start {command:?}"))?;
        let mut running = Self { child };
        let deadline = Instant::now() + START_TIMEOUT;
        while TcpStream::connect(address).is_err() {
            if running.child.try_wait()?.is_some() || Instant::now() > deadline {
                let log = fs::read_to_string(log).unwrap_or_default();
                let said: String = log.chars().take(SAID_CHARS_MAX).collect();
                bail!("{command:?} does not accept connections at {address}; it said:\n{said}");
            }
            thread::sleep(Duration::from_millis(10));
        }
        Ok(running)
    }

    /// Starts a program that says one line on its standard output when it is ready. Returns that line, and how long it took.
    pub(crate) fn announced(mut command: Command, log: &Path) -> Result<(Self, String, Duration)> {
        let errors =
            File::create(log).with_context(|| format!("cannot create {}", log.display()))?;
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(errors);
        let start = Instant::now();
        let mut child = command
            .spawn()
            .with_context(|| format!("cannot start {command:?}"))?;
        let said = child.stdout.take().context("its output is piped")?;
        let running = Self { child };
        let mut line = String::new();
        BufReader::new(said).read_line(&mut line)?;
        let took = start.elapsed();
        if line.is_empty() {
            let log = fs::read_to_string(log).unwrap_or_default();
            bail!("{command:?} ended before it was ready; it said:\n{log}");
        }
        Ok((running, line, took))
    }

    /// Its process id. `taskset` replaces itself by the program, so this is the program's own.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// CPU time of the process and its descendants so far, in seconds.
    pub(crate) fn cpu_seconds(&self) -> f64 {
        family(self.id())
            .into_iter()
            .filter_map(cpu_ticks)
            .sum::<f64>()
            / TICKS_PER_SECOND
    }

    /// Memory of the process and its descendants, shared pages divided among those that share them (PSS), in KiB.
    pub(crate) fn memory_kib(&self) -> f64 {
        family(self.id()).into_iter().filter_map(pss_kib).sum()
    }

    /// Resident memory of the process alone, in MiB, as most tools show it.
    pub(crate) fn resident_mib(&self) -> f64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.id()));
        let kib = status.ok().and_then(|status| {
            let line = status
                .lines()
                .find_map(|line| line.strip_prefix("VmRSS:"))?;
            line.trim().strip_suffix("kB")?.trim().parse::<f64>().ok()
        });
        kib.unwrap_or(f64::NAN) / 1024.0
    }

    /// Sends a signal by its name.
    pub(crate) fn signal(&self, name: &str) -> Result<()> {
        let status = Command::new("kill")
            .arg(format!("-{name}"))
            .arg(self.id().to_string())
            .stderr(Stdio::null())
            .status()?;
        if !status.success() {
            bail!("cannot send {name} to process {}", self.id());
        }
        Ok(())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let family = family(self.id());
        // A program that has ended already is what we want.
        let _ = self.signal("TERM");
        let deadline = Instant::now() + STOP_TIMEOUT;
        while matches!(self.child.try_wait(), Ok(None)) && Instant::now() < deadline {
            thread::sleep(Duration::from_millis(10));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
        for member in family {
            if fs::exists(format!("/proc/{member}/stat")).unwrap_or(false) {
                let _ = Command::new("kill")
                    .arg("-KILL")
                    .arg(member.to_string())
                    .stderr(Stdio::null())
                    .status();
            }
        }
    }
}

/// A process and its descendants.
fn family(root: u32) -> Vec<u32> {
    let mut members = vec![root];
    let mut next = 0;
    while let Some(&member) = members.get(next) {
        next += 1;
        let children = fs::read_to_string(format!("/proc/{member}/task/{member}/children"));
        members.extend(
            children
                .unwrap_or_default()
                .split_whitespace()
                .filter_map(|id| id.parse::<u32>().ok()),
        );
    }
    members
}

/// User and system time of one process. proc_pid_stat(5): fields 14 and 15, counted after the name in parentheses.
fn cpu_ticks(process: u32) -> Option<f64> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = |index: usize| fields.get(index)?.parse::<f64>().ok();
    Some(ticks(11)? + ticks(12)?)
}

fn pss_kib(process: u32) -> Option<f64> {
    let rollup = fs::read_to_string(format!("/proc/{process}/smaps_rollup")).ok()?;
    let line = rollup.lines().find_map(|line| line.strip_prefix("Pss:"))?;
    line.trim().strip_suffix("kB")?.trim().parse().ok()
}
