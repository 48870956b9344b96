//! Where and with what the figures were taken: without that they say nothing.

use std::{fs, path::Path, process::Command};

use super::{plan::Plan, postgres};

/// For the head of the report.
pub(crate) struct Machine {
    pub(crate) lines: Vec<String>,
}

// === impl Machine ===

impl Machine {
    pub(crate) fn read(programs: &Path, plan: &Plan) -> Self {
        let cpu = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let model = cpu
            .lines()
            .find_map(|line| line.strip_prefix("model name"))
            .map_or("unknown", |rest| rest.trim_start_matches([' ', '\t', ':']));
        let cores = cpu
            .lines()
            .filter(|line| line.starts_with("processor"))
            .count();
        let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        let mut lines = vec![format!("{cores} × {model}, Linux {}", kernel.trim())];
        let postgres = postgres::programs().unwrap_or_default();
        let said = [
            ("nginx".into(), "-v"),
            ("haproxy".into(), "-v"),
            ("caddy".into(), "version"),
            (plan.python.join("gunicorn"), "--version"),
            (postgres.join("postgres"), "--version"),
            ("wrk".into(), "-v"),
            ("h2load".into(), "--version"),
            ("rustc".into(), "--version"),
            (programs.join("gateway"), "--version"),
        ];
        lines.extend(said.into_iter().filter_map(|(program, argument)| {
            let version = first_line(&program, argument)?;
            Some(format!("{}: {version}", program.file_name()?.display()))
        }));
        Self { lines }
    }
}

/// Programs differ in where they write their version and how they exit.
fn first_line(program: &Path, argument: &str) -> Option<String> {
    let output = Command::new(program).arg(argument).output().ok()?;
    let said = [output.stdout, output.stderr].concat();
    let line = String::from_utf8_lossy(&said)
        .lines()
        .find(|line| !line.trim().is_empty())?
        .trim()
        .to_owned();
    Some(line)
}
