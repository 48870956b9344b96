//! The proof that no change costs a request: `make prove`.
//!
//! ```text
//!  clients: HTTP/1.1, HTTP/2, WebSocket, SSE ─► gateway (a process, upgraded again and again) ─► backends
//!                                                  ▲ watch
//!  random changes, rolling replacement ─────────► catalog (a process)
//! ```
//!
//! Clients never retry what may have been processed; only a request of HTTP/2 that a GOAWAY excludes goes to the next connection. One
//! request that is not answered with 200 and its own content, one message or event that is lost, doubled or out of order, one connection
//! that ends without an announcement, and one request that reaches an instance after it has left ends the run and fails it. The seed
//! decides what is changed and in which order; how that falls together with the load is the machine's.
//!
//! What an operator does is done as an operator does it: an instance is replaced by registering the new one and draining the old one,
//! and it stops when the catalog has taken it out; a gateway is upgraded by QUIT.

mod backend;
mod changes;
mod clients;
mod fleet;
mod ledger;
mod message;
mod plan;
mod policies;
mod processes;
mod propagation;
mod registry;
mod replacement;
mod report;
mod sequence;
mod upgrades;

use std::{path::Path, sync::Arc, time::Duration};

use anyhow::{Result, bail};
use tokio::time::{Instant, timeout};

use self::{
    changes::Changes, clients::Clients, fleet::Fleet, ledger::Ledger, plan::Plan,
    processes::Programs, propagation::Propagation, report::Report,
};

/// Load before the first change and after the last one.
const MARGIN: Duration = Duration::from_secs(1);
/// Longest wait for clients to come to the end of what they do.
const FINISH_TIMEOUT: Duration = Duration::from_secs(60);

/// Runs the proof with the programs of a folder, and says on standard output what came of it.
///
/// # Errors
/// When something was lost, or the programs cannot be started.
pub async fn run(programs: &Path) -> Result<()> {
    let plan = Plan::from_environment()?;
    let begun = Instant::now();
    let ledger = Arc::new(Ledger::default());
    let propagation = Arc::new(Propagation::default());
    report::announce(&plan)?;
    let mut programs = Programs::start(programs).await?;
    let fleet = Fleet::start(programs.registry(&propagation), Arc::clone(&ledger)).await?;
    programs.until_healthy(Fleet::endpoints()).await?;
    let clients = Clients::start(&programs, &ledger, &propagation, plan.seed);

    let outcome = tokio::select! {
        outcome = disturb(&plan, &fleet, &mut programs, &ledger) => outcome,
        () = ledger.failed() => Ok(()),
    };
    if let Err(error) = outcome {
        ledger.fail("run", format_args!("{error:#}"));
    }
    if !ledger.has_failures() {
        fleet.end_streams().await;
        if timeout(FINISH_TIMEOUT, clients.finish()).await.is_err() {
            ledger.fail("clients", "they did not come to an end");
        }
        programs.stop(&ledger).await;
    }
    Report {
        plan: &plan,
        ledger: &ledger,
        propagation: &propagation,
        time: begun.elapsed(),
    }
    .print()?;
    if ledger.has_failures() {
        bail!(
            "something was lost; the logs are in {}",
            programs.keep_logs().display()
        );
    }
    Ok(())
}

/// Changes, replacements and upgrades, all at the same time, until each has done what the plan says.
async fn disturb(
    plan: &Plan,
    fleet: &Fleet,
    programs: &mut Programs,
    ledger: &Ledger,
) -> Result<()> {
    tokio::time::sleep(MARGIN).await;
    tokio::try_join!(
        Changes::new(plan, fleet).run(ledger),
        replacement::replace_everything(plan, fleet, ledger),
        upgrades::upgrade(plan, programs, ledger),
    )?;
    tokio::time::sleep(MARGIN).await;
    Ok(())
}
