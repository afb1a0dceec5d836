//! Following the store.
//!
//! Owns: that the cache learns of every change, and reads everything anew where it missed some. Must not
//! know: what the cache makes of it.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use super::Shared;
use super::cache::owner;
use super::listed::Listed;
use crate::api::object::Kind;
use crate::store;

/// How long to wait before the store is asked again after it failed.
const RETRY: Duration = Duration::from_secs(1);

/// Follows the store until it is told to stop.
pub(super) async fn run(shared: Arc<Shared>, stop: CancellationToken) {
    loop {
        let followed = tokio::select! {
            biased;
            () = stop.cancelled() => return,
            followed = follow(&shared) => followed,
        };
        match followed {
            Ok(()) => debug!("the watch fell behind: reading the store again"),
            Err(error) => {
                warn!(error = %error, "cannot follow the store");
                tokio::select! {
                    biased;
                    () = stop.cancelled() => return,
                    () = shared.clock.sleep(RETRY) => {}
                }
            }
        }
    }
}

/// Reads everything, then follows the changes until a watch ends. Cancel-safe: nothing is taken from a
/// watch that is not applied before the next wait.
async fn follow(shared: &Shared) -> Result<(), store::Error> {
    // Pods first: a Job that is read later than its pods is never taken for gone.
    let (store, cache) = (&shared.store, &shared.cache);
    let pods = Listed::<Pod>::read(store, |pod| cache.concerns_pod(pod), owner).await?;
    let jobs = Listed::<Job>::read(store, |job| cache.concerns_job(job), |_| None).await?;
    let mut pod_changes = store.watch(Kind::Pod, pods.revision);
    let mut job_changes = store.watch(Kind::Job, jobs.revision);
    shared.cache.fill(jobs, pods);
    loop {
        let (kind, change) = tokio::select! {
            biased;
            change = pod_changes.next() => (Kind::Pod, change),
            change = job_changes.next() => (Kind::Job, change),
        };
        let change = match change {
            Ok(change) => change,
            Err(store::Error::Compacted { .. }) => return Ok(()),
            Err(error) => return Err(error),
        };
        shared.cache.apply(kind, &change)?;
    }
}
