//! kiln runs Kubernetes `batch/v1` Jobs as real OCI containers, straight on containerd.
//!
//! The layers and who may know whom: `ARCHITECTURE.md`; `tests/tidy.rs` holds the import table.

pub mod admission;
pub mod api;
pub mod cli;
pub mod cron;
pub mod engine;
pub mod job;
pub mod monitor;
pub mod plan;
pub mod pod;
pub mod runtime;
pub mod server;
pub mod store;
