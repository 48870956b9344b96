//! A self-signed certificate (P-256, as the peers' guides advise) for the cases with TLS.

use std::{path::PathBuf, process::Command};

use anyhow::{Result, bail};

use crate::rig::scratch::Folder;

/// Certificate and key, once as two files and once as one (HAProxy wants that).
pub(super) struct Certificate {
    pub(super) certificate: PathBuf,
    pub(super) key: PathBuf,
    pub(super) both: PathBuf,
}

// === impl Certificate ===

impl Certificate {
    /// Makes one.
    pub(super) fn new(folder: &Folder) -> Result<Self> {
        let certificate = folder.path().join("tls.crt");
        let key = folder.path().join("tls.key");
        let output = Command::new("openssl")
            .args([
                "req",
                "-x509",
                "-newkey",
                "ec",
                "-pkeyopt",
                "ec_paramgen_curve:P-256",
                "-nodes",
                "-days",
                "2",
            ])
            .args([
                "-subj",
                "/CN=localhost",
                "-addext",
                "subjectAltName=DNS:localhost,IP:127.0.0.1",
            ])
            .arg("-keyout")
            .arg(&key)
            .arg("-out")
            .arg(&certificate)
            .output()?;
        if !output.status.success() {
            bail!("openssl: {}", String::from_utf8_lossy(&output.stderr));
        }
        let both = folder.write(
            "tls.pem",
            [std::fs::read(&certificate)?, std::fs::read(&key)?].concat(),
        )?;
        Ok(Self {
            certificate,
            key,
            both,
        })
    }
}
