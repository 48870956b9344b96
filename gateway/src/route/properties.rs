//! What must hold of the readers of host and path, whatever they are.

use super::{RequestHost, RequestPath};

/// A host or path in normal form is its own normal form, and one way only to say it.
pub fn hosts_and_paths(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    if let Some(host) = RequestHost::parse(text) {
        let host = host.as_str();
        assert!(!host.bytes().any(|byte| byte.is_ascii_uppercase()));
        assert!(!host.contains(['/', '@', ' ', '\\', '?', '#']));
    }
    if let Ok(path) = RequestPath::parse(text) {
        let path = path.as_str();
        assert!(path.starts_with('/'));
        assert!(!path.split('/').any(|segment| matches!(segment, "." | "..")));
        let again = RequestPath::parse(path).map(|again| again.as_str().to_owned());
        assert_eq!(again.as_deref(), Ok(path));
    }
}
