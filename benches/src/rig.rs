//! What every load benchmark needs: programs started on one core and what they cost, a place for their files, what is to be
//! measured, and the report.

pub(crate) mod backend;
pub(crate) mod catalog;
pub(crate) mod client;
pub(crate) mod load;
pub(crate) mod machine;
pub(crate) mod median;
pub(crate) mod paced;
pub(crate) mod plan;
pub(crate) mod postgres;
pub(crate) mod processes;
pub(crate) mod report;
pub(crate) mod rounds;
pub(crate) mod scratch;
