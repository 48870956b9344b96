//! The body of an instance's answer on its way to the caller, with an end to every wait.

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use service_kit::{BoxError, http::body};
use tokio::time::{Instant, Sleep, sleep_until};

use super::{flights::Flight, ticket::Ticket};
use crate::{answers::Keeper, history::Ended};

/// Longest time for an answer of our own; the caller's connection has limits of its own.
const KEPT_WAIT_MAX: Duration = Duration::from_secs(60 * 60);

/// Passes frames on.
pub(super) struct AnswerBody {
    inner: service_kit::http::Body,
    /// An answer to HEAD has the length of what GET would bring, and no body.
    is_head: bool,
    read: Duration,
    end: Instant,
    silence: Pin<Box<Sleep>>,
    bytes: u64,
    is_cut: bool,
    keeper: Option<Keeper>,
    ticket: Option<Ticket>,
    /// The call is with an instance until the body ends.
    flight: Option<Flight>,
}

/// The instance fell silent, or its time is over. The connection to the caller is cut, so that half an answer cannot be taken for a
/// whole one.
#[derive(Debug, thiserror::Error)]
#[error("the instance did not finish its answer in time")]
struct Unfinished;

// === impl AnswerBody ===

impl AnswerBody {
    pub(super) fn new(
        inner: service_kit::http::Body,
        is_head: bool,
        read: Duration,
        end: Instant,
    ) -> Self {
        let limit = (Instant::now() + read).min(end);
        Self {
            inner,
            is_head,
            read,
            end,
            silence: Box::pin(sleep_until(limit)),
            bytes: 0,
            is_cut: false,
            keeper: None,
            ticket: None,
            flight: None,
        }
    }

    /// The call that it ends.
    pub(super) fn with(mut self, flight: Flight) -> Self {
        self.flight = Some(flight);
        self
    }

    /// One that is there already.
    pub(super) fn of(bytes: Bytes) -> Self {
        let (read, end) = (KEPT_WAIT_MAX, Instant::now() + KEPT_WAIT_MAX);
        Self::new(body::full(bytes), false, read, end)
    }

    /// Has what passes be kept when it is whole.
    pub(super) fn kept_by(&mut self, keeper: Option<Keeper>) {
        self.keeper = keeper;
    }

    fn collect(&mut self, frame: &Frame<Bytes>) {
        let fits = match (frame.data_ref(), &mut self.keeper) {
            (Some(piece), Some(keeper)) => keeper.takes(piece),
            // Trailers are not kept, so neither is an answer that has some.
            _ => false,
        };
        if !fits {
            self.keeper = None;
        }
    }

    /// Has the end of the body be the end of the call.
    pub(super) fn followed_by(mut self, ticket: Ticket) -> Self {
        self.ticket = Some(ticket);
        self
    }

    fn close(&mut self, ended: Ended) {
        if let Some(keeper) = self.keeper.take()
            && ended == Ended::Complete
        {
            keeper.keep();
        }
        if let Some(ticket) = self.ticket.take() {
            ticket.close(ended, self.bytes);
        }
        self.flight = None;
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
                match &frame {
                    Some(Ok(frame)) => {
                        let bytes = frame.data_ref().map_or(0, Bytes::len);
                        this.bytes = this.bytes.saturating_add(bytes as u64);
                        this.collect(frame);
                    }
                    Some(Err(_)) => this.is_cut = true,
                    None => this.close(Ended::Complete),
                }
                Poll::Ready(frame)
            }
            Poll::Pending => match this.silence.as_mut().poll(context) {
                Poll::Ready(()) => {
                    this.is_cut = true;
                    Poll::Ready(Some(Err(Unfinished.into())))
                }
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

impl Drop for AnswerBody {
    fn drop(&mut self) {
        let ended = match self.inner.is_end_stream() {
            _ if self.is_cut => Ended::Cut,
            // hyper does not ask for an end that it can count out itself.
            true => Ended::Complete,
            false => Ended::Left,
        };
        self.close(ended);
    }
}
