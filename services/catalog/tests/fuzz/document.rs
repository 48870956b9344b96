//! The description of the interface as this test reads it: which operation a request is one of.

#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use serde_json::Value;

pub(crate) struct Document {
    pub(crate) value: Value,
    pub(crate) operations: Vec<Operation>,
}

#[derive(Clone)]
pub(crate) struct Operation {
    /// In upper case.
    pub(crate) method: String,
    /// With parameters in braces.
    pub(crate) path: String,
    pub(crate) value: Value,
}

/// What the description says about a request.
pub(crate) enum Place<'a> {
    /// No path fits.
    Nowhere,
    /// A path fits, but the method is none of its.
    OtherMethod,
    Operation(&'a Operation),
}

// === impl Document ===

impl Document {
    pub(crate) fn new(value: Value) -> Self {
        let mut operations = Vec::new();
        for (path, item) in value["paths"].as_object().unwrap() {
            for (method, operation) in item.as_object().unwrap() {
                operations.push(Operation {
                    method: method.to_uppercase(),
                    path: path.clone(),
                    value: operation.clone(),
                });
            }
        }
        Self { value, operations }
    }

    pub(crate) fn find(&self, method: &str, path: &str) -> Place<'_> {
        let mut fitting: Vec<&Operation> = self
            .operations
            .iter()
            .filter(|operation| fits(&operation.path, path))
            .collect();
        // What has a name goes before what could be anything.
        let Some(best) = fitting
            .iter()
            .map(|operation| operation.path.matches('{').count())
            .min()
        else {
            return Place::Nowhere;
        };
        fitting.retain(|operation| operation.path.matches('{').count() == best);
        let find = |wanted: &str| fitting.iter().find(|operation| operation.method == wanted);
        // HEAD is where GET is (RFC 9110 §9.3.2), and need not be described.
        let found = find(method).or_else(|| find("GET").filter(|_| method == "HEAD"));
        found.map_or(Place::OtherMethod, |operation| Place::Operation(operation))
    }
}

/// Whether a path is one of a pattern.
fn fits(pattern: &str, path: &str) -> bool {
    // Swagger UI's page, and a call of an instance's root: both work with a final slash as well.
    let path = match path {
        "/docs/" => "/docs",
        _ if pattern == "/services/call/{id}" => path.strip_suffix('/').unwrap_or(path),
        _ => path,
    };
    let mut segments = path.split('/');
    for expected in pattern.split('/') {
        let Some(segment) = segments.next() else {
            return false;
        };
        match expected {
            "{endpoint}" => return !(segment.is_empty() && segments.next().is_none()),
            _ if expected.starts_with('{') && !segment.is_empty() => {}
            _ if expected == segment => {}
            _ => return false,
        }
    }
    segments.next().is_none()
}

#[test]
fn requests_find_their_operation() {
    for (pattern, path, expected) in [
        ("/", "/", true),
        ("/services", "/services/", false),
        ("/services/{id}", "/services/a", true),
        ("/services/{id}", "/services/", false),
        ("/services/{id}", "/services/a/b", false),
        (
            "/services/call/{id}/{endpoint}",
            "/services/call/a/b/c",
            true,
        ),
        ("/services/call/{id}/{endpoint}", "/services/call/a/", false),
        ("/services/call/{id}", "/services/call/a/", true),
    ] {
        assert_eq!(fits(pattern, path), expected, "{pattern} {path}");
    }
}
