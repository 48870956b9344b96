//! nginx. Guide: <https://www.nginx.com/blog/tuning-nginx/>, <https://www.nginx.com/blog/avoiding-top-10-nginx-configuration-mistakes/>.

use std::{fmt::Write as _, net::SocketAddr};

use anyhow::Result;

use super::super::{
    certificate::Certificate,
    contender::{Bed, Contender, Serving},
    shape::Shape,
};
use crate::rig::{
    processes::{PROXY_CORE, Running, pinned},
    scratch::{Folder, free_port},
};

/// nginx from the distribution.
pub(crate) struct Nginx;

impl Contender for Nginx {
    fn name(&self) -> &'static str {
        "nginx"
    }

    fn file(&self) -> &'static str {
        "nginx.conf"
    }

    fn start(&self, bed: &Bed<'_>, shape: &Shape) -> Result<Option<Serving>> {
        let folder = bed.scratch.folder("nginx")?;
        let plain = SocketAddr::from(([127, 0, 0, 1], free_port()?));
        let tls = shape
            .tls
            .then(free_port)
            .transpose()?
            .map(|port| SocketAddr::from(([127, 0, 0, 1], port)));
        let path = folder.write(
            "nginx.conf",
            configuration(bed, &folder, shape, plain, tls)?,
        )?;
        let mut command = pinned(PROXY_CORE, "nginx");
        command.arg("-p").arg(folder.path()).arg("-c").arg(path);
        let running = Running::start(command, &folder.path().join("nginx.log"), plain)?;
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
        serving.running.signal("HUP")
    }
}

fn configuration(
    bed: &Bed<'_>,
    folder: &Folder,
    shape: &Shape,
    plain: SocketAddr,
    tls: Option<SocketAddr>,
) -> Result<String> {
    let folder = folder.path().display();
    let log = if shape.access_log {
        format!("{folder}/nginx.access combined buffer=64k flush=1s")
    } else {
        "off".to_owned()
    };
    let mut text = format!(
        "daemon off; worker_processes 1; pid {folder}/nginx.pid; error_log {folder}/nginx.error error; worker_rlimit_nofile 16384;\n\
         events {{ worker_connections 8192; }}\n\
         http {{ access_log {log}; keepalive_requests 100000000; keepalive_timeout 600s; sendfile on; tcp_nopush on; tcp_nodelay on;\n\
         client_body_buffer_size 64k; client_body_temp_path {folder}/nginx-body; proxy_temp_path {folder}/nginx-proxy;\n\
         proxy_buffers 16 16k; proxy_buffer_size 16k; proxy_busy_buffers_size 32k; open_file_cache max=1000; default_type text/plain;\n\
         proxy_http_version 1.1; proxy_set_header Connection \"\"; proxy_set_header Host $host; proxy_set_header X-Request-ID $request_id;\n\
         proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for; proxy_set_header X-Forwarded-Proto $scheme;\n"
    );
    if shape.cache {
        writeln!(
            text,
            "proxy_cache_path {folder}/nginx-cache keys_zone=cache:10m max_size=100m;"
        )?;
    }
    writeln!(
        text,
        "upstream endpoints {{ keepalive {}; keepalive_requests 100000000;",
        shape.endpoints.max(128)
    )?;
    for endpoint in bed.backend.endpoints(shape.endpoints) {
        writeln!(text, "server {endpoint} max_fails=3;")?;
    }
    writeln!(text, "}}\nserver {{ listen {plain} reuseport backlog=4096;")?;
    if let Some(tls) = tls {
        let Certificate {
            certificate, key, ..
        } = bed.certificate;
        writeln!(
            text,
            "listen {tls} ssl http2 reuseport backlog=4096; ssl_certificate {}; ssl_certificate_key {}; ssl_protocols TLSv1.2 TLSv1.3;\n\
             ssl_session_tickets off; http2_max_requests 100000000;",
            certificate.display(),
            key.display()
        )?;
    }
    writeln!(
        text,
        "location /static/ {{ root {}; }}",
        bed.backend.files.display()
    )?;
    let cache = if shape.cache {
        "proxy_cache cache;"
    } else {
        ""
    };
    for route in 0..shape.routes {
        writeln!(
            text,
            "location /s{route}/ {{ proxy_pass http://endpoints; {cache} }}"
        )?;
    }
    text.push_str("} }\n");
    Ok(text)
}
