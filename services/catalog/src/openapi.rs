//! The interface described (OpenAPI 3.1): what `/openapi.json` answers and `/docs` shows.
//!
//! Written by hand and not derived from the types: their JSON is made by parsers that derive macros cannot look into, and the types'
//! crate is to know nothing of this. So that it is true all the same, limits and lists of words come from the constants of
//! the types, one test compares it with the router in both directions, another one carries out every example against
//! a running catalog and checks each answer against its schema, and `openapi.json` beside the crate shows every change of it.

mod calls;
mod discovery;
mod draining;
mod operation;
mod parameters;
mod paths;
mod receipts;
mod reports;
mod schemas;

use std::sync::LazyLock;

use bytes::Bytes;
use serde_json::{Map, Value, json};
use service_kit::VERSION;

/// The document, encoded once.
static ENCODED: LazyLock<Bytes> =
    LazyLock::new(|| serde_json::to_vec(&document()).unwrap_or_default().into());

/// The document as it is sent.
pub(crate) fn encoded() -> Bytes {
    ENCODED.clone()
}

fn document() -> Value {
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "service-catalog",
            "version": VERSION,
            "description": "Which services run where, and who is told when that changes. Wherever a path has {id}, the integer id or the name of a service works. Durations are strings such as \"500ms\" or \"30s\". Reading needs no token. Errors are problem details (RFC 9457).",
            "license": { "name": "MIT", "identifier": "MIT" },
        },
        // Relative to this document, so that it holds behind a gateway as well.
        "servers": [ { "url": "." } ],
        "tags": [
            { "name": "services", "description": "What there is" },
            { "name": "instances", "description": "Where it runs" },
            { "name": "calls", "description": "Reaching services through the catalog, and what became of it" },
            { "name": "operation", "description": "The catalog itself" },
        ],
        "paths": paths::all(),
        "components": {
            "schemas": schemas(),
            "securitySchemes": {
                "token": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "The catalog's token: CATALOG_TOKEN, or what is in the file catalog-token in its data folder",
                },
            },
        },
    })
}

fn schemas() -> Map<String, Value> {
    let schemas = schemas::all().into_iter();
    schemas
        .chain(receipts::all())
        .chain(draining::all())
        .chain(reports::all())
        .chain(discovery::schemas())
        .chain(calls::schemas())
        .collect()
}

/// Refers to a schema by its name.
fn reference(name: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{name}") })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use service_kit::http::Application as _;

    use super::*;
    use crate::api::Api;

    const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/openapi.json");

    /// Methods that OpenAPI 3.1 has a word for.
    const METHODS: [&str; 8] = [
        "get", "put", "post", "delete", "options", "head", "patch", "trace",
    ];

    #[test]
    fn the_golden_file_is_the_document() {
        let document = document();
        if std::env::var_os("UPDATE_GOLDEN").is_some_and(|value| value == "1") {
            let text = serde_json::to_string_pretty(&document).unwrap() + "\n";
            std::fs::write(GOLDEN, text).unwrap();
        }
        let golden: Value =
            serde_json::from_str(&std::fs::read_to_string(GOLDEN).unwrap()).unwrap();
        assert!(
            golden == document,
            "services/catalog/openapi.json is not what the program answers; if the change is meant, run this test with UPDATE_GOLDEN=1"
        );
    }

    #[test]
    fn every_route_is_described_and_nothing_else() {
        // These come with the kit.
        let operations = ["/health", "/livez", "/readyz", "/metrics"];
        let operations = operations.map(|path| ("get".to_owned(), path.to_owned()));
        let routes = Api::routes().into_iter().map(|(method, pattern, _)| {
            // A catch-all is a parameter to OpenAPI, and nothing after a last slash is nothing.
            let path = pattern.replace("{*", "{");
            let path = match path.trim_end_matches('/') {
                "" => "/",
                path => path,
            };
            (method.as_str().to_ascii_lowercase(), path.to_owned())
        });
        let routes: BTreeSet<_> = routes
            .filter(|(method, _)| METHODS.contains(&method.as_str()))
            .chain(operations)
            .collect();
        let document = document();
        let mut described = BTreeSet::new();
        for (path, item) in document["paths"].as_object().unwrap() {
            for method in item.as_object().unwrap().keys() {
                described.insert((method.clone(), path.clone()));
            }
        }
        assert_eq!(routes, described);
    }

    #[test]
    fn operations_have_names_of_their_own_and_their_paths_parameters() {
        let document = document();
        let mut names = BTreeSet::new();
        for (path, item) in document["paths"].as_object().unwrap() {
            for operation in item.as_object().unwrap().values() {
                let name = operation["operationId"].as_str().unwrap();
                assert!(names.insert(name.to_owned()), "{name} twice");
                let parameters = operation["parameters"].as_array().unwrap().iter();
                let in_path: BTreeSet<_> = parameters
                    .filter(|parameter| parameter["in"] == "path")
                    .map(|parameter| parameter["name"].as_str().unwrap())
                    .collect();
                let wanted: BTreeSet<_> = path
                    .split('/')
                    .filter_map(|segment| segment.strip_prefix('{')?.strip_suffix('}'))
                    .collect();
                assert_eq!(in_path, wanted, "{path}");
            }
        }
    }

    #[test]
    fn every_reference_leads_somewhere_and_every_schema_is_used() {
        let document = document();
        let text = document.to_string();
        let used: BTreeSet<&str> = text
            .split("\"#/components/schemas/")
            .skip(1)
            .map(|rest| rest.split('"').next().unwrap())
            .collect();
        let schemas = document["components"]["schemas"].as_object().unwrap();
        let defined: BTreeSet<&str> = schemas.keys().map(String::as_str).collect();
        assert_eq!(used, defined);
    }
}
