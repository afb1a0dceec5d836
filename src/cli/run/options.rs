//! What a run works with, and what it shows.
//!
//! Owns: these three types. Must not know: where they come from, and how a run goes on.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use indicatif::MultiProgress;

use super::outcome::Format;
use crate::engine::{self, Clock};
use crate::runtime::Runtime;
use crate::store::Store;

/// What the Jobs run on.
#[expect(missing_debug_implementations, reason = "a runtime has no Debug")]
pub struct Host {
    pub runtime: Arc<dyn Runtime>,
    pub store: Store,
    pub clock: Clock,
    pub settings: engine::Settings,
    pub log_dir: PathBuf,
}

/// What is shown, and for how long one waits.
#[derive(Debug, Clone)]
pub struct Options {
    /// Whether each line of a container says whose it is.
    pub prefix: bool,
    /// Print the finished Jobs like this, instead of the table; the containers' output goes to standard
    /// error then.
    pub format: Option<Format>,
    /// Give up on Jobs that are not finished by then.
    pub timeout: Option<Duration>,
    pub progress: Progress,
}

/// How the progress is shown.
#[derive(Debug, Clone)]
pub enum Progress {
    Live(MultiProgress),
    Plain,
    Nothing,
}
