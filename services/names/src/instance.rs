//! The name of an instance, when nobody gave it one.

use std::fs;

use catalog_api::{InstanceId, Invalid, name::INSTANCE_ID_BYTES_MAX};

/// Where Linux keeps the host's name; in a container it is the container's id.
const HOST_NAME_FILE: &str = "/proc/sys/kernel/hostname";
/// What remains for the host beside a hyphen and a port.
const HOST_BYTES_MAX: usize = INSTANCE_ID_BYTES_MAX - "-65535".len();

/// `<hostname>-<port>`: unique among the instances of a machine, and the same after a restart, so that a restart renews the
/// lease it had instead of leaving a ghost beside it.
pub(crate) fn default_id(port: u16) -> Result<InstanceId, Invalid> {
    let host = fs::read_to_string(HOST_NAME_FILE).unwrap_or_default();
    format!("{}-{port}", host_part(&host)).parse()
}

/// Host names may hold what an id may not.
fn host_part(host: &str) -> String {
    let allowed = |char: &char| char.is_ascii_alphanumeric() || "._-".contains(*char);
    let kept: String = host
        .trim()
        .chars()
        .filter(allowed)
        .take(HOST_BYTES_MAX)
        .collect();
    if kept.is_empty() {
        "localhost".to_owned()
    } else {
        kept
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_host_name_makes_an_id() {
        let long = "h".repeat(300);
        for (host, part) in [
            ("web-1\n", "web-1"),
            ("", "localhost"),
            ("a b/ü", "ab"),
            (long.as_str(), &long[..HOST_BYTES_MAX]),
        ] {
            assert_eq!(host_part(host), part);
            format!("{}-65535", host_part(host))
                .parse::<InstanceId>()
                .unwrap();
        }
        assert!(default_id(5000).unwrap().as_str().ends_with("-5000"));
    }
}
