//! Server-Sent Events (WHATWG HTML, section 9.2), both directions: the watch stream of the catalog is made of them.

mod parser;

use bytes::Bytes;

pub use parser::{Parser, TooLong};

/// Content type of a stream of events.
pub const CONTENT_TYPE: &str = "text/event-stream";

/// One event.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Event {
    /// Type; `None` is the standard's `message`.
    pub event: Option<String>,
    /// Id as given with this event; the one to resume from is [`Parser::last_id`].
    pub id: Option<String>,
    /// Payload; line breaks are kept, as `\n`.
    pub data: String,
}

impl Event {
    /// The event as it goes over the wire, with its final empty line.
    ///
    /// Line breaks (and NUL in the id) would end a field early; they are dropped from type and id.
    pub fn encode(&self) -> Bytes {
        let mut text = String::with_capacity(self.data.len() + 64);
        for (field, value) in [("event: ", &self.event), ("id: ", &self.id)] {
            if let Some(value) = value {
                text.push_str(field);
                text.extend(value.chars().filter(|c| !matches!(c, '\r' | '\n' | '\0')));
                text.push('\n');
            }
        }
        let mut rest = self.data.as_str();
        loop {
            let end = rest.find(['\r', '\n']).unwrap_or(rest.len());
            text.push_str("data: ");
            text.push_str(&rest[..end]);
            text.push('\n');
            if end == rest.len() {
                break;
            }
            let break_length = if rest[end..].starts_with("\r\n") {
                2
            } else {
                1
            };
            rest = &rest[end + break_length..];
        }
        text.push('\n');
        text.into()
    }
}

/// A comment, which readers ignore: the heartbeat that keeps a silent stream open.
pub fn comment(text: &str) -> Bytes {
    let mut line = String::with_capacity(text.len() + 4);
    line.push_str(": ");
    line.extend(text.chars().filter(|c| !matches!(c, '\r' | '\n')));
    line.push_str("\n\n");
    line.into()
}
