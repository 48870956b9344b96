//! Times the parts of a request and of a change: `make bench-parts`.
#![expect(
    clippy::unwrap_used,
    missing_docs,
    reason = "a benchmark that cannot be set up should stop"
)]

use std::time::Duration;

use benches::parts;
use criterion::{Criterion, criterion_group, criterion_main};

fn all(criterion: &mut Criterion) {
    for part in &parts::ALL {
        let mut operation = part.prepare().unwrap();
        criterion.bench_function(&part.title(), |bencher| {
            bencher.iter(&mut operation);
        });
    }
}

criterion_group! {
    name = micro;
    config = Criterion::default()
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2));
    targets = all
}
criterion_main!(micro);
