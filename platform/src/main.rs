//! The program `platform`: settings → sockets → [`Platform`] → signals.

use std::{net::SocketAddr, process::ExitCode};

use platform::{Config, PROGRAM, Platform, Sockets};
use service_kit::{
    listen::BindError,
    program::{self, RunError},
    settings::{Settings, SettingsError, Sources},
    shutdown::{Signal, Signals},
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
    let mut sockets = Sockets::bind(&config, &settings.listen("ADMIN_LISTEN")?)?;
    let instead_of = sockets.gateway.instead_of.take();
    let mut signals = Signals::new()?;
    let platform = tokio::select! {
        started = Platform::start(config, sockets) => started.map_err(RunError::runtime)?,
        () = stop_asked(&mut signals, None) => return Ok(()),
    };
    tokio::select! {
        () = platform.ready() => {}
        () = stop_asked(&mut signals, Some(&platform)) => return stop(platform, signals).await,
    }
    announce(&platform, instead_of);
    stop_asked(&mut signals, Some(&platform)).await;
    stop(platform, signals).await
}

async fn stop_asked(signals: &mut Signals, platform: Option<&Platform>) {
    while signals.next().await == Signal::Hangup {
        if let Some(platform) = platform {
            reload(platform).await;
        }
    }
}

/// Routes are the only files of this process that can change under it.
async fn reload(platform: &Platform) {
    let routes = || -> Result<_, SettingsError> {
        let config = Config::from_settings(&PROGRAM.load(Sources::from_process())?)?;
        Ok(config.gateway.config(Vec::new())?.file_routes)
    };
    match routes() {
        Ok(routes) => {
            platform.gateway().reload(routes).await;
            tracing::info!("routes reloaded; other settings change with a restart");
        }
        Err(error) => tracing::error!(%error, "configuration not reloaded, the old one goes on"),
    }
}

async fn stop(platform: Platform, mut signals: Signals) -> Result<(), RunError> {
    tracing::info!("stopping: finishing what is under way");
    tokio::select! {
        stopped = platform.stop() => tracing::info!(cut = stopped.cut, "stopped"),
        () = second_interrupt(&mut signals) => return Err(RunError::runtime("stopped at once by a second interrupt")),
    }
    Ok(())
}

async fn second_interrupt(signals: &mut Signals) {
    while signals.next().await != Signal::Interrupt {}
}

#[expect(
    clippy::print_stdout,
    reason = "the table of URLs is what a person who started the platform looks for"
)]
fn announce(platform: &Platform, instead_of: Option<BindError>) {
    let gateway = platform.gateway();
    let url = |address: SocketAddr| match address.port() {
        80 => format!("http://{}", host(address)),
        port => format!("http://{}:{port}", host(address)),
    };
    let base = url(gateway.address());
    if let Some(reason) = instead_of {
        println!(
            "the gateway is on port {} because {reason}",
            gateway.address().port()
        );
    }
    println!("platform ready");
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
    for (what, url) in rows {
        println!("  {what:<14} {url}");
    }
}

/// A host that a browser on this machine can open.
fn host(address: SocketAddr) -> String {
    match address {
        address if address.ip().is_unspecified() => "localhost".to_owned(),
        SocketAddr::V4(v4) => v4.ip().to_string(),
        SocketAddr::V6(v6) => format!("[{}]", v6.ip()),
    }
}
