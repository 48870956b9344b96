//! The program `service-api`: settings, socket, instance, signals.

use std::{
    io::{self, Write as _},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    process::ExitCode,
};

use names::{Config, Names, PROGRAM, Running};
use service_kit::{
    listen::bind,
    program::{self, RunError},
    settings::{Settings, SettingsError},
    shutdown::{self, ShutdownTrigger, Signal, Signals},
    telemetry,
};

fn main() -> ExitCode {
    program::main(&PROGRAM, check, run)
}

fn check(settings: &Settings) -> Result<(), SettingsError> {
    Config::read(settings).map(|_| ())
}

fn run(settings: Settings) -> Result<(), RunError> {
    let (address, config) = Config::read(&settings)?;
    let _telemetry = telemetry::init(&settings)?;
    let listener = bind(&address)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    let outcome = runtime.block_on(async {
        let signals = Signals::new()?;
        let (stop, stopping) = shutdown::channel();
        let running = Names::start(config, listener, stopping).map_err(RunError::runtime)?;
        announce(&running)?;
        until_stopped(running, stop, signals).await
    });
    // A second INT must not wait for tasks that still drain.
    runtime.shutdown_background();
    outcome
}

/// The one line on standard output; scripts wait for it.
fn announce(running: &Running) -> io::Result<()> {
    let mut address = running.address;
    if address.ip().is_unspecified() {
        // An address to click, not the one bound.
        let loopback: IpAddr = match address {
            SocketAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            SocketAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        };
        address.set_ip(loopback);
    }
    let mut stdout = io::stdout();
    writeln!(
        stdout,
        "service-api ready on http://{address} (instance {})",
        running.instance
    )?;
    stdout.flush()
}

async fn until_stopped(
    running: Running,
    stop: ShutdownTrigger,
    mut signals: Signals,
) -> Result<(), RunError> {
    while signals.next().await == Signal::Hangup {
        tracing::info!("HUP has no effect: service-api has no file to read again");
    }
    stop.trigger();
    let interrupted = async { while signals.next().await != Signal::Interrupt {} };
    tokio::select! {
        drained = running.finished() => match drained {
            // Cut connections are logged; the stop itself went as asked.
            Ok(_) => Ok(()),
            Err(error) => Err(RunError::runtime(error)),
        },
        () = interrupted => Err(RunError::runtime("interrupted before the requests in flight were finished")),
    }
}
