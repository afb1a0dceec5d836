//! The Jobs: one look at a time, one transaction a look.
//!
//! Owns: telling `job::reconcile` what the store has, and committing what follows. Must not know: why.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::batch::v1::{Job, JobStatus};
use k8s_openapi::api::core::v1::Pod;
use tokio::task::{Id, JoinSet};
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, warn};

use super::clock::later;
use super::events::Teller;
use super::{Shared, gc};
use crate::api::deletion::mark_pod;
use crate::api::object::{Key, Object};
use crate::job::{self, Action, TRACKING_FINALIZER};
use crate::store;

/// How many Jobs are looked at side by side.
const LOOKS_AT_ONCE: usize = 8;
/// How long a Job waits after somebody else was faster; the news of it come earlier.
const CONFLICT_RETRY: Duration = Duration::from_millis(20);
/// How long a Job waits after the store failed.
const RETRY: Duration = Duration::from_secs(1);

const TELLER: Teller<'_> = Teller { component: "job-controller", host: None };

/// Looks at every Job that is due, until told to stop; lets the looks that go on end.
pub(super) async fn run(shared: Arc<Shared>, stop: CancellationToken) {
    let mut looks = JoinSet::new();
    let mut keys: HashMap<Id, Key> = HashMap::new();
    loop {
        let now = shared.clock.now();
        shared.cache.queue(|queue| queue.tick(now));
        while looks.len() < LOOKS_AT_ONCE
            && let Some(key) = shared.cache.queue(|queue| queue.pop())
        {
            let handle = looks.spawn(look(Arc::clone(&shared), key.clone()));
            keys.insert(handle.id(), key);
        }
        let tick = shared.cache.queue(|queue| queue.next_tick());
        // All branches are cancel-safe; a permit of `Notify` is kept until it is taken.
        tokio::select! {
            biased;
            () = stop.cancelled() => break,
            Some(ended) = looks.join_next_with_id() => {
                let id = ended.as_ref().map_or_else(tokio::task::JoinError::id, |(id, _)| *id);
                let again = ended.map_or_else(
                    |broken| {
                        error!(error = %broken, "a look at a Job broke");
                        Some(later(shared.clock.now(), RETRY))
                    },
                    |(_, again)| again,
                );
                if let Some(key) = keys.remove(&id) {
                    shared.cache.queue(|queue| queue.done(&key, again));
                }
            }
            () = shared.cache.jobs_due.notified() => {}
            () = shared.clock.sleep_until(tick) => {}
        }
    }
    while looks.join_next().await.is_some() {}
}

/// One look. Answers when to look again, if nothing else happens.
async fn look(shared: Arc<Shared>, key: Key) -> Option<Timestamp> {
    let (job, pods) = shared.cache.job(&key)?;
    let looked = match reconcile(&shared, &job, &pods).await {
        Ok(_) if job.is_deleting() => gc::take_down(&shared, &job).await.map(|()| None),
        looked => looked,
    };
    let retry = match looked {
        Ok(wake_at) => return wake_at,
        Err(error @ (store::Error::Conflict { .. } | store::Error::AlreadyExists { .. })) => {
            debug!(%error, %key, "somebody else was faster: looking again");
            CONFLICT_RETRY
        }
        Err(error) => {
            warn!(%error, %key, "cannot store what becomes of the Job");
            RETRY
        }
    };
    Some(later(shared.clock.now(), retry))
}

async fn reconcile(
    shared: &Shared,
    job: &Job,
    pods: &[Arc<Pod>],
) -> Result<Option<Timestamp>, store::Error> {
    let now = shared.clock.now();
    let refs: Vec<&Pod> = pods.iter().map(AsRef::as_ref).collect();
    let plan = job::reconcile(job, &refs, &shared.settings.job, now);
    let mut next = job.clone();
    next.status = Some(as_stored(plan.record.status));
    plan.record.ledger.write(&mut next);
    if next == *job && plan.actions.is_empty() {
        return Ok(plan.wake_at);
    }
    let mut txn = shared.store.txn();
    let (mut notes, mut written) = (Vec::new(), Vec::new());
    for action in plan.actions {
        match action {
            Action::CreatePod(pod) => {
                txn.create(&*pod);
                written.push(*pod);
            }
            Action::DeletePod { name, uncounted } => {
                if let Some(mut pod) = named(pods, &name) {
                    mark_pod(&mut pod, None, now);
                    if uncounted {
                        pod.remove_finalizer(TRACKING_FINALIZER);
                    }
                    txn.update(&pod);
                    written.push(pod);
                }
            }
            Action::ReleasePod { name } => {
                if let Some(mut pod) = named(pods, &name) {
                    pod.remove_finalizer(TRACKING_FINALIZER);
                    txn.update(&pod);
                    written.push(pod);
                }
            }
            Action::Tell(note) => notes.push(note),
        }
    }
    for event in shared.events.events(&shared.store, (job, TELLER), &notes, now).await {
        txn.put(&event);
    }
    txn.update(&next);
    let revision = Some(txn.commit().await?.to_string());
    for mut pod in written {
        pod.metadata.resource_version.clone_from(&revision);
        shared.cache.committed_pod(pod);
    }
    next.metadata.resource_version = revision;
    shared.cache.committed_job(next);
    Ok(plan.wake_at)
}

fn named(pods: &[Arc<Pod>], name: &str) -> Option<Pod> {
    pods.iter().find(|pod| pod.name() == name).map(|pod| Pod::clone(pod))
}

/// The status as it comes back from the store: two that are stored alike are equal.
fn as_stored(status: JobStatus) -> JobStatus {
    let json = serde_json::to_value(&status);
    json.and_then(serde_json::from_value).unwrap_or(status)
}
