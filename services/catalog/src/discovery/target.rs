//! What is to be resolved for which service, as it is written in settings: `name=http://host:port`.

use std::{fmt, str::FromStr};

use catalog_api::{Address, Invalid, ServiceName};
use http::Uri;

/// A service and the name, or the address, behind which its instances are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Whose instances they are.
    pub service: ServiceName,
    /// The name and the port they all listen on.
    pub address: Address,
}

/// `http://host:port` of a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TargetUrl(pub Address);

/// Why a text names nothing that could be discovered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TargetError {
    /// No `name=` before the URL.
    #[error("{0:?} names no service; write service=http://host:port")]
    NoService(String),
    /// Not a URL with scheme and host.
    #[error("{0:?} is not a URL; write http://host:port")]
    Syntax(String),
    /// Another scheme. Instances are reached without TLS; to take https for http would be worse than this error.
    #[error("{0:?} is not http; instances are reached as http://host:port")]
    Scheme(String),
    /// A user or password in the URL. Not repeated in the message, because it may be a secret.
    #[error("the URL of a service must not contain a user or password")]
    UserInfo,
    /// Path and query would be lost: an instance is an address.
    #[error("{0:?} has a path or a query, which an instance cannot have; write http://host:port")]
    Path(String),
    /// The name or the host is not one.
    #[error(transparent)]
    Invalid(#[from] Invalid),
}

const HTTP_PORT: u16 = 80;

// === impl TargetUrl ===

impl FromStr for TargetUrl {
    type Err = TargetError;

    fn from_str(text: &str) -> Result<Self, TargetError> {
        if text.contains('@') {
            return Err(TargetError::UserInfo);
        }
        let syntax = || TargetError::Syntax(text.to_owned());
        let uri: Uri = text.parse().map_err(|_| syntax())?;
        let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
            return Err(syntax());
        };
        if scheme != "http" {
            return Err(TargetError::Scheme(text.to_owned()));
        }
        if uri.query().is_some() || !matches!(uri.path(), "" | "/") {
            return Err(TargetError::Path(text.to_owned()));
        }
        let has_port = authority.as_str().len() > authority.host().len();
        let address = match has_port {
            true => authority.as_str().parse()?,
            false => format!("{}:{HTTP_PORT}", authority.host()).parse()?,
        };
        Ok(Self(address))
    }
}

// === impl Target ===

impl FromStr for Target {
    type Err = TargetError;

    fn from_str(text: &str) -> Result<Self, TargetError> {
        let no_service = || TargetError::NoService(text.to_owned());
        let (service, url) = text.split_once('=').ok_or_else(no_service)?;
        let TargetUrl(address) = url.trim().parse()?;
        Ok(Self {
            service: service.trim().parse()?,
            address,
        })
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http://{}", self.address)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_target_is_a_name_and_an_address() {
        for (text, service, address) in [
            (
                "hold=http://hold.internal:8080",
                "hold",
                "hold.internal:8080",
            ),
            ("hold = http://Hold/", "hold", "hold:80"),
            ("a-b=http://10.0.0.7:1", "a-b", "10.0.0.7:1"),
            ("six=http://[::1]:5000", "six", "[::1]:5000"),
            ("six=http://[::1]", "six", "[::1]:80"),
        ] {
            let target: Target = text.parse().unwrap();
            assert_eq!(target.service.as_str(), service, "{text}");
            assert_eq!(target.address.to_string(), address, "{text}");
        }
    }

    #[test]
    fn what_is_refused_says_what_to_write() {
        for (text, part) in [
            ("http://hold:8080", "names no service"),
            ("hold=hold:8080", "not a URL"),
            ("hold=https://hold:8080", "not http"),
            ("hold=http://hold:8080/path", "path or a query"),
            ("hold=http://hold:8080?x=1", "path or a query"),
            ("hold=http://hold:0", "port"),
            ("hold=http://hold:99999", "port"),
            ("hold=http://", "not a URL"),
            ("Hold!=http://hold:8080", "DNS label"),
            ("health=http://hold:8080", "reserved"),
            ("hold=http://me:hunter2@hold:8080", "user or password"),
        ] {
            let error = text.parse::<Target>().unwrap_err().to_string();
            assert!(error.contains(part), "{text}: {error}");
            assert!(!error.contains("hunter2"), "{error}");
        }
    }

    proptest! {
        #[test]
        fn never_panics(text in "([a-z]{0,3}=)?(http://)?[a-z0-9:/?@\\[\\].=]{0,30}") {
            let _ = text.parse::<Target>();
        }
    }
}
