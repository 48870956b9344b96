//! `DELETE /services/{id}/instances/{instance}?drain=`: the answer comes when the drain is over, and says what became of the requests.
//!
//! Its header is sent at once and line breaks, which JSON passes over, follow until there is something to say: a drain may be longer than
//! what lies between takes for silence.

use std::time::Duration;

use bytes::Bytes;
use catalog_api::{InstanceId, ServiceRef, Span};
use database::Expect;
use futures_util::{Stream, stream};
use http::{HeaderMap, StatusCode, header};
use service_kit::{
    BoxError,
    http::{Response, body},
    problem::Problem,
};
use tokio::time::timeout;

use super::{
    Answer, Api,
    applied::{Wait, X_CATALOG_APPLIED},
    insert, written,
};
use crate::{
    drain::{DRAIN_MAX, DrainReport, Ending},
    prefer::{PREFERENCE_APPLIED, RESPOND_ASYNC, take_respond_async},
    problem,
};

/// Time between two line breaks. Proxies wait for 30 s and more.
const HEARTBEAT: Duration = Duration::from_secs(5);

/// What is asked of a drain.
pub(super) struct Drain {
    pub(super) target: ServiceRef,
    pub(super) id: InstanceId,
    pub(super) time: Duration,
    pub(super) wait: Wait,
}

impl Api {
    /// Has an instance leave slowly.
    pub(super) async fn drain_instance(
        &self,
        drain: Drain,
        expect: &Expect,
        headers: &HeaderMap,
    ) -> Answer {
        // A status is set on a condition of its own; a revision cannot be one as well.
        if !matches!(expect, Expect::Anything | Expect::Exists) {
            return Err(Problem::bad_request(
                "drain cannot be combined with a revision in if-match; leave one of them out",
            ));
        }
        let is_async = take_respond_async(&mut headers.clone());
        let Drain {
            target,
            id,
            time,
            wait,
        } = drain;
        let draining = self.registry.drain_instance(target, id.clone(), time);
        let (committed, ending) = draining.await.map_err(problem::from_write)?;
        let service = committed.service.ok_or_else(Problem::internal)?;
        if !is_async {
            let mut response = Response::new(body::stream(pieces(ending)));
            insert(&mut response, header::CONTENT_TYPE, "application/json");
            insert(&mut response, header::CACHE_CONTROL, "no-store");
            let applied = self.applied(wait, committed.revision, service.id).await;
            if let Some(applied) = applied {
                insert(&mut response, X_CATALOG_APPLIED, applied);
            }
            return Ok(written(
                response,
                committed.revision,
                Some(service.revision),
            ));
        }
        let instance = service.instances.iter().find(|instance| instance.id == id);
        let instance = instance.ok_or_else(Problem::internal)?;
        let response = body::json(StatusCode::ACCEPTED, instance);
        let response = written(response, committed.revision, Some(service.revision));
        let mut response = self
            .settled(wait, committed.revision, Some(service.id), response)
            .await;
        insert(&mut response, PREFERENCE_APPLIED, RESPOND_ASYNC);
        Ok(response)
    }
}

/// Line breaks until the drain is over, and then the account of it. Whoever goes away ends the stream, not the drain.
fn pieces(ending: Ending) -> impl Stream<Item = Result<Bytes, BoxError>> + Send + use<> {
    stream::unfold(Some(ending), async |ending| {
        let mut ending = ending?;
        let waiting = timeout(HEARTBEAT, ended(&mut ending)).await;
        match waiting {
            Err(_) => Some((Ok(Bytes::from_static(b"\n")), Some(ending))),
            Ok(report) => Some((report.map(Bytes::from), None)),
        }
    })
}

async fn ended(ending: &mut Ending) -> Result<Vec<u8>, BoxError> {
    // Every drain is told its end before it is forgotten.
    let report = ending.wait_for(Option::is_some).await?;
    let report: Option<&DrainReport> = report.as_ref();
    Ok(serde_json::to_vec(&report)?)
}

/// The parameter.
pub(super) fn parse_time(text: &str) -> Result<Duration, Problem> {
    let time = text.parse().ok().map(Span::get);
    time.filter(|time| *time <= DRAIN_MAX)
        .ok_or_else(|| Problem::bad_request("drain: must be a duration of 1ms to 10m, such as 30s"))
}
