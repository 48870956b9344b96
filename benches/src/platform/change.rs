//! One change in a large catalog: how long it takes to apply, and what requests notice of it.

use std::{
    net::SocketAddr,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, anyhow, bail};
use serde_json::json;

use super::Bed;
use crate::rig::{
    catalog::{Catalog, write},
    client::{Client, request, until_answered},
    paced::Pace,
    plan::Plan,
    processes::{LOAD_CORE, PROXY_CORE, Running, pinned},
    report::Report,
    scratch::free_port,
};

const SERVICES: usize = 1_000;
const INSTANCES: usize = 10;
/// Connections that fill the catalog.
const WRITERS: usize = 16;
/// Changes under load, and how long that lasts.
const CHANGES: u32 = 100;
const TIME: Duration = Duration::from_secs(5);
/// Longest wait for the first checks of all endpoints.
const PATIENCE: Duration = Duration::from_secs(60);
/// Requests per second meanwhile.
const RATE: u64 = 2_000;

pub(super) fn measure(bed: &Bed<'_>, _: &Plan, report: &mut Report) -> Result<()> {
    let folder = bed.scratch.folder("large")?;
    let catalog = Catalog::start(bed.programs, &folder, LOAD_CORE, None)?;
    fill(bed, catalog.address)?;
    let local = |port| SocketAddr::from(([127, 0, 0, 1], port));
    let (address, admin) = (local(free_port()?), local(free_port()?));
    let mut command = pinned(PROXY_CORE, bed.programs.join("gateway"));
    command
        .env("GATEWAY_LISTEN", address.to_string())
        .env("ADMIN_LISTEN", admin.to_string())
        .env("CATALOG_URL", format!("http://{}", catalog.address))
        .env("DATA_DIR", folder.path().join("gateway"))
        .env("RUST_LOG", "warn");
    let _gateway = Running::start(command, &folder.path().join("log"), address)?;
    until_checked(admin)?;
    until_answered(address, "/large-0/small")?;
    let pace = Pace {
        address,
        path: "/large-0/small",
        per_second: RATE,
        time: TIME,
    };
    let quiet = pace.run();
    let before = applied(admin)?;
    let load = thread::spawn(move || pace.run());
    change(bed, catalog.address)?;
    let changing = load.join().map_err(|_| anyhow!("the load panicked"))?;
    let after = applied(admin)?;
    report.table(
        "One change in a catalog of 1,000 services with 10 instances each",
        "100 changes of an instance's weight in 5 s at 2,000 requests per second through the gateway, after 5 s without. Applied: \
         `gateway_config_apply_seconds`, from the event to the published snapshot.",
        &["applied, mean ms", "to reach", "p99 quiet, µs", "p99 changing, µs", "failed"],
    );
    let mean = (after.0 - before.0) * 1e3 / (after.1 - before.1);
    report.row([
        format!("{mean:.2}"),
        "< 5".to_owned(),
        format!("{:.0}", quiet.per_mille(990)),
        format!("{:.0}", changing.per_mille(990)),
        (quiet.failed + changing.failed).to_string(),
    ]);
    Ok(())
}

/// Waits until every endpoint has had its first check, which is not what is measured.
fn until_checked(admin: SocketAddr) -> Result<()> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let text = metrics(admin)?;
        let healthy = text
            .lines()
            .filter(|line| line.starts_with("gateway_endpoint_healthy{") && line.ends_with(" 1"))
            .count();
        if healthy >= SERVICES * INSTANCES {
            return Ok(());
        }
        if Instant::now() > deadline {
            bail!("{healthy} endpoints are healthy after {PATIENCE:?}");
        }
        thread::sleep(Duration::from_millis(200));
    }
}

fn metrics(admin: SocketAddr) -> Result<String> {
    let text = Client::new(admin).ask(&request("GET", "/metrics", None, None))?;
    Ok(String::from_utf8(text)?)
}

/// Sum of the seconds, and how many.
fn applied(admin: SocketAddr) -> Result<(f64, f64)> {
    let text = metrics(admin)?;
    let value = |name: &str| {
        let name = format!("gateway_config_apply_seconds_{name}");
        text.lines()
            .find(|line| line.starts_with(&name))
            .and_then(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
            .with_context(|| format!("no {name} among the metrics"))
    };
    Ok((value("sum")?, value("count")?))
}

fn fill(bed: &Bed<'_>, catalog: SocketAddr) -> Result<()> {
    let endpoints = bed.backend.endpoints(SERVICES);
    let endpoints = &endpoints;
    thread::scope(|scope| {
        let writers: Vec<_> = (0..WRITERS)
            .map(|writer| {
                scope.spawn(move || -> Result<()> {
                    let mut client = Client::new(catalog);
                    for number in (writer..SERVICES).step_by(WRITERS) {
                        let service = json!({
                            "name": format!("large-{number}"),
                            "routes": [{"path_prefix": format!("/large-{number}/"), "strip_prefix": true}],
                            // Ten thousand checks at once are enough.
                            "policy": {"health": {"kind": "tcp", "interval": "10m"}},
                        });
                        client.ask(&write("POST", "/services", &service))?;
                        for instance in 0..INSTANCES {
                            let path = format!("/services/large-{number}/instances/i{instance}");
                            let address = &endpoints[(number + instance) % endpoints.len()];
                            client.ask(&write("PUT", &path, &json!({"address": address})))?;
                        }
                    }
                    Ok(())
                })
            })
            .collect();
        writers
            .into_iter()
            .try_for_each(|writer| writer.join().map_err(|_| anyhow!("a writer panicked"))?)
    })
}

fn change(bed: &Bed<'_>, catalog: SocketAddr) -> Result<()> {
    let mut client = Client::new(catalog);
    let start = Instant::now();
    let middle = SERVICES / 2;
    let address = &bed.backend.endpoints(SERVICES)[middle];
    for step in 1..=CHANGES {
        let due = start + TIME / (CHANGES + 1) * step;
        thread::sleep(due.saturating_duration_since(Instant::now()));
        let path = format!("/services/large-{middle}/instances/i0");
        let changed = json!({"address": address, "weight": 2 + step % 5});
        client.ask(&write("PUT", &path, &changed))?;
    }
    Ok(())
}
