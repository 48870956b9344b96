//! The endpoints: from a parsed request to its answer.

use std::time::Instant;

use catalog_api::InstanceId;
use http::{HeaderName, HeaderValue, Method, StatusCode, header::CACHE_CONTROL};
use serde::Serialize;
use serde_json::{Value, json};
use service_kit::{
    VERSION,
    http::{Application, Call, Operations, Response, body},
    problem::Problem,
};

use crate::{
    Generator, Locale, Name, Seed,
    metrics::NameMetrics,
    query::{Choice, Count},
    status::Status,
};

/// Says which instance answered.
const X_INSTANCE: HeaderName = HeaderName::from_static("x-instance");

/// One instance's share of the state; nothing in it changes, besides counters.
pub(crate) struct Api {
    names: Generator,
    instance: InstanceId,
    instance_header: HeaderValue,
    started: Instant,
    operations: Operations,
    metrics: NameMetrics,
}

/// What can be asked.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Endpoint {
    Information,
    Name,
    Names,
    Status,
}

#[derive(Serialize)]
struct OneName {
    name: Name,
    locale: Locale,
}

#[derive(Serialize)]
struct ManyNames {
    names: Vec<Name>,
    count: usize,
    locale: Locale,
}

// === impl Api ===

impl Api {
    /// `instance_header` is the instance's id as a header; an id holds nothing a header cannot.
    pub(crate) fn new(
        instance: InstanceId,
        instance_header: HeaderValue,
        started: Instant,
        operations: Operations,
    ) -> Self {
        Self {
            names: Generator::new(),
            instance,
            instance_header,
            started,
            metrics: NameMetrics::new(&operations.metrics, started),
            operations,
        }
    }

    fn answer(&self, call: &Call<Endpoint>) -> Result<Response, Problem> {
        match call.endpoint {
            Endpoint::Information => Ok(body::json(StatusCode::OK, &self.information())),
            Endpoint::Name => self.name(Choice::read(&call.query()?)?),
            Endpoint::Names => {
                let count: Count = call.params.get("count").parse().map_err(
                    |error: crate::query::NotACount| Problem::bad_request(error.to_string()),
                )?;
                self.names(count, Choice::read(&call.query()?)?)
            }
            Endpoint::Status => {
                let status = Status::read(
                    &self.instance,
                    self.started,
                    self.operations.metrics.registry(),
                );
                Ok(uncached(body::json(StatusCode::OK, &status)))
            }
        }
    }

    fn name(&self, choice: Choice) -> Result<Response, Problem> {
        let seed = choice.seed.unwrap_or_else(Seed::random);
        let name = self
            .names
            .from(seed, choice.locale)
            .next()
            .ok_or_else(Problem::internal)?;
        self.metrics.generated(choice.locale, 1);
        let answer = OneName {
            name,
            locale: choice.locale,
        };
        Ok(uncached(body::json(StatusCode::OK, &answer)))
    }

    fn names(&self, count: Count, choice: Choice) -> Result<Response, Problem> {
        let seed = choice.seed.unwrap_or_else(Seed::random);
        let names: Vec<Name> = self
            .names
            .from(seed, choice.locale)
            .take(count.get())
            .collect();
        self.metrics.generated(choice.locale, names.len());
        let answer = ManyNames {
            count: names.len(),
            names,
            locale: choice.locale,
        };
        Ok(uncached(body::json(StatusCode::OK, &answer)))
    }

    fn information(&self) -> Value {
        json!({
            "service": "service-api",
            "description": crate::config::DESCRIPTION,
            "version": VERSION,
            "instance": self.instance,
            "endpoints": {
                "GET /": "this information",
                "GET /name": "one random name",
                "GET /names/{count}": "1 to 100 random names",
                "GET /health": "health",
                "GET /status": "version, instance, uptime, memory, request counts",
                "GET /metrics": "metrics in the Prometheus text format",
            },
            "parameters": {
                "seed": "a whole number of 64 bits; the same seed gives the same names",
                "locale": Locale::ALL,
            },
        })
    }
}

/// A cache in front would hand out one "random" name to everybody.
fn uncached(mut response: Response) -> Response {
    response
        .headers_mut()
        .insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

impl Application for Api {
    type Endpoint = Endpoint;

    fn routes() -> Vec<(Method, &'static str, Endpoint)> {
        vec![
            (Method::GET, "/", Endpoint::Information),
            (Method::GET, "/name", Endpoint::Name),
            (Method::GET, "/names/{count}", Endpoint::Names),
            (Method::GET, "/status", Endpoint::Status),
        ]
    }

    async fn respond(&self, call: Call<Endpoint>) -> Result<Response, Problem> {
        let header = self.instance_header.clone();
        match self.answer(&call) {
            Ok(mut response) => {
                response.headers_mut().insert(X_INSTANCE, header);
                Ok(response)
            }
            Err(problem) => Err(problem.header(X_INSTANCE, header)),
        }
    }

    fn health(&self) -> Value {
        json!({
            "status": self.operations.readiness.report().status,
            "service": "service-api",
            "version": VERSION,
            "instance": self.instance,
            "uptime_seconds": self.started.elapsed().as_secs(),
        })
    }
}
