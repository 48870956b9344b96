//! `GATEWAY_SERVICE_LISTEN`: addresses that lead to one service, for clients that know the service by its port and not by a path.

use std::str::FromStr;

use catalog_api::{Invalid, ServiceName};
use service_kit::listen::{ListenAddress, ListenAddressError};

/// An address whose every request goes to one service, whatever its host and path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceListener {
    /// Where clients connect.
    pub listen: ListenAddress,
    /// Who answers.
    pub service: ServiceName,
}

/// Why a text is no [`ServiceListener`].
#[derive(Debug, thiserror::Error)]
pub enum ServiceListenerError {
    /// No equals sign.
    #[error("the service is missing, write host:port=service")]
    ServiceMissing,
    /// The part before it.
    #[error(transparent)]
    Address(#[from] ListenAddressError),
    /// The part after it.
    #[error(transparent)]
    Service(#[from] Invalid),
}

impl FromStr for ServiceListener {
    type Err = ServiceListenerError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (address, service) = text
            .split_once('=')
            .ok_or(ServiceListenerError::ServiceMissing)?;
        Ok(Self {
            listen: address.trim().parse()?,
            service: service.trim().parse()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_and_a_service() {
        let listener: ServiceListener = "0.0.0.0:5000 = service-api".parse().unwrap();
        assert_eq!(listener.listen.to_string(), "0.0.0.0:5000");
        assert_eq!(listener.service.as_str(), "service-api");
    }

    #[test]
    fn mistakes_are_named() {
        for (text, part) in [
            ("0.0.0.0:5000", "service is missing"),
            ("5000=service-api", "port is missing"),
            ("0.0.0.0:5000=", "1 to 63 characters"),
            ("0.0.0.0:5000=a=b", "DNS label"),
        ] {
            let error = text.parse::<ServiceListener>().unwrap_err().to_string();
            assert!(error.contains(part), "{text}: {error}");
        }
    }
}
