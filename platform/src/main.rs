//! The program `platform`: settings → sockets → [`Platform`] → signals.

use std::{fmt::Write as _, net::SocketAddr, process::ExitCode};

use platform::{Config, PROGRAM, Platform, Sockets};
use service_kit::{
    listen::BindError,
    program::{self, RunError},
    settings::{Settings, SettingsError, Sources},
    shutdown::Signals,
    telemetry,
};

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
    let mut sockets = Sockets::bind(&config, &settings.listen("ADMIN_LISTEN")?)?;
    let instead_of = sockets.gateway.instead_of.take();
    let mut signals = Signals::new()?;
    let platform = tokio::select! {
        started = Platform::start(config, sockets) => started.map_err(RunError::runtime)?,
        () = signals.stop_asked(async || {}) => return Ok(()),
    };
    let reload = async || platform.gateway().reload(reread_routes()).await;
    let stop_asked = tokio::select! {
        () = platform.ready() => false,
        () = signals.stop_asked(reload) => true,
    };
    if !stop_asked {
        program::announce(table(&platform, instead_of));
        signals.stop_asked(reload).await;
    }
    tracing::info!("stopping: finishing what is under way");
    let stopped = signals.unless_interrupted(platform.stop()).await?;
    tracing::info!(cut = stopped.cut, "stopped");
    Ok(())
}

/// Routes are the only files of this process that can change under it.
fn reread_routes() -> Result<Vec<gateway::FileRoute>, SettingsError> {
    let config = Config::from_settings(&PROGRAM.load(Sources::from_process())?)?;
    Ok(config.gateway.config(Vec::new())?.file_routes)
}

/// The URLs that a person who started the platform looks for.
fn table(platform: &Platform, instead_of: Option<BindError>) -> String {
    let gateway = platform.gateway();
    let url = |address: SocketAddr| match address.port() {
        80 => format!("http://{}", host(address)),
        port => format!("http://{}:{port}", host(address)),
    };
    let base = url(gateway.address());
    let mut rows = vec![
        ("gateway", format!("{base}/")),
        ("a name", format!("{base}/api/name")),
        ("services", format!("{base}/services")),
        ("metrics", format!("{base}/metrics")),
        (
            "gateway admin",
            format!("{}/routes", url(gateway.admin_address())),
        ),
        ("catalog", format!("{}/", url(platform.catalog_address()))),
    ];
    rows.extend(
        platform
            .names_addresses()
            .map(|address| ("name service", format!("{}/name", url(address)))),
    );
    let mut text = match instead_of {
        Some(reason) => format!(
            "the gateway is on port {} because {reason}\n",
            gateway.address().port()
        ),
        None => String::new(),
    };
    text.push_str("platform ready");
    for (what, url) in rows {
        // Writing to a String cannot fail.
        let _ = write!(text, "\n  {what:<14} {url}");
    }
    text
}

/// A host that a browser on this machine can open.
fn host(address: SocketAddr) -> String {
    match address {
        address if address.ip().is_unspecified() => "localhost".to_owned(),
        SocketAddr::V4(v4) => v4.ip().to_string(),
        SocketAddr::V6(v6) => format!("[{}]", v6.ip()),
    }
}
