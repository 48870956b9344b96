//! What a request and a change consist of, each part as an operation that can be repeated.
//!
//! Criterion times them (`make bench-parts`), [`crate::guard`] counts their instructions. So they use no clock, no socket and no
//! thread, and their input is the same every time.

use std::{collections::BTreeSet, hint::black_box, time::Duration};

use catalog_api::Revision;
use gateway::{
    metrics::GatewayMetrics,
    route::RequestView,
    snapshot::{Change, Outside, Snapshot},
    upstream::Tried,
};
use http::{HeaderMap, Method};
use service_kit::{
    BoxError,
    access_log::{AccessRecord, Form, Importance},
    metrics::Metrics,
};

use crate::bed::{Bed, bed, catalog, service};

/// One repetition.
pub type Operation = Box<dyn FnMut()>;

/// Most paths that are asked for in turn.
const PATHS_MAX: usize = 100;

/// A part at one size.
pub struct Part {
    /// What it is.
    pub name: &'static str,
    /// How many there are of what it deals with.
    pub size: usize,
    /// How often the guard repeats it; none = it is only timed.
    pub counted: Option<u64>,
    prepare: fn(usize) -> Result<Operation, BoxError>,
}

/// Every part. Instances per service are ten where nothing else is said.
pub const ALL: [Part; 11] = [
    // Finding the routes of the last services in turn: it must not matter how many there are.
    part("route", 10, None, route),
    part("route", 1_000, Some(20_000), route),
    part("route", 10_000, None, route),
    // Choosing one of so many endpoints and counting the request on it.
    part("pick", 2, None, pick),
    part("pick", 10, Some(20_000), pick),
    part("pick", 1_000, None, pick),
    // The next snapshot after a change of one service among so many.
    part("change", 100, Some(200), change),
    part("change", 1_000, None, change),
    // The next snapshot when the whole catalog was sent again and nothing is different.
    part("resync", 1_000, Some(4), resync),
    // What a request adds to the metrics of its route.
    part("metrics", 1, Some(20_000), metrics),
    // The line of one request as JSON.
    part("log", 1, Some(2_000), log),
];

const fn part(
    name: &'static str,
    size: usize,
    counted: Option<u64>,
    prepare: fn(usize) -> Result<Operation, BoxError>,
) -> Part {
    Part {
        name,
        size,
        counted,
        prepare,
    }
}

// === impl Part ===

impl Part {
    /// Makes everything that is not to be measured.
    ///
    /// # Errors
    /// When the size makes no valid catalog.
    pub fn prepare(&self) -> Result<Operation, BoxError> {
        (self.prepare)(self.size)
    }

    /// Name and size, as in the record of the guard.
    #[must_use]
    pub fn title(&self) -> String {
        format!("{}/{}", self.name, self.size)
    }
}

fn route(services: usize) -> Result<Operation, BoxError> {
    let Bed { snapshot, .. } = bed(services, 1)?;
    // One path alone costs a comparison more where the seed gives it a neighbour with a hash like its own.
    let paths: Vec<String> = (services.saturating_sub(PATHS_MAX)..services)
        .map(|number| format!("/s{number}/some/path"))
        .collect();
    let headers = HeaderMap::new();
    let mut turn = 0;
    Ok(Box::new(move || {
        turn = (turn + 1) % paths.len();
        let view = RequestView {
            host: "example.org",
            path: &paths[turn],
            method: &Method::GET,
            headers: &headers,
        };
        let found = snapshot.routes().find(black_box(&view));
        assert!(black_box(found).is_ok());
    }))
}

fn pick(instances: usize) -> Result<Operation, BoxError> {
    let Bed { snapshot, .. } = bed(1, instances)?;
    let pool = snapshot.pools().next().ok_or("no pool")?.clone();
    let tried = Tried::default();
    Ok(Box::new(move || {
        assert!(black_box(pool.pick(black_box(&tried))).is_ok());
    }))
}

fn change(services: usize) -> Result<Operation, BoxError> {
    let Bed {
        snapshot,
        mut materials,
    } = bed(services, 10)?;
    // Two states in turn, so that each is a change and none is read from JSON while it is measured.
    let states = [service(services / 2, 10, 2)?, service(services / 2, 10, 3)?];
    let mut current = snapshot;
    let mut step = 0;
    Ok(Box::new(move || {
        step += 1;
        let change = Change::Put(states[step % 2].clone());
        current = current.next(vec![change], &Outside::default(), &mut materials);
    }))
}

fn resync(services: usize) -> Result<Operation, BoxError> {
    let Bed {
        snapshot,
        mut materials,
    } = bed(services, 10)?;
    let whole = catalog(services, 10)?;
    let mut current: Snapshot = snapshot;
    Ok(Box::new(move || {
        let change = Change::Replace {
            revision: Revision(1),
            services: whole.clone(),
            keep: BTreeSet::new(),
        };
        current = current.next(vec![change], &Outside::default(), &mut materials);
    }))
}

fn metrics(_: usize) -> Result<Operation, BoxError> {
    let metrics = GatewayMetrics::new(Metrics::new("bench", "0"));
    let route = metrics.route(&"route".into());
    Ok(Box::new(move || {
        // A route's counters end with the registry.
        black_box(&metrics);
        route.observe(
            black_box(&Method::GET),
            black_box(200),
            black_box(Duration::from_micros(300)),
        );
    }))
}

/// With nobody who writes it away, and without the time of day.
fn log(_: usize) -> Result<Operation, BoxError> {
    let record = AccessRecord {
        method: Some("GET"),
        host: Some("example.org"),
        path: Some("/s1/some/path"),
        route: Some("s1"),
        status: 200,
        bytes_received: Some(0),
        bytes_sent: Some(64),
        service: Some("s1"),
        endpoint: Some(([127, 0, 0, 1], 7001).into()),
        retries: Some(0),
        duration: Duration::from_micros(300),
        upstream: Some(Duration::from_micros(250)),
        is_cut: Some(false),
        request_id: Some("0194f2b7-8c3d-4e5f-9a6b-7c8d9e0f1a2b"),
        client: Some([127, 0, 0, 1].into()),
        ..AccessRecord::default()
    };
    let time = "2026-01-31T12:00:00.000000Z";
    let mut line = Vec::new();
    Ok(Box::new(move || {
        line.clear();
        let record = black_box(&record);
        Form::Json.append(&mut line, time, Importance::Ordinary, record);
        black_box(&line);
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_can_be_repeated() {
        for part in ALL.iter().filter(|part| part.size <= 1_000) {
            let mut operation = part.prepare().unwrap();
            operation();
            operation();
        }
    }
}
