//! The gateway side by side with nginx, HAProxy and Caddy.
//!
//! ```text
//! case ─► shape ─► every contender started on it, pinned to core 0 ─► rounds, contenders in turn ─► medians ─► table
//!                  backend (nginx), load generator: core 1
//! ```
//!
//! The main figure is the CPU time that all processes of a proxy spent, over the requests that were answered: it says what a
//! request costs, whatever else the machine does, and however fast the load generator is. Absolute times drift with the host;
//! the ratio to nginx in the same round does not, so ratios are what the table is about.

mod cases;
mod certificate;
mod configurations;
mod configured;
mod contender;
mod entrants;
mod gateway;
mod growth;
mod idle;
mod latency;
mod reload;
mod shape;
mod tables;

use std::path::Path;

use anyhow::{Context as _, Result};

use crate::{
    peers::{certificate::Certificate, contender::Bed},
    rig::{backend::Backend, plan::Plan, report::Report, scratch::Scratch},
};

pub(crate) use cases::NAMES;

/// Runs every case that the plan asks for.
///
/// # Errors
/// When a program is missing or does not start.
pub(crate) fn compare(programs: &Path, plan: &Plan, report: &mut Report) -> Result<()> {
    if !NAMES.iter().any(|name| plan.wants(name)) {
        return Ok(());
    }
    let scratch = Scratch::new().context("cannot make a temporary folder")?;
    let backend = Backend::start(&scratch)?;
    let bed = Bed {
        scratch: &scratch,
        backend: &backend,
        certificate: &Certificate::new(&scratch.folder("tls")?)?,
    };
    let contenders = contender::all(plan, programs);
    let names: Vec<_> = contenders
        .iter()
        .map(|contender| contender.name())
        .collect();
    let wanted = cases::all()
        .into_iter()
        .filter(|case| plan.wants(case.name));
    let measured = wanted
        .map(|case| {
            report.progress(case.title);
            case.measure(&bed, plan, &contenders)
        })
        .collect::<Result<Vec<_>>>()?;
    tables::cases(report, &names, &measured);
    for growth in growth::ALL {
        if plan.wants(growth.name) {
            report.progress(growth.title);
            tables::growth(report, &growth, &growth.measure(&bed, plan, &contenders)?);
        }
    }
    if plan.wants("latency") {
        report.progress("latency at a fixed rate");
        tables::latency(report, &latency::compare(&bed, plan, &contenders)?);
    }
    if plan.wants("idle") {
        report.progress("idle connections");
        tables::idle(report, &idle::compare(&bed, &contenders)?);
    }
    if plan.wants("reload") {
        report.progress("changes under load");
        tables::reload(report, &reload::compare(&bed, &contenders)?);
    }
    if plan.wants("configurations") {
        configurations::tell(&bed, &contenders, report)?;
    }
    Ok(())
}
