//! The cases: what clients do and what the proxy has to do for it.

use anyhow::{Context as _, Result};

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

/// One line of the table.
#[derive(Clone, Debug)]
pub(super) struct Case {
    /// Its name, also for `BENCH_CASES`.
    pub(super) name: &'static str,
    /// For the table.
    pub(super) title: &'static str,
    pub(super) shape: Shape,
    pub(super) load: Load,
    /// What is to be reached: CPU per request over nginx's.
    pub(super) goal: f64,
}

/// A case with everybody's figures; `None` for those without the feature.
pub(super) struct Measured {
    pub(super) case: Case,
    pub(super) figures: Vec<Option<Figures>>,
}

/// Everything that `BENCH_CASES` may name here.
pub(crate) const NAMES: [&str; 17] = [
    "small",
    "ten",
    "big",
    "post",
    "fresh",
    "log",
    "tls",
    "handshake",
    "http2",
    "cached",
    "static",
    "routes",
    "endpoints",
    "latency",
    "idle",
    "reload",
    "configurations",
];

// === impl Case ===

impl Case {
    /// All contenders in turn.
    pub(super) fn measure(
        self,
        bed: &Bed<'_>,
        plan: &Plan,
        contenders: &[Box<dyn Contender>],
    ) -> Result<Measured> {
        let entrants: Vec<_> = contenders
            .iter()
            .map(|contender| Entrant {
                contender: contender.as_ref(),
                shape: self.shape,
                load: self.load.clone(),
            })
            .collect();
        let taken = entrants::measure(bed, plan, &entrants)
            .with_context(|| format!("case {}", self.name))?;
        let reference = taken[0]
            .as_ref()
            .context("nginx takes part in every case")?;
        let figures = taken
            .iter()
            .map(|taken| taken.as_ref().map(|taken| taken.figures(reference)))
            .collect();
        Ok(Measured {
            case: self,
            figures,
        })
    }
}

/// Every case with a CPU figure.
pub(super) fn all() -> Vec<Case> {
    let get = |path, connections| Load {
        path,
        connections,
        kind: Kind::Get,
    };
    let plain = Shape::PLAIN;
    let tls = Shape {
        tls: true,
        ..Shape::PLAIN
    };
    let case = |name, title, shape, load, goal| Case {
        name,
        title,
        shape,
        load,
        goal,
    };
    vec![
        case("small", "GET 64 B", plain, get("/s1/small", 64), 1.4),
        case("ten", "GET 10 KiB", plain, get("/s1/ten", 64), 1.4),
        case("big", "GET 1 MiB", plain, get("/s1/big", 16), 0.9),
        case(
            "post",
            "POST 10 KiB",
            plain,
            Load {
                path: "/s1/small",
                connections: 64,
                kind: Kind::Post { bytes: 10 << 10 },
            },
            1.8,
        ),
        case(
            "fresh",
            "GET 64 B, a connection each",
            plain,
            Load {
                path: "/s1/small",
                connections: 32,
                kind: Kind::Fresh,
            },
            1.3,
        ),
        case(
            "log",
            "GET 64 B, access log",
            Shape {
                access_log: true,
                ..plain
            },
            get("/s1/small", 64),
            1.5,
        ),
        case("tls", "TLS, GET 64 B", tls, get("/s1/small", 64), 1.2),
        case(
            "handshake",
            "TLS, a handshake each",
            tls,
            Load {
                path: "/s1/small",
                connections: 32,
                kind: Kind::Fresh,
            },
            0.78,
        ),
        case(
            "http2",
            "TLS, HTTP/2, 8 × 16 streams",
            tls,
            Load {
                path: "/s1/small",
                connections: 8,
                kind: Kind::Http2 { streams: 16 },
            },
            1.15,
        ),
        case(
            "cached",
            "GET 64 B from the cache",
            Shape {
                cache: true,
                ..plain
            },
            get("/s1/cached", 64),
            1.0,
        ),
        case(
            "static",
            "GET 10 KiB file",
            Shape {
                files: true,
                ..plain
            },
            get("/static/ten.bin", 64),
            1.0,
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_case_can_be_chosen() {
        assert!(all().iter().all(|case| NAMES.contains(&case.name)));
    }
}
