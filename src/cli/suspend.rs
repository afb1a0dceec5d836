//! `kiln suspend` and `kiln resume`: hold up a Job, and let it go on.
//!
//! Owns: the patches. Must not know: what becomes of the pods.

use serde_json::json;

use super::Exit;
use super::remote::{Error, Remote};
use super::scale::patch_jobs;

/// Hold up a Job: its pods are stopped, and none are made
#[derive(Debug, clap::Args)]
pub(super) struct SuspendArgs {
    /// `job NAME` or `job/NAME`
    #[arg(required = true, num_args = 1..)]
    jobs: Vec<String>,
}

/// Let a suspended Job go on
#[derive(Debug, clap::Args)]
pub(super) struct ResumeArgs {
    /// `job NAME` or `job/NAME`
    #[arg(required = true, num_args = 1..)]
    jobs: Vec<String>,
}

pub(super) async fn suspend(args: &SuspendArgs, remote: &Remote) -> Result<Exit, Error> {
    patch_jobs(&args.jobs, &json!({"spec": {"suspend": true}}), "suspended", remote).await
}

pub(super) async fn resume(args: &ResumeArgs, remote: &Remote) -> Result<Exit, Error> {
    patch_jobs(&args.jobs, &json!({"spec": {"suspend": false}}), "resumed", remote).await
}
