//! A record as a line, byte for byte as the rest of the log is written by `tracing-subscriber`.

use std::io::Write as _;
use std::net::{IpAddr, SocketAddr};

use serde::Serialize;

use super::record::Value;
use super::{AccessRecord, Importance};
use crate::http::milliseconds;

/// How events are written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Form {
    /// One object per line.
    Json,
    /// For people, with colours or without.
    Text {
        /// Whether the reader is a terminal that shows ANSI escapes as colours.
        ansi: bool,
    },
}

/// Escapes of a terminal around parts of a line; empty where there are no colours.
struct Colours {
    dim: &'static str,
    italic: &'static str,
    green: &'static str,
    blue: &'static str,
    plain: &'static str,
}

const COLOURS: Colours = Colours {
    dim: "\x1b[2m",
    italic: "\x1b[3m",
    green: "\x1b[32m",
    blue: "\x1b[34m",
    plain: "\x1b[0m",
};
const NO_COLOURS: Colours = Colours {
    dim: "",
    italic: "",
    green: "",
    blue: "",
    plain: "",
};

// === impl Form ===

impl Form {
    /// Appends the line of a record, with its end. `time` is a timestamp of RFC 3339.
    pub fn append(
        self,
        line: &mut Vec<u8>,
        time: &str,
        importance: Importance,
        record: &AccessRecord<'_>,
    ) {
        match self {
            Self::Json => append_json(line, time, importance, record),
            Self::Text { ansi } => {
                let colours = if ansi { &COLOURS } else { &NO_COLOURS };
                append_text(line, colours, time, importance, record);
            }
        }
    }
}

fn append_json(line: &mut Vec<u8>, time: &str, importance: Importance, record: &AccessRecord<'_>) {
    put(line, "{\"timestamp\":\"");
    put(line, time);
    put(line, "\",\"level\":\"");
    put(line, importance.level().as_str());
    put(line, "\",\"message\":\"request\"");
    for (name, value) in record.fields() {
        let Some(value) = value else { continue };
        put(line, name.member);
        match value {
            Value::Text(text) => put_json(line, text),
            Value::Host(_) | Value::Socket(_) => {
                put(line, "\"");
                put_plain(line, value);
                put(line, "\"");
            }
            _ => put_plain(line, value),
        }
    }
    put(line, ",\"target\":\"access\"}\n");
}

fn append_text(
    line: &mut Vec<u8>,
    colours: &Colours,
    time: &str,
    importance: Importance,
    record: &AccessRecord<'_>,
) {
    let Colours {
        dim, italic, plain, ..
    } = colours;
    let (colour, level) = match importance {
        Importance::Ordinary => (colours.green, " INFO"),
        Importance::Routine => (colours.blue, "DEBUG"),
    };
    for part in [dim, time, plain, " ", colour, level, plain, " "] {
        put(line, part);
    }
    for part in [dim, "access", plain, dim, ":", plain, " request"] {
        put(line, part);
    }
    for (name, value) in record.fields() {
        let Some(value) = value else { continue };
        for part in [" ", italic, name.text, plain, dim, "=", plain] {
            put(line, part);
        }
        match value {
            Value::Text(text) => put_quoted(line, text),
            _ => put_plain(line, value),
        }
    }
    put(line, "\n");
}

// Writing into a vector never fails, so what the functions below return is of no interest.

fn put(line: &mut Vec<u8>, text: &str) {
    line.extend_from_slice(text.as_bytes());
}

fn put_json(line: &mut Vec<u8>, value: impl Serialize) {
    let _ = serde_json::to_writer(line, &value);
}

/// As Rust quotes: whoever asks for `/a%0Ab` or sends a terminal's escapes gets no second line, and no colours.
fn put_quoted(line: &mut Vec<u8>, text: &str) {
    let is_harmless = |byte: u8| matches!(byte, b' '..=b'~') && byte != b'"' && byte != b'\\';
    if text.bytes().all(is_harmless) {
        put(line, "\"");
        put(line, text);
        put(line, "\"");
    } else {
        let _ = write!(line, "{text:?}");
    }
}

/// What is the same in both forms and needs no escapes.
fn put_plain(line: &mut Vec<u8>, value: Value<'_>) {
    match value {
        Value::Text(text) => put(line, text),
        Value::Count(count) => put_count(line, count),
        Value::Span(span) => put_json(line, milliseconds(span)),
        Value::Flag(flag) => put(line, if flag { "true" } else { "false" }),
        Value::Host(host) => put_host(line, host),
        Value::Socket(SocketAddr::V4(socket)) => {
            put_host(line, (*socket.ip()).into());
            put(line, ":");
            put_count(line, socket.port().into());
        }
        Value::Socket(socket) => {
            let _ = write!(line, "{socket}");
        }
    }
}

fn put_count(line: &mut Vec<u8>, count: u64) {
    put(line, itoa::Buffer::new().format(count));
}

fn put_host(line: &mut Vec<u8>, host: IpAddr) {
    let IpAddr::V4(host) = host else {
        let _ = write!(line, "{host}");
        return;
    };
    for (index, octet) in host.octets().into_iter().enumerate() {
        if index > 0 {
            put(line, ".");
        }
        put_count(line, octet.into());
    }
}

#[cfg(test)]
mod tests;
