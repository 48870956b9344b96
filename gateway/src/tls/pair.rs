//! A certificate with its key, as it lies on the disk and as a handshake uses it.

use std::{io, path::PathBuf, sync::Arc};

use rustls::{
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
    sign::CertifiedKey,
};
use serde::Deserialize;
use x509_parser::{extensions::GeneralName, parse_x509_certificate};

/// Where a pair lies, both in PEM.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PairFiles {
    /// The certificate, followed by those that lead to a root.
    pub cert: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

/// A pair that can be used.
#[derive(Clone, Debug)]
pub(super) struct Pair {
    pub(super) certified: Arc<CertifiedKey>,
    /// Names it is for, in lower case; those with a wildcard begin with `*.`.
    pub(super) names: Vec<String>,
    /// When it ends, in seconds since 1970.
    pub(super) expires: i64,
}

/// Why a pair cannot be used. Names the file, never its content.
#[derive(Debug, thiserror::Error)]
pub enum PairError {
    /// A file cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// No certificate is in the file.
    #[error("{} has no certificate in PEM", .0.display())]
    NoCertificate(PathBuf),
    /// The certificate cannot be read.
    #[error("the certificate in {} is not valid", .0.display())]
    BadCertificate(PathBuf),
    /// No key is in the file.
    #[error("{} has no private key in PEM", .0.display())]
    NoKey(PathBuf),
    /// Key and certificate do not belong together, or the key is of a kind that is not supported.
    #[error("the key in {} is not the one of the certificate in {}: {source}", key.display(), cert.display())]
    Mismatch {
        /// File of the certificate.
        cert: PathBuf,
        /// File of the key.
        key: PathBuf,
        /// What was found.
        source: rustls::Error,
    },
    /// A further certificate without a name would never be chosen.
    #[error("the certificate in {} has no DNS name, so no client could ask for it", .0.display())]
    Nameless(PathBuf),
}

// === impl PairFiles ===

impl PairFiles {
    pub(super) fn load(&self) -> Result<Pair, PairError> {
        let chain = CertificateDer::pem_slice_iter(&read(&self.cert)?)
            .collect::<Result<Vec<_>, _>>()
            .map_err(|_| PairError::NoCertificate(self.cert.clone()))?;
        let first = chain
            .first()
            .ok_or_else(|| PairError::NoCertificate(self.cert.clone()))?;
        let (names, expires) =
            facts(first).ok_or_else(|| PairError::BadCertificate(self.cert.clone()))?;
        let key = PrivateKeyDer::from_pem_slice(&read(&self.key)?)
            .map_err(|_| PairError::NoKey(self.key.clone()))?;
        let certified =
            CertifiedKey::from_der(chain, key, &ring::default_provider()).map_err(|source| {
                PairError::Mismatch {
                    cert: self.cert.clone(),
                    key: self.key.clone(),
                    source,
                }
            })?;
        Ok(Pair {
            certified: Arc::new(certified),
            names,
            expires,
        })
    }
}

fn read(path: &PathBuf) -> Result<Vec<u8>, PairError> {
    std::fs::read(path).map_err(|source| PairError::Read {
        path: path.clone(),
        source,
    })
}

/// The names (RFC 9525 §2: those of the subject alternative name, the common name does not count) and the end of validity.
fn facts(certificate: &CertificateDer<'_>) -> Option<(Vec<String>, i64)> {
    let (_, parsed) = parse_x509_certificate(certificate).ok()?;
    let alternatives = parsed.subject_alternative_name().ok()?;
    let names = alternatives
        .iter()
        .flat_map(|alternatives| &alternatives.value.general_names)
        .filter_map(|name| match name {
            GeneralName::DNSName(name) => Some(name.to_ascii_lowercase()),
            _ => None,
        })
        .collect();
    Some((names, parsed.validity().not_after.timestamp()))
}
