//! `GET /services/health` and `GET /services/{id}/health`. The status of the answer is 200 whatever it says: the report is what was
//! asked for, and one service that fails is no failure of the catalog.

use http::{StatusCode, header};
use serde::Serialize;
use service_kit::http::{Call, Response, body};

use super::{Answer, Api, Endpoint, insert, parameters};

impl Api {
    /// How every service is.
    pub(super) async fn services_health(&self, call: &Call<Endpoint>) -> Answer {
        parameters::query(call, &[])?;
        Ok(report(&self.checker.everything().await))
    }

    /// How one service is.
    pub(super) async fn service_health(&self, call: &Call<Endpoint>) -> Answer {
        parameters::query(call, &[])?;
        let entry = self.entry(call)?;
        Ok(report(&*self.checker.service(&entry).await))
    }
}

fn report(report: &impl Serialize) -> Response {
    let mut response = body::json(StatusCode::OK, report);
    insert(&mut response, header::CACHE_CONTROL, "no-store");
    response
}
