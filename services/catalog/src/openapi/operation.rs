//! One operation of the document, put together from what is different about it.

use serde_json::{Map, Value, json};

use super::reference;

/// One method of one path.
pub(super) struct Operation {
    value: Value,
    responses: Map<String, Value>,
    parameters: Vec<Value>,
}

// === impl Operation ===

impl Operation {
    /// `name` is what generated clients call it.
    pub(super) fn new(tag: &str, name: &str, summary: &str) -> Self {
        Self {
            value: json!({ "operationId": name, "summary": summary, "tags": [tag] }),
            responses: Map::new(),
            parameters: Vec::new(),
        }
    }

    pub(super) fn describe(mut self, description: &str) -> Self {
        self.value["description"] = description.into();
        self
    }

    /// It needs the token.
    pub(super) fn guarded(mut self) -> Self {
        self.value["security"] = json!([{ "token": [] }]);
        self.problem(401, "No token was sent")
            .problem(403, "The token is another one")
    }

    pub(super) fn parameter(mut self, parameter: Value) -> Self {
        self.parameters.push(parameter);
        self
    }

    pub(super) fn parameters(mut self, parameters: impl IntoIterator<Item = Value>) -> Self {
        self.parameters.extend(parameters);
        self
    }

    /// A JSON body, with an example that a test sends.
    pub(super) fn body(mut self, schema: &str, example: &Value) -> Self {
        self.value["requestBody"] = json!({
            "required": true,
            "content": { "application/json": { "schema": reference(schema), "example": example } },
        });
        self.problem(408, "The body came too slowly")
            .problem(413, "The body is longer than 64 KiB")
            .problem(415, "The body is not JSON")
    }

    /// Any body or none.
    pub(super) fn any_body(mut self) -> Self {
        self.value["requestBody"] = json!({
            "required": false,
            "description": "Passed on as it comes, of any length and kind",
            "content": { "*/*": {} },
        });
        self
    }

    /// A JSON answer.
    pub(super) fn answer(self, status: u16, description: &str, schema: &str) -> Self {
        let schema = reference(schema);
        self.answer_of(
            status,
            description,
            json!({ "application/json": { "schema": schema } }),
        )
    }

    /// An answer with any content, which may be none.
    pub(super) fn answer_of(mut self, status: u16, description: &str, content: Value) -> Self {
        let mut response = json!({ "description": description });
        if content != json!({}) {
            response["content"] = content;
        }
        self.responses.insert(status.to_string(), response);
        self
    }

    /// An answer with a header that others do not have.
    pub(super) fn header(mut self, status: u16, name: &str, description: &str) -> Self {
        if let Some(response) = self.responses.get_mut(&status.to_string()) {
            response["headers"][name] =
                json!({ "description": description, "schema": { "type": "string" } });
        }
        self
    }

    /// Any other status, from the service that is called.
    pub(super) fn whatever(mut self) -> Self {
        self.responses.insert(
            "default".to_owned(),
            json!({ "description": "What the service answered", "content": { "*/*": {} } }),
        );
        self
    }

    pub(super) fn problem(mut self, status: u16, description: &str) -> Self {
        let content = json!({ "application/problem+json": { "schema": reference("Problem") } });
        let response = json!({ "description": description, "content": content });
        self.responses.insert(status.to_string(), response);
        self
    }

    pub(super) fn build(mut self) -> Value {
        self.value["parameters"] = self.parameters.into();
        self.value["responses"] = self.responses.into();
        self.value
    }
}
