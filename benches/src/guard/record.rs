//! The record in the repository, and what a new count means beside it.

use std::{collections::BTreeMap, fmt, fs, path::Path};

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};

use super::environment::Environment;

/// Counts and with what they were made.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Record {
    pub(super) recorded_with: Environment,
    /// Per repetition.
    pub(super) instructions: BTreeMap<String, u64>,
}

/// One line of the comparison.
pub(super) struct Verdict<'a> {
    name: &'a str,
    recorded: Option<u64>,
    found: Option<u64>,
    limit_percent: f64,
}

// === impl Record ===

impl Record {
    pub(super) fn read(file: &Path) -> Result<Self> {
        let text =
            fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
        serde_json::from_str(&text)
            .with_context(|| format!("{} is not a record of this version", file.display()))
    }

    pub(super) fn write(&self, file: &Path) -> Result<()> {
        let text = serde_json::to_string_pretty(self)? + "\n";
        fs::write(file, text).with_context(|| format!("cannot write {}", file.display()))
    }

    /// Everything that is in the record or was found.
    pub(super) fn compare<'a>(
        &'a self,
        found: &'a BTreeMap<String, u64>,
        limit_percent: f64,
    ) -> Vec<Verdict<'a>> {
        let mut names: Vec<_> = self.instructions.keys().chain(found.keys()).collect();
        names.sort_unstable();
        names.dedup();
        let verdict = |name: &'a String| Verdict {
            name,
            recorded: self.instructions.get(name).copied(),
            found: found.get(name).copied(),
            limit_percent,
        };
        names.into_iter().map(verdict).collect()
    }
}

// === impl Verdict ===

impl Verdict<'_> {
    /// Whether it cost more than allowed, or only one side knows it.
    pub(super) fn is_bad(&self) -> bool {
        self.growth_percent()
            .is_none_or(|growth| growth > self.limit_percent)
    }

    fn growth_percent(&self) -> Option<f64> {
        let (recorded, found) = (self.recorded?, self.found?);
        // In this order five per cent of a thousand are exactly five.
        Some((found as f64 - recorded as f64) * 100.0 / recorded.max(1) as f64)
    }
}

impl fmt::Display for Verdict<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = |count: Option<u64>| count.map_or_else(|| "–".to_owned(), |it| it.to_string());
        let (recorded, found) = (count(self.recorded), count(self.found));
        write!(f, "{:<20} {recorded:>12} → {found:>12}", self.name)?;
        match self.growth_percent() {
            None => write!(f, "  NOT ON BOTH SIDES"),
            Some(growth) if self.is_bad() => write!(f, "  {growth:+.1} %  TOO MUCH"),
            Some(growth) if growth < -self.limit_percent => {
                write!(f, "  {growth:+.1} %  better: worth recording")
            }
            Some(growth) => write!(f, "  {growth:+.1} %"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(recorded: Option<u64>, found: Option<u64>) -> Verdict<'static> {
        Verdict {
            name: "part",
            recorded,
            found,
            limit_percent: 5.0,
        }
    }

    #[test]
    fn growth_beyond_the_limit_is_bad_and_named() {
        assert!(!verdict(Some(1_000), Some(1_050)).is_bad());
        let worse = verdict(Some(1_000), Some(1_060));
        assert!(worse.is_bad());
        assert!(worse.to_string().ends_with("+6.0 %  TOO MUCH"), "{worse}");
        let better = verdict(Some(1_000), Some(900));
        assert!(!better.is_bad());
        assert!(better.to_string().contains("worth recording"), "{better}");
    }

    #[test]
    fn what_only_one_side_knows_is_bad() {
        assert!(verdict(None, Some(1)).is_bad());
        assert!(verdict(Some(1), None).is_bad());
    }
}
