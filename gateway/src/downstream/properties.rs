//! What must hold of the readers of a client's bytes, whatever the bytes are.

use super::{
    Limits,
    chunked::ChunkScanner,
    head::{Content, HeadParser},
};

/// A head is read in the same way however its bytes come, and what is taken is a request that can be understood in one way only.
pub fn heads(data: &[u8]) {
    let limits = Limits {
        header_bytes_max: 4096,
        target_bytes_max: 512,
        ..Limits::default()
    };
    let whole = HeadParser::default().advance(data, &limits);
    let mut parser = HeadParser::default();
    let mut outcome = Ok(None);
    for end in 1..=data.len() {
        outcome = parser.advance(&data[..end], &limits);
        if !matches!(outcome, Ok(None)) {
            break;
        }
    }
    match (&whole, &outcome) {
        // Limits are checked line by line, so which of two mistakes is found first depends on the pieces.
        (Err(_), Err(_)) => {}
        _ => assert_eq!(whole, outcome),
    }
    let Ok(Some(head)) = whole else {
        return;
    };
    let bytes = &data[head.skip..head.skip + head.length];
    assert!(data[..head.skip].iter().all(|byte| b"\r\n".contains(byte)));
    assert!(bytes.ends_with(b"\r\n\r\n") && bytes.len() <= limits.header_bytes_max);
    assert_lines(bytes, head.content);
}

/// Reads the lines of a head naively: no control characters, one host, one framing.
fn assert_lines(head: &[u8], content: Content) {
    let text = &head[..head.len() - 4];
    let mut lines = Vec::new();
    let mut rest = text;
    while let Some(end) = rest.windows(2).position(|pair| pair == b"\r\n") {
        lines.push(&rest[..end]);
        rest = &rest[end + 2..];
    }
    lines.push(rest);
    let is_control = |byte: &u8| (*byte < b' ' && *byte != b'\t') || *byte == 0x7f;
    for line in &lines {
        assert!(!line.is_empty() && !line.iter().any(is_control));
    }
    let count = |name: &str| {
        let named = |line: &&&[u8]| {
            let colon = line.iter().position(|byte| *byte == b':');
            colon.is_some_and(|colon| line[..colon].eq_ignore_ascii_case(name.as_bytes()))
        };
        lines[1..].iter().filter(named).count()
    };
    let (lengths, codings) = (count("content-length"), count("transfer-encoding"));
    assert!(lengths + codings <= 1);
    assert_eq!(
        count("host"),
        usize::from(lines[0].ends_with(b"1.1") || count("host") == 1)
    );
    match content {
        Content::Chunked => assert_eq!((lengths, codings), (0, 1)),
        Content::Length(length) => assert!(length == 0 || lengths == 1),
        Content::Tunnel => assert!(count("upgrade") > 0),
    }
}

/// The end of a chunked message is found at the same byte however its bytes come, and nothing after it is taken.
pub fn chunks(data: &[u8]) {
    let mut whole = ChunkScanner::default();
    let taken = whole.scan(data);
    let mut scanner = ChunkScanner::default();
    let mut count = 0;
    let mut failed = false;
    for byte in data {
        match scanner.scan(std::slice::from_ref(byte)) {
            Ok(own) => count += own,
            Err(_) => failed = true,
        }
        if failed || scanner.is_done() {
            break;
        }
    }
    match taken {
        Err(_) => assert!(failed),
        Ok(taken) => {
            assert!(!failed);
            assert_eq!((taken, whole.is_done()), (count, scanner.is_done()));
            assert!(taken == data.len() || whole.is_done());
            if whole.is_done() {
                assert!(data[..taken].ends_with(b"\r\n"));
                assert_eq!(decoded(&data[..taken]), Some(taken));
            }
        }
    }
}

/// A naive decoder: how long a message in chunks is.
fn decoded(message: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        let line = message.get(at..)?;
        let end = line.windows(2).position(|pair| pair == b"\r\n")?;
        let digits = line.iter().take_while(|byte| byte.is_ascii_hexdigit());
        let digits = std::str::from_utf8(&line[..digits.count()]).ok()?;
        let size = usize::from_str_radix(digits, 16).ok()?;
        at += end + 2;
        if size == 0 {
            break;
        }
        at += size + 2;
    }
    loop {
        let line = message.get(at..)?;
        let end = line.windows(2).position(|pair| pair == b"\r\n")?;
        at += end + 2;
        if end == 0 {
            return Some(at);
        }
    }
}
