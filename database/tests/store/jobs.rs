//! What [`JobQueue`] promises, as checks that each of them must pass. Each takes an empty one with limits of its choice.

#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use bytes::Bytes;
use database::jobs::{
    Fate, Held, Hold, JOB_BYTES, Job, JobId, JobLimits, JobQueue, MemoryJobs, PutError, Seen, Swept,
};

/// Longest wait for something that happens on its own.
const PATIENCE: Duration = Duration::from_secs(20);

/// Pause between two looks.
const LOOK: Duration = Duration::from_millis(10);

/// A time that is over soon, and still longer than a pause of the test.
const SOON: Duration = Duration::from_millis(300);

/// A time in which anybody can say something on any machine.
const FAIR: Duration = Duration::from_millis(1_200);

pub(crate) fn job(work: &str, is_repeatable: bool) -> Job {
    Job {
        id: JobId::random(),
        label: Bytes::from(format!("label of {work}")),
        work: Bytes::from([work.as_bytes(), b"\0\xff\r\n"].concat()),
        is_repeatable,
    }
}

/// Puts a job and returns it.
async fn put(queue: &dyn JobQueue, work: &str, is_repeatable: bool) -> Job {
    let job = job(work, is_repeatable);
    queue.put(job.clone()).await.unwrap();
    job
}

async fn take(queue: &dyn JobQueue) -> Held {
    queue.take().await.unwrap().unwrap()
}

/// Sweeps until something is found.
async fn swept(queue: &dyn JobQueue) -> Vec<Swept> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let sweep = queue.sweep(true).await.unwrap();
        if !sweep.swept.is_empty() {
            return sweep.swept;
        }
        assert!(Instant::now() < deadline, "nothing is found");
        tokio::time::sleep(LOOK).await;
    }
}

async fn outcome(queue: &dyn JobQueue, job: JobId) -> Option<Bytes> {
    queue.look(job).await.unwrap().unwrap().outcome
}

async fn hands_out_in_order_and_keeps_outcomes(queue: &dyn JobQueue) {
    assert!(queue.take().await.unwrap().is_none());
    let (first, second) = (
        put(queue, "first", true).await,
        put(queue, "second", false).await,
    );
    let sweep = queue.sweep(true).await.unwrap();
    assert_eq!((sweep.waiting, sweep.swept.len()), (2, 0));
    let held = [take(queue).await, take(queue).await];
    assert!(queue.take().await.unwrap().is_none());
    for (held, put) in held.iter().zip([&first, &second]) {
        assert_eq!(
            (held.hold.job, held.run, &held.label, &held.work),
            (put.id, 1, &put.label, &put.work)
        );
        let seen = queue.look(put.id).await.unwrap();
        let pending = Seen {
            label: put.label.clone(),
            outcome: None,
        };
        assert_eq!(seen, Some(pending));
    }
    let answer = Bytes::from_static(b"\xffanswer\0");
    assert!(queue.finish(first.id, answer.clone()).await.unwrap());
    let seen = queue.look(first.id).await.unwrap().unwrap();
    assert_eq!((seen.label, seen.outcome), (first.label, Some(answer)));
    // The first one counts, and what nobody put is not there.
    let other = Bytes::from_static(b"other");
    assert!(!queue.finish(first.id, other.clone()).await.unwrap());
    assert_ne!(outcome(queue, first.id).await, Some(other.clone()));
    assert!(!queue.finish(JobId::random(), other).await.unwrap());
    assert_eq!(queue.look(JobId::random()).await.unwrap(), None);
}

async fn is_bounded_by_number(queue: &dyn JobQueue) {
    let jobs = [
        put(queue, "a", true).await,
        put(queue, "b", true).await,
        put(queue, "c", true).await,
    ];
    let full = |put: Result<(), PutError>| matches!(put, Err(PutError::Full));
    assert!(full(queue.put(job("d", true)).await));
    // What is held counts, what is finished does not.
    take(queue).await;
    assert!(full(queue.put(job("d", true)).await));
    assert!(queue.finish(jobs[0].id, Bytes::new()).await.unwrap());
    queue.put(job("d", true)).await.unwrap();
    assert!(full(queue.put(job("e", true)).await));
}

/// For a queue that has room for two times 1,000 bytes and a little more.
async fn is_bounded_by_bytes(queue: &dyn JobQueue) {
    let first = put(queue, &"x".repeat(900), true).await;
    put(queue, &"y".repeat(900), true).await;
    let third = job(&"z".repeat(900), true);
    assert!(matches!(queue.put(third).await, Err(PutError::Full)));
    // Work that is done takes no room, an outcome does; and it is kept in any case.
    take(queue).await;
    assert!(queue.finish(first.id, vec![0; 5_000].into()).await.unwrap());
    assert_eq!(outcome(queue, first.id).await.unwrap().len(), 5_000);
    let small = job("small", true);
    assert!(matches!(queue.put(small).await, Err(PutError::Full)));
}

/// For a queue in which outcomes are kept for [`SOON`] and the bytes have room for one job.
async fn forgets_outcomes(queue: &dyn JobQueue) {
    let first = put(queue, "first", true).await;
    take(queue).await;
    assert!(matches!(
        queue.put(job("first", true)).await,
        Err(PutError::Full)
    ));
    assert!(queue.finish(first.id, Bytes::new()).await.unwrap());
    let deadline = Instant::now() + PATIENCE;
    while queue.look(first.id).await.unwrap().is_some() {
        assert!(Instant::now() < deadline, "it is kept for ever");
        tokio::time::sleep(LOOK).await;
    }
    // With all that it took.
    while queue.put(job("first", true)).await.is_err() {
        assert!(Instant::now() < deadline, "its bytes stay charged");
        queue.sweep(true).await.unwrap();
        tokio::time::sleep(LOOK).await;
    }
}

/// For a queue in which silence is over [`SOON`], and a job is begun twice at most.
async fn takes_jobs_from_the_silent(queue: &dyn JobQueue) {
    let (repeatable, other) = (
        put(queue, "repeatable", true).await,
        put(queue, "other", false).await,
    );
    let first = take(queue).await;
    take(queue).await;
    // Silence means nothing when it is said so.
    tokio::time::sleep(SOON * 2).await;
    assert_eq!(queue.sweep(false).await.unwrap().swept.len(), 0);
    let mut found = queue.sweep(true).await.unwrap().swept;
    found.sort_by_key(|swept| swept.fate == Fate::Abandoned);
    let fates: Vec<_> = found
        .iter()
        .map(|swept| (swept.fate, swept.job.hold.job, swept.job.run))
        .collect();
    assert_eq!(
        fates,
        [
            (Fate::WaitsAgain, repeatable.id, 1),
            (Fate::Abandoned, other.id, 1)
        ]
    );
    assert_eq!(found[1].job.label, other.label);
    // Whoever was silent has no say any more, but an outcome is an outcome.
    queue.renew(&[first.hold]).await.unwrap();
    assert!(!queue.give_back(first.hold).await.unwrap());
    let again = take(queue).await;
    assert_eq!((again.hold.job, again.run), (repeatable.id, 2));
    assert_eq!(again.work, repeatable.work);
    assert!(queue.take().await.unwrap().is_none());
    // Nobody finished the other one, and the second worker is silent, too: both are to be finished now.
    let mut abandoned = BTreeSet::new();
    while abandoned.len() < 2 {
        for swept in swept(queue).await {
            assert_eq!(swept.fate, Fate::Abandoned);
            abandoned.insert(swept.job.hold.job);
        }
    }
    assert!(queue.take().await.unwrap().is_none());
    for job in [&repeatable, &other] {
        assert!(queue.finish(job.id, Bytes::new()).await.unwrap());
    }
    tokio::time::sleep(SOON * 2).await;
    assert_eq!(queue.sweep(true).await.unwrap().swept.len(), 0);
}

/// For a queue in which silence is over [`FAIR`].
async fn leaves_jobs_to_those_who_speak(queue: &dyn JobQueue) {
    let jobs = [put(queue, "a", true).await, put(queue, "b", false).await];
    let holds = [take(queue).await.hold, take(queue).await.hold];
    let unknown = Hold {
        job: JobId::random(),
        number: 1,
    };
    let end = Instant::now() + FAIR * 2;
    while Instant::now() < end {
        queue.renew(&[holds[0], unknown, holds[1]]).await.unwrap();
        assert_eq!(queue.sweep(true).await.unwrap().swept.len(), 0);
        tokio::time::sleep(LOOK).await;
    }
    queue.renew(&[]).await.unwrap();
    for job in jobs {
        assert!(queue.finish(job.id, Bytes::new()).await.unwrap());
    }
}

async fn takes_back(queue: &dyn JobQueue) {
    put(queue, "a", true).await;
    let second = put(queue, "b", false).await;
    let (first, other) = (take(queue).await, take(queue).await);
    assert!(queue.give_back(first.hold).await.unwrap());
    assert!(!queue.give_back(first.hold).await.unwrap());
    assert!(!queue.give_back(other.hold).await.unwrap(), "not this one");
    let again = take(queue).await;
    assert_eq!((again.hold.job, again.run), (first.hold.job, 2));
    assert!(!queue.give_back(first.hold).await.unwrap(), "not any more");
    assert!(queue.take().await.unwrap().is_none());
    assert!(queue.finish(second.id, Bytes::new()).await.unwrap());
    assert!(!queue.give_back(other.hold).await.unwrap());
    // Somebody finishes what waits for another one.
    assert!(queue.give_back(again.hold).await.unwrap());
    assert!(queue.finish(again.hold.job, Bytes::new()).await.unwrap());
    assert!(queue.take().await.unwrap().is_none());
    assert_eq!(queue.sweep(true).await.unwrap().waiting, 0);
}

/// For a queue in which a job may wait until [`SOON`].
async fn finds_what_waits_too_long(queue: &dyn JobQueue) {
    let late = put(queue, "late", true).await;
    let found = swept(queue).await;
    assert_eq!(found.len(), 1);
    let swept = &found[0];
    assert_eq!(
        (swept.fate, swept.job.hold.job, swept.job.run),
        (Fate::Overdue, late.id, 0)
    );
    assert!(queue.take().await.unwrap().is_none());
    assert!(queue.finish(late.id, Bytes::new()).await.unwrap());
}

/// Everything, each with a queue of its own.
pub(crate) async fn all<Q: JobQueue>(mut new: impl AsyncFnMut(JobLimits) -> Q) {
    let usual = JobLimits::default;
    hands_out_in_order_and_keeps_outcomes(&new(usual()).await).await;
    takes_back(&new(usual()).await).await;
    let few = JobLimits {
        unfinished_max: 3,
        ..usual()
    };
    is_bounded_by_number(&new(few).await).await;
    let small = JobLimits {
        bytes_max: 2 * (2_000 + JOB_BYTES),
        ..usual()
    };
    is_bounded_by_bytes(&new(small).await).await;
    let short = JobLimits {
        bytes_max: 2 * JOB_BYTES,
        kept: SOON,
        ..usual()
    };
    forgets_outcomes(&new(short).await).await;
    let impatient = JobLimits {
        hold: SOON,
        runs_max: 2,
        ..usual()
    };
    takes_jobs_from_the_silent(&new(impatient).await).await;
    let fair = JobLimits {
        hold: FAIR,
        ..usual()
    };
    leaves_jobs_to_those_who_speak(&new(fair).await).await;
    let hasty = JobLimits {
        wait_max: SOON,
        ..usual()
    };
    finds_what_waits_too_long(&new(hasty).await).await;
}

#[tokio::test]
async fn of_one_process() {
    all(async |limits| MemoryJobs::new(limits)).await;
}
