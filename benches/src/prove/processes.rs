//! The programs as processes: a catalog, and a gateway whose process is another one after each upgrade.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use http::Request;
use serde_json::Value;
use service_kit::{client::Client, http::body};
use tempfile::TempDir;
use tokio::{
    sync::mpsc,
    time::{Instant, sleep, timeout},
};

use super::{ledger::Ledger, propagation::Propagation, registry::Registry};

/// Longest wait for a program to be ready, to start its successor, and to end.
const START_TIMEOUT: Duration = Duration::from_secs(60);
const STOP_TIMEOUT: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(5);
const READY: &str = "ready on http://";
const TOKEN: &str = "the-token-of-the-proof-the-token-of-the-proof";
const ANSWER_BYTES_MAX: usize = 16 << 20;

/// Everything that runs as a process of its own.
pub(super) struct Programs {
    scratch: TempDir,
    catalog: Output,
    catalog_address: SocketAddr,
    /// The first gateway. Its successors are its descendants and write where it writes.
    gateway: Output,
    /// The gateway that accepts connections now.
    pub(super) gateway_process: u32,
    pub(super) http1: SocketAddr,
    pub(super) http2: SocketAddr,
    admin: SocketAddr,
}

/// A started program and the lines on its standard output.
struct Output {
    child: Child,
    lines: mpsc::UnboundedReceiver<String>,
}

// === impl Programs ===

impl Programs {
    pub(super) async fn start(folder: &Path) -> Result<Self> {
        let scratch = tempfile::Builder::new().prefix("prove-").tempdir()?;
        let mut command = Command::new(folder.join("service-catalog"));
        command
            .env("CATALOG_LISTEN", "127.0.0.1:0")
            .env("CATALOG_TOKEN", TOKEN);
        let mut catalog = Output::start(command, scratch.path(), "catalog")?;
        let catalog_address = first(&addresses(&catalog.ready().await?))?;
        let mut command = Command::new(folder.join("gateway"));
        command
            .env("GATEWAY_LISTEN", "127.0.0.1:0")
            .env("GATEWAY_H2C_LISTEN", "127.0.0.1:0")
            .env("ADMIN_LISTEN", "127.0.0.1:0")
            .env("CATALOG_URL", format!("http://{catalog_address}"))
            .env("GATEWAY_EXPOSE_REVISION", "true");
        let mut gateway = Output::start(command, scratch.path(), "gateway")?;
        let [http1, admin, http2] = addresses(&gateway.ready().await?)[..] else {
            bail!("the gateway has not named its three addresses");
        };
        Ok(Self {
            scratch,
            catalog,
            catalog_address,
            gateway_process: gateway.child.id(),
            gateway,
            http1,
            http2,
            admin,
        })
    }

    pub(super) fn registry(&self, propagation: &Arc<Propagation>) -> Registry {
        Registry::new(self.catalog_address, TOKEN, Arc::clone(propagation))
    }

    /// Waits until the gateway has found so many healthy endpoints of each service.
    pub(super) async fn until_healthy(
        &self,
        wanted: impl Iterator<Item = (&'static str, usize)>,
    ) -> Result<()> {
        let wanted: Vec<_> = wanted.collect();
        let deadline = Instant::now() + START_TIMEOUT;
        loop {
            let table = self.routes().await?;
            let healthy = |name: &str| {
                let services = table["services"].as_array()?;
                let service = services.iter().find(|service| service["name"] == name)?;
                let endpoints = service["endpoints"].as_array()?.iter();
                Some(
                    endpoints
                        .filter(|endpoint| endpoint["health"] == "healthy")
                        .count(),
                )
            };
            if wanted
                .iter()
                .all(|(name, count)| healthy(name) == Some(*count))
            {
                return Ok(());
            }
            if Instant::now() > deadline {
                bail!("the instances did not become healthy: {table}");
            }
            sleep(POLL).await;
        }
    }

    async fn routes(&self) -> Result<Value> {
        let request = Request::get(format!("http://{}/routes", self.admin)).body(body::empty())?;
        let client = Client::new();
        let answer = client.fetch(request, START_TIMEOUT, ANSWER_BYTES_MAX);
        Ok(serde_json::from_slice(answer.await?.body())?)
    }

    /// Has the gateway start its successor, and waits until that one serves.
    pub(super) async fn upgrade(&mut self) -> Result<()> {
        let before = self.gateway_process;
        signal("QUIT", before)?;
        let deadline = Instant::now() + START_TIMEOUT;
        let successor = loop {
            // While both live: an orphan would have another parent.
            if let Some(child) = children(before).first() {
                break *child;
            }
            if Instant::now() > deadline {
                bail!("gateway {before} has started no successor");
            }
            sleep(POLL).await;
        };
        let ready = addresses(&self.gateway.ready().await?);
        if ready[..] != [self.http1, self.admin, self.http2] {
            bail!("gateway {successor} listens on {ready:?}");
        }
        self.gateway_process = successor;
        Ok(())
    }

    /// Ends the gateway, and finds out whether any of its processes stayed behind or cut something off.
    pub(super) async fn stop(&mut self, ledger: &Ledger) {
        let ended = async {
            signal("TERM", self.gateway_process)?;
            timeout(STOP_TIMEOUT, self.gateway.ended())
                .await
                .context("a gateway did not end")?;
            let log = fs::read_to_string(self.scratch.path().join("gateway.log"))?;
            let cut = cut(&log);
            if cut > 0 {
                bail!("{cut} requests were cut off");
            }
            Ok(())
        };
        if let Err(error) = ended.await {
            ledger.fail("gateway", format_args!("{error:#}"));
        }
    }

    /// The folder with the logs, which stays.
    pub(super) fn keep_logs(&mut self) -> PathBuf {
        self.scratch.disable_cleanup(true);
        self.scratch.path().to_owned()
    }
}

impl Drop for Programs {
    fn drop(&mut self) {
        // Successors are nobody's children once their parent has ended; they are told by the data folder they were started in.
        let mine = processes().filter(|process| is_running(*process, &self.scratch));
        for process in mine {
            // Those that have ended meanwhile are what we want.
            let _ = signal("KILL", process);
        }
        for output in [&mut self.gateway, &mut self.catalog] {
            let _ = output.child.kill();
            let _ = output.child.wait();
        }
    }
}

// === impl Output ===

impl Output {
    /// Starts a program with a data folder and a log of its own.
    fn start(mut command: Command, scratch: &Path, name: &str) -> Result<Self> {
        let log = fs::File::create(scratch.join(format!("{name}.log")))?;
        let mut child = command
            .env("DATA_DIR", scratch.join(name))
            .env("LOG_FORMAT", "json")
            .env("RUST_LOG", "info")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .with_context(|| format!("cannot start {command:?}"))?;
        let (sender, lines) = mpsc::unbounded_channel();
        let stdout = child.stdout.take().context("no standard output")?;
        std::thread::spawn(move || {
            // It ends with the last process that holds the other end.
            let _ = BufReader::new(stdout)
                .lines()
                .map_while(Result::ok)
                .try_for_each(|line| sender.send(line));
        });
        Ok(Self { child, lines })
    }

    /// The line with which it says that it is ready.
    async fn ready(&mut self) -> Result<String> {
        let line = async {
            while let Some(line) = self.lines.recv().await {
                if line.contains(READY) {
                    return Ok(line);
                }
            }
            bail!("a program ended before it was ready")
        };
        timeout(START_TIMEOUT, line)
            .await
            .context("a program did not get ready")?
    }

    /// Waits until every process that writes here has ended.
    async fn ended(&mut self) {
        while self.lines.recv().await.is_some() {}
    }
}

/// Addresses after `http://` in the order of a line.
fn addresses(line: &str) -> Vec<SocketAddr> {
    let rests = line.split("http://").skip(1);
    rests
        .filter_map(|rest| {
            let end = rest.find([' ', ',', ')', '/']).unwrap_or(rest.len());
            rest[..end].trim_end().parse().ok()
        })
        .collect()
}

fn first(addresses: &[SocketAddr]) -> Result<SocketAddr> {
    addresses.first().copied().context("no address")
}

fn signal(name: &str, process: u32) -> Result<()> {
    let status = Command::new("kill")
        .arg(format!("-{name}"))
        .arg(process.to_string())
        .stderr(Stdio::null())
        .status()?;
    if !status.success() {
        bail!("cannot send {name} to process {process}");
    }
    Ok(())
}

/// Children of every thread of a process (proc_pid_task(5)).
fn children(process: u32) -> Vec<u32> {
    let threads = fs::read_dir(format!("/proc/{process}/task"));
    let threads = threads.into_iter().flatten().flatten();
    let of_each = threads
        .map(|thread| fs::read_to_string(thread.path().join("children")).unwrap_or_default());
    of_each
        .flat_map(|children| {
            let ids = children.split_whitespace().map(str::parse);
            ids.filter_map(Result::ok).collect::<Vec<u32>>()
        })
        .collect()
}

fn processes() -> impl Iterator<Item = u32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

/// Whether a process was started with a data folder below `scratch`, which nobody else knows.
fn is_running(process: u32, scratch: &TempDir) -> bool {
    let environment = fs::read(format!("/proc/{process}/environ")).unwrap_or_default();
    let folder = scratch.path().as_os_str().as_encoded_bytes();
    environment.windows(folder.len()).any(|part| part == folder)
}

/// How many requests the gateways of a log have cut off at their end.
fn cut(log: &str) -> u64 {
    log.lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter_map(|event| {
            let cut = &event["cut"];
            cut.as_u64().or_else(|| event["fields"]["cut"].as_u64())
        })
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_programs_are_read() {
        let line = "gateway ready on http://127.0.0.1:80 (admin http://127.0.0.1:9, HTTP/2 http://[::1]:7)";
        let ports: Vec<u16> = addresses(line).iter().map(SocketAddr::port).collect();
        assert_eq!(ports, [80, 9, 7]);
        assert_eq!(
            cut("{\"cut\":2}\nx\n{\"fields\":{\"cut\":3}}\n{\"cut\":0}"),
            5
        );
    }
}
