//! What the platform costs: beside its peers under load, part by part in micro benchmarks, and instruction by instruction.
//!
//! Speed is measured here and nowhere asserted: machines are shared and noisy. That nothing is lost is asserted ([`prove`]).

mod bed;
pub mod guard;
pub mod parts;
mod peers;
mod platform;
pub mod prove;
mod rig;

use std::path::Path;

use anyhow::Result;

use crate::rig::{machine::Machine, plan::Plan, report::Report};

/// Runs every case that the environment asks for (see [`Plan`]) with the programs of a folder, and writes the report.
///
/// # Errors
/// When a program is missing or does not start.
pub fn measure(programs: &Path, results: &Path) -> Result<()> {
    let plan = Plan::from_environment(&[("peers", &peers::NAMES), ("platform", &platform::NAMES)])?;
    let mut report = Report::new(&Machine::read(programs, &plan), &plan);
    let outcome = peers::compare(programs, &plan, &mut report)
        .and_then(|()| platform::measure(programs, &plan, &mut report));
    // What was measured before something failed took minutes: it is written, too.
    report.write(results)?;
    outcome
}
