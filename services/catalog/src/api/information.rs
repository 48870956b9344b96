//! What the catalog says about itself.

use http::StatusCode;
use serde_json::{Value, json};
use service_kit::{
    VERSION,
    http::{Response, body},
};

use super::Api;

const NAME: &str = "service-catalog";

impl Api {
    /// `GET /`.
    pub(super) fn information(&self) -> Response {
        let information = json!({
            "name": NAME,
            "version": VERSION,
            "description": "Which services run where, and who is told when that changes.",
            "revision": self.live.load().revision(),
            "links": {
                "services": "/services",
                "watch": "/services/watch",
                "services_health": "/services/health",
                "logs": "/services/logs",
                "statistics": "/services/stats",
                "call": "/services/call/{id}/{endpoint}",
                "answer": "/services/calls/{call}",
                "documentation": "/docs/",
                "openapi": "/openapi.json",
                "health": "/health",
                "readiness": "/readyz?verbose",
                "metrics": "/metrics",
            },
        });
        body::json(StatusCode::OK, &information)
    }

    /// `GET /health`.
    pub(super) fn condition(&self) -> Value {
        let snapshot = self.live.load();
        json!({
            "status": self.readiness.report().status,
            "name": NAME,
            "version": VERSION,
            "revision": snapshot.revision(),
            "services": snapshot.len(),
        })
    }
}
