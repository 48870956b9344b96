//! From a path to the endpoint it belongs to: few names for many paths, and none of what a caller put into his.

/// Segments that are kept; deeper paths are one endpoint.
const SEGMENTS_MAX: usize = 4;

/// Longest segment that is taken for a word.
const WORD_BYTES_MAX: usize = 32;

/// From this length on, a segment of digits and a to f is taken for a hash and not for a word.
const HASH_BYTES_MIN: usize = 16;

/// The endpoint of a path: `/names/5` is `/names/{n}`.
pub(crate) fn endpoint(path: &str) -> String {
    let mut endpoint = String::new();
    let segments = path.split('/').filter(|segment| !segment.is_empty());
    for (index, segment) in segments.enumerate() {
        if index == SEGMENTS_MAX {
            endpoint.push_str("/…");
            break;
        }
        endpoint.push('/');
        endpoint.push_str(template(segment));
    }
    if endpoint.is_empty() {
        endpoint.push('/');
    }
    endpoint
}

fn template(segment: &str) -> &str {
    let is_number = segment.bytes().all(|byte| byte.is_ascii_digit());
    let is_hash = segment.len() >= HASH_BYTES_MIN
        && segment
            .bytes()
            .all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
    let is_word = segment.len() <= WORD_BYTES_MAX
        && segment
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-_.~:".contains(&byte));
    match segment {
        _ if is_number => "{n}",
        _ if is_hash || !is_word => "{id}",
        word => word,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_become_templates() {
        for (path, expected) in [
            ("/", "/"),
            ("", "/"),
            ("/name", "/name"),
            ("/names/5", "/names/{n}"),
            ("/users/7/orders/12", "/users/{n}/orders/{n}"),
            ("/a/b/c/d/e/f", "/a/b/c/d/…"),
            ("/a//b/", "/a/b"),
            ("/x/123e4567-e89b-12d3-a456-426614174000", "/x/{id}"),
            ("/x/0123456789abcdef", "/x/{id}"),
            ("/x/deadbeef", "/x/deadbeef"),
            ("/mail/a%40example.org", "/mail/{id}"),
            ("/v1/file.json", "/v1/file.json"),
        ] {
            assert_eq!(endpoint(path), expected, "{path}");
        }
        assert_eq!(endpoint(&format!("/{}", "x".repeat(33))), "/{id}");
    }
}
