//! `GET /openapi.json`, and `GET /docs/` which shows it: Swagger UI from within the program, so that it works without a network.

use std::sync::{Arc, LazyLock};

use http::{StatusCode, header};
use service_kit::{
    http::{Call, Response, body},
    problem::Problem,
};
use utoipa_swagger_ui::Config;

use super::{Answer, Api, Endpoint, insert};
use crate::openapi;

/// Relative to the page, so that it holds behind a gateway as well.
const DOCUMENT: &str = "../openapi.json";

/// The page itself.
const INDEX: &str = "index.html";

/// Nothing is loaded from elsewhere, whatever the document says. The page styles itself as it runs.
const CONTENT_SECURITY: &str = "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; frame-ancestors 'none'";

static CONFIG: LazyLock<Arc<Config<'static>>> = LazyLock::new(|| Arc::new(Config::from(DOCUMENT)));

impl Api {
    /// The description of the interface.
    pub(super) fn openapi(&self) -> Response {
        let mut response = body::json_bytes(StatusCode::OK, openapi::encoded());
        insert(&mut response, header::CACHE_CONTROL, "no-cache");
        response
    }

    /// A file of the page; without a name the page.
    pub(super) fn documentation(&self, call: &Call<Endpoint>) -> Answer {
        let path = call.request.uri().path();
        if !path.starts_with("/docs/") {
            // Its files are named relative to its folder.
            let mut response = Response::new(body::empty());
            *response.status_mut() = StatusCode::PERMANENT_REDIRECT;
            insert(&mut response, header::LOCATION, "docs/");
            return Ok(response);
        }
        let name = match call.params.get("file") {
            "" => INDEX,
            name => name,
        };
        let file = utoipa_swagger_ui::serve(name, Arc::clone(&CONFIG))
            .map_err(|error| {
                tracing::error!(
                    error,
                    file = name,
                    "cannot make a file of the documentation"
                );
                Problem::internal()
            })?
            .ok_or_else(|| Problem::not_found(format!("the documentation has no file {name}")))?;
        let mut response = Response::new(body::full(file.bytes.into_owned()));
        insert(&mut response, header::CONTENT_TYPE, &file.content_type);
        insert(&mut response, header::CACHE_CONTROL, "no-cache");
        insert(&mut response, header::X_CONTENT_TYPE_OPTIONS, "nosniff");
        insert(
            &mut response,
            header::CONTENT_SECURITY_POLICY,
            CONTENT_SECURITY,
        );
        Ok(response)
    }
}
