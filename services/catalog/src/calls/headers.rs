//! What of the headers goes on, in both directions (RFC 9110 §7.6).

use std::net::SocketAddr;

use catalog_api::{InstanceId, Service};
use http::{
    HeaderMap, HeaderName, HeaderValue, Version,
    header::{self, Entry},
    request, response,
};
use service_kit::{http::RequestId, secret::Secret};

/// Our name in `Via`.
const PSEUDONYM: &str = "service-catalog";

/// Fields that belong to one connection, besides those that `Connection` names.
const HOP_BY_HOP: [HeaderName; 9] = [
    header::CONNECTION,
    HeaderName::from_static("proxy-connection"),
    HeaderName::from_static("keep-alive"),
    header::TE,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    header::PROXY_AUTHORIZATION,
    header::PROXY_AUTHENTICATE,
    HeaderName::from_static("http2-settings"),
];

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Says in an answer who gave it.
const X_CATALOG_INSTANCE: HeaderName = HeaderName::from_static("x-catalog-instance");

/// How often a request came through a catalog.
pub(super) fn hops(headers: &HeaderMap) -> usize {
    headers
        .get_all(header::VIA)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter(|hop| hop.split_whitespace().any(|word| word == PSEUDONYM))
        .count()
}

/// The header of the request to an instance. `Host` is missing, because it is the instance's address.
pub(super) fn for_instance(
    request: &request::Parts,
    peer: SocketAddr,
    request_id: &RequestId,
    token: &Secret,
) -> HeaderMap {
    let mut headers = request.headers.clone();
    strip(&mut headers);
    // hyper told the caller to continue when the body was read for the first time.
    headers.remove(header::EXPECT);
    withhold(&mut headers, token);
    join_cookies(&mut headers);

    let host = headers.remove(header::HOST);
    let authority = || {
        let authority = request.uri.authority()?;
        HeaderValue::from_str(authority.as_str()).ok()
    };
    if let Entry::Vacant(vacant) = headers.entry(X_FORWARDED_HOST)
        && let Some(host) = host.or_else(authority)
    {
        vacant.insert(host);
    }
    headers
        .entry(X_FORWARDED_PROTO)
        .or_insert(HeaderValue::from_static("http"));
    append(&mut headers, X_FORWARDED_FOR, &peer.ip().to_string());
    headers.insert(X_REQUEST_ID, request_id.header());
    via(&mut headers, request.version);
    headers
}

/// Makes the header of an instance's answer one of ours.
pub(super) fn for_caller(response: &mut response::Parts, service: &Service, instance: &InstanceId) {
    let version = response.version;
    strip(&mut response.headers);
    via(&mut response.headers, version);
    let who = format!("{}/{instance}", service.name);
    if let Ok(value) = HeaderValue::from_str(&who) {
        response.headers.insert(X_CATALOG_INSTANCE, value);
    }
}

fn strip(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(header::CONNECTION)
        .iter()
        .flat_map(|value| value.as_bytes().split(|byte| *byte == b','))
        .filter_map(|name| HeaderName::from_bytes(name.trim_ascii()).ok())
        .collect();
    for name in named.iter().chain(&HOP_BY_HOP) {
        headers.remove(name);
    }
}

/// Takes the catalog's own token out, in whatever form it stands there. Credentials for the service itself pass.
fn withhold(headers: &mut HeaderMap, token: &Secret) {
    let length = token.expose().len();
    let is_ours = headers.get_all(header::AUTHORIZATION).iter().any(|value| {
        let mut windows = value.as_bytes().windows(length.max(1));
        windows.any(|window| token.matches(window))
    });
    if is_ours {
        headers.remove(header::AUTHORIZATION);
    }
}

/// HTTP/2 may split cookies into several fields, which HTTP/1.1 does not know (RFC 9113 §8.2.3).
fn join_cookies(headers: &mut HeaderMap) {
    let cookies: Vec<&[u8]> = headers
        .get_all(header::COOKIE)
        .iter()
        .map(HeaderValue::as_bytes)
        .collect();
    if cookies.len() > 1
        && let Ok(joined) = HeaderValue::from_bytes(&cookies.join(&b"; "[..]))
    {
        headers.insert(header::COOKIE, joined);
    }
}

fn via(headers: &mut HeaderMap, received: Version) {
    let version = match received {
        Version::HTTP_10 => "1.0",
        Version::HTTP_2 => "2",
        _ => "1.1",
    };
    append(headers, header::VIA, &format!("{version} {PSEUDONYM}"));
}

/// Adds an element to a list field, as one line: not every reader joins several.
fn append(headers: &mut HeaderMap, name: HeaderName, element: &str) {
    let mut list: Vec<u8> = Vec::new();
    for value in headers.get_all(&name) {
        list.extend_from_slice(value.as_bytes());
        list.extend_from_slice(b", ");
    }
    list.extend_from_slice(element.as_bytes());
    if let Ok(value) = HeaderValue::from_bytes(&list) {
        headers.insert(name, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passed(fields: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut request = http::Request::builder().uri("/");
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        let (parts, ()) = request.body(()).unwrap().into_parts();
        let token = Secret::new("s3cr3t".to_owned());
        for_instance(
            &parts,
            "10.0.0.9:1234".parse().unwrap(),
            &RequestId::random(),
            &token,
        )
    }

    #[test]
    fn what_belongs_to_the_connection_stays_behind() {
        let headers = passed(&[
            ("connection", "close, X-Secret ,te"),
            ("connection", "x-other"),
            ("x-secret", "1"),
            ("x-other", "1"),
            ("keep-alive", "5"),
            ("te", "trailers"),
            ("upgrade", "websocket"),
            ("proxy-authorization", "Basic eA=="),
            ("expect", "100-continue"),
            ("x-kept", "1"),
            ("host", "catalog:5001"),
        ]);
        let mut names: Vec<_> = headers.keys().map(HeaderName::as_str).collect();
        names.sort_unstable();
        assert_eq!(
            names,
            [
                "via",
                "x-forwarded-for",
                "x-forwarded-host",
                "x-forwarded-proto",
                "x-kept",
                "x-request-id"
            ]
        );
    }

    #[test]
    fn the_catalogs_token_stays_behind_and_others_pass() {
        for ours in [
            "Bearer s3cr3t",
            "bearer  s3cr3t",
            "Bearer x, Bearer s3cr3t",
            "s3cr3t",
            "Token token=\"s3cr3t\"",
        ] {
            let headers = passed(&[("authorization", "Basic eA=="), ("authorization", ours)]);
            assert!(headers.get("authorization").is_none(), "{ours}");
        }
        let headers = passed(&[("authorization", "Bearer s3cr3")]);
        assert_eq!(headers["authorization"], "Bearer s3cr3");
    }

    #[test]
    fn lists_grow_and_cookies_are_one() {
        let headers = passed(&[
            ("x-forwarded-for", "1.2.3.4"),
            ("x-forwarded-host", "example.org"),
            ("x-forwarded-proto", "https"),
            ("via", "1.1 gateway"),
            ("cookie", "a=1"),
            ("cookie", "b=2"),
        ]);
        assert_eq!(headers["x-forwarded-for"], "1.2.3.4, 10.0.0.9");
        assert_eq!(headers["x-forwarded-host"], "example.org");
        assert_eq!(headers["x-forwarded-proto"], "https");
        assert_eq!(headers["via"], "1.1 gateway, 1.1 service-catalog");
        assert_eq!(headers["cookie"], "a=1; b=2");
        assert_eq!(hops(&headers), 1);
    }
}
