//! How long the answer to a request with content is waited for.
//!
//! ```text
//! content comes from the client ──the last of it──▶ the endpoint has it all ──first byte──▶ the answer comes
//!   until the exchange must be over                   silence since it took something          silence since its last byte
//! ```
//!
//! Pingora's read timeout runs from the head of the request on. A client that sends slowly would use it up, and the endpoint, which
//! waits for the client as the gateway does, would be blamed for it.

use std::{
    future::Future as _,
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use tokio::time::{Instant, Sleep, sleep_until};

/// Content that is on its way from a client to an endpoint.
#[derive(Debug, Default)]
pub(crate) struct Upload {
    is_whole: AtomicBool,
}

/// What an answer is given.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AnswerTime {
    /// Longest silence of an endpoint that has the whole request.
    pub(crate) silence: Duration,
    /// When the exchange must be over, unless an answer has begun by then.
    pub(crate) until: Instant,
}

/// Why an exchange is over although its endpoint is not to blame.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the client did not send the whole request in time")]
pub(crate) struct Unsent;

/// Watches over the silence of an endpoint, from the first time that it is waited for.
#[derive(Debug)]
pub(super) struct Silence {
    time: AnswerTime,
    upload: Arc<Upload>,
    has_begun: bool,
    timer: Option<Pin<Box<Sleep>>>,
}

// === impl Upload ===

impl Upload {
    /// The last of it goes to the endpoint now.
    pub(crate) fn complete(&self) {
        self.is_whole.store(true, Ordering::Relaxed);
    }

    /// Whether the last of it has come from the client.
    pub(crate) fn is_whole(&self) -> bool {
        self.is_whole.load(Ordering::Relaxed)
    }
}

// === impl Silence ===

impl Silence {
    pub(super) fn new(time: AnswerTime, upload: Arc<Upload>) -> Self {
        Self {
            time,
            upload,
            has_begun: false,
            timer: None,
        }
    }

    /// The endpoint has taken something.
    pub(super) fn taken(&mut self) {
        self.restart();
    }

    /// The endpoint has sent something.
    pub(super) fn sent(&mut self) {
        self.has_begun = true;
        self.restart();
    }

    /// Ready when it has lasted too long.
    pub(super) fn poll_over(&mut self, cx: &mut Context<'_>) -> Poll<io::Error> {
        let end = self.end();
        let timer = (self.timer).get_or_insert_with(|| Box::pin(sleep_until(end)));
        timer.as_mut().poll(cx).map(|()| {
            let kind = io::ErrorKind::TimedOut;
            if self.waits_for_client() {
                io::Error::new(kind, Unsent)
            } else {
                kind.into()
            }
        })
    }

    fn waits_for_client(&self) -> bool {
        !self.has_begun && !self.upload.is_whole()
    }

    fn restart(&mut self) {
        let end = self.end();
        if let Some(timer) = &mut self.timer {
            timer.as_mut().reset(end);
        }
    }

    fn end(&self) -> Instant {
        let AnswerTime { silence, until } = self.time;
        let silent = Instant::now() + silence;
        match (self.has_begun, self.upload.is_whole()) {
            (true, _) => silent,
            (false, true) => silent.min(until),
            (false, false) => until,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use futures_util::FutureExt as _;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn silence() -> Silence {
        let until = Instant::now() + 10 * SECOND;
        let time = AnswerTime {
            silence: 3 * SECOND,
            until,
        };
        Silence::new(time, Arc::default())
    }

    fn is_over(silence: &mut Silence) -> bool {
        poll_fn(|cx| silence.poll_over(cx)).now_or_never().is_some()
    }

    /// Whether it is over after each of so many seconds.
    async fn passes(silence: &mut Silence, seconds: u64) -> bool {
        for _ in 0..seconds {
            tokio::time::advance(SECOND).await;
        }
        // The clock of tokio is good to a millisecond.
        tokio::time::advance(Duration::from_millis(2)).await;
        is_over(silence)
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_has_the_whole_time_to_send() {
        let mut silence = silence();
        assert!(!is_over(&mut silence));
        assert!(!passes(&mut silence, 5).await);
        silence.taken();
        assert!(!passes(&mut silence, 4).await);
        assert!(passes(&mut silence, 1).await);
    }

    #[tokio::test(start_paused = true)]
    async fn silence_counts_from_the_last_of_the_request() {
        let mut silence = silence();
        assert!(!is_over(&mut silence));
        assert!(!passes(&mut silence, 5).await);
        silence.upload.complete();
        silence.taken();
        assert!(!passes(&mut silence, 2).await);
        assert!(passes(&mut silence, 1).await);
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_may_take_as_long_as_it_is_not_silent() {
        let mut silence = silence();
        silence.upload.complete();
        for _ in 0..6 {
            assert!(!is_over(&mut silence));
            silence.sent();
            assert!(!passes(&mut silence, 2).await);
        }
        assert!(passes(&mut silence, 1).await);
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_must_begin_within_the_whole_time() {
        let mut silence = silence();
        assert!(!is_over(&mut silence));
        assert!(!passes(&mut silence, 8).await);
        silence.upload.complete();
        silence.taken();
        assert!(!passes(&mut silence, 1).await);
        assert!(passes(&mut silence, 1).await);
    }
}
