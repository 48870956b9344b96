//! The platform scaled out: several processes of each role on one PostgreSQL and one Redis server, each of which can be killed and started again.

use std::{net::SocketAddr, net::TcpListener, path::PathBuf};

use http::{Method, Response};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{
    eventually,
    process::{Process, addresses},
    registry::Registry,
    servers::{Durability, PostgresServer, RedisServer},
};

const TOKEN: &str = "a-token-of-the-test-a-token-of-the-test";

/// Two catalogs, two gateways, some name services.
pub(crate) struct Fleet {
    pub(crate) database: PostgresServer,
    pub(crate) redis: RedisServer,
    pub(crate) catalogs: [Replica; 2],
    pub(crate) gateways: [Replica; 2],
    pub(crate) names: Vec<Replica>,
    catalog_urls: String,
    _folder: TempDir,
}

/// A process that keeps its addresses and settings over its deaths.
pub(crate) struct Replica {
    program: &'static str,
    settings: Vec<(&'static str, String)>,
    /// Where it is asked.
    pub(crate) address: SocketAddr,
    /// Where operators ask a gateway.
    admin: Option<SocketAddr>,
    process: Option<Process>,
}

/// An address that nobody uses at the moment. The process must have the same one again after its death, so it cannot be left to it.
fn free_address() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap()
}

// === impl Fleet ===

impl Fleet {
    /// Blocks while the processes start.
    pub(crate) fn start(name_services: usize) -> Self {
        let database = PostgresServer::start(Durability::Durable);
        let redis = RedisServer::start();
        let stores = [
            ("DATABASE_URL", database.database()),
            ("REDIS_URL", redis.url()),
        ];
        let folder = TempDir::new().unwrap();
        let addresses = [free_address(), free_address()];
        let urls = addresses.map(|address| format!("http://{address}"));
        let catalogs = addresses.map(|address| {
            let data = folder.path().join(format!("catalog-{}", address.port()));
            Replica::catalog(address, &stores, data)
        });
        // Each follows another catalog first.
        let [first, second] = &urls;
        let orders = [format!("{first},{second}"), format!("{second},{first}")];
        let mut number = 0;
        let gateways = orders.map(|urls| {
            number += 1;
            Replica::gateway(&urls, folder.path().join(format!("gateway-{number}")))
        });
        let mut fleet = Self {
            database,
            redis,
            catalogs,
            gateways,
            names: Vec::new(),
            catalog_urls: urls.join(","),
            _folder: folder,
        };
        for replica in fleet.catalogs.iter_mut().chain(&mut fleet.gateways) {
            replica.start();
        }
        for _ in 0..name_services {
            fleet.start_names();
        }
        fleet
    }

    /// One more name service. Blocks while it starts.
    pub(crate) fn start_names(&mut self) {
        let mut names = Replica::names(&self.catalog_urls);
        names.start();
        self.names.push(names);
    }

    /// Waits until both gateways have so many healthy endpoints of a service, and no other.
    pub(crate) async fn until_healthy(&self, service: &str, count: usize) {
        for gateway in &self.gateways {
            eventually(&format!("{service} has {count} endpoints"), || async {
                let health = gateway.endpoints(service).await;
                health.len() == count && health.iter().all(|health| health == "healthy")
            })
            .await;
        }
    }

    /// Waits until both gateways have no endpoint at an address that gets requests.
    pub(crate) async fn until_out_of_rotation(&self, service: &str, healthy: usize) {
        for gateway in &self.gateways {
            eventually(&format!("{service} has {healthy} healthy"), || async {
                let health = gateway.endpoints(service).await;
                health.iter().filter(|health| *health == "healthy").count() == healthy
            })
            .await;
        }
    }

    /// Waits until the gateways hear the catalogs.
    pub(crate) async fn until_connected(&self) {
        for gateway in &self.gateways {
            eventually("the gateway hears a catalog", || async {
                let metrics = gateway.operator().text("/metrics").await;
                metrics.contains("gateway_catalog_connected 1")
            })
            .await;
        }
    }
}

// === impl Replica ===

impl Replica {
    fn new(
        program: &'static str,
        address: SocketAddr,
        settings: Vec<(&'static str, String)>,
    ) -> Self {
        Self {
            program,
            settings,
            address,
            admin: None,
            process: None,
        }
    }

    fn catalog(address: SocketAddr, stores: &[(&'static str, String)], data: PathBuf) -> Self {
        let mut settings = vec![
            ("CATALOG_LISTEN", address.to_string()),
            ("CATALOG_TOKEN", TOKEN.to_owned()),
            ("DATA_DIR", data.display().to_string()),
        ];
        settings.extend_from_slice(stores);
        Self::new("service-catalog", address, settings)
    }

    fn gateway(catalogs: &str, data: PathBuf) -> Self {
        let (address, admin) = (free_address(), free_address());
        let settings = vec![
            ("GATEWAY_LISTEN", address.to_string()),
            ("ADMIN_LISTEN", admin.to_string()),
            ("CATALOG_URL", catalogs.to_owned()),
            ("DATA_DIR", data.display().to_string()),
        ];
        Self {
            admin: Some(admin),
            ..Self::new("gateway", address, settings)
        }
    }

    fn names(catalogs: &str) -> Self {
        let address = free_address();
        let settings = vec![
            ("NAMES_LISTEN", address.to_string()),
            ("CATALOG_URL", catalogs.to_owned()),
            ("CATALOG_TOKEN", TOKEN.to_owned()),
            ("REGISTRATION_TTL", "2s".to_owned()),
        ];
        Self::new("service-api", address, settings)
    }

    /// Starts it, for the first time or again. Blocks until it says that it is ready.
    pub(crate) fn start(&mut self) {
        let settings: Vec<(&str, &str)> = self
            .settings
            .iter()
            .map(|(name, value)| (*name, value.as_str()))
            .collect();
        let mut process = Process::start(self.program, &settings);
        let found = addresses(&process.line_with("ready on"));
        assert_eq!(found[0], self.address);
        self.process = Some(process);
    }

    /// As `kill -9` does.
    pub(crate) fn kill(&mut self) {
        self.process.take().unwrap().kill();
    }

    /// Asks it to stop, and blocks until it has.
    pub(crate) fn stop(&mut self) {
        self.terminate();
        self.until_ended();
    }

    /// Asks it to stop.
    pub(crate) fn terminate(&self) {
        self.process.as_ref().unwrap().signal("TERM");
    }

    /// Blocks until it has ended as it was asked to.
    pub(crate) fn until_ended(&mut self) {
        let mut process = self.process.take().unwrap();
        assert_eq!(process.exit_code(), Some(0), "{}", self.program);
    }

    /// Whether somebody can connect to it.
    pub(crate) async fn is_accepting(&self) -> bool {
        tokio::net::TcpStream::connect(self.address).await.is_ok()
    }

    /// It as a catalog.
    pub(crate) fn registry(&self) -> Registry {
        Registry::new(self.address, TOKEN)
    }

    /// The operators' listener of a gateway.
    pub(crate) fn operator(&self) -> Registry {
        Registry::new(self.admin.unwrap(), "")
    }

    /// Health of each endpoint of a service at a gateway.
    async fn endpoints(&self, service: &str) -> Vec<Value> {
        let table = self.operator().get("/routes").await;
        let services = table["services"].as_array().unwrap().iter();
        let endpoints = services
            .filter(|entry| entry["name"] == service)
            .flat_map(|entry| entry["endpoints"].as_array().unwrap().clone());
        endpoints
            .map(|endpoint| endpoint["health"].clone())
            .collect()
    }

    /// A write to a catalog that waits for the gateways.
    pub(crate) async fn put_applied(&self, path: &str, content: &Value) {
        let path = format!("{path}?wait=applied");
        let answer = self
            .registry()
            .send(Method::PUT, &path, Some(content))
            .await;
        assert!(answer.status().is_success(), "{:?}", answer.body());
        assert_eq!(
            field(&answer, "x-catalog-applied"),
            "true",
            "{:?}",
            answer.body()
        );
    }

    /// Declares a service with a route of its name and one instance, and waits until the gateways have it.
    pub(crate) async fn publish(&self, name: &str, instance: SocketAddr) {
        let route = json!({"path_prefix": format!("/{name}/")});
        let spec = json!({"name": name, "routes": [route]});
        self.put_applied(&format!("/services/{name}"), &spec).await;
        let path = format!("/services/{name}/instances/a");
        let spec = json!({"address": instance.to_string()});
        self.put_applied(&path, &spec).await;
    }
}

/// A field of an answer; empty when it is not there.
pub(crate) fn field<'a, B>(answer: &'a Response<B>, name: &str) -> &'a str {
    let value = answer.headers().get(name);
    value.map_or("", |value| value.to_str().unwrap())
}
