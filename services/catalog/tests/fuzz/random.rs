//! Values that somebody might send: as described, at the edges of what is described, and beyond.

#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use serde_json::{Map, Value, json};

/// A source of values; the same seed gives the same values.
pub(crate) struct Random {
    source: StdRng,
    /// Where instances may be: nothing but this machine is ever asked.
    addresses: Vec<String>,
    /// Names of calls that are answered later.
    calls: Vec<String>,
}

/// Deeper than any reader of JSON goes.
const DEPTH: usize = 100_000;

/// Sixteen times what an operator would allow for anything.
pub(crate) const HUGE_BYTES: usize = 10 * 1024 * 1024;

// === impl Random ===

impl Random {
    pub(crate) fn new(seed: u64, addresses: Vec<String>) -> Self {
        Self {
            source: StdRng::seed_from_u64(seed),
            addresses,
            calls: Vec::new(),
        }
    }

    pub(crate) fn with_calls(self, calls: Vec<String>) -> Self {
        Self { calls, ..self }
    }

    /// Name of a call.
    pub(crate) fn call(&mut self) -> String {
        self.of(&self.calls.clone())
    }

    pub(crate) fn below(&mut self, end: usize) -> usize {
        self.source.random_range(0..end)
    }

    pub(crate) fn percent(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    pub(crate) fn of<T: Clone>(&mut self, list: &[T]) -> T {
        list[self.below(list.len())].clone()
    }

    /// A body for an operation: its example, bent in a few places or not at all.
    pub(crate) fn body(&mut self, document: &Value, schema: &Value, example: &Value) -> Vec<u8> {
        let mut value = example.clone();
        if let Some(address) = value.get_mut("address") {
            *address = self.of(&self.addresses.clone()).into();
        }
        for _ in 0..self.of(&[0, 0, 1, 1, 1, 2, 3]) {
            self.bend(document, schema, &mut value);
        }
        let text = value.to_string().into_bytes();
        if self.percent(80) {
            text
        } else {
            self.spoil(text)
        }
    }

    /// Changes one place somewhere in a value.
    fn bend(&mut self, document: &Value, schema: &Value, value: &mut Value) {
        let schema = match schema.get("$ref") {
            Some(reference) => {
                let pointer = reference.as_str().unwrap().trim_start_matches('#');
                document.pointer(pointer).unwrap()
            }
            None => schema,
        };
        if self.percent(80) {
            match value {
                Value::Object(object) => return self.bend_object(document, schema, object),
                Value::Array(items) if !items.is_empty() => {
                    let index = self.below(items.len());
                    let rule = schema.get("items").unwrap_or(&Value::Null);
                    return self.bend(document, rule, &mut items[index]);
                }
                _ => {}
            }
        }
        *value = self.of(&edges(schema));
    }

    fn bend_object(&mut self, document: &Value, schema: &Value, object: &mut Map<String, Value>) {
        let described = schema.get("properties").and_then(Value::as_object);
        let mut names: Vec<String> = object.keys().cloned().collect();
        names.extend(described.into_iter().flat_map(|all| all.keys().cloned()));
        names.push(
            self.of(&["", "unknown", "__proto__", "id", "revision", "NAME", "a\0b"])
                .to_owned(),
        );
        let name = self.of(&names);
        if self.percent(15) {
            object.remove(&name);
            return;
        }
        let rule = described
            .and_then(|all| all.get(&name))
            .or_else(|| schema.get("additionalProperties"))
            .unwrap_or(&Value::Null);
        let value = object.entry(name.as_str()).or_insert(Value::Null);
        self.bend(document, rule, value);
        // An address that is not a wrong text must be one of ours.
        if name == "address" && self.percent(70) {
            *value = self.of(&self.addresses.clone()).into();
        }
    }

    /// Bytes that are hardly JSON any more.
    fn spoil(&mut self, mut text: Vec<u8>) -> Vec<u8> {
        match self.below(10) {
            0 => text.truncate(self.below(text.len())),
            1 => {
                let place = self.below(text.len());
                text[place] = self.of(&[0, 0x7f, 0x80, 0xff, b'"', b'}', b'\\']);
            }
            2 => text.extend(b" trailing"),
            3 => text.splice(0..0, *b"\xef\xbb\xbf").for_each(drop),
            4 => text = "[".repeat(DEPTH.min(60_000)).into_bytes(),
            5 => text = [&b"{\"metadata\":"[..], "{\"a\":".repeat(10_000).as_bytes()].concat(),
            6 => text = b"{\"name\":\"web\",\"name\":\"other\"}".to_vec(),
            7 => {
                text = self
                    .of(&[
                        &b""[..],
                        b"null",
                        b"NaN",
                        b"1e999",
                        b"\"a\"",
                        b"[]",
                        b"{",
                        b"\xff\xfe",
                    ])
                    .to_vec()
            }
            8 => text = format!("{{\"min_instances\": {}}}", "9".repeat(5_000)).into_bytes(),
            _ => text = vec![b' '; if self.percent(10) { HUGE_BYTES } else { 70_000 }],
        }
        text
    }
}

/// What a described place could be filled with, rightly or not.
fn edges(schema: &Value) -> Vec<Value> {
    let mut values = vec![
        Value::Null,
        true.into(),
        json!(-1),
        json!(0),
        json!(1.5),
        json!(1e300),
        json!(u64::MAX),
        json!(i64::MIN),
        json!(""),
        json!(" "),
        json!("a"),
        json!("\u{0}"),
        json!("\u{202e}ü💣"),
        json!("../../etc/passwd"),
        json!("'; DROP TABLE services; --"),
        json!("${jndi:ldap://127.0.0.1/a}"),
        json!("a\r\nb: c"),
        json!("99999999999999999999s"),
        json!("-1s"),
        json!("0s"),
        json!("127.0.0.1:0"),
        json!("127.0.0.1:65536"),
        json!("[::1"),
        json!("a".repeat(2_000)),
        json!([]),
        json!({}),
        json!([[[[]]]]),
        json!({"a": {"b": {"c": null}}}),
        json!(vec!["x"; 300]),
    ];
    for (word, by) in [
        ("minimum", -1_i64),
        ("minimum", 0),
        ("maximum", 0),
        ("maximum", 1),
    ] {
        values.extend(
            schema[word]
                .as_i64()
                .map(|edge| json!(edge.saturating_add(by))),
        );
    }
    for (word, by) in [("minLength", 0), ("maxLength", 0), ("maxLength", 1)] {
        let length = schema[word].as_u64().map(|length| length as usize + by);
        values.extend(length.map(|length| json!("b".repeat(length))));
    }
    for allowed in schema["enum"].as_array().into_iter().flatten() {
        values.push(allowed.clone());
    }
    for (word, by) in [("maxItems", 0), ("maxItems", 1)] {
        let length = schema[word].as_u64().map(|length| length as usize + by);
        let items = |length| {
            (0..length)
                .map(|n| json!(format!("t{n}")))
                .collect::<Vec<_>>()
        };
        values.extend(length.map(|length| json!(items(length))));
    }
    for (word, by) in [("maxProperties", 0), ("maxProperties", 1)] {
        let length = schema[word].as_u64().map(|length| length as usize + by);
        let entries = |length| (0..length).map(|n| (format!("k{n}"), json!("v")));
        values.extend(length.map(|length| Value::Object(entries(length).collect())));
    }
    values
}
