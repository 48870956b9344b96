//! Where a message in chunks ends (RFC 9112 §7.1), and whether it is one.
//!
//! The bytes go on to Pingora as they came, which decodes them. This only follows along: it is strict about every line end and
//! length, and knows the last byte of the message.

use super::{head, stream::Malformed};

/// Hexadecimal digits of a chunk's size: what surely fits 63 bits.
const SIZE_DIGITS_MAX: usize = 15;
/// Bytes of a chunk's line: its size and extensions, which nobody uses and an attacker may (CVE-2023-39326).
const LINE_BYTES_MAX: usize = 1024;
/// Bytes of all trailer lines.
const TRAILER_BYTES_MAX: usize = 8192;

/// Follows the chunks of one message.
#[derive(Debug, Default)]
pub(crate) struct ChunkScanner {
    state: State,
    /// The line so far. Its allocation is made by the first chunked message that is cut in the middle of a line.
    line: Vec<u8>,
    trailer_bytes: usize,
    data_bytes: u64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Size,
    Data(u64),
    /// CR and LF after a chunk's data.
    DataEnd(u8),
    Trailer,
    Done,
}

// === impl ChunkScanner ===

impl ChunkScanner {
    /// Follows bytes; answers how many of them belong to the message, which are all unless it ends.
    ///
    /// # Errors
    /// [`Malformed`] at the first byte that no chunked message has there.
    pub(crate) fn scan(&mut self, bytes: &[u8]) -> Result<usize, Malformed> {
        self.scan_while(bytes, |state| state != State::Done)
    }

    /// The same, up to the trailers: answers how many bytes are chunks, the last one included.
    ///
    /// # Errors
    /// As [`ChunkScanner::scan`].
    pub(crate) fn scan_chunks(&mut self, bytes: &[u8]) -> Result<usize, Malformed> {
        self.scan_while(bytes, |state| {
            !matches!(state, State::Trailer | State::Done)
        })
    }

    /// The same, up to the next data, of which [`ChunkScanner::scan_data`] tells, or to the end.
    ///
    /// # Errors
    /// As [`ChunkScanner::scan`].
    pub(crate) fn scan_framing(&mut self, bytes: &[u8]) -> Result<usize, Malformed> {
        self.scan_while(bytes, |state| {
            !matches!(state, State::Data(_) | State::Done)
        })
    }

    /// The same, up to the end of the data of a chunk.
    ///
    /// # Errors
    /// As [`ChunkScanner::scan`].
    pub(crate) fn scan_data(&mut self, bytes: &[u8]) -> Result<usize, Malformed> {
        self.scan_while(bytes, |state| matches!(state, State::Data(_)))
    }

    fn scan_while(
        &mut self,
        bytes: &[u8],
        goes_on: impl Fn(State) -> bool,
    ) -> Result<usize, Malformed> {
        let mut at = 0;
        while at < bytes.len() && goes_on(self.state) {
            at += match self.state {
                State::Data(left) => self.skip_data(left, bytes.len() - at),
                State::DataEnd(seen) => self.data_end(seen, bytes[at])?,
                _ => self.line(&bytes[at..])?,
            };
        }
        Ok(at)
    }

    /// Whether the message is over.
    pub(crate) fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// Bytes of content so far, without their framing.
    pub(crate) fn data_bytes(&self) -> u64 {
        self.data_bytes
    }

    fn skip_data(&mut self, left: u64, available: usize) -> usize {
        let skipped = usize::try_from(left).map_or(available, |left| left.min(available));
        let left = left - skipped as u64;
        self.data_bytes += skipped as u64;
        self.state = if left == 0 {
            State::DataEnd(0)
        } else {
            State::Data(left)
        };
        skipped
    }

    fn data_end(&mut self, seen: u8, byte: u8) -> Result<usize, Malformed> {
        self.state = match (seen, byte) {
            (0, b'\r') => State::DataEnd(1),
            (1, b'\n') => State::Size,
            _ => return Err(Malformed("a chunk is longer than it says")),
        };
        Ok(1)
    }

    /// Takes bytes up to the end of a line, or all of them.
    fn line(&mut self, bytes: &[u8]) -> Result<usize, Malformed> {
        let end = memchr::memchr(b'\n', bytes);
        let taken = end.map_or(bytes.len(), |end| end + 1);
        if self.line.len() + taken > LINE_BYTES_MAX.max(self.trailer_room()) {
            return Err(Malformed("a line among the chunks is too long"));
        }
        if end.is_none() {
            self.line.extend_from_slice(bytes);
            return Ok(taken);
        }
        let mut line = std::mem::take(&mut self.line);
        let whole = if line.is_empty() {
            &bytes[..taken]
        } else {
            line.extend_from_slice(&bytes[..taken]);
            &line
        };
        self.ended_line(whole)?;
        line.clear();
        self.line = line;
        Ok(taken)
    }

    fn trailer_room(&self) -> usize {
        if self.state == State::Trailer {
            TRAILER_BYTES_MAX - self.trailer_bytes
        } else {
            0
        }
    }

    fn ended_line(&mut self, line: &[u8]) -> Result<(), Malformed> {
        let Some(content) = line.strip_suffix(b"\r\n") else {
            return Err(Malformed("a line among the chunks ends in LF without CR"));
        };
        if self.state == State::Size {
            self.state = match chunk_size(content)? {
                0 => State::Trailer,
                size => State::Data(size),
            };
            return Ok(());
        }
        self.trailer_bytes += line.len();
        if self.trailer_bytes > TRAILER_BYTES_MAX {
            return Err(Malformed("the trailers are too long"));
        }
        if content.is_empty() {
            self.state = State::Done;
        } else if head::field(content).is_err() {
            return Err(Malformed("a trailer is not valid"));
        }
        Ok(())
    }
}

/// `chunk-size [ chunk-ext ]`. Blanks may stand before an extension (RFC 9112 §7.1.1), nowhere else.
fn chunk_size(line: &[u8]) -> Result<u64, Malformed> {
    const INVALID: Malformed = Malformed("the size of a chunk is not valid");
    let digits = line
        .iter()
        .take_while(|byte| byte.is_ascii_hexdigit())
        .count();
    let (digits, extension) = line.split_at(digits);
    let extended = matches!(extension.trim_ascii_start().first(), Some(b';'));
    if !(extension.is_empty() || extended) || !head::is_field_value(extension) {
        return Err(INVALID);
    }
    if digits.is_empty() || digits.len() > SIZE_DIGITS_MAX {
        return Err(INVALID);
    }
    let text = std::str::from_utf8(digits).map_err(|_| INVALID)?;
    u64::from_str_radix(text, 16).map_err(|_| INVALID)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many bytes belong to the message, when they come in pieces of this size.
    fn scan(bytes: &[u8], piece: usize) -> Result<(usize, bool), Malformed> {
        let mut scanner = ChunkScanner::default();
        let mut taken = 0;
        for piece in bytes.chunks(piece) {
            let own = scanner.scan(piece)?;
            taken += own;
            if own < piece.len() {
                break;
            }
        }
        Ok((taken, scanner.is_done()))
    }

    #[test]
    fn the_end_is_found_however_the_bytes_come() {
        for message in [
            "0\r\n\r\n",
            "5\r\nhello\r\n0\r\n\r\n",
            "5;a=\"b\"\r\nhello\r\n00\r\n\r\n",
            "5 ; a\r\nhello\r\nA\r\n0123456789\r\n0\r\nX-Sum: 1\r\nX-B: 2\r\n\r\n",
            "2\r\n\r\n\r\n0\r\n\r\n",
        ] {
            let followed = format!("{message}GET / HTTP/1.1\r\n");
            for piece in 1..=followed.len() {
                let ended = scan(followed.as_bytes(), piece);
                assert_eq!(ended.unwrap(), (message.len(), true), "{message:?} {piece}");
            }
        }
    }

    #[test]
    fn what_is_no_chunk_is_refused_however_it_comes() {
        let long = format!("1;{}\r\n", "x".repeat(LINE_BYTES_MAX));
        let trailers = format!(
            "0\r\n{}",
            "A: bcdefgh\r\n".repeat(1 + TRAILER_BYTES_MAX / 12)
        );
        for message in [
            "\r\n",
            "x\r\n",
            "+1\r\n",
            "0x1\r\n",
            "-1\r\n",
            " 1\r\n",
            "1 \r\n",
            "1\n",
            "1\r\nab\r\n",
            "1\r\na\n",
            "1\r\na\rb",
            "1;\0\r\n",
            "1;a\r b\r\n",
            "1 a\r\n",
            "1234567890abcdef\r\n",
            "0\r\nbad\r\n",
            "0\r\n folded: 1\r\n",
            "0\r\nA : 1\r\n",
            "0\r\n\n",
            &long,
            &trailers,
        ] {
            for piece in [1, 2, 3, 7, message.len()] {
                assert!(scan(message.as_bytes(), piece).is_err(), "{message:?}");
            }
        }
    }

    #[test]
    fn a_message_may_end_later() {
        assert_eq!(scan(b"5\r\nhel", 3).unwrap(), (6, false));
        assert_eq!(scan(b"0\r\n\r", 4).unwrap(), (4, false));
    }
}
