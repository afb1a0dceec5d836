//! The objects: k8s-openapi types, total accessors over them, defaults, validation, printing.
//!
//! Owns: what a Job, a Pod and an Event may say, and how their fields are read.
//! Must not know: the store, containerd, tokio, the clock. Time and ids are arguments.

pub mod after;
pub mod amounts;
pub mod apply;
pub mod claim;
pub mod columns;
pub mod cron;
pub mod defaults;
pub mod deletion;
pub mod downward;
pub mod duration;
pub mod event;
pub mod extensions;
mod fields;
pub mod intervals;
pub mod job;
mod list;
mod locate;
pub mod manifest;
pub mod names;
pub mod object;
mod octal;
pub mod patch;
pub mod path;
pub mod pod;
pub mod pod_security;
pub mod quantity;
pub mod references;
pub mod remains;
pub mod schedule;
mod schema;
pub mod selector;
pub mod strict;
pub mod table;
pub mod topology;
pub mod validation;
pub mod versions;
