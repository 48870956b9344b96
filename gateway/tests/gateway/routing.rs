//! Which service a request reaches and what the gateway says when none is reached.

use serde_json::json;
use service_kit::settings::Sources;

use crate::harness::{Backend, Behaviour, Rig, service, with};

async fn echo(name: &str) -> Backend {
    Backend::behaving(name, Behaviour::Echo).await
}

#[tokio::test]
async fn the_built_in_routes_lead_to_the_api_and_the_catalog() {
    let rig = Rig::start().await;
    let (api, catalog) = (echo("api-1").await, echo("catalog-1").await);
    rig.put(with(service("service-api", &[&api]), "routes", json!([])))
        .await;
    rig.put(with(
        service("service-catalog", &[&catalog]),
        "routes",
        json!([]),
    ))
    .await;
    for (target, backend, arrives_as) in [
        ("/api", &api, "/"),
        ("/api/", &api, "/"),
        ("/api?x=1", &api, "/?x=1"),
        ("/api/name", &api, "/name"),
        ("/api/name?seed=7&q=a%20b", &api, "/name?seed=7&q=a%20b"),
        ("/api/a%2Fb", &api, "/a%2Fb"),
        ("/x/../api/name", &api, "/name"),
        ("/apiary", &catalog, "/apiary"),
        ("/services?limit=1", &catalog, "/services?limit=1"),
        ("/", &catalog, "/"),
    ] {
        let before = backend.hits();
        let answer = rig.get(target).await;
        assert_eq!(answer.status(), 200, "{target}");
        assert_eq!(answer.json()["target"], arrives_as, "{target}");
        assert_eq!(backend.hits(), before + 1, "{target}");
    }
    let metrics = rig.get("/metrics").await;
    assert!(
        metrics
            .text()
            .contains("# TYPE gateway_requests_total counter")
    );
}

#[tokio::test]
async fn an_absolute_target_is_routed_by_its_host_and_passed_on_in_origin_form() {
    let rig = Rig::without_file_routes().await;
    let backend = echo("b").await;
    let route = json!([{"host": "shop.test", "path_prefix": "/hold", "strip_prefix": true}]);
    rig.put(with(service("hold", &[&backend]), "routes", route))
        .await;
    let host = [("Host", "shop.test")];
    for (target, arrives_as) in [
        ("http://shop.test/hold/x?q=1", "/x?q=1"),
        ("http://shop.test/hold", "/"),
    ] {
        let answer = rig.send("GET", target, &host, "").await;
        assert_eq!(answer.json()["target"], arrives_as, "{target}");
    }
    let elsewhere = [("Host", "other.test")];
    let answer = rig
        .send("GET", "http://other.test/hold/x", &elsewhere, "")
        .await;
    assert_eq!(answer.status(), 404);
}

#[tokio::test]
async fn hosts_decide_before_paths_whatever_their_case_and_port() {
    let rig = Rig::without_file_routes().await;
    let (exact, wild, any) = (echo("exact").await, echo("wild").await, echo("any").await);
    for (backend, route) in [
        (&exact, json!({"host": "a.shop.test"})),
        (&wild, json!({"host": "*.shop.test"})),
        (&any, json!({"path_prefix": "/deep/er"})),
    ] {
        rig.put(with(
            service(backend.name(), &[backend]),
            "routes",
            json!([route]),
        ))
        .await;
    }
    for (host, reached) in [
        ("a.shop.test", &exact),
        ("A.Shop.TEST:8080", &exact),
        ("a.shop.test.", &exact),
        ("b.shop.test", &wild),
        ("x.b.shop.test:1", &wild),
        ("shop.test", &any),
        ("other.test", &any),
    ] {
        let before = reached.hits();
        let answer = rig.send("GET", "/deep/er/x", &[("Host", host)], "").await;
        assert_eq!(
            (answer.status(), reached.hits()),
            (200, before + 1),
            "{host}"
        );
    }
}

#[tokio::test]
async fn predicates_choose_between_versions_of_a_service() {
    let rig = Rig::without_file_routes().await;
    let (stable, beta) = (echo("stable").await, echo("beta").await);
    let beta_only = json!([{"path_prefix": "/shop", "headers": {"x-beta": "1"}}]);
    rig.put(with(
        service("stable", &[&stable]),
        "routes",
        json!([{"path_prefix": "/shop"}]),
    ))
    .await;
    rig.put(with(service("beta", &[&beta]), "routes", beta_only))
        .await;
    for (headers, reached) in [
        (&[("X-Beta", "1")][..], &beta),
        (&[("X-Beta", "2")][..], &stable),
        (&[][..], &stable),
    ] {
        let before = reached.hits();
        rig.send("GET", "/shop", headers, "").await;
        assert_eq!(reached.hits(), before + 1, "{headers:?}");
    }
}

#[tokio::test]
async fn a_service_sees_the_path_that_its_route_makes() {
    let rig = Rig::without_file_routes().await;
    let backend = echo("b").await;
    let routes = json!([
        {"path_prefix": "/old/", "rewrite": "/v2/new/"},
        {"path_prefix": "/flat", "rewrite": "/"},
        {"path": "/one", "rewrite": "/other"},
        {"path": "/same"},
        {"path_prefix": "/kept"},
    ]);
    rig.put(with(service("hold", &[&backend]), "routes", routes))
        .await;
    for (target, arrives_as) in [
        ("/old/x?q=1", "/v2/new/x?q=1"),
        ("/old/", "/v2/new/"),
        ("/old", "/v2/new"),
        ("/old/a%2Fb", "/v2/new/a%2Fb"),
        ("/x/../old/x", "/v2/new/x"),
        ("/flat/x", "/x"),
        ("/flat", "/"),
        ("/one", "/other"),
        ("/one?", "/other?"),
        ("/one?q", "/other?q"),
        ("/same?q", "/same?q"),
        ("/kept/x", "/kept/x"),
    ] {
        let answer = rig.get(target).await;
        assert_eq!(answer.status(), 200, "{target}");
        assert_eq!(answer.json()["target"], arrives_as, "{target}");
    }
    for target in ["/one/", "/one/x", "/same/", "/oldest"] {
        assert_eq!(rig.get(target).await.status(), 404, "{target}");
    }
    let table = rig.admin("/routes").await.json();
    let shown = table["routes"].as_array().unwrap();
    let one = shown.iter().find(|route| route["path"] == "/one").unwrap();
    assert_eq!(
        (&one["name"], &one["rewrite"]),
        (&json!("hold:=/one"), &json!("/other"))
    );
}

#[tokio::test]
async fn a_route_can_send_clients_elsewhere() {
    let rig = Rig::without_file_routes().await;
    let backend = echo("b").await;
    let routes = json!([
        {"path_prefix": "/old/", "redirect": {"to": "/new/", "status": 301, "keep_rest": true}},
        {"path_prefix": "/gone/", "redirect": {"to": "https://else.test/x", "status": 302}},
        {"path": "/", "methods": ["GET"], "redirect": {"to": "/app/"}},
        {"path_prefix": "/root/", "redirect": {"to": "/", "status": 307, "keep_rest": true}},
        {"path_prefix": "/form/", "methods": ["POST"], "redirect": {"to": "/done", "status": 303}},
    ]);
    rig.put(with(service("hold", &[&backend]), "routes", routes))
        .await;
    for (method, target, status, location) in [
        ("GET", "/old/x/y?q=1", 301, "/new/x/y?q=1"),
        ("GET", "/old", 301, "/new/"),
        ("GET", "/gone/x?q=1", 302, "https://else.test/x"),
        ("HEAD", "/", 308, "/app/"),
        ("POST", "/form/x", 303, "/done"),
        ("GET", "/root//evil.test/x", 307, "/evil.test/x"),
        ("GET", "/root/x/..//evil.test", 307, "/evil.test"),
        ("GET", "/root///evil.test", 307, "/evil.test"),
        ("GET", "/old//evil.test", 301, "/new/evil.test"),
    ] {
        let answer = rig.send(method, target, &[], "").await;
        assert_eq!(answer.status(), status, "{target}");
        assert_eq!(answer.header("location"), Some(location), "{target}");
        assert!(answer.header("x-request-id").is_some(), "{target}");
    }
    assert_eq!(rig.send("POST", "/", &[], "").await.status(), 405);
    assert_eq!(backend.hits(), 0);
    let series = r#"gateway_requests_total{method="GET",route="hold:/old/",status_class="3xx"}"#;
    assert_eq!(rig.metric(series).await, Some(3.0));
}

#[tokio::test]
async fn the_operator_can_send_clients_elsewhere_too() {
    let text = r#"
        [[routes]]
        name = "moved"
        host = "old.test"
        redirect = { to = "https://new.test:8443/", status = 301, keep_rest = true }
    "#;
    let folder = tempfile::TempDir::new().unwrap();
    let file = folder.path().join("gateway.toml");
    std::fs::write(&file, text).unwrap();
    let sources = Sources {
        args: vec!["--config".to_owned(), file.display().to_string()],
        env: Default::default(),
    };
    let settings = gateway::PROGRAM.load(sources).unwrap();
    let routes = gateway::Config::read_routes(&settings).unwrap();
    let rig = Rig::configured(|config| config.file_routes = routes).await;
    let host = [("Host", "old.test")];
    let answer = rig.send("GET", "/a/b?c=d", &host, "").await;
    assert_eq!(answer.status(), 301);
    assert_eq!(
        answer.header("location"),
        Some("https://new.test:8443/a/b?c=d")
    );
    assert_eq!(rig.get("/a/b").await.status(), 404);
}

#[tokio::test]
async fn a_path_without_a_route_is_a_404_that_tells_where_to_look() {
    let rig = Rig::without_file_routes().await;
    let answer = rig.get("/nothing").await;
    assert_eq!(answer.status(), 404);
    assert_eq!(
        answer.header("content-type"),
        Some("application/problem+json")
    );
    let problem = answer.json();
    assert_eq!(problem["status"], 404);
    assert!(
        problem["detail"].as_str().unwrap().contains("/routes"),
        "{problem}"
    );
    assert_eq!(problem["instance"].as_str(), answer.header("x-request-id"));
    assert_eq!(
        answer.header("proxy-status"),
        Some("gateway; error=http_request_error")
    );
}

#[tokio::test]
async fn a_wrong_method_is_a_405_that_lists_the_right_ones() {
    let rig = Rig::without_file_routes().await;
    let backend = echo("b").await;
    let routes = json!([
        {"path_prefix": "/x", "methods": ["GET"]},
        {"path_prefix": "/x/y", "methods": ["PUT", "DELETE"]},
    ]);
    rig.put(with(service("hold", &[&backend]), "routes", routes))
        .await;
    let answer = rig.send("POST", "/x/y", &[], "body").await;
    assert_eq!(answer.status(), 405);
    assert_eq!(answer.header("allow"), Some("GET, HEAD, PUT, DELETE"));
    assert_eq!(
        answer.header("content-type"),
        Some("application/problem+json")
    );
    assert_eq!(backend.hits(), 0);
}

#[tokio::test]
async fn a_known_service_without_a_usable_instance_is_a_503_never_a_404() {
    let rig = Rig::start().await;
    let sick = Backend::start("sick").await;
    sick.answer_checks(Behaviour::Status(500));
    rig.apply(service("empty", &[])).await;
    rig.apply(service("ill", &[&sick])).await;
    rig.until("ill", &sick, gateway::upstream::Health::Unhealthy)
        .await;
    for (target, reason) in [
        ("/empty/x", "none is registered"),
        ("/ill/x", "fail their health checks"),
        // A route of the operator to a service that the catalog does not know.
        ("/api/name", "none is registered"),
    ] {
        let answer = rig.get(target).await;
        assert_eq!(answer.status(), 503, "{target}");
        assert_eq!(answer.header("retry-after"), Some("2"), "{target}");
        assert_eq!(
            answer.header("proxy-status"),
            Some("gateway; error=destination_unavailable")
        );
        let detail = answer.json()["detail"].to_string();
        assert!(detail.contains(reason), "{target}: {detail}");
    }
    assert_eq!(sick.hits(), 0);
}

#[tokio::test]
async fn paths_that_could_be_read_in_two_ways_are_refused() {
    let rig = Rig::start().await;
    for target in ["/..", "/api/../../x", "/%zz", "/%4"] {
        let answer = rig.get(target).await;
        assert_eq!(answer.status(), 400, "{target}");
    }
}
