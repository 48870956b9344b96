//! As much of JSON Schema as the document uses, strictly: a word it does not know is a failure, and so is a property that is not
//! described. So whatever is answered is described, and whatever is described is checked.

#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use serde_json::{Map, Value};

/// Explain to people and check nothing.
const NOTES: [&str; 2] = ["description", "format"];

/// Checks a value against a schema of the document.
pub(crate) fn check(document: &Value, schema: &Value, value: &Value) -> Result<(), String> {
    let schema = schema.as_object().unwrap();
    for (word, rule) in schema {
        let holds = match word.as_str() {
            "$ref" => {
                let pointer = rule.as_str().unwrap().strip_prefix('#').unwrap();
                return check(document, document.pointer(pointer).unwrap(), value);
            }
            "oneOf" => {
                let kinds = rule.as_array().unwrap().iter();
                let fitting = kinds.filter(|kind| check(document, kind, value).is_ok());
                return match fitting.count() {
                    1 => Ok(()),
                    count => Err(format!("{value} is {count} of {rule}")),
                };
            }
            "type" => has_type(rule, value),
            "enum" => rule.as_array().unwrap().contains(value),
            "minimum" => value.as_f64() >= rule.as_f64(),
            "maximum" => value.as_f64() <= rule.as_f64(),
            "minLength" => length(value) >= rule.as_u64(),
            "maxLength" => length(value) <= rule.as_u64(),
            "maxItems" => value.as_array().map(|a| a.len() as u64) <= rule.as_u64(),
            "maxProperties" => value.as_object().map(|o| o.len() as u64) <= rule.as_u64(),
            "items" => {
                for item in value.as_array().into_iter().flatten() {
                    check(document, rule, item)?;
                }
                true
            }
            "required" => value.as_object().is_none_or(|object| {
                let mut names = rule.as_array().unwrap().iter();
                names.all(|name| object.contains_key(name.as_str().unwrap()))
            }),
            "properties" | "additionalProperties" => true,
            note if NOTES.contains(&note) => true,
            unknown => panic!("the test does not know {unknown}"),
        };
        if !holds {
            return Err(format!("{value} is against {word}: {rule}"));
        }
    }
    match value.as_object() {
        Some(object) => properties(document, schema, object),
        None => Ok(()),
    }
}

fn properties(
    document: &Value,
    schema: &Map<String, Value>,
    object: &Map<String, Value>,
) -> Result<(), String> {
    for (name, value) in object {
        let described = schema.get("properties").and_then(|known| known.get(name));
        match (described, schema.get("additionalProperties")) {
            (Some(rule), _) => check(document, rule, value)?,
            (None, Some(rule)) if rule.is_object() => check(document, rule, value)?,
            (None, Some(Value::Bool(true))) => {}
            (None, _) => return Err(format!("{name} is not described")),
        }
    }
    Ok(())
}

fn length(value: &Value) -> Option<u64> {
    Some(value.as_str()?.chars().count() as u64)
}

fn has_type(rule: &Value, value: &Value) -> bool {
    match rule {
        Value::Array(kinds) => kinds.iter().any(|kind| has_type(kind, value)),
        kind => match kind.as_str().unwrap() {
            "string" => value.is_string(),
            "integer" => value.is_u64() || value.is_i64(),
            "number" => value.is_number(),
            "boolean" => value.is_boolean(),
            "object" => value.is_object(),
            "array" => value.is_array(),
            "null" => value.is_null(),
            unknown => panic!("the test does not know {unknown}"),
        },
    }
}

#[test]
fn what_is_not_described_is_found() {
    let document = serde_json::json!({});
    let schema = serde_json::json!({
        "type": "object",
        "properties": { "a": { "type": "integer", "minimum": 1 }, "b": { "type": ["string", "null"] } },
        "required": ["a"],
        "additionalProperties": false,
    });
    for (value, is_right) in [
        (serde_json::json!({"a": 1}), true),
        (serde_json::json!({"a": 1, "b": null}), true),
        (serde_json::json!({"a": 0}), false),
        (serde_json::json!({"a": "1"}), false),
        (serde_json::json!({"b": "x"}), false),
        (serde_json::json!({"a": 1, "c": 1}), false),
        (serde_json::json!([]), false),
    ] {
        assert_eq!(
            check(&document, &schema, &value).is_ok(),
            is_right,
            "{value}"
        );
    }
}
