//! What [`CallHistory`] promises, as checks that both of them must pass. Each takes one without calls.

#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::{sync::Arc, time::Duration};

use catalog_api::{ServiceId, Timestamp};
use database::history::{
    Batch, CacheUse, CallHistory, CallRecord, Ended, LogFilter, MemoryHistory, OTHER, RECORDS_MAX,
    SERVICE_ENDPOINTS_MAX, StatusFilter,
};

pub(crate) fn call(service: u64, endpoint: &str, status: u16) -> CallRecord {
    CallRecord {
        at: Timestamp::now(),
        request_id: "r".to_owned(),
        service_id: ServiceId(service),
        service: format!("s-{service}").parse().unwrap(),
        method: "GET".to_owned(),
        endpoint: endpoint.to_owned(),
        status: Some(status),
        instance: Some("a".parse().unwrap()),
        attempts: 1,
        latency: Duration::from_millis(10),
        duration: Duration::from_millis(20),
        bytes_in: 1,
        bytes_out: 2,
        ended: Ended::Complete,
        cache: None,
        run: None,
    }
}

pub(crate) fn batch(number: u64, calls: impl IntoIterator<Item = CallRecord>) -> Batch {
    Batch {
        number,
        calls: calls.into_iter().map(Arc::new).collect(),
    }
}

pub(crate) fn everything() -> LogFilter {
    LogFilter {
        service: None,
        status: None,
        since: None,
        limit: RECORDS_MAX,
    }
}

/// Services below 100 exist.
pub(crate) async fn record(history: &dyn CallHistory, batch: &Batch) {
    history.record(batch, &|id| id.0 < 100).await.unwrap();
}

async fn tells_what_it_was_told(history: &dyn CallHistory) {
    assert!(history.newest(&everything()).await.unwrap().is_empty());
    let mut told = Vec::new();
    for number in 0..30_u16 {
        let mut call = call(u64::from(number % 3) + 1, "/a", 200 + number * 10);
        call.at = Timestamp::from_unix_millis(Timestamp::now().unix_millis() + u64::from(number));
        call.request_id = format!("r-{number}");
        told.push(call);
    }
    record(history, &batch(1, told[..10].to_vec())).await;
    record(history, &batch(2, told[10..].to_vec())).await;
    told.reverse();
    let found = async |filter: LogFilter| {
        let found = history.newest(&filter).await.unwrap();
        found
            .iter()
            .map(|call| CallRecord::clone(call))
            .collect::<Vec<_>>()
    };
    assert_eq!(found(everything()).await, told);
    assert_eq!(
        found(LogFilter {
            limit: 7,
            ..everything()
        })
        .await,
        told[..7]
    );
    let filter = LogFilter {
        service: Some("s-2".parse().unwrap()),
        status: StatusFilter::parse("4xx"),
        since: Some(told[3].at),
        ..everything()
    };
    let expected: Vec<_> = told[..=3]
        .iter()
        .filter(|call| call.service_id.0 == 2 && call.status.unwrap() / 100 == 4)
        .cloned()
        .collect();
    assert_eq!((expected.len(), found(filter).await), (1, expected));
}

async fn keeps_the_newest(history: &dyn CallHistory) {
    let sent = RECORDS_MAX + 500;
    for (number, start) in (0..sent).step_by(500).enumerate() {
        let calls = (start..start + 500).map(|index| {
            let mut call = call(1, "/a", 200);
            call.request_id = index.to_string();
            call
        });
        record(history, &batch(number as u64 + 1, calls)).await;
    }
    let found = history.newest(&everything()).await.unwrap();
    assert_eq!(found.len(), RECORDS_MAX);
    let oldest = found
        .iter()
        .map(|call| call.request_id.parse::<usize>().unwrap());
    assert_eq!(oldest.min(), Some(500));
}

async fn adds_up(history: &dyn CallHistory) {
    let nothing = history.statistics(&[ServiceId(1)]).await.unwrap();
    assert_eq!((nothing.totals.all.calls, nothing.services.len()), (0, 0));
    let mut calls = vec![call(1, "/a", 200), call(1, "/a", 503), call(2, "/b", 404)];
    calls.push(CallRecord {
        ended: Ended::Cut,
        cache: Some(CacheUse::Miss),
        latency: Duration::from_secs(2),
        bytes_out: u64::from(u32::MAX) * 3,
        ..call(1, "/b", 200)
    });
    // A service that is gone, and a call of long ago.
    calls.push(call(100, "/gone", 500));
    calls.push(CallRecord {
        at: Timestamp::now().earlier(Duration::from_secs(3_600)),
        ..call(2, "/b", 200)
    });
    record(history, &batch(1, calls[..2].to_vec())).await;
    record(history, &batch(2, calls[2..].to_vec())).await;
    let ids = [1, 2, 3, 100].map(ServiceId);
    let found = history.statistics(&ids).await.unwrap();
    let totals = &found.totals.all;
    assert_eq!(
        (
            totals.calls,
            totals.errors,
            totals.bytes_in,
            totals.bytes_out
        ),
        (6, 3, 6, u64::from(u32::MAX) * 3 + 10)
    );
    assert_eq!(found.services.keys().copied().collect::<Vec<_>>(), ids[..2]);
    let first = &found.services[&ServiceId(1)];
    assert_eq!((first.totals.all.calls, first.totals.all.errors), (3, 2));
    assert_eq!((totals.cache_hits, first.totals.all.cache_misses), (0, 1));
    assert_eq!(first.totals.minute, first.totals.all);
    assert_eq!(first.totals.quarter, first.totals.all);
    let [p50, p99] = [50, 99].map(|percent| first.totals.minute.latency(percent).unwrap());
    assert!((9..=11).contains(&p50.as_millis()), "{p50:?}");
    assert!((1_880..=2_120).contains(&p99.as_millis()), "{p99:?}");
    let second = &found.services[&ServiceId(2)].endpoints["/b"];
    assert_eq!((second.all.calls, second.all.errors), (2, 0));
    assert!(found.since <= Timestamp::now());
    // Not asked for, not told.
    let found = history.statistics(&[]).await.unwrap();
    assert_eq!((found.totals.all.calls, found.services.len()), (6, 0));
}

async fn limits_endpoints(history: &dyn CallHistory) {
    let calls = (0..150).map(|number| call(1, &format!("/a{number:03}"), 200));
    record(history, &batch(1, calls)).await;
    record(history, &batch(2, [call(1, "/a000", 500)])).await;
    let found = history.statistics(&[ServiceId(1)]).await.unwrap();
    let service = &found.services[&ServiceId(1)];
    assert_eq!(service.totals.all.calls, 151);
    assert_eq!(service.endpoints.len(), SERVICE_ENDPOINTS_MAX + 1);
    assert_eq!(service.endpoints[OTHER].all.calls, 50);
    assert_eq!(service.endpoints["/a000"].minute.calls, 2);
}

/// Everything, each with a history of its own.
pub(crate) async fn all<H: CallHistory>(mut new: impl AsyncFnMut() -> H) {
    tells_what_it_was_told(&new().await).await;
    keeps_the_newest(&new().await).await;
    adds_up(&new().await).await;
    limits_endpoints(&new().await).await;
}

#[tokio::test]
async fn of_one_process() {
    // The window is about when a call ended, and in memory that is when it is told; so the call of long ago is one of now.
    all(async || MemoryHistory::new()).await;
}
