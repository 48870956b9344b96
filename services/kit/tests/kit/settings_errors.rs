//! What is refused at the start, and whether the message helps.

use crate::settings::{Start, start};

/// The message, with its cause as `main` prints it.
fn refused(start: &Start) -> String {
    let error = start.try_load().unwrap_err();
    let source = std::error::Error::source(&error);
    format!(
        "{error} {}",
        source.map(ToString::to_string).unwrap_or_default()
    )
}

#[track_caller]
fn assert_parts(message: &str, parts: &[&str]) {
    for part in parts {
        assert!(message.contains(part), "{part:?} is missing in: {message}");
    }
}

#[test]
fn unknown_names_are_refused_with_the_nearest_known_one() {
    let message = refused(&start().env("CATALOG_LITSEN", "x"));
    assert_parts(
        &message,
        &[
            "CATALOG_LITSEN",
            "did you mean CATALOG_LISTEN?",
            "CATALOG_TOKEN_FILE",
        ],
    );
    for name in ["GATEWAY_X", "PLATFORM_X", "NAMES_X"] {
        assert_parts(&refused(&start().env(name, "x")), &[name]);
    }
    let message = refused(&start().file("catalog_lisen = 'x'"));
    assert_parts(
        &message,
        &[
            "example.toml",
            "key catalog_lisen",
            "did you mean catalog_listen?",
            "routes",
        ],
    );
    assert_parts(
        &refused(&start().args(&["--catalog-litsen=x"])),
        &["--catalog-litsen", "--catalog-listen"],
    );
    assert_parts(&refused(&start().args(&["stray"])), &["stray"]);
    assert!(start().env("UNRELATED", "x").try_load().is_ok());
}

#[test]
fn a_mistake_below_a_value_that_wins_is_still_refused() {
    let start = start().args(&["--lease=1s"]).env("LEASE", "");
    assert_parts(
        &refused(&start),
        &["environment LEASE is empty", "a duration"],
    );
}

#[test]
fn refused_variables_say_why() {
    assert_parts(
        &refused(&start().env("CATALOG_DEBUG", "1")),
        &["CATALOG_DEBUG", "it would log tokens"],
    );
    assert!(start().env("CATALOG_DEBUG", "").try_load().is_ok());
}

#[test]
fn secrets_are_given_once_and_not_empty() {
    let both = start()
        .env("CATALOG_TOKEN", "v")
        .env_file("CATALOG_TOKEN_FILE", "f");
    assert_parts(
        &refused(&both),
        &["environment CATALOG_TOKEN and environment CATALOG_TOKEN_FILE"],
    );
    let empty = start().env_file("CATALOG_TOKEN_FILE", "\n");
    assert_parts(
        &refused(&empty),
        &["environment CATALOG_TOKEN_FILE is empty"],
    );
    let missing = start().env("CATALOG_TOKEN_FILE", "/nonexistent/token");
    assert_parts(
        &refused(&missing),
        &[
            "/nonexistent/token",
            "environment CATALOG_TOKEN_FILE",
            "No such file",
        ],
    );
}

#[test]
fn files_must_be_toml_of_known_forms() {
    assert_parts(
        &refused(&start().file("lease = ")),
        &["example.toml", "not valid TOML", "line 1"],
    );
    assert_parts(
        &refused(&start().file("[lease]\na = 1")),
        &["key lease", "write a string"],
    );
    assert_parts(
        &refused(&start().file("catalog_url = ['a,b']")),
        &["key catalog_url", "commas"],
    );
    assert_parts(
        &refused(&start().args(&["--config", "/nonexistent.toml"])),
        &["/nonexistent.toml", "flag --config"],
    );
}

#[test]
fn wrong_values_name_setting_value_place_and_what_is_allowed() {
    let settings = start().env("PORT", "eighty").file("lease = 5").load();
    let message = settings.get::<u16>("PORT").unwrap_err().to_string();
    assert_parts(
        &message,
        &[
            "PORT = \"eighty\"",
            "(environment PORT)",
            "invalid digit",
            "allowed: 0 to 65535",
        ],
    );
    let message = settings
        .get::<service_kit::settings::Span>("LEASE")
        .unwrap_err()
        .to_string();
    assert_parts(&message, &["example.toml, key lease", "500ms"]);
    let message = settings.get::<String>("HOST").unwrap_err().to_string();
    assert_parts(&message, &["HOST is not set", "--host", "key host"]);
    let message = settings
        .get::<String>("NOT_DECLARED")
        .unwrap_err()
        .to_string();
    assert_parts(&message, &["NOT_DECLARED"]);
}

#[test]
fn items_of_lists_are_checked_one_by_one() {
    let settings = start().env("CATALOG_URL", "1,x,,2").load();
    assert_parts(
        &settings.list::<u8>("CATALOG_URL").unwrap_err().to_string(),
        &["\"x\": invalid digit"],
    );
    assert_parts(
        &settings
            .list::<String>("CATALOG_URL")
            .unwrap_err()
            .to_string(),
        &["an item of the list is empty"],
    );
}

#[test]
fn errors_about_secrets_do_not_show_them() {
    let settings = start().args(&["--catalog-token=hunter2"]).load();
    let message = settings.invalid("CATALOG_TOKEN", "too short").to_string();
    assert_eq!(message, "CATALOG_TOKEN (flag --catalog-token): too short");
    assert!(!format!("{settings:?}").contains("hunter2"));
}

#[test]
fn settings_without_effect_are_errors() {
    let start = start()
        .env("CATALOG_LISTEN", "127.0.0.1:1")
        .env("PORT", "2");
    let message = start
        .load()
        .listen("CATALOG_LISTEN")
        .unwrap_err()
        .to_string();
    assert_eq!(
        message,
        "PORT (environment PORT) has no effect: CATALOG_LISTEN is set; remove it"
    );
    let settings = start.file("[routes]\na = 1").load();
    let message = settings
        .without_effect("routes", "static routes are off")
        .to_string();
    assert_parts(
        &message,
        &["example.toml, key routes", "static routes are off"],
    );
}
