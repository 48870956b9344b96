//! Rounds: every contender in turn, so that a disturbance of the machine meets all of them; then medians.

use std::{env, time::Duration};

use anyhow::{Context as _, Result};

use super::{
    cases::Case,
    contender::{self, Bed, Contender, Serving},
};

/// How long and how often.
pub(super) struct Plan {
    pub(super) rounds: usize,
    pub(super) seconds: u64,
    only: Option<Vec<String>>,
}

/// One contender's figures in one case: medians over the rounds.
#[derive(Clone, Debug)]
pub(super) struct Figures {
    pub(super) contender: &'static str,
    /// CPU time per answered request, in microseconds.
    pub(super) cpu_us: f64,
    /// The same over nginx's in the same round.
    pub(super) ratio: f64,
    /// Answers per second with the proxy on one core.
    pub(super) rate: f64,
    /// Memory after the load, in MiB.
    pub(super) memory_mib: f64,
    /// Requests that failed in all rounds.
    pub(super) failed: u64,
}

/// A case with everybody's figures; `None` for those without the feature.
pub(super) struct Measured {
    pub(super) case: Case,
    pub(super) figures: Vec<Option<Figures>>,
}

// === impl Plan ===

impl Plan {
    /// `BENCH_ROUNDS` (5), `BENCH_SECONDS` (2) and `BENCH_CASES` (all; names separated by commas).
    pub(super) fn from_environment() -> Result<Self> {
        let number = |name: &str, default: u64| -> Result<u64> {
            env::var(name).map_or(Ok(default), |text| {
                text.parse()
                    .with_context(|| format!("{name} must be a number, not {text:?}"))
            })
        };
        Ok(Self {
            rounds: usize::try_from(number("BENCH_ROUNDS", 5)?.clamp(1, 100))?,
            seconds: number("BENCH_SECONDS", 2)?.clamp(1, 60),
            only: env::var("BENCH_CASES")
                .ok()
                .map(|names| names.split(',').map(str::to_owned).collect()),
        })
    }

    pub(super) fn wants(&self, name: &str) -> bool {
        self.only
            .as_ref()
            .is_none_or(|names| names.iter().any(|wanted| wanted == name))
    }
}

/// One sample of one contender.
struct Sample {
    cpu_us: f64,
    rate: f64,
    failed: u64,
}

/// Measures one case.
pub(super) fn run(bed: &Bed<'_>, plan: &Plan, case: &Case) -> Result<Measured> {
    let contenders = contender::all();
    let mut serving = Vec::new();
    for contender in contenders {
        let started = contender.start(bed, &case.shape);
        serving
            .push(started.with_context(|| format!("{} in case {}", contender.name(), case.name))?);
    }
    let mut samples: Vec<Vec<Sample>> = contenders.iter().map(|_| Vec::new()).collect();
    // The first round warms pools, caches and branch predictors and is thrown away.
    for round in 0..=plan.rounds {
        for (index, serving) in serving.iter().enumerate() {
            let Some(serving) = serving else { continue };
            let sample = sample(bed, plan, case, serving)?;
            if round > 0 {
                samples[index].push(sample);
            }
        }
    }
    let figures =
        contenders
            .iter()
            .zip(&serving)
            .zip(&samples)
            .map(|((contender, serving), taken)| {
                serving
                    .as_ref()
                    .map(|serving| figures(*contender, serving, taken, &samples[0]))
            });
    let figures = figures.collect();
    Ok(Measured {
        case: case.clone(),
        figures,
    })
}

fn sample(bed: &Bed<'_>, plan: &Plan, case: &Case, serving: &Serving) -> Result<Sample> {
    let address = if case.shape.tls {
        serving.tls.context("no listener with TLS")?
    } else {
        serving.plain
    };
    let before = serving.running.cpu_seconds();
    let outcome = case.load.run(
        bed.scratch,
        address,
        case.shape.tls,
        Duration::from_secs(plan.seconds),
    )?;
    let spent = serving.running.cpu_seconds() - before;
    Ok(Sample {
        cpu_us: spent * 1e6 / outcome.answered.max(1) as f64,
        rate: outcome.rate,
        failed: outcome.failed,
    })
}

fn figures(
    contender: &dyn Contender,
    serving: &Serving,
    taken: &[Sample],
    reference: &[Sample],
) -> Figures {
    Figures {
        contender: contender.name(),
        cpu_us: median(taken.iter().map(|sample| sample.cpu_us)),
        ratio: median(
            taken
                .iter()
                .zip(reference)
                .map(|(own, nginx)| own.cpu_us / nginx.cpu_us),
        ),
        rate: median(taken.iter().map(|sample| sample.rate)),
        memory_mib: serving.running.memory_kib() / 1024.0,
        failed: taken.iter().map(|sample| sample.failed).sum(),
    }
}

/// The middle value, or the mean of the two in the middle. 0 for none.
pub(super) fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => 0.0,
        odd if odd % 2 == 1 => values[middle],
        _ => f64::midpoint(values[middle - 1], values[middle]),
    }
}

#[cfg(test)]
mod tests {
    use super::median;

    #[test]
    fn the_median_is_the_middle() {
        assert!((median([3.0, 1.0, 2.0].into_iter()) - 2.0).abs() < f64::EPSILON);
        assert!((median([4.0, 1.0, 2.0, 3.0].into_iter()) - 2.5).abs() < f64::EPSILON);
    }
}
