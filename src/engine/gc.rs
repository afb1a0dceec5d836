//! What goes when something else is gone.
//!
//! Owns: the pods of Jobs that were deleted, Jobs that were over for long enough, leftovers on the host, Events past their time. Must not
//! know: why a Job was deleted.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{Event, Pod};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use super::Shared;
use super::clock::later;
use crate::api::deletion::{FOREGROUND_FINALIZER, mark_job, mark_pod};
use crate::api::job::expires_at;
use crate::api::object::{Key, Object};
use crate::api::pod::{controller, is_controlled_by, is_terminal};
use crate::job::TRACKING_FINALIZER;
use crate::store;

/// How long an Event is kept after it was last told, as an API server does.
const EVENT_LIFETIME: Duration = Duration::from_hours(1);
/// How long to wait after the store failed.
const RETRY: Duration = Duration::from_secs(1);
/// How long to wait at most after a sweep failed; doubles up to this with each failure. No pod is born
/// during a sweep, so one that fails again and again must not be at it all the time.
const SWEEP_RETRY_MAX: Duration = Duration::from_mins(1);

/// Deletes the pods of Jobs that are gone.
pub(super) async fn run_orphans(shared: Arc<Shared>, stop: CancellationToken) {
    loop {
        while let Some((namespace, uid)) = shared.cache.next_orphaned() {
            if let Err(error) = delete_pods(&shared, &namespace, &uid).await {
                warn!(%error, "cannot delete the pods of a Job that is gone");
                tokio::select! {
                    biased;
                    () = stop.cancelled() => return,
                    () = shared.clock.sleep(RETRY) => {}
                }
                shared.cache.orphaned(namespace, uid);
            }
        }
        while let Some((namespace, name)) = shared.cache.next_stray() {
            if let Err(error) = let_go(&shared, &namespace, &name).await {
                warn!(%error, name, "cannot let go of a pod that no Job counts");
                tokio::select! {
                    biased;
                    () = stop.cancelled() => return,
                    () = shared.clock.sleep(RETRY) => {}
                }
                shared.cache.stray(namespace, name);
            }
        }
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            () = shared.cache.orphans_due.notified() => {}
        }
    }
}

/// A pod that nobody controls is not held back to be counted.
/// <https://kubernetes.io/docs/concepts/workloads/controllers/job/#job-tracking-with-finalizers>
async fn let_go(shared: &Shared, namespace: &str, name: &str) -> Result<(), store::Error> {
    let found = shared.store.get::<Pod>(namespace, name).await?;
    let free = |pod: &Pod| controller(pod).is_none() && pod.has_finalizer(TRACKING_FINALIZER);
    let Some(mut pod) = found.filter(free) else { return Ok(()) };
    pod.remove_finalizer(TRACKING_FINALIZER);
    let mut txn = shared.store.txn();
    txn.update(&pod);
    match txn.commit().await {
        // The news of that change bring it back.
        Ok(_) | Err(store::Error::Conflict { .. }) => Ok(()),
        Err(error) => Err(error),
    }
}

/// Deletes the Jobs that were over for as long as they are to be kept.
/// <https://kubernetes.io/docs/concepts/workloads/controllers/ttlafterfinished/>
pub(super) async fn run_expiries(shared: Arc<Shared>, stop: CancellationToken) {
    loop {
        let now = shared.clock.now();
        while let Some(key) = shared.cache.next_expired(now) {
            match expire(&shared, &key).await {
                Ok(()) => {}
                // Whatever changed the Job sets its timer anew.
                Err(error @ store::Error::Conflict { .. }) => {
                    debug!(%error, %key, "somebody else was faster");
                    shared.cache.expires(&key, later(now, RETRY));
                }
                Err(error) => {
                    warn!(%error, %key, "cannot delete a Job that is over for long enough");
                    shared.cache.expires(&key, later(now, RETRY));
                }
            }
        }
        let next = shared.cache.next_expiry();
        // All branches are cancel-safe: none takes anything.
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            () = shared.cache.expiries_due.notified() => {}
            () = shared.clock.sleep_until(next) => {}
        }
    }
}

/// Reads the Job again before it deletes it: the time may have been changed.
async fn expire(shared: &Shared, key: &Key) -> Result<(), store::Error> {
    let Some(mut job) = shared.store.get::<Job>(&key.namespace, &key.name).await? else {
        return Ok(());
    };
    let now = shared.clock.now();
    match expires_at(&job) {
        Some(at) if at > now => {
            shared.cache.expires(key, at);
            return Ok(());
        }
        Some(_) if !job.is_deleting() => {}
        Some(_) | None => return Ok(()),
    }
    mark_job(&mut job, now);
    job.metadata.finalizers.get_or_insert_default().push(FOREGROUND_FINALIZER.to_owned());
    let mut txn = shared.store.txn();
    txn.update(&job);
    txn.commit().await.map(drop)
}

/// A Job that is deleted in the foreground goes after its pods.
pub(super) async fn take_down(shared: &Shared, job: &Job) -> Result<(), store::Error> {
    if !job.has_finalizer(FOREGROUND_FINALIZER) {
        return Ok(());
    }
    if delete_pods(shared, job.namespace(), job.uid()).await? > 0 {
        return Ok(());
    }
    let Some(mut job) = shared.store.get::<Job>(job.namespace(), job.name()).await? else {
        return Ok(());
    };
    job.remove_finalizer(FOREGROUND_FINALIZER);
    let mut txn = shared.store.txn();
    txn.update(&job);
    txn.commit().await.map(drop)
}

/// Marks all pods of a Job as deleted and lets them go. Answers how many there still are.
async fn delete_pods(shared: &Shared, namespace: &str, uid: &str) -> Result<usize, store::Error> {
    let mut pages = shared.store.pages::<Pod>(Some(namespace));
    let mut left = 0;
    while let Some((page, _)) = pages.next().await? {
        let mut changed = Vec::new();
        for pod in page.into_iter().filter(|pod| is_controlled_by(pod, uid)) {
            let mut next = pod.clone();
            mark_pod(&mut next, None, shared.clock.now());
            next.remove_finalizer(TRACKING_FINALIZER);
            if is_terminal(&pod) && !shared.cache.holds(pod.uid()) {
                // It needs no worker, for nothing of it is left on the host.
                next.metadata.deletion_grace_period_seconds = Some(0);
            }
            left += usize::from(!next.is_released());
            if next != pod {
                changed.push(next);
            }
        }
        update(shared, &changed).await?;
    }
    Ok(left)
}

/// Writes all of them at once. Where some have changed meanwhile, the others are written all the same.
async fn update(shared: &Shared, pods: &[Pod]) -> Result<(), store::Error> {
    let mut txn = shared.store.txn();
    for pod in pods {
        txn.update(pod);
    }
    match txn.commit().await {
        Err(store::Error::Conflict { .. }) => {}
        written => return written.map(drop),
    }
    let mut conflict = Ok(());
    for pod in pods {
        let mut txn = shared.store.txn();
        txn.update(pod);
        match txn.commit().await {
            Err(error @ store::Error::Conflict { .. }) => conflict = Err(error),
            written => drop(written?),
        }
    }
    conflict
}

/// Looks for what stands on the host without a pod, at the start and then at times.
pub(super) async fn run_sweeps(shared: Arc<Shared>, stop: CancellationToken) {
    let mut retry = RETRY;
    loop {
        let swept = sweep(&shared, &stop).await;
        if let Err(error) = forget_events(&shared).await {
            warn!(%error, "cannot delete old Events");
        }
        let pause = if swept { shared.settings.sweep_every } else { retry };
        retry = if swept { RETRY } else { retry.saturating_mul(2).min(SWEEP_RETRY_MAX) };
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            () = shared.clock.sleep(pause) => {}
        }
    }
}

async fn sweep(shared: &Shared, stop: &CancellationToken) -> bool {
    let Some(no_births) = stop.run_until_cancelled(shared.births.write()).await else {
        return false;
    };
    let Some(live) = shared.cache.live() else { return false };
    let Some(swept) = stop.run_until_cancelled(shared.runtime.sweep(&live)).await else {
        // The runtime carries it on, and knows of no pod that is new: this engine bears none any more.
        std::mem::forget(no_births);
        return false;
    };
    match swept {
        Ok(removed) => {
            removed.iter().for_each(|line| info!("removed what no pod has: {line}"));
            true
        }
        Err(error) => {
            warn!(%error, "cannot remove all leftovers");
            false
        }
    }
}

async fn forget_events(shared: &Shared) -> Result<(), store::Error> {
    let now = shared.clock.now();
    let mut pages = shared.store.pages::<Event>(None);
    while let Some((events, _)) = pages.next().await? {
        let mut txn = shared.store.txn();
        for event in &events {
            let told = event.last_timestamp.as_ref().or(event.metadata.creation_timestamp.as_ref());
            if told.is_some_and(|time| later(time.0, EVENT_LIFETIME) <= now) {
                txn.delete(event);
            }
        }
        match txn.commit().await {
            // It was told again meanwhile.
            Ok(_) | Err(store::Error::Conflict { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
