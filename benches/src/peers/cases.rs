//! The cases: what clients do and what the proxy has to do for it.

use super::{
    load::{Kind, Load},
    shape::Shape,
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
    /// What is to be reached: CPU per request over nginx's. `None` where the aim is another.
    pub(super) goal: Option<f64>,
}

/// Every case with a CPU figure.
pub(super) fn all() -> Vec<Case> {
    let get = |path, connections| Load {
        path,
        connections,
        kind: Kind::Get,
    };
    let plain = Shape::default();
    let tls = Shape {
        tls: true,
        ..Shape::default()
    };
    let case = |name, title, shape: &Shape, load, goal| Case {
        name,
        title,
        shape: shape.clone(),
        load,
        goal,
    };
    vec![
        case("small", "GET 64 B", &plain, get("/s1/small", 64), Some(1.4)),
        case("ten", "GET 10 KiB", &plain, get("/s1/ten", 64), Some(1.4)),
        case("big", "GET 1 MiB", &plain, get("/s1/big", 16), Some(0.9)),
        case(
            "post",
            "POST 10 KiB",
            &plain,
            Load {
                path: "/s1/small",
                connections: 64,
                kind: Kind::Post { bytes: 10 << 10 },
            },
            Some(1.8),
        ),
        case(
            "fresh",
            "GET 64 B, a connection each",
            &plain,
            Load {
                path: "/s1/small",
                connections: 32,
                kind: Kind::Fresh,
            },
            Some(1.3),
        ),
        case(
            "log",
            "GET 64 B, access log",
            &Shape {
                access_log: true,
                ..plain.clone()
            },
            get("/s1/small", 64),
            Some(1.5),
        ),
        case(
            "tls",
            "TLS, GET 64 B",
            &tls,
            get("/s1/small", 64),
            Some(1.2),
        ),
        case(
            "handshake",
            "TLS, a handshake each",
            &tls,
            Load {
                path: "/s1/small",
                connections: 32,
                kind: Kind::Fresh,
            },
            Some(0.78),
        ),
        case(
            "http2",
            "TLS, HTTP/2, 8 × 16 streams",
            &tls,
            Load {
                path: "/s1/small",
                connections: 8,
                kind: Kind::Http2 { streams: 16 },
            },
            Some(1.15),
        ),
        case(
            "routes",
            "GET 64 B, 10,000 routes",
            &Shape {
                routes: 10_000,
                ..plain.clone()
            },
            get("/s9999/small", 64),
            None,
        ),
        case(
            "endpoints",
            "GET 64 B, 1,000 endpoints",
            &Shape {
                endpoints: 1_000,
                ..plain.clone()
            },
            get("/s1/small", 64),
            None,
        ),
        case(
            "cached",
            "GET 64 B from the cache",
            &Shape {
                cache: true,
                ..plain.clone()
            },
            get("/s1/cached", 64),
            Some(1.0),
        ),
        case(
            "static",
            "GET 10 KiB file",
            &Shape {
                files: true,
                ..plain.clone()
            },
            get("/static/ten.bin", 64),
            Some(1.0),
        ),
    ]
}
