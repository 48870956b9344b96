//! Rounds: every entrant in turn, so that a disturbance of the machine meets all of them; then medians.

use std::time::Duration;

use anyhow::{Context as _, Result};

use super::{
    contender::{Bed, Contender, Serving},
    load::Load,
    shape::Shape,
};
use crate::rig::{median::median, plan::Plan};

/// One contender with what it has to do.
pub(super) struct Entrant<'a> {
    pub(super) contender: &'a dyn Contender,
    pub(super) shape: Shape,
    pub(super) load: Load,
}

/// What an entrant showed in all rounds.
pub(super) struct Taken {
    samples: Vec<Sample>,
    /// Memory after the load, in MiB.
    memory_mib: f64,
}

/// One round of one entrant.
struct Sample {
    cpu_us: f64,
    rate: f64,
    failed: u64,
}

/// One entrant's figures: medians over the rounds.
#[derive(Clone, Debug)]
pub(super) struct Figures {
    /// CPU time per answered request, in microseconds.
    pub(super) cpu_us: f64,
    /// The same over the reference's in the same round.
    pub(super) ratio: f64,
    /// Answers per second with the proxy on one core.
    pub(super) rate: f64,
    /// Share of its core that the proxy used for that, in per cent. Well below 100 %: somebody else was the limit.
    pub(super) busy_percent: f64,
    /// Memory after the load, in MiB.
    pub(super) memory_mib: f64,
    /// Requests that failed in all rounds.
    pub(super) failed: u64,
}

/// Starts all entrants and loads them in turn. `None` for those whose contender has no such feature.
pub(super) fn interleave(
    bed: &Bed<'_>,
    plan: &Plan,
    entrants: &[Entrant<'_>],
) -> Result<Vec<Option<Taken>>> {
    let mut serving = Vec::new();
    for Entrant {
        contender, shape, ..
    } in entrants
    {
        let started = contender.start(bed, shape);
        serving.push(started.with_context(|| format!("{} does not start", contender.name()))?);
    }
    let mut samples: Vec<Vec<Sample>> = entrants.iter().map(|_| Vec::new()).collect();
    // The first round warms pools, caches and branch predictors and is thrown away.
    for round in 0..=plan.rounds {
        for (index, (entrant, serving)) in entrants.iter().zip(&serving).enumerate() {
            let Some(serving) = serving else { continue };
            let sample = entrant.sample(bed, plan, serving)?;
            if round > 0 {
                samples[index].push(sample);
            }
        }
    }
    let taken = serving.iter().zip(samples).map(|(serving, samples)| {
        serving.as_ref().map(|serving| Taken {
            samples,
            memory_mib: serving.running.memory_kib() / 1024.0,
        })
    });
    Ok(taken.collect())
}

// === impl Entrant ===

impl Entrant<'_> {
    fn sample(&self, bed: &Bed<'_>, plan: &Plan, serving: &Serving) -> Result<Sample> {
        let address = if self.shape.tls {
            serving.tls.context("no listener with TLS")?
        } else {
            serving.plain
        };
        let time = Duration::from_secs(plan.seconds);
        let before = serving.running.cpu_seconds();
        let outcome = self
            .load
            .run(bed.scratch, address, self.shape.tls, time)
            .with_context(|| format!("load on {}", self.contender.name()))?;
        let spent = serving.running.cpu_seconds() - before;
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
    pub(super) fn figures(&self, reference: &Self) -> Figures {
        let samples = self.samples.iter();
        let rounds = samples.clone().zip(&reference.samples);
        Figures {
            cpu_us: median(samples.clone().map(|sample| sample.cpu_us)),
            ratio: median(rounds.map(|(own, reference)| own.cpu_us / reference.cpu_us)),
            rate: median(samples.clone().map(|sample| sample.rate)),
            busy_percent: median(
                samples
                    .clone()
                    .map(|sample| sample.cpu_us * sample.rate / 1e4),
            ),
            memory_mib: self.memory_mib,
            failed: samples.map(|sample| sample.failed).sum(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ratio_is_taken_within_a_round() {
        let taken = |costs: &[f64]| Taken {
            samples: costs
                .iter()
                .map(|&cpu_us| Sample {
                    cpu_us,
                    rate: 1_000.0,
                    failed: 1,
                })
                .collect(),
            memory_mib: 1.0,
        };
        // The machine was slower in the last two rounds. Dividing the medians would say 1.2.
        let figures = taken(&[12.0, 24.0, 26.0]).figures(&taken(&[10.0, 20.0, 20.0]));
        assert!((figures.ratio - 1.2).abs() < 1e-9, "{figures:?}");
        let figures = taken(&[10.0, 30.0, 30.0]).figures(&taken(&[10.0, 10.0, 30.0]));
        assert!((figures.ratio - 1.0).abs() < 1e-9, "{figures:?}");
        assert_eq!(figures.failed, 3);
        assert!((figures.busy_percent - 3.0).abs() < 1e-9, "{figures:?}");
    }
}
