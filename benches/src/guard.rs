//! Counts instructions and compares them with what is recorded: `make bench-guard`.
//!
//! ```text
//! parts (benches::parts) ─► prepare, warm, counter on, repeat, counter off ─┐
//! gateway, the program   ─► warm, counter to zero, script, counter read ────┴─► counts.json: at most 5 % more
//! ```
//!
//! Times tell the machine's mood; Valgrind's callgrind counts what a program executes, the same on a busy machine. What is left to
//! chance are hash seeds and, in the gateway, how many of its timers end in the same tick: about one per cent on a machine with several
//! times more to do than it has cores. Instructions in the kernel are not counted, nor those of threads beside the one that serves.
//! Counts do depend on the compiler, the C library and Valgrind, and a little on the CPU: libraries choose AVX2 code where there is
//! AVX2. So the record says with what it was made, and elsewhere the limit is a wider one.

mod callgrind;
mod environment;
mod record;
mod script;
mod standins;

use std::{collections::BTreeMap, path::Path};

use anyhow::{Context as _, Result, bail};

use crate::{
    guard::{callgrind::Callgrind, environment::Environment, record::Record},
    parts::{ALL, Operation, Part},
    rig::scratch::Scratch,
};

/// Most that a count may grow, in per cent, where everything is as it was when it was recorded.
const GROWTH_PERCENT_MAX: f64 = 5.0;
/// The same with another compiler, library, Valgrind or CPU.
const GROWTH_ELSEWHERE_PERCENT_MAX: f64 = 15.0;
/// Of so many repetitions one more is made beforehand.
const WARM_SHARE: u64 = 10;
/// How the record is renewed, for messages.
const HOW_TO_RECORD: &str = "scripts/bench-guard record";

/// Counts, and writes the record.
///
/// # Errors
/// When Valgrind or a program is missing.
pub fn record(programs: &Path, file: &Path) -> Result<()> {
    let record = Record {
        recorded_with: Environment::here()?,
        instructions: count(programs)?,
    };
    for (name, count) in &record.instructions {
        say(&format!("{name:<20} {count:>12}"));
    }
    record.write(file)
}

/// Counts, prints the comparison with the record, and fails when something costs too much.
///
/// # Errors
/// When Valgrind, a program or the record is missing, or when a count has grown by more than is allowed.
pub fn check(programs: &Path, file: &Path) -> Result<()> {
    let record = Record::read(file)
        .with_context(|| format!("no record to compare with; make one with `{HOW_TO_RECORD}`"))?;
    let here = Environment::here()?;
    let mut limit = GROWTH_PERCENT_MAX;
    for difference in record.recorded_with.differences(&here) {
        limit = GROWTH_ELSEWHERE_PERCENT_MAX;
        say(&format!("not as recorded: {difference}"));
    }
    if limit > GROWTH_PERCENT_MAX {
        say(&format!(
            "counts differ for that reason, too, so {limit} % are allowed instead of {GROWTH_PERCENT_MAX} %"
        ));
    }
    let found = count(programs)?;
    let verdicts = record.compare(&found, limit);
    for verdict in &verdicts {
        say(&verdict.to_string());
    }
    let bad = verdicts.iter().filter(|verdict| verdict.is_bad()).count();
    if bad > 0 {
        bail!(
            "{bad} of {} counts are worse than recorded by more than {limit} %, or not in the record. If that is meant, run `{HOW_TO_RECORD}` and \
             commit {} with the reason",
            verdicts.len(),
            file.display()
        );
    }
    Ok(())
}

/// Runs one part so often, and some more before, so that lazily made values and room in memory are there. This is what callgrind
/// looks at.
///
/// # Errors
/// When there is no such part.
pub fn repeat(title: &str, times: u64) -> Result<()> {
    let part = ALL
        .iter()
        .find(|part| part.title() == title)
        .with_context(|| format!("no part {title:?}"))?;
    let mut operation = part.prepare().map_err(anyhow::Error::from_boxed)?;
    for _ in 0..times.div_ceil(WARM_SHARE) {
        operation();
    }
    counted_repetitions(&mut operation, times);
    Ok(())
}

/// Callgrind counts from here to the return. It knows the function by its name ([`callgrind::COUNTED`]), so it must stay one.
#[inline(never)]
fn counted_repetitions(operation: &mut Operation, times: u64) {
    for _ in 0..times {
        operation();
    }
}

fn count(programs: &Path) -> Result<BTreeMap<String, u64>> {
    let scratch = Scratch::new()?;
    let callgrind = Callgrind::new(&scratch)?;
    let mut counts = BTreeMap::new();
    for part in &ALL {
        if let Some(times) = part.counted {
            let count = count_part(&callgrind, programs, part, times)
                .with_context(|| format!("part {}", part.title()))?;
            counts.insert(part.title(), count);
        }
    }
    for script in script::ALL {
        let count = script
            .count(&callgrind, &scratch, programs)
            .with_context(|| format!("script {}", script.name))?;
        counts.insert(script.name.to_owned(), count);
    }
    Ok(counts)
}

/// Not the difference of two runs: the preparation takes a hundred times as much as a repetition and, with other hash seeds in each
/// run, varies by more than one.
fn count_part(callgrind: &Callgrind, programs: &Path, part: &Part, times: u64) -> Result<u64> {
    let arguments = ["repeat", &part.title(), &times.to_string()];
    Ok(callgrind.count(&programs.join("guard"), &arguments)? / times)
}

#[expect(
    clippy::print_stdout,
    reason = "the comparison is this program's output"
)]
fn say(line: &str) {
    println!("{line}");
}
