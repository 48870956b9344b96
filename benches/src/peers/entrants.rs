//! Contenders that are started, measured in turn, and ended.

use anyhow::{Context as _, Result};

use super::{
    contender::{Bed, Contender},
    shape::Shape,
};
use crate::rig::{
    load::Load,
    plan::Plan,
    rounds::{Taken, Target, interleave},
};

/// One contender with what it has to do.
pub(super) struct Entrant<'a> {
    pub(super) contender: &'a dyn Contender,
    pub(super) shape: Shape,
    pub(super) load: Load,
}

/// Starts all entrants and loads them in turn. `None` for those whose contender has no such feature.
pub(super) fn measure(
    bed: &Bed<'_>,
    plan: &Plan,
    entrants: &[Entrant<'_>],
) -> Result<Vec<Option<Taken>>> {
    let mut serving = Vec::new();
    for Entrant {
        contender, shape, ..
    } in entrants
    {
        let started = contender.start(bed, shape);
        serving.push(started.with_context(|| format!("{} does not start", contender.name()))?);
    }
    let mut targets = Vec::new();
    for (entrant, serving) in entrants.iter().zip(&serving) {
        let Some(serving) = serving else {
            targets.push(None);
            continue;
        };
        let tls = entrant.shape.tls;
        let address = if tls {
            serving.tls
        } else {
            Some(serving.plain)
        };
        targets.push(Some(Target {
            running: &serving.running,
            address: address.context("no listener with TLS")?,
            tls,
            load: entrant.load.clone(),
        }));
    }
    interleave(bed.scratch, plan, &targets)
}
