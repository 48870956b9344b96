//! The table: printed, and written as Markdown.

use std::{fmt::Write as _, fs, path::Path};

use anyhow::{Context as _, Result};

use super::{
    idle::IdleLine,
    machine::Machine,
    paced::LatencyLine,
    reload::ReloadLine,
    rounds::{Figures, Measured, Plan},
};

/// Gathers what was measured.
pub(super) struct Report {
    head: String,
    cases: Vec<Measured>,
    sections: String,
}

// === impl Report ===

impl Report {
    pub(super) fn new(machine: Machine, plan: &Plan) -> Self {
        let mut head = String::from(
            "# The gateway beside its peers\n\nWritten by `make bench-peers`. CPU is the time that all processes of a proxy spent, over the requests \
             answered; a ratio is the median over interleaved rounds of that time over nginx's in the same round. The proxy has core 0, the \
             load generator and the endpoints core 1, which is often the limit of requests per second. The gateway runs as shipped: \
             metrics, health checks, request ids, trace ids and hot reload on.\n\n",
        );
        for line in &machine.lines {
            head.push_str(&format!("- {line}\n"));
        }
        head.push_str(&format!(
            "- {} rounds of {} s per case and contender\n",
            plan.rounds, plan.seconds
        ));
        Self {
            head,
            cases: Vec::new(),
            sections: String::new(),
        }
    }

    pub(super) fn add(&mut self, measured: Measured) {
        eprint_line(&measured);
        self.cases.push(measured);
    }

    pub(super) fn add_latency(&mut self, lines: Vec<LatencyLine>) {
        self.section(
            "Latency at 10,000 requests per second, from the moment a request was due (µs)",
            "| | p50 | p99 | p99.9 | failed |\n|---|---|---|---|---|",
        );
        for line in lines {
            self.row(&format!(
                "| {} | {:.0} | {:.0} | {:.0} | {} |",
                line.contender, line.p50, line.p99, line.p999, line.failed
            ));
        }
    }

    pub(super) fn add_idle(&mut self, lines: Vec<IdleLine>) {
        self.section(
            "Memory of an idle connection after one request (5,000 open; KiB, PSS)",
            "| | KiB each |\n|---|---|",
        );
        for line in lines {
            self.row(&format!("| {} | {:.1} |", line.contender, line.kib));
        }
    }

    pub(super) fn add_reload(&mut self, lines: Vec<ReloadLine>) {
        self.section(
            "20 changes in 20 s at 5,000 requests per second (100,000 requests; µs)",
            "| | failed, quiet | failed, changing | p99 quiet | p99 changing | p99.9 quiet | p99.9 changing |\n|---|---|---|---|---|---|---|",
        );
        for ReloadLine {
            contender,
            quiet,
            changing,
        } in lines
        {
            self.row(&format!(
                "| {contender} | {} | {} | {:.0} | {:.0} | {:.0} | {:.0} |",
                quiet.failed,
                changing.failed,
                quiet.per_mille(990),
                changing.per_mille(990),
                quiet.per_mille(999),
                changing.per_mille(999)
            ));
        }
    }

    /// Prints the report and writes it to a file.
    pub(super) fn write(self, path: &Path) -> Result<()> {
        let text = format!("{}{}{}", self.head, tables(&self.cases)?, self.sections);
        show(&text);
        fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
    }

    fn section(&mut self, title: &str, columns: &str) {
        self.sections
            .push_str(&format!("\n## {title}\n\n{columns}\n"));
    }

    fn row(&mut self, row: &str) {
        show(row);
        self.sections.push_str(row);
        self.sections.push('\n');
    }
}

/// One table of ratios, one of everything else.
fn tables(cases: &[Measured]) -> Result<String, std::fmt::Error> {
    let mut text = String::new();
    let Some(first) = cases
        .iter()
        .find(|measured| measured.figures.iter().all(Option::is_some))
        .or_else(|| cases.first())
    else {
        return Ok(text);
    };
    let names: Vec<_> = first
        .figures
        .iter()
        .flatten()
        .map(|figures| figures.contender)
        .collect();
    let columns = names.join(" | ");
    let rule = "---|".repeat(names.len());
    writeln!(
        text,
        "\n## CPU per request, µs (ratio to nginx)\n\n| case | {columns} | to reach |\n|---|{rule}---|"
    )?;
    for Measured { case, figures } in cases {
        let cells = row(&names, figures, |own| {
            format!("{:.1} ({:.2})", own.cpu_us, own.ratio)
        });
        let goal = case
            .goal
            .map_or_else(|| "flat".to_owned(), |goal| format!("{goal:.2}"));
        writeln!(text, "| {} | {cells} | {goal} |", case.title)?;
    }
    writeln!(
        text,
        "\n## Requests per second on one core · memory afterwards (MiB) · failed\n\n| case | {columns} |\n|---|{rule}"
    )?;
    for Measured { case, figures } in cases {
        let cells = row(&names, figures, |own| {
            format!("{:.0} · {:.0} · {}", own.rate, own.memory_mib, own.failed)
        });
        writeln!(text, "| {} | {cells} |", case.title)?;
    }
    Ok(text)
}

fn row(names: &[&str], figures: &[Option<Figures>], cell: impl Fn(&Figures) -> String) -> String {
    let cells = names.iter().map(|name| {
        let own = figures
            .iter()
            .flatten()
            .find(|figures| figures.contender == *name);
        own.map_or_else(|| "–".to_owned(), &cell)
    });
    cells.collect::<Vec<_>>().join(" | ")
}

fn eprint_line(Measured { case, figures }: &Measured) {
    let parts = figures
        .iter()
        .flatten()
        .map(|own| format!("{} {:.1} µs ({:.2})", own.contender, own.cpu_us, own.ratio));
    show(&format!(
        "{}: {}",
        case.title,
        parts.collect::<Vec<_>>().join(", ")
    ));
}

#[expect(clippy::print_stdout, reason = "the table is this program's output")]
fn show(line: &str) {
    println!("{line}");
}
