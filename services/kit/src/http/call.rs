//! One request on its way to the application.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use http::Request;
use http::header::AUTHORIZATION;
use hyper::body::Incoming;
use percent_encoding::percent_decode_str;

use super::{PathParams, RequestId};
use crate::problem::Problem;

/// Parameters in one query.
const QUERY_PARAMETERS_MAX: usize = 64;

/// A request that found its endpoint.
#[derive(Debug)]
pub struct Call<E> {
    /// Which route.
    pub endpoint: E,
    /// Its parameters.
    pub params: PathParams,
    /// The request, its body unread.
    pub request: Request<Incoming>,
    /// The other end of the connection, which may be a proxy.
    pub peer: SocketAddr,
    /// Id of the request, the caller's own or a new one.
    pub request_id: RequestId,
}

impl<E> Call<E> {
    /// Parameters of the query, decoded as HTML forms encode them (`+` is a space).
    ///
    /// # Errors
    ///
    /// A 400 when a name occurs twice (which of them counts would be a guess), when something is not UTF-8, or when
    /// there are more than 64.
    pub fn query(&self) -> Result<BTreeMap<String, String>, Problem> {
        parse_query(self.request.uri().query().unwrap_or_default())
    }

    /// The same in the order of the query, for endpoints that take a parameter several times.
    ///
    /// # Errors
    ///
    /// A 400 when something is not UTF-8, or when there are more than 64.
    pub fn query_pairs(&self) -> Result<Vec<(String, String)>, Problem> {
        parse_pairs(self.request.uri().query().unwrap_or_default())
    }

    /// Token of `Authorization: Bearer …` (RFC 6750).
    pub fn bearer(&self) -> Option<&str> {
        let value = self.request.headers().get(AUTHORIZATION)?.to_str().ok()?;
        let (scheme, token) = value.split_once(' ')?;
        let token = token.trim();
        (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
    }
}

pub(super) fn parse_query(query: &str) -> Result<BTreeMap<String, String>, Problem> {
    let mut parameters = BTreeMap::new();
    for (name, value) in parse_pairs(query)? {
        if parameters.contains_key(&name) {
            let detail = format!("the query has {name:?} twice; send it once");
            return Err(Problem::bad_request(detail));
        }
        parameters.insert(name, value);
    }
    Ok(parameters)
}

pub(super) fn parse_pairs(query: &str) -> Result<Vec<(String, String)>, Problem> {
    let mut pairs = Vec::new();
    for part in query.split('&').filter(|part| !part.is_empty()) {
        let (name, value) = part.split_once('=').unwrap_or((part, ""));
        if pairs.len() == QUERY_PARAMETERS_MAX {
            let detail = format!("the query has more than {QUERY_PARAMETERS_MAX} parameters");
            return Err(Problem::bad_request(detail));
        }
        pairs.push((decode(name)?, decode(value)?));
    }
    Ok(pairs)
}

fn decode(text: &str) -> Result<String, Problem> {
    let spaced = text.replace('+', " ");
    match percent_decode_str(&spaced).decode_utf8() {
        Ok(decoded) => Ok(decoded.into_owned()),
        Err(_) => Err(Problem::bad_request(
            "the query is not UTF-8 after percent-decoding; encode it as UTF-8",
        )),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_query_is_decoded_as_a_form() {
        let parameters = parse_query("seed=1&name=a+b%2Bc&&flag&q=%D0%AF=").unwrap();
        let expected = [("flag", ""), ("name", "a b+c"), ("q", "Я="), ("seed", "1")];
        let found: Vec<_> = parameters
            .iter()
            .map(|(n, v)| (n.as_str(), v.as_str()))
            .collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn ambiguous_undecodable_and_endless_queries_are_refused() {
        let many: String = (0..=QUERY_PARAMETERS_MAX)
            .map(|n| format!("p{n}=&"))
            .collect();
        for (query, part) in [
            ("a=1&%61=2", "twice"),
            ("a=%ff", "UTF-8"),
            (many.as_str(), "more than"),
        ] {
            let problem = parse_query(query).unwrap_err();
            assert_eq!(problem.status().as_u16(), 400);
            assert!(problem.to_string().contains(part), "{problem}");
        }
    }

    proptest! {
        #[test]
        fn what_was_encoded_is_found_again(name in "\\PC{1,8}", value in "\\PC{0,8}") {
            let encode = |text: &str| percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string();
            let parameters = parse_query(&format!("{}={}", encode(&name), encode(&value))).unwrap();
            prop_assert_eq!(parameters.get(&name), Some(&value));
        }
    }
}
