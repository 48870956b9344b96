//! HTTP/1.1 by hand, in both directions: a library would repair what these tests want to see broken.

use std::{io, net::SocketAddr, time::Duration};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};

/// Longest wait for bytes; a test that reaches it has failed.
const READ_TIMEOUT: Duration = Duration::from_secs(20);

/// A request or a response as it came.
#[derive(Clone, Debug, Default)]
pub(crate) struct Message {
    /// Request line or status line.
    pub(crate) first_line: String,
    /// Fields in their order, names in lower case.
    pub(crate) headers: Vec<(String, String)>,
    /// Content without its framing.
    pub(crate) body: Vec<u8>,
}

/// One side of a connection.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: TcpStream,
    unread: Vec<u8>,
}

// === impl Message ===

impl Message {
    /// The only value of a field; none when it is absent or occurs twice.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        match self.all(name).as_slice() {
            [value] => Some(value),
            _ => None,
        }
    }

    /// Every value of a field.
    pub(crate) fn all(&self, name: &str) -> Vec<&str> {
        self.headers
            .iter()
            .filter(|(known, _)| known == name)
            .map(|(_, value)| value.as_str())
            .collect()
    }

    /// Method of a request.
    pub(crate) fn method(&self) -> &str {
        self.first_line.split(' ').next().unwrap_or_default()
    }

    /// Target of a request.
    pub(crate) fn target(&self) -> &str {
        self.first_line.split(' ').nth(1).unwrap_or_default()
    }

    /// Status of a response.
    pub(crate) fn status(&self) -> u16 {
        self.target().parse().unwrap()
    }

    /// Content as text.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// Content as JSON.
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error}: {:?}", self.text()))
    }

    fn parse(head: &str) -> Self {
        let mut lines = head.split("\r\n");
        let first_line = lines.next().unwrap_or_default().to_owned();
        let headers = lines
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
            .collect();
        Self {
            first_line,
            headers,
            body: Vec::new(),
        }
    }

    fn is_chunked(&self) -> bool {
        self.header("transfer-encoding") == Some("chunked")
    }

    fn content_length(&self) -> Option<usize> {
        self.header("content-length")?.parse().ok()
    }
}

// === impl Connection ===

impl Connection {
    /// Connects as a client.
    pub(crate) async fn open(address: SocketAddr) -> io::Result<Self> {
        TcpStream::connect(address).await.map(Self::on)
    }

    /// Takes an accepted connection.
    pub(crate) fn on(stream: TcpStream) -> Self {
        Self {
            stream,
            unread: Vec::new(),
        }
    }

    /// Sends bytes as they are.
    pub(crate) async fn send(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.stream.write_all(bytes.as_ref()).await
    }

    /// The next request with its content; none at the end of the connection.
    pub(crate) async fn request(&mut self) -> io::Result<Option<Message>> {
        let Some(mut request) = self.head().await? else {
            return Ok(None);
        };
        if request.is_chunked() {
            request.body = self.chunks().await?;
        } else if let Some(length) = request.content_length() {
            request.body = self.exactly(length).await?;
        }
        Ok(Some(request))
    }

    /// The next response with its content. Fails with `UnexpectedEof` when it is cut off or when there is none.
    pub(crate) async fn response(&mut self) -> io::Result<Message> {
        let mut response = self.response_head().await?;
        response.body = if response.is_chunked() {
            self.chunks().await?
        } else if let Some(length) = response.content_length() {
            self.exactly(length).await?
        } else if matches!(response.status(), 101 | 204 | 304) {
            Vec::new()
        } else {
            self.rest().await?
        };
        Ok(response)
    }

    /// The head of the next response, for those without content.
    pub(crate) async fn response_head(&mut self) -> io::Result<Message> {
        self.head().await?.ok_or_else(cut_off)
    }

    /// Everything until the other side closes.
    pub(crate) async fn rest(&mut self) -> io::Result<Vec<u8>> {
        while self.fill().await? {}
        Ok(std::mem::take(&mut self.unread))
    }

    /// Exactly so many bytes.
    pub(crate) async fn exactly(&mut self, length: usize) -> io::Result<Vec<u8>> {
        while self.unread.len() < length {
            if !self.fill().await? {
                return Err(cut_off());
            }
        }
        Ok(self.unread.drain(..length).collect())
    }

    /// Whether the other side has closed without sending anything more. Waits until it closes or sends.
    pub(crate) async fn is_closed_by_peer(&mut self) -> bool {
        self.unread.is_empty() && !matches!(self.fill().await, Ok(true))
    }

    async fn head(&mut self) -> io::Result<Option<Message>> {
        let head = loop {
            if let Some(end) = find(&self.unread, b"\r\n\r\n") {
                break self.unread.drain(..end + 4).collect::<Vec<u8>>();
            }
            if !self.fill().await? {
                return if self.unread.is_empty() {
                    Ok(None)
                } else {
                    Err(cut_off())
                };
            }
        };
        Ok(Some(Message::parse(&String::from_utf8_lossy(&head))))
    }

    async fn chunks(&mut self) -> io::Result<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            let line = loop {
                if let Some(end) = find(&self.unread, b"\r\n") {
                    break self.unread.drain(..end + 2).collect::<Vec<u8>>();
                }
                if !self.fill().await? {
                    return Err(cut_off());
                }
            };
            let text = String::from_utf8_lossy(&line);
            let length = usize::from_str_radix(text.trim(), 16).map_err(io::Error::other)?;
            let chunk = self.exactly(length + 2).await?;
            if length == 0 {
                return Ok(body);
            }
            body.extend_from_slice(&chunk[..length]);
        }
    }

    /// Reads some more; false at the end.
    async fn fill(&mut self) -> io::Result<bool> {
        let read = timeout(READ_TIMEOUT, self.stream.read_buf(&mut self.unread));
        Ok(read.await?? > 0)
    }
}

fn cut_off() -> io::Error {
    io::ErrorKind::UnexpectedEof.into()
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes
        .windows(wanted.len())
        .position(|window| window == wanted)
}
