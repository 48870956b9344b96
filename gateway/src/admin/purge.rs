//! `POST /cache/purge`: removes kept answers by what an operator can name.

use catalog_api::ServiceName;
use http::StatusCode;
use serde::Deserialize;
use serde_json::json;
use service_kit::{
    http::{Call, Response, body},
    problem::Problem,
};

use super::{Admin, Endpoint};
use crate::cache::{Purge, PurgeUrl};

/// Longest request, in bytes.
const REQUEST_BYTES_MAX: usize = 16 << 10;

/// What is asked for: an object with one of these.
#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Wanted {
    /// `http://host/path?query`, with all its variants.
    Url(String),
    /// `http://host/path`: every URL of the host that begins so.
    Prefix(String),
    /// A value of `Cache-Tag` or `Surrogate-Key`.
    Tag(String),
    /// Name of a service.
    Service(ServiceName),
    /// `true`.
    All(bool),
}

/// Answers how many were removed.
pub(super) async fn respond(admin: &Admin, call: Call<Endpoint>) -> Result<Response, Problem> {
    let wanted: Wanted = body::read_json(call.request, REQUEST_BYTES_MAX).await?;
    let what = match wanted {
        Wanted::Url(url) => PurgeUrl::parse(&url).map(Purge::Url),
        Wanted::Prefix(url) => PurgeUrl::parse(&url).map(Purge::Prefix),
        Wanted::Tag(tag) => Ok(Purge::Tag(tag)),
        Wanted::Service(name) => {
            let snapshot = admin.live.load_full();
            let pool = snapshot.pool(&name);
            let id = pool.map(|pool| pool.id());
            id.map(Purge::Service)
                .ok_or_else(|| format!("there is no service {name}"))
        }
        Wanted::All(true) => Ok(Purge::All),
        Wanted::All(false) => Err("all takes true".to_owned()),
    };
    let what = what.map_err(Problem::bad_request)?;
    let purged = admin.cache.map_or(0, |cache| cache.purge(what.clone()));
    tracing::info!(purged, what = ?what, "cache purged");
    Ok(body::json(StatusCode::OK, &json!({ "purged": purged })))
}
