//! `bare <address> <file>`: a hyper server that answers every request with the bytes of a file. It is what a service of this kind is
//! measured against: less cannot be done with the same libraries.

use std::{convert::Infallible, net::SocketAddr, path::PathBuf};

use anyhow::{Context as _, Result};
use bytes::Bytes;
use http::{Response, header};
use http_body_util::Full;
use hyper::{server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let usage = "usage: bare ADDRESS FILE";
    let address: SocketAddr = arguments.next().context(usage)?.parse()?;
    let file = PathBuf::from(arguments.next().context(usage)?);
    let body = Bytes::from(std::fs::read(file)?);
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?
        .block_on(serve(address, body))
}

async fn serve(address: SocketAddr, body: Bytes) -> Result<()> {
    let listener = TcpListener::bind(address).await?;
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let body = body.clone();
        let answer = service_fn(move |_| {
            let body = Full::new(body.clone());
            async {
                Response::builder()
                    .header(header::CONTENT_TYPE, "application/json")
                    .body(body)
                    .map_err(|_| -> Infallible { unreachable!("the field is valid") })
            }
        });
        // A client that goes away is how every connection ends.
        tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), answer));
    }
}
