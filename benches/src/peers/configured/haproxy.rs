//! HAProxy. Guide: its configuration manual, and <https://www.haproxy.com/documentation/haproxy-configuration-tutorials/>.

use std::{fmt::Write as _, net::SocketAddr};

use anyhow::Result;

use super::super::{
    contender::{Bed, Contender, Serving},
    shape::Shape,
};
use crate::rig::{
    processes::{PROXY_CORE, Running, pinned},
    scratch::{Folder, free_port},
};

/// HAProxy from the distribution. It serves no files.
pub(crate) struct Haproxy;

impl Contender for Haproxy {
    fn name(&self) -> &'static str {
        "HAProxy"
    }

    fn file(&self) -> &'static str {
        "haproxy.cfg"
    }

    fn start(&self, bed: &Bed<'_>, shape: &Shape) -> Result<Option<Serving>> {
        if shape.files {
            return Ok(None);
        }
        let folder = bed.scratch.folder("haproxy")?;
        let plain = SocketAddr::from(([127, 0, 0, 1], free_port()?));
        let tls = shape
            .tls
            .then(free_port)
            .transpose()?
            .map(|port| SocketAddr::from(([127, 0, 0, 1], port)));
        let path = folder.write(
            "haproxy.cfg",
            configuration(bed, &folder, shape, plain, tls)?,
        )?;
        let mut command = pinned(PROXY_CORE, "haproxy");
        command.arg("-W").arg("-f").arg(path);
        let running = Running::start(command, &folder.path().join("haproxy.log"), plain)?;
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
        serving.running.signal("USR2")
    }
}

fn configuration(
    bed: &Bed<'_>,
    folder: &Folder,
    shape: &Shape,
    plain: SocketAddr,
    tls: Option<SocketAddr>,
) -> Result<String> {
    let log = if shape.access_log {
        "log stdout format raw daemon\n option httplog"
    } else {
        "no log"
    };
    let mut text = format!(
        "global\n nbthread 1\n maxconn 8000\n tune.bufsize 16384\n\
         defaults\n mode http\n timeout connect 5s\n timeout client 600s\n timeout server 60s\n timeout http-keep-alive 600s\n\
         option http-keep-alive\n http-reuse always\n {log}\n"
    );
    if shape.cache {
        text.push_str(
            "cache answers\n total-max-size 64\n max-object-size 100000\n max-age 3600\n",
        );
    }
    writeln!(text, "frontend clients\n bind {plain} backlog 4096")?;
    if let Some(tls) = tls {
        let both = &bed.certificate.both;
        writeln!(
            text,
            " bind {tls} ssl crt {} alpn h2,http/1.1 no-tls-tickets backlog 4096",
            both.display()
        )?;
    }
    // A map, not a list of rules: looked up by prefix in a tree.
    let map: String = (0..shape.routes)
        .map(|route| format!("/s{route}/ endpoints\n"))
        .collect();
    let map = folder.write("haproxy.map", map)?;
    text.push_str(" unique-id-format %{+X}o%ci%cp%ts%rt%pid\n unique-id-header X-Request-ID\n option forwardfor\n");
    writeln!(text, " use_backend %[path,map_beg({})]", map.display())?;
    text.push_str("backend endpoints\n balance roundrobin\n option httpchk GET /small\n default-server check inter 1s\n");
    if shape.endpoints > 100 {
        text = text.replace("inter 1s", "inter 30s");
    }
    if shape.cache {
        text.push_str(" http-request cache-use answers\n http-response cache-store answers\n");
    }
    for (index, endpoint) in bed
        .backend
        .endpoints(shape.endpoints)
        .into_iter()
        .enumerate()
    {
        writeln!(text, " server e{index} {endpoint}")?;
    }
    Ok(text)
}
