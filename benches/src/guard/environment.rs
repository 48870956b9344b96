//! What counts of instructions depend on besides our code.

use std::{fs, process::Command};

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};

/// Versions and the CPU, as the programs name themselves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Environment {
    architecture: String,
    /// Valgrind passes on what the CPU has up to AVX2, and libraries look for it when they start.
    avx2: bool,
    libc: String,
    rustc: String,
    valgrind: String,
}

// === impl Environment ===

impl Environment {
    pub(super) fn here() -> Result<Self> {
        let cpu = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        Ok(Self {
            architecture: std::env::consts::ARCH.to_owned(),
            avx2: cpu.split_whitespace().any(|flag| flag == "avx2"),
            libc: first_line("ldd")?,
            rustc: first_line("rustc")?,
            valgrind: first_line("valgrind")?,
        })
    }

    /// One sentence per difference.
    pub(super) fn differences(&self, here: &Self) -> Vec<String> {
        let flag = |has: bool| if has { "AVX2" } else { "no AVX2" };
        [
            (self.architecture.as_str(), here.architecture.as_str()),
            (flag(self.avx2), flag(here.avx2)),
            (&self.libc, &here.libc),
            (&self.rustc, &here.rustc),
            (&self.valgrind, &here.valgrind),
        ]
        .into_iter()
        .filter(|(recorded, here)| recorded != here)
        .map(|(recorded, here)| format!("{here}, recorded with {recorded}"))
        .collect()
    }
}

fn first_line(program: &str) -> Result<String> {
    let output = Command::new(program)
        .arg("--version")
        .output()
        .with_context(|| format!("cannot start {program}"))?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let line = said.lines().next().map(str::trim);
    line.map(str::to_owned)
        .with_context(|| format!("{program} does not say its version"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_names_both_sides() {
        let recorded = Environment {
            architecture: "x86_64".to_owned(),
            avx2: true,
            libc: "2.36".to_owned(),
            rustc: "1.95".to_owned(),
            valgrind: "3.19".to_owned(),
        };
        assert!(recorded.differences(&recorded.clone()).is_empty());
        let here = Environment {
            avx2: false,
            valgrind: "3.24".to_owned(),
            ..recorded.clone()
        };
        assert_eq!(
            recorded.differences(&here),
            ["no AVX2, recorded with AVX2", "3.24, recorded with 3.19"]
        );
    }
}
