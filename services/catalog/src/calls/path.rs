//! The path at an instance: what follows `/services/call/{id}`, made harmless.
//!
//! Host and port never come from here, so no path leads to another host. Dot segments are resolved all the same, because what the
//! instance behind a proxy resolves is not what the proxy saw; and a path never begins with `//`, which some take for a host.
//! Encoded slashes stay encoded: they are part of a segment, and the service's to understand.

use http::uri::PathAndQuery;
use percent_encoding::percent_decode_str;

/// Path and query for the instance from the rest of the path, which begins after the service with or without a slash. None when
/// they make no request target.
pub(crate) fn target(rest: &str, query: Option<&str>) -> Option<PathAndQuery> {
    let mut segments: Vec<&str> = Vec::new();
    let mut ends_open = false;
    for segment in rest.trim_start_matches(['/', '\\']).split('/') {
        let decoded = percent_decode_str(segment);
        ends_open = match decoded.decode_utf8_lossy().as_ref() {
            "." => true,
            ".." => {
                segments.pop();
                true
            }
            _ => {
                segments.push(segment);
                false
            }
        };
    }
    // Resolving may have brought empty segments to the front.
    let first = segments.iter().position(|segment| !segment.is_empty());
    let path = segments
        .split_off(first.unwrap_or(segments.len()))
        .join("/");
    let mut target = format!("/{path}").replace('\\', "%5C");
    if ends_open && !target.ends_with('/') {
        target.push('/');
    }
    if let Some(query) = query {
        target.push('?');
        target.push_str(query);
    }
    target.parse().ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn paths_are_resolved_within_the_instance() {
        for (rest, expected) in [
            ("", "/"),
            ("/", "/"),
            ("name", "/name"),
            ("/names/5", "/names/5"),
            ("a/", "/a/"),
            ("a//b", "/a//b"),
            ("//evil.example/x", "/evil.example/x"),
            ("http://evil.example/x", "/http://evil.example/x"),
            ("../../etc", "/etc"),
            ("a/../../../b", "/b"),
            ("a/%2e%2E/b", "/b"),
            ("a/./b/.", "/a/b/"),
            ("a/b/..", "/a/"),
            ("a/..//evil.example", "/evil.example"),
            ("..", "/"),
            ("%2F%2Fevil.example", "/%2F%2Fevil.example"),
            ("\\\\evil.example", "/evil.example"),
            ("a\\b", "/a%5Cb"),
            ("a%20b%5c", "/a%20b%5c"),
            ("user@evil.example", "/user@evil.example"),
        ] {
            assert_eq!(target(rest, None).unwrap().as_str(), expected, "{rest}");
        }
        assert_eq!(
            target("a", Some("x=../..&y")).unwrap().as_str(),
            "/a?x=../..&y"
        );
        assert_eq!(target("a", Some("")).unwrap().as_str(), "/a?");
        assert!(target("a b", None).is_none());
    }

    proptest! {
        #[test]
        fn no_path_leaves_its_root(rest in "[a-c./\\\\%2eEfF:@]{0,24}") {
            if let Some(target) = target(&rest, None) {
                let path = target.path();
                prop_assert!(path.starts_with('/') && !path.starts_with("//"), "{path}");
                prop_assert!(!path.contains('\\'), "{path}");
                for segment in path.split('/') {
                    let decoded = percent_decode_str(segment).decode_utf8_lossy().into_owned();
                    prop_assert!(decoded != "." && decoded != "..", "{path}");
                }
            }
        }
    }
}
