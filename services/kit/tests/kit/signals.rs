//! Signals of the operating system.

use std::process::Command;

use service_kit::shutdown::{Interrupted, Signal, Signals};

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

    // Every HUP reloads, TERM ends.
    kill("-HUP");
    let mut reloads = 0;
    within(stream.stop_asked(async || {
        reloads += 1;
        kill(if reloads < 3 { "-HUP" } else { "-TERM" });
    }))
    .await;
    assert_eq!(reloads, 3);

    // A stop that hangs is left at the second INT, not at another TERM.
    assert_eq!(within(stream.unless_interrupted(async { 7 })).await, Ok(7));
    kill("-TERM");
    kill("-INT");
    assert_eq!(
        within(stream.unless_interrupted(std::future::pending::<()>())).await,
        Err(Interrupted)
    );
}
