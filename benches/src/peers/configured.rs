//! The peers, each set up as its tuning guide says: one worker (one core is theirs), keep-alive to the endpoints, no access
//! log unless the case is about it.

mod caddy;
mod haproxy;
mod nginx;

pub(super) use caddy::Caddy;
pub(super) use haproxy::Haproxy;
pub(super) use nginx::Nginx;
