//! Names of files out of the path of a request.

use percent_encoding::percent_decode_str;

/// Folders that begin with a dot and are meant for everybody (RFC 8615).
const WELL_KNOWN: &str = ".well-known";

/// The names of a normalised path. None when one of them cannot be the name of a file that is served: no text, a separator or a control
/// character in it, or a dot at its beginning (`..`, `.git`, `.env`).
pub(super) fn parse(path: &str) -> Option<Vec<String>> {
    path.split('/')
        .filter(|segment| !segment.is_empty())
        .map(|segment| {
            let name = percent_decode_str(segment).decode_utf8().ok()?;
            let is_odd = |c: char| c == '/' || c == '\\' || c.is_control();
            let is_hidden = name.starts_with('.') && name != WELL_KNOWN;
            (!name.contains(is_odd) && !is_hidden).then(|| name.into_owned())
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_are_decoded_once_and_odd_ones_are_none() {
        let names = |path| parse(path).map(|names| names.join("|"));
        assert_eq!(names("/a/b%20c/d").as_deref(), Some("a|b c|d"));
        assert_eq!(names("//a///b/").as_deref(), Some("a|b"));
        assert_eq!(names("/%2561").as_deref(), Some("%61"));
        assert_eq!(names("/.well-known/x").as_deref(), Some(".well-known|x"));
        for odd in [
            "/..",
            "/%2e%2e/x",
            "/a%2fb",
            "/a%5cb",
            "/a\\b",
            "/a%00b",
            "/a%0ab",
            "/.git/config",
            "/%2egit",
            "/%ff",
            "/...",
        ] {
            assert_eq!(names(odd), None, "{odd}");
        }
    }

    proptest! {
        #[test]
        fn no_name_is_a_way_out(path in "(/|%2f|%2e|%5c|%00|\\.|\\\\|[a-c]|%25|%){0,24}") {
            for name in parse(&format!("/{path}")).unwrap_or_default() {
                prop_assert!(!name.is_empty() && !name.starts_with("..") && name != ".");
                prop_assert!(!name.contains(['/', '\\', '\0']));
            }
        }
    }
}
