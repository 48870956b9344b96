//! The program `service-catalog`: settings → [`Config`] → [`Catalog`] → signals → exit code.

use std::process::ExitCode;

use catalog::{Catalog, Config, PROGRAM};
use service_kit::{
    listen,
    program::{self, RunError},
    settings::Settings,
    shutdown::{self, Signal, Signals},
    telemetry,
};

/// Exit code when a second interrupt does not wait for the drain.
const INTERRUPTED: i32 = 1;

fn main() -> ExitCode {
    program::main(&PROGRAM, |settings| Config::single(settings).map(drop), run)
}

fn run(settings: Settings) -> Result<(), RunError> {
    let _telemetry = telemetry::init(&settings)?;
    let config = Config::single(&settings)?;
    let listener = listen::bind(&config.listen)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    runtime.block_on(serve(config, listener))
}

async fn serve(config: Config, listener: std::net::TcpListener) -> Result<(), RunError> {
    let mut signals = Signals::new()?;
    let (trigger, shutdown) = shutdown::channel();
    let data_dir = config.data_dir.clone();
    let running = Catalog::start(config, listener, shutdown)
        .await
        .map_err(RunError::runtime)?;
    announce(&format!(
        "service-catalog ready on {} (data in {})",
        running.url(),
        data_dir.display()
    ));
    while signals.next().await == Signal::Hangup {
        tracing::info!("there are no files to reload");
    }
    trigger.trigger();
    let finished = running.finished();
    tokio::pin!(finished);
    loop {
        tokio::select! {
            _ = &mut finished => return Ok(()),
            signal = signals.next() => {
                if signal == Signal::Interrupt {
                    std::process::exit(INTERRUPTED);
                }
            }
        }
    }
}

#[expect(
    clippy::print_stdout,
    reason = "the one line that says where the program can be reached is its output, not its log"
)]
fn announce(line: &str) {
    println!("{line}");
}
