//! One change to a thousand watchers.

use std::{
    net::SocketAddr,
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use serde_json::json;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    net::TcpStream,
};

use super::Bed;
use crate::rig::{
    catalog::{Catalog, write},
    median::median,
    plan::Plan,
    processes::PROXY_CORE,
    report::Report,
};

const WATCHERS: usize = 1_000;
const CHANGES: u64 = 30;
/// Longest wait for all watchers to hear of a change.
const PATIENCE: Duration = Duration::from_secs(30);

/// A watcher has read an event.
type Heard = (u64, Instant);

pub(super) fn measure(bed: &Bed<'_>, _: &Plan, report: &mut Report) -> Result<()> {
    let folder = bed.scratch.folder("watch")?;
    let catalog = Catalog::start(bed.programs, &folder, PROXY_CORE, None)?;
    let mut client = catalog.client();
    let service = |n: u64| json!({"name": "watched", "description": n.to_string()});
    client.ask(&write("POST", "/services", &service(0)))?;
    let memory = catalog.running.memory_kib();
    let (tell, hear) = mpsc::channel();
    let address = catalog.address;
    // Ends when the catalog does.
    thread::spawn(move || watch(address, &tell));
    all_heard(&hear, 0)?;
    let memory = (catalog.running.memory_kib() - memory) / WATCHERS as f64;
    let before = catalog.running.cpu_seconds();
    let (mut halves, mut lasts) = (Vec::new(), Vec::new());
    for n in 1..=CHANGES {
        let sent = Instant::now();
        let answer = client.ask(&write("PUT", "/services/watched", &service(n)))?;
        let answer: serde_json::Value = serde_json::from_slice(&answer)?;
        let revision = answer["revision"]
            .as_u64()
            .context("an answer has its revision")?;
        let heard = all_heard(&hear, revision)?;
        let took = |index: usize| (heard[index] - sent).as_secs_f64() * 1e3;
        halves.push(took(WATCHERS / 2));
        lasts.push(took(WATCHERS - 1));
    }
    let cpu = (catalog.running.cpu_seconds() - before) * 1e6 / (CHANGES as f64 * WATCHERS as f64);
    report.table(
        "Watch stream: one change to 1,000 watchers",
        "From sending the write (SQLite, on the disk) until a watcher has read the event; all watchers share core 1. Medians of 30 changes.",
        &["half of them, ms", "the last one, ms", "CPU of the catalog per event, µs", "memory per watcher, KiB"],
    );
    report.row([
        format!("{:.1}", median(halves.into_iter())),
        format!("{:.1}", median(lasts.into_iter())),
        format!("{cpu:.1}"),
        format!("{memory:.1}"),
    ]);
    Ok(())
}

/// When each watcher first heard of a revision that is at least this one, in order.
fn all_heard(hear: &mpsc::Receiver<Heard>, revision: u64) -> Result<Vec<Instant>> {
    let deadline = Instant::now() + PATIENCE;
    let mut times = Vec::with_capacity(WATCHERS);
    while times.len() < WATCHERS {
        let left = deadline.saturating_duration_since(Instant::now());
        let (heard, at) = hear.recv_timeout(left).with_context(|| {
            format!("{} of {WATCHERS} watchers heard of the change", times.len())
        })?;
        if heard >= revision {
            times.push(at);
        }
    }
    times.sort_unstable();
    Ok(times)
}

fn watch(address: SocketAddr, tell: &mpsc::Sender<Heard>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let Ok(runtime) = runtime else { return };
    runtime.block_on(async {
        let watchers: Vec<_> = (0..WATCHERS)
            .map(|_| tokio::spawn(watcher(address, tell.clone())))
            .collect();
        for watcher in watchers {
            // The catalog ended, and so do they.
            let _ = watcher.await;
        }
    });
}

/// Tells the revision of every event. The lines of an event are never split between chunks.
async fn watcher(address: SocketAddr, tell: mpsc::Sender<Heard>) -> std::io::Result<()> {
    let mut stream = BufReader::new(TcpStream::connect(address).await?);
    stream
        .write_all(b"GET /services/watch HTTP/1.1\r\nHost: localhost\r\n\r\n")
        .await?;
    let mut lines = stream.lines();
    while let Some(line) = lines.next_line().await? {
        if let Some(id) = line.strip_prefix("id: ")
            && let Ok(revision) = id.trim().parse()
            && tell.send((revision, Instant::now())).is_err()
        {
            break;
        }
    }
    Ok(())
}
