//! Programs under Valgrind's callgrind.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::atomic::{AtomicUsize, Ordering},
};

use anyhow::{Context as _, Result, bail};

use crate::rig::scratch::{Folder, Scratch};

/// Keeps glibc from choosing copies and searches by what the CPU is best at, so that fewer counts depend on it.
/// <https://www.gnu.org/software/libc/manual/html_node/Hardware-Capability-Tunables.html>
const TUNABLES: &str =
    "glibc.cpu.hwcaps=-AVX,-AVX2,-AVX2_Usable,-AVX512F,-AVX_Fast_Unaligned_Load,-ERMS,-FSRM";

/// The function that is counted in a program that ends by itself, with whatever compilers put around names.
pub(super) const COUNTED: &str = "*counted_repetitions*";

/// Starts programs so that their instructions are counted.
pub(super) struct Callgrind {
    folder: Folder,
    runs: AtomicUsize,
}

// === impl Callgrind ===

impl Callgrind {
    pub(super) fn new(scratch: &Scratch) -> Result<Self> {
        Ok(Self {
            folder: scratch.folder("callgrind")?,
            runs: AtomicUsize::new(0),
        })
    }

    /// A command for a program with threads, and the file that their counts go to.
    pub(super) fn command(&self, program: &Path) -> (Command, PathBuf) {
        self.command_with(program, "--separate-threads=yes")
    }

    fn command_with(&self, program: &Path, option: &str) -> (Command, PathBuf) {
        let number = self.runs.fetch_add(1, Ordering::Relaxed);
        let file = self.folder.path().join(format!("counts-{number}"));
        let mut command = Command::new("valgrind");
        command
            .args(["--tool=callgrind", "--quiet", "--combine-dumps=no"])
            .arg(format!("--callgrind-out-file={}", file.display()))
            .arg(option)
            .arg(program)
            .env("GLIBC_TUNABLES", TUNABLES);
        (command, file)
    }

    /// Instructions between the call of [`COUNTED`] and its return, in a program that ends by itself.
    pub(super) fn count(&self, program: &Path, arguments: &[&str]) -> Result<u64> {
        let only = format!("--toggle-collect={COUNTED}");
        let (mut command, file) = self.command_with(program, &only);
        let output = command.args(arguments).output();
        let output = output.context("cannot start valgrind")?;
        if !output.status.success() {
            bail!("{command:?}: {}", String::from_utf8_lossy(&output.stderr));
        }
        match total(&file)? {
            0 => bail!("callgrind has not seen {COUNTED} in {}", program.display()),
            count => Ok(count),
        }
    }
}

/// Has the counter of a running program set to zero.
pub(super) fn zero(process: u32) -> Result<()> {
    tell(process, "zero")
}

/// What the busiest thread executed since then. The others wake with the time, as Pingora's clock does every ten milliseconds, and so
/// count more where the machine is slow.
pub(super) fn dump(process: u32, file: &Path) -> Result<u64> {
    tell(process, "dump")?;
    // Dumps while a program runs are numbered, and so are threads.
    let name = file.file_name().context("no file")?.to_string_lossy();
    let first = format!("{name}.1-");
    let mut busiest = None;
    for entry in fs::read_dir(file.parent().context("no folder")?)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with(&first) {
            busiest = busiest.max(Some(total(&entry.path())?));
        }
    }
    busiest.with_context(|| format!("callgrind has not written {}", file.display()))
}

/// vgdb comes with Valgrind and passes a word on to the tool.
fn tell(process: u32, word: &str) -> Result<()> {
    let output = Command::new("vgdb")
        .arg(format!("--pid={process}"))
        .arg(word)
        .stdin(Stdio::null())
        .output()
        .context("cannot start vgdb")?;
    if !output.status.success() {
        bail!("vgdb {word}: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(())
}

/// <https://valgrind.org/docs/manual/cl-format.html>: `summary:` or `totals:`, one number per event; we count one event.
fn total(file: &Path) -> Result<u64> {
    let text = fs::read_to_string(file)
        .with_context(|| format!("callgrind has not written {}", file.display()))?;
    text.lines()
        .find_map(|line| {
            let rest = line
                .strip_prefix("summary:")
                .or(line.strip_prefix("totals:"))?;
            rest.split_whitespace().next()?.parse().ok()
        })
        .with_context(|| format!("no total in {}", file.display()))
}
