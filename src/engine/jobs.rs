//! The Jobs: one look at a time, one transaction a look.
//!
//! Owns: telling `job::reconcile` what the store has, and committing what follows. Must not know: why.

use std::collections::{BTreeMap, HashMap};
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
use super::metrics::{Look, took};
use super::{Shared, cache, gc, pod_security};
use crate::api::deletion::mark_pod;
use crate::api::event::Note;
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
        let (tick, depth) = shared.cache.queue(|queue| (queue.next_tick(), queue.depth()));
        shared.metrics.waiting("job", depth);
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
    let (revision, pods) = shared.cache.job(&key)?;
    let job = match shared.store.get::<Job>(&key.namespace, &key.name).await {
        Ok(Some(job)) if cache::revision(&job) == revision => job,
        // The news of it are on their way, and wake it.
        Ok(_) => return None,
        Err(error) => {
            warn!(%error, %key, "cannot read the Job");
            return Some(later(shared.clock.now(), RETRY));
        }
    };
    let (begun, mut what) = (shared.clock.now(), Look::Reconciling);
    let reconciled = reconcile(&shared, &job, &pods, &mut what).await;
    let took = took(begun, shared.clock.now());
    shared.metrics.synced(&job, what, reconciled.is_ok(), took);
    let looked = match reconciled {
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
    what: &mut Look,
) -> Result<Option<Timestamp>, store::Error> {
    let now = shared.clock.now();
    let refs: Vec<&Pod> = pods.iter().map(AsRef::as_ref).collect();
    let mut earlier = Vec::new();
    for name in job::awaits(job) {
        earlier.extend(shared.store.get::<Job>(job.namespace(), name).await?);
    }
    let mut plan = job::reconcile(job, &refs, &earlier, &shared.settings.job, now);
    if let Some(pod) = plan.actions.iter().find_map(made)
        && let Some(why) = pod_security::forbidden(shared, pod).await?
    {
        let rules = job::Rules { refusal: Some(why), ..shared.settings.job.clone() };
        plan = job::reconcile(job, &refs, &earlier, &rules, now);
    }
    *what = Look::of(&plan.actions);
    let mut next = job.clone();
    let status = as_stored(plan.record.status);
    if job.status.is_some() || status != JobStatus::default() {
        next.status = Some(status);
    }
    plan.record.ledger.write(&mut next);
    if next == *job && plan.actions.is_empty() {
        return Ok(plan.wake_at);
    }
    let mut txn = shared.store.txn();
    let mut changes = Changes { pods, now, changed: BTreeMap::new(), notes: Vec::new() };
    let mut written = Vec::new();
    for action in plan.actions {
        if let Action::CreatePod(pod) = action {
            txn.create(&*pod);
            written.push(*pod);
        } else {
            changes.apply(action);
        }
    }
    for pod in changes.changed.into_values() {
        txn.update(&pod);
        written.push(pod);
    }
    let notes = changes.notes;
    for event in shared.events.events((job, TELLER), &notes, now) {
        txn.put(&event);
    }
    // Only where it says something new, or has pods that go with it: what is told alone must not be news
    // of the Job.
    let is_news = next != *job || !written.is_empty();
    if is_news {
        txn.update(&next);
    }
    // The pods were put in first, and the Job last.
    let stored = txn.commit().await?;
    let known = |pod: &Pod| pods.iter().find(|known| known.name() == pod.name());
    let changed: Vec<_> =
        written.iter().filter_map(|pod| Some((known(pod)?.as_ref(), pod))).collect();
    shared.metrics.job_changed((job, &next), &changed);
    for (mut pod, revision) in written.into_iter().zip(stored.revisions()) {
        pod.metadata.resource_version = Some(revision.to_string());
        shared.cache.committed_pod(pod);
    }
    if is_news {
        next.metadata.resource_version = Some(stored.last.to_string());
        shared.cache.committed_job(next);
    }
    Ok(plan.wake_at)
}

fn made(action: &Action) -> Option<&Pod> {
    match action {
        Action::CreatePod(pod) => Some(pod),
        Action::DeletePod { .. }
        | Action::ReleasePod { .. }
        | Action::AdoptPod { .. }
        | Action::DisownPod { .. }
        | Action::Tell(_) => None,
    }
}

/// What a plan does to the pods that there are. Several steps may change the same pod.
struct Changes<'a> {
    pods: &'a [Arc<Pod>],
    now: Timestamp,
    changed: BTreeMap<String, Pod>,
    notes: Vec<Note>,
}

impl Changes<'_> {
    fn apply(&mut self, action: Action) {
        match action {
            // Made, not changed.
            Action::CreatePod(_) => {}
            Action::DeletePod { name, uncounted } => {
                let now = self.now;
                self.change(&name, |pod| {
                    mark_pod(pod, None, now);
                    if uncounted {
                        pod.remove_finalizer(TRACKING_FINALIZER);
                    }
                });
            }
            Action::ReleasePod { name } => {
                self.change(&name, |pod| pod.remove_finalizer(TRACKING_FINALIZER));
            }
            Action::AdoptPod { name, owner } => self.change(&name, |pod| {
                pod.metadata.owner_references.get_or_insert_default().push(*owner);
                if !pod.has_finalizer(TRACKING_FINALIZER) {
                    let finalizers = pod.metadata.finalizers.get_or_insert_default();
                    finalizers.push(TRACKING_FINALIZER.to_owned());
                }
            }),
            Action::DisownPod { name, owner } => self.change(&name, |pod| {
                let owners = pod.metadata.owner_references.iter_mut();
                owners.for_each(|owners| owners.retain(|held| held.uid != owner));
                pod.remove_finalizer(TRACKING_FINALIZER);
            }),
            Action::Tell(note) => self.notes.push(note),
        }
    }

    fn change(&mut self, name: &str, change: impl FnOnce(&mut Pod)) {
        if !self.changed.contains_key(name) {
            let Some(pod) = self.pods.iter().find(|pod| pod.name() == name) else { return };
            self.changed.insert(name.to_owned(), Pod::clone(pod));
        }
        self.changed.get_mut(name).map(change);
    }
}

/// The status as it comes back from the store: two that are stored alike are equal.
fn as_stored(status: JobStatus) -> JobStatus {
    let json = serde_json::to_value(&status);
    json.and_then(serde_json::from_value).unwrap_or(status)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::engine::{Clock, Settings};
    use crate::pod;
    use crate::runtime::fake::Fake;
    use crate::store::Store;

    fn shared() -> Shared {
        let clock = Clock::virtual_at(Timestamp::UNIX_EPOCH);
        let tells = clock.clone();
        let runtime = Arc::new(Fake::new(move || tells.now()));
        let settings = Settings::new(job::Rules::default(), pod::Rules::default());
        Shared::new(Store::in_memory().unwrap(), runtime, clock, settings)
    }

    /// Stores a Job with these fields of its spec.
    async fn store(shared: &Shared, spec: Value) -> Job {
        let mut all = json!({
            "metadata": {"name": "j", "namespace": "default", "uid": "u"},
            "spec": {"template": {"spec": {
                "restartPolicy": "Never", "containers": [{"name": "main", "image": "busybox:1"}],
            }}},
        });
        all["spec"].as_object_mut().unwrap().extend(spec.as_object().unwrap().clone());
        let job: Job = serde_json::from_value(all).unwrap();
        let mut txn = shared.store.txn();
        txn.create(&job);
        txn.commit().await.unwrap();
        stored(shared).await
    }

    async fn stored(shared: &Shared) -> Job {
        shared.store.get("default", "j").await.unwrap().unwrap()
    }

    async fn pods(shared: &Shared) -> Vec<Arc<Pod>> {
        let (pods, _) = shared.store.list::<Pod>(None).await.unwrap();
        pods.into_iter().map(Arc::new).collect()
    }

    async fn update<O: Object>(shared: &Shared, object: &O) {
        let mut txn = shared.store.txn();
        txn.update(object);
        txn.commit().await.unwrap();
    }

    /// A Job with two pods that run, of which one then fails.
    async fn one_of_two_failed(shared: &Shared) -> (Job, Vec<Arc<Pod>>) {
        let limits = json!({"parallelism": 2, "completions": 2, "backoffLimit": 0});
        let job = store(shared, limits).await;
        reconcile(shared, &job, &[]).await.unwrap();
        let mut failed = Pod::clone(&pods(shared).await[0]);
        failed.status.get_or_insert_default().phase = Some("Failed".to_owned());
        update(shared, &failed).await;
        (stored(shared).await, pods(shared).await)
    }

    async fn reconcile(
        shared: &Shared,
        job: &Job,
        pods: &[Arc<Pod>],
    ) -> Result<Option<Timestamp>, store::Error> {
        super::reconcile(shared, job, pods, &mut Look::Reconciling).await
    }

    fn is_race(result: &Result<Option<Timestamp>, store::Error>) -> bool {
        result.as_ref().is_err_and(store::Error::is_race)
    }

    #[tokio::test]
    async fn case_10_what_cannot_be_written_as_a_whole_is_not_written_and_made_anew() {
        let shared = shared();
        let job = store(&shared, json!({"parallelism": 100, "completions": 200})).await;
        let plan = job::reconcile(&job, &[], &[], &shared.settings.job, shared.clock.now());
        // Somebody has the name of one of the pods.
        let mut others = plan.actions.into_iter().filter_map(|action| match action {
            Action::CreatePod(pod) => Some(*pod),
            Action::DeletePod { .. }
            | Action::ReleasePod { .. }
            | Action::AdoptPod { .. }
            | Action::DisownPod { .. }
            | Action::Tell(_) => None,
        });
        let mut other = others.nth(10).unwrap();
        (other.metadata.owner_references, other.metadata.finalizers) = (None, None);
        let mut txn = shared.store.txn();
        txn.create(&other);
        txn.commit().await.unwrap();
        let other = pods(&shared).await.remove(0);
        assert!(is_race(&reconcile(&shared, &job, &[]).await));
        assert_eq!((pods(&shared).await.len(), stored(&shared).await.status), (1, None));

        let mut txn = shared.store.txn();
        txn.delete(&*other);
        txn.commit().await.unwrap();
        reconcile(&shared, &job, &[]).await.unwrap();
        assert_eq!(pods(&shared).await.len(), 100);
        assert_eq!(stored(&shared).await.status.unwrap().active, Some(100));
    }

    #[tokio::test]
    async fn case_24_what_follows_from_a_job_that_has_changed_meanwhile_is_not_written() {
        let shared = shared();
        let (before, seen) = one_of_two_failed(&shared).await;
        let mut now = before.clone();
        now.spec.as_mut().unwrap().backoff_limit = Some(6);
        update(&shared, &now).await;
        assert!(is_race(&reconcile(&shared, &before, &seen).await));
        let status = stored(&shared).await.status.unwrap();
        assert_eq!((status.conditions, status.failed), (None, None));
        assert_eq!(pods(&shared).await, seen);

        reconcile(&shared, &stored(&shared).await, &seen).await.unwrap();
        let status = stored(&shared).await.status.unwrap();
        assert_eq!((status.conditions, status.failed), (None, Some(1)));
    }

    #[tokio::test]
    async fn case_46_a_suspension_that_is_over_deletes_no_pods() {
        let shared = shared();
        let (mut now, seen) = one_of_two_failed(&shared).await;
        let mut before = now.clone();
        before.spec.as_mut().unwrap().suspend = Some(true);
        now.spec.as_mut().unwrap().suspend = Some(false);
        update(&shared, &now).await;
        assert!(is_race(&reconcile(&shared, &before, &seen).await));
        assert_eq!((pods(&shared).await, stored(&shared).await.status), (seen, now.status));
    }

    #[tokio::test]
    async fn what_follows_from_a_pod_that_has_changed_meanwhile_is_not_written() {
        let shared = shared();
        let (job, seen) = one_of_two_failed(&shared).await;
        let mut pod = Pod::clone(&seen[0]);
        pod.metadata.labels.get_or_insert_default().insert("new".to_owned(), String::new());
        update(&shared, &pod).await;
        assert!(is_race(&reconcile(&shared, &job, &seen).await));
        assert_eq!(stored(&shared).await.status, job.status);
    }
}
