//! The console: what a browser gets.

use http::{Method, StatusCode};

use crate::harness::Harness;

const BROWSER: &str = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";

#[tokio::test]
async fn a_browser_gets_the_console_and_a_program_gets_json() {
    let catalog = Harness::start().await;
    let page = catalog
        .call(Method::GET, "/")
        .header("accept", BROWSER)
        .send()
        .await;
    assert_eq!(page.status, StatusCode::OK);
    assert_eq!(page.header("content-type"), "text/html; charset=utf-8");
    assert_eq!(page.header("vary"), "accept");
    assert!(
        page.header("content-security-policy")
            .starts_with("default-src 'none'")
    );
    let program = catalog.get("/").await;
    assert_eq!(program.header("content-type"), "application/json");
    assert_eq!(program.header("vary"), "accept");
    assert_eq!(program.json()["name"], "service-catalog");
}

#[tokio::test]
async fn everything_that_the_page_names_is_served() {
    let catalog = Harness::start().await;
    let page = catalog
        .call(Method::GET, "/")
        .header("accept", BROWSER)
        .send()
        .await;
    let named: Vec<&str> = page
        .text
        .split(['"', '\''])
        .filter(|text| text.starts_with("console/"))
        .collect();
    assert_eq!(named, ["console/console.css", "console/console.js"]);
    for (file, kind) in named.iter().zip(["text/css", "text/javascript"]) {
        let answer = catalog.get(&format!("/{file}")).await;
        assert_eq!(answer.status, StatusCode::OK, "{file}");
        assert!(answer.header("content-type").starts_with(kind), "{file}");
        // Nothing from elsewhere: it works without a network.
        assert!(!answer.text.contains("//cdn"), "{file}");
        assert!(!answer.text.contains("https:"), "{file}");
    }
    catalog.get("/console/other.js").await.problem(404);
    // What the script reads exists and is JSON.
    for path in ["/services", "/services/stats", "/services/logs?limit=20"] {
        assert_eq!(
            catalog.get(path).await.header("content-type"),
            "application/json",
            "{path}"
        );
    }
}
