//! A fixed script of requests through the gateway as it is shipped.

use std::{fs, net::SocketAddr, path::Path};

use anyhow::Result;

use super::{
    callgrind::{self, Callgrind},
    standins,
};
use crate::rig::{
    client::{Client, until_answered},
    processes::Running,
    scratch::{Scratch, free_port},
};

/// Bytes of a POST, and of a file.
const BODY_BYTES: usize = 10 << 10;
/// Turns before the counter is set to zero: pools, caches and lazily made values are there then.
const WARM_TURNS: u64 = 50;
/// Turns that are counted.
const TURNS: u64 = 300;

/// What is sent in each turn, and how the gateway is set up.
pub(super) struct Script {
    /// In the record.
    pub(super) name: &'static str,
    request: Request,
    log: &'static str,
}

#[derive(Clone, Copy)]
enum Request {
    Small,
    Large,
    Post,
    /// Answered out of the cache.
    Kept,
    /// Answered out of a folder.
    File,
}

/// Counts are per request.
pub(super) const ALL: [Script; 6] = [
    Script {
        name: "request/get",
        request: Request::Small,
        log: "warn",
    },
    Script {
        name: "request/get-10k",
        request: Request::Large,
        log: "warn",
    },
    Script {
        name: "request/post-10k",
        request: Request::Post,
        log: "warn",
    },
    Script {
        name: "request/get-logged",
        request: Request::Small,
        log: "info",
    },
    Script {
        name: "request/get-kept",
        request: Request::Kept,
        log: "warn",
    },
    Script {
        name: "request/get-file",
        request: Request::File,
        log: "warn",
    },
];

// === impl Script ===

impl Script {
    /// Instructions per request.
    pub(super) fn count(
        &self,
        callgrind: &Callgrind,
        scratch: &Scratch,
        programs: &Path,
    ) -> Result<u64> {
        let folder = scratch.folder("gateway")?;
        let local = |port| SocketAddr::from(([127, 0, 0, 1], port));
        let (address, admin) = (local(free_port()?), local(free_port()?));
        let files = folder.path().join("static");
        fs::create_dir_all(&files)?;
        fs::write(files.join("file"), vec![b'x'; BODY_BYTES])?;
        let catalog = standins::catalog(standins::service()?)?;
        let (mut command, counts) = callgrind.command(&programs.join("gateway"));
        command
            .env("GATEWAY_LISTEN", address.to_string())
            .env("ADMIN_LISTEN", admin.to_string())
            .env("CATALOG_URL", format!("http://{catalog}"))
            .env("DATA_DIR", folder.path().join("data"))
            .env("GATEWAY_STATIC_DIR", files)
            // One thread for requests: who wakes whom is then not up to chance.
            .env("TOKIO_WORKER_THREADS", "1")
            .env("RUST_LOG", self.log)
            .env("LOG_FORMAT", "json");
        let running = Running::start(command, &folder.path().join("log"), address)?;
        until_answered(address, "/guard/small")?;
        let mut client = Client::new(address);
        let request = self.request.bytes();
        let mut turns = |times: u64| -> Result<()> {
            for _ in 0..times {
                client.ask(&request)?;
            }
            Ok(())
        };
        turns(WARM_TURNS)?;
        callgrind::zero(running.id())?;
        turns(TURNS)?;
        Ok(callgrind::dump(running.id(), &counts)? / TURNS)
    }
}

// === impl Request ===

impl Request {
    fn bytes(self) -> Vec<u8> {
        let head = |method, path, length| {
            format!(
                "{method} {path} HTTP/1.1\r\nHost: example.org\r\nUser-Agent: guard/1\r\nAccept: */*\r\n{length}\r\n"
            )
        };
        match self {
            Self::Small => head("GET", "/guard/small", String::new()).into_bytes(),
            Self::Large => head("GET", "/guard/large", String::new()).into_bytes(),
            Self::Kept => head("GET", "/kept/small", String::new()).into_bytes(),
            Self::File => head("GET", "/static/file", String::new()).into_bytes(),
            Self::Post => {
                let length = format!("Content-Length: {BODY_BYTES}\r\n");
                let head = head("POST", "/guard/small", length);
                [head.into_bytes(), vec![b'x'; BODY_BYTES]].concat()
            }
        }
    }
}
