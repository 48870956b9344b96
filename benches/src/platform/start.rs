//! From exec to the ready line of `platform`, and its memory when nothing happens.

use std::{path::Path, thread, time::Duration};

use anyhow::Result;

use super::Bed;
use crate::rig::{
    median::median,
    plan::Plan,
    processes::{BOTH_CORES, Running, pinned},
    report::Report,
};

/// Starts on a new folder, and on one with data.
const STARTS: usize = 5;
/// How long it does nothing before its memory is read.
const IDLE: Duration = Duration::from_secs(5);

pub(super) fn measure(bed: &Bed<'_>, _: &Plan, report: &mut Report) -> Result<()> {
    let used = bed.scratch.folder("platform")?;
    let mut fresh = Vec::new();
    let mut again = Vec::new();
    for _ in 0..STARTS {
        let folder = bed.scratch.folder("platform")?;
        fresh.push(start(bed, folder.path())?.1);
        again.push(start(bed, used.path())?.1);
    }
    let (running, _) = start(bed, used.path())?;
    thread::sleep(IDLE);
    let memory = [running.resident_mib(), running.memory_kib() / 1024.0];
    report.table(
        "`platform`: start and memory",
        &format!(
            "One process with gateway, catalog and two name services. Time from exec to its ready line, {STARTS} starts each; memory {} s after \
             the start.",
            IDLE.as_secs()
        ),
        &["what", "measured", "to reach"],
    );
    let milliseconds = |times: &[Duration]| {
        let times = times.iter().map(|time| time.as_secs_f64() * 1e3);
        let longest = times.clone().fold(0.0, f64::max);
        format!("median {:.0} ms, longest {longest:.0} ms", median(times))
    };
    let rows = [
        ("start on a new folder", milliseconds(&fresh), "< 300 ms"),
        ("start on one with data", milliseconds(&again), "< 300 ms"),
        (
            "resident memory, idle",
            format!("{:.0} MiB (PSS {:.0} MiB)", memory[0], memory[1]),
            "< 40 MiB",
        ),
    ];
    for (what, measured, goal) in rows {
        report.row([what.to_owned(), measured, goal.to_owned()]);
    }
    Ok(())
}

fn start(bed: &Bed<'_>, folder: &Path) -> Result<(Running, Duration)> {
    let mut command = pinned(BOTH_CORES, bed.programs.join("platform"));
    command
        .env("GATEWAY_LISTEN", "127.0.0.1:0")
        .env("ADMIN_LISTEN", "127.0.0.1:0")
        .env("CATALOG_LISTEN", "127.0.0.1:0")
        .env("NAMES_LISTEN", "127.0.0.1:0")
        .env("DATA_DIR", folder.join("data"))
        .env("RUST_LOG", "warn");
    let (running, _, took) = Running::announced(command, &folder.join("log"))?;
    Ok((running, took))
}
