//! The settings by which a program says that, where and as what it registers.

use catalog_api::Address;
use service_kit::{
    secret::Secret,
    settings::{Setting, Settings, SettingsError},
};

use crate::{CatalogUrls, Lease};

const CATALOG_URL: &str = "CATALOG_URL";
const CATALOG_TOKEN: &str = "CATALOG_TOKEN";
const ADVERTISE_ADDRESS: &str = "ADVERTISE_ADDRESS";
const REGISTRATION_TTL: &str = "REGISTRATION_TTL";

/// The group to put into a program's table.
pub const SETTINGS: &[Setting] = &[
    Setting::new(
        CATALOG_URL,
        "Replicas of the catalog to register with; without it the service does not register",
    )
    .allowed("http://host:port, comma-separated"),
    Setting::new(CATALOG_TOKEN, "Token for writing to the catalog").secret(),
    Setting::new(
        ADVERTISE_ADDRESS,
        "Address under which others reach this instance; by default the listen address, or the local address that leads to \
         the catalog",
    )
    .allowed("host:port"),
    Setting::new(
        REGISTRATION_TTL,
        "How long the catalog keeps this instance without hearing from it; renewed three times as often",
    )
    .default("10s")
    .allowed("100ms to 1h"),
];

/// What the settings say about registering.
#[derive(Clone, Debug)]
pub struct RegistrationSettings {
    /// Replicas of the catalog.
    pub catalog_urls: CatalogUrls,
    /// Bearer token for writes. A catalog without one configured still has one, so without it registering is refused.
    pub token: Option<Secret>,
    /// Where others reach the instance, when it differs from where it listens.
    pub advertise: Option<Address>,
    /// How long the catalog keeps the instance without a renewal.
    pub lease: Lease,
}

// === impl RegistrationSettings ===

impl RegistrationSettings {
    /// Reads the group. None when `CATALOG_URL` is not set: then the service stays by itself.
    ///
    /// # Errors
    ///
    /// A value that is not allowed, or a setting that has no effect because `CATALOG_URL` is missing.
    pub fn read(settings: &Settings) -> Result<Option<Self>, SettingsError> {
        let Some(catalog_urls) = settings.optional::<CatalogUrls>(CATALOG_URL)? else {
            for name in [CATALOG_TOKEN, ADVERTISE_ADDRESS, REGISTRATION_TTL] {
                if settings.is_explicit(name) {
                    return Err(settings.without_effect(
                        name,
                        "CATALOG_URL is not set, so the service does not register",
                    ));
                }
            }
            return Ok(None);
        };
        Ok(Some(Self {
            catalog_urls,
            token: settings.secret(CATALOG_TOKEN)?,
            advertise: settings.optional(ADVERTISE_ADDRESS)?,
            lease: settings.get(REGISTRATION_TTL)?,
        }))
    }
}
