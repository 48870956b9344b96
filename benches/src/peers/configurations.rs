//! How everybody was set up: the files themselves.

use std::fs;

use anyhow::{Context as _, Result};

use super::{
    contender::{Bed, Contender},
    shape::Shape,
};
use crate::rig::report::Report;

/// Adds the file of every contender in the plain shape.
pub(super) fn tell(
    bed: &Bed<'_>,
    contenders: &[Box<dyn Contender>],
    report: &mut Report,
) -> Result<()> {
    let scratch = bed.scratch.path().display().to_string();
    for contender in contenders {
        let Some(serving) = contender.start(bed, &Shape::PLAIN)? else {
            continue;
        };
        let file = serving.folder.join(contender.file());
        let text =
            fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
        let title = format!(
            "Configuration of {}: {}",
            contender.name(),
            contender.file()
        );
        report.verbatim(&title, &text.replace(&scratch, "…"));
    }
    Ok(())
}
