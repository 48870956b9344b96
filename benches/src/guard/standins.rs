//! The gateway's surroundings in as few words as possible: a catalog that says one thing, and a service that always answers the
//! same. Their instructions are not counted; they are here so that a run needs no database, and every run gets the same bytes.

use std::{
    io::{self, Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    thread,
    time::Duration,
};

use serde_json::{Value, json};

/// Length of the large answer.
const LARGE_BYTES: usize = 10 << 10;
/// Longest head that is read.
const HEAD_BYTES_MAX: usize = 8 << 10;

/// A service: `GET …/large` gives 10 KiB, everything else 64 bytes. Returns where it is.
pub(super) fn service() -> io::Result<SocketAddr> {
    listen(|mut stream| {
        let small = answer(64);
        let large = answer(LARGE_BYTES);
        while let Some(path) = request(&mut stream)? {
            let answer = if path.ends_with("/large") {
                &large
            } else {
                &small
            };
            stream.write_all(answer)?;
        }
        Ok(())
    })
}

/// A catalog that knows one service with two endpoints, and the same once more with answers that are kept; and has nothing new to say.
pub(super) fn catalog(service: SocketAddr) -> io::Result<SocketAddr> {
    // Two addresses of one service. It is checked when it appears and then not again while the script runs.
    let instances = ["127.0.0.1", "127.0.0.2"].map(|host| {
        json!({"id": host.replace('.', "-"), "address": format!("{host}:{}", service.port()), "weight": 1})
    });
    let described = |id: u64, name: &str, policy: Value| {
        json!({
            "id": id, "name": name, "revision": 2,
            "created_at": "2026-01-31T12:00:00Z", "updated_at": "2026-01-31T12:00:00Z",
            "routes": [{"path_prefix": format!("/{name}/"), "strip_prefix": true}],
            "policy": policy,
            "instances": instances,
        })
    };
    let health = json!({"kind": "http", "path": "/health", "interval": "10m"});
    let event = json!({"revision": 2, "services": [
        described(1, "guard", json!({"health": health})),
        described(2, "kept", json!({"health": health, "cache": {"default_ttl": "1h"}})),
    ]});
    listen(move |mut stream| {
        if request(&mut stream)?.is_some() {
            write!(
                stream,
                "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\nevent: snapshot\nid: 2\ndata: {event}\n\n"
            )?;
            // The stream stays open until the gateway ends.
            request(&mut stream)?;
        }
        Ok(())
    })
}

/// Serves every connection on a thread of its own, until the process ends.
fn listen<F>(serve: F) -> io::Result<SocketAddr>
where
    F: Fn(TcpStream) -> io::Result<()> + Clone + Send + 'static,
{
    let listener = TcpListener::bind(("0.0.0.0", 0))?;
    let port = listener.local_addr()?.port();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let serve = serve.clone();
            // A client that goes away is how every connection ends.
            thread::spawn(move || stream.set_nodelay(true).and_then(|()| serve(stream)));
        }
    });
    Ok(SocketAddr::from(([127, 0, 0, 1], port)))
}

fn answer(bytes: usize) -> Vec<u8> {
    let head =
        format!("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {bytes}\r\n\r\n");
    [head.into_bytes(), vec![b'x'; bytes]].concat()
}

/// The path of the next request, whose body has been read, too. None at the end.
fn request(stream: &mut TcpStream) -> io::Result<Option<String>> {
    stream.set_read_timeout(Some(Duration::from_secs(600)))?;
    let mut seen = Vec::new();
    let mut piece = [0; HEAD_BYTES_MAX];
    let end = loop {
        if let Some(end) = seen.windows(4).position(|four| four == b"\r\n\r\n") {
            break end + 4;
        }
        match stream.read(&mut piece)? {
            0 => return Ok(None),
            read => seen.extend_from_slice(&piece[..read]),
        }
    };
    let head = String::from_utf8_lossy(&seen[..end]).into_owned();
    let length: usize = head
        .lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
        .and_then(|(_, value)| value.trim().parse().ok())
        .unwrap_or(0);
    while seen.len() < end + length {
        match stream.read(&mut piece)? {
            0 => return Ok(None),
            read => seen.extend_from_slice(&piece[..read]),
        }
    }
    Ok(head.split_whitespace().nth(1).map(str::to_owned))
}
