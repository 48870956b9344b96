//! Messages of WebSocket (RFC 6455 §5.2), as far as the proof needs them: short, whole, text or close.

use anyhow::{Context as _, Result, bail};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

/// A message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Message {
    Text(String),
    Close,
}

/// Who sends it: clients mask what they send (§5.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sender {
    Client,
    Server,
}

/// Longest content whose length fits into the second byte.
const CONTENT_BYTES_MAX: usize = 125;
const FINAL: u8 = 0x80;
const MASKED: u8 = 0x80;
const TEXT: u8 = 1;
const CLOSE: u8 = 8;
const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// Value for `Sec-WebSocket-Key` and what answers it (§1.3).
pub(super) const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
pub(super) const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/// Sends a message.
pub(super) async fn send(
    stream: &mut (impl AsyncWrite + Unpin),
    sender: Sender,
    message: &Message,
) -> Result<()> {
    let frame = encode(sender, message)?;
    stream.write_all(&frame).await.context("cannot send")?;
    stream.flush().await.context("cannot send")
}

fn encode(sender: Sender, message: &Message) -> Result<Vec<u8>> {
    let (kind, content) = match message {
        Message::Text(text) => (TEXT, text.as_bytes()),
        Message::Close => (CLOSE, &[][..]),
    };
    if content.len() > CONTENT_BYTES_MAX {
        bail!("a message of the proof is too long");
    }
    let length = u8::try_from(content.len())?;
    if sender == Sender::Server {
        return Ok([&[FINAL | kind, length], content].concat());
    }
    let masked: Vec<u8> = content
        .iter()
        .zip(MASK.iter().cycle())
        .map(|(byte, mask)| byte ^ mask)
        .collect();
    Ok([&[FINAL | kind, MASKED | length][..], &MASK, &masked].concat())
}

/// Receives a message from the other side.
pub(super) async fn receive(
    stream: &mut (impl AsyncRead + Unpin),
    sender: Sender,
) -> Result<Message> {
    let mut head = [0; 2];
    stream.read_exact(&mut head).await.context("broken off")?;
    let [kind, length] = head;
    let is_masked = length & MASKED != 0;
    if is_masked != (sender == Sender::Client) {
        bail!("a frame with the wrong masking");
    }
    let mut mask = [0; 4];
    if is_masked {
        stream.read_exact(&mut mask).await.context("broken off")?;
    }
    let mut content = vec![0; usize::from(length & !MASKED)];
    stream
        .read_exact(&mut content)
        .await
        .context("broken off")?;
    for (byte, mask) in content.iter_mut().zip(mask.iter().cycle()) {
        *byte ^= mask;
    }
    match kind {
        kind if kind == FINAL | TEXT => Ok(Message::Text(String::from_utf8(content)?)),
        kind if kind == FINAL | CLOSE => Ok(Message::Close),
        kind => bail!("a frame of an unexpected kind {kind:#x}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_sent_is_received_and_only_clients_mask() {
        let messages = [Message::Text("17".to_owned()), Message::Close];
        for sender in [Sender::Client, Sender::Server] {
            for message in &messages {
                let frame = encode(sender, message).unwrap();
                assert_eq!(receive(&mut &frame[..], sender).await.unwrap(), *message);
                let other = match sender {
                    Sender::Client => Sender::Server,
                    Sender::Server => Sender::Client,
                };
                assert!(receive(&mut &frame[..], other).await.is_err());
                assert!(receive(&mut &frame[..1], sender).await.is_err());
            }
        }
    }

    #[test]
    fn a_masked_text_is_the_one_of_the_rfc() {
        // RFC 6455 §5.7.
        let frame = encode(Sender::Client, &Message::Text("Hello".to_owned())).unwrap();
        let expected = [
            0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58,
        ];
        assert_eq!(frame, expected);
    }
}
