//! What the comparison found, as tables of the report.

use super::{
    cases::Measured, contender::GATEWAY, growth::Growth, growth::GrowthLine, idle::IdleLine,
    latency::LatencyLine, reload::ReloadLine,
};
use crate::rig::{report::Report, rounds::Figures};

/// One table of CPU, one of everything else.
pub(super) fn cases(report: &mut Report, names: &[&str], cases: &[Measured]) {
    if cases.is_empty() {
        return;
    }
    let columns: Vec<_> = ["case"].iter().chain(names).copied().collect();
    let with_goal: Vec<_> = columns.iter().copied().chain(["to reach"]).collect();
    report.table(
        "CPU per request, µs (ratio to nginx)",
        "The time that all processes of a proxy spent, over the requests that were answered. The gateway runs as shipped: metrics, health \
         checks, request ids, trace ids and hot reload on. 64 connections to one core, two endpoints in turn, routes by prefix.",
        &with_goal,
    );
    for Measured { case, figures } in cases {
        let cells = cells(figures, |own| {
            format!("{:.1} ({:.2})", own.cpu_us, own.ratio)
        });
        report.row(
            [case.title.to_owned()]
                .into_iter()
                .chain(cells)
                .chain([format!("{:.2}", case.goal)]),
        );
        let gateway = names.iter().position(|name| *name == GATEWAY);
        if let Some(Some(own)) = gateway.and_then(|at| figures.get(at)) {
            report.should_be(case.title, own.ratio, case.goal);
        }
    }
    report.table(
        "Requests per second · share of its core · memory afterwards, MiB · failed",
        "Where the share is well below 100 %, the load generator or the endpoints on core 1 were the limit.",
        &columns,
    );
    for Measured { case, figures } in cases {
        let cells = cells(figures, |own| {
            format!(
                "{:.0} · {:.0} % · {:.0} · {}",
                own.rate, own.busy_percent, own.memory_mib, own.failed
            )
        });
        report.row([case.title.to_owned()].into_iter().chain(cells));
    }
}

fn cells(
    figures: &[Option<Figures>],
    cell: impl Fn(&Figures) -> String,
) -> impl Iterator<Item = String> {
    figures
        .iter()
        .map(move |own| own.as_ref().map_or_else(|| "–".to_owned(), &cell))
}

pub(super) fn growth(report: &mut Report, growth: &Growth, lines: &[GrowthLine]) {
    report.table(
        growth.title,
        "CPU per request, and the ratio to the contender's own with few, in the same rounds. The last route is asked for.",
        &["", "few, µs", "many, µs", "ratio", "few, MiB", "many, MiB", "failed"],
    );
    for GrowthLine {
        contender,
        few,
        many,
    } in lines
    {
        report.row([
            (*contender).to_owned(),
            format!("{:.1}", few.cpu_us),
            format!("{:.1}", many.cpu_us),
            format!("{:.2}", many.ratio),
            format!("{:.0}", few.memory_mib),
            format!("{:.0}", many.memory_mib),
            format!("{}", few.failed + many.failed),
        ]);
    }
}

pub(super) fn latency(report: &mut Report, lines: &[LatencyLine]) {
    report.table(
        "Latency at 10,000 requests per second, µs",
        "GET 64 B, 32 connections, counted from the moment a request was due.",
        &["", "p50", "p99", "p99.9", "failed"],
    );
    for line in lines {
        report.row([
            line.contender.to_owned(),
            format!("{:.0}", line.p50),
            format!("{:.0}", line.p99),
            format!("{:.0}", line.p999),
            line.failed.to_string(),
        ]);
    }
}

pub(super) fn idle(report: &mut Report, lines: &[IdleLine]) {
    report.table(
        "Memory of an idle connection",
        "5,000 connections that made one request each; PSS of the proxy's processes.",
        &["", "KiB each"],
    );
    for line in lines {
        report.row([line.contender.to_owned(), format!("{:.1}", line.kib)]);
    }
}

pub(super) fn reload(report: &mut Report, lines: &[ReloadLine]) {
    report.table(
        "Changes of the configuration under load",
        "5,000 requests per second on 32 connections: 10 s without a change, then 20 s with 20 changes (nginx: HUP, HAProxy: USR2 to its master, \
         Caddy: `caddy reload`, gateway: a write to its catalog). The client tries nothing again. Latencies in µs.",
        &[
            "", "failed, quiet", "failed, changing", "p99 quiet", "p99 changing", "p99.9 quiet", "p99.9 changing",
        ],
    );
    for ReloadLine {
        contender,
        quiet,
        changing,
    } in lines
    {
        report.row([
            (*contender).to_owned(),
            quiet.failed.to_string(),
            changing.failed.to_string(),
            format!("{:.0}", quiet.per_mille(990)),
            format!("{:.0}", changing.per_mille(990)),
            format!("{:.0}", quiet.per_mille(999)),
            format!("{:.0}", changing.per_mille(999)),
        ]);
    }
}
