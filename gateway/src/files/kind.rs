//! What a file is, by its name.

/// Type of content.
#[derive(Debug)]
pub(super) struct Kind {
    pub(super) content_type: String,
    pub(super) is_compressible: bool,
}

/// Hexadecimal digits from which on a part of a name is taken for the hash of the content.
const HASH_DIGITS_MIN: usize = 8;
/// For names that change with the content.
const IMMUTABLE: &str = "public, max-age=31536000, immutable";
/// For others: they may be kept, and are asked for again with their `ETag`.
const REVALIDATED: &str = "no-cache";

pub(super) fn of(name: &str) -> Kind {
    let essence = mime_guess::from_path(name).first_or_octet_stream();
    let essence = essence.essence_str();
    let is_text = essence.starts_with("text/");
    let is_compressible = is_text
        || ["+json", "+xml"].iter().any(|end| essence.ends_with(end))
        || [
            "application/json",
            "application/javascript",
            "application/xml",
            "application/wasm",
            "image/bmp",
            "font/ttf",
            "font/otf",
        ]
        .contains(&essence);
    Kind {
        content_type: if is_text {
            format!("{essence}; charset=utf-8")
        } else {
            essence.to_owned()
        },
        is_compressible,
    }
}

/// How long clients may keep it. A hash stands after the first part of a name (`app.3f2a9c1b.js`, `app-3f2a9c1b.js`) and has letters and
/// digits, so that neither words nor dates are taken for one.
pub(super) fn cache_control(path: &str) -> &'static str {
    let name = path.rsplit('/').next().unwrap_or_default();
    let is_hash = |part: &str| {
        part.len() >= HASH_DIGITS_MIN
            && part.bytes().all(|byte| byte.is_ascii_hexdigit())
            && part.bytes().any(|byte| byte.is_ascii_digit())
            && part.bytes().any(|byte| byte.is_ascii_alphabetic())
    };
    if name.split(['.', '-', '_']).skip(1).any(is_hash) {
        IMMUTABLE
    } else {
        REVALIDATED
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_hashes_make_names_immutable() {
        for hashed in [
            "app.3f2a9c1b.js",
            "a/app-3F2A9C1B0d.min.css",
            "img_0a1b2c3d4e5f.png",
        ] {
            assert_eq!(cache_control(hashed), IMMUTABLE, "{hashed}");
        }
        for plain in [
            "app.js",
            "3f2a9c1b.js",
            "photo-20240131.jpg",
            "jquery-3.7.1.min.js",
            "x-facade.js",
            "3f2a9c1b/app.js",
            "app-component2000.js",
        ] {
            assert_eq!(cache_control(plain), REVALIDATED, "{plain}");
        }
    }

    #[test]
    fn types_are_known_by_the_name() {
        for (name, expected, compressible) in [
            ("a.html", "text/html; charset=utf-8", true),
            ("a.js", "text/javascript; charset=utf-8", true),
            ("a.svg", "image/svg+xml", true),
            ("a.png", "image/png", false),
            ("a.woff2", "font/woff2", false),
            ("a", "application/octet-stream", false),
        ] {
            let kind = of(name);
            assert_eq!(
                (kind.content_type.as_str(), kind.is_compressible),
                (expected, compressible)
            );
        }
    }
}
