//! What must not get into the cache, and how large it may become.

use std::sync::Arc;

use serde_json::json;

use crate::{
    cache::{cached, numbered, origin},
    harness::{Answers, Backend, Behaviour, Connection, Message, Rig, request},
};

const FRESH: &str = "cache-control: max-age=60";

fn answering(answer: impl Fn(&Message) -> String + Send + Sync + 'static) -> Behaviour {
    Behaviour::Answers(Answers {
        answer: Arc::new(answer),
        permits: None,
    })
}

#[tokio::test]
async fn what_breaks_off_is_not_kept() {
    let rig = Rig::start().await;
    let backend = Backend::start("b").await;
    rig.put(cached(&backend, json!({}))).await;
    for (at, broken) in [
        "HTTP/1.1 200 OK\r\ncache-control: max-age=60\r\ncontent-length: 100\r\n\r\nhalf",
        "HTTP/1.1 200 OK\r\ncache-control: max-age=60\r\ntransfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n",
        // Complete as far as anybody can tell, which is not far enough.
        "HTTP/1.1 200 OK\r\ncache-control: max-age=60\r\n\r\nhalf",
    ]
    .into_iter()
    .enumerate()
    {
        let target = format!("/c/{at}");
        backend.behave(Behaviour::Raw(broken));
        let mut client = Connection::open(rig.address()).await.unwrap();
        client.send(request("GET", &target, &[], "")).await.unwrap();
        let cut = client.response().await;
        assert_eq!(cut.is_err(), at < 2, "{broken}");
        backend.behave(numbered(FRESH, None));
        let whole = rig.get(&target).await;
        assert_eq!(whole.text(), format!("/{at} 1"), "{broken}");
        assert_eq!(rig.get(&target).await.text(), format!("/{at} 1"));
    }
}

#[tokio::test]
async fn a_client_that_leaves_takes_its_fetch_with_it() {
    let rig = Rig::start().await;
    let half = "h".repeat(100_000);
    let promised = 2 * half.len();
    let backend = Backend::behaving(
        "b",
        answering(move |_| {
            format!("HTTP/1.1 200 OK\r\n{FRESH}\r\ncontent-length: {promised}\r\n\r\n{half}")
        }),
    )
    .await;
    rig.put(cached(&backend, json!({}))).await;
    let mut client = Connection::open(rig.address()).await.unwrap();
    client.send(request("GET", "/c/x", &[], "")).await.unwrap();
    client.response_head().await.unwrap();
    drop(client);
    backend.behave(numbered(FRESH, None));
    assert_eq!(rig.get("/c/x").await.text(), "/x 1");
}

#[tokio::test]
async fn large_bodies_pass_and_are_not_kept() {
    const LENGTH: usize = 10_000;
    let rig = Rig::start().await;
    let backend = Backend::start("b").await;
    rig.put(cached(&backend, json!({"max_object_bytes": LENGTH - 1})))
        .await;
    let body = "x".repeat(LENGTH);
    let (announced, chunked) = (body.clone(), body.clone());
    let of_length = move |_: &Message| {
        format!("HTTP/1.1 200 OK\r\n{FRESH}\r\ncontent-length: {LENGTH}\r\n\r\n{announced}")
    };
    let in_chunks = move |_: &Message| {
        format!(
            "HTTP/1.1 200 OK\r\n{FRESH}\r\ntransfer-encoding: chunked\r\n\r\n{LENGTH:x}\r\n{chunked}\r\n0\r\n\r\n"
        )
    };
    for (target, behaviour) in [
        ("/c/length", answering(of_length)),
        ("/c/chunks", answering(in_chunks)),
    ] {
        backend.behave(behaviour);
        for _ in 0..3 {
            let before = backend.hits();
            assert_eq!(rig.get(target).await.text(), body, "{target}");
            assert_eq!(backend.hits(), before + 1, "{target}");
        }
    }
    assert_eq!(rig.metric("gateway_cache_objects").await, Some(0.0));
    // One byte less is kept, with its length.
    let fits = "y".repeat(LENGTH - 1);
    let expected = fits.clone();
    backend.behave(answering(move |_| format!("HTTP/1.1 200 OK\r\n{FRESH}\r\ntransfer-encoding: chunked\r\n\r\n{:x}\r\n{fits}\r\n0\r\n\r\n", fits.len())));
    rig.get("/c/fits").await;
    let hit = rig.get("/c/fits").await;
    assert!(hit.header("cache-status").unwrap().contains("hit"));
    assert_eq!(
        (hit.header("content-length"), hit.text()),
        (Some("9999"), expected)
    );
}

#[tokio::test]
async fn requests_with_a_body_are_neither_kept_nor_answered_from_the_cache() {
    let rig = Rig::start().await;
    let backend = origin(FRESH).await;
    rig.put(cached(&backend, json!({}))).await;
    assert_eq!(rig.send("GET", "/c/x", &[], "planted").await.text(), "/x 1");
    assert_eq!(rig.get("/c/x").await.text(), "/x 2");
    assert_eq!(rig.send("GET", "/c/x", &[], "more").await.text(), "/x 3");
    assert_eq!(rig.send("POST", "/c/y", &[], "").await.text(), "/y 4");
    assert_eq!(rig.get("/c/y").await.text(), "/y 5");
}

#[tokio::test]
async fn the_cache_stays_within_its_size_and_answers_stay_right() {
    const SIZE: usize = 1 << 20;
    const BODY: usize = 50_000;
    let rig = Rig::configured(|config| config.cache_bytes = SIZE).await;
    let backend = Backend::behaving(
        "b",
        answering(|request: &Message| {
            let body = request.target().repeat(BODY / request.target().len());
            format!(
                "HTTP/1.1 200 OK\r\n{FRESH}\r\ncontent-length: {}\r\n\r\n{body}",
                body.len()
            )
        }),
    )
    .await;
    rig.put(cached(&backend, json!({}))).await;
    for round in 0..2 {
        for number in 0..60 {
            let target = format!("/{number:04}");
            let answer = rig.get(&format!("/c{target}")).await;
            assert_eq!(answer.text(), target.repeat(BODY / target.len()), "{round}");
            let used = rig.metric("gateway_cache_bytes").await.unwrap();
            assert!(used <= SIZE as f64, "{used}");
        }
    }
    assert!(rig.metric("gateway_cache_evictions_total").await.unwrap() >= 40.0);
    assert!(rig.metric("gateway_cache_objects").await.unwrap() >= 10.0);
    // More than a quarter of the whole is not kept.
    backend.behave(answering(|_| {
        format!(
            "HTTP/1.1 200 OK\r\n{FRESH}\r\ncontent-length: {}\r\n\r\n{}",
            SIZE / 3,
            "z".repeat(SIZE / 3)
        )
    }));
    for _ in 0..2 {
        assert_eq!(rig.get("/c/large").await.body.len(), SIZE / 3);
    }
    assert!(rig.metric("gateway_cache_objects").await.unwrap() >= 10.0);
}

#[tokio::test]
async fn unsafe_requests_that_succeed_invalidate_what_they_name() {
    let rig = Rig::start().await;
    let backend = origin(FRESH).await;
    rig.put(cached(&backend, json!({}))).await;
    let kept = async |target: &str| {
        let answer = rig.get(target).await;
        answer.header("cache-status").unwrap().contains("hit")
    };
    for target in ["/c/x", "/c/y", "/c/z"] {
        rig.get(target).await;
        assert!(kept(target).await);
    }
    backend.behave(Behaviour::Status(500));
    rig.send("POST", "/c/x", &[], "a").await;
    backend.behave(numbered(FRESH, None));
    assert!(kept("/c/x").await, "nothing has changed");
    let location = "HTTP/1.1 201 Created\r\nlocation: /c/y\r\ncontent-location: http://elsewhere.test/c/z\r\ncontent-length: 0\r\n\r\n";
    backend.behave(answering(move |_| location.to_owned()));
    assert_eq!(rig.send("POST", "/c/x", &[], "a").await.status(), 201);
    backend.behave(numbered(FRESH, None));
    assert!(!kept("/c/x").await && !kept("/c/y").await && kept("/c/z").await);
    for method in ["PUT", "DELETE", "PATCH", "BREW"] {
        assert!(kept("/c/x").await);
        rig.send(method, "/c/x", &[], "a").await;
        assert!(!kept("/c/x").await, "{method}");
    }
}
