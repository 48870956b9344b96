//! `guard check|record <folder of the programs> <record>`: see [`benches::guard`]. `guard repeat <part> <times>` is what it runs itself.

use std::path::Path;

use anyhow::{Result, bail};
use benches::guard;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["check", programs, record] => guard::check(Path::new(programs), Path::new(record)),
        ["record", programs, record] => guard::record(Path::new(programs), Path::new(record)),
        ["repeat", part, times] => guard::repeat(part, times.parse()?),
        _ => bail!("usage: guard check|record FOLDER_OF_PROGRAMS RECORD"),
    }
}
