//! What is measured, how long and how often.

use std::{env, path::PathBuf};

use anyhow::{Context as _, Result, bail};

/// Chosen by the environment: `BENCH_ROUNDS` (5), `BENCH_SECONDS` (1) per round, case and contender, `BENCH_CASES` (all; names
/// of cases or groups, separated by commas), `BENCH_BEFORE` (none; a folder with the programs of another build, which takes part as `before`).
///
/// Many short rounds say more than few long ones: what disturbs a shared machine lasts for seconds.
pub(crate) struct Plan {
    pub(crate) rounds: usize,
    pub(crate) seconds: u64,
    pub(crate) before: Option<PathBuf>,
    /// Folder of gunicorn, from `BENCH_PYTHON`.
    pub(crate) python: PathBuf,
    only: Option<Vec<String>>,
}

/// Name of a group and of its cases.
pub(crate) type Group = (&'static str, &'static [&'static str]);

// === impl Plan ===

impl Plan {
    /// # Errors
    /// When a variable is no number, or names a case that is none of `groups`.
    pub(crate) fn from_environment(groups: &[Group]) -> Result<Self> {
        let number = |name: &str, default: u64| -> Result<u64> {
            env::var(name).map_or(Ok(default), |text| {
                text.parse()
                    .with_context(|| format!("{name} must be a number, not {text:?}"))
            })
        };
        let only = env::var("BENCH_CASES")
            .ok()
            .map(|names| chosen(&names, groups))
            .transpose()?;
        Ok(Self {
            rounds: usize::try_from(number("BENCH_ROUNDS", 5)?.clamp(1, 100))?,
            seconds: number("BENCH_SECONDS", 1)?.clamp(1, 60),
            before: env::var_os("BENCH_BEFORE").map(PathBuf::from),
            python: env::var_os("BENCH_PYTHON").map_or_else(PathBuf::new, PathBuf::from),
            only,
        })
    }

    pub(crate) fn wants(&self, name: &str) -> bool {
        self.only
            .as_ref()
            .is_none_or(|names| names.iter().any(|wanted| wanted == name))
    }
}

/// Names of cases, and of groups for all of theirs.
fn chosen(names: &str, groups: &[Group]) -> Result<Vec<String>> {
    let mut chosen = Vec::new();
    for name in names.split(',').map(str::trim) {
        let group = groups.iter().find(|(group, _)| *group == name);
        let mut cases = groups.iter().flat_map(|(_, cases)| cases.iter());
        if let Some((_, cases)) = group {
            chosen.extend(cases.iter().map(|&case| case.to_owned()));
        } else if cases.any(|&case| case == name) {
            chosen.push(name.to_owned());
        } else {
            let known = groups
                .iter()
                .map(|(group, cases)| format!("{group} ({})", cases.join(", ")));
            let known = known.collect::<Vec<_>>().join("; ");
            bail!("BENCH_CASES: no case {name:?}; there are {known}");
        }
    }
    Ok(chosen)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GROUPS: [Group; 2] = [("peers", &["small", "idle"]), ("platform", &["reads"])];

    #[test]
    fn a_group_stands_for_its_cases() {
        assert_eq!(
            chosen("reads, peers", &GROUPS).unwrap(),
            ["reads", "small", "idle"]
        );
    }

    #[test]
    fn an_unknown_case_is_refused_with_the_known_ones() {
        let refused = chosen("smal", &GROUPS).unwrap_err().to_string();
        assert!(
            refused.contains("\"smal\"") && refused.contains("platform (reads)"),
            "{refused}"
        );
    }
}
