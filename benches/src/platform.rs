//! What the platform's other parts cost: start and memory, reads, writes, the watch stream, and how long a change takes.
//!
//! Reads are compared with the least that could be done (a bare hyper server that gives the same bytes, `bin/bare.rs`) and with what a
//! team would write in an afternoon (Flask under gunicorn, `benches/peers/flask`).

mod change;
mod propagation;
mod reads;
mod start;
mod watch;
mod writes;

use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::rig::{
    backend::Backend, plan::Plan, postgres::Postgres, report::Report, scratch::Scratch,
};

/// Everything that `BENCH_CASES` may name here.
pub(crate) const NAMES: [&str; 6] = ["start", "reads", "writes", "watch", "propagation", "change"];

/// What every case here starts from.
struct Bed<'a> {
    scratch: &'a Scratch,
    backend: &'a Backend,
    postgres: &'a Postgres,
    /// Folder of this project's programs.
    programs: &'a Path,
    /// Folder of the programs of Python's environment.
    python: PathBuf,
}

/// Runs every case that the plan asks for.
///
/// # Errors
/// When a program is missing or does not start.
pub(crate) fn measure(programs: &Path, plan: &Plan, report: &mut Report) -> Result<()> {
    if !NAMES.iter().any(|name| plan.wants(name)) {
        return Ok(());
    }
    let scratch = Scratch::new()?;
    let bed = Bed {
        scratch: &scratch,
        backend: &Backend::start(&scratch)?,
        postgres: &Postgres::start(&scratch)?,
        programs,
        python: plan.python.clone(),
    };
    type Case = fn(&Bed<'_>, &Plan, &mut Report) -> Result<()>;
    let cases: [(&str, Case); NAMES.len()] = [
        ("start", start::measure),
        ("reads", reads::measure),
        ("writes", writes::measure),
        ("watch", watch::measure),
        ("propagation", propagation::measure),
        ("change", change::measure),
    ];
    for (name, measure) in cases {
        if plan.wants(name) {
            report.progress(name);
            measure(&bed, plan, report)?;
        }
    }
    Ok(())
}
