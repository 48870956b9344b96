//! `peers <folder of the programs> <report>`: see [`benches::peers`].

use std::path::PathBuf;

use anyhow::{Context as _, Result};

fn main() -> Result<()> {
    let mut arguments = std::env::args_os().skip(1).map(PathBuf::from);
    let usage = "usage: peers FOLDER_OF_PROGRAMS REPORT";
    let programs = arguments.next().context(usage)?;
    let results = arguments.next().context(usage)?;
    benches::peers::compare(&programs, &results)
}
