//! What is said on standard output.

use std::{
    io::{self, Write as _},
    time::Duration,
};

use super::{
    ledger::{Count, Ledger},
    plan::Plan,
    propagation::Propagation,
};

/// The end of a run.
pub(super) struct Report<'a> {
    pub(super) plan: &'a Plan,
    pub(super) ledger: &'a Ledger,
    pub(super) propagation: &'a Propagation,
    pub(super) time: Duration,
}

/// Says what is about to happen.
pub(super) fn announce(plan: &Plan) -> io::Result<()> {
    writeln!(
        io::stdout().lock(),
        "seed {} (PROVE_SEED={} repeats its choices), scale {}: {} changes, every instance replaced {} times, {} upgrades",
        plan.seed,
        plan.seed,
        plan.scale,
        plan.changes,
        plan.replacements,
        plan.upgrades
    )
}

// === impl Report ===

impl Report<'_> {
    pub(super) fn print(&self) -> io::Result<()> {
        let mut out = io::stdout().lock();
        writeln!(out, "\nin {:.1} s:", self.time.as_secs_f64())?;
        for (what, name) in Count::ALL {
            writeln!(out, "{:>10}  {name}", self.ledger.counted(what))?;
        }
        if let Some(measured) = self.propagation.percentiles() {
            let millis = |time: Duration| time.as_secs_f64() * 1e3;
            writeln!(
                out,
                "write accepted -> first request routed by it, {} writes: p50 {:.1} ms, p90 {:.1} ms, p99 {:.1} ms, longest {:.1} ms",
                measured.count,
                millis(measured.p50),
                millis(measured.p90),
                millis(measured.p99),
                millis(measured.longest)
            )?;
        }
        let failures = self.ledger.failures();
        if failures.is_empty() {
            return writeln!(out, "nothing was lost (seed {})", self.plan.seed);
        }
        writeln!(out, "LOST (seed {}):", self.plan.seed)?;
        failures
            .iter()
            .try_for_each(|failure| writeln!(out, "  {failure}"))
    }
}
