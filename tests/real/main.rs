//! The real thing: containerd, runc, a registry, and kiln as a person runs it.
//!
//! Needs root, and what `scripts/install test` installs; `scripts/test` runs it. Every test has a host of
//! its own, and fails if it leaves anything behind.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod beyond;
mod breakdowns;
mod containerd;
mod crons;
mod daemon;
mod host;
mod interrupts;
mod job;
mod jobs;
mod leftovers;
mod manifests;
mod network;
mod objects;
mod output;
mod pods;
mod refusals;
mod run;
mod running;
mod security;
