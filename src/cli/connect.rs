//! From the settings to the container runtime.
//!
//! Owns: finding or starting containerd, and what to do where there is none. Must not know: what it is
//! asked for.

use std::path::Path;
use std::pin::pin;
use std::sync::Arc;

use anyhow::{Context, anyhow};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::settings::{self, Settings};
use crate::engine::Clock;
use crate::monitor;
use crate::runtime::containerd::Client;
use crate::runtime::managed::Managed;
use crate::runtime::{self, Containerd};

/// A runtime, and the containerd that was started for it.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) runtime: Arc<Containerd>,
    /// containerd's; empty where it did not answer yet.
    pub(super) version: String,
    managed: Option<Managed>,
}

/// What to do without a containerd that answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Absent {
    /// Whoever waits for the end of a run wants to know.
    Fail,
    /// A daemon works without, and goes on as soon as there is one.
    Wait,
}

/// Connects as [`connect`] does, unless it is to stop first: then nothing that was started is left, and
/// the answer is `None`.
///
/// # Errors
/// Those of [`connect`].
pub(super) async fn connect_unless(
    stop: impl Future<Output = ()>,
    (settings, absent): (&Settings, Absent),
    root: &Path,
    log_dir: &Path,
    clock: &Clock,
) -> anyhow::Result<Option<Connection>> {
    let cancel = CancellationToken::new();
    let mut connecting = pin!(connect((settings, absent), root, log_dir, clock, &cancel));
    tokio::select! {
        connected = &mut connecting => return connected.map(Some),
        () = stop => cancel.cancel(),
    }
    // A containerd of our own has to end before its directory is removed.
    if let Ok(connection) = connecting.await {
        connection.close().await;
    }
    Ok(None)
}

/// Connects to containerd, which is started where it is to be a private one. `root`: whose containers
/// they are, and where the runtime keeps its files; `log_dir`: where the containers' logs go. Whoever may
/// not want to wait for it cancels it rather than drop it: a containerd that was started is ended then.
///
/// # Errors
/// There is none, or it cannot be used: the message says what to do. Or it was cancelled. Nothing that was
/// started runs then.
async fn connect(
    (settings, absent): (&Settings, Absent),
    root: &Path,
    log_dir: &Path,
    clock: &Clock,
    cancel: &CancellationToken,
) -> anyhow::Result<Connection> {
    let kiln = std::env::current_exe().context("cannot find kiln's own binary")?;
    let network = settings.network().map_err(anyhow::Error::msg)?;
    let (client, managed) = match &settings.containerd {
        settings::Containerd::Socket(address) => (Client::new(address), None),
        settings::Containerd::Managed => {
            let managed = Managed::start(&root.join("containerd"), cancel).await?;
            (Client::new(&managed.address()), Some(managed))
        }
    };
    let checked = tokio::select! {
        checked = client.check() => checked.map_err(anyhow::Error::from),
        () = cancel.cancelled() => Err(anyhow!("cancelled")),
    };
    let version = match checked {
        Ok(version) => version,
        Err(error) if absent == Absent::Wait && is_away(&error) => {
            warn!("{error:#}; kiln serves, and waits for it");
            String::new()
        }
        Err(error) => {
            if let Some(managed) = managed {
                managed.stop().await;
            }
            return Err(error);
        }
    };
    let settings = runtime::Settings {
        root: root.to_owned(),
        log_dir: log_dir.to_owned(),
        hosts_dir: settings.hosts_dir.clone(),
        network,
        seccomp_default: settings.seccomp_default,
        seccomp_dir: settings.seccomp_dir.clone(),
        pod_pids_limit: u64::try_from(settings.pod_pids_limit).ok().filter(|limit| *limit > 0),
        runtime: settings.runtime.clone(),
        runtime_binary: settings.runtime_binary.as_ref().map(|path| path.display().to_string()),
        monitor: monitor::binary(&kiln),
        log_max_bytes: settings.log_max_size,
        log_max_files: settings.log_max_files,
    };
    let clock = clock.clone();
    let runtime = Containerd::new(client, settings, Arc::new(move || clock.now()));
    Ok(Connection { runtime: Arc::new(runtime), version, managed })
}

/// Whether it may come, or come back, without anybody changing a setting.
fn is_away(error: &anyhow::Error) -> bool {
    let known = error.downcast_ref::<runtime::Error>();
    known.is_some_and(|error| matches!(error, runtime::Error::Unreachable { .. }))
}

impl Connection {
    /// Waits for what is under way, and ends the containerd that was started. Answers whether no pod is
    /// left on this host.
    pub(super) async fn close(self) -> bool {
        let is_clear = self.runtime.finish().await;
        if let Some(managed) = self.managed {
            managed.stop().await;
        }
        is_clear
    }
}
