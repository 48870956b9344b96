//! TLS: the certificates, and what has an effect only with them.

use std::{path::PathBuf, sync::Arc};

use serde::Deserialize;
use service_kit::{
    listen::ListenAddress,
    settings::{Settings, SettingsError},
};

use crate::tls::{Certificates, PairFiles};

/// Key of the table in the file, with further certificates.
pub(super) const KEY: &str = "tls";

const LISTEN: &str = "GATEWAY_TLS_LISTEN";
const CERT: &str = "GATEWAY_TLS_CERT";
const PRIVATE_KEY: &str = "GATEWAY_TLS_KEY";
const REDIRECT: &str = "GATEWAY_HTTPS_REDIRECT";

/// How clients are served by TLS.
#[derive(Clone, Debug)]
pub struct TlsConfig {
    /// Where they connect.
    pub listen: ListenAddress,
    /// What they are shown.
    pub certificates: Arc<Certificates>,
    /// Whether those that come without TLS are sent here.
    pub redirect: bool,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawTable {
    certificates: Vec<PairFiles>,
}

pub(super) fn read(settings: &Settings) -> Result<Option<TlsConfig>, SettingsError> {
    let further = match settings.table(KEY) {
        Some(table) => {
            let table: RawTable = table
                .clone()
                .try_into()
                .map_err(|error: toml::de::Error| settings.invalid(KEY, error.message()))?;
            table.certificates
        }
        None => Vec::new(),
    };
    let redirect = settings.get(REDIRECT)?;
    let own = own_pair(settings)?;
    let is_own = own.is_some();
    let mut pairs = own.into_iter().chain(further);
    let Some(default) = pairs.next() else {
        const WHY: &str = "there is no certificate; set GATEWAY_TLS_CERT and GATEWAY_TLS_KEY";
        return match (redirect, settings.is_explicit(LISTEN)) {
            (true, _) => Err(settings.without_effect(REDIRECT, WHY)),
            (false, true) => Err(settings.without_effect(LISTEN, WHY)),
            (false, false) => Ok(None),
        };
    };
    let certificates = Certificates::load(default, pairs.collect()).map_err(|error| {
        let name = if is_own { CERT } else { KEY };
        settings.invalid(name, error)
    })?;
    Ok(Some(TlsConfig {
        listen: settings.listen(LISTEN)?,
        certificates,
        redirect,
    }))
}

fn own_pair(settings: &Settings) -> Result<Option<PairFiles>, SettingsError> {
    let cert: Option<PathBuf> = settings.optional(CERT)?;
    let key: Option<PathBuf> = settings.optional(PRIVATE_KEY)?;
    match (cert, key) {
        (Some(cert), Some(key)) => Ok(Some(PairFiles { cert, key })),
        (None, None) => Ok(None),
        (Some(_), None) => Err(settings.without_effect(CERT, "GATEWAY_TLS_KEY is not set")),
        (None, Some(_)) => Err(settings.without_effect(PRIVATE_KEY, "GATEWAY_TLS_CERT is not set")),
    }
}
