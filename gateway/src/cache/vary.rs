//! Which requests an answer is for (`Vary`, RFC 9110 §12.5.5, RFC 9111 §4.1).

use http::{HeaderMap, HeaderName, header};
use pingora_cache::{VarianceBuilder, key::HashBinary};

/// Fields that the gateway sets itself and that are part of an object's identity anyway: what a client claims in them never reaches
/// the service.
const IN_THE_KEY: [&str; 4] = [
    "x-forwarded-proto",
    "x-forwarded-host",
    "x-forwarded-port",
    "x-forwarded-prefix",
];
/// Fields that differ from request to request.
const ENDLESS: [&str; 6] = [
    "*",
    "forwarded",
    "x-forwarded-for",
    "x-request-id",
    "traceparent",
    "via",
];

/// Whether no other request could ever be answered with it.
pub(crate) fn is_endless(headers: &HeaderMap) -> bool {
    names(headers).any(|name| {
        ENDLESS
            .iter()
            .any(|endless| name.eq_ignore_ascii_case(endless))
    })
}

/// Hash of what the answer depends on, as the request has it. None when it depends on nothing.
pub(crate) fn variance(response: &HeaderMap, request: &HeaderMap) -> Option<HashBinary> {
    let mut variance = VarianceBuilder::new();
    for name in names(response).filter_map(|name| name.parse::<HeaderName>().ok()) {
        let value = if IN_THE_KEY.contains(&name.as_str()) {
            Vec::new()
        } else {
            normalised(request, &name)
        };
        variance.add_owned_name_value(name.as_str().to_owned(), value);
    }
    variance.finalize()
}

fn names(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    headers
        .get_all(header::VARY)
        .iter()
        // A name that is no text could not be compared; as if it were any field.
        .flat_map(|value| value.to_str().unwrap_or("*").split(','))
        .map(str::trim)
        .filter(|name| !name.is_empty())
}

/// The lines of a field as one, without the blanks that mean nothing. A field that is absent differs from one that is empty.
fn normalised(request: &HeaderMap, name: &HeaderName) -> Vec<u8> {
    let mut value = Vec::new();
    for line in request.get_all(name) {
        for item in line.as_bytes().split(|byte| *byte == b',') {
            value.extend_from_slice(item.trim_ascii());
            value.push(b',');
        }
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(fields: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(*name, value.parse().unwrap());
        }
        headers
    }

    #[test]
    fn only_what_the_answer_names_counts_and_blanks_do_not() {
        let response = headers(&[("vary", "Accept-Language, x-a"), ("vary", "X-A")]);
        let base = variance(&response, &headers(&[("accept-language", "de, en")]));
        assert!(base.is_some());
        for same in [
            headers(&[("accept-language", "de,en")]),
            headers(&[("accept-language", "de"), ("accept-language", "en")]),
            headers(&[("accept-language", " de ,\ten "), ("x-other", "1")]),
        ] {
            assert_eq!(variance(&response, &same), base, "{same:?}");
        }
        for other in [
            headers(&[]),
            headers(&[("accept-language", "en, de")]),
            headers(&[("accept-language", "de, en"), ("x-a", "")]),
        ] {
            assert_ne!(variance(&response, &other), base, "{other:?}");
        }
        assert_eq!(variance(&headers(&[]), &headers(&[("x-a", "1")])), None);
    }

    #[test]
    fn fields_of_the_gateway_do_not_let_clients_choose() {
        let response = headers(&[("vary", "X-Forwarded-Host")]);
        assert_eq!(
            variance(&response, &headers(&[("x-forwarded-host", "evil.test")])),
            variance(&response, &headers(&[])),
        );
        for endless in ["*", "accept, *", "X-Forwarded-For", "Forwarded"] {
            assert!(is_endless(&headers(&[("vary", endless)])), "{endless}");
        }
        assert!(!is_endless(&headers(&[("vary", "accept")])));
    }
}
