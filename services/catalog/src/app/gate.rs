//! The interface before and after there is something to show. Before, every answer is that it is too early: an empty list would be
//! believed.

use std::{sync::OnceLock, time::Duration};

use http::Method;
use serde_json::{Value, json};
use service_kit::{
    http::{Application, Call, Response},
    problem::Problem,
    readiness::Readiness,
};

use crate::api::{Api, Endpoint};

/// When to come back.
const RETRY: Duration = Duration::from_secs(1);

/// [`Api`], once it is there.
pub(super) struct Gate {
    api: OnceLock<Api>,
    readiness: Readiness,
}

// === impl Gate ===

impl Gate {
    pub(super) fn new(readiness: Readiness) -> Self {
        Self {
            api: OnceLock::new(),
            readiness,
        }
    }

    /// From now on the interface answers.
    pub(super) fn open(&self, api: Api) {
        // There is one start, so there is nothing to replace.
        drop(self.api.set(api));
    }
}

impl Application for Gate {
    type Endpoint = Endpoint;

    fn routes() -> Vec<(Method, &'static str, Endpoint)> {
        Api::routes()
    }

    async fn respond(&self, call: Call<Endpoint>) -> Result<Response, Problem> {
        match self.api.get() {
            Some(api) => api.respond(call).await,
            None => Err(Problem::unavailable(
                "the catalog is waiting for its database; see /readyz?verbose, and try again in a moment",
                RETRY,
            )),
        }
    }

    fn health(&self) -> Value {
        match self.api.get() {
            Some(api) => api.health(),
            None => json!({ "status": self.readiness.report().status }),
        }
    }
}
