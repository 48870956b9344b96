//! Signals of the operating system.

use std::process::Command;

use service_kit::shutdown::{Signal, Signals, signals};

use crate::wire::within;

fn kill(signal: &str) {
    let me = std::process::id().to_string();
    let status = Command::new("kill").args([signal, &me]).status().unwrap();
    assert!(status.success());
}

#[tokio::test]
async fn signals_arrive_one_by_one_also_between_two_waits() {
    let mut stream = Signals::new().unwrap();
    kill("-HUP");
    assert_eq!(within(stream.next()).await, Signal::Hangup);
    // While nobody waits.
    kill("-TERM");
    assert_eq!(within(stream.next()).await, Signal::Terminate);
    kill("-INT");
    assert_eq!(within(stream.next()).await, Signal::Interrupt);

    let next = tokio::spawn(signals());
    within(async {
        // The process-wide stream is registered by the first call, which may not have run yet.
        while !next.is_finished() {
            kill("-HUP");
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert_eq!(next.await.unwrap(), Signal::Hangup);
}
