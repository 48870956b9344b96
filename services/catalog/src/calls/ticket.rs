//! Follows one call from its beginning to its end, whichever that is, and has it taken down then.

use std::{
    mem,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use catalog_api::{InstanceId, Service, Timestamp};
use http::{Method, StatusCode};
use service_kit::http::RequestId;
use tokio::time::Instant;

use crate::{
    history::{CacheUse, CallRecord, Ended, History, endpoint},
    state::Live,
};

/// One call in progress. Dropped before its end, it is one whose caller went away, or whose catalog stopped when there is no caller.
pub(crate) struct Ticket {
    history: Arc<History>,
    live: Arc<Live>,
    started: Instant,
    at: Timestamp,
    service: (catalog_api::ServiceId, catalog_api::ServiceName),
    method: String,
    endpoint: String,
    request_id: RequestId,
    /// Counted by whoever reads the request's body.
    received: Arc<AtomicU64>,
    instance: Option<InstanceId>,
    attempts: u8,
    cache: Option<CacheUse>,
    /// Of a call that is answered later: how often it was begun.
    run: Option<u32>,
    answered: Option<(StatusCode, Instant)>,
    is_closed: bool,
}

// === impl Ticket ===

impl Ticket {
    pub(super) fn new(
        history: Arc<History>,
        live: Arc<Live>,
        service: &Service,
        method: &Method,
        path: &str,
        request_id: &RequestId,
    ) -> Self {
        Self {
            history,
            live,
            started: Instant::now(),
            at: Timestamp::now(),
            service: (service.id, service.name.clone()),
            method: method.as_str().to_owned(),
            endpoint: endpoint(path),
            request_id: request_id.clone(),
            received: Arc::default(),
            instance: None,
            attempts: 0,
            cache: None,
            run: None,
            answered: None,
            is_closed: false,
        }
    }

    /// Where bytes of the request's body are counted.
    pub(super) fn received(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.received)
    }

    /// An instance is tried.
    pub(super) fn tries(&mut self, instance: &InstanceId) {
        self.instance = Some(instance.clone());
        self.attempts = self.attempts.saturating_add(1);
    }

    /// A kept answer was looked for.
    pub(super) fn looks(&mut self, found: CacheUse) {
        self.cache = Some(found);
    }

    /// Nobody waits for the answer, and the call is begun for the so many-th time.
    pub(crate) fn is_run(&mut self, run: u32) {
        self.run = Some(run);
    }

    /// The call goes on elsewhere, and has its end there.
    pub(crate) fn withdraw(mut self) {
        self.is_closed = true;
    }

    /// The header of the answer goes to the caller.
    pub(crate) fn answers(&mut self, status: StatusCode) {
        self.answered = Some((status, Instant::now()));
    }

    /// The call is over.
    pub(crate) fn close(mut self, ended: Ended, bytes_out: u64) {
        self.take_down(ended, bytes_out);
    }

    fn take_down(&mut self, ended: Ended, bytes_out: u64) {
        if mem::replace(&mut self.is_closed, true) {
            return;
        }
        let now = Instant::now();
        let (status, headed) = match self.answered {
            Some((status, at)) => (Some(status.as_u16()), at),
            None => (None, now),
        };
        let record = CallRecord {
            at: self.at,
            request_id: self.request_id.as_str().to_owned(),
            service_id: self.service.0,
            service: self.service.1.clone(),
            method: mem::take(&mut self.method),
            endpoint: mem::take(&mut self.endpoint),
            status,
            instance: self.instance.take(),
            attempts: self.attempts,
            latency: headed - self.started,
            duration: now - self.started,
            bytes_in: self.received.load(Ordering::Relaxed),
            bytes_out,
            ended,
            cache: self.cache,
            run: self.run,
        };
        self.history.record(record, &self.live.load());
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let ended = match self.run {
            None => Ended::Left,
            Some(_) => Ended::Abandoned,
        };
        self.take_down(ended, 0);
    }
}
