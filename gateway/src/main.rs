//! The program `gateway`: settings → sockets → [`Gateway`] → signals.

mod open_files;
mod succession;

use std::process::ExitCode;

use gateway::{Config, Gateway, Listeners, PROGRAM};
use service_kit::{
    listen::reachable,
    program::{self, RunError},
    settings::{Settings, Sources},
    shutdown::{self, Signals},
    telemetry,
};
use succession::Succession;

/// Small objects per request make the allocator worth choosing: mimalloc took 15 % off the CPU per request.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    program::main(
        &PROGRAM,
        |settings| Config::from_settings(settings).map(drop),
        |settings| program::block_on(run(settings)),
    )
}

async fn run(settings: Settings) -> Result<(), RunError> {
    let config = Config::from_settings(&settings)?;
    let _telemetry = telemetry::init(&settings)?;
    open_files::raise(config.limits.connections_max);
    let (predecessor, handed_over) = succession::predecessor(&config)?;
    let listeners = Listeners::inherit(&config, handed_over)?;
    let mut succession = Succession::new(&config.data_dir, &listeners)?;
    let mut signals = Signals::new()?;
    let (stop, stopping) = shutdown::channel();
    let gateway = Gateway::start(config, listeners, stopping)
        .await
        .map_err(RunError::runtime)?;
    succession.follow(predecessor).await;
    announce(&gateway);
    let successor = tokio::select! {
        () = signals.stop_asked(async || gateway.reload(reread_routes()).await) => None,
        successor = succession.next() => Some(successor),
    };
    if let Some(successor) = successor {
        gateway.hand_over();
        stop.trigger();
        succession::done(successor);
        tokio::select! {
            drained = gateway.finished() => tracing::info!(cut = drained.cut, "stopped after the hand-over"),
            // The successor serves; who asks the old one to stop means now.
            () = signals.stop_asked(async || {}) => tracing::info!("stopped during the hand-over"),
        }
        return Ok(());
    }
    // Its copies of the sockets would keep the ports open.
    drop(succession);
    stop.trigger();
    let drained = signals.unless_interrupted(gateway.finished()).await?;
    tracing::info!(cut = drained.cut, "stopped");
    Ok(())
}

fn announce(gateway: &Gateway) {
    let further = [
        ("TLS https", gateway.tls_address()),
        ("HTTP/2 http", gateway.h2c_address()),
    ]
    .into_iter()
    .filter_map(|(what, address)| Some(format!(", {what}://{}", reachable(address?))))
    .collect::<String>();
    let services: String = gateway
        .service_addresses()
        .iter()
        .map(|(service, address)| format!(", {service} http://{}", reachable(*address)))
        .collect();
    program::announce(format_args!(
        "gateway ready on http://{} (admin http://{}{further}{services})",
        reachable(gateway.address()),
        reachable(gateway.admin_address())
    ));
}

fn reread_routes() -> Result<Vec<gateway::FileRoute>, service_kit::settings::SettingsError> {
    let settings = PROGRAM.load(Sources::from_process())?;
    Config::read_routes(&settings)
}
