//! Instances: registered, renewed, taken out.

use std::time::Duration;

use catalog_api::{InstanceId, InstanceSpec, ServiceRef, Span};
use database::{Expect, Outcome};
use http::{StatusCode, header};
use service_kit::{
    http::{Call, Response, Routine, body},
    problem::Problem,
};

use super::{
    Answer, Api, BODY_BYTES_MAX, Endpoint, applied::Wait, conditional, insert, parameters, written,
};
use crate::{auth::authorize, drain::DRAIN_MAX, problem};

impl Api {
    /// `PUT /services/{id}/instances/{instance}`. The answer is the instance, not its service: renewals are many.
    pub(super) async fn put_instance(&self, call: Call<Endpoint>) -> Answer {
        authorize(&call, &self.token)?;
        let wait = Wait::parse(&parameters::query(&call, &[Wait::PARAMETER])?)?;
        let target = parameters::target(&call)?;
        let id = parameters::instance(&call)?;
        let expect = conditional::expectation(call.request.headers())?;
        let spec: InstanceSpec = body::read_json(call.request, BODY_BYTES_MAX).await?;
        let registered = self
            .registry
            .put_instance(target, id.clone(), spec, expect)
            .await
            .map_err(problem::from_write)?;
        self.registry.leases.heard();
        let service = &registered.service;
        let instance = service
            .instances
            .iter()
            .find(|instance| instance.id == id)
            .ok_or_else(Problem::internal)?;
        let status = match registered.outcome {
            Outcome::Created => StatusCode::CREATED,
            _ => StatusCode::OK,
        };
        let mut response = body::json(status, instance);
        if registered.outcome == Outcome::Unchanged {
            // A renewal, which every instance sends every few seconds.
            response.extensions_mut().insert(Routine);
        }
        if registered.outcome == Outcome::Created {
            let location = format!("/services/{}/instances/{id}", service.id);
            insert(&mut response, header::LOCATION, &location);
        }
        let response = written(response, registered.revision, Some(service.revision));
        Ok(self
            .settled(wait, registered.revision, Some(service.id), response)
            .await)
    }

    /// `DELETE /services/{id}/instances/{instance}`, at once or after `?drain=`.
    pub(super) async fn delete_instance(&self, call: &Call<Endpoint>) -> Answer {
        authorize(call, &self.token)?;
        let query = parameters::query(call, &["drain", Wait::PARAMETER])?;
        let wait = Wait::parse(&query)?;
        let target = parameters::target(call)?;
        let id = parameters::instance(call)?;
        let expect = conditional::expectation(call.request.headers())?;
        if let Some(time) = query.get("drain") {
            return self
                .drain_instance(target, id, parse_drain(time)?, &expect, wait)
                .await;
        }
        let committed = self
            .registry
            .delete_instance(target, id, expect)
            .await
            .map_err(problem::from_write)?;
        let mut response = Response::new(body::empty());
        *response.status_mut() = StatusCode::NO_CONTENT;
        let service = committed.service.map(|service| service.id);
        let response = written(response, committed.revision, None);
        Ok(self
            .settled(wait, committed.revision, service, response)
            .await)
    }

    async fn drain_instance(
        &self,
        target: ServiceRef,
        id: InstanceId,
        time: Duration,
        expect: &Expect,
        wait: Wait,
    ) -> Answer {
        // A status is set on a condition of its own; a revision cannot be one as well.
        if !matches!(expect, Expect::Anything | Expect::Exists) {
            return Err(Problem::bad_request(
                "drain cannot be combined with a revision in if-match; leave one of them out",
            ));
        }
        let draining = self.registry.drain_instance(target, id.clone(), time);
        let committed = draining.await.map_err(problem::from_write)?;
        let service = committed.service.ok_or_else(Problem::internal)?;
        let instance = service.instances.iter().find(|instance| instance.id == id);
        let instance = instance.ok_or_else(Problem::internal)?;
        let response = body::json(StatusCode::ACCEPTED, instance);
        let response = written(response, committed.revision, Some(service.revision));
        Ok(self
            .settled(wait, committed.revision, Some(service.id), response)
            .await)
    }
}

fn parse_drain(text: &str) -> Result<Duration, Problem> {
    let time = text.parse().ok().map(Span::get);
    time.filter(|time| *time <= DRAIN_MAX)
        .ok_or_else(|| Problem::bad_request("drain: must be a duration of 1ms to 10m, such as 30s"))
}
