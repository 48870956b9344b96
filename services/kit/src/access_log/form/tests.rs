//! The lines against those of `tracing-subscriber`, for which the rest of the log is written.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use proptest::prelude::*;
use tracing::Level;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::format::Writer;

use super::*;

const TIME: &str = "2026-11-26T06:45:15.000120Z";
const FORMS: [Form; 3] = [
    Form::Json,
    Form::Text { ansi: false },
    Form::Text { ansi: true },
];

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

/// What a subscriber as `telemetry` sets it up makes of the record.
fn expected(form: Form, importance: Importance, record: AccessRecord<'_>) -> String {
    struct Fixed;
    impl tracing_subscriber::fmt::time::FormatTime for Fixed {
        fn format_time(&self, writer: &mut Writer<'_>) -> std::fmt::Result {
            writer.write_str(TIME)
        }
    }
    let lines = Lines::default();
    let builder = tracing_subscriber::fmt()
        .with_max_level(Level::DEBUG)
        .with_timer(Fixed)
        .with_writer(lines.clone());
    let write = || record.to_subscriber(importance);
    match form {
        Form::Json => {
            let subscriber = builder.json().flatten_event(true).finish();
            tracing::subscriber::with_default(subscriber, write);
        }
        Form::Text { ansi } => {
            let subscriber = builder.with_ansi(ansi).finish();
            tracing::subscriber::with_default(subscriber, write);
        }
    }
    let bytes = lines.0.lock().unwrap().clone();
    String::from_utf8(bytes).unwrap()
}

fn written(form: Form, importance: Importance, record: &AccessRecord<'_>) -> String {
    let mut line = Vec::new();
    form.append(&mut line, TIME, importance, record);
    String::from_utf8(line).unwrap()
}

/// Every text of the record is one of these.
fn record<'a>(
    texts: &'a [Option<String>; 6],
    (endpoint, client): (Option<SocketAddr>, Option<IpAddr>),
    (duration, upstream): (Duration, Option<Duration>),
    (bytes, retries, is_cut): (Option<u64>, Option<u8>, Option<bool>),
) -> AccessRecord<'a> {
    let [method, host, path, route, reason, id] = texts.each_ref().map(Option::as_deref);
    AccessRecord {
        method,
        host,
        path,
        route,
        status: u16::from(retries.unwrap_or(200)),
        bytes_received: bytes.map(|bytes| bytes / 3),
        bytes_sent: bytes,
        service: route,
        endpoint,
        cache: reason,
        retries,
        duration,
        upstream,
        reason,
        is_cut,
        request_id: id,
        trace_id: id,
        client,
    }
}

proptest! {
    #[test]
    fn a_line_is_what_the_rest_of_the_log_would_be_written_as(
        texts in any::<[Option<String>; 6]>(),
        addresses in any::<(Option<SocketAddr>, Option<IpAddr>)>(),
        micros in (0..1_u64 << 45, prop::option::of(0..100_000_u64)),
        numbers in any::<(Option<u64>, Option<u8>, Option<bool>)>(),
    ) {
        let durations = (Duration::from_micros(micros.0), micros.1.map(Duration::from_micros));
        let record = record(&texts, addresses, durations, numbers);
        for form in FORMS {
            for importance in [Importance::Ordinary, Importance::Routine] {
                prop_assert_eq!(
                    written(form, importance, &record),
                    expected(form, importance, record)
                );
            }
        }
    }
}

#[test]
fn nobody_can_add_a_line_or_a_field() {
    let path = "/a\n{\"target\":\"access\"}\r\u{85}\u{2028}\" status=200 \\\x1b[2J";
    let record = AccessRecord {
        path: Some(path),
        status: 404,
        ..AccessRecord::default()
    };
    for form in FORMS {
        let line = written(form, Importance::Ordinary, &record);
        assert_eq!(line, expected(form, Importance::Ordinary, record));
        assert_eq!(line.matches('\n').count(), 1, "{line}");
        assert!(line.ends_with('\n'), "{line}");
    }
    let json = written(Form::Json, Importance::Ordinary, &record);
    let event: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(event["http.path"], path);
    let text = written(Form::Text { ansi: false }, Importance::Ordinary, &record);
    assert!(
        !text.contains(['\r', '\x1b', '\u{85}', '\u{2028}']),
        "{text}"
    );
    assert!(text.contains(r#"\" status=200"#), "{text}");
}
