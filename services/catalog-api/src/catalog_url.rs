//! Where the replicas of the catalog are, parsed once so that building a request cannot fail later.

use std::{fmt, str::FromStr};

use http::Uri;

/// Base of one catalog replica, such as `http://catalog:5001`. A path in front of the catalog's own is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CatalogUrl {
    /// Host as in the URL, without brackets.
    host: String,
    port: u16,
    /// Scheme, authority and path without the last slash.
    base: String,
}

/// One or more replicas of one catalog, at most [`CATALOG_URLS_MAX`]. Written as a comma-separated list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CatalogUrls(Vec<CatalogUrl>);

/// Most replicas in a list: a round of attempts visits each once, and has to end well within a lease.
pub const CATALOG_URLS_MAX: usize = 16;

/// Why a text names no catalog.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CatalogUrlError {
    /// Not a URL with scheme and host.
    #[error("{0:?} is not a URL; write http://host:port")]
    Syntax(String),
    /// Another scheme than http. The catalog speaks plain HTTP; a silent downgrade of https would be worse than this error.
    #[error("{0:?} is not http; the catalog is reached as http://host:port")]
    Scheme(String),
    /// A user or password in the URL. Not repeated in the message, because it may be a secret.
    #[error("a catalog URL must not contain a user or password; put the token in CATALOG_TOKEN")]
    UserInfo,
    /// A query would be lost.
    #[error("{0:?} has a query; write http://host:port")]
    Query(String),
    /// None, or more than fit.
    #[error("must be 1 to {CATALOG_URLS_MAX} catalog URLs, not {0}")]
    Count(usize),
}

const HTTP_PORT: u16 = 80;

// === impl CatalogUrl ===

impl CatalogUrl {
    /// The host, without the brackets of an IPv6 address.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port, 80 when the URL names none.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The URL of `path` (absolute) on this replica.
    pub fn join(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }
}

impl FromStr for CatalogUrl {
    type Err = CatalogUrlError;

    fn from_str(text: &str) -> Result<Self, CatalogUrlError> {
        if text.contains('@') {
            return Err(CatalogUrlError::UserInfo);
        }
        let syntax = || CatalogUrlError::Syntax(text.to_owned());
        let uri: Uri = text.parse().map_err(|_| syntax())?;
        let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
            return Err(syntax());
        };
        if scheme != "http" {
            return Err(CatalogUrlError::Scheme(text.to_owned()));
        }
        if uri.query().is_some() {
            return Err(CatalogUrlError::Query(text.to_owned()));
        }
        let host = authority.host().trim_matches(['[', ']']);
        // `Authority` takes a port that does not fit and then says that there is none.
        let names_port = authority.as_str().len() > authority.host().len();
        let port = match authority.port_u16() {
            Some(port @ 1..) => port,
            None if !names_port => HTTP_PORT,
            _ => return Err(syntax()),
        };
        if host.is_empty() {
            return Err(syntax());
        }
        Ok(Self {
            host: host.to_owned(),
            port,
            base: format!("http://{authority}{}", uri.path().trim_end_matches('/')),
        })
    }
}

impl fmt::Display for CatalogUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.base)
    }
}

// === impl CatalogUrls ===

impl CatalogUrls {
    /// The replicas, in the order they were given; at least one.
    pub fn as_slice(&self) -> &[CatalogUrl] {
        &self.0
    }
}

impl TryFrom<Vec<CatalogUrl>> for CatalogUrls {
    type Error = CatalogUrlError;

    fn try_from(urls: Vec<CatalogUrl>) -> Result<Self, CatalogUrlError> {
        match urls.len() {
            1..=CATALOG_URLS_MAX => Ok(Self(urls)),
            count => Err(CatalogUrlError::Count(count)),
        }
    }
}

impl From<CatalogUrl> for CatalogUrls {
    fn from(url: CatalogUrl) -> Self {
        Self(vec![url])
    }
}

impl FromStr for CatalogUrls {
    type Err = CatalogUrlError;

    fn from_str(text: &str) -> Result<Self, CatalogUrlError> {
        text.split(',')
            .map(|url| url.trim().parse())
            .collect::<Result<Vec<CatalogUrl>, _>>()?
            .try_into()
    }
}

impl fmt::Display for CatalogUrls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, url) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str(",")?;
            }
            url.fmt(f)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_list_is_read_and_paths_are_joined() {
        let urls: CatalogUrls = "http://a:5001, http://[::1]:7/base/,http://b"
            .parse()
            .unwrap();
        let [a, v6, b] = urls.as_slice() else {
            panic!("{urls}")
        };
        assert_eq!(a.join("/services"), "http://a:5001/services");
        assert_eq!(v6.join("/services"), "http://[::1]:7/base/services");
        assert_eq!((v6.host(), v6.port()), ("::1", 7));
        assert_eq!((b.host(), b.port()), ("b", 80));
        assert_eq!(
            urls.to_string(),
            "http://a:5001,http://[::1]:7/base,http://b"
        );
    }

    #[test]
    fn what_is_refused_says_what_to_write() {
        for (text, part) in [
            ("", "http://host:port"),
            ("catalog:5001", "http://host:port"),
            ("/services", "http://host:port"),
            ("https://catalog:5001", "not http"),
            ("http://catalog:99999", "not a URL"),
            ("http://catalog:0", "not a URL"),
            ("http://catalog:", "not a URL"),
            ("http://catalog?x=1", "query"),
            ("http://a,,http://b", "not a URL"),
            ("http://me:hunter2@catalog", "CATALOG_TOKEN"),
        ] {
            let error = text.parse::<CatalogUrls>().unwrap_err().to_string();
            assert!(error.contains(part), "{text}: {error}");
            assert!(!error.contains("hunter2"), "{error}");
        }
        let many = vec!["http://a"; CATALOG_URLS_MAX + 1].join(",");
        let error = many.parse::<CatalogUrls>().unwrap_err();
        assert_eq!(error, CatalogUrlError::Count(CATALOG_URLS_MAX + 1));
    }

    proptest! {
        #[test]
        fn never_panics_and_reads_what_it_writes(text in "(http://)?[a-z0-9:/?@\\[\\].,]{0,30}") {
            if let Ok(urls) = text.parse::<CatalogUrls>() {
                prop_assert_eq!(urls.to_string().parse::<CatalogUrls>().unwrap(), urls);
            }
        }
    }
}
