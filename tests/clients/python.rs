//! The Python client, which many schedulers are built on.

use std::process::Command;

use super::host::Outcome;
use super::serving::{Serving, python};

#[test]
fn the_python_client_creates_lists_watches_patches_follows_and_deletes() {
    let serving = Serving::new();
    let mut command = Command::new(python().join("python"));
    command.arg("tests/clients/client.py").arg(serving.kubeconfig());
    Outcome::of(&mut command).exits(0).prints("all well");
}
