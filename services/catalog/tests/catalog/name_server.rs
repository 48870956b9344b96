//! A DNS server whose answers change at run time. UDP and TCP on one free port of 127.0.0.1.

#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, UdpSocket},
    task::JoinSet,
};

/// What it does with a question.
#[derive(Clone, Debug)]
pub(crate) enum Says {
    /// These addresses, for so many seconds. None = the name is there and has no address.
    Addresses(Vec<IpAddr>, u32),
    /// A response code: 2 = SERVFAIL, 3 = NXDOMAIN.
    Code(u8),
    /// Nothing.
    Silence,
    /// By UDP that there is more than fits, by TCP these addresses.
    TooMuch(Vec<IpAddr>, u32),
    /// The IPv4 addresses, and SERVFAIL about others.
    OnlyV4(Vec<IpAddr>, u32),
}

pub(crate) struct NameServer {
    pub(crate) address: SocketAddr,
    shared: Arc<Shared>,
    _tasks: JoinSet<()>,
}

#[derive(Default)]
struct Shared {
    names: Mutex<BTreeMap<String, Says>>,
    questions: AtomicUsize,
}

pub(crate) fn says(addresses: &[&str], ttl: u32) -> Says {
    Says::Addresses(parse(addresses), ttl)
}

pub(crate) fn parse(addresses: &[&str]) -> Vec<IpAddr> {
    addresses.iter().map(|text| text.parse().unwrap()).collect()
}

// === impl NameServer ===

impl NameServer {
    pub(crate) async fn start() -> Self {
        let shared = Arc::new(Shared::default());
        let (udp, tcp) = loop {
            let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
            // The same number may be taken there.
            if let Ok(udp) = UdpSocket::bind(tcp.local_addr().unwrap()).await {
                break (udp, tcp);
            }
        };
        let address = tcp.local_addr().unwrap();
        let mut tasks = JoinSet::new();
        tasks.spawn(serve_udp(udp, Arc::clone(&shared)));
        tasks.spawn(serve_tcp(tcp, Arc::clone(&shared)));
        Self {
            address,
            shared,
            _tasks: tasks,
        }
    }

    /// Changes what it says about a name. About others it says that they do not exist.
    pub(crate) fn about(&self, name: &str, says: Says) {
        let mut names = self.shared.names.lock().unwrap();
        names.insert(name.to_owned(), says);
    }

    /// How many questions came.
    pub(crate) fn questions(&self) -> usize {
        self.shared.questions.load(Ordering::SeqCst)
    }
}

async fn serve_udp(socket: UdpSocket, shared: Arc<Shared>) {
    let mut buffer = [0; 512];
    loop {
        // A client that is gone shows as an error here, and is none.
        let Ok((length, client)) = socket.recv_from(&mut buffer).await else {
            continue;
        };
        if let Some(answer) = shared.answer(&buffer[..length], true) {
            let _ = socket.send_to(&answer, client).await;
        }
    }
}

async fn serve_tcp(listener: TcpListener, shared: Arc<Shared>) {
    loop {
        let (mut stream, _) = listener.accept().await.unwrap();
        let length = stream.read_u16().await.unwrap();
        let mut question = vec![0; length.into()];
        stream.read_exact(&mut question).await.unwrap();
        if let Some(answer) = shared.answer(&question, false) {
            let length = u16::try_from(answer.len()).unwrap();
            stream.write_u16(length).await.unwrap();
            stream.write_all(&answer).await.unwrap();
        }
    }
}

// === impl Shared ===

impl Shared {
    fn answer(&self, question: &[u8], is_udp: bool) -> Option<Vec<u8>> {
        self.questions.fetch_add(1, Ordering::SeqCst);
        let (name, end) = read_name(question);
        let is_v6 = question[end..end + 2] == [0, 28];
        let says = self.names.lock().unwrap().get(&name).cloned();
        let (code, is_cut, addresses, ttl) = match says.unwrap_or(Says::Code(3)) {
            Says::Silence => return None,
            Says::Code(code) => (code, false, Vec::new(), 0),
            Says::OnlyV4(..) if is_v6 => (2, false, Vec::new(), 0),
            Says::TooMuch(..) if is_udp => (0, true, Vec::new(), 0),
            Says::Addresses(addresses, ttl)
            | Says::OnlyV4(addresses, ttl)
            | Says::TooMuch(addresses, ttl) => (0, false, addresses, ttl),
        };
        let mut records = Vec::new();
        let mut count = 0_u16;
        for address in addresses {
            let data = match address {
                IpAddr::V4(ip) if !is_v6 => ip.octets().to_vec(),
                IpAddr::V6(ip) if is_v6 => ip.octets().to_vec(),
                _ => continue,
            };
            count += 1;
            records.extend([0xC0, 12, 0, if is_v6 { 28 } else { 1 }, 0, 1]);
            records.extend(ttl.to_be_bytes());
            records.extend(u16::try_from(data.len()).unwrap().to_be_bytes());
            records.extend(data);
        }
        let mut answer = question[..end + 4].to_vec();
        answer[2] = if is_cut { 0x83 } else { 0x81 };
        answer[3] = 0x80 | code;
        answer[6..8].copy_from_slice(&count.to_be_bytes());
        answer.extend(records);
        Some(answer)
    }
}

/// The name in a question, and where it ends.
fn read_name(question: &[u8]) -> (String, usize) {
    let mut labels = Vec::new();
    let mut place = 12;
    while question[place] != 0 {
        let end = place + 1 + usize::from(question[place]);
        labels.push(String::from_utf8(question[place + 1..end].to_vec()).unwrap());
        place = end;
    }
    (labels.join("."), place + 1)
}
