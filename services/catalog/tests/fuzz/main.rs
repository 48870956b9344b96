//! The catalog against whatever anybody can send: requests made out of its own description and then bent, bytes that are no
//! requests, slow senders, crowds of watchers, and writers that race.
//!
//! Each answer must be one that the description promises; an error must be a problem (RFC 9457) that says what to do. A 500, a
//! hang or a dropped connection is a failure, except where the request's own framing is broken.
//!
//! `FUZZ_SEED` and `FUZZ_REQUESTS` choose other requests and more of them; a failure prints both.

mod answer;
mod broken;
mod crowd;
mod document;
mod hostile;
mod program;
mod races;
mod random;
mod request;
#[path = "../catalog/schema.rs"]
mod schema;
mod wire;
mod words;
