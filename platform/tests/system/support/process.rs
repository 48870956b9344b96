//! The programs as processes.

use std::{
    io::{BufRead, BufReader, Read},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, ChildStdout, Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

/// Longest wait for a process to end.
const EXIT_TIMEOUT: Duration = Duration::from_secs(20);

/// A process that dies with the test.
pub(crate) struct Process {
    child: Child,
    stdout: BufReader<ChildStdout>,
}

/// What a process that ended by itself left behind.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// Path of a program of this workspace; they are built side by side.
fn program(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_BIN_EXE_platform")).with_file_name(name);
    assert!(
        path.exists(),
        "{} is not built; run cargo build --workspace --bins",
        path.display()
    );
    path
}

/// A command without any setting of the caller's environment.
pub(crate) fn command(name: &str, env: &[(&str, &str)]) -> Command {
    let mut command = Command::new(program(name));
    command
        .env_clear()
        .env("RUST_LOG", "warn")
        .envs(env.iter().copied());
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// Runs a program that is expected to end by itself.
pub(crate) fn run(name: &str, args: &[&str], env: &[(&str, &str)]) -> Ended {
    let mut child = command(name, env).args(args).spawn().unwrap();
    let status = wait(&mut child);
    let read = |pipe: &mut dyn Read| {
        let mut text = String::new();
        pipe.read_to_string(&mut text).unwrap();
        text
    };
    Ended {
        code: status.code(),
        stdout: read(child.stdout.as_mut().unwrap()),
        stderr: read(child.stderr.as_mut().unwrap()),
    }
}

fn wait(child: &mut Child) -> ExitStatus {
    let deadline = Instant::now() + EXIT_TIMEOUT;
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status;
        }
        if Instant::now() >= deadline {
            child.kill().unwrap();
            panic!("the process did not end in {EXIT_TIMEOUT:?}");
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

impl Process {
    /// Starts a program.
    pub(crate) fn start(name: &str, env: &[(&str, &str)]) -> Self {
        let mut child = command(name, env).stderr(Stdio::inherit()).spawn().unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        Self { child, stdout }
    }

    /// Reads output until a line that contains `text`. Blocks; call it from a blocking thread.
    pub(crate) fn line_with(&mut self, text: &str) -> String {
        let mut line = String::new();
        while self.stdout.read_line(&mut line).unwrap() > 0 {
            if line.contains(text) {
                return line;
            }
            line.clear();
        }
        panic!("the process ended without saying {text:?}");
    }

    /// The address in the line with which a program says that it is ready.
    pub(crate) fn ready(&mut self) -> SocketAddr {
        addresses(&self.line_with("ready on"))[0]
    }

    /// Sends a signal by its name.
    pub(crate) fn signal(&self, name: &str) {
        let status = Command::new("kill")
            .arg(format!("-{name}"))
            .arg(self.child.id().to_string())
            .status();
        assert!(status.unwrap().success());
    }

    /// Ends it as `kill -9` does.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Waits until it ends by itself.
    pub(crate) fn exit_code(&mut self) -> Option<i32> {
        wait(&mut self.child).code()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Every `http://address` in a line.
pub(crate) fn addresses(line: &str) -> Vec<SocketAddr> {
    line.split(|character: char| character.is_whitespace() || "()".contains(character))
        .filter_map(|word| word.strip_prefix("http://"))
        .filter_map(|rest| {
            rest.split('/')
                .next()?
                .replace("localhost", "127.0.0.1")
                .replace("0.0.0.0", "127.0.0.1")
                .parse()
                .ok()
        })
        .collect()
}
