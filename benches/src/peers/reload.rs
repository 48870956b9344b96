//! Changes of the configuration under a steady load: requests that fail, and what happens to the latency.

use std::{
    thread,
    time::{Duration, Instant},
};

use anyhow::{Result, anyhow};

use super::{
    contender::{Bed, Contender, Serving},
    shape::Shape,
};
use crate::rig::paced::{Latencies, Pace};

/// Requests per second meanwhile.
const RATE: u64 = 5_000;
/// How long with changes.
const TIME: Duration = Duration::from_secs(20);
/// How long without, before.
const QUIET: Duration = Duration::from_secs(10);
/// Changes in that time.
const CHANGES: u32 = 20;

/// One contender with and without changes.
pub(super) struct ReloadLine {
    pub(super) contender: &'static str,
    pub(super) quiet: Latencies,
    pub(super) changing: Latencies,
}

/// One contender after the other.
pub(super) fn compare(bed: &Bed<'_>, contenders: &[Box<dyn Contender>]) -> Result<Vec<ReloadLine>> {
    let mut lines = Vec::new();
    for contender in contenders {
        let Some(serving) = contender.start(bed, &Shape::PLAIN)? else {
            continue;
        };
        let pace = Pace {
            address: serving.plain,
            path: "/s1/small",
            per_second: RATE,
            time: TIME,
        };
        let quiet = Pace {
            time: QUIET,
            ..pace
        }
        .run();
        let load = thread::spawn(move || pace.run());
        change(contender.as_ref(), bed, &serving)?;
        let changing = load
            .join()
            .map_err(|_| anyhow!("the load ended by a panic"))?;
        lines.push(ReloadLine {
            contender: contender.name(),
            quiet,
            changing,
        });
    }
    Ok(lines)
}

fn change(contender: &dyn Contender, bed: &Bed<'_>, serving: &Serving) -> Result<()> {
    let start = Instant::now();
    for step in 1..=CHANGES {
        let due = start + TIME / (CHANGES + 1) * step;
        thread::sleep(due.saturating_duration_since(Instant::now()));
        contender.reload(bed, serving, step as usize)?;
    }
    Ok(())
}
