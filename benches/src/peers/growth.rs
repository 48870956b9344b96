//! What a request costs when there are many routes or endpoints, over what it costs the same contender when there are few.

use anyhow::Result;

use super::{
    contender::{Bed, Contender},
    entrants::{self, Entrant},
    shape::Shape,
};
use crate::rig::{
    load::{Kind, Load},
    plan::Plan,
    rounds::Figures,
};

/// One kind of growth.
#[derive(Clone, Copy)]
pub(super) struct Growth {
    /// For `BENCH_CASES`.
    pub(super) name: &'static str,
    pub(super) title: &'static str,
    few: (&'static str, Shape),
    many: (&'static str, Shape),
}

/// One contender with few and with many.
pub(super) struct GrowthLine {
    pub(super) contender: &'static str,
    pub(super) few: Figures,
    /// Its ratio is over `few`.
    pub(super) many: Figures,
}

/// Routes and endpoints. The last route is asked for, the worst case of a search along a list.
pub(super) const ALL: [Growth; 2] = [
    Growth {
        name: "routes",
        title: "From 10 to 10,000 routes",
        few: (
            "/s9/small",
            Shape {
                routes: 10,
                ..Shape::PLAIN
            },
        ),
        many: (
            "/s9999/small",
            Shape {
                routes: 10_000,
                ..Shape::PLAIN
            },
        ),
    },
    Growth {
        name: "endpoints",
        title: "From 10 to 1,000 endpoints",
        few: (
            "/s1/small",
            Shape {
                endpoints: 10,
                ..Shape::PLAIN
            },
        ),
        many: (
            "/s1/small",
            Shape {
                endpoints: 1_000,
                ..Shape::PLAIN
            },
        ),
    },
];

// === impl Growth ===

impl Growth {
    /// Few and many of every contender, interleaved.
    pub(super) fn measure(
        &self,
        bed: &Bed<'_>,
        plan: &Plan,
        contenders: &[Box<dyn Contender>],
    ) -> Result<Vec<GrowthLine>> {
        let entrants: Vec<_> = contenders
            .iter()
            .flat_map(|contender| {
                [self.few, self.many].map(|(path, shape)| Entrant {
                    contender: contender.as_ref(),
                    shape,
                    load: Load {
                        path,
                        connections: 64,
                        kind: Kind::Get,
                    },
                })
            })
            .collect();
        let taken = entrants::measure(bed, plan, &entrants)?;
        let lines = contenders
            .iter()
            .zip(taken.chunks(2))
            .filter_map(|(contender, pair)| {
                let [Some(few), Some(many)] = pair else {
                    return None;
                };
                Some(GrowthLine {
                    contender: contender.name(),
                    few: few.figures(few),
                    many: many.figures(few),
                })
            });
        Ok(lines.collect())
    }
}
