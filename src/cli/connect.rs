//! From the settings to the container runtime.
//!
//! Owns: whether there is a containerd to work with, and what to do where there is none.
//! Must not know: what it is asked for.

use std::path::Path;
use std::sync::Arc;

use super::settings::{Containerd, Settings};
use crate::runtime::containerd::Client;
use crate::runtime::{Error, Runtime};

/// Connects to containerd. `root`: where the runtime may keep its files; `log_dir`: where the
/// containers' logs go.
///
/// # Errors
/// There is none, or it cannot be used: the message says what to do.
pub(super) async fn connect(
    settings: &Settings,
    _root: &Path,
    _log_dir: &Path,
) -> Result<Arc<dyn Runtime>, Error> {
    let address = match &settings.containerd {
        Containerd::Socket(address) => address,
        Containerd::Managed => {
            return Err(Error::Failed {
                attempt: "start a private containerd",
                message: "`--containerd managed` is not supported yet: start containerd and name \
                          its socket with `--containerd ADDRESS`"
                    .to_owned(),
            });
        }
    };
    let version = Client::new(address).check().await?;
    Err(Error::Failed {
        attempt: "run containers",
        message: format!("containerd {version} is there, but this build of kiln has no runtime"),
    })
}
