//! The limits of clients' connections, each within bounds in which it can work.

use std::{ops::RangeInclusive, time::Duration};

use service_kit::settings::{Settings, SettingsError, Span};

use crate::Limits;

/// Bounds of every wait.
const WAITS: RangeInclusive<Duration> = Duration::from_millis(10)..=Duration::from_secs(3600);

pub(super) fn read(settings: &Settings) -> Result<Limits, SettingsError> {
    Ok(Limits {
        connections_max: number(settings, "GATEWAY_MAX_CONNECTIONS", 1..=1_000_000)?,
        header_timeout: wait(settings, "GATEWAY_HEADER_TIMEOUT")?,
        idle_timeout: wait(settings, "GATEWAY_IDLE_TIMEOUT")?,
        header_bytes_max: number(settings, "GATEWAY_HEADER_BYTES_MAX", 1024..=1 << 20)?,
        target_bytes_max: number(settings, "GATEWAY_TARGET_BYTES_MAX", 256..=64 << 10)?,
    })
}

fn number(
    settings: &Settings,
    name: &str,
    bounds: RangeInclusive<usize>,
) -> Result<usize, SettingsError> {
    within(settings, name, settings.get(name)?, bounds)
}

fn wait(settings: &Settings, name: &str) -> Result<Duration, SettingsError> {
    let Span(wait) = settings.get(name)?;
    within(settings, name, wait, WAITS)
}

fn within<T: PartialOrd>(
    settings: &Settings,
    name: &str,
    value: T,
    bounds: RangeInclusive<T>,
) -> Result<T, SettingsError> {
    if bounds.contains(&value) {
        Ok(value)
    } else {
        Err(settings.invalid(name, "it is out of bounds"))
    }
}
