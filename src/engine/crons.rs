//! The CronJobs: one look at a time, one transaction a look.
//!
//! Owns: following CronJobs and their Jobs, telling `cron::reconcile` what the store has, committing
//! what follows, and deleting the Jobs of CronJobs that are gone. Must not know: why a Job is started.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::batch::v1::{CronJob, Job};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use super::Shared;
use super::clock::later;
use super::events::Teller;
use super::queue::Queue;
use crate::api::deletion::{FOREGROUND_FINALIZER, mark_job};
use crate::api::event::Note;
use crate::api::object::{Key, Kind, Object};
use crate::cron::{self, Action};
use crate::store::{self, Change};

/// How long a CronJob waits after somebody else was faster; the news of it come earlier.
const CONFLICT_RETRY: Duration = Duration::from_millis(20);
/// How long to wait after the store failed.
const RETRY: Duration = Duration::from_secs(1);
/// How long a start waits whose name another Job has.
const TAKEN_RETRY: Duration = Duration::from_mins(1);

const TELLER: Teller<'_> = Teller { component: "cronjob-controller", host: None };

/// Looks at every CronJob that is due, until told to stop; lets the look that goes on end.
pub(super) async fn run(shared: Arc<Shared>, stop: CancellationToken) {
    while !stop.is_cancelled() {
        match follow(&shared, &stop).await {
            Ok(()) => {}
            Err(error) => {
                warn!(%error, "cannot follow the CronJobs");
                tokio::select! {
                    biased;
                    () = stop.cancelled() => return,
                    () = shared.clock.sleep(RETRY) => {}
                }
            }
        }
    }
}

/// What a watch has seen.
enum News {
    CronJob(Change),
    Job(Change),
}

/// The CronJobs, and which Jobs they control: there may be very many that are over, so whoever looks at
/// them reads them from the store.
struct Known {
    crons: BTreeMap<Key, CronJob>,
    /// By the CronJob's uid.
    jobs: BTreeMap<String, BTreeSet<Key>>,
    queue: Queue<Key>,
}

/// Reads everything, then follows the changes until a watch falls behind.
async fn follow(shared: &Shared, stop: &CancellationToken) -> Result<(), store::Error> {
    // Jobs first: the CronJob of a Job is never taken for gone.
    let (mut known, mut jobs_at) = (Known::new(), None);
    let mut pages = shared.store.pages::<Job>(None);
    while let Some((page, revision)) = pages.next().await? {
        jobs_at.get_or_insert(revision);
        page.iter().for_each(|job| known.put_job(job));
    }
    let (crons, crons_at) = shared.store.list::<CronJob>(None).await?;
    let mut job_changes = shared.store.watch(Kind::Job, jobs_at.unwrap_or(0));
    let mut cron_changes = shared.store.watch(Kind::CronJob, crons_at);
    crons.into_iter().for_each(|cron| known.put_cron(cron));
    known.delete_orphans(shared).await?;
    loop {
        shared.metrics.waiting("cronjob", known.queue.depth());
        known.look_at_all(shared).await;
        shared.metrics.waiting("cronjob", known.queue.depth());
        let tick = known.queue.next_tick();
        // All branches are cancel-safe: nothing is taken from a watch that is not applied.
        let change = tokio::select! {
            biased;
            () = stop.cancelled() => return Ok(()),
            change = cron_changes.next() => change.map(News::CronJob),
            change = job_changes.next() => change.map(News::Job),
            () = shared.clock.sleep_until(tick) => continue,
        };
        match change {
            Ok(News::CronJob(change)) => known.cron_changed(shared, &change).await?,
            Ok(News::Job(change)) => known.job_changed(&change)?,
            Err(store::Error::Compacted { .. }) => return Ok(()),
            Err(error) => return Err(error),
        }
    }
}

impl Known {
    fn new() -> Self {
        Self { crons: BTreeMap::new(), jobs: BTreeMap::new(), queue: Queue::new() }
    }

    fn put_cron(&mut self, cron: CronJob) {
        let key = cron.key();
        self.queue.wake(&key);
        self.crons.insert(key, cron);
    }

    fn put_job(&mut self, job: &Job) {
        let Some(owner) = owner(job) else { return };
        self.jobs.entry(owner.uid.clone()).or_default().insert(job.key());
        self.wake(&key_of(owner, job.namespace()));
    }

    fn wake(&mut self, key: &Key) {
        if self.crons.contains_key(key) {
            self.queue.wake(key);
        }
    }

    fn job_changed(&mut self, change: &Change) -> Result<(), store::Error> {
        if let Some(before) = change.previous::<Job>()?
            && let Some(owner) = owner(&before)
        {
            if let Some(jobs) = self.jobs.get_mut(&owner.uid) {
                jobs.remove(&change.key);
            }
            self.wake(&key_of(owner, before.namespace()));
        }
        if let Some(job) = change.object::<Job>()? {
            self.put_job(&job);
        }
        self.jobs.retain(|_, jobs| !jobs.is_empty());
        Ok(())
    }

    async fn cron_changed(&mut self, shared: &Shared, change: &Change) -> Result<(), store::Error> {
        match change.object::<CronJob>()? {
            Some(cron) => {
                self.put_cron(cron);
                Ok(())
            }
            None => {
                self.crons.remove(&change.key);
                self.delete_orphans(shared).await
            }
        }
    }

    /// Deletes the Jobs whose CronJob is gone.
    /// <https://kubernetes.io/docs/concepts/architecture/garbage-collection/#background-deletion>
    async fn delete_orphans(&mut self, shared: &Shared) -> Result<(), store::Error> {
        let uids: BTreeSet<&str> = self.crons.values().map(Object::uid).collect();
        let orphaned = self.jobs.iter().filter(|(uid, _)| !uids.contains(uid.as_str()));
        for (uid, jobs) in orphaned {
            for job in read(shared, uid, jobs).await? {
                delete_job(shared, &job, false).await?;
            }
        }
        Ok(())
    }

    async fn look_at_all(&mut self, shared: &Shared) {
        let now = shared.clock.now();
        self.queue.tick(now);
        while let Some(key) = self.queue.pop() {
            let mut looked = Looked::default();
            if let Some(cron) = self.crons.get(&key) {
                looked = look(shared, cron, self.jobs.get(cron.uid()), now).await;
            }
            self.queue.done(&key, looked.again);
            // The news of the CronJob may come first, and its Jobs must not be missing then.
            looked.made.iter().for_each(|job| self.put_job(job));
        }
    }
}

/// What came of a look.
#[derive(Default)]
struct Looked {
    /// When to look again, if nothing else happens.
    again: Option<Timestamp>,
    /// The Jobs that were started, as they are stored.
    made: Vec<Job>,
}

async fn look(
    shared: &Shared,
    cron: &CronJob,
    jobs: Option<&BTreeSet<Key>>,
    now: Timestamp,
) -> Looked {
    let again = match act(shared, cron, jobs, now).await {
        Ok(looked) => return looked,
        Err(error @ store::Error::Conflict { .. }) => {
            debug!(%error, "somebody else was faster: looking again");
            Some(later(now, CONFLICT_RETRY))
        }
        Err(error @ store::Error::AlreadyExists { .. }) => {
            let note = Note::warning("FailedCreate", format!("Error creating job: {error}"));
            if let Err(error) = tell(shared, cron, note, now).await {
                warn!(%error, "cannot tell that a Job's name is taken");
            }
            Some(later(now, TAKEN_RETRY))
        }
        Err(error) => {
            warn!(%error, "cannot store what becomes of a CronJob");
            Some(later(now, RETRY))
        }
    };
    Looked { again, made: Vec::new() }
}

async fn act(
    shared: &Shared,
    cron: &CronJob,
    jobs: Option<&BTreeSet<Key>>,
    now: Timestamp,
) -> Result<Looked, store::Error> {
    let jobs = match jobs {
        Some(jobs) => read(shared, cron.uid(), jobs).await?,
        None => Vec::new(),
    };
    let jobs: Vec<&Job> = jobs.iter().collect();
    match cron.is_deleting() {
        true => take_down(shared, cron, &jobs).await.map(|()| Looked::default()),
        false => reconcile(shared, cron, &jobs, now).await,
    }
}

/// The Jobs of the CronJob with this uid, as they are now.
async fn read(
    shared: &Shared,
    cron_uid: &str,
    keys: &BTreeSet<Key>,
) -> Result<Vec<Job>, store::Error> {
    let mut jobs = Vec::new();
    for key in keys {
        let job = shared.store.get::<Job>(&key.namespace, &key.name).await?;
        jobs.extend(job.filter(|job| owner(job).is_some_and(|owner| owner.uid == cron_uid)));
    }
    Ok(jobs)
}

async fn reconcile(
    shared: &Shared,
    cron: &CronJob,
    jobs: &[&Job],
    now: Timestamp,
) -> Result<Looked, store::Error> {
    let plan = cron::reconcile(cron, jobs, now);
    let mut looked = Looked { again: plan.wake_at, made: Vec::new() };
    let changed = plan.record != cron.status.clone().unwrap_or_default();
    if !changed && plan.actions.is_empty() {
        return Ok(looked);
    }
    let (mut txn, mut notes) = (shared.store.txn(), Vec::new());
    // The Jobs first: their revisions are the first ones.
    let (created, others): (Vec<_>, Vec<_>) =
        plan.actions.into_iter().partition(|action| matches!(action, Action::CreateJob(_)));
    for action in created.into_iter().chain(others) {
        match action {
            Action::CreateJob(job) => {
                txn.create(&*job);
                looked.made.push(*job);
            }
            Action::DeleteJob { name } => {
                if let Some(job) = jobs.iter().find(|job| job.name() == name) {
                    let mut job = Job::clone(job);
                    mark_job(&mut job, now);
                    txn.update(&job);
                }
            }
            Action::Tell(note) => notes.push(note),
        }
    }
    for event in shared.events.events((cron, TELLER), &notes, now) {
        txn.put(&event);
    }
    // Only where it says something new: what is told alone must not be news of the CronJob.
    if changed {
        let mut next = cron.clone();
        next.status = Some(plan.record);
        txn.update(&next);
    }
    let written = txn.commit().await?;
    for (job, revision) in looked.made.iter_mut().zip(written.revisions()) {
        job.metadata.resource_version = Some(revision.to_string());
        shared.metrics.cron_created(job, now);
    }
    Ok(looked)
}

async fn tell(
    shared: &Shared,
    cron: &CronJob,
    note: Note,
    now: Timestamp,
) -> Result<(), store::Error> {
    let mut txn = shared.store.txn();
    for event in shared.events.events((cron, TELLER), &[note], now) {
        txn.put(&event);
    }
    txn.commit().await.map(drop)
}

/// A CronJob that is deleted in the foreground goes after its Jobs, and they after their pods.
/// <https://kubernetes.io/docs/concepts/architecture/garbage-collection/#foreground-deletion>
async fn take_down(shared: &Shared, cron: &CronJob, jobs: &[&Job]) -> Result<(), store::Error> {
    if !cron.has_finalizer(FOREGROUND_FINALIZER) {
        return Ok(());
    }
    for job in jobs {
        delete_job(shared, job, true).await?;
    }
    if !jobs.is_empty() {
        return Ok(());
    }
    let mut next = cron.clone();
    next.remove_finalizer(FOREGROUND_FINALIZER);
    let mut txn = shared.store.txn();
    txn.update(&next);
    txn.commit().await.map(drop)
}

/// Deletes a Job, unless it is its CronJob's no more. Its pods go after it; or before it, where it is
/// `held`.
async fn delete_job(shared: &Shared, job: &Job, held: bool) -> Result<(), store::Error> {
    let mut found = Some(job.clone());
    let same = |next: &Job| next.uid() == job.uid() && owner(next).is_some();
    while let Some(mut next) = found.take().filter(same) {
        if next.is_deleting() {
            return Ok(());
        }
        mark_job(&mut next, shared.clock.now());
        if held {
            let finalizers = next.metadata.finalizers.get_or_insert_default();
            finalizers.push(FOREGROUND_FINALIZER.to_owned());
        }
        let mut txn = shared.store.txn();
        txn.update(&next);
        match txn.commit().await {
            Err(store::Error::Conflict { .. }) => {
                found = shared.store.get(job.namespace(), job.name()).await?;
            }
            written => return written.map(drop),
        }
    }
    Ok(())
}

/// The CronJob that a Job belongs to.
fn owner(job: &Job) -> Option<&OwnerReference> {
    let mut owners = job.metadata.owner_references.iter().flatten();
    owners.find(|owner| owner.controller == Some(true) && owner.kind == "CronJob")
}

fn key_of(owner: &OwnerReference, namespace: &str) -> Key {
    Key::new(Kind::CronJob, namespace, owner.name.as_str())
}
