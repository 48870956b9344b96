//! The request that an operator asks about, out of the query of `/explain`.

use std::{fmt::Write as _, net::SocketAddr};

use http::HeaderName;
use service_kit::problem::Problem;

/// A request as a client would send it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// Method of the request line.
    pub method: String,
    /// Value of the `Host` field; empty = no host in particular.
    pub host: String,
    /// Target of the request: a path, with a query or without.
    pub path: String,
    /// Further fields, in their order.
    pub headers: Vec<(String, String)>,
    /// The other end of the connection.
    pub client: SocketAddr,
    /// Name of the listener; none = the one for clients.
    pub listener: Option<String>,
}

/// Names of the parameters.
const PARAMETERS: [&str; 6] = ["method", "host", "path", "header", "client", "listener"];

// === impl Question ===

impl Question {
    /// Reads the parameters of a query.
    ///
    /// # Errors
    /// A 400 that names the parameter and what it takes.
    pub fn parse(parameters: Vec<(String, String)>) -> Result<Self, Problem> {
        let mut question = Self::default();
        let mut seen = Vec::new();
        for (name, value) in parameters {
            let Some(known) = PARAMETERS.into_iter().find(|known| *known == name) else {
                let known = PARAMETERS.join(", ");
                return Err(bad(format!(
                    "there is no parameter {name:?}; use some of: {known}"
                )));
            };
            if known != "header" && seen.contains(&known) {
                return Err(bad(format!("{known} is there twice; send it once")));
            }
            if value.contains(['\r', '\n', '\0']) {
                return Err(bad(format!("{known} must not have line ends in it")));
            }
            question.take(known, value)?;
            seen.push(known);
        }
        Ok(question)
    }

    fn take(&mut self, name: &'static str, value: String) -> Result<(), Problem> {
        match name {
            "method" => self.method = value,
            "host" => self.host = value,
            "path" => self.path = value,
            "listener" => self.listener = Some(value),
            "client" => {
                self.client = address(&value).ok_or_else(|| {
                    bad("client takes an address, for example 192.0.2.7".to_owned())
                })?;
            }
            _ => self.headers.push(field(&value).ok_or_else(|| {
                bad("header takes name:value, for example header=x-beta:1".to_owned())
            })?),
        }
        Ok(())
    }

    /// The head of the request in HTTP/1.1.
    pub(super) fn head(&self) -> String {
        let Self { method, path, .. } = self;
        let mut head = format!("{method} {path} HTTP/1.1\r\n");
        for (name, value) in self.fields() {
            // Writing into a string never fails.
            let _ = write!(head, "{name}: {value}\r\n");
        }
        head + "\r\n"
    }

    /// Every field, the host's first. One that is given as a header stands for the parameter, unless both are there.
    pub(super) fn fields(&self) -> impl Iterator<Item = (&str, &str)> {
        let others = || {
            let fields = self.headers.iter();
            fields.map(|(name, value)| (name.as_str(), value.as_str()))
        };
        let stands_for_host =
            self.host.is_empty() && others().any(|(name, _)| name.eq_ignore_ascii_case("host"));
        let host = (!stands_for_host).then_some(("host", self.host.as_str()));
        host.into_iter().chain(others())
    }
}

impl Default for Question {
    fn default() -> Self {
        Self {
            method: "GET".to_owned(),
            host: String::new(),
            path: "/".to_owned(),
            headers: Vec::new(),
            client: SocketAddr::from(([127, 0, 0, 1], 0)),
            listener: None,
        }
    }
}

fn bad(detail: String) -> Problem {
    Problem::bad_request(detail)
}

/// An address, with a port or without.
fn address(text: &str) -> Option<SocketAddr> {
    let alone = || Some(SocketAddr::new(text.parse().ok()?, 0));
    text.parse().ok().or_else(alone)
}

fn field(text: &str) -> Option<(String, String)> {
    let (name, value) = text.split_once(':')?;
    let name: HeaderName = name.parse().ok()?;
    Some((name.to_string(), value.trim().to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(parameters: &[(&str, &str)]) -> Result<Question, Problem> {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        Question::parse(parameters.iter().map(owned).collect())
    }

    #[test]
    fn a_question_is_a_request() {
        let question = parse(&[
            ("method", "POST"),
            ("host", "example.org"),
            ("path", "/a?b=c"),
            ("header", "X-A: 1"),
            ("header", "x-a:2"),
            ("client", "192.0.2.7"),
        ])
        .unwrap();
        assert_eq!(
            question.head(),
            "POST /a?b=c HTTP/1.1\r\nhost: example.org\r\nx-a: 1\r\nx-a: 2\r\n\r\n"
        );
        assert_eq!(question.client, "192.0.2.7:0".parse().unwrap());
        assert_eq!(
            parse(&[]).unwrap().head(),
            "GET / HTTP/1.1\r\nhost: \r\n\r\n"
        );
        let host = parse(&[("header", "Host: a")]).unwrap().head();
        assert_eq!(host, "GET / HTTP/1.1\r\nhost: a\r\n\r\n");
    }

    #[test]
    fn mistakes_are_named() {
        for (parameters, part) in [
            (&[("hots", "a")][..], "use some of: method, host"),
            (&[("path", "/"), ("path", "/a")], "path is there twice"),
            (&[("client", "somewhere")], "192.0.2.7"),
            (&[("header", "x-beta")], "name:value"),
            (&[("header", "x y:1")], "name:value"),
            (&[("path", "/a\r\nx: y")], "line ends"),
        ] {
            let problem = parse(parameters).unwrap_err();
            assert_eq!(problem.status().as_u16(), 400);
            assert!(problem.to_string().contains(part), "{problem}");
        }
    }
}
