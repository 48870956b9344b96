//! `POST /services/watch/receipts`: how far the reader of a stream is.

use catalog_api::Receipt;
use http::StatusCode;
use service_kit::{
    http::{Call, Response, Routine, body},
    problem::Problem,
};

use super::{Answer, Api, BODY_BYTES_MAX, Endpoint, parameters};

impl Api {
    /// Takes a receipt. Without a token: who knows the stream is its reader.
    pub(super) async fn receipt(&self, call: Call<Endpoint>) -> Answer {
        parameters::query(&call, &[])?;
        let receipt: Receipt = body::read_json(call.request, BODY_BYTES_MAX).await?;
        self.receipts.take(&receipt).map_err(|_| {
            Problem::not_found(
                "there is no such stream: it has ended, or another catalog has only just opened it; send the next receipt for the stream that is open then",
            )
        })?;
        let mut response = Response::new(body::empty());
        *response.status_mut() = StatusCode::NO_CONTENT;
        // Every gateway sends one for every change.
        response.extensions_mut().insert(Routine);
        Ok(response)
    }
}
