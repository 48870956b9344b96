//! The console: one page for people, at `/` for a browser, with its two files below `/console/`. All of it is in the program and
//! nothing is loaded from elsewhere.

use http::{HeaderMap, header};
use service_kit::{
    http::{Call, Response, body},
    problem::Problem,
};

use super::{Answer, Api, Endpoint, insert};

const PAGE: &str = include_str!("../../console/index.html");
const STYLE: &str = include_str!("../../console/console.css");
const SCRIPT: &str = include_str!("../../console/console.js");

/// Only what the catalog itself serves, and nothing inline: a name of a service can never become a script.
const CONTENT_SECURITY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; \
                                base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

impl Api {
    /// `GET /`: the page for a browser, information for a program.
    pub(super) fn front(&self, call: &Call<Endpoint>) -> Response {
        let mut response = if prefers_html(call.request.headers()) {
            file(PAGE, "text/html; charset=utf-8")
        } else {
            self.information()
        };
        insert(&mut response, header::VARY, "accept");
        response
    }

    /// A file of the page.
    pub(super) fn console(&self, call: &Call<Endpoint>) -> Answer {
        match call.params.get("file") {
            "console.css" => Ok(file(STYLE, "text/css; charset=utf-8")),
            "console.js" => Ok(file(SCRIPT, "text/javascript; charset=utf-8")),
            name => Err(Problem::not_found(format!(
                "the console has no file {name}"
            ))),
        }
    }
}

fn file(content: &'static str, content_type: &str) -> Response {
    let mut response = Response::new(body::full(content));
    insert(&mut response, header::CONTENT_TYPE, content_type);
    insert(&mut response, header::CACHE_CONTROL, "no-cache");
    insert(&mut response, header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    insert(&mut response, header::REFERRER_POLICY, "no-referrer");
    insert(
        &mut response,
        header::CONTENT_SECURITY_POLICY,
        CONTENT_SECURITY,
    );
    response
}

/// Whether `text/html` is named and liked more than JSON (RFC 9110, section 12.5.1). `*/*` is what programs send that take anything;
/// they get JSON.
fn prefers_html(headers: &HeaderMap) -> bool {
    let (mut html, mut json) = (0, 0);
    let ranges = headers
        .get_all(header::ACCEPT)
        .iter()
        .filter_map(|value| value.to_str().ok());
    for range in ranges.flat_map(|value| value.split(',')) {
        let mut parts = range.split(';').map(str::trim);
        let liked = match parts
            .next()
            .unwrap_or_default()
            .to_ascii_lowercase()
            .as_str()
        {
            "text/html" => &mut html,
            "application/json" | "application/*" => &mut json,
            _ => continue,
        };
        let weight =
            parts.find_map(|part| part.strip_prefix("q=").or_else(|| part.strip_prefix("Q=")));
        *liked = weight.map_or(1000, per_mille).max(*liked);
    }
    html > json
}

/// A weight of RFC 9110, section 12.4.2, in thousandths; what is none counts as not wanted.
fn per_mille(weight: &str) -> u16 {
    let parsed = weight
        .parse::<f32>()
        .ok()
        .filter(|weight| (0.0..=1.0).contains(weight));
    parsed.map_or(0, |weight| (weight * 1000.0) as u16)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn browsers_get_the_page_and_programs_get_json() {
        let cases = [
            (
                "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
                true,
            ),
            ("text/html", true),
            ("TEXT/HTML; q=0.2, text/plain", true),
            ("*/*", false),
            ("application/json", false),
            ("application/json, text/html;q=0.9", false),
            ("application/json;q=0.5, text/html;q=0.9", true),
            ("application/json, text/html", false),
            ("text/html;q=0", false),
            ("text/html;q=none", false),
            ("", false),
        ];
        for (accept, expected) in cases {
            let headers =
                HeaderMap::from_iter([(header::ACCEPT, HeaderValue::from_static(accept))]);
            assert_eq!(prefers_html(&headers), expected, "{accept}");
        }
        assert!(!prefers_html(&HeaderMap::new()));
    }
}
