//! Services: read from the snapshot, written through the registry.

use std::sync::Arc;

use catalog_api::{Service, ServiceSpec};
use database::{Command, Committed, Outcome};
use http::{StatusCode, header};
use service_kit::{
    http::{Call, Response, body},
    problem::Problem,
};

use super::{
    Answer, Api, BODY_BYTES_MAX, Endpoint,
    applied::Wait,
    conditional, insert, parameters,
    selection::{self, Selection},
    written,
};
use crate::{auth::authorize, problem, snapshot::Entry};

impl Api {
    /// `GET /services`. The tag of a selection is the catalog's revision too: a change elsewhere sends it again for nothing, but
    /// finding that out would cost the selection.
    pub(super) fn list(&self, call: &Call<Endpoint>) -> Answer {
        let query = parameters::query(call, &selection::PARAMETERS)?;
        let selection = Selection::parse(&query)?;
        let snapshot = self.live.load();
        conditional::tagged(call.request.headers(), snapshot.tag(), || {
            let json = if query.is_empty() {
                snapshot.list()
            } else {
                selection.list(&snapshot)
            };
            body::json_bytes(StatusCode::OK, json)
        })
    }

    /// `GET /services/{id}`.
    pub(super) fn read(&self, call: &Call<Endpoint>) -> Answer {
        parameters::query(call, &[])?;
        let entry = self.entry(call)?;
        conditional::tagged(call.request.headers(), &entry.tag, || {
            body::json_bytes(StatusCode::OK, entry.json.clone())
        })
    }

    /// `POST /services`.
    pub(super) async fn create(&self, call: Call<Endpoint>) -> Answer {
        authorize(&call, &self.token)?;
        let wait = Wait::parse(&parameters::query(&call, &[Wait::PARAMETER])?)?;
        let spec: ServiceSpec = body::read_json(call.request, BODY_BYTES_MAX).await?;
        self.declare(Command::Create(spec), wait).await
    }

    /// `PUT /services/{id}`.
    pub(super) async fn put(&self, call: Call<Endpoint>) -> Answer {
        authorize(&call, &self.token)?;
        let wait = Wait::parse(&parameters::query(&call, &[Wait::PARAMETER])?)?;
        let target = parameters::target(&call)?;
        let expect = conditional::expectation(call.request.headers())?;
        let spec = body::read_json(call.request, BODY_BYTES_MAX).await?;
        let command = Command::Put {
            target,
            spec,
            expect,
        };
        self.declare(command, wait).await
    }

    /// `DELETE /services/{id}`.
    pub(super) async fn delete(&self, call: &Call<Endpoint>) -> Answer {
        authorize(call, &self.token)?;
        let wait = Wait::parse(&parameters::query(call, &[Wait::PARAMETER])?)?;
        let command = Command::Delete {
            target: parameters::target(call)?,
            expect: conditional::expectation(call.request.headers())?,
        };
        let committed = self
            .registry
            .write(command)
            .await
            .map_err(problem::from_write)?;
        let mut response = Response::new(body::empty());
        *response.status_mut() = StatusCode::NO_CONTENT;
        let response = written(response, committed.revision, None);
        Ok(self.settled(wait, committed.revision, None, response).await)
    }

    /// The service that the path means, as it is published.
    pub(super) fn entry(&self, call: &Call<Endpoint>) -> Result<Arc<Entry>, Problem> {
        let target = parameters::existing(call)?;
        self.live
            .load()
            .get(&target)
            .cloned()
            .ok_or_else(|| Problem::not_found(format!("there is no service {target}")))
    }

    async fn declare(&self, command: Command, wait: Wait) -> Answer {
        let Committed {
            revision,
            outcome,
            service,
        } = self
            .registry
            .write(command)
            .await
            .map_err(problem::from_write)?;
        // A command that puts a service leaves one.
        let service = service.ok_or_else(Problem::internal)?;
        let status = match outcome {
            Outcome::Created => StatusCode::CREATED,
            _ => StatusCode::OK,
        };
        let mut response = self.encoded(status, &service);
        if outcome == Outcome::Created {
            let location = format!("/services/{}", service.id);
            insert(&mut response, header::LOCATION, &location);
        }
        let response = written(response, revision, Some(service.revision));
        Ok(self
            .settled(wait, revision, Some(service.id), response)
            .await)
    }

    /// The service as JSON, from the snapshot when that has just this state of it.
    fn encoded(&self, status: StatusCode, service: &Service) -> Response {
        let snapshot = self.live.load();
        let published = snapshot
            .get(&catalog_api::ServiceRef::Id(service.id))
            .map(Arc::as_ref)
            .filter(|entry| entry.service.revision == service.revision);
        match published {
            Some(entry) => body::json_bytes(status, entry.json.clone()),
            None => body::json(status, service),
        }
    }
}
