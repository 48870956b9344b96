//! Micro benchmarks of what happens per request and per change: `make bench`.
#![expect(
    clippy::unwrap_used,
    missing_docs,
    reason = "a benchmark that cannot be set up should stop"
)]

use std::{hint::black_box, time::Duration};

use benches::{Bed, bed, service};
use criterion::{BatchSize, BenchmarkId, Criterion, criterion_group, criterion_main};
use gateway::{
    metrics::GatewayMetrics,
    route::RequestView,
    snapshot::{Change, Outside},
    upstream::Tried,
};
use http::{HeaderMap, Method};
use service_kit::metrics::Metrics;

/// Finding the route of the last service: it must not matter how many there are.
fn route(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("route");
    for services in [10, 1_000, 10_000] {
        let Bed { snapshot, .. } = bed(services, 1).unwrap();
        let path = format!("/s{}/some/path", services - 1);
        let headers = HeaderMap::new();
        let view = RequestView {
            host: "example.org",
            path: &path,
            method: &Method::GET,
            headers: &headers,
        };
        group.bench_function(BenchmarkId::from_parameter(services), |bencher| {
            bencher.iter(|| snapshot.routes().find(black_box(&view)).unwrap());
        });
    }
}

/// Choosing an endpoint and counting the request on it.
fn pick(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("pick");
    for instances in [2, 10, 1_000] {
        let Bed { snapshot, .. } = bed(1, instances).unwrap();
        let pool = snapshot.pools().next().unwrap().clone();
        let tried = Tried::default();
        group.bench_function(BenchmarkId::new("least_request", instances), |bencher| {
            bencher.iter(|| black_box(pool.pick(&tried).unwrap()));
        });
    }
}

/// One changed service among many.
fn change(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("change");
    for services in [10, 1_000] {
        let Bed {
            snapshot,
            mut materials,
        } = bed(services, 10).unwrap();
        let mut revision = 1;
        group.bench_function(BenchmarkId::new("one of", services), |bencher| {
            bencher.iter_batched(
                || {
                    revision += 1;
                    Change::Put(service(services / 2, 10, revision).unwrap())
                },
                |change| snapshot.next(vec![change], &Outside::default(), &mut materials),
                BatchSize::SmallInput,
            );
        });
    }
}

/// What a request adds to the metrics.
fn metrics(criterion: &mut Criterion) {
    let metrics = GatewayMetrics::new(Metrics::new("bench", "0"));
    let route = metrics.route(&"route".into());
    criterion.bench_function("metrics", |bencher| {
        bencher.iter(|| {
            route.observe(
                black_box(&Method::GET),
                black_box(200),
                Duration::from_micros(300),
            )
        });
    });
}

criterion_group!(micro, route, pick, change, metrics);
criterion_main!(micro);
