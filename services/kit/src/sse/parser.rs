//! Reads a stream of events that arrives in pieces of any size.

use super::Event;

/// Incremental parser: what comes out does not depend on where the stream is cut.
#[derive(Debug)]
pub struct Parser {
    limit_bytes: usize,
    line: Vec<u8>,
    /// The last byte was a CR, so that an LF now belongs to it.
    after_carriage_return: bool,
    first_line: bool,
    event: String,
    id: Option<String>,
    last_id: Option<String>,
    data: String,
    has_data: bool,
}

/// An event, or one line, is longer than the limit. The stream cannot be read on.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("an event of the stream is longer than {limit_bytes} bytes")]
pub struct TooLong {
    /// The limit.
    pub limit_bytes: usize,
}

const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

impl Parser {
    /// A parser at the start of a stream; one event may take `limit_bytes`.
    pub fn new(limit_bytes: usize) -> Self {
        Self {
            limit_bytes,
            line: Vec::new(),
            after_carriage_return: false,
            first_line: true,
            event: String::new(),
            id: None,
            last_id: None,
            data: String::new(),
            has_data: false,
        }
    }

    /// The id to resume from (`Last-Event-ID`): it also counts ids of blocks that carried no data.
    pub fn last_id(&self) -> Option<&str> {
        self.last_id.as_deref()
    }

    /// Takes the next piece and returns the events it completes.
    ///
    /// # Errors
    ///
    /// [`TooLong`]; events of the same piece that came before are lost with it.
    pub fn feed(&mut self, chunk: &[u8]) -> Result<Vec<Event>, TooLong> {
        let mut events = Vec::new();
        let mut rest = chunk;
        while let Some(&first) = rest.first() {
            if std::mem::take(&mut self.after_carriage_return) && first == b'\n' {
                rest = &rest[1..];
                continue;
            }
            let end = rest.iter().position(|byte| matches!(byte, b'\r' | b'\n'));
            self.line
                .extend_from_slice(&rest[..end.unwrap_or(rest.len())]);
            if self.line.len() + self.data.len() > self.limit_bytes {
                return Err(TooLong {
                    limit_bytes: self.limit_bytes,
                });
            }
            let Some(end) = end else { break };
            self.after_carriage_return = rest[end] == b'\r';
            rest = &rest[end + 1..];
            events.extend(self.end_line());
        }
        Ok(events)
    }

    fn end_line(&mut self) -> Option<Event> {
        let bytes = std::mem::take(&mut self.line);
        let mut line = bytes.as_slice();
        if std::mem::take(&mut self.first_line) {
            line = line.strip_prefix(BYTE_ORDER_MARK).unwrap_or(line);
        }
        if line.is_empty() {
            return self.dispatch();
        }
        // The standard decodes with replacement: one bad byte must not end the stream.
        let line = String::from_utf8_lossy(line);
        let (field, value) = line.split_once(':').unwrap_or((&line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "data" => {
                if self.has_data {
                    self.data.push('\n');
                }
                self.data.push_str(value);
                self.has_data = true;
            }
            "event" => value.clone_into(&mut self.event),
            "id" if !value.contains('\0') => self.id = Some(value.to_owned()),
            // Comments have an empty field name. `retry` is left out: our clients have their own back-off.
            _ => {}
        }
        None
    }

    fn dispatch(&mut self) -> Option<Event> {
        let event = std::mem::take(&mut self.event);
        let id = self.id.take();
        if id.is_some() {
            self.last_id.clone_from(&id);
        }
        let data = std::mem::take(&mut self.data);
        std::mem::take(&mut self.has_data).then(|| Event {
            event: Some(event).filter(|event| !event.is_empty()),
            id,
            data,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::comment;
    use super::*;

    fn all(stream: &[u8]) -> Vec<Event> {
        Parser::new(1 << 20).feed(stream).unwrap()
    }

    fn event(event: Option<&str>, id: Option<&str>, data: &str) -> Event {
        Event {
            event: event.map(str::to_owned),
            id: id.map(str::to_owned),
            data: data.to_owned(),
        }
    }

    #[test]
    fn follows_the_examples_of_the_standard() {
        let stream = b"\xEF\xBB\xBF: test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\ndata:  third\n\n";
        assert_eq!(
            all(stream),
            [
                event(None, Some("1"), "first event"),
                event(None, Some(""), "second event"),
                event(None, None, " third"),
            ]
        );
        assert_eq!(all(b"data\n\ndata\ndata\n\ndata:").len(), 2);
        assert_eq!(all(b"data\n\ndata\ndata\n\n")[1].data, "\n");
        assert_eq!(
            all(b"data: YHOO\rdata: +2\r\ndata: 10\n\r\n"),
            [event(None, None, "YHOO\n+2\n10")]
        );
    }

    #[test]
    fn an_id_without_data_makes_no_event_and_is_remembered() {
        let mut parser = Parser::new(1024);
        assert!(parser.feed(b"id: 7\n\n").unwrap().is_empty());
        assert_eq!(parser.last_id(), Some("7"));
        parser.feed(b"id: 8\0\ndata: x\n\n").unwrap();
        assert_eq!(parser.last_id(), Some("7"));
    }

    #[test]
    fn the_limit_holds_for_a_line_and_for_the_sum_of_lines() {
        assert!(Parser::new(16).feed(&[b'a'; 17]).is_err());
        assert!(
            Parser::new(16)
                .feed(b"data: 123456\ndata: 123456\n")
                .is_err()
        );
        assert!(
            Parser::new(16)
                .feed(b"data: 123456\n\ndata: 123456\n\n")
                .is_ok()
        );
    }

    #[test]
    fn comments_are_no_events_and_cannot_smuggle_one() {
        assert!(all(&comment("beat\ndata: x\n\n")).is_empty());
    }

    proptest! {
        #[test]
        fn any_split_gives_the_same_events(
            lines in prop::collection::vec("(data|event|id|other)?:? ?[aä€\u{FEFF}]{0,4}(\r|\n|\r\n|\n\n|\r\n\r\n)", 0..20),
            cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..20),
        ) {
            let stream = lines.concat().into_bytes();
            let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(stream.len() + 1)).collect();
            cuts.extend([0, stream.len()]);
            cuts.sort_unstable();
            let mut parser = Parser::new(1 << 20);
            let mut events = Vec::new();
            for piece in cuts.windows(2) {
                events.extend(parser.feed(&stream[piece[0]..piece[1]]).unwrap());
            }
            prop_assert_eq!(events, all(&stream));
        }

        #[test]
        fn an_encoded_event_is_read_back(
            kind in proptest::option::of("[a-zä]{1,8}"), id in proptest::option::of("[0-9a-z ]{0,8}[0-9a-z]"), data in "[a-zä€ \n:]{0,40}",
        ) {
            let written = Event { event: kind, id, data };
            prop_assert_eq!(all(&written.encode()), [written]);
        }

        #[test]
        fn never_panics(stream in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = Parser::new(64).feed(&stream);
        }
    }
}
