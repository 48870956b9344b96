//! What was measured, as Markdown: printed while it grows, written at the end.

use std::{fs, path::Path};

use anyhow::{Context as _, Result};

use super::{machine::Machine, plan::Plan};

/// Said before every figure.
const HEAD: &str = "\
# Measured

Written by `make bench`. Everything ran on one machine in one go; a ratio compares two programs within the same round, so it holds
where absolute figures drift with the machine. Proxies and services have core 0; load generators, endpoints and catalogs core 1.

";

/// Said of the figures that are worse than they should be.
const MISSED: &str = "Where the time goes in these, and what was tried: [docs/performance.md](../docs/performance.md).";

/// Gathers what was measured.
pub(crate) struct Report {
    text: String,
    missed: Vec<Missed>,
}

/// A ratio that is worse than it should be.
struct Missed {
    what: String,
    measured: f64,
    goal: f64,
}

// === impl Report ===

impl Report {
    pub(crate) fn new(machine: &Machine, plan: &Plan) -> Self {
        let mut report = Self {
            text: String::new(),
            missed: Vec::new(),
        };
        report.line(HEAD.trim_end());
        report.line("");
        for line in &machine.lines {
            report.line(&format!("- {line}"));
        }
        report.line(&format!(
            "- {} rounds of {} s per case and contender, after one that is thrown away",
            plan.rounds, plan.seconds
        ));
        report
    }

    /// Begins a table. `explained` says how it was measured; it may be empty.
    pub(crate) fn table(&mut self, title: &str, explained: &str, columns: &[&str]) {
        self.line(&format!("\n## {title}\n"));
        if !explained.is_empty() {
            self.line(&format!("{explained}\n"));
        }
        self.line(&format!("| {} |", columns.join(" | ")));
        self.line(&format!("|{}", "---|".repeat(columns.len())));
    }

    /// A line of the table.
    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        let cells: Vec<_> = cells.into_iter().collect();
        self.line(&format!("| {} |", cells.join(" | ")));
    }

    /// Remembers a ratio that should not be larger than this, for the list of those that are.
    pub(crate) fn should_be(&mut self, what: &str, measured: f64, goal: f64) {
        if measured > goal {
            self.missed.push(Missed {
                what: what.to_owned(),
                measured,
                goal,
            });
        }
    }

    fn list_missed(&mut self) {
        if self.missed.is_empty() {
            return;
        }
        let columns = ["", "ratio", "to reach", "distance"];
        self.table("Not reached", MISSED, &columns);
        for Missed {
            what,
            measured,
            goal,
        } in std::mem::take(&mut self.missed)
        {
            let distance = (measured / goal - 1.0) * 100.0;
            self.row([
                what,
                format!("{measured:.2}"),
                format!("{goal:.2}"),
                format!("{distance:.0} %"),
            ]);
        }
    }

    /// A text as it is, folded.
    pub(crate) fn verbatim(&mut self, title: &str, text: &str) {
        self.line(&format!(
            "\n<details><summary>{title}</summary>\n\n```\n{}\n```\n\n</details>",
            text.trim_end()
        ));
    }

    /// What is being done, for who waits.
    #[expect(clippy::print_stderr, reason = "the report itself goes to stdout")]
    pub(crate) fn progress(&self, what: &str) {
        eprintln!("… {what}");
    }

    /// Writes everything to a file.
    pub(crate) fn write(mut self, path: &Path) -> Result<()> {
        self.list_missed();
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        fs::write(path, &self.text).with_context(|| format!("cannot write {}", path.display()))
    }

    #[expect(clippy::print_stdout, reason = "the report is this program's output")]
    fn line(&mut self, line: &str) {
        println!("{line}");
        self.text.push_str(line);
        self.text.push('\n');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_markdown() {
        let mut report = Report {
            text: String::new(),
            missed: Vec::new(),
        };
        report.table("Memory", "Idle.", &["", "MiB"]);
        report.row(["gateway".to_owned(), "12".to_owned()]);
        assert_eq!(
            report.text,
            "\n## Memory\n\nIdle.\n\n|  | MiB |\n|---|---|\n| gateway | 12 |\n"
        );
    }

    #[test]
    fn only_what_is_missed_is_listed() {
        let mut report = Report {
            text: String::new(),
            missed: Vec::new(),
        };
        report.should_be("fast", 0.9, 1.0);
        report.list_missed();
        assert_eq!(report.text, "");
        report.should_be("slow", 1.5, 1.2);
        report.list_missed();
        assert!(report.text.ends_with("| slow | 1.50 | 1.20 | 25 % |\n"));
    }
}
