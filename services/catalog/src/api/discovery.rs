//! `GET /services/discover`: discovery now.
//!
//! It needs no token, although instances may come and go by it: it only brings forward what happens within seconds anyway, all who ask
//! at the same time share one look, and after one there is none for a second.

use std::time::Duration;

use http::{StatusCode, header};
use service_kit::{
    http::{Call, body},
    problem::Problem,
};

use super::{Answer, Api, Endpoint, insert, parameters};

/// When to come back after a look took too long.
const RETRY: Duration = Duration::from_secs(5);

impl Api {
    /// Looks at every source, and reports.
    pub(super) async fn discover(&self, call: &Call<Endpoint>) -> Answer {
        parameters::query(call, &[])?;
        let report = self.discovery.now().await.ok_or_else(|| {
            Problem::unavailable(
                "discovery takes longer than it should, mostly because the store cannot be written; see /readyz?verbose",
                RETRY,
            )
        })?;
        let mut response = body::json(StatusCode::OK, &*report);
        insert(&mut response, header::CACHE_CONTROL, "no-store");
        Ok(response)
    }
}
