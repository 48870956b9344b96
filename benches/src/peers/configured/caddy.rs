//! Caddy. Guide: <https://caddyserver.com/docs/caddyfile/directives/reverse_proxy>.

use std::{fmt::Write as _, net::SocketAddr, process::Stdio};

use anyhow::{Result, bail};

use super::super::{
    certificate::Certificate,
    contender::{Bed, Contender, Serving},
    shape::Shape,
};
use crate::rig::{
    processes::{PROXY_CORE, Running, pinned},
    scratch::{Folder, free_port},
};

/// Caddy from the distribution. It has no cache of its own.
pub(crate) struct Caddy;

impl Contender for Caddy {
    fn name(&self) -> &'static str {
        "Caddy"
    }

    fn file(&self) -> &'static str {
        "Caddyfile"
    }

    fn start(&self, bed: &Bed<'_>, shape: &Shape) -> Result<Option<Serving>> {
        if shape.cache {
            return Ok(None);
        }
        let folder = bed.scratch.folder("caddy")?;
        let plain = SocketAddr::from(([127, 0, 0, 1], free_port()?));
        let tls = shape
            .tls
            .then(free_port)
            .transpose()?
            .map(|port| SocketAddr::from(([127, 0, 0, 1], port)));
        let admin = folder.path().join("caddy.sock");
        let text = configuration(bed, &folder, shape, plain, tls, &admin)?;
        let path = folder.write(self.file(), text)?;
        let mut command = pinned(PROXY_CORE, "caddy");
        command
            .args(["run", "--adapter", "caddyfile", "--config"])
            .arg(path);
        command
            .env("GOMAXPROCS", "1")
            .env("HOME", folder.path())
            .env("XDG_DATA_HOME", folder.path())
            .env("XDG_CONFIG_HOME", folder.path());
        let running = Running::start(command, &folder.path().join("caddy.log"), plain)?;
        Ok(Some(Serving {
            running,
            folder: folder.path().to_owned(),
            plain,
            tls,
            _helpers: Vec::new(),
            control: None,
        }))
    }

    fn reload(&self, _bed: &Bed<'_>, serving: &Serving, _step: usize) -> Result<()> {
        let status = std::process::Command::new("caddy")
            .args(["reload", "--force", "--adapter", "caddyfile", "--config"])
            .arg(serving.folder.join(self.file()))
            .stderr(Stdio::null())
            .status()?;
        if !status.success() {
            bail!("caddy reload failed");
        }
        Ok(())
    }
}

fn configuration(
    bed: &Bed<'_>,
    folder: &Folder,
    shape: &Shape,
    plain: SocketAddr,
    tls: Option<SocketAddr>,
    admin: &std::path::Path,
) -> Result<String> {
    let endpoints = bed.backend.endpoints(shape.endpoints).join(" ");
    let log = if shape.access_log {
        format!(
            "log {{\n output file {}/caddy.access\n}}",
            folder.path().display()
        )
    } else {
        String::new()
    };
    // Caddy checks the endpoints of every route by itself: with thousands of either that would be all it does.
    let many = shape.endpoints > 100 || shape.routes > 100;
    let checks = if many {
        ""
    } else {
        "health_uri /small\n health_interval 1s\n"
    };
    let mut site = format!(
        "{log}\nroute /static/* {{\n root * {}\n file_server\n}}\n",
        bed.backend.files.display()
    );
    for route in 0..shape.routes {
        writeln!(
            site,
            "handle /s{route}/* {{\n reverse_proxy {endpoints} {{\n lb_policy round_robin\n {checks} header_up X-Request-ID {{http.request.uuid}}\n transport http {{\n keepalive_idle_conns_per_host 256\n}}\n}}\n}}"
        )?;
    }
    let mut text = format!("{{\n admin unix/{}\n auto_https off\n}}\n", admin.display());
    writeln!(
        text,
        "http://:{} {{\n bind {}\n{site}}}",
        plain.port(),
        plain.ip()
    )?;
    if let Some(tls) = tls {
        let Certificate {
            certificate, key, ..
        } = bed.certificate;
        writeln!(
            text,
            "https://:{} {{\n bind {}\n tls {} {}\n{site}}}",
            tls.port(),
            tls.ip(),
            certificate.display(),
            key.display()
        )?;
    }
    Ok(text)
}
