//! `measure <folder of the programs> <report>`: see [`benches::measure`].

use std::path::PathBuf;

use anyhow::{Context as _, Result};

fn main() -> Result<()> {
    let mut arguments = std::env::args_os().skip(1).map(PathBuf::from);
    let usage = "usage: measure FOLDER_OF_PROGRAMS REPORT";
    let programs = arguments.next().context(usage)?;
    let results = arguments.next().context(usage)?;
    benches::measure(&programs, &results)
}
