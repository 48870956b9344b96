//! The limit of open files, which is also one of connections: a proxied request takes two.
//!
//! Systems start programs with a low soft limit for the sake of those that use `select(2)`; the hard limit is what an administrator
//! means. This program does not use `select`.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Open files besides those of connections: logs, listeners, the catalog's stream, checks.
const OTHERS: u64 = 512;

/// Raises the soft limit to the hard one, and says so when that does not suffice for the connections that are allowed.
pub(crate) fn raise(connections_max: usize) {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: maximum,
        maximum,
    };
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        tracing::warn!(%error, "cannot raise the limit of open files");
    }
    let wanted = 2 * connections_max as u64 + OTHERS;
    // None stands for no limit.
    if let Some(current) = getrlimit(Resource::Nofile).current
        && current < wanted
    {
        tracing::warn!(
            current,
            wanted,
            "the limit of open files is reached before GATEWAY_MAX_CONNECTIONS; raise it (LimitNOFILE, ulimit -n) or lower the setting"
        );
    }
}
