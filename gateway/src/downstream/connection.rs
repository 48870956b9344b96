//! One connection of a client: its requests, one after the other.

use std::time::Duration;

use pingora_core::{
    apps::{HttpServerApp as _, ServerApp as _},
    protocols::{IO, http::ServerSession},
};

use tokio::{sync::watch, time};

use super::{
    listener::{Front, Stage},
    refusal::Refusals,
    stream::{ClientStream, Next},
};
use crate::proxy::Relayed;

/// Requests on one connection before it is closed, so that its memory is freed now and then.
const REQUESTS_PER_CONNECTION_MAX: u32 = 100_000;

/// How long a connection that is handed over may stay idle. A client that keeps asking gets `Connection: close` with its next answer;
/// closing at once would lose what it is just sending.
const LAST_REQUEST_WAIT: Duration = Duration::from_secs(5);

/// Waits for the moment at which an idle connection has to end.
async fn ended(stage: &mut watch::Receiver<Stage>) {
    let serving = |stage: &Stage| *stage == Stage::Serving;
    // An error means that the gateway is gone.
    let reached = stage
        .wait_for(|stage| !serving(stage))
        .await
        .map(|stage| *stage);
    if reached.is_ok_and(|stage| stage == Stage::HandingOver) {
        let draining = stage.wait_for(|stage| *stage == Stage::Draining);
        let _ = time::timeout(LAST_REQUEST_WAIT, draining).await;
    }
}

impl Front {
    /// Serves streams of HTTP/2 until one side has had enough.
    pub(super) async fn serve_http2(&self, mut stream: Box<ClientStream>) {
        match stream.begin_http2(self.limits()).await {
            Next::Request => {
                // Nothing is given back: a connection of HTTP/2 is served to its end.
                let _ = self.streams().process_new(stream, self.stopping()).await;
            }
            Next::Refused(refused) => self.refusals().refuse(stream, refused).await,
            Next::End => {}
        }
    }

    /// Serves requests of HTTP/1 until one side has had enough.
    pub(super) async fn serve_http1(&self, mut stream: Box<ClientStream>) {
        let mut stage = self.stage();
        for left in (0..REQUESTS_PER_CONNECTION_MAX).rev() {
            let next = tokio::select! {
                biased;
                next = stream.next_request(self.limits()) => next,
                // A connection without a request under way ends with the gateway.
                () = ended(&mut stage) => return,
            };
            match next {
                Next::Request => {}
                Next::End => return,
                Next::Refused(refused) => {
                    return self.refusals().refuse(stream, refused).await;
                }
            }
            if self.proxy().relays
                && let Some(whole) = stream.take_whole()
            {
                let is_last = left == 0;
                match self
                    .proxy()
                    .relay(&mut stream, whole, is_last, self.stopping())
                    .await
                {
                    Relayed::Answered => continue,
                    Relayed::Over => return,
                    Relayed::Declined(whole) => stream.put_back(whole),
                }
            }
            match self.serve_by_pingora(stream, left).await {
                Some(back) => stream = back,
                None => return,
            }
        }
    }

    /// Serves a request the long way. Answers the stream when another request may follow.
    async fn serve_by_pingora(
        &self,
        stream: Box<ClientStream>,
        left: u32,
    ) -> Option<Box<ClientStream>> {
        let mut session = ServerSession::new_http1(stream);
        session.set_keepalive(Some(0));
        session.set_keepalive_reuses_remaining(Some(left));
        let served = self.pingora().process_new_http(session, self.stopping());
        let (back, _) = served.await?.consume();
        let back = IO::into_any(back).downcast::<ClientStream>().ok()?;
        back.is_at_message_end().then_some(back)
    }

    fn refusals(&self) -> Refusals<'_> {
        Refusals {
            metrics: &self.proxy().metrics,
            unmatched: &self.proxy().unmatched,
        }
    }
}
