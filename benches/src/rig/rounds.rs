//! Rounds: every target in turn, so that a disturbance of the machine meets all of them; then medians.

use std::{net::SocketAddr, time::Duration};

use anyhow::{Context as _, Result};

use super::{load::Load, median::median, plan::Plan, processes::Running, scratch::Scratch};

/// A running program with what it has to do.
pub(crate) struct Target<'a> {
    pub(crate) running: &'a Running,
    pub(crate) address: SocketAddr,
    /// Whether the address speaks TLS.
    pub(crate) tls: bool,
    pub(crate) load: Load,
}

/// What a target showed in all rounds.
pub(crate) struct Taken {
    samples: Vec<Sample>,
    /// Memory after the load, in MiB.
    memory_mib: f64,
}

/// One round of one target.
struct Sample {
    cpu_us: f64,
    rate: f64,
    failed: u64,
}

/// One target's figures: medians over the rounds.
#[derive(Clone, Debug)]
pub(crate) struct Figures {
    /// CPU time of all its processes per answered request, in microseconds.
    pub(crate) cpu_us: f64,
    /// The same over the reference's in the same round.
    pub(crate) ratio: f64,
    /// Answers per second with the program on one core.
    pub(crate) rate: f64,
    /// The same over the reference's in the same round.
    pub(crate) rate_ratio: f64,
    /// Share of its core that the program used for that, in per cent. Well below 100 %: somebody else was the limit.
    pub(crate) busy_percent: f64,
    /// Memory after the load, in MiB.
    pub(crate) memory_mib: f64,
    /// Requests that failed in all rounds.
    pub(crate) failed: u64,
}

/// Loads all targets in turn. `None` stays `None`.
pub(crate) fn interleave(
    scratch: &Scratch,
    plan: &Plan,
    targets: &[Option<Target<'_>>],
) -> Result<Vec<Option<Taken>>> {
    let mut samples: Vec<Vec<Sample>> = targets.iter().map(|_| Vec::new()).collect();
    // The first round warms pools, caches and branch predictors and is thrown away.
    for round in 0..=plan.rounds {
        for (target, samples) in targets.iter().zip(&mut samples) {
            let Some(target) = target else { continue };
            let sample = target.sample(scratch, plan)?;
            if round > 0 {
                samples.push(sample);
            }
        }
    }
    let taken = targets.iter().zip(samples).map(|(target, samples)| {
        target.as_ref().map(|target| Taken {
            samples,
            memory_mib: target.running.memory_kib() / 1024.0,
        })
    });
    Ok(taken.collect())
}

// === impl Target ===

impl Target<'_> {
    fn sample(&self, scratch: &Scratch, plan: &Plan) -> Result<Sample> {
        let time = Duration::from_secs(plan.seconds);
        let before = self.running.cpu_seconds();
        let outcome = self.load.run(scratch, self.address, self.tls, time);
        let outcome = outcome.with_context(|| format!("load on {}", self.address))?;
        let spent = self.running.cpu_seconds() - before;
        Ok(Sample {
            cpu_us: spent * 1e6 / outcome.answered.max(1) as f64,
            rate: outcome.rate,
            failed: outcome.failed,
        })
    }
}

// === impl Taken ===

impl Taken {
    /// The medians, compared with the reference round by round.
    pub(crate) fn figures(&self, reference: &Self) -> Figures {
        let samples = self.samples.iter();
        let rounds = samples.clone().zip(&reference.samples);
        let busy = |sample: &Sample| sample.cpu_us * sample.rate / 1e4;
        Figures {
            cpu_us: median(samples.clone().map(|sample| sample.cpu_us)),
            ratio: median(rounds.clone().map(|(own, other)| own.cpu_us / other.cpu_us)),
            rate: median(samples.clone().map(|sample| sample.rate)),
            rate_ratio: median(rounds.map(|(own, other)| own.rate / other.rate)),
            busy_percent: median(samples.clone().map(busy)),
            memory_mib: self.memory_mib,
            failed: samples.map(|sample| sample.failed).sum(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(costs: &[f64]) -> Taken {
        let sample = |&cpu_us: &f64| Sample {
            cpu_us,
            rate: 1_000.0,
            failed: 1,
        };
        Taken {
            samples: costs.iter().map(sample).collect(),
            memory_mib: 1.0,
        }
    }

    #[test]
    fn a_ratio_is_taken_within_a_round() {
        let figures = taken(&[12.0, 24.0, 26.0]).figures(&taken(&[10.0, 20.0, 20.0]));
        assert!((figures.ratio - 1.2).abs() < 1e-9, "{figures:?}");
        // The machine was slower in some rounds. Dividing the medians would say 3.
        let figures = taken(&[10.0, 30.0, 30.0]).figures(&taken(&[10.0, 10.0, 30.0]));
        assert!((figures.ratio - 1.0).abs() < 1e-9, "{figures:?}");
        assert_eq!(figures.failed, 3);
        assert!((figures.busy_percent - 3.0).abs() < 1e-9, "{figures:?}");
    }
}
