//! Every endpoint, what it answers, and what it refuses.

use http::{Method, header};
use names::Config;
use serde_json::Value;

use crate::instance::start;

#[tokio::test]
async fn the_information_lists_the_endpoints_and_each_of_them_answers() {
    let instance = start(Config::default());
    let asker = instance.asker();
    let information = asker.json("/").await;
    assert_eq!(information["service"], "service-api");
    assert_eq!(
        information["parameters"]["locale"],
        serde_json::json!(["en", "de", "es", "fr", "ru"])
    );
    let endpoints = information["endpoints"].as_object().unwrap();
    assert_eq!(endpoints.len(), 6);
    for endpoint in endpoints.keys() {
        let path = endpoint
            .strip_prefix("GET ")
            .unwrap()
            .replace("{count}", "3");
        assert_eq!(asker.get(&path).await.status(), 200, "{endpoint}");
    }
}

#[tokio::test]
async fn a_name_is_a_given_and_a_family_name_with_its_locale() {
    let instance = start(Config::default());
    let asker = instance.asker();
    for (path, locale) in [
        ("/name", "en"),
        ("/name?locale=ru", "ru"),
        ("/name?locale=de&seed=5", "de"),
    ] {
        let answer = asker.json(path).await;
        assert_eq!(answer["locale"], locale);
        let name = answer["name"].as_str().unwrap();
        assert_eq!(name.split(' ').count(), 2, "{name}");
        assert_eq!(
            name.chars().any(|char| ('а'..='я').contains(&char)),
            locale == "ru",
            "{name}"
        );
        assert_eq!(answer.as_object().unwrap().len(), 2);
    }
}

#[tokio::test]
async fn as_many_names_as_asked_for() {
    let instance = start(Config::default());
    let asker = instance.asker();
    for count in [1, 2, 99, 100] {
        let answer = asker.json(&format!("/names/{count}")).await;
        assert_eq!(answer["names"].as_array().unwrap().len(), count);
        assert_eq!(answer["count"], count);
        assert_eq!(answer["locale"], "en");
    }
}

#[tokio::test]
async fn a_count_out_of_range_names_the_range() {
    let instance = start(Config::default());
    let asker = instance.asker();
    for count in [
        "0",
        "101",
        "-1",
        "abc",
        "1.5",
        "%2B5",
        "99999999999999999999999",
        "5%20",
    ] {
        let problem = refused(&asker, &format!("/names/{count}"), 400).await;
        assert!(
            problem["detail"]
                .as_str()
                .unwrap()
                .contains("from 1 to 100"),
            "{problem}"
        );
    }
}

#[tokio::test]
async fn unknown_query_values_and_keys_name_what_is_allowed() {
    let instance = start(Config::default());
    let asker = instance.asker();
    for (query, part) in [
        ("locale=xx", "en, de, es, fr, ru"),
        ("locale=", "en, de, es, fr, ru"),
        ("seed=abc", "0 to 18446744073709551615"),
        ("seed=-1", "0 to 18446744073709551615"),
        ("seed=18446744073709551616", "0 to 18446744073709551615"),
        ("sed=1", "seed, locale"),
        ("seed=1&seed=2", "twice"),
    ] {
        for path in ["/name", "/names/3"] {
            let problem = refused(&asker, &format!("{path}?{query}"), 400).await;
            assert!(
                problem["detail"].as_str().unwrap().contains(part),
                "{problem}"
            );
        }
    }
}

#[tokio::test]
async fn unknown_paths_are_404_and_wrong_methods_405_with_what_is_allowed() {
    let instance = start(Config::default());
    let asker = instance.asker();
    for path in [
        "/names",
        "/names/",
        "/names/1/2",
        "/Name",
        "/name/",
        "/nothing",
    ] {
        refused(&asker, path, 404).await;
    }
    for path in ["/", "/name", "/names/3", "/status", "/health", "/metrics"] {
        for method in [Method::POST, Method::PUT, Method::DELETE, Method::PATCH] {
            let response = asker.ask(method, path).await;
            assert_eq!(response.status(), 405, "{path}");
            let allow = response.headers()[header::ALLOW].to_str().unwrap();
            assert!(allow.contains("GET") && allow.contains("HEAD"), "{allow}");
        }
    }
}

#[tokio::test]
async fn head_answers_as_get_without_the_body() {
    let instance = start(Config::default());
    let asker = instance.asker();
    for path in ["/", "/name?seed=1", "/names/3?seed=1", "/names/0"] {
        let (get, head) = (asker.get(path).await, asker.ask(Method::HEAD, path).await);
        assert_eq!(head.status(), get.status());
        assert!(head.body().is_empty());
        for name in [header::CONTENT_TYPE, header::CONTENT_LENGTH] {
            assert_eq!(head.headers()[&name], get.headers()[&name], "{path}");
        }
    }
}

#[tokio::test]
async fn answers_say_which_instance_gave_them_and_are_not_to_be_cached() {
    let config = Config {
        instance: Some("blue:1".parse().unwrap()),
        ..Config::default()
    };
    let instance = start(config);
    let asker = instance.asker();
    for path in ["/", "/name", "/names/3", "/names/0", "/name?x=1", "/status"] {
        assert_eq!(
            asker.get(path).await.headers()["x-instance"],
            "blue:1",
            "{path}"
        );
    }
    for path in ["/name", "/names/3", "/status"] {
        assert_eq!(
            asker.get(path).await.headers()[header::CACHE_CONTROL],
            "no-store",
            "{path}"
        );
    }
}

/// The problem document of a refusal.
async fn refused(asker: &crate::instance::Asker, path: &str, status: u16) -> Value {
    let response = asker.get(path).await;
    assert_eq!(response.status(), status, "{path}: {response:?}");
    assert_eq!(
        response.headers()[header::CONTENT_TYPE],
        "application/problem+json"
    );
    let problem: Value = serde_json::from_slice(response.body()).unwrap();
    assert_eq!(problem["status"], status);
    assert_eq!(
        problem["instance"],
        response.headers()["x-request-id"].to_str().unwrap()
    );
    problem
}
