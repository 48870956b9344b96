//! The one log event of each request.

use std::io;
use std::sync::{Arc, Mutex};

use serde_json::Value;
use service_kit::http::Limits;
use tracing_subscriber::fmt::MakeWriter;

use crate::server::Server;
use crate::wire::Wire;

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Lines {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

// The runtime has one thread, so the subscriber of this thread sees the server's events.
#[tokio::test(flavor = "current_thread")]
async fn a_request_is_one_event_with_stable_fields_and_no_secrets() {
    let lines = Lines::default();
    let subscriber = tracing_subscriber::fmt()
        .json()
        .with_max_level(tracing::Level::DEBUG)
        .with_writer(lines.clone())
        .finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    let server = Server::start(Limits::default()).await;
    let mut wire = Wire::connect(server.address).await;
    wire.send("GET /names/5?token=hunter2 HTTP/1.1\r\nhost: t\r\nauthorization: Bearer hunter2\r\nx-request-id: r-1\r\n\r\n")
        .await;
    wire.answer(true).await;
    wire.request("GET /livez").await;

    let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
    assert!(!text.contains("hunter2"), "{text}");
    let events: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .filter(|event: &Value| event["target"] == "access")
        .collect();
    assert_eq!(events.len(), 2, "{text}");
    let fields = &events[0]["fields"];
    assert_eq!(events[0]["level"], "INFO");
    assert_eq!(fields["http.method"], "GET");
    assert_eq!(fields["http.route"], "/names/{count}");
    assert_eq!(fields["http.status"], 200);
    assert_eq!(fields["http.bytes_sent"], 1);
    assert_eq!(fields["request.id"], "r-1");
    assert_eq!(fields["client.address"], "127.0.0.1");
    assert!(fields["duration_ms"].is_number());
    assert_eq!(events[1]["level"], "DEBUG");
    assert_eq!(events[1]["fields"]["http.route"], "/livez");
}
