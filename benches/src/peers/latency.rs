//! Latency of every contender at the same rate.

use std::{net::SocketAddr, time::Duration};

use anyhow::Result;

use super::{
    contender::{Bed, Contender},
    shape::Shape,
};
use crate::rig::{
    median::median,
    paced::{Latencies, Pace},
    plan::Plan,
};

/// Requests per second of the comparison.
const RATE: u64 = 10_000;

/// One contender's line: medians over the rounds, in microseconds.
pub(super) struct LatencyLine {
    pub(super) contender: &'static str,
    pub(super) p50: f64,
    pub(super) p99: f64,
    pub(super) p999: f64,
    pub(super) failed: u64,
}

/// All contenders in turn.
pub(super) fn compare(
    bed: &Bed<'_>,
    plan: &Plan,
    contenders: &[Box<dyn Contender>],
) -> Result<Vec<LatencyLine>> {
    let mut serving = Vec::new();
    let direct = SocketAddr::from(([127, 0, 0, 1], bed.backend.ports[0]));
    let mut addresses = vec![("none (direct)", direct)];
    for contender in contenders {
        if let Some(started) = contender.start(bed, &Shape::PLAIN)? {
            addresses.push((contender.name(), started.plain));
            serving.push(started);
        }
    }
    let mut taken: Vec<Vec<Latencies>> = addresses.iter().map(|_| Vec::new()).collect();
    for round in 0..=plan.rounds {
        for (index, &(_, address)) in addresses.iter().enumerate() {
            // Twice as long as the other cases: p99.9 needs many requests.
            let time = Duration::from_secs(2 * plan.seconds);
            let latencies = Pace {
                address,
                path: "/s1/small",
                per_second: RATE,
                time,
            }
            .run();
            if round > 0 {
                taken[index].push(latencies);
            }
        }
    }
    let lines = addresses
        .iter()
        .zip(&taken)
        .map(|((contender, _), taken)| LatencyLine {
            contender,
            p50: median(taken.iter().map(|latencies| latencies.per_mille(500))),
            p99: median(taken.iter().map(|latencies| latencies.per_mille(990))),
            p999: median(taken.iter().map(|latencies| latencies.per_mille(999))),
            failed: taken.iter().map(|latencies| latencies.failed).sum(),
        });
    Ok(lines.collect())
}
