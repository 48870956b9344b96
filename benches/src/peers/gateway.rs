//! This project's gateway as shipped: metrics, health checks, request ids and hot reload on, backends from the catalog.

use std::{
    fmt::Write as _,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use super::{
    certificate::Certificate,
    contender::{Bed, Contender, Serving},
    shape::Shape,
};
use crate::rig::{
    catalog::{Catalog, write},
    client::{Client, until_answered},
    processes::{LOAD_CORE, PROXY_CORE, Running, pinned},
    scratch::free_port,
};

/// The gateway of one build of this repository.
pub(super) struct Gateway {
    name: &'static str,
    /// Folder of the programs.
    programs: PathBuf,
}

// === impl Gateway ===

impl Gateway {
    pub(super) fn new(name: &'static str, programs: &Path) -> Self {
        Self {
            name,
            programs: programs.to_owned(),
        }
    }
}

impl Contender for Gateway {
    fn name(&self) -> &'static str {
        self.name
    }

    fn file(&self) -> &'static str {
        "gateway.toml"
    }

    fn start(&self, bed: &Bed<'_>, shape: &Shape) -> Result<Option<Serving>> {
        let local = |port| SocketAddr::from(([127, 0, 0, 1], port));
        let (plain, admin) = (local(free_port()?), local(free_port()?));
        let folder = bed.scratch.folder(self.name)?;
        let catalog = Catalog::start(&self.programs, &folder, LOAD_CORE, None)?;
        let mut client = catalog.client();
        client.ask(&write("POST", "/services", &service(shape)))?;
        for (index, endpoint) in bed.backend.endpoints(shape.endpoints).iter().enumerate() {
            let path = format!("/services/bench/instances/e{index}");
            client.ask(&write("PUT", &path, &json!({"address": endpoint})))?;
        }
        let file = folder.write(self.file(), routes(shape)?)?;
        let mut command = pinned(PROXY_CORE, self.programs.join("gateway"));
        command
            .env("GATEWAY_CONFIG", file)
            .env("GATEWAY_LISTEN", plain.to_string())
            .env("ADMIN_LISTEN", admin.to_string())
            .env("CATALOG_URL", format!("http://{}", catalog.address))
            .env("DATA_DIR", folder.path().join("gateway"))
            .env("RUST_LOG", if shape.access_log { "info" } else { "warn" })
            .env("LOG_FORMAT", "json");
        let mut tls = None;
        if shape.tls {
            let address = local(free_port()?);
            let Certificate {
                certificate, key, ..
            } = bed.certificate;
            command
                .env("GATEWAY_TLS_LISTEN", address.to_string())
                .env("GATEWAY_TLS_CERT", certificate)
                .env("GATEWAY_TLS_KEY", key);
            tls = Some(address);
        }
        if shape.files {
            command.env("GATEWAY_STATIC_DIR", bed.backend.files.join("static"));
        }
        let running = Running::start(command, &folder.path().join("gateway.log"), plain)?;
        until_answered(plain, "/s0/small")?;
        Ok(Some(Serving {
            running,
            folder: folder.path().to_owned(),
            plain,
            tls,
            control: Some(catalog.address),
            _helpers: vec![catalog.running],
        }))
    }

    fn reload(&self, bed: &Bed<'_>, serving: &Serving, step: usize) -> Result<()> {
        let address = serving
            .control
            .context("the gateway runs with its catalog")?;
        let changed = json!({"address": bed.backend.endpoints(1)[0], "weight": 1 + step % 5});
        let path = "/services/bench/instances/e0";
        Client::new(address).ask(&write("PUT", path, &changed))?;
        Ok(())
    }
}

/// Two endpoints are checked every second, as the peers' are; a thousand every 30 s, so that the figure is about requests.
fn service(shape: &Shape) -> Value {
    let interval = if shape.endpoints > 100 { "30s" } else { "1s" };
    let mut policy = json!({
        "balance": "round_robin",
        "health": {"kind": "http", "path": "/small", "interval": interval},
    });
    if shape.cache {
        policy["cache"] = json!({});
    }
    json!({"name": "bench", "policy": policy})
}

fn routes(shape: &Shape) -> Result<String> {
    let mut text = String::new();
    for route in 0..shape.routes {
        writeln!(
            text,
            "[[routes]]\nname = \"s{route}\"\npath_prefix = \"/s{route}/\"\nservice = \"bench\""
        )?;
    }
    if shape.files {
        writeln!(
            text,
            "[[routes]]\nname = \"static\"\npath_prefix = \"/static/\"\nanswer = \"static\""
        )?;
    }
    Ok(text)
}
