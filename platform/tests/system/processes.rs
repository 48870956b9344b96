//! The programs as processes, with signals and kills.

use std::net::SocketAddr;

use serde_json::Value;
use tempfile::TempDir;

use crate::support::{
    eventually,
    load::Load,
    process::{Process, addresses},
    registry::Registry,
    strict::Strict,
};

const FREE: &str = "127.0.0.1:0";

/// One process per role.
struct Fleet {
    folder: TempDir,
    catalog: Process,
    names: Vec<Process>,
    gateway: Process,
    gateway_address: SocketAddr,
    admin_address: SocketAddr,
    registry: Registry,
}

impl Fleet {
    /// Blocks while the processes start.
    fn start(name_services: usize) -> Self {
        let folder = TempDir::new().unwrap();
        let token = "a-token-of-the-test-a-token-of-the-test";
        let data = folder.path().join("catalog");
        let mut catalog = Process::start(
            "service-catalog",
            &[
                ("CATALOG_LISTEN", FREE),
                ("CATALOG_TOKEN", token),
                ("DATA_DIR", data.to_str().unwrap()),
            ],
        );
        let catalog_address = catalog.ready();
        let url = format!("http://{catalog_address}");
        let names = (0..name_services)
            .map(|_| {
                let env = [
                    ("NAMES_LISTEN", FREE),
                    ("CATALOG_URL", &url),
                    ("CATALOG_TOKEN", token),
                    ("REGISTRATION_TTL", "2s"),
                ];
                let mut names = Process::start("service-api", &env);
                names.ready();
                names
            })
            .collect();
        let data = folder.path().join("gateway");
        let mut gateway = Process::start(
            "gateway",
            &[
                ("GATEWAY_LISTEN", FREE),
                ("ADMIN_LISTEN", FREE),
                ("CATALOG_URL", &url),
                ("DATA_DIR", data.to_str().unwrap()),
            ],
        );
        let found = addresses(&gateway.line_with("ready on"));
        Self {
            folder,
            catalog,
            names,
            gateway,
            gateway_address: found[0],
            admin_address: found[1],
            registry: Registry::new(catalog_address, token),
        }
    }

    async fn until_healthy(&self, count: usize) {
        let admin = Registry::new(self.admin_address, "");
        eventually("the name services are healthy", || async {
            let table = admin.get("/routes").await;
            let services = table["services"].as_array().unwrap().clone();
            let healthy = |endpoint: &&Value| endpoint["health"] == "healthy";
            services
                .iter()
                .find(|service| service["name"] == "service-api")
                .is_some_and(|service| {
                    service["endpoints"]
                        .as_array()
                        .unwrap()
                        .iter()
                        .filter(healthy)
                        .count()
                        == count
                })
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kill_9_of_a_name_service_under_load_fails_no_request_and_it_is_evicted() {
    let mut fleet = tokio::task::spawn_blocking(|| Fleet::start(3))
        .await
        .unwrap();
    fleet.until_healthy(3).await;
    assert_eq!(
        fleet.registry.instance_addresses("service-api").await.len(),
        3
    );
    let load = Load::start(fleet.gateway_address, "localhost", "/api/name", 8);
    load.more(500).await;
    fleet.names[1].kill();
    load.more(500).await;
    fleet.until_healthy(2).await;
    eventually("the catalog evicts it", || async {
        fleet.registry.instance_addresses("service-api").await.len() == 2
    })
    .await;
    load.more(200).await;
    load.finish().await.assert_no_failure();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kill_9_of_the_catalog_loses_no_acknowledged_write_and_no_request() {
    let mut fleet = tokio::task::spawn_blocking(|| Fleet::start(2))
        .await
        .unwrap();
    fleet.until_healthy(2).await;
    let load = Load::start(fleet.gateway_address, "localhost", "/api/name", 4);
    for index in 0..50 {
        fleet
            .registry
            .put_service(&format!("s{index}"), serde_json::json!({}))
            .await;
    }
    fleet.catalog.kill();
    load.more(300).await;
    load.finish().await.assert_no_failure();

    let data = fleet.folder.path().join("catalog");
    let mut again = tokio::task::spawn_blocking(move || {
        let mut process = Process::start(
            "service-catalog",
            &[
                ("CATALOG_LISTEN", FREE),
                ("DATA_DIR", data.to_str().unwrap()),
            ],
        );
        let address = process.ready();
        (process, address)
    })
    .await
    .unwrap();
    let services = Registry::new(again.1, "").get("/services").await;
    assert_eq!(services["services"].as_array().unwrap().len(), 52);
    again.0.signal("TERM");
    assert_eq!(
        tokio::task::spawn_blocking(move || again.0.exit_code())
            .await
            .unwrap(),
        Some(0)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_program_stops_cleanly_when_it_is_asked_to() {
    let mut fleet = tokio::task::spawn_blocking(|| Fleet::start(1))
        .await
        .unwrap();
    fleet.until_healthy(1).await;
    let codes = tokio::task::spawn_blocking(move || {
        let mut codes = Vec::new();
        for process in [&mut fleet.gateway, &mut fleet.names[0], &mut fleet.catalog] {
            process.signal("TERM");
            codes.push(process.exit_code());
        }
        codes
    });
    assert_eq!(codes.await.unwrap(), [Some(0); 3]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_platform_prints_its_urls_answers_on_them_and_ends_on_ctrl_c() {
    let folder = TempDir::new().unwrap();
    let data = folder.path().to_str().unwrap().to_owned();
    let (mut platform, urls) = tokio::task::spawn_blocking(move || {
        let mut platform = Process::start(
            "platform",
            &[
                ("GATEWAY_LISTEN", FREE),
                ("ADMIN_LISTEN", FREE),
                ("CATALOG_LISTEN", FREE),
                ("NAMES_LISTEN", FREE),
                ("NAMES_INSTANCES", "3"),
                ("DATA_DIR", &data),
            ],
        );
        let rows = [
            "a name",
            "services",
            "metrics",
            "gateway admin",
            "catalog",
            "name service",
            "name service",
            "name service",
        ];
        let urls: Vec<String> = rows
            .iter()
            .map(|row| {
                platform
                    .line_with(row)
                    .split_whitespace()
                    .last()
                    .unwrap()
                    .to_owned()
            })
            .collect();
        (platform, urls)
    })
    .await
    .unwrap();
    for url in urls {
        let address = addresses(&url)[0];
        let path = url
            .trim_start_matches("http://")
            .split_once('/')
            .unwrap()
            .1
            .to_owned();
        let answer = Strict::new(address).get(&format!("/{path}")).await.unwrap();
        assert_eq!(answer.status, 200, "{url}: {}", answer.body);
    }
    platform.signal("INT");
    assert_eq!(
        tokio::task::spawn_blocking(move || platform.exit_code())
            .await
            .unwrap(),
        Some(0)
    );
}

#[test]
fn host_and_port_are_where_clients_connect() {
    let folder = TempDir::new().unwrap();
    let env = [
        ("HOST", "127.0.0.2"),
        ("PORT", "0"),
        ("ADMIN_LISTEN", FREE),
        ("DATA_DIR", folder.path().to_str().unwrap()),
    ];
    let mut gateway = Process::start("gateway", &env);
    let found = addresses(&gateway.line_with("ready on"));
    assert_eq!(found[0].ip().to_string(), "127.0.0.2");
    assert_ne!(found[0].port(), 80);
    assert_eq!(found[1].ip().to_string(), "127.0.0.1");
}
