//! What an idle connection costs: memory of the proxy before and after many connections made one request each.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    time::Duration,
};

use anyhow::{Context as _, Result, bail};

use super::{
    contender::{Bed, Contender},
    shape::Shape,
};

/// Connections that stay open.
const CONNECTIONS: usize = 5_000;

/// KiB per idle connection.
pub(super) struct IdleLine {
    pub(super) contender: &'static str,
    pub(super) kib: f64,
}

/// One contender after the other.
pub(super) fn compare(bed: &Bed<'_>, contenders: &[Box<dyn Contender>]) -> Result<Vec<IdleLine>> {
    let mut lines = Vec::new();
    for contender in contenders {
        let Some(serving) = contender.start(bed, &Shape::PLAIN)? else {
            continue;
        };
        let before = serving.running.memory_kib();
        let mut open = Vec::with_capacity(CONNECTIONS);
        for _ in 0..CONNECTIONS {
            let mut stream = TcpStream::connect(serving.plain).with_context(|| {
                format!(
                    "{}: more than {} connections need a higher `ulimit -n`",
                    contender.name(),
                    open.len()
                )
            })?;
            stream.set_read_timeout(Some(Duration::from_secs(5)))?;
            write!(stream, "GET /s1/small HTTP/1.1\r\nHost: localhost\r\n\r\n")?;
            // One read is enough: the answer is smaller than a segment.
            if stream.read(&mut [0; 2048])? == 0 {
                bail!("{} closed a connection", contender.name());
            }
            open.push(stream);
        }
        let kib = (serving.running.memory_kib() - before) / CONNECTIONS as f64;
        lines.push(IdleLine {
            contender: contender.name(),
            kib,
        });
    }
    Ok(lines)
}
