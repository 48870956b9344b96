//! The program `service-catalog`: settings → [`Config`] → [`Catalog`] → signals → exit code.

use std::process::ExitCode;

use catalog::{Catalog, Config, PROGRAM};
use service_kit::{
    listen,
    program::{self, RunError},
    settings::Settings,
    shutdown::{self, Signals},
    telemetry,
};

fn main() -> ExitCode {
    program::main(
        &PROGRAM,
        |settings| Config::single(settings).map(drop),
        |settings| program::block_on(run(settings)),
    )
}

async fn run(settings: Settings) -> Result<(), RunError> {
    let config = Config::single(&settings)?;
    let _telemetry = telemetry::init(&settings)?;
    let listener = listen::bind(&config.listen)?;
    let mut signals = Signals::new()?;
    let (stop, stopping) = shutdown::channel();
    let data_dir = config.data_dir.clone();
    let running = Catalog::start(config, listener, stopping)
        .await
        .map_err(RunError::runtime)?;
    program::announce(format_args!(
        "service-catalog ready on {} (data in {})",
        running.url(),
        data_dir.display()
    ));
    signals
        .stop_asked(async || tracing::info!("HUP has no effect: there are no files to reload"))
        .await;
    stop.trigger();
    signals.unless_interrupted(running.finished()).await?;
    Ok(())
}
