//! What may be set, and what is refused.

use std::collections::BTreeMap;

use registration::{RegistrationSettings, SETTINGS};
use service_kit::settings::{Program, SettingsError, Sources};

const PROGRAM: Program = Program {
    name: "example",
    about: "An example",
    settings: &[SETTINGS],
    tables: &[],
    config_variable: "EXAMPLE_CONFIG",
    refused: &[],
    listen: "",
};

fn read(env: &[(&str, &str)]) -> Result<Option<RegistrationSettings>, SettingsError> {
    let pairs = env
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    let sources = Sources {
        args: Vec::new(),
        env: pairs.collect::<BTreeMap<_, _>>(),
    };
    RegistrationSettings::read(&PROGRAM.load(sources)?)
}

#[test]
fn without_a_catalog_nothing_is_registered() {
    assert!(read(&[]).unwrap().is_none());
}

#[test]
fn a_catalog_is_enough() {
    let settings = read(&[("CATALOG_URL", "http://a:5001,http://b:5001")])
        .unwrap()
        .unwrap();
    assert_eq!(settings.catalog_urls.as_slice().len(), 2);
    assert_eq!(settings.lease.to_string(), "10s");
    assert!(settings.token.is_none() && settings.advertise.is_none());
}

#[test]
fn everything_can_be_set() {
    let settings = read(&[
        ("CATALOG_URL", "http://a:5001"),
        ("CATALOG_TOKEN", "hunter2"),
        ("ADVERTISE_ADDRESS", "names-1:5000"),
        ("REGISTRATION_TTL", "3s"),
    ]);
    let settings = settings.unwrap().unwrap();
    assert_eq!(settings.token.as_ref().unwrap().expose(), "hunter2");
    assert_eq!(
        settings.advertise.as_ref().unwrap().to_string(),
        "names-1:5000"
    );
    assert_eq!(settings.lease.to_string(), "3s");
    assert!(!format!("{settings:?}").contains("hunter2"));
}

#[test]
fn what_cannot_have_an_effect_is_refused() {
    for (name, value) in [
        ("CATALOG_TOKEN", "hunter2"),
        ("ADVERTISE_ADDRESS", "names-1:5000"),
        ("REGISTRATION_TTL", "3s"),
    ] {
        let error = read(&[(name, value)]).unwrap_err().to_string();
        assert!(
            error.contains(name) && error.contains("CATALOG_URL"),
            "{error}"
        );
        assert!(!error.contains("hunter2"), "{error}");
    }
}

#[test]
fn what_is_no_value_is_refused_with_its_name_and_what_is_allowed() {
    for (name, value, allowed) in [
        ("CATALOG_URL", "https://a:5001", "http://host:port"),
        ("CATALOG_URL", "a:5001", "http://host:port"),
        ("ADVERTISE_ADDRESS", "0.0.0.0:80", "host:port"),
        ("ADVERTISE_ADDRESS", "names-1", "host:port"),
        ("REGISTRATION_TTL", "10", "100ms to 1h"),
        ("REGISTRATION_TTL", "2h", "100ms to 1h"),
    ] {
        let mut env = vec![("CATALOG_URL", "http://a:5001")];
        env.retain(|(other, _)| *other != name);
        env.push((name, value));
        let error = read(&env).unwrap_err().to_string();
        assert!(error.contains(name) && error.contains(allowed), "{error}");
    }
}
