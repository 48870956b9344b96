//! How much is done, and from which seed.

use std::time::Duration;

use anyhow::{Context as _, Result, bail};

/// What a run does.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plan {
    /// Where every random choice comes from.
    pub(super) seed: u64,
    /// Part of the whole proof.
    pub(super) scale: f64,
    /// Writes to the catalog besides those of the replacement.
    pub(super) changes: u32,
    /// How often the gateway is upgraded.
    pub(super) upgrades: u32,
    /// How often every instance is replaced.
    pub(super) replacements: u32,
}

const CHANGES: f64 = 10_000.0;
const UPGRADES: f64 = 20.0;
const REPLACEMENTS: f64 = 5.0;
/// However short it is, there is more than one of everything that has a before and an after.
const UPGRADES_MIN: u32 = 2;
/// Mean pause between two changes; 10,000 of them take about two minutes.
pub(super) const CHANGE_PAUSE: Duration = Duration::from_millis(12);

// === impl Plan ===

impl Plan {
    /// `PROVE_SCALE`, 0.001 to 10, is a factor on everything; `PROVE_SEED` repeats the choices of an earlier run.
    pub(super) fn from_environment() -> Result<Self> {
        let scale = match std::env::var("PROVE_SCALE") {
            Ok(text) => text
                .parse()
                .ok()
                .filter(|scale| (0.001..=10.0).contains(scale)),
            Err(_) => Some(1.0),
        };
        let Some(scale) = scale else {
            bail!("PROVE_SCALE must be a number of 0.001 to 10");
        };
        let seed = match std::env::var("PROVE_SEED") {
            Ok(text) => text.parse().context("PROVE_SEED must be a whole number")?,
            Err(_) => rand::random(),
        };
        Ok(Self::new(seed, scale))
    }

    fn new(seed: u64, scale: f64) -> Self {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "at most ten times the whole proof"
        )]
        let part = |whole: f64| (whole * scale).round() as u32;
        Self {
            seed,
            scale,
            changes: part(CHANGES).max(1),
            upgrades: part(UPGRADES).max(UPGRADES_MIN),
            replacements: part(REPLACEMENTS).max(1),
        }
    }

    /// How long the changes take at least.
    pub(super) fn time_of_changes(&self) -> Duration {
        CHANGE_PAUSE * self.changes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_whole_proof_is_what_is_promised_and_a_part_has_some_of_everything() {
        let whole = Plan::new(1, 1.0);
        assert_eq!((whole.changes, whole.upgrades), (10_000, 20));
        let part = Plan::new(1, 0.001);
        assert_eq!((part.changes, part.upgrades, part.replacements), (10, 2, 1));
    }
}
