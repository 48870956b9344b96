//! The three requests of a registration, each bounded in time and size, and what their answers mean.

use std::{error::Error, time::Duration};

use bytes::Bytes;
use catalog_api::{InstanceSpec, ServiceSpec};
use http::{Method, Request, StatusCode, header};
use serde::{Deserialize, Serialize};
use service_kit::{
    client::{Client, ClientError},
    http::body,
    secret::Secret,
};

use crate::{CatalogUrl, Config, Failure};

/// Largest answer that is read. Only a problem's detail is looked at.
const ANSWER_BYTES_MAX: usize = 64 * 1024;
/// Longest part of a problem's detail that goes into a log or a status page.
const DETAIL_CHARS_MAX: usize = 200;

/// Where services are, below a catalog's base.
const SERVICES: &str = "/services";

/// Talks to the replicas in the name of one service.
#[derive(Debug)]
pub(crate) struct CatalogClient {
    client: Client,
    token: Option<Secret>,
    instance: String,
}

/// What a PUT of the instance led to.
pub(crate) enum Put {
    /// The lease runs.
    Registered,
    /// The catalog does not know the service.
    UnknownService,
}

/// The part of RFC 9457 that explains.
#[derive(Deserialize)]
struct Problem {
    detail: Option<String>,
    title: Option<String>,
}

// === impl CatalogClient ===

impl CatalogClient {
    pub(crate) fn new(config: &Config) -> Self {
        Self {
            client: Client::new(),
            token: config.settings.token.clone(),
            instance: format!(
                "{SERVICES}/{}/instances/{}",
                config.service.name, config.instance
            ),
        }
    }

    /// Registers or renews.
    pub(crate) async fn put(
        &self,
        catalog: &CatalogUrl,
        spec: &InstanceSpec,
        deadline: Duration,
    ) -> Result<Put, Failure> {
        let (status, answer) = self
            .send(catalog, Method::PUT, &self.instance, Some(spec), deadline)
            .await?;
        match status {
            _ if status.is_success() => Ok(Put::Registered),
            StatusCode::NOT_FOUND => Ok(Put::UnknownService),
            _ => Err(Failure::answered(catalog, status, detail(&answer))),
        }
    }

    /// Creates the service. That somebody else did it in between is as good.
    pub(crate) async fn create_service(
        &self,
        catalog: &CatalogUrl,
        service: &ServiceSpec,
        deadline: Duration,
    ) -> Result<(), Failure> {
        let (status, answer) = self
            .send(catalog, Method::POST, SERVICES, Some(service), deadline)
            .await?;
        if status.is_success() || status == StatusCode::CONFLICT {
            return Ok(());
        }
        Err(Failure::answered(catalog, status, detail(&answer)))
    }

    /// Takes the instance out. That it is not there is as good.
    pub(crate) async fn delete(
        &self,
        catalog: &CatalogUrl,
        deadline: Duration,
    ) -> Result<(), Failure> {
        let (status, answer) = self
            .send(
                catalog,
                Method::DELETE,
                &self.instance,
                None::<&()>,
                deadline,
            )
            .await?;
        if status.is_success() || status == StatusCode::NOT_FOUND {
            return Ok(());
        }
        Err(Failure::answered(catalog, status, detail(&answer)))
    }

    async fn send(
        &self,
        catalog: &CatalogUrl,
        method: Method,
        path: &str,
        content: Option<&impl Serialize>,
        deadline: Duration,
    ) -> Result<(StatusCode, Bytes), Failure> {
        let unreachable = |reason: &dyn std::fmt::Display| Failure::unreachable(catalog, reason);
        let mut request = Request::builder().method(method).uri(catalog.join(path));
        if let Some(token) = &self.token {
            let mut value = header::HeaderValue::try_from(format!("Bearer {}", token.expose()))
                .map_err(|_| {
                    unreachable(&"CATALOG_TOKEN contains characters no header can carry")
                })?;
            value.set_sensitive(true);
            request = request.header(header::AUTHORIZATION, value);
        }
        let body = match content {
            Some(content) => {
                request = request.header(header::CONTENT_TYPE, "application/json");
                body::full(serde_json::to_vec(content).map_err(|error| unreachable(&error))?)
            }
            None => body::empty(),
        };
        let request = request.body(body).map_err(|error| unreachable(&error))?;
        match self.client.fetch(request, deadline, ANSWER_BYTES_MAX).await {
            Ok(answer) => Ok((answer.status(), answer.into_body())),
            Err(ClientError::Timeout) => Err(unreachable(&format_args!(
                "no answer within {} ms",
                deadline.as_millis()
            ))),
            Err(error) => Err(unreachable(&innermost(&error))),
        }
    }
}

/// The last source says it best ("Connection refused"); those before it say that something failed.
fn innermost(error: &dyn Error) -> String {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}

fn detail(answer: &[u8]) -> String {
    let problem = serde_json::from_slice::<Problem>(answer).ok();
    problem
        .and_then(|problem| problem.detail.or(problem.title))
        .map_or_else(
            || "no explanation".to_owned(),
            |text| {
                text.chars()
                    .filter(|char| !char.is_control())
                    .take(DETAIL_CHARS_MAX)
                    .collect()
            },
        )
}
