//! What a program has to bring to be served.

use http::Method;

use super::{Call, Response};
use crate::problem::Problem;

/// The domain side of a program's HTTP interface.
pub trait Application: Send + Sync + 'static {
    /// Name of one route: an enum, so that `respond` is one `match` which the compiler checks.
    type Endpoint: Copy + Send + Sync + 'static;

    /// Method, pattern (`/names/{count}`, `/static/{*rest}`) and endpoint of each route. `HEAD` comes with `GET`;
    /// `/health`, `/livez`, `/readyz` and `/metrics` come with the [`Service`](super::Service).
    fn routes() -> Vec<(Method, &'static str, Self::Endpoint)>;

    /// Answers one request.
    fn respond(
        &self,
        call: Call<Self::Endpoint>,
    ) -> impl Future<Output = Result<Response, Problem>> + Send;

    /// Body of `GET /health`, for people and dashboards: `{"status": "ok" | "starting" | "stopping", …}`.
    fn health(&self) -> serde_json::Value;
}
