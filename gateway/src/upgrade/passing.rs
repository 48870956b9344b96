//! Sockets with their names over a Unix socket (`SCM_RIGHTS`, unix(7)).

use std::{
    io::{self, IoSlice, IoSliceMut},
    mem::MaybeUninit,
    net::TcpListener,
    os::{
        fd::{AsFd as _, BorrowedFd},
        unix::net::UnixStream,
    },
};

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};

/// Sockets that can be passed; the kernel takes 253 at once.
const SOCKETS_MAX: usize = 128;
/// Bytes of all names.
const NAMES_BYTES_MAX: usize = 16 << 10;

/// Listening sockets, each with the name of what the gateway uses it for.
pub type NamedSockets = Vec<(String, TcpListener)>;

/// Sends sockets. The names go along, one per line.
pub(super) fn send(stream: &UnixStream, sockets: &[(String, TcpListener)]) -> io::Result<()> {
    let names: Vec<&str> = sockets.iter().map(|(name, _)| name.as_str()).collect();
    let names = names.join("\n");
    if sockets.len() > SOCKETS_MAX || names.len() > NAMES_BYTES_MAX {
        return Err(io::Error::other(
            "there are too many listeners to hand over",
        ));
    }
    let descriptors: Vec<BorrowedFd<'_>> =
        sockets.iter().map(|(_, socket)| socket.as_fd()).collect();
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(SOCKETS_MAX))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !control.push(SendAncillaryMessage::ScmRights(&descriptors)) {
        return Err(io::Error::other(
            "there are too many listeners to hand over",
        ));
    }
    let sent = sendmsg(
        stream,
        &[IoSlice::new(names.as_bytes())],
        &mut control,
        SendFlags::NOSIGNAL,
    )?;
    if sent == names.len() {
        Ok(())
    } else {
        Err(io::ErrorKind::WriteZero.into())
    }
}

/// Receives what [`send`] has sent.
pub(super) fn receive(stream: &UnixStream) -> io::Result<NamedSockets> {
    let mut names = vec![0; NAMES_BYTES_MAX];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(SOCKETS_MAX))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let received = recvmsg(
        stream,
        &mut [IoSliceMut::new(&mut names)],
        &mut control,
        RecvFlags::CMSG_CLOEXEC,
    )?;
    let names = std::str::from_utf8(&names[..received.bytes]).map_err(io::Error::other)?;
    let sockets = control.drain().filter_map(|message| match message {
        RecvAncillaryMessage::ScmRights(descriptors) => Some(descriptors),
        _ => None,
    });
    let sockets: Vec<TcpListener> = sockets.flatten().map(TcpListener::from).collect();
    let names: Vec<&str> = names.lines().collect();
    if names.len() != sockets.len() {
        return Err(io::Error::other(
            "the other gateway has handed over something else",
        ));
    }
    Ok(names.into_iter().map(str::to_owned).zip(sockets).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_passed_socket_is_the_same_socket() {
        let (one, other) = UnixStream::pair().unwrap();
        let sockets: NamedSockets = ["clients", "admin"]
            .map(|name| (name.to_owned(), TcpListener::bind("127.0.0.1:0").unwrap()))
            .into();
        send(&one, &sockets).unwrap();
        let received = receive(&other).unwrap();
        assert_eq!(received.len(), 2);
        for ((name, socket), (expected, original)) in received.iter().zip(&sockets) {
            assert_eq!(name, expected);
            assert_eq!(socket.local_addr().unwrap(), original.local_addr().unwrap());
        }
        drop(sockets);
        let (_, socket) = &received[0];
        std::net::TcpStream::connect(socket.local_addr().unwrap()).unwrap();
        socket.accept().unwrap();
    }
}
