//! The catalog as somebody with `curl` sees it.

use std::{net::SocketAddr, time::Duration};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use serde_json::{Value, json};
use service_kit::{client::Client, http::body};

const DEADLINE: Duration = Duration::from_secs(10);
const DRAIN_DEADLINE: Duration = Duration::from_secs(60);
const ANSWER_BYTES_MAX: usize = 16 << 20;

/// Writes to a catalog and reads from it, or from a gateway in front of it.
#[derive(Clone)]
pub(crate) struct Registry {
    base: String,
    token: String,
    client: Client,
}

impl Registry {
    pub(crate) fn new(address: SocketAddr, token: &str) -> Self {
        Self {
            base: format!("http://{address}"),
            token: token.to_owned(),
            client: Client::new(),
        }
    }

    /// The same with another token.
    pub(crate) fn with_token(&self, token: &str) -> Self {
        Self {
            token: token.to_owned(),
            ..self.clone()
        }
    }

    pub(crate) async fn send(
        &self,
        method: Method,
        path: &str,
        content: Option<&Value>,
    ) -> Response<Bytes> {
        let mut request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.base));
        if !self.token.is_empty() {
            request = request.header("authorization", format!("Bearer {}", self.token));
        }
        let content = match content {
            Some(content) => {
                request = request.header("content-type", "application/json");
                body::full(content.to_string())
            }
            None => body::empty(),
        };
        let request = request.body(content).unwrap();
        self.client
            .fetch(request, DEADLINE, ANSWER_BYTES_MAX)
            .await
            .unwrap()
    }

    pub(crate) async fn get(&self, path: &str) -> Value {
        let answer = self.send(Method::GET, path, None).await;
        assert_eq!(
            answer.status(),
            StatusCode::OK,
            "{path}: {:?}",
            answer.body()
        );
        serde_json::from_slice(answer.body()).unwrap()
    }

    /// A document that is no JSON, whatever its status.
    pub(crate) async fn text(&self, path: &str) -> String {
        let answer = self.send(Method::GET, path, None).await;
        String::from_utf8(answer.body().to_vec()).unwrap()
    }

    /// Creates or changes a service.
    pub(crate) async fn put_service(&self, name: &str, fields: Value) {
        let mut spec = json!({ "name": name });
        spec.as_object_mut()
            .unwrap()
            .extend(fields.as_object().unwrap().clone());
        let answer = self
            .send(Method::PUT, &format!("/services/{name}"), Some(&spec))
            .await;
        assert!(answer.status().is_success(), "{name}: {:?}", answer.body());
    }

    pub(crate) async fn put_instance(&self, service: &str, id: &str, spec: Value) {
        let answer = self
            .send(
                Method::PUT,
                &format!("/services/{service}/instances/{id}"),
                Some(&spec),
            )
            .await;
        assert!(
            answer.status().is_success(),
            "{service}/{id}: {:?}",
            answer.body()
        );
    }

    pub(crate) async fn delete_instance(&self, service: &str, id: &str) {
        let answer = self
            .send(
                Method::DELETE,
                &format!("/services/{service}/instances/{id}"),
                None,
            )
            .await;
        assert_eq!(
            answer.status(),
            StatusCode::NO_CONTENT,
            "{service}/{id}: {:?}",
            answer.body()
        );
    }

    /// Has an instance drain, and waits until that is over. Answers what is said of it.
    pub(crate) async fn drain(&self, service: &str, id: &str, time: &str) -> Value {
        let path = format!(
            "{}/services/{service}/instances/{id}?drain={time}",
            self.base
        );
        let request =
            Request::delete(path).header("authorization", format!("Bearer {}", self.token));
        let request = request.body(body::empty()).unwrap();
        let answer = self.client.fetch(request, DRAIN_DEADLINE, ANSWER_BYTES_MAX);
        let answer = answer.await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK, "{:?}", answer.body());
        serde_json::from_slice(answer.body()).unwrap()
    }

    /// Addresses of the instances of a service, sorted.
    pub(crate) async fn instance_addresses(&self, service: &str) -> Vec<String> {
        let service = self.get(&format!("/services/{service}")).await;
        let mut addresses: Vec<String> = service["instances"]
            .as_array()
            .unwrap()
            .iter()
            .map(|instance| instance["address"].as_str().unwrap().to_owned())
            .collect();
        addresses.sort();
        addresses
    }
}
