//! `--healthcheck`: the binary asks its own running instance, because a minimal image has no shell and no curl.

use std::io::{self, Read as _, Write as _};
use std::net::{TcpStream, ToSocketAddrs as _};
use std::time::Duration;

use super::RunError;
use crate::listen::ListenAddress;
use crate::settings::{Program, Settings, SettingsError};

/// Time for connecting, and again for each read and write.
const STEP_TIMEOUT: Duration = Duration::from_secs(2);
/// A status line is shorter.
const ANSWER_BYTES_MAX: u64 = 64;

/// Asks `/livez` on the address the program is configured to listen on.
pub(super) fn ask(program: &Program, settings: &Settings) -> Result<(), RunError> {
    if program.listen.is_empty() {
        let text = "this program has no address to ask; leave --healthcheck out".to_owned();
        return Err(SettingsError::CommandLine(text).into());
    }
    let address = settings.listen(program.listen)?;
    if address.port == 0 {
        let reason =
            "a free port is only known to the running program, set one for the healthcheck";
        return Err(settings.invalid(program.listen, reason).into());
    }
    match status_line(&address) {
        Ok(line) if line.split(' ').nth(1) == Some("200") => Ok(()),
        Ok(line) => Err(RunError::runtime(format!("{address} answered {line:?}"))),
        Err(error) => Err(RunError::runtime(format!(
            "{address} does not answer: {error}"
        ))),
    }
}

fn status_line(address: &ListenAddress) -> io::Result<String> {
    // Every address of the machine includes the loopback one.
    let host = match address.host.as_str() {
        "0.0.0.0" => "127.0.0.1",
        "::" => "::1",
        host => host,
    };
    let resolved = (host, address.port)
        .to_socket_addrs()?
        .next()
        .ok_or_else(|| io::Error::other("the host has no address"))?;
    let mut stream = TcpStream::connect_timeout(&resolved, STEP_TIMEOUT)?;
    stream.set_read_timeout(Some(STEP_TIMEOUT))?;
    stream.set_write_timeout(Some(STEP_TIMEOUT))?;
    stream.write_all(b"GET /livez HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")?;
    let mut answer = Vec::new();
    stream.take(ANSWER_BYTES_MAX).read_to_end(&mut answer)?;
    let answer = String::from_utf8_lossy(&answer);
    Ok(answer.lines().next().unwrap_or_default().to_owned())
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::thread;

    use super::*;

    fn answered_with(answer: &'static [u8]) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = [0; 512];
            let length = stream.read(&mut request).unwrap();
            stream.write_all(answer).unwrap();
            String::from_utf8_lossy(&request[..length]).into_owned()
        });
        // Through the wildcard address, as in a container.
        let host = "0.0.0.0".to_owned();
        let line = status_line(&ListenAddress { host, port }).unwrap();
        assert!(
            server
                .join()
                .unwrap()
                .starts_with("GET /livez HTTP/1.1\r\n")
        );
        line
    }

    #[test]
    fn reads_the_status_line_and_nothing_more() {
        assert_eq!(
            answered_with(b"HTTP/1.1 200 OK\r\n\r\nok\n"),
            "HTTP/1.1 200 OK"
        );
        assert_eq!(answered_with(b"HTTP/1.1 503 X\r\n\r\n"), "HTTP/1.1 503 X");
        assert_eq!(answered_with(b""), "");
    }
}
