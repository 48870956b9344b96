//! The program `service-api`: settings, socket, instance, signals.

use std::process::ExitCode;

use names::{Config, Names, PROGRAM};
use service_kit::{
    listen::{bind, reachable},
    program::{self, RunError},
    settings::Settings,
    shutdown::{self, Signals},
    telemetry,
};

/// What an answer costs is mostly small objects.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    program::main(
        &PROGRAM,
        |settings| Config::read(settings).map(drop),
        |settings| program::block_on(run(settings)),
    )
}

async fn run(settings: Settings) -> Result<(), RunError> {
    let (address, config) = Config::read(&settings)?;
    let _telemetry = telemetry::init(&settings)?;
    let listener = bind(&address)?;
    let mut signals = Signals::new()?;
    let (stop, stopping) = shutdown::channel();
    let running = Names::start(config, listener, stopping).map_err(RunError::runtime)?;
    // Scripts wait for this line.
    program::announce(format_args!(
        "service-api ready on http://{} (instance {})",
        reachable(running.address),
        running.instance
    ));
    signals
        .stop_asked(async || {
            tracing::info!("HUP has no effect: service-api has no file to read again")
        })
        .await;
    stop.trigger();
    // Cut connections are logged; the stop itself went as asked.
    let drained = signals.unless_interrupted(running.finished()).await?;
    drained.map(drop).map_err(RunError::runtime)
}
