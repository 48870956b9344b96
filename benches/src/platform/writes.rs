//! Durable writes and renewals, one after the other and from many clients at once.

use std::{
    net::SocketAddr,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Result, anyhow};
use serde_json::json;

use super::Bed;
use crate::rig::{
    catalog::{Catalog, write},
    client::Client,
    plan::Plan,
    processes::PROXY_CORE,
    report::Report,
};

/// Clients at once, each with a service of its own.
const CLIENTS: usize = 32;
/// Before the counting.
const WARM_UP: Duration = Duration::from_millis(300);

/// What a client sends as its `n`th request.
type Script = fn(client: usize, n: u64) -> Vec<u8>;

/// What clients saw.
struct Seen {
    took: Vec<Duration>,
    time: Duration,
}

pub(super) fn measure(bed: &Bed<'_>, plan: &Plan, report: &mut Report) -> Result<()> {
    let time = Duration::from_secs(2 * plan.seconds);
    report.table(
        "Catalog writes",
        "Requests per second and the time until the answer, when the write is on the disk (SQLite: synchronous=FULL; PostgreSQL: its defaults, \
         its own time not counted). A write changes one of 32 services; a renewal repeats an instance's registration, which makes no revision. \
         The programs have core 0, the clients core 1.",
        &["store", "what", "clients", "per second", "p50, ms", "p99, ms", "CPU µs"],
    );
    let postgres = bed.postgres.database("writes")?;
    for (store, database) in [("SQLite", None), ("PostgreSQL", Some(&*postgres))] {
        let folder = bed.scratch.folder("writes")?;
        let catalog = Catalog::start(bed.programs, &folder, PROXY_CORE, database)?;
        let mut client = catalog.client();
        for number in 0..CLIENTS {
            let service = json!({"name": format!("w{number}")});
            client.ask(&write("POST", "/services", &service))?;
        }
        let cases: [(&str, usize, Script); 4] = [
            ("write", 1, change),
            ("write", CLIENTS, change),
            ("renewal", 1, renewal),
            ("renewal", CLIENTS, renewal),
        ];
        for (what, clients, script) in cases {
            run(catalog.address, clients, script, WARM_UP)?;
            let before = catalog.running.cpu_seconds();
            let seen = run(catalog.address, clients, script, time)?;
            let spent = catalog.running.cpu_seconds() - before;
            report.row([
                store.to_owned(),
                what.to_owned(),
                clients.to_string(),
                format!("{:.0}", seen.took.len() as f64 / seen.time.as_secs_f64()),
                seen.milliseconds(50),
                seen.milliseconds(99),
                format!("{:.0}", spent * 1e6 / seen.took.len() as f64),
            ]);
        }
    }
    Ok(())
}

fn change(client: usize, n: u64) -> Vec<u8> {
    let service = json!({"name": format!("w{client}"), "description": format!("{n} at {:?}", Instant::now())});
    write("PUT", &format!("/services/w{client}"), &service)
}

fn renewal(client: usize, _: u64) -> Vec<u8> {
    let instance = json!({"address": format!("127.0.0.1:{}", 7_000 + client), "ttl": "60s"});
    write(
        "PUT",
        &format!("/services/w{client}/instances/a"),
        &instance,
    )
}

fn run(address: SocketAddr, clients: usize, script: Script, time: Duration) -> Result<Seen> {
    let start = Instant::now();
    let threads: Vec<_> = (0..clients)
        .map(|number| {
            thread::spawn(move || -> Result<Vec<Duration>> {
                let mut client = Client::new(address);
                let mut took = Vec::new();
                while start.elapsed() < time {
                    let request = script(number, took.len() as u64);
                    let sent = Instant::now();
                    client.ask(&request)?;
                    took.push(sent.elapsed());
                }
                Ok(took)
            })
        })
        .collect();
    let mut all = Vec::new();
    for thread in threads {
        all.extend(thread.join().map_err(|_| anyhow!("a client panicked"))??);
    }
    all.sort_unstable();
    Ok(Seen {
        took: all,
        time: start.elapsed(),
    })
}

// === impl Seen ===

impl Seen {
    fn milliseconds(&self, per_cent: usize) -> String {
        let index = (self.took.len() * per_cent / 100).min(self.took.len().saturating_sub(1));
        let took = self.took.get(index).copied().unwrap_or_default();
        format!("{:.2}", took.as_secs_f64() * 1e3)
    }
}
