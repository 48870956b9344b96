//! The gateway side by side with nginx, HAProxy and Caddy: `make bench-peers`.
//!
//! ```text
//! case ─► shape ─► every contender started on it, pinned to core 0 ─► rounds, contenders in turn ─► medians ─► table
//!                  backend (nginx), load generator: core 1
//! ```
//!
//! The main figure is the CPU time that all processes of a proxy spent, over the requests that were answered: it says what a
//! request costs, whatever else the machine does, and however fast the load generator is. Absolute times drift with the host;
//! the ratio to nginx in the same round does not, so ratios are what the table is about.

mod backend;
mod cases;
mod certificate;
mod configured;
mod contender;
mod gateway;
mod idle;
mod load;
mod machine;
mod paced;
mod processes;
mod reload;
mod report;
mod rounds;
mod scratch;
mod shape;

use std::path::Path;

use anyhow::{Context as _, Result};

use crate::peers::{
    backend::Backend, contender::Bed, machine::Machine, report::Report, rounds::Plan,
    scratch::Scratch,
};

/// Runs every case that the plan asks for and writes the report.
///
/// # Errors
/// When a program is missing or does not start.
pub fn compare(programs: &Path, results: &Path) -> Result<()> {
    let plan = Plan::from_environment()?;
    let scratch = Scratch::new().context("cannot make a temporary folder")?;
    let backend = Backend::start(&scratch)?;
    let bed = Bed {
        scratch: &scratch,
        backend: &backend,
        programs,
    };
    let mut report = Report::new(Machine::read(programs), &plan);
    for case in cases::all() {
        if plan.wants(case.name) {
            report.add(rounds::run(&bed, &plan, &case)?);
        }
    }
    if plan.wants("latency") {
        report.add_latency(paced::compare(&bed, &plan)?);
    }
    if plan.wants("idle") {
        report.add_idle(idle::compare(&bed)?);
    }
    if plan.wants("reload") {
        report.add_reload(reload::compare(&bed)?);
    }
    report.write(results)
}
