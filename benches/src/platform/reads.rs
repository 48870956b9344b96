//! `GET /services` with 100 services and `GET /name`, each beside a bare server of the same bytes and beside Flask.

use std::{net::SocketAddr, path::Path};

use anyhow::{Context as _, Result};
use serde_json::json;

use super::Bed;
use crate::rig::{
    catalog::{Catalog, write},
    client::{Client, request, until_answered},
    load::{Kind, Load},
    plan::Plan,
    processes::{PROXY_CORE, Running, pinned},
    report::Report,
    rounds::{Taken, Target, interleave},
    scratch::free_port,
};

const SERVICES: usize = 100;
const INSTANCES: usize = 3;
const CONNECTIONS: usize = 64;
/// Twice the cores plus one, as gunicorn's guide says: <https://docs.gunicorn.org/en/stable/design.html#how-many-workers>.
const WORKERS: &str = "3";

pub(super) fn measure(bed: &Bed<'_>, plan: &Plan, report: &mut Report) -> Result<()> {
    let folder = bed.scratch.folder("reads")?;
    let catalog = Catalog::start(bed.programs, &folder, PROXY_CORE, None)?;
    let database = bed.postgres.database("flask")?;
    let flask_catalog = flask(bed, "catalog", &[("DATABASE_URL", &database)])?;
    let mut ours = catalog.client();
    let mut theirs = Client::new(flask_catalog.1);
    for number in 0..SERVICES {
        let service = json!({
            "name": format!("service-{number}"), "description": "one of a hundred", "version": "1.0.0", "tags": ["bench"],
            "routes": [{"path_prefix": format!("/service-{number}/"), "strip_prefix": true}],
        });
        ours.ask(&write("POST", "/services", &service))?;
        for instance in 0..INSTANCES {
            let path = format!("/services/service-{number}/instances/i{instance}");
            let address = format!("127.0.0.{}:{}", 1 + number, 7_000 + instance);
            ours.ask(&write("PUT", &path, &json!({"address": address})))?;
        }
    }
    // The other implementation gets what this one answers, so that both have the same to say.
    let list = ours.ask(&request("GET", "/services", None, None))?;
    let import = serde_json::from_slice(&list)?;
    theirs.ask(&request("POST", "/import", None, Some(&import)))?;
    let bare_catalog = bare(bed, &list)?;
    let catalog = (catalog.running, catalog.address);
    table(
        bed,
        plan,
        report,
        "/services",
        "Catalog reads: `GET /services`, 100 services with 3 instances each",
        "Flask reads PostgreSQL, whose own time is not counted. To reach: 10 × Flask, half of a bare server.",
        &[
            ("service-catalog", &catalog),
            ("bare hyper, same bytes", &bare_catalog),
            ("Flask + PostgreSQL", &flask_catalog),
        ],
    )?;
    drop((catalog, bare_catalog, flask_catalog));
    names(bed, plan, report)
}

fn names(bed: &Bed<'_>, plan: &Plan, report: &mut Report) -> Result<()> {
    let address = SocketAddr::from(([127, 0, 0, 1], free_port()?));
    let folder = bed.scratch.folder("names")?;
    let mut command = pinned(PROXY_CORE, bed.programs.join("service-api"));
    command
        .env("NAMES_LISTEN", address.to_string())
        .env("RUST_LOG", "warn");
    let names = (
        Running::start(command, &folder.path().join("log"), address)?,
        address,
    );
    until_answered(address, "/name")?;
    let name = Client::new(address).ask(&request("GET", "/name?seed=1", None, None))?;
    table(
        bed,
        plan,
        report,
        "/name",
        "The name service: `GET /name`",
        "",
        &[
            ("service-api", &names),
            ("bare hyper, same bytes", &bare(bed, &name)?),
            ("Flask", &flask(bed, "names", &[])?),
        ],
    )
}

/// The first is compared with each of the others.
fn table(
    bed: &Bed<'_>,
    plan: &Plan,
    report: &mut Report,
    path: &'static str,
    title: &str,
    explained: &str,
    servers: &[(&str, &(Running, SocketAddr))],
) -> Result<()> {
    let targets: Vec<_> = servers
        .iter()
        .map(|(_, (running, address))| {
            Some(Target {
                running,
                address: *address,
                tls: false,
                load: Load {
                    path,
                    connections: CONNECTIONS,
                    kind: Kind::Get,
                },
            })
        })
        .collect();
    let taken: Vec<Taken> = interleave(bed.scratch, plan, &targets)?
        .into_iter()
        .flatten()
        .collect();
    let own = taken.first().context("the first server takes part")?;
    report.table(
        title,
        &format!(
            "One core, {CONNECTIONS} connections. Flask under gunicorn with {WORKERS} workers of 4 threads. {explained}"
        ),
        &[
            "",
            "requests/s",
            "share of its core",
            "CPU µs",
            "ours is faster by",
            "memory, MiB",
            "failed",
        ],
    );
    for ((name, _), taken) in servers.iter().zip(&taken) {
        let figures = taken.figures(own);
        report.row([
            (*name).to_owned(),
            format!("{:.0}", figures.rate),
            format!("{:.0} %", figures.busy_percent),
            format!("{:.1}", figures.cpu_us),
            format!(
                "{:.2} × (CPU {:.2} ×)",
                own.figures(taken).rate_ratio,
                figures.ratio
            ),
            format!("{:.0}", figures.memory_mib),
            figures.failed.to_string(),
        ]);
    }
    Ok(())
}

/// A server that answers every request with these bytes.
fn bare(bed: &Bed<'_>, body: &[u8]) -> Result<(Running, SocketAddr)> {
    let folder = bed.scratch.folder("bare")?;
    let address = SocketAddr::from(([127, 0, 0, 1], free_port()?));
    let mut command = pinned(PROXY_CORE, bed.programs.join("bare"));
    command
        .arg(address.to_string())
        .arg(folder.write("body.json", body)?);
    let running = Running::start(command, &folder.path().join("log"), address)?;
    Ok((running, address))
}

/// One of the modules in `benches/peers/flask`.
fn flask(
    bed: &Bed<'_>,
    module: &str,
    environment: &[(&str, &str)],
) -> Result<(Running, SocketAddr)> {
    let folder = bed.scratch.folder("flask")?;
    let address = SocketAddr::from(([127, 0, 0, 1], free_port()?));
    let gunicorn = bed.python.join("gunicorn");
    let mut command = pinned(PROXY_CORE, &gunicorn);
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("peers/flask");
    command
        .args(["--workers", WORKERS, "--worker-class", "gthread"])
        .args(["--threads", "4", "--keep-alive", "75", "--log-level"])
        .args(["error", "--no-control-socket", "--bind"])
        .arg(address.to_string())
        .arg("--chdir")
        .arg(sources)
        .arg(format!("{module}:app"))
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .envs(environment.iter().copied());
    let running = Running::start(command, &folder.path().join("log"), address)
        .with_context(|| format!("{} comes with `scripts/tools bench`", gunicorn.display()))?;
    until_answered(address, "/health")?;
    Ok((running, address))
}
