//! The operators' listener: what is routed where, and how the endpoints are.

pub mod explain;
mod purge;
mod state;
mod table;
mod view;

use std::sync::Arc;

use http::{Method, StatusCode};
use serde_json::json;
use service_kit::{
    VERSION,
    http::{Application, Call, Response, body},
    problem::Problem,
    readiness::Readiness,
};

use crate::{cache::Cache, metrics::GatewayMetrics, proxy::Exchanges, snapshot::Live};
use explain::{Explainer, Question};
use state::State;
use table::Table;

/// Answers on the admin listener.
pub struct Admin {
    /// The current view.
    pub live: Arc<Live>,
    /// For the state of the connection to the catalog.
    pub metrics: Arc<GatewayMetrics>,
    /// Requests under way.
    pub exchanges: Exchanges,
    /// Whether the gateway can serve.
    pub readiness: Readiness,
    /// Kept answers.
    pub cache: Option<&'static Cache>,
    /// Says what becomes of a request.
    pub explainer: Explainer,
}

/// Endpoints of the admin API besides those that every program has.
#[derive(Clone, Copy, Debug)]
pub enum Endpoint {
    /// What there is.
    Information,
    /// The live table.
    Routes,
    /// What the present snapshot is made of.
    Snapshot,
    /// What becomes of a request.
    Explain,
    /// Removes kept answers.
    Purge,
}

impl Application for Admin {
    type Endpoint = Endpoint;

    fn routes() -> Vec<(Method, &'static str, Endpoint)> {
        vec![
            (Method::GET, "/", Endpoint::Information),
            (Method::GET, "/routes", Endpoint::Routes),
            (Method::GET, "/snapshot", Endpoint::Snapshot),
            (Method::GET, "/explain", Endpoint::Explain),
            (Method::POST, "/cache/purge", Endpoint::Purge),
        ]
    }

    async fn respond(&self, call: Call<Endpoint>) -> Result<Response, Problem> {
        let parameters = call.query_pairs()?;
        if let Endpoint::Explain = call.endpoint {
            let snapshot = self.live.load_full();
            let question = Question::parse(parameters)?;
            let explanation = self.explainer.explain(&snapshot, &question)?;
            return Ok(body::json(StatusCode::OK, &explanation));
        }
        if let Some((name, _)) = parameters.first() {
            let detail = format!("there is no parameter {name:?} here; this takes none");
            return Err(Problem::bad_request(detail));
        }
        match call.endpoint {
            Endpoint::Information | Endpoint::Explain => {
                Ok(body::json(StatusCode::OK, &information()))
            }
            Endpoint::Routes => {
                let snapshot = self.live.load_full();
                Ok(body::json(StatusCode::OK, &Table::of(&snapshot)))
            }
            Endpoint::Snapshot => {
                let (snapshot, refused) = (self.live.load_full(), self.live.refused());
                Ok(body::json(StatusCode::OK, &State::of(&snapshot, &refused)))
            }
            Endpoint::Purge => purge::respond(self, call).await,
        }
    }

    fn health(&self) -> serde_json::Value {
        json!({
            "status": if self.readiness.is_ready() { "ok" } else { "starting" },
            "version": VERSION,
            "revision": self.live.load().revision(),
            "catalog_connected": self.metrics.is_catalog_connected(),
            "in_flight": self.exchanges.count(),
        })
    }
}

fn information() -> serde_json::Value {
    json!({
        "name": "gateway",
        "version": VERSION,
        "endpoints": ["/routes", "/snapshot", "/explain?method=&host=&path=&header=name:value", "POST /cache/purge", "/health", "/livez", "/readyz?verbose", "/metrics"],
    })
}
