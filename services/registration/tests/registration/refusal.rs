//! What passes only when a person acts: it is said once, and tried again rarely.

use std::{
    io,
    sync::{Arc, Mutex},
};

use service_kit::secret::Secret;
use tracing_subscriber::fmt::MakeWriter;

use crate::{
    config,
    recording_catalog::{Behaviour, RecordingCatalog},
    start, until,
};

#[derive(Clone, Default)]
struct Captured(Arc<Mutex<Vec<u8>>>);

impl io::Write for Captured {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Captured {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

impl Captured {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

#[tokio::test]
async fn a_wrong_token_is_said_once_and_heals_when_the_catalog_accepts_it() {
    let captured = Captured::default();
    let subscriber = tracing_subscriber::fmt()
        .with_writer(captured.clone())
        .with_ansi(false)
        .finish();
    // The test's runtime has one thread, so the loop logs here too.
    let _guard = tracing::subscriber::set_default(subscriber);
    let catalog = RecordingCatalog::start().await;
    let mut config = config(&[catalog.address()]);
    config.settings.token = Some(Secret::new("wrong-token".to_owned()));
    let registered = start(config);
    let reason = until(&registered, |reason| reason.contains("403")).await;
    assert!(reason.contains("CATALOG_TOKEN"), "{reason}");
    catalog.until(|requests| requests.len() >= 2).await;
    catalog.set_token("wrong-token");
    until(&registered, str::is_empty).await;
    let log = captured.text();
    let errors = log.lines().filter(|line| line.contains("ERROR")).count();
    assert_eq!(errors, 1, "{log}");
    assert!(!log.contains("wrong-token"), "{log}");
}

#[tokio::test]
async fn without_a_token_the_reason_names_the_setting() {
    let catalog = RecordingCatalog::start().await;
    let mut config = config(&[catalog.address()]);
    config.settings.token = None;
    let registered = start(config);
    let reason = until(&registered, |reason| reason.contains("401")).await;
    assert!(reason.contains("CATALOG_TOKEN_FILE"), "{reason}");
}

#[tokio::test]
async fn a_refused_registration_shows_what_the_catalog_says_about_it() {
    let catalog = RecordingCatalog::start().await;
    catalog.behave(Behaviour::Refuse(http::StatusCode::UNPROCESSABLE_ENTITY));
    let registered = start(config(&[catalog.address()]));
    let reason = until(&registered, |reason| reason.contains("422")).await;
    assert!(reason.contains("the test wants it so"), "{reason}");
}

#[tokio::test]
async fn a_url_that_is_no_catalog_is_told_apart_from_an_unknown_service() {
    let catalog = RecordingCatalog::start().await;
    let mut config = config(&[catalog.address()]);
    let elsewhere = format!("http://{}/elsewhere", catalog.address());
    config.settings.catalog_urls = elsewhere.parse().unwrap();
    let registered = start(config);
    let reason = until(&registered, |reason| reason.contains("404")).await;
    assert!(reason.contains("refuses the registration"), "{reason}");
}
