//! Waiting a little for the world outside.
//!
//! Owns: the one wait of this layer that the engine's clock does not rule: containerd, registries and
//! processes keep real time, also where the rules are played on a virtual clock.

use std::time::Duration;

#[expect(clippy::disallowed_methods, reason = "what is waited for keeps real time")]
pub(super) async fn pause(time: Duration) {
    tokio::time::sleep(time).await;
}
