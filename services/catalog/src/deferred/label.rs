//! What is told about a call that is answered later, from its acceptance until it is forgotten.

use std::time::Duration;

use bytes::Bytes;
use catalog_api::{CallAccess, Service, ServiceId, ServiceName, Timestamp};
use http::{Method, StatusCode};
use serde::{Deserialize, Serialize};

use crate::{
    calls::{self, Head},
    history::{CallRecord, Ended, endpoint},
};

#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Label {
    pub(super) service_id: ServiceId,
    /// The name it had.
    pub(super) service: ServiceName,
    pub(super) method: String,
    /// The path as a template, as in the log of calls.
    endpoint: String,
    pub(super) request_id: String,
    pub(super) accepted_at: Timestamp,
    /// The service asked for the token, and so does its answer.
    pub(super) is_guarded: bool,
}

// === impl Label ===

impl Label {
    pub(super) fn new(service: &Service, head: &Head) -> Self {
        Self {
            service_id: service.id,
            service: service.name.clone(),
            method: head.method.to_string(),
            endpoint: endpoint(head.target.path()),
            request_id: head.request_id.as_str().to_owned(),
            accepted_at: Timestamp::now(),
            is_guarded: service.policy.call == CallAccess::Token,
        }
    }

    pub(super) fn to_bytes(&self) -> Bytes {
        // Text, numbers and flags can always be written.
        serde_json::to_vec(self).unwrap_or_default().into()
    }

    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        serde_json::from_slice(bytes).ok()
    }

    /// Whether the call may be begun again when nobody knows how far it came.
    pub(super) fn is_repeatable(&self) -> bool {
        let method = self.method.parse::<Method>();
        method.is_ok_and(|method| calls::is_idempotent(&method))
    }

    /// For the log, where there is no instance to speak of.
    pub(super) fn record(&self, run: u32, ended: Ended, status: Option<StatusCode>) -> CallRecord {
        let millis = Timestamp::now()
            .unix_millis()
            .saturating_sub(self.accepted_at.unix_millis());
        CallRecord {
            at: self.accepted_at,
            request_id: self.request_id.clone(),
            service_id: self.service_id,
            service: self.service.clone(),
            method: self.method.clone(),
            endpoint: self.endpoint.clone(),
            status: status.map(|status| status.as_u16()),
            instance: None,
            attempts: 0,
            latency: Duration::from_millis(millis),
            duration: Duration::from_millis(millis),
            bytes_in: 0,
            bytes_out: 0,
            ended,
            cache: None,
            run: Some(run),
        }
    }
}
