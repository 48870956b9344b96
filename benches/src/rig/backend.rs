//! What is proxied to: one nginx worker that answers on two ports, for all contenders the same.

use std::{io, net::SocketAddr};

use anyhow::{Context as _, Result};

use super::{
    processes::{LOAD_CORE, Running, pinned},
    scratch::{Folder, Scratch, free_port},
};

/// The body of a small answer.
const SMALL: &str = "0123456789012345678901234567890123456789012345678901234567890123";

/// The running backend.
pub(crate) struct Backend {
    /// The two ports; they are open on every address of 127.0.0.0/8, so that there can be a thousand endpoints.
    pub(crate) ports: [u16; 2],
    /// Folder with the files that contenders serve themselves.
    pub(crate) files: std::path::PathBuf,
    _running: Running,
}

// === impl Backend ===

impl Backend {
    pub(crate) fn start(scratch: &Scratch) -> Result<Self> {
        let ports = [free_port()?, free_port()?];
        let scratch = scratch.folder("backend")?;
        write_files(&scratch)?;
        let folder = scratch.path().display();
        let [one, two] = ports;
        let configuration = format!(
            "daemon off; master_process off; worker_processes 1; pid {folder}/backend.pid;\n\
             error_log {folder}/backend.error error; worker_rlimit_nofile 16384;\n\
             events {{ worker_connections 8192; }}\n\
             http {{ access_log off; keepalive_requests 100000000; keepalive_timeout 600s; sendfile on; tcp_nopush on;\n\
               client_body_buffer_size 64k; client_body_temp_path {folder}/backend-body; default_type text/plain; open_file_cache max=16;\n\
               server {{ listen 0.0.0.0:{one} reuseport backlog=4096; listen 0.0.0.0:{two} reuseport backlog=4096;\n\
                 location ~ small$ {{ return 200 \"{SMALL}\"; }}\n\
                 location ~ cached$ {{ add_header Cache-Control \"public, max-age=3600\"; return 200 \"{SMALL}\"; }}\n\
                 location ~ ten$ {{ rewrite ^ /ten.bin break; root {folder}/files; }}\n\
                 location ~ big$ {{ rewrite ^ /big.bin break; root {folder}/files; }}\n\
               }} }}\n"
        );
        let path = scratch.write("backend.conf", configuration)?;
        let mut command = pinned(LOAD_CORE, "nginx");
        command.arg("-p").arg(scratch.path()).arg("-c").arg(path);
        let address = SocketAddr::from(([127, 0, 0, 1], one));
        let running = Running::start(command, &scratch.path().join("backend.log"), address)
            .context("the backend needs nginx")?;
        Ok(Self {
            ports,
            files: scratch.path().join("files"),
            _running: running,
        })
    }

    /// So many addresses of endpoints, alternating between the two ports.
    pub(crate) fn endpoints(&self, count: usize) -> Vec<String> {
        (0..count)
            .map(|index| {
                let host = index / 2;
                let port = self.ports[index % 2];
                format!("127.0.{}.{}:{port}", host / 250, 1 + host % 250)
            })
            .collect()
    }
}

fn write_files(scratch: &Folder) -> io::Result<()> {
    let bytes = |length: usize| {
        (0..length)
            .map(|index| b'a' + (index % 26) as u8)
            .collect::<Vec<u8>>()
    };
    scratch.write("files/ten.bin", bytes(10 << 10))?;
    scratch.write("files/big.bin", bytes(1 << 20))?;
    scratch.write("files/static/ten.bin", bytes(10 << 10))?;
    Ok(())
}
