//! What is measured, how long and how often.

use std::{env, path::PathBuf};

use anyhow::{Context as _, Result};

/// Chosen by the environment: `BENCH_ROUNDS` (5), `BENCH_SECONDS` (1) per round, case and contender, `BENCH_CASES` (all; names
/// separated by commas, `peers` for every one beside other proxies), `BENCH_BEFORE` (none; a folder with the programs of another build, which takes part as `before`).
///
/// Many short rounds say more than few long ones: what disturbs a shared machine lasts for seconds.
pub(crate) struct Plan {
    pub(crate) rounds: usize,
    pub(crate) seconds: u64,
    pub(crate) before: Option<PathBuf>,
    only: Option<Vec<String>>,
}

// === impl Plan ===

impl Plan {
    /// # Errors
    /// When a variable is no number, or names a case that is none of `cases`.
    pub(crate) fn from_environment(cases: &[&str]) -> Result<Self> {
        let number = |name: &str, default: u64| -> Result<u64> {
            env::var(name).map_or(Ok(default), |text| {
                text.parse()
                    .with_context(|| format!("{name} must be a number, not {text:?}"))
            })
        };
        let only = env::var("BENCH_CASES")
            .ok()
            .map(|names| chosen(&names, cases))
            .transpose()?;
        Ok(Self {
            rounds: usize::try_from(number("BENCH_ROUNDS", 5)?.clamp(1, 100))?,
            seconds: number("BENCH_SECONDS", 1)?.clamp(1, 60),
            before: env::var_os("BENCH_BEFORE").map(PathBuf::from),
            only,
        })
    }

    pub(crate) fn wants(&self, name: &str) -> bool {
        self.only
            .as_ref()
            .is_none_or(|names| names.iter().any(|wanted| wanted == name))
    }
}

fn chosen(names: &str, cases: &[&str]) -> Result<Vec<String>> {
    names
        .split(',')
        .map(str::trim)
        .map(|name| {
            cases
                .contains(&name)
                .then(|| name.to_owned())
                .with_context(|| {
                    format!(
                        "BENCH_CASES: no case {name:?}; there are {}",
                        cases.join(", ")
                    )
                })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_case_is_refused_with_the_known_ones() {
        assert_eq!(
            chosen("small, idle", &["small", "idle"]).unwrap(),
            ["small", "idle"]
        );
        let refused = chosen("smal", &["small", "reload"])
            .unwrap_err()
            .to_string();
        assert!(
            refused.contains("smal") && refused.contains("reload"),
            "{refused}"
        );
    }
}
