//! What runs that were killed have left on this host.
//!
//! Owns: taking it away: containers, a private containerd, directories. Must not know: how a run goes on.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::Context;
use tokio_util::sync::CancellationToken;
use tracing::debug;

use super::root::Root;
use crate::cli::connect::{Absent, connect_unless};
use crate::cli::output::Output;
use crate::cli::settings::Settings;
use crate::engine::Clock;
use crate::runtime::{Error, Runtime};

/// How often it is tried to take away what a run has left, and how long to wait in between.
const TRIES: u32 = 5;
const RETRY: Duration = Duration::from_millis(500);

/// Clears up after all runs below the root that are not alive. What cannot be taken away now is told, and
/// left for the next run. Whoever may not want to wait for it cancels it rather than drop it: a containerd
/// that was started is ended then.
pub(super) async fn clear(
    settings: &Settings,
    clock: &Clock,
    output: &Output,
    cancel: &CancellationToken,
) {
    let found = match Root::abandoned(&settings.root) {
        Ok(found) => found,
        Err(error) => {
            let root = settings.root.display();
            return output
                .say(&format!("warning: cannot look for killed runs in `{root}`: {error}"));
        }
    };
    for root in found {
        if cancel.is_cancelled() {
            return;
        }
        let path = root.path().display().to_string();
        output.say(&format!("clearing up after a run that was killed: {path}"));
        if let Err(error) = clear_one(root, settings, clock, cancel).await {
            output.say(&format!("warning: cannot clear up `{path}`: {error:#}"));
        }
    }
}

async fn clear_one(
    root: Root,
    settings: &Settings,
    clock: &Clock,
    cancel: &CancellationToken,
) -> anyhow::Result<()> {
    // A run that did not get as far as this has left no container.
    if let Some(address) = root.containerd() {
        let containerd = address.parse().map_err(anyhow::Error::msg)?;
        let settings = Settings { containerd, ..settings.clone() };
        let how = (&settings, Absent::Fail);
        let connected =
            connect_unless(cancel.cancelled(), how, root.path(), root.path(), clock).await?;
        let connection = connected.context("interrupted")?;
        let swept = cancel.run_until_cancelled(sweep(&*connection.runtime, clock)).await;
        let is_clear = connection.close().await;
        swept.context("interrupted")??;
        anyhow::ensure!(is_clear, "containers are left in it");
    }
    Ok(root.remove()?)
}

/// Takes everything away, in a few tries: what was killed in the middle of a start may still be ending.
async fn sweep(runtime: &dyn Runtime, clock: &Clock) -> Result<(), Error> {
    for _ in 1..TRIES {
        match runtime.sweep(&BTreeSet::new()).await {
            Ok(_) => return Ok(()),
            Err(error) => debug!(%error, "not everything is taken away yet"),
        }
        clock.sleep(RETRY).await;
    }
    runtime.sweep(&BTreeSet::new()).await.map(drop)
}
