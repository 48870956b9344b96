//! A TCP proxy that can go silent, as a network does when a cable is pulled: nothing is closed, nothing is answered, nothing passes.
//! And it can close everything at once, as a firewall does that is started again.

#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::net::SocketAddr;

use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::watch,
};

pub(crate) struct FaultProxy {
    address: SocketAddr,
    passes: watch::Sender<bool>,
    severed: watch::Sender<()>,
}

// === impl FaultProxy ===

impl FaultProxy {
    /// Forwards to a port of this machine.
    pub(crate) async fn start(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (sender, passes) = watch::channel(true);
        let (severed, severs) = watch::channel(());
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                let mut severs = severs.clone();
                severs.mark_unchanged();
                let forwarding = forward(near, port, passes.clone());
                tokio::spawn(async move {
                    tokio::select! {
                        () = forwarding => {}
                        _ = severs.changed() => {}
                    }
                });
            }
        });
        Self {
            address,
            passes: sender,
            severed,
        }
    }

    pub(crate) fn port(&self) -> u16 {
        self.address.port()
    }

    pub(crate) fn cut(&self) {
        self.passes.send_replace(false);
    }

    pub(crate) fn heal(&self) {
        self.passes.send_replace(true);
    }

    /// Closes every connection that there is.
    pub(crate) fn sever(&self) {
        self.severed.send_replace(());
    }
}

async fn forward(near: TcpStream, port: u16, mut passes: watch::Receiver<bool>) {
    if passes.wait_for(|passes| *passes).await.is_err() {
        return;
    }
    let Ok(far) = TcpStream::connect(("127.0.0.1", port)).await else {
        return;
    };
    let (near_in, near_out) = near.into_split();
    let (far_in, far_out) = far.into_split();
    // When one direction ends, the other is dropped with it: both sides see the end.
    tokio::select! {
        () = copy(near_in, far_out, passes.clone()) => {}
        () = copy(far_in, near_out, passes) => {}
    }
}

async fn copy(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    mut passes: watch::Receiver<bool>,
) {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let read = from.read(&mut buffer).await;
        // An end of the connection does not get through either.
        if passes.wait_for(|passes| *passes).await.is_err() {
            return;
        }
        match read {
            Ok(length) if length > 0 && to.write_all(&buffer[..length]).await.is_ok() => {}
            _ => return,
        }
    }
}
