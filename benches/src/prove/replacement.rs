//! Every instance is replaced, one of each service at a time.

use std::time::Duration;

use anyhow::{Result, bail};
use futures_util::future::try_join_all;
use tokio::time::{Instant, sleep};

use super::{
    fleet::{Fleet, Kind, Service},
    ledger::{Count, Ledger},
    plan::Plan,
};

/// Longest time for an instance to finish what it has. Its drain ends as soon as it has.
const DRAIN: Duration = Duration::from_secs(60);
/// The same where tunnels go on as long as the run.
const SHORT_DRAIN: Duration = Duration::from_millis(200);
/// How much later than its drain an instance may be taken out.
const TAKEN_OUT_TIMEOUT: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(20);

/// Replaces every instance of every service, as often as the plan says. Services do not wait for each other.
pub(super) async fn replace_everything(plan: &Plan, fleet: &Fleet, ledger: &Ledger) -> Result<()> {
    let services = fleet.services.iter();
    let replacing = services.map(|service| async move {
        for _ in 0..plan.replacements {
            let instances = service.members().await.serving.len();
            for _ in 0..instances {
                replace_oldest(fleet, service, ledger).await?;
            }
        }
        anyhow::Ok(())
    });
    try_join_all(replacing).await?;
    Ok(())
}

/// Registers a new instance, drains the oldest one, and lets it go when the catalog has taken it out.
async fn replace_oldest(fleet: &Fleet, service: &Service, ledger: &Ledger) -> Result<()> {
    let drain = match service.kind {
        Kind::Kept => SHORT_DRAIN,
        _ => DRAIN,
    };
    let leaving = {
        let mut members = service.members().await;
        let fresh = fleet.register_new(service.name).await?;
        members.serving.push(fresh);
        let leaving = members.serving.remove(0);
        fleet
            .registry
            .drain_instance(service.name, &leaving.id, drain)
            .await?;
        leaving
    };
    let deadline = Instant::now() + drain + TAKEN_OUT_TIMEOUT;
    while fleet
        .registry
        .has_instance(service.name, &leaving.id)
        .await?
    {
        if Instant::now() > deadline {
            bail!("{} was not taken out after its drain", leaving.id);
        }
        sleep(POLL).await;
    }
    if service.kind == Kind::Kept {
        service.members().await.retired.push(leaving);
    } else {
        leaving.leave().await;
    }
    ledger.count(Count::Replaced);
    Ok(())
}
