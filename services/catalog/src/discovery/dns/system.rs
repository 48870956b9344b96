//! What the system knows about names: /etc/hosts, and whom to ask (/etc/resolv.conf).

use std::{
    collections::BTreeSet,
    fs,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

const HOSTS: &str = "/etc/hosts";
const RESOLV_CONF: &str = "/etc/resolv.conf";

const DNS_PORT: u16 = 53;

/// Most servers that are asked, and most domains that are searched (resolv.conf(5): MAXNS, MAXDNSRCH).
const SERVERS_MAX: usize = 3;
const SEARCH_MAX: usize = 6;

/// Dots from which on a name is tried as it stands before domains are added to it.
const NDOTS: usize = 1;

/// The system's configuration.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct System {
    hosts: String,
    pub(super) servers: Vec<SocketAddr>,
    search: Vec<String>,
    ndots: usize,
}

// === impl System ===

impl System {
    /// Reads it. A file that is not there is an empty one. Blocks. With a server of one's own there are no domains to search.
    pub(super) fn read(server: Option<SocketAddr>) -> Self {
        let read = |path| fs::read_to_string(path).unwrap_or_default();
        let hosts = read(HOSTS);
        match server {
            Some(server) => Self {
                hosts,
                servers: vec![server],
                search: Vec::new(),
                ndots: NDOTS,
            },
            None => Self {
                hosts,
                ..Self::parse(&read(RESOLV_CONF))
            },
        }
    }

    fn parse(text: &str) -> Self {
        let mut this = Self {
            ndots: NDOTS,
            ..Self::default()
        };
        for line in text.lines() {
            let line = line.split(['#', ';']).next().unwrap_or_default();
            let mut words = line.split_ascii_whitespace();
            match words.next() {
                Some("nameserver") => {
                    let address = words.next().and_then(parse_server);
                    this.servers
                        .extend(address.map(|ip| SocketAddr::new(ip, DNS_PORT)));
                }
                // The last line counts, whichever of the two it is.
                Some("search" | "domain") => {
                    let domains = words.map(|word| word.trim_matches('.').to_owned());
                    this.search = domains
                        .filter(|domain| !domain.is_empty())
                        .take(SEARCH_MAX)
                        .collect();
                }
                Some("options") => {
                    let mut dots =
                        words.filter_map(|word| word.strip_prefix("ndots:")?.parse().ok());
                    this.ndots = dots.next_back().unwrap_or(this.ndots);
                }
                _ => {}
            }
        }
        this.servers.truncate(SERVERS_MAX);
        if this.servers.is_empty() {
            this.servers.push((Ipv4Addr::LOCALHOST, DNS_PORT).into());
        }
        this
    }

    /// The addresses in /etc/hosts, or those of localhost (RFC 6761 §6.3). Who stands there is not asked for elsewhere.
    pub(super) fn in_hosts(&self, host: &str) -> Option<BTreeSet<IpAddr>> {
        let mut addresses = BTreeSet::new();
        for line in self.hosts.lines() {
            let line = line.split('#').next().unwrap_or_default();
            let mut words = line.split_ascii_whitespace();
            let address = words.next().and_then(|word| word.parse().ok());
            if let Some(address) = address
                && words.any(|name| name.eq_ignore_ascii_case(host))
            {
                addresses.insert(address);
            }
        }
        if addresses.is_empty() && (host == "localhost" || host.ends_with(".localhost")) {
            addresses.insert(Ipv4Addr::LOCALHOST.into());
            addresses.insert(Ipv6Addr::LOCALHOST.into());
        }
        (!addresses.is_empty()).then_some(addresses)
    }

    /// The names that may be meant, in the order in which they are asked for.
    pub(super) fn candidates(&self, host: &str) -> Vec<String> {
        let searched = self.search.iter().map(|domain| format!("{host}.{domain}"));
        let mut names: Vec<String> = searched.collect();
        let has_dots = host.matches('.').count() >= self.ndots;
        names.insert(if has_dots { 0 } else { names.len() }, host.to_owned());
        names
    }
}

/// An address; one with an interface (`fe80::1%eth0`) cannot be told which, and is left out.
fn parse_server(text: &str) -> Option<IpAddr> {
    text.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidates(conf: &str, host: &str) -> Vec<String> {
        System::parse(conf).candidates(host)
    }

    #[test]
    fn servers_are_read() {
        let conf = "# by somebody\nnameserver 127.0.0.11 ; Docker\n nameserver ::1\nnameserver nobody\nnameserver\n";
        let servers = System::parse(conf).servers;
        assert_eq!(
            servers,
            [
                "127.0.0.11:53".parse().unwrap(),
                "[::1]:53".parse().unwrap()
            ]
        );
        assert_eq!(System::parse("").servers, ["127.0.0.1:53".parse().unwrap()]);
        let many = "nameserver 10.0.0.1\n".repeat(9);
        assert_eq!(System::parse(&many).servers.len(), SERVERS_MAX);
    }

    #[test]
    fn domains_are_added_before_or_after() {
        let conf = "domain old\nsearch a.example b.example.\noptions rotate ndots:2";
        let (a, b) = ("x.y.a.example", "x.y.b.example");
        assert_eq!(candidates(conf, "x.y"), [a, b, "x.y"]);
        assert_eq!(candidates(conf, "x.y.z")[0], "x.y.z");
        assert_eq!(candidates("search a\noptions ndots:0", "x"), ["x", "x.a"]);
        assert_eq!(candidates("", "x"), ["x"]);
    }

    #[test]
    fn hosts_have_the_first_word() {
        let system = System {
            hosts: "10.0.0.1 a.example A # b\n# 10.0.0.9 a\nfd00::1\ta\nnothing a\n".to_owned(),
            ..System::default()
        };
        let found = |host| system.in_hosts(host).map(|found| found.len());
        assert_eq!(found("a"), Some(2));
        assert_eq!(found("a.example"), Some(1));
        assert_eq!((found("b"), found("10.0.0.1")), (None, None));
        assert_eq!(
            (found("localhost"), found("x.localhost")),
            (Some(2), Some(2))
        );
    }
}
