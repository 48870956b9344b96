//! The description of the interface, held against the interface: every example is carried out, and every answer is as described.

#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use catalog_api::{RECEIVER_HEADER, STREAM_HEADER};
use http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::{
    backend::{Backend, register},
    harness::{Answer, Harness},
    schema,
};

/// One operation of the document.
struct Operation {
    method: Method,
    path: String,
    value: Value,
}

/// A reader that sends receipts.
const RECEIVER: &str = "gateway-1-80/fedcba9876543210fedcba9876543210";

/// What one request of an operation has besides what it must have.
type Extra<'a> = Option<&'a Value>;

async fn document(catalog: &Harness) -> Value {
    let answer = catalog.get("/openapi.json").await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(answer.header("content-type"), "application/json");
    answer.json()
}

/// Every operation, in an order in which each finds what it needs.
fn operations(document: &Value) -> Vec<Operation> {
    let mut operations = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, value) in item.as_object().unwrap() {
            operations.push(Operation {
                method: method.to_uppercase().parse().unwrap(),
                path: path.clone(),
                value: value.clone(),
            });
        }
    }
    operations.sort_by_key(|operation| {
        let is_call = operation.path.starts_with("/services/call");
        let turn = match operation.method {
            _ if is_call => 3,
            Method::POST => 0,
            Method::PUT => 1,
            Method::DELETE => 4,
            _ => 2,
        };
        // Services before their instances, but gone after them.
        let depth = operation.path.matches('/').count();
        (turn, if turn == 4 { 9 - depth } else { depth })
    });
    operations
}

impl Operation {
    /// Sends a request with the examples of everything that is required, and one more parameter. None for a stream.
    async fn send(&self, catalog: &Harness, extra: Extra<'_>) -> Option<Answer> {
        let mut path = self.path.clone();
        let mut headers = Vec::new();
        let parameters = self.value["parameters"].as_array().unwrap().iter();
        for parameter in parameters.filter(|p| p["required"] == true).chain(extra) {
            let name = parameter["name"].as_str().unwrap();
            let example = match &parameter["example"] {
                // Nobody can know the name of a call before it is there.
                _ if name == "call" => a_call(catalog).await,
                Value::String(text) => text.clone(),
                other => other.to_string(),
            };
            match parameter["in"].as_str().unwrap() {
                "path" => path = path.replace(&format!("{{{name}}}"), &example),
                "query" => path = format!("{path}?{name}={example}"),
                _ => headers.push((name.to_owned(), example)),
            }
        }
        let mut call = match self.value.get("security") {
            Some(_) => catalog.write(self.method.clone(), &path),
            None => catalog.call(self.method.clone(), &path),
        };
        for (name, value) in headers {
            // Names of the test's client are static.
            let name = [
                "if-match",
                "if-none-match",
                "last-event-id",
                "prefer",
                RECEIVER_HEADER,
            ]
            .into_iter()
            .find(|known| *known == name)
            .unwrap();
            call = call.header(name, &value);
        }
        let example = self
            .value
            .pointer("/requestBody/content/application~1json/example");
        // Kept open until the answer, which is for its reader only.
        let mut stream = None;
        if let Some(example) = example {
            let mut body = example.clone();
            if self.path == catalog_api::RECEIPTS_PATH {
                let watch = catalog.call(Method::GET, "/services/watch");
                let watch = watch.header(RECEIVER_HEADER, RECEIVER).watch().await;
                body["stream"] = watch.header(STREAM_HEADER).into();
                stream = Some(watch);
            }
            call = call.json(&body);
        }
        if self.path == "/services/watch" {
            // Without an end, so its beginning has to do, which the harness checks.
            call.watch().await;
            return None;
        }
        let answer = call.send().await;
        drop(stream);
        Some(answer)
    }

    /// Checks that an answer is described, and as described.
    fn check(&self, document: &Value, answer: &Answer) {
        let place = format!("{} {}", self.method, self.path);
        let status = answer.status.as_u16().to_string();
        let responses = &self.value["responses"];
        let response = responses.get(&status).or_else(|| responses.get("default"));
        let response = response.unwrap_or_else(|| panic!("{place}: {status} is not described"));
        let content = response["content"].as_object();
        let Some(content) = content.filter(|_| self.method != Method::HEAD) else {
            assert_eq!(answer.text, "", "{place}");
            return;
        };
        let kind = answer.header("content-type").split(';').next().unwrap();
        let described = content.get(kind).or_else(|| content.get("*/*"));
        let described = described.unwrap_or_else(|| panic!("{place}: {kind} is not described"));
        if let Some(schema) = described.get("schema")
            && kind.ends_with("json")
        {
            schema::check(document, schema, &answer.json())
                .unwrap_or_else(|error| panic!("{place}: {error}"));
        }
        let headers = response["headers"].as_object();
        for name in headers.into_iter().flat_map(|headers| headers.keys()) {
            assert!(
                answer.headers.contains_key(name.as_str()),
                "{place}: {name}"
            );
        }
    }
}

#[tokio::test]
async fn every_example_works_and_every_answer_is_as_described() {
    let catalog = Harness::start().await;
    let backend = Backend::start("a").await;
    register(&catalog, "service-api", "a", backend.port).await;
    let document = document(&catalog).await;
    let operations = operations(&document);
    assert!(operations.len() > 30, "{}", operations.len());
    for operation in &operations {
        let parameters = operation.value["parameters"].as_array().unwrap();
        let optional = parameters.iter().filter(|p| p["required"] == false);
        // The one without comes last: it is the one that deletes.
        for extra in optional.map(Some).chain([None]) {
            let Some(answer) = operation.send(&catalog, extra).await else {
                continue;
            };
            let place = format!("{} {} {extra:?}", operation.method, operation.path);
            let condition = extra.is_some_and(|extra| extra["name"] == "if-match");
            let undone = extra.is_some() && answer.status.is_success();
            if operation.method == Method::DELETE && undone && answer.status != 202 {
                // It deleted what the others need.
                restore(&operations, &catalog).await;
            }
            if operation.method == Method::POST && operation.path == "/services" && undone {
                // It created what the next one creates.
                catalog.delete("/services/web").await;
            }
            if operation.method == Method::PUT && condition && answer.status == 412 {
                // Nothing was there yet.
                answer.problem(412);
            } else {
                let status = answer.status;
                let works = status.is_success() || status.is_redirection();
                assert!(works, "{place}: {status} {}", answer.text);
            }
            operation.check(&document, &answer);
        }
    }
    assert!(backend.requests() >= 14);
}

/// Has a call taken in, and returns its name.
async fn a_call(catalog: &Harness) -> String {
    let call = catalog.call(Method::GET, "/services/call/service-api/name");
    let accepted = call.header("prefer", "respond-async").send().await;
    assert_eq!(accepted.status, StatusCode::ACCEPTED, "{}", accepted.text);
    accepted.json()["id"].as_str().unwrap().to_owned()
}

/// Puts the service of the examples and its instance back.
async fn restore(operations: &[Operation], catalog: &Harness) {
    let puts = operations.iter().filter(|operation| {
        operation.method == Method::PUT && !operation.path.starts_with("/services/call")
    });
    for put in puts {
        let answer = put.send(catalog, None).await.unwrap();
        assert!(answer.status.is_success(), "{}: {}", put.path, answer.text);
    }
}

#[tokio::test]
async fn problems_are_as_described() {
    let catalog = Harness::start().await;
    let document = document(&catalog).await;
    let operations = operations(&document);
    let find = |method: &str, path: &str| {
        let mut operations = operations.iter();
        operations
            .find(|operation| operation.method == method && operation.path == path)
            .unwrap()
    };
    let spec = json!({"name": "service-api"});
    for (method, path, pattern, body, status) in [
        ("GET", "/services?x=1", "/services", None, 400),
        ("GET", "/services/nobody", "/services/{id}", None, 404),
        ("POST", "/services", "/services", Some(&spec), 409),
        ("PUT", "/services/web", "/services/{id}", Some(&spec), 422),
        ("PUT", "/services/99", "/services/{id}", Some(&spec), 404),
        (
            "GET",
            "/services/nobody/health",
            "/services/{id}/health",
            None,
            404,
        ),
        ("GET", "/services/logs?limit=0", "/services/logs", None, 400),
        (
            "GET",
            "/services/call/1/x",
            "/services/call/{id}/{endpoint}",
            None,
            503,
        ),
        ("GET", "/docs/nothing", "/docs/{file}", None, 404),
        (
            "GET",
            "/services/calls/x",
            "/services/calls/{call}",
            None,
            404,
        ),
        (
            "DELETE",
            "/services/web/instances/a",
            "/services/{id}/instances/{instance}",
            None,
            404,
        ),
    ] {
        let mut call = catalog.write(method.parse().unwrap(), path);
        if let Some(body) = body {
            call = call.json(body);
        }
        let answer = call.send().await;
        answer.problem(status);
        find(method, pattern).check(&document, &answer);
    }
    for operation in operations
        .iter()
        .filter(|o| o.value.get("security").is_some())
    {
        let path = operation
            .path
            .replace("{id}", "web")
            .replace("{instance}", "a");
        let answer = catalog.call(operation.method.clone(), &path).send().await;
        answer.problem(401);
        operation.check(&document, &answer);
    }
}

#[tokio::test]
async fn the_documentation_is_complete_without_a_network() {
    let catalog = Harness::start().await;
    let redirect = catalog.get("/docs").await;
    assert_eq!(redirect.status, StatusCode::PERMANENT_REDIRECT);
    assert_eq!(redirect.header("location"), "docs/");
    let page = catalog.get("/docs/").await;
    assert_eq!(page.status, StatusCode::OK);
    assert!(page.header("content-type").starts_with("text/html"));
    assert!(
        page.header("content-security-policy")
            .starts_with("default-src 'self'")
    );
    let files: Vec<&str> = page
        .text
        .split(['"'])
        .filter(|part| {
            [".js", ".css", ".png"]
                .iter()
                .any(|end| part.ends_with(end))
        })
        .collect();
    assert!(files.len() >= 5, "{}", page.text);
    // Everything it names is here, and nothing is elsewhere.
    assert!(!page.text.contains("://"), "{}", page.text);
    for file in files {
        let file = file.trim_start_matches("./");
        if file.ends_with(".png") {
            continue;
        }
        let answer = catalog.get(&format!("/docs/{file}")).await;
        assert_eq!(answer.status, StatusCode::OK, "{file}");
        assert!(!answer.text.is_empty());
        let kind = if file.ends_with(".css") {
            "text/css"
        } else {
            "text/javascript"
        };
        assert!(answer.header("content-type").starts_with(kind), "{file}");
    }
    let start = catalog.get("/docs/swagger-initializer.js").await.text;
    assert!(start.contains("../openapi.json"), "{start}");
}
