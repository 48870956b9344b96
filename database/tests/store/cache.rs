//! What [`AnswerCache`] promises, as checks that both of them must pass. Each takes an empty one.

#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::time::{Duration, Instant};

use bytes::Bytes;
use database::cache::{ANSWER_BYTES_MAX, AnswerCache, MemoryCache};

/// Longest wait for something that happens on its own.
const PATIENCE: Duration = Duration::from_secs(20);

const LONG: Duration = Duration::from_secs(600);

/// For how much the caches of these checks are.
pub(crate) const TOTAL_BYTES_MAX: usize = 3 * ANSWER_BYTES_MAX;

fn bytes(content: u8, count: usize) -> Bytes {
    vec![content; count].into()
}

async fn keeps_replaces_and_forgets(cache: &dyn AnswerCache) {
    assert_eq!(cache.get("a").await.unwrap(), None);
    cache.put("a", bytes(0, 10), LONG).await.unwrap();
    cache.put("b\n \u{e9}", bytes(255, 3), LONG).await.unwrap();
    assert_eq!(cache.get("a").await.unwrap(), Some(bytes(0, 10)));
    cache.put("a", bytes(1, 20), LONG).await.unwrap();
    assert_eq!(cache.get("a").await.unwrap(), Some(bytes(1, 20)));
    cache.remove("a").await.unwrap();
    cache.remove("a").await.unwrap();
    assert_eq!(cache.get("a").await.unwrap(), None);
    assert_eq!(cache.get("b\n \u{e9}").await.unwrap(), Some(bytes(255, 3)));
}

async fn ends(cache: &dyn AnswerCache) {
    cache
        .put("short", bytes(1, 5), Duration::from_millis(200))
        .await
        .unwrap();
    cache.put("long", bytes(2, 5), LONG).await.unwrap();
    let deadline = Instant::now() + PATIENCE;
    while cache.get("short").await.unwrap().is_some() {
        assert!(Instant::now() < deadline, "it never ends");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(cache.get("long").await.unwrap().is_some());
}

async fn has_limits(cache: &dyn AnswerCache) {
    cache.put("big", bytes(1, 1), LONG).await.unwrap();
    cache
        .put("big", bytes(1, ANSWER_BYTES_MAX + 1), LONG)
        .await
        .unwrap();
    assert_eq!(cache.get("big").await.unwrap(), None, "nor the one before");
    // The later it was put, the sooner it ends.
    for index in 0..3_u32 {
        let kept = LONG - index * Duration::from_secs(100);
        let answer = bytes(index as u8, ANSWER_BYTES_MAX);
        cache.put(&index.to_string(), answer, kept).await.unwrap();
    }
    // The same once more takes no room.
    cache
        .put("0", bytes(9, ANSWER_BYTES_MAX), LONG)
        .await
        .unwrap();
    let there = async || {
        let mut there = Vec::new();
        for key in ["0", "1", "2", "3", "4"] {
            if cache.get(key).await.unwrap().is_some() {
                there.push(key);
            }
        }
        there
    };
    assert_eq!(there().await, ["0", "1", "2"]);
    cache.put("3", bytes(3, 1), LONG).await.unwrap();
    assert_eq!(there().await, ["0", "1", "3"]);
    cache.remove("0").await.unwrap();
    cache
        .put("4", bytes(4, ANSWER_BYTES_MAX), LONG)
        .await
        .unwrap();
    assert_eq!(there().await, ["1", "3", "4"]);
}

/// Everything, each with a cache of its own.
pub(crate) async fn all<C: AnswerCache>(mut new: impl AsyncFnMut() -> C) {
    keeps_replaces_and_forgets(&new().await).await;
    ends(&new().await).await;
    has_limits(&new().await).await;
}

#[tokio::test]
async fn of_one_process() {
    all(async || MemoryCache::new(TOTAL_BYTES_MAX)).await;
}
