//! Attempts at endpoints, until one of them answers.

use std::{future::Future, sync::Arc, time::Duration};

use bytes::BytesMut;
use http::StatusCode;
use pingora_core::server::ShutdownWatch;
use pingora_error::{Error, ErrorType, OrErr, Result};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use super::{
    Relay,
    answer::{Framing, Head},
    client::Client,
};
use crate::{
    error::GatewayError,
    proxy::{
        context::Attempt,
        forward, outcome,
        retry::{self, Patience, Unanswered},
    },
    upstream::Endpoint,
};

/// Bytes read at once: the head of an answer with 10 KiB of content.
const READ_BYTES: usize = 16 << 10;
/// The same once an answer has turned out to be long. What is read at once is written at once, and 64 KiB do not fit into one packet of
/// the loopback interface: they cost a quarter more than 32 KiB.
const LONG_READ_BYTES: usize = 32 << 10;

/// A connection to an endpoint, for one exchange.
#[derive(Debug)]
pub(super) struct Service {
    connection: TcpStream,
    endpoint: Arc<Endpoint>,
    /// What has come and was not passed on yet.
    pub(super) received: BytesMut,
    patience: Patience,
}

/// A head that is ready for the client, and what follows it.
struct Begun<H> {
    status: StatusCode,
    head: H,
    framing: Framing,
    /// Whether the service takes another request on the connection.
    stays_open: bool,
}

// === impl Relay ===

impl<C: Client> Relay<'_, C> {
    /// Has the request answered.
    ///
    /// # Errors
    /// Nobody answered, or the answer broke off.
    pub(super) async fn exchange(&mut self, stopping: &ShutdownWatch) -> Result<()> {
        let (mut service, begun) = self.answered(stopping).await?;
        let stays_open = begun.stays_open;
        if let Err(error) = self.pass_on(&mut service, begun).await {
            // With a part of it at the client, this only tells of the endpoint.
            self.tries_again(&error);
            return Err(error);
        }
        if stays_open {
            service.rest();
        }
        Ok(())
    }

    async fn answered(&mut self, stopping: &ShutdownWatch) -> Result<(Service, Begun<C::Head>)> {
        loop {
            let mut service = match self.connect().await? {
                Some(service) => service,
                None => continue,
            };
            match self.ask(&mut service, stopping).await {
                Ok(begun) => return Ok((service, begun)),
                Err(error) if self.tries_again(&error) => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// A connection to the next endpoint; none when that failed and another one may be tried.
    async fn connect(&mut self) -> Result<Option<Service>> {
        let (proxy, ctx) = (self.proxy, &mut self.ctx);
        // What content there is has come.
        let patience = retry::choose(ctx, false).map_err(|error| {
            outcome::gave_up(ctx);
            ctx.fail(error)
        })?;
        if ctx.attempts == 1 {
            proxy.metrics.overhead(ctx.started.elapsed());
        }
        let Some(Attempt {
            in_flight,
            dial: Some(dial),
            ..
        }) = &ctx.attempt
        else {
            return Err(ctx.fail(GatewayError::Internal));
        };
        let endpoint = Arc::clone(in_flight.endpoint());
        let connecting = pingora_timeout::timeout(patience.connect, dial.connection());
        let connected = match connecting.await {
            Ok(connected) => connected,
            Err(_) => Error::e_explain(ErrorType::ConnectTimedout, "connecting to an endpoint"),
        };
        match connected.map_err(|error| error.into_up()) {
            Ok(connection) => {
                retry::connected(ctx, false);
                Ok(Some(Service {
                    connection,
                    endpoint,
                    received: BytesMut::with_capacity(READ_BYTES),
                    patience,
                }))
            }
            Err(error) if retry::after_connect_failure(ctx, &error, &proxy.checker) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Sends the request and waits for the head of the answer.
    async fn ask(
        &mut self,
        service: &mut Service,
        stopping: &ShutdownWatch,
    ) -> Result<Begun<C::Head>> {
        let request = self.message.for_service(&self.ctx)?;
        service.send(&request).await?;
        drop(request);
        loop {
            while let Some(begun) = self.begin(service, stopping)? {
                if !begun.status.is_informational() {
                    return Ok(begun);
                }
                self.sent.status = Some(begun.status);
                self.client.interim(begun.head).await?;
            }
            self.in_time()?;
            if service.receive(self.client).await? == 0 {
                let why = "while reading the head of the answer";
                return Err(Error::explain(ErrorType::ConnectionClosed, why).into_up());
            }
        }
    }

    /// Prepares a head for the client, once it has come.
    fn begin(
        &mut self,
        service: &mut Service,
        stopping: &ShutdownWatch,
    ) -> Result<Option<Begun<C::Head>>> {
        let method = &self.message.header.method;
        let Some((mut head, length)) = Head::read(&service.received, method)? else {
            return Ok(None);
        };
        if head.status == StatusCode::SWITCHING_PROTOCOLS {
            let why = "nobody asked for another protocol";
            return Err(Error::explain(ErrorType::InvalidHTTPHeader, why).into_up());
        }
        let about = (head.status, head.version);
        if !head.status.is_informational() {
            self.close_if(stopping);
            outcome::answered(&mut self.ctx, head.status, &self.proxy.checker);
            if forward::is_stream(&head.lines) {
                // It ends when it ends; silence is still limited by the read timeout.
                self.ctx.deadline = None;
            }
        }
        forward::prepare_response(
            &mut head.lines,
            about,
            &self.ctx,
            self.proxy.expose_revision,
        )?;
        let (status, framing) = (head.status, head.framing);
        let begun = Begun {
            status,
            head: self
                .client
                .prepare(status, head.reason, head.lines, framing)?,
            framing,
            stays_open: head.stays_open,
        };
        let _ = service.received.split_to(length);
        Ok(Some(begun))
    }

    async fn pass_on(&mut self, service: &mut Service, begun: Begun<C::Head>) -> Result<()> {
        self.sent.status = Some(begun.status);
        self.client.begin(begun.head, begun.framing).await?;
        self.pass_content(service, begun.framing).await
    }

    /// Whether the request may be tried at another endpoint after this.
    fn tries_again(&mut self, error: &Error) -> bool {
        let unanswered = Unanswered {
            is_replayable: self.message.header.method.is_idempotent(),
            is_untouched: self.sent.status.is_none(),
            was_reused: false,
        };
        retry::after_exchange_failure(&mut self.ctx, error, unanswered, &self.proxy.checker)
    }
}

// === impl Service ===

impl Service {
    async fn send(&mut self, request: &[u8]) -> Result<()> {
        let sending = self.connection.write_all(request);
        let sent = match within(self.patience.write, sending).await {
            Some(sent) => sent.or_err(ErrorType::WriteError, "sending the request"),
            None => Error::e_explain(ErrorType::WriteTimedout, "sending the request"),
        };
        sent.map_err(|error| error.into_up())
    }

    /// Waits for more of the answer, as long as the client does. 0 is the end of the connection.
    pub(super) async fn receive(&mut self, client: &mut impl Client) -> Result<usize> {
        if self.received.capacity() == self.received.len() {
            self.received.reserve(LONG_READ_BYTES);
        }
        let reading = within(
            self.patience.read,
            self.connection.read_buf(&mut self.received),
        );
        let read = tokio::select! {
            biased;
            read = reading => read,
            () = client.gone() => {
                let why = "while its answer was awaited";
                return Err(Error::explain(ErrorType::ConnectionClosed, why).into_down());
            }
        };
        let read = match read {
            Some(read) => read.or_err(ErrorType::ReadError, "reading the answer"),
            None => Error::e_explain(ErrorType::ReadTimedout, "reading the answer"),
        };
        read.map_err(|error| error.into_up())
    }

    /// Gives the connection back for another request, when the answer was all that came.
    fn rest(self) {
        if self.received.is_empty() {
            self.endpoint.idle().keep_quiet(self.connection);
        }
    }
}

async fn within<T>(limit: Option<Duration>, future: impl Future<Output = T>) -> Option<T> {
    match limit {
        Some(limit) => pingora_timeout::timeout(limit, future).await.ok(),
        None => Some(future.await),
    }
}
