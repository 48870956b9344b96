//! Many writers, one condition: one of them wins.

use std::sync::Arc;

use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::{program::Program, request::Request, wire::Answer};

const WRITERS: usize = 16;
const ROUNDS: usize = 20;

/// Sends a request of every writer at once and returns the answers.
async fn all_at_once(program: &Arc<Program>, request: impl Fn(usize) -> Request) -> Vec<Answer> {
    let mut writers = JoinSet::new();
    for writer in 0..WRITERS {
        let (program, request) = (Arc::clone(program), request(writer));
        writers.spawn(async move { program.send(&request).await });
    }
    writers.join_all().await
}

/// Checks that one has this status and all others have 412, and returns the one.
fn winner(answers: Vec<Answer>, status: u16, revision: &Value) -> Answer {
    let (mut won, lost): (Vec<_>, Vec<_>) = answers
        .into_iter()
        .partition(|answer| answer.status == status);
    assert_eq!((won.len(), lost.len()), (1, WRITERS - 1));
    for answer in lost {
        assert_eq!(answer.status, 412);
        let problem = answer.json();
        assert_eq!(problem["type"], "urn:problem:precondition-failed");
        // What a writer has to read to try again; there is none of what is gone.
        assert_eq!(&problem["revision"], revision, "{problem}");
    }
    won.remove(0)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_writers_with_the_same_condition_one_wins() {
    let program = Arc::new(Program::start(&[]));
    let put = |writer: usize| {
        Request::new("PUT", "/services/web")
            .token()
            .json(&json!({"name": "web", "description": format!("by {writer}")}))
    };
    // The first revision is only known when it is won.
    let answers = all_at_once(&program, |writer| put(writer).header("if-none-match", "*")).await;
    let (won, lost): (Vec<_>, Vec<_>) = answers.iter().partition(|answer| answer.status == 201);
    assert_eq!(won.len(), 1);
    assert!(lost.iter().all(|answer| answer.status == 412));
    let mut tag = won[0].header("etag").to_owned();
    for round in 0..ROUNDS {
        // Each round's writers write what none before them wrote.
        let answers = all_at_once(&program, |writer| {
            put(round * WRITERS + writer + WRITERS).header("if-match", &tag)
        })
        .await;
        let new = answers.iter().find(|answer| answer.status == 200);
        let new = new.map(|answer| answer.header("etag").to_owned()).unwrap();
        let revision: u64 = new.trim_matches('"').parse().unwrap();
        let won = winner(answers, 200, &revision.into());
        assert_ne!(new, tag);
        tag = new;
        let read = program.get("/services/web").await;
        assert_eq!(read.json()["description"], won.json()["description"]);
        assert_eq!(read.header("etag"), tag);
    }
    let delete = |_| {
        Request::new("DELETE", "/services/web")
            .token()
            .header("if-match", &tag)
    };
    let answers = all_at_once(&program, delete).await;
    let gone = answers.iter().filter(|answer| answer.status == 204).count();
    assert_eq!(gone, 1);
    assert!(
        answers
            .iter()
            .all(|answer| [204, 404, 412].contains(&answer.status))
    );
    program.check_log();
}
