//! Parameters. The examples are sent by a test.

use serde_json::{Value, json};

fn parameter(place: &str, name: &str, description: &str, schema: Value, example: Value) -> Value {
    json!({
        "name": name,
        "in": place,
        "required": place == "path",
        "description": description,
        "schema": schema,
        "example": example,
    })
}

/// The service in the path.
pub(super) fn id(example: &str) -> Value {
    let schema = json!({ "type": "string" });
    parameter(
        "path",
        "id",
        "Integer id or name of a service",
        schema,
        example.into(),
    )
}

/// The instance in the path.
pub(super) fn instance(example: &str) -> Value {
    let schema = json!({
        "type": "string", "minLength": 1, "maxLength": catalog_api::name::INSTANCE_ID_BYTES_MAX,
    });
    parameter(
        "path",
        "instance",
        "Id of an instance, unique within its service",
        schema,
        example.into(),
    )
}

/// Anything else in the path.
pub(super) fn path(name: &str, description: &str, example: &str) -> Value {
    let schema = json!({ "type": "string" });
    parameter("path", name, description, schema, example.into())
}

/// Text in the query.
pub(super) fn query(name: &str, description: &str, example: &str) -> Value {
    let schema = json!({ "type": "string" });
    parameter("query", name, description, schema, example.into())
}

/// Anything in the query.
pub(super) fn query_of(name: &str, description: &str, schema: Value, example: Value) -> Value {
    parameter("query", name, description, schema, example)
}

/// A condition of a read.
pub(super) fn if_none_match() -> Value {
    let description = "The tags that the client has; 304 without a body when one is still right (RFC 9110 §13.1.2)";
    header("if-none-match", description, "\"0\"")
}

/// A condition of a write.
pub(super) fn if_match() -> Value {
    let description = "The write happens only at one of these revisions of the service, or with * when the target exists; otherwise 412";
    header("if-match", description, "*")
}

/// A header field.
pub(super) fn header(name: &str, description: &str, example: &str) -> Value {
    let schema = json!({ "type": "string" });
    parameter("header", name, description, schema, example.into())
}
