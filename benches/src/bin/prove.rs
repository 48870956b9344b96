//! `prove <folder of the programs>`: see [`benches::prove`].

use std::path::PathBuf;

use anyhow::{Context as _, Result};

fn main() -> Result<()> {
    let programs = std::env::args_os().nth(1).map(PathBuf::from);
    let programs = programs.context("usage: prove FOLDER_OF_PROGRAMS")?;
    let runtime = tokio::runtime::Runtime::new().context("cannot start the runtime")?;
    runtime.block_on(benches::prove::run(&programs))
}
