//! One gateway after the other, evenly over the time of the changes.

use anyhow::Result;
use tokio::time::{Instant, sleep_until};

use super::{
    ledger::{Count, Ledger},
    plan::Plan,
    processes::Programs,
};

/// Upgrades as often as the plan says.
pub(super) async fn upgrade(plan: &Plan, programs: &mut Programs, ledger: &Ledger) -> Result<()> {
    let pause = plan.time_of_changes() / plan.upgrades;
    let mut next = Instant::now() + pause / 2;
    for _ in 0..plan.upgrades {
        sleep_until(next).await;
        next = Instant::now() + pause;
        programs.upgrade().await?;
        ledger.count(Count::Upgrades);
    }
    Ok(())
}
