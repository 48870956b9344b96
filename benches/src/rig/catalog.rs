//! A catalog that the harness fills.

use std::{net::SocketAddr, path::Path};

use anyhow::Result;
use serde_json::Value;

use super::{
    client::{Client, request, until_answered},
    processes::{Running, pinned},
    scratch::{Folder, free_port},
};

/// Token of every catalog here.
pub(crate) const TOKEN: &str = "benchmark-token-of-no-value";

/// The program `service-catalog`.
pub(crate) struct Catalog {
    pub(crate) running: Running,
    pub(crate) address: SocketAddr,
}

// === impl Catalog ===

impl Catalog {
    /// With its data in the folder, or in a PostgreSQL database.
    pub(crate) fn start(
        programs: &Path,
        folder: &Folder,
        core: &str,
        database: Option<&str>,
    ) -> Result<Self> {
        let address = SocketAddr::from(([127, 0, 0, 1], free_port()?));
        let mut command = pinned(core, programs.join("service-catalog"));
        command
            .env("CATALOG_LISTEN", address.to_string())
            .env("CATALOG_TOKEN", TOKEN)
            .env("DATA_DIR", folder.path().join("catalog"))
            .env("RUST_LOG", "warn");
        if let Some(database) = database {
            command.env("DATABASE_URL", database);
        }
        let running = Running::start(command, &folder.path().join("catalog.log"), address)?;
        until_answered(address, "/readyz")?;
        Ok(Self { running, address })
    }

    /// A connection to it.
    pub(crate) fn client(&self) -> Client {
        Client::new(self.address)
    }
}

/// A request that writes, with the token.
pub(crate) fn write(method: &str, path: &str, body: &Value) -> Vec<u8> {
    request(method, path, Some(TOKEN), Some(body))
}
