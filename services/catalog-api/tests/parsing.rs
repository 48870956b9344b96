//! What may be said on the wire, what is refused, and that everything accepted survives a round trip.
use catalog_api::{
    Address, Balance, Breaker, Cache, Ejection, HealthCheck, HostPattern, InstanceSpec, Limits,
    PathPrefix, Policy, Probe, RouteSpec, Service, ServiceName, ServiceRef, ServiceSpec, Span,
    Timeouts, Weight,
};
use proptest::prelude::*;
use serde_json::json;

const FULL: &str = r#"{ "name": "hold", "description": "…", "version": "1.4.2", "tags": ["demo"], "metadata": {"team": "core"}, "min_instances": 1,
  "routes": [ { "host": "*.example.org", "path_prefix": "/hold/", "strip_prefix": true, "methods": ["GET"], "headers": {"x-beta": "1"} } ],
  "policy": { "balance": "least_request", "health": { "kind": "http", "path": "/health", "interval": "2s", "timeout": "1s", "healthy_after": 1, "unhealthy_after": 2 },
              "timeouts": { "connect": "1s", "read": "30s", "total": "60s" }, "retry": { "attempts": 3, "budget_percent": 20 } } }"#;

#[test]
fn the_documented_service_is_understood_and_written_back_the_same() {
    let spec: ServiceSpec = serde_json::from_str(FULL).unwrap();
    assert_eq!(
        spec.policy.health.probe,
        Probe::Http {
            path: "/health".into()
        }
    );
    assert_eq!(
        spec.routes[0].host,
        Some(HostPattern::Wildcard("example.org".into()))
    );
    let mut expected: serde_json::Value = serde_json::from_str(FULL).unwrap();
    // humantime writes a minute as a minute
    expected["policy"]["timeouts"]["total"] = json!("1m");
    assert_eq!(serde_json::to_value(&spec).unwrap(), expected);
}

#[test]
fn who_may_call_is_only_written_when_it_is_not_everyone() {
    for (text, written) in [
        ("open", json!({})),
        ("token", json!({"call": "token"})),
        ("off", json!({"call": "off"})),
    ] {
        let policy: Policy = serde_json::from_value(json!({ "call": text })).unwrap();
        let again = serde_json::to_value(&policy).unwrap();
        assert_eq!(again.get("call"), written.get("call"));
        assert_eq!(serde_json::from_value::<Policy>(again).unwrap(), policy);
    }
}

#[test]
fn a_service_is_cached_only_when_it_says_so() {
    let policy: Policy = serde_json::from_value(json!({})).unwrap();
    assert_eq!(policy.cache, None);
    assert_eq!(serde_json::to_value(&policy).unwrap().get("cache"), None);
    let policy: Policy = serde_json::from_value(json!({"cache": {}})).unwrap();
    assert_eq!(policy.cache, Some(Cache::default()));
    let whole = json!({"default_ttl": "10s", "stale_while_revalidate": "30s", "stale_if_error": "5m", "max_object_bytes": 1});
    let policy: Policy = serde_json::from_value(json!({ "cache": whole })).unwrap();
    assert_eq!(serde_json::to_value(&policy).unwrap()["cache"], whole);
}

#[test]
fn a_route_is_written_back_as_it_came() {
    for wire in [
        json!({"path_prefix": "/a/", "strip_prefix": true}),
        json!({"path_prefix": "/a/", "strip_prefix": false, "rewrite": "/b/"}),
        json!({"path": "/a", "strip_prefix": false}),
        json!({"path": "/a/", "strip_prefix": false, "rewrite": "/b"}),
        json!({"path_prefix": "/", "strip_prefix": false, "redirect": {"to": "https://a.test:8443/b", "status": 302, "keep_rest": true}}),
        json!({"path_prefix": "/", "strip_prefix": false, "redirect": {"to": "http://[::1]/", "status": 308, "keep_rest": false}}),
    ] {
        let route: RouteSpec = serde_json::from_value(wire.clone()).unwrap();
        assert_eq!(serde_json::to_value(&route).unwrap(), wire);
    }
    let short: RouteSpec =
        serde_json::from_value(json!({"redirect": {"to": "HTTPS://a"}})).unwrap_or_default();
    assert_eq!(short, RouteSpec::default(), "a scheme is in lower case");
}

#[test]
fn what_protects_a_service_is_only_written_when_it_was_said() {
    let policy: Policy = serde_json::from_value(json!({})).unwrap();
    let written = serde_json::to_value(&policy).unwrap();
    for field in ["limits", "breaker", "ejection", "panic_percent"] {
        assert_eq!(
            written.get(field),
            None,
            "an older gateway would refuse {field}"
        );
    }
    assert_eq!(written["timeouts"].get("write"), None);
    let policy: Policy =
        serde_json::from_value(json!({"limits": {}, "breaker": {}, "ejection": {}})).unwrap();
    assert_eq!(policy.limits, Limits::default());
    assert_eq!(policy.breaker, Some(Breaker::default()));
    assert_eq!(policy.ejection, Some(Ejection::default()));
    let whole = json!({
        "limits": {
            "concurrency": 100, "body_bytes": 1000,
            "rate": {"requests": 10, "per": "1m", "burst": 20, "by": {"header": "x-api-key"}},
        },
        "breaker": {"error_percent": 30, "window": "1m", "requests_min": 7, "open": "2s", "probes": 1},
        "ejection": {"failures": 3, "time": "10s", "time_max": "1m", "percent_max": 100},
        "panic_percent": 0,
    });
    let policy: Policy = serde_json::from_value(whole.clone()).unwrap();
    let written = serde_json::to_value(&policy).unwrap();
    for (field, value) in whole.as_object().unwrap() {
        assert_eq!(&written[field], value);
    }
    assert_eq!(serde_json::from_value::<Policy>(written).unwrap(), policy);
    for by in [json!("route"), json!({"header": "x-a"})] {
        let rate = json!({"requests": 1, "per": "1s", "by": by});
        let policy: Policy = serde_json::from_value(json!({"limits": {"rate": rate}})).unwrap();
        let written = serde_json::to_value(&policy).unwrap();
        assert_eq!(written["limits"]["rate"], rate);
    }
}

#[test]
fn impossible_policies_and_those_left_for_later_are_refused_by_name() {
    for (policy, expected) in [
        (
            json!({"limits": {"concurrency": 0}}),
            "limits.concurrency must be 1 to 1000000",
        ),
        (
            json!({"limits": {"body_bytes": 0}}),
            "limits.body_bytes must be 1 to",
        ),
        (
            json!({"limits": {"rate": {"requests": 0, "per": "1s"}}}),
            "limits.rate.requests",
        ),
        (
            json!({"limits": {"rate": {"requests": 1}}}),
            "missing field `per`",
        ),
        (
            json!({"limits": {"rate": {"requests": 1, "per": "10ms"}}}),
            "limits.rate.per",
        ),
        (
            json!({"limits": {"rate": {"requests": 100_001, "per": "1s"}}}),
            "at most 100000 a second",
        ),
        (
            json!({"limits": {"rate": {"requests": 1, "per": "1h", "burst": 25}}}),
            "within 24h",
        ),
        (
            json!({"limits": {"rate": {"requests": 1, "per": "1s", "burst": 0}}}),
            "limits.rate.burst",
        ),
        (
            json!({"limits": {"rate": {"requests": 1, "per": "1s", "by": "ip"}}}),
            "client_address",
        ),
        (
            json!({"breaker": {"error_percent": 0}}),
            "breaker.error_percent",
        ),
        (json!({"breaker": {"window": "10ms"}}), "breaker.window"),
        (
            json!({"breaker": {"requests_min": 0}}),
            "breaker.requests_min",
        ),
        (json!({"breaker": {"open": "1ms"}}), "breaker.open"),
        (json!({"breaker": {"probes": 0}}), "breaker.probes"),
        (json!({"ejection": {"failures": 0}}), "ejection.failures"),
        (
            json!({"ejection": {"time": "1m", "time_max": "1s"}}),
            "ejection.time_max",
        ),
        (
            json!({"ejection": {"percent_max": 0}}),
            "ejection.percent_max",
        ),
        (
            json!({"panic_percent": 101}),
            "panic_percent must be 0 to 100",
        ),
        (json!({"timeouts": {"write": "2m"}}), "timeouts.write"),
        (json!({"jwt": {}}), "unknown field `jwt`"),
        (json!({"api_keys": []}), "unknown field `api_keys`"),
        (json!({"canary": {}}), "unknown field `canary`"),
        (json!({"mirror": "x"}), "unknown field `mirror`"),
        (
            json!({"proxy_protocol": true}),
            "unknown field `proxy_protocol`",
        ),
    ] {
        let error = serde_json::from_value::<Policy>(policy.clone()).unwrap_err();
        let error = error.to_string();
        assert!(error.contains(expected), "{policy}: {error}");
    }
}

#[test]
fn what_has_no_effect_beside_another_part_is_refused_when_it_is_declared() {
    let declared = |policy: serde_json::Value| json!({"name": "hold", "policy": policy});
    let both = json!({"protocol": "h2", "timeouts": {"write": "2s"}});
    let error = serde_json::from_value::<ServiceSpec>(declared(both.clone())).unwrap_err();
    let error = error.to_string();
    assert!(error.contains("timeouts.write has no effect"), "{error}");
    assert!(error.contains("timeouts.read (30s)"), "{error}");
    for fits in [
        json!({"protocol": "h2", "timeouts": {"read": "2s"}}),
        json!({"protocol": "h2", "timeouts": {"write": "30s"}}),
        json!({"timeouts": {"write": "2s"}}),
    ] {
        let read = serde_json::from_value::<ServiceSpec>(declared(fits.clone()));
        assert!(read.is_ok(), "{fits}: {read:?}");
    }
    // One that is there already stays there.
    serde_json::from_value::<Policy>(both).unwrap();
}

#[test]
fn only_the_name_is_needed() {
    let spec: ServiceSpec = serde_json::from_str(r#"{"name":"hold"}"#).unwrap();
    assert_eq!(spec, ServiceSpec::named("hold".parse().unwrap()));
    let again: ServiceSpec = serde_json::from_value(serde_json::to_value(&spec).unwrap()).unwrap();
    assert_eq!(again, spec);
}

#[test]
fn what_is_refused_says_why() {
    let long = "x".repeat(64);
    let cases = [
        (json!({"name": "health"}), "reserved"),
        (json!({"name": "12"}), "number"),
        (json!({"name": "Hold"}), "DNS label"),
        (json!({"name": "-a"}), "DNS label"),
        (json!({"name": long}), "1 to 63"),
        (json!({"name": "a", "colour": 1}), "unknown field `colour`"),
        (json!({"name": "a", "min_instances": 1001}), "0 to 1000"),
        (
            json!({"name": "a", "routes": [{"path_prefix": "x"}]}),
            "start with /",
        ),
        (
            json!({"name": "a", "routes": [{"path_prefix": "/a/../b"}]}),
            "dot segments",
        ),
        (
            json!({"name": "a", "routes": [{"path_prefix": "/a%2Fb"}]}),
            "unencoded",
        ),
        (
            json!({"name": "a", "routes": [{"host": "a:80"}]}),
            "without a port",
        ),
        (
            json!({"name": "a", "routes": [{"path": "/a", "path_prefix": "/"}]}),
            "must not be given with path_prefix",
        ),
        (
            json!({"name": "a", "routes": [{"path": "//a"}]}),
            "empty or dot segments",
        ),
        (
            json!({"name": "a", "routes": [{"path": "/a", "strip_prefix": true}]}),
            "use rewrite",
        ),
        (
            json!({"name": "a", "routes": [{"strip_prefix": true, "rewrite": "/b"}]}),
            "rewrite must not be given with strip_prefix",
        ),
        (
            json!({"name": "a", "routes": [{"rewrite": "b"}]}),
            "start with /",
        ),
        (
            json!({"name": "a", "routes": [{"rewrite": "/b", "redirect": {"to": "/c"}}]}),
            "redirect must not be given with",
        ),
        (
            json!({"name": "a", "routes": [{"path": "/b", "redirect": {"to": "/b"}}]}),
            "round in circles",
        ),
        (
            json!({"name": "a", "routes": [{"redirect": {"to": "//evil.test"}}]}),
            "redirect.to",
        ),
        (
            json!({"name": "a", "routes": [{"redirect": {"to": "javascript://a"}}]}),
            "redirect.to",
        ),
        (
            json!({"name": "a", "routes": [{"redirect": {"to": "https://a@b/"}}]}),
            "redirect.to",
        ),
        (
            json!({"name": "a", "routes": [{"redirect": {"to": "https://a:0/"}}]}),
            "redirect.to",
        ),
        (
            json!({"name": "a", "routes": [{"redirect": {"to": "/b?c"}}]}),
            "redirect.to",
        ),
        (
            json!({"name": "a", "routes": [{"redirect": {"to": "/b", "status": 304}}]}),
            "301, 302, 303, 307 or 308",
        ),
        (
            json!({"name": "a", "routes": [{"mirror": "b"}]}),
            "unknown field `mirror`",
        ),
        (
            json!({"name": "a", "routes": [{"host": "*.*.org"}]}),
            "example.org",
        ),
        (
            json!({"name": "a", "routes": [{"methods": ["FETCH"]}]}),
            "unknown variant",
        ),
        (
            json!({"name": "a", "routes": [{"headers": {"a b": "1"}}]}),
            "header name",
        ),
        (
            json!({"name": "a", "routes": [{"headers": {"X-A": "1", "x-a": "2"}}]}),
            "twice",
        ),
        (
            json!({"name": "a", "routes": vec![json!({}); 65]}),
            "at most 64",
        ),
        (
            json!({"name": "a", "policy": {"cache": {"max_object_bytes": 0}}}),
            "cache.max_object_bytes",
        ),
        (
            json!({"name": "a", "policy": {"cache": {"max_object_bytes": 67_108_865}}}),
            "67108864",
        ),
        (
            json!({"name": "a", "policy": {"cache": {"default_ttl": "10ms"}}}),
            "cache.default_ttl",
        ),
        (
            json!({"name": "a", "policy": {"cache": {"stale_if_error": "25h"}}}),
            "24h",
        ),
        (
            json!({"name": "a", "policy": {"cache": {"ttl": "1s"}}}),
            "unknown field `ttl`",
        ),
        (
            json!({"name": "a", "policy": {"balance": "best"}}),
            "least_request",
        ),
        (
            json!({"name": "a", "policy": {"balance": {"kind": "best"}}}),
            "least_request",
        ),
        (
            json!({"name": "a", "policy": {"balance": 1}}),
            "a word such as",
        ),
        (
            json!({"name": "a", "policy": {"balance": "consistent_hash"}}),
            "balance.by must be given",
        ),
        (
            json!({"name": "a", "policy": {"balance": {"kind": "consistent_hash", "by": {"path": "x"}}}}),
            "client_address",
        ),
        (
            json!({"name": "a", "policy": {"balance": {"kind": "consistent_hash", "by": {"header": "a b"}}}}),
            "header name",
        ),
        (
            json!({"name": "a", "policy": {"balance": {"kind": "consistent_hash", "by": {"cookie": "a=b"}}}}),
            "cookie name",
        ),
        (
            json!({"name": "a", "policy": {"balance": {"kind": "random", "by": "client_address"}}}),
            "no effect",
        ),
        (
            json!({"name": "a", "policy": {"balance": {"kind": "consistent_hash", "by": "client_address", "sticky": {"cookie": "a"}}}}),
            "already",
        ),
        (
            json!({"name": "a", "policy": {"balance": {"sticky": {"cookie": "__Host-a"}}}}),
            "plain HTTP",
        ),
        (
            json!({"name": "a", "policy": {"balance": {"sticky": {}}}}),
            "missing field `cookie`",
        ),
        (
            json!({"name": "a", "policy": {"balance": {"slow_start": "1ms"}}}),
            "balance.slow_start must be 1s to 1h",
        ),
        (
            json!({"name": "a", "policy": {"balance": {"kind": "consistent_hash", "by": "client_address", "slow_start": "9s"}}}),
            "must not be given",
        ),
        (
            json!({"name": "a", "policy": {"health": {"kind": "tcp", "path": "/x"}}}),
            "no effect",
        ),
        (
            json!({"name": "a", "policy": {"health": {"path": "x"}}}),
            "absolute path",
        ),
        (
            json!({"name": "a", "policy": {"health": {"interval": "1ms"}}}),
            "100ms",
        ),
        (
            json!({"name": "a", "policy": {"health": {"interval": "2"}}}),
            "unit",
        ),
        (
            json!({"name": "a", "policy": {"health": {"unhealthy_after": 0}}}),
            "1 to 100",
        ),
        (
            json!({"name": "a", "policy": {"timeouts": {"total": "1s", "read": "2s"}}}),
            "timeouts.total",
        ),
        (
            json!({"name": "a", "policy": {"retry": {"attempts": 0}}}),
            "1 to 10",
        ),
        (
            json!({"name": "a", "policy": {"retry": {"budget_percent": 101}}}),
            "0 to 100",
        ),
        (json!({"name": "a", "tags": [""]}), "1 to 63"),
        (
            json!({"name": "a", "metadata": {"k": "line\nbreak"}}),
            "control",
        ),
        (
            json!({"name": "a", "description": "x".repeat(1025)}),
            "1024",
        ),
    ];
    for (spec, expected) in cases {
        let error = serde_json::from_value::<ServiceSpec>(spec.clone())
            .unwrap_err()
            .to_string();
        assert!(error.contains(expected), "{spec}: {error}");
        assert!(error.len() < 400, "{error}");
    }
}

#[test]
fn instances_are_bounded_too() {
    let cases = [
        (json!({"address": "127.0.0.1"}), "no port"),
        (json!({"address": "127.0.0.1:0"}), "1 to 65535"),
        (json!({"address": "127.0.0.1:+80"}), "1 to 65535"),
        (json!({"address": "127.0.0.1:65536"}), "1 to 65535"),
        (json!({"address": "0.0.0.0:80"}), "single machine"),
        (json!({"address": "300.1.1.1:80"}), "valid host"),
        (json!({"address": "::1:80"}), "valid host"),
        (json!({"address": "http://a:80"}), "valid host"),
        (json!({"address": "a:1", "weight": 0}), "1 to 1000"),
        (json!({"address": "a:1", "weight": 1001}), "1 to 1000"),
        (json!({"address": "a:1", "weight": -1}), "invalid value"),
        (json!({"address": "a:1", "ttl": "0s"}), "1ms to 24h"),
        (
            json!({"address": "a:1", "status": "passing"}),
            "unknown field",
        ),
        (json!({"weight": 1}), "missing field `address`"),
    ];
    for (spec, expected) in cases {
        let error = serde_json::from_value::<InstanceSpec>(spec.clone())
            .unwrap_err()
            .to_string();
        assert!(error.contains(expected), "{spec}: {error}");
    }
    for good in [
        "127.0.0.1:1",
        "[::1]:8080",
        "localhost:65535",
        "service_api.internal:80",
    ] {
        assert_eq!(good.parse::<Address>().unwrap().to_string(), good);
    }
}

#[test]
fn a_reader_passes_over_fields_of_a_newer_catalog() {
    let service: Service = serde_json::from_value(json!({
        "id": 3, "name": "a", "revision": 9, "created_at": "2026-01-31T12:00:00Z", "updated_at": "2026-01-31T12:00:00.250Z",
        "new": true, "instances": [{"id": "x", "address": "127.0.0.1:1", "status": "suspect", "new": 1}]
    }))
    .unwrap();
    assert_eq!(
        serde_json::to_value(&service).unwrap()["updated_at"],
        "2026-01-31T12:00:00.250Z"
    );
}

#[test]
fn a_balance_is_written_back_as_it_came() {
    for wire in [
        json!("least_request"),
        json!("round_robin"),
        json!("random"),
        json!({"kind": "consistent_hash", "by": "client_address"}),
        json!({"kind": "consistent_hash", "by": {"header": "x-user"}}),
        json!({"kind": "consistent_hash", "by": {"cookie": "session"}}),
        json!({"kind": "random", "sticky": {"cookie": "hold-at"}}),
        json!({"kind": "least_request", "slow_start": "10s"}),
    ] {
        let balance: Balance = serde_json::from_value(wire.clone()).unwrap();
        assert_eq!(serde_json::to_value(&balance).unwrap(), wire);
    }
    let short: Balance = serde_json::from_value(json!({"kind": "random"})).unwrap();
    assert_eq!(serde_json::to_value(&short).unwrap(), json!("random"));
}

#[test]
fn a_short_total_shortens_the_defaults_and_survives_a_round_trip() {
    let timeouts: Timeouts = serde_json::from_value(json!({"total": "5s"})).unwrap();
    let again: Timeouts = serde_json::from_value(serde_json::to_value(timeouts).unwrap()).unwrap();
    assert_eq!(again, timeouts);
}

#[test]
fn a_path_is_a_number_or_a_name() {
    assert!(matches!("12".parse(), Ok(ServiceRef::Id(id)) if id.0 == 12));
    assert!(matches!("a12".parse(), Ok(ServiceRef::Name(_))));
    assert!("99999999999999999999".parse::<ServiceRef>().is_err());
    assert!("".parse::<ServiceRef>().is_err());
}

proptest! {
    #[test]
    fn parsers_never_panic_and_accept_only_what_they_can_write_back(text in "\\PC{0,40}") {
        if let Ok(name) = text.parse::<ServiceName>() { prop_assert_eq!(name.as_str(), text.as_str()); }
        if let Ok(address) = text.parse::<Address>() { prop_assert_eq!(address.to_string().parse::<Address>().unwrap(), address); }
        if let Ok(host) = text.parse::<HostPattern>() { prop_assert_eq!(host.to_string().parse::<HostPattern>().unwrap(), host); }
        if let Ok(span) = text.parse::<Span>() { prop_assert_eq!(span.to_string().parse::<Span>().unwrap(), span); }
    }

    #[test]
    fn prefixes_end_in_one_slash(segments in prop::collection::vec("[a-z._-]{1,6}", 0..4), slash in any::<bool>()) {
        let text = format!("/{}{}", segments.join("/"), if slash && !segments.is_empty() { "/" } else { "" });
        if let Ok(prefix) = text.parse::<PathPrefix>() {
            prop_assert!(prefix.as_str().ends_with('/') && !prefix.as_str().contains("//"));
            prop_assert_eq!(prefix.as_str().trim_end_matches('/'), text.trim_end_matches('/'));
        } else {
            prop_assert!(segments.iter().any(|segment| segment == "." || segment == ".."));
        }
    }

    #[test]
    fn weights_are_1_to_1000(number in any::<u64>()) {
        prop_assert_eq!(Weight::try_from(number).is_ok(), (1..=1000).contains(&number));
    }

    #[test]
    fn health_checks_round_trip(interval in 100u64..3_600_000, timeout in 10u64..60_000, up in 1u8..=100, down in 1u8..=100, http in any::<bool>()) {
        let mut raw = json!({"interval": format!("{interval}ms"), "timeout": format!("{timeout}ms"), "healthy_after": up, "unhealthy_after": down});
        if http { raw["path"] = json!("/up?deep=1"); }
        let check: HealthCheck = serde_json::from_value(raw).unwrap();
        let policy = Policy { health: check, ..Policy::default() };
        prop_assert_eq!(serde_json::from_value::<Policy>(serde_json::to_value(&policy).unwrap()).unwrap(), policy);
    }

    #[test]
    fn routes_round_trip(host in prop::option::of("(\\*\\.)?[a-z]{1,5}\\.[a-z]{2,3}"), strip in any::<bool>()) {
        let route: RouteSpec = serde_json::from_value(json!({"host": host, "strip_prefix": strip})).unwrap();
        prop_assert_eq!(serde_json::from_value::<RouteSpec>(serde_json::to_value(&route).unwrap()).unwrap(), route);
    }
}
