//! The way in for fuzzing: every parser of the gateway that reads what others send, as a function of arbitrary bytes that panics when
//! a property does not hold. The targets in `gateway/fuzz` feed them for as long as one likes (`make fuzz`), the test below for a moment
//! in every test run. Built with `--cfg fuzzing` and for tests only.

pub use crate::{
    cache::properties::cache_directives,
    catalog::properties::stream_events,
    downstream::properties::{chunks, heads},
    files::properties::{accept_encoding, file_names, ranges},
    proxy::properties::{answers, forwarded, networks},
    route::properties::hosts_and_paths,
};

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    /// Strings of pieces that the parser cares about, with arbitrary bytes between.
    fn pieces(words: &'static [&'static str]) -> impl Strategy<Value = Vec<u8>> {
        let piece = prop_oneof![
            12 => prop::sample::select(words).prop_map(|word| word.as_bytes().to_vec()),
            2 => prop::collection::vec(any::<u8>(), 0..3),
            2 => "[0-9a-fA-F.:/ ]{0,4}".prop_map(String::into_bytes),
        ];
        prop::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat())
    }

    macro_rules! hold {
        ($($target:ident: $words:expr;)*) => {
            proptest! {
                #![proptest_config(ProptestConfig::with_cases(1024))]
                $(
                    #[test]
                    fn $target(data in pieces(&$words)) {
                        super::$target(&data);
                    }
                )*
            }
        };
    }

    hold! {
        heads: [
            "GET ", "POST / HTTP/1.1\r\n", "GET / HTTP/1.1\r\nHost: a\r\n", "OPTIONS * HTTP/1.0\r\n", "http://a/", " HTTP/1.1\r\n",
            "Host: a\r\n", "Content-Length: 5\r\n", "Transfer-Encoding: chunked\r\n", "Upgrade: websocket\r\n", "x: y\r\n", "\r\n",
            "\r\n\r\n", "\n", "\r", " ", ":", "\t", "a",
        ];
        chunks: ["0\r\n\r\n", "1\r\na\r\n", "5\r\n", "0\r\n", "\r\n", "a: b\r\n", ";x=y", "\"", "\n", " ", "F", "00"];
        answers: [
            "HTTP/1.1 200 OK\r\n", "HTTP/1.0 200\r\n", "HTTP/1.1 304 Not Modified\r\n", "HTTP/1.1 103 Early\r\n", "Content-Length: 5\r\n",
            "Content-Length: 5, 5\r\n", "Transfer-Encoding: chunked\r\n", "Transfer-Encoding: gzip\r\n", "Connection: close, a\r\n",
            "a : b\r\n", "A: b\r\n c\r\n", "Date: x\r\n", "\r\n", "\r\n\r\n", "\n", " ", ":", "5",
        ];
        cache_directives: [
            "max-age", "=", "\"", ",", "no-cache", "private", "s-maxage=1", "\\", " ", "60", "stale-if-error=9", "set-cookie",
        ];
        ranges: ["\u{a}", "bytes", "=", "-", "0", "5", "99999999999999999999999", ",", " ", "B"];
        accept_encoding: ["gzip", "br", "zstd", "*", ";q=", "0", "1", ".5", ",", " ", "identity", "x-gzip"];
        file_names: ["/", "..", ".", "%2e", "%2f", "%5c", "%00", "a", ".well-known", "\\", "%"];
        forwarded: ["10.0.0.2", "2.2.2.2", ", ", ":80", "[", "]", "2001:db8::1", "::ffff:10.0.0.9", "https", "x", " "];
        networks: ["10.0.0.0", "/", "8", "::", "1", "2001:db8", "32", "0.0.0.0", "+", "33"];
        hosts_and_paths: ["/", "..", ".", "%2e", "%", "a", "A.b", ":80", "[::1]", "@", "%41", "%2F", "*", "//"];
        stream_events: [
            "event: service\n", "event: snapshot\n", "event: deleted\n", "id: 7\n", "data: ", "{\"id\":3,\"name\":\"a\",\"revision\":7}",
            "\n\n", "{\"revision\":9,\"services\":[", "]}", "{", "}", "\r\n", ":",
        ];
    }
}
