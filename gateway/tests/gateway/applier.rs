//! The one writer of snapshots, given several updates at once, as it gets them when it was busy.

use std::sync::Arc;

use catalog_api::{Revision, ServiceId};
use gateway::{
    config::default_routes,
    metrics::GatewayMetrics,
    snapshot::{
        Applied, Applier, Heard, HostAddresses, Live, Materials, Refusal, Resolver, Snapshot,
        Update,
    },
    upstream::Endpoints,
};
use service_kit::{metrics::Metrics, readiness::Readiness};
use tokio::sync::{mpsc, watch};

struct Bench {
    applier: Applier,
    live: Arc<Live>,
    readiness: Readiness,
    applied: watch::Receiver<Applied>,
    _ends: (mpsc::Receiver<Update>, watch::Receiver<Arc<Snapshot>>),
}

fn bench() -> Bench {
    let live = Arc::new(Live::default());
    let readiness = Readiness::new();
    let (updates, queue) = mpsc::channel(8);
    let (copies, copied) = watch::channel(Arc::default());
    let (applying, applied) = watch::channel(Applied::default());
    let materials = Materials {
        endpoints: Endpoints::new(None),
        hosts: HostAddresses::default(),
        file_routes: Vec::new(),
        metrics: GatewayMetrics::new(Metrics::new("gateway", "0")),
    };
    let applier = Applier::new(
        Arc::clone(&live),
        materials,
        Resolver::start(updates),
        copies,
        applying,
        readiness.condition("snapshot"),
        readiness.detail("catalog entries"),
    );
    Bench {
        applier,
        live,
        readiness,
        applied,
        _ends: (queue, copied),
    }
}

#[tokio::test]
async fn of_several_reloads_in_one_step_the_last_counts_and_none_is_lost() {
    let mut bench = bench();
    let first = vec![Update::FileRoutes(default_routes())];
    bench.applier.apply(first).await;
    let fewer = default_routes()[..1].to_vec();
    let twice = [&fewer, &fewer].map(|routes| Update::FileRoutes(routes.clone()));
    bench.applier.apply(twice.into()).await;
    let names: Vec<_> = bench
        .live
        .load()
        .routes()
        .all()
        .iter()
        .map(|route| route.name().to_owned())
        .collect();
    assert_eq!(names, ["catalog"]);
}

#[tokio::test]
async fn a_word_of_the_catalog_makes_ready_even_when_all_of_it_is_refused() {
    let mut bench = bench();
    let routes = vec![Update::FileRoutes(default_routes())];
    bench.applier.apply(routes).await;
    assert!(!bench.readiness.is_ready());
    let refused = Update::Catalog {
        heard: None,
        change: None,
        refusals: vec![refusal(None)],
    };
    bench.applier.apply(vec![refused]).await;
    assert!(bench.readiness.is_ready());
}

fn refusal(id: Option<u64>) -> Refusal {
    Refusal {
        id: id.map(ServiceId),
        name: "(without a legible name)".to_owned(),
        reason: "it is no object".to_owned(),
    }
}

#[tokio::test]
async fn what_is_in_effect_is_told_with_what_was_refused() {
    let mut bench = bench();
    let said = |heard: Option<(u64, u64)>, refused: Option<u64>| Update::Catalog {
        heard: heard.map(|(history, revision)| Heard {
            history,
            revision: Revision(revision),
        }),
        change: None,
        refusals: refused.map(|id| refusal(Some(id))).into_iter().collect(),
    };
    // The copy on disk is nobody's word.
    bench.applier.apply(vec![said(None, None)]).await;
    assert_eq!(bench.applied.borrow().heard, None);
    let step = vec![said(Some((1, 5)), None), said(Some((1, 6)), Some(3))];
    bench.applier.apply(step).await;
    let applied = bench.applied.borrow().clone();
    let heard = applied.heard.unwrap();
    assert_eq!((heard.history, heard.revision), (1, Revision(6)));
    assert_eq!(applied.refused.as_slice(), [ServiceId(3)]);
}
