//! A request's body that can be sent again while little of it is gone: its beginning is kept as it passes, up to a limit, and the
//! next attempt starts with what was kept. Nothing is read ahead.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use parking_lot::Mutex;
use service_kit::{BoxError, http::Body};
use tokio::time::Instant;

/// Most bytes that are kept for another attempt.
const KEPT_BYTES_MAX: usize = 64 * 1024;

/// The body of one call.
#[derive(Clone)]
pub(super) struct Replay(Arc<Mutex<Shared>>);

/// The body of one attempt. An earlier one ends with an error when a later one begins.
pub(super) struct Attempt {
    shared: Arc<Mutex<Shared>>,
    number: u64,
    /// How many of the kept pieces were sent.
    sent: usize,
}

struct Shared {
    source: Body,
    received: Arc<AtomicU64>,
    kept: Vec<Bytes>,
    kept_bytes: usize,
    /// Something was sent that is not kept.
    is_lost: bool,
    is_broken: bool,
    awaits_caller: bool,
    progress: Instant,
    newest: u64,
}

/// Another attempt has taken over.
#[derive(Debug, thiserror::Error)]
#[error("the attempt was given up")]
struct GivenUp;

// === impl Replay ===

impl Replay {
    /// Counts into `received` what comes from the caller.
    pub(super) fn new(source: Body, received: Arc<AtomicU64>) -> Self {
        Self(Arc::new(Mutex::new(Shared {
            source,
            received,
            kept: Vec::new(),
            kept_bytes: 0,
            is_lost: false,
            is_broken: false,
            awaits_caller: false,
            progress: Instant::now(),
            newest: 0,
        })))
    }

    /// The body from its beginning; none when that is gone.
    pub(super) fn attempt(&self) -> Option<Attempt> {
        let mut shared = self.0.lock();
        if !shared.can_repeat() {
            return None;
        }
        shared.newest += 1;
        Some(Attempt {
            shared: Arc::clone(&self.0),
            number: shared.newest,
            sent: 0,
        })
    }

    /// Whether there can be another attempt.
    pub(super) fn can_repeat(&self) -> bool {
        self.0.lock().can_repeat()
    }

    /// When a piece came from the caller last.
    pub(super) fn progress(&self) -> Instant {
        self.0.lock().progress
    }

    /// The instance has everything that the caller sent so far, and there is more to come.
    pub(super) fn awaits_caller(&self) -> bool {
        self.0.lock().awaits_caller
    }

    /// The caller's body ended before its end.
    pub(super) fn is_broken(&self) -> bool {
        self.0.lock().is_broken
    }
}

// === impl Shared ===

impl Shared {
    fn can_repeat(&self) -> bool {
        !self.is_lost && !self.is_broken
    }

    fn keep(&mut self, piece: &Bytes) {
        self.kept_bytes = self.kept_bytes.saturating_add(piece.len());
        if self.kept_bytes > KEPT_BYTES_MAX {
            self.is_lost = true;
            self.kept.clear();
        } else {
            self.kept.push(piece.clone());
        }
    }

    /// The next piece from the caller. Trailers stay behind: few understand them, and credentials could hide there.
    fn poll_source(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        loop {
            let polled = Pin::new(&mut self.source).poll_frame(context);
            self.awaits_caller = polled.is_pending();
            let frame = ready!(polled);
            self.progress = Instant::now();
            match frame {
                None => return Poll::Ready(None),
                Some(Err(error)) => {
                    self.is_broken = true;
                    return Poll::Ready(Some(Err(error)));
                }
                Some(Ok(frame)) => {
                    if let Ok(piece) = frame.into_data() {
                        self.received
                            .fetch_add(piece.len() as u64, Ordering::Relaxed);
                        if !self.is_lost {
                            self.keep(&piece);
                        }
                        return Poll::Ready(Some(Ok(Frame::data(piece))));
                    }
                }
            }
        }
    }
}

// === impl Attempt ===

impl HttpBody for Attempt {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = self.get_mut();
        let mut shared = this.shared.lock();
        if shared.newest != this.number {
            return Poll::Ready(Some(Err(GivenUp.into())));
        }
        if let Some(piece) = shared.kept.get(this.sent) {
            this.sent += 1;
            return Poll::Ready(Some(Ok(Frame::data(piece.clone()))));
        }
        let polled = shared.poll_source(context);
        // A piece that was just kept was just sent as well.
        this.sent = shared.kept.len();
        polled
    }

    fn is_end_stream(&self) -> bool {
        let shared = self.shared.lock();
        self.sent >= shared.kept.len() && shared.source.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let shared = self.shared.lock();
        let unsent = shared.kept.iter().skip(self.sent).map(Bytes::len);
        let unsent = unsent.sum::<usize>() as u64;
        let rest = shared.source.size_hint();
        let mut hint = SizeHint::new();
        hint.set_lower(rest.lower().saturating_add(unsent));
        if let Some(upper) = rest.upper() {
            hint.set_upper(upper.saturating_add(unsent));
        }
        hint
    }
}

#[cfg(test)]
mod tests {
    use futures_util::stream;
    use http_body_util::BodyExt as _;
    use proptest::prelude::*;
    use service_kit::http::body;

    use super::*;

    fn replay(pieces: Vec<Vec<u8>>) -> Replay {
        let pieces = pieces.into_iter().map(|piece| Ok(Bytes::from(piece)));
        Replay::new(body::stream(stream::iter(pieces)), Arc::default())
    }

    /// The next pieces, joined.
    async fn read(attempt: &mut Attempt, pieces_max: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        for _ in 0..pieces_max {
            let Some(frame) = attempt.frame().await else {
                break;
            };
            bytes.extend_from_slice(&frame.unwrap().into_data().unwrap());
        }
        bytes
    }

    #[tokio::test]
    async fn an_attempt_that_was_given_up_takes_nothing_away() {
        let replay = replay(vec![b"a".to_vec(), b"b".to_vec()]);
        let mut first = replay.attempt().unwrap();
        assert_eq!(read(&mut first, 1).await, b"a");
        let mut second = replay.attempt().unwrap();
        assert!(first.frame().await.unwrap().is_err());
        assert_eq!(read(&mut second, 9).await, b"ab");
        assert!(second.is_end_stream() || second.frame().await.is_none());
    }

    #[tokio::test]
    async fn a_long_body_is_sent_once() {
        let replay = replay(vec![vec![1; KEPT_BYTES_MAX], vec![2; 1], vec![3; 1]]);
        let mut first = replay.attempt().unwrap();
        assert_eq!(read(&mut first, 1).await.len(), KEPT_BYTES_MAX);
        assert!(replay.can_repeat());
        assert_eq!(read(&mut first, 9).await, [2, 3]);
        assert!(!replay.can_repeat() && replay.attempt().is_none());
    }

    proptest! {
        #[test]
        fn every_attempt_starts_at_the_beginning(
            pieces in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 1..9), 0..12),
            reads in proptest::collection::vec(0..14usize, 0..5),
        ) {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            runtime.block_on(async {
                let whole = pieces.concat();
                let replay = replay(pieces);
                for pieces_max in reads {
                    let mut attempt = replay.attempt().unwrap();
                    let start = read(&mut attempt, pieces_max).await;
                    assert_eq!(start, whole[..start.len()]);
                }
                let mut last = replay.attempt().unwrap();
                assert_eq!(read(&mut last, usize::MAX).await, whole);
            });
        }
    }
}
