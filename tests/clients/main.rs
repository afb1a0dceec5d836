//! The API as others' clients use it: a real `kiln serve` on a private containerd, driven by kubectl (that
//! of the machine and a new one), the Python client, kube, and kiln in kubectl's place.
//!
//! Needs root, and what `scripts/install test` installs; `scripts/test` runs it. The first run makes a
//! Python environment below `target/`, from PyPI.
#![expect(clippy::unwrap_used, reason = "a test may panic")]
#![expect(dead_code, reason = "the tests of `real` use more of the host")]

#[path = "../real/host.rs"]
mod host;
#[path = "../real/leftovers.rs"]
mod leftovers;
mod library;
mod python;
mod serving;
mod session;
mod verbs;
