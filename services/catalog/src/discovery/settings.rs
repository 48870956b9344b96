//! From settings to what is to be discovered. Nothing is asked or opened here.

use std::{
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    str::FromStr,
    time::Duration,
};

use catalog_api::Host;
use service_kit::settings::{Setting, Settings, SettingsError, Span};

use super::target::{Target, TargetUrl};

/// What every program with a catalog in it accepts.
pub const SETTINGS: &[Setting] = &[
    Setting::new(
        SERVICE_API_URL,
        "URL behind whose host the instances of service-api are found",
    )
    .allowed("http://host:port"),
    Setting::new(
        DISCOVER_URLS,
        "URLs behind whose hosts the instances of services are found",
    )
    .allowed("service=http://host:port, separated by commas"),
    Setting::new(
        DISCOVER_FILE,
        "TOML file of services and their instances, read again when it changes",
    )
    .allowed("a path"),
    Setting::new(
        DISCOVER_RESOLVER,
        "DNS server for the names in SERVICE_API_URL and DISCOVER_URLS; unset = those of /etc/resolv.conf",
    )
    .allowed("an IP address, with or without a port"),
    Setting::new(
        DISCOVER_INTERVAL_MAX,
        "Longest time until a name is resolved again, whatever its TTL says",
    )
    .default("5s")
    .allowed("a duration of 1s to 1h"),
];

const SERVICE_API_URL: &str = "SERVICE_API_URL";
const DISCOVER_URLS: &str = "DISCOVER_URLS";
const DISCOVER_FILE: &str = "DISCOVER_FILE";
const DISCOVER_RESOLVER: &str = "DISCOVER_RESOLVER";
const DISCOVER_INTERVAL_MAX: &str = "DISCOVER_INTERVAL_MAX";

/// Most URLs: each name is asked for at least as often as `DISCOVER_INTERVAL_MAX` says.
const TARGETS_MAX: usize = 100;

/// Shortest time between two look-ups of a name, however short its TTL is.
pub(crate) const INTERVAL_MIN: Duration = Duration::from_secs(1);
const INTERVAL_MAX: Duration = Duration::from_secs(60 * 60);

const DNS_PORT: u16 = 53;

/// What is discovered besides those who register themselves.
#[derive(Clone, Debug)]
pub struct DiscoveryConfig {
    /// Services behind names.
    pub targets: Vec<Target>,
    /// A file of services.
    pub file: Option<PathBuf>,
    /// The DNS server that is asked; none = the system's.
    pub resolver: Option<SocketAddr>,
    /// Longest time between two look-ups of a name. Docker's DNS server says 600 s for names of services, and knows better after one.
    pub interval_max: Duration,
}

/// A DNS server, written with or without its port.
struct DnsServer(SocketAddr);

// === impl DiscoveryConfig ===

impl DiscoveryConfig {
    pub(crate) fn from_settings(settings: &Settings) -> Result<Self, SettingsError> {
        let mut targets = settings.list::<Target>(DISCOVER_URLS)?;
        if let Some(TargetUrl(address)) = settings.optional(SERVICE_API_URL)? {
            let service = "service-api".parse();
            let service = service.map_err(|error| settings.invalid(SERVICE_API_URL, error))?;
            targets.insert(0, Target { service, address });
        }
        if targets.len() > TARGETS_MAX {
            let reason = format!("must be at most {TARGETS_MAX} URLs");
            return Err(settings.invalid(DISCOVER_URLS, reason));
        }
        let is_name = |target: &Target| matches!(target.address.host(), Host::Name(_));
        if !targets.iter().any(is_name) {
            for name in [DISCOVER_RESOLVER, DISCOVER_INTERVAL_MAX] {
                if settings.is_explicit(name) {
                    let because = "neither SERVICE_API_URL nor DISCOVER_URLS has a host name";
                    return Err(settings.without_effect(name, because));
                }
            }
        }
        let Span(interval_max) = settings.get(DISCOVER_INTERVAL_MAX)?;
        if !(INTERVAL_MIN..=INTERVAL_MAX).contains(&interval_max) {
            return Err(settings.invalid(DISCOVER_INTERVAL_MAX, "out of range"));
        }
        let resolver = settings.optional::<DnsServer>(DISCOVER_RESOLVER)?;
        Ok(Self {
            targets,
            file: settings.optional(DISCOVER_FILE)?,
            resolver: resolver.map(|DnsServer(address)| address),
            interval_max,
        })
    }

    /// Whether there is nothing to discover.
    pub(crate) fn is_empty(&self) -> bool {
        self.targets.is_empty() && self.file.is_none()
    }
}

impl Default for DiscoveryConfig {
    fn default() -> Self {
        Self {
            targets: Vec::new(),
            file: None,
            resolver: None,
            interval_max: Duration::from_secs(5),
        }
    }
}

// === impl DnsServer ===

impl FromStr for DnsServer {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let with_port = text.parse::<SocketAddr>().ok();
        let without = || text.parse::<IpAddr>().ok().map(|ip| (ip, DNS_PORT).into());
        let address = with_port.or_else(without);
        address.map(Self).ok_or("is no address")
    }
}
