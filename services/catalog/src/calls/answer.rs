//! The body of an instance's answer on its way to the caller, with an end to every wait.

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use service_kit::BoxError;
use tokio::time::{Instant, Sleep, sleep_until};

/// Passes frames on.
pub(super) struct AnswerBody {
    inner: Incoming,
    /// An answer to HEAD has the length of what GET would bring, and no body.
    is_head: bool,
    read: Duration,
    end: Instant,
    silence: Pin<Box<Sleep>>,
}

/// The instance fell silent, or its time is over. The connection to the caller is cut, so that half an answer cannot be taken for a
/// whole one.
#[derive(Debug, thiserror::Error)]
#[error("the instance did not finish its answer in time")]
struct Unfinished;

// === impl AnswerBody ===

impl AnswerBody {
    pub(super) fn new(inner: Incoming, is_head: bool, read: Duration, end: Instant) -> Self {
        let limit = (Instant::now() + read).min(end);
        Self {
            inner,
            is_head,
            read,
            end,
            silence: Box::pin(sleep_until(limit)),
        }
    }
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = self.get_mut();
        match Pin::new(&mut this.inner).poll_frame(context) {
            Poll::Ready(frame) => {
                let limit = (Instant::now() + this.read).min(this.end);
                this.silence.as_mut().reset(limit);
                Poll::Ready(frame.map(|frame| frame.map_err(Into::into)))
            }
            Poll::Pending => match this.silence.as_mut().poll(context) {
                Poll::Ready(()) => Poll::Ready(Some(Err(Unfinished.into()))),
                Poll::Pending => Poll::Pending,
            },
        }
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        if self.is_head {
            SizeHint::default()
        } else {
            self.inner.size_hint()
        }
    }
}
