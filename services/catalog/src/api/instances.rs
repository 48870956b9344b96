//! Instances: registered, renewed, taken out.

use catalog_api::InstanceSpec;
use database::Outcome;
use http::{StatusCode, header};
use service_kit::{
    http::{Call, Response, Routine, body},
    problem::Problem,
};

use super::{
    Answer, Api, BODY_BYTES_MAX, Endpoint,
    applied::Wait,
    conditional,
    draining::{Drain, parse_time},
    insert, parameters, written,
};
use crate::{auth::authorize, problem};

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
            let time = parse_time(time)?;
            let drain = Drain {
                target,
                id,
                time,
                wait,
            };
            return self
                .drain_instance(drain, &expect, call.request.headers())
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
}
