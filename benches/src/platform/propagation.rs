//! From the answer to a write until a request is routed by it: in one process, and through PostgreSQL to two gateways.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use anyhow::{Result, bail};
use serde_json::{Value, json};

use super::Bed;
use crate::rig::{
    catalog::{Catalog, TOKEN, write},
    client::{Client, request, until_answered},
    median::percentile,
    plan::Plan,
    processes::{BOTH_CORES, Running, pinned},
    report::Report,
    scratch::free_port,
};

const CHANGES: usize = 300;
/// Longest wait for a change.
const PATIENCE: Duration = Duration::from_secs(10);

pub(super) fn measure(bed: &Bed<'_>, _: &Plan, report: &mut Report) -> Result<()> {
    report.table(
        "Propagation: write answered → first request routed by it, ms",
        "300 changes of a route, one after the other; the request that first finds it is included, and has to find it at every gateway. \
         Everything shares both cores.",
        &["", "p50", "p90", "p99", "longest", "the request alone, p50", "to reach"],
    );
    let row = |report: &mut Report, what: &str, (mut times, mut alone): Times, goal: &str| {
        times.sort_by(f64::total_cmp);
        alone.sort_by(f64::total_cmp);
        let cell = |share| format!("{:.2}", percentile(&times, share));
        report.row([
            what.to_owned(),
            cell(50),
            cell(90),
            cell(99),
            cell(100),
            format!("{:.2}", percentile(&alone, 50)),
            goal.to_owned(),
        ]);
    };
    row(report, "one process, SQLite", one_process(bed)?, "p99 < 10");
    let through = through_postgres(bed)?;
    row(
        report,
        "two catalogs on PostgreSQL, two gateways",
        through,
        "p99 < 50",
    );
    Ok(())
}

/// Milliseconds of the changes, and of requests without one.
type Times = (Vec<f64>, Vec<f64>);

fn one_process(bed: &Bed<'_>) -> Result<Times> {
    let folder = bed.scratch.folder("propagation")?;
    let local = |port| SocketAddr::from(([127, 0, 0, 1], port));
    let (gateway, catalog) = (local(free_port()?), local(free_port()?));
    let mut command = pinned(BOTH_CORES, bed.programs.join("platform"));
    command
        .env("GATEWAY_LISTEN", gateway.to_string())
        .env("ADMIN_LISTEN", "127.0.0.1:0")
        .env("CATALOG_LISTEN", catalog.to_string())
        .env("CATALOG_TOKEN", TOKEN)
        .env("NAMES_LISTEN", "127.0.0.1:0")
        .env("DATA_DIR", folder.path().join("data"))
        .env("RUST_LOG", "warn");
    let _running = Running::announced(command, &folder.path().join("log"))?;
    changes(bed, catalog, &[gateway])
}

fn through_postgres(bed: &Bed<'_>) -> Result<Times> {
    let database = bed.postgres.database("propagation")?;
    let mut gateways = Vec::new();
    let mut running = Vec::new();
    for _ in 0..2 {
        let folder = bed.scratch.folder("propagation")?;
        let catalog = Catalog::start(bed.programs, &folder, BOTH_CORES, Some(&database))?;
        let address = SocketAddr::from(([127, 0, 0, 1], free_port()?));
        let mut command = pinned(BOTH_CORES, bed.programs.join("gateway"));
        command
            .env("GATEWAY_LISTEN", address.to_string())
            .env("ADMIN_LISTEN", "127.0.0.1:0")
            .env("CATALOG_URL", format!("http://{}", catalog.address))
            .env("DATA_DIR", folder.path().join("gateway"))
            .env("RUST_LOG", "warn");
        let gateway = Running::start(command, &folder.path().join("log"), address)?;
        gateways.push(address);
        running.push((catalog, gateway));
    }
    changes(bed, running[0].0.address, &gateways)
}

/// Changes the one route of a service again and again.
fn changes(bed: &Bed<'_>, catalog: SocketAddr, gateways: &[SocketAddr]) -> Result<Times> {
    let mut writer = Client::new(catalog);
    writer.ask(&write("POST", "/services", &service(0)))?;
    let instance = json!({"address": bed.backend.endpoints(1)[0]});
    writer.ask(&write("PUT", "/services/moving/instances/a", &instance))?;
    for gateway in gateways {
        until_answered(*gateway, "/moving-0/small")?;
    }
    let mut readers: Vec<_> = gateways
        .iter()
        .map(|gateway| Client::new(*gateway))
        .collect();
    let (mut times, mut alone) = (Vec::new(), Vec::new());
    for step in 1..=CHANGES {
        let get = request("GET", &format!("/moving-{step}/small"), None, None);
        writer.ask(&write("PUT", "/services/moving", &service(step)))?;
        let answered = Instant::now();
        for reader in &mut readers {
            while reader.send(&get)?.status != 200 {
                if answered.elapsed() > PATIENCE {
                    bail!("change {step} has not arrived after {PATIENCE:?}");
                }
            }
        }
        times.push(answered.elapsed().as_secs_f64() * 1e3);
        let start = Instant::now();
        readers[0].ask(&get)?;
        alone.push(start.elapsed().as_secs_f64() * 1e3);
    }
    Ok((times, alone))
}

fn service(step: usize) -> Value {
    json!({
        "name": "moving",
        "routes": [{"path_prefix": format!("/moving-{step}/"), "strip_prefix": true}],
        "policy": {"health": {"kind": "tcp", "interval": "10s"}},
    })
}
