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

/// What a read costs is mostly small objects.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

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
    let running = Catalog::start(config, listener, stopping)
        .await
        .map_err(RunError::runtime)?;
    let reload = async || tracing::info!("HUP has no effect: there are no files to reload");
    let stop_asked = tokio::select! {
        () = running.begun() => false,
        () = signals.stop_asked(reload) => true,
    };
    if !stop_asked {
        program::announce(format_args!(
            "service-catalog ready on {} (data in {})",
            running.url(),
            running.place
        ));
        signals.stop_asked(reload).await;
    }
    stop.trigger();
    signals.unless_interrupted(running.finished()).await?;
    Ok(())
}
