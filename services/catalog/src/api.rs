//! The HTTP interface: routes, and what every answer of a kind has in common. One file per resource below.

pub(crate) mod applied;
mod calls;
mod conditional;
mod console;
mod deferred;
mod discovery;
mod documentation;
mod draining;
mod health;
mod history;
mod information;
mod instances;
mod parameters;
mod receipts;
mod selection;
mod services;
mod watch;

use std::sync::Arc;

use catalog_api::Revision;
use http::{HeaderName, HeaderValue, Method, header};
use service_kit::{
    http::{Application, Call, Response},
    problem::Problem,
    readiness::Readiness,
    secret::Secret,
};

use crate::{
    calls::Calls, deferred::Deferred, discovery::Discovery, entity_tag::EntityTag, health::Checker,
    history::History, receipts::Receipts, registry::Registry, state::Live, watch::Watchers,
};

/// Longest body of a write, in bytes.
const BODY_BYTES_MAX: usize = 64 * 1024;

/// Says at which revision a write is in effect.
const X_CATALOG_REVISION: HeaderName = HeaderName::from_static("x-catalog-revision");

/// The catalog behind its HTTP interface.
pub(crate) struct Api {
    pub(crate) registry: Arc<Registry>,
    pub(crate) live: Arc<Live>,
    pub(crate) token: Secret,
    pub(crate) watchers: Watchers,
    pub(crate) receipts: Arc<Receipts>,
    pub(crate) checker: Checker,
    pub(crate) calls: Arc<Calls>,
    pub(crate) deferred: Arc<Deferred>,
    pub(crate) history: Arc<History>,
    pub(crate) discovery: Discovery,
    pub(crate) readiness: Readiness,
}

/// Its routes by name.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Endpoint {
    Front,
    Console,
    List,
    Read,
    Watch,
    Receipt,
    Health,
    ServiceHealth,
    Discover,
    Call,
    Deferred,
    Logs,
    Statistics,
    Openapi,
    Documentation,
    Create,
    Put,
    Delete,
    PutInstance,
    DeleteInstance,
}

type Answer = Result<Response, Problem>;

// === impl Api ===

impl Application for Api {
    type Endpoint = Endpoint;

    fn routes() -> Vec<(Method, &'static str, Endpoint)> {
        const INSTANCE: &str = "/services/{id}/instances/{instance}";
        let mut routes = vec![
            (Method::GET, "/", Endpoint::Front),
            (Method::GET, "/console/{file}", Endpoint::Console),
            (Method::GET, "/openapi.json", Endpoint::Openapi),
            (Method::GET, "/docs", Endpoint::Documentation),
            (Method::GET, "/docs/", Endpoint::Documentation),
            (Method::GET, "/docs/{file}", Endpoint::Documentation),
            (Method::GET, "/services", Endpoint::List),
            (Method::POST, "/services", Endpoint::Create),
            (Method::GET, "/services/watch", Endpoint::Watch),
            (Method::POST, catalog_api::RECEIPTS_PATH, Endpoint::Receipt),
            (Method::GET, "/services/health", Endpoint::Health),
            (
                Method::GET,
                "/services/{id}/health",
                Endpoint::ServiceHealth,
            ),
            (Method::GET, "/services/discover", Endpoint::Discover),
            (Method::GET, "/services/calls/{call}", Endpoint::Deferred),
            (Method::GET, "/services/logs", Endpoint::Logs),
            (Method::GET, "/services/stats", Endpoint::Statistics),
            (Method::GET, "/services/{id}", Endpoint::Read),
            (Method::PUT, "/services/{id}", Endpoint::Put),
            (Method::DELETE, "/services/{id}", Endpoint::Delete),
            (Method::PUT, INSTANCE, Endpoint::PutInstance),
            (Method::DELETE, INSTANCE, Endpoint::DeleteInstance),
        ];
        routes.extend(calls::routes());
        routes
    }

    /// What has to wait is boxed: otherwise this future is as large as the largest of them, and a read, which waits for nothing, pays for
    /// moving it.
    async fn respond(&self, call: Call<Endpoint>) -> Answer {
        match call.endpoint {
            Endpoint::Front => Ok(self.front(&call)),
            Endpoint::Console => self.console(&call),
            Endpoint::List => self.list(&call),
            Endpoint::Read => self.read(&call),
            Endpoint::Watch => self.watch(&call),
            Endpoint::Receipt => Box::pin(self.receipt(call)).await,
            Endpoint::Health => Box::pin(self.services_health(&call)).await,
            Endpoint::ServiceHealth => Box::pin(self.service_health(&call)).await,
            Endpoint::Discover => Box::pin(self.discover(&call)).await,
            Endpoint::Call => Box::pin(self.forward(call)).await,
            Endpoint::Deferred => Box::pin(self.deferred(&call)).await,
            Endpoint::Logs => Box::pin(self.logs(&call)).await,
            Endpoint::Openapi => Ok(self.openapi()),
            Endpoint::Documentation => self.documentation(&call),
            Endpoint::Statistics => Box::pin(self.statistics(&call)).await,
            Endpoint::Create => Box::pin(self.create(call)).await,
            Endpoint::Put => Box::pin(self.put(call)).await,
            Endpoint::Delete => Box::pin(self.delete(&call)).await,
            Endpoint::PutInstance => Box::pin(self.put_instance(call)).await,
            Endpoint::DeleteInstance => Box::pin(self.delete_instance(&call)).await,
        }
    }

    fn health(&self) -> serde_json::Value {
        self.condition()
    }
}

fn insert(response: &mut Response, name: HeaderName, value: &str) {
    // What we put into headers is digits, names and ids: ASCII without control characters.
    if let Ok(value) = HeaderValue::from_str(value) {
        response.headers_mut().insert(name, value);
    }
}

/// Marks the answer to a write.
fn written(mut response: Response, catalog: Revision, service: Option<Revision>) -> Response {
    insert(&mut response, X_CATALOG_REVISION, &catalog.to_string());
    if let Some(revision) = service {
        let tag = EntityTag::new(revision).value();
        response.headers_mut().insert(header::ETAG, tag);
    }
    response
}
