//! What the engine holds in memory of the store: the objects that are not finished.
//!
//! Owns: following the store, waking whoever looks at what changed, and letting go of what is over.
//! Must not know: what anybody does about a change.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use tokio::sync::{Notify, watch};

use super::held::Held;
use super::listed::Listed;
use super::queue::{Queue, Timers};
use crate::api::job::{expires_at, is_finished, is_managed_elsewhere};
use crate::api::object::{Key, Kind, Object};
use crate::api::pod::{controller, is_terminal};
use crate::job::TRACKING_FINALIZER;
use crate::store::{self, Change};

/// The unfinished objects.
#[derive(Debug)]
pub(super) struct Cache {
    state: Mutex<State>,
    /// Some Job is due.
    pub(super) jobs_due: Notify,
    /// Some pod has no worker yet.
    pub(super) pods_due: Notify,
    /// Some Job is gone, and its pods may not be.
    pub(super) orphans_due: Notify,
    /// Some Job is to be deleted at another time than was known.
    pub(super) expiries_due: Notify,
}

#[derive(Debug)]
struct State {
    /// The store was read once; before that nothing is known to be gone.
    filled: bool,
    jobs: BTreeMap<Key, Held>,
    pods: BTreeMap<String, Entry>,
    /// The uids of a Job's pods, by the Job's uid.
    of_job: BTreeMap<String, BTreeSet<String>>,
    /// The uids of pods that nobody controls, by namespace: a Job may adopt them.
    of_nobody: BTreeMap<String, BTreeSet<String>>,
    /// Up to where each kind was followed.
    seen: BTreeMap<Kind, u64>,
    queue: Queue<Key>,
    /// The Jobs that wait for a Job.
    waiters: BTreeMap<Key, BTreeSet<Key>>,
    /// Pods that need a worker.
    born: VecDeque<String>,
    /// Pods that are over or gone: they need nothing of the host any more.
    ended: VecDeque<String>,
    /// Jobs that are gone: namespace and uid.
    orphaned: VecDeque<(String, String)>,
    /// Pods that are held to be counted, though no Job is there to count them: namespace and name.
    strays: VecDeque<(String, String)>,
    /// Jobs that are over, and when they are to be deleted. A Job that is to stay is not held at all.
    expiries: Timers<Key>,
}

#[derive(Debug)]
struct Entry {
    pod: Arc<Pod>,
    /// Tells the pod's worker of changes; `None` when the pod is gone. Absent: there is no worker.
    worker: Option<watch::Sender<Option<Arc<Pod>>>>,
}

/// A pod and the news of it.
pub(super) type Subscription = (Arc<Pod>, watch::Receiver<Option<Arc<Pod>>>);

impl Cache {
    pub(super) fn new() -> Self {
        Self {
            state: Mutex::new(State {
                filled: false,
                jobs: BTreeMap::new(),
                pods: BTreeMap::new(),
                of_job: BTreeMap::new(),
                of_nobody: BTreeMap::new(),
                seen: BTreeMap::new(),
                queue: Queue::new(),
                waiters: BTreeMap::new(),
                born: VecDeque::new(),
                ended: VecDeque::new(),
                orphaned: VecDeque::new(),
                strays: VecDeque::new(),
                expiries: Timers::new(),
            }),
            jobs_due: Notify::new(),
            pods_due: Notify::new(),
            orphans_due: Notify::new(),
            expiries_due: Notify::new(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Works with the queue of Jobs to look at.
    pub(super) fn queue<T>(&self, work: impl FnOnce(&mut Queue<Key>) -> T) -> T {
        work(&mut self.state().queue)
    }

    /// The revision of a Job, and those of its pods and of nobody's that are not finished, or not counted
    /// yet.
    pub(super) fn job(&self, key: &Key) -> Option<(u64, Vec<Arc<Pod>>)> {
        let state = self.state();
        let job = state.jobs.get(key)?;
        let own = state.of_job.get(&job.uid).into_iter().flatten();
        let free = state.of_nobody.get(&key.namespace).into_iter().flatten();
        let uids = own.chain(free);
        let pods = uids.filter_map(|uid| state.pods.get(uid)).map(|entry| Arc::clone(&entry.pod));
        Some((job.revision, pods.filter(|pod| concerns_its_job(pod)).collect()))
    }

    /// The next pod that has no worker, and is new or was changed.
    pub(super) fn born(&self) -> Option<Arc<Pod>> {
        let mut state = self.state();
        while let Some(uid) = state.born.pop_front() {
            if let Some(entry) = state.pods.get(&uid).filter(|entry| entry.worker.is_none()) {
                return Some(Arc::clone(&entry.pod));
            }
        }
        None
    }

    /// The next pod that is over or gone.
    pub(super) fn ended(&self) -> Option<String> {
        self.state().ended.pop_front()
    }

    /// Gives a pod a worker, if it is still there without one.
    pub(super) fn adopt(&self, uid: &str) -> Option<Subscription> {
        let mut state = self.state();
        let entry = state.pods.get_mut(uid).filter(|entry| entry.worker.is_none())?;
        let news = watch::Sender::new(Some(Arc::clone(&entry.pod)));
        let subscription = (Arc::clone(&entry.pod), news.subscribe());
        entry.worker = Some(news);
        Some(subscription)
    }

    pub(super) fn pod(&self, uid: &str) -> Option<Arc<Pod>> {
        self.state().pods.get(uid).map(|entry| Arc::clone(&entry.pod))
    }

    /// When the Job of this pod is to be over at the latest.
    pub(super) fn job_deadline(&self, pod: &Pod) -> Option<Timestamp> {
        let key = Key::new(Kind::Job, pod.namespace(), owner(pod)?.name.as_str());
        self.state().jobs.get(&key)?.deadline
    }

    /// Gives the pod's worker leave to end, unless there is news that it did not see.
    pub(super) fn retire(&self, pod: &Pod) -> bool {
        let mut state = self.state();
        let Some(entry) = state.pods.get_mut(pod.uid()) else { return true };
        if revision(&*entry.pod) > revision(pod) {
            return false;
        }
        entry.worker = None;
        if !is_held(&entry.pod) {
            state.forget(pod.uid());
        }
        true
    }

    /// The pod's worker broke: it needs another one.
    pub(super) fn abandon(&self, uid: &str) {
        let mut state = self.state();
        if let Some(entry) = state.pods.get_mut(uid) {
            entry.worker = None;
            state.born.push_back(uid.to_owned());
            self.pods_due.notify_one();
        }
    }

    /// The uids of all pods that may have something on the host. `None`: not known yet.
    pub(super) fn live(&self) -> Option<BTreeSet<String>> {
        let state = self.state();
        state.filled.then(|| state.pods.keys().cloned().collect())
    }

    /// A Job whose time has come to be deleted.
    pub(super) fn next_expired(&self, now: Timestamp) -> Option<Key> {
        self.state().expiries.pop(now)
    }

    /// When the first Job is to be deleted.
    pub(super) fn next_expiry(&self) -> Option<Timestamp> {
        self.state().expiries.next()
    }

    /// Comes back to a Job at this time.
    pub(super) fn expires(&self, key: &Key, at: Timestamp) {
        self.state().expiries.set(key, Some(at));
    }

    pub(super) fn next_stray(&self) -> Option<(String, String)> {
        self.state().strays.pop_front()
    }

    pub(super) fn stray(&self, namespace: String, name: String) {
        self.state().strays.push_back((namespace, name));
        self.orphans_due.notify_one();
    }

    pub(super) fn next_orphaned(&self) -> Option<(String, String)> {
        self.state().orphaned.pop_front()
    }

    pub(super) fn orphaned(&self, namespace: String, job_uid: String) {
        self.state().orphaned.push_back((namespace, job_uid));
        self.orphans_due.notify_one();
    }

    /// Takes in a Job as this engine just committed it, unless the watch was faster.
    pub(super) fn committed_job(&self, job: Job) {
        let mut state = self.state();
        if revision(&job) > state.seen.get(&Kind::Job).copied().unwrap_or(0) && !job.is_released() {
            self.put_job(&mut state, job);
        }
    }

    /// The same for a pod.
    pub(super) fn committed_pod(&self, pod: Pod) {
        let mut state = self.state();
        if revision(&pod) > state.seen.get(&Kind::Pod).copied().unwrap_or(0) && !pod.is_released() {
            self.put_pod(&mut state, pod);
        }
    }

    fn put_job(&self, state: &mut State, job: Job) {
        let key = job.key();
        if state.jobs.get(&key).is_some_and(|held| held.revision >= revision(&job)) {
            return;
        }
        if is_finished(&job).is_some() || !state.jobs.contains_key(&key) {
            self.wake_waiters(state, &key);
        }
        let expiry = expires_at(&job).filter(|_| !job.is_deleting());
        state.expiries.set(&key, expiry);
        if expiry.is_some() {
            self.expiries_due.notify_one();
        }
        if is_idle(&job) {
            state.jobs.remove(&key);
            return;
        }
        let held = Held::of(&job);
        for name in &held.awaits {
            let awaited = Key::new(Kind::Job, key.namespace.as_str(), name.as_str());
            state.waiters.entry(awaited).or_default().insert(key.clone());
        }
        state.jobs.insert(key.clone(), held);
        state.queue.wake(&key);
        self.jobs_due.notify_one();
    }

    /// A Job is there, over, or gone: those that wait for it look again.
    fn wake_waiters(&self, state: &mut State, key: &Key) {
        let Some(waiters) = state.waiters.get_mut(key) else { return };
        let waits =
            |waiter: &Key| state.jobs.get(waiter).is_some_and(|job| job.awaits.contains(&key.name));
        waiters.retain(waits);
        if waiters.is_empty() {
            state.waiters.remove(key);
            return;
        }
        waiters.iter().for_each(|waiter| state.queue.wake(waiter));
        self.jobs_due.notify_one();
    }

    fn put_pod(&self, state: &mut State, pod: Pod) {
        let uid = pod.uid().to_owned();
        let pod = Arc::new(pod);
        let held = state.pods.get(&uid).map(|entry| Arc::clone(&entry.pod));
        if held.as_ref().is_some_and(|held| revision(&**held) >= revision(&*pod)) {
            return;
        }
        if let Some(held) = held.filter(|held| owner(held) != owner(&pod)) {
            state.unfile(&held);
            state.file(&pod);
            self.wake_owner(state, &held);
        }
        match state.pods.get_mut(&uid) {
            Some(entry) => {
                if is_terminal(&pod) && !is_terminal(&entry.pod) {
                    state.ended.push_back(uid.clone());
                    self.pods_due.notify_one();
                }
                entry.pod = Arc::clone(&pod);
                if let Some(worker) = &entry.worker {
                    worker.send_replace(Some(Arc::clone(&pod)));
                } else if !is_held(&pod) {
                    state.forget(&uid);
                }
            }
            None if is_held(&pod) => {
                state.file(&pod);
                state.pods.insert(uid.clone(), Entry { pod: Arc::clone(&pod), worker: None });
            }
            None => {}
        }
        let needs_worker = |entry: &Entry| entry.worker.is_none() && needs_worker(&entry.pod);
        if state.pods.get(&uid).is_some_and(needs_worker) {
            state.born.push_back(uid);
            self.pods_due.notify_one();
        }
        self.wake_owner(state, &pod);
    }

    fn wake_owner(&self, state: &mut State, pod: &Pod) {
        let Some(owner) = owner(pod) else { return self.wake_adopters(state, pod) };
        let key = Key::new(Kind::Job, pod.namespace(), owner.name.as_str());
        if state.jobs.get(&key).is_some_and(|job| job.uid == owner.uid) {
            state.queue.wake(&key);
            self.jobs_due.notify_one();
        }
    }

    /// Any Job that selects the pod may make it its own.
    fn wake_adopters(&self, state: &mut State, pod: &Pod) {
        let first = Key::new(Kind::Job, pod.namespace(), "");
        let near = state.jobs.range(first..);
        let near = near.take_while(|(key, _)| key.namespace == pod.namespace());
        let adopters: Vec<Key> =
            near.filter(|(_, job)| job.claims.include(pod)).map(|(key, _)| key.clone()).collect();
        let free = controller(pod).is_none() && pod.has_finalizer(TRACKING_FINALIZER);
        if free && adopters.is_empty() {
            state.strays.push_back((pod.namespace().to_owned(), pod.name().to_owned()));
            self.orphans_due.notify_one();
        }
        for key in adopters {
            state.queue.wake(&key);
            self.jobs_due.notify_one();
        }
    }

    fn delete_job(&self, state: &mut State, key: &Key, job: Option<&Job>) {
        state.expiries.set(key, None);
        let held = state.jobs.remove(key);
        self.wake_waiters(state, key);
        let told = job.map(|job| job.uid().to_owned());
        let Some(uid) = told.or_else(|| held.map(|held| held.uid)) else { return };
        state.orphaned.push_back((key.namespace.clone(), uid));
        self.orphans_due.notify_one();
    }

    fn delete_pod(&self, state: &mut State, pod: &Pod) {
        state.forget(pod.uid());
        self.pods_due.notify_one();
        self.wake_owner(state, pod);
    }

    pub(super) fn apply(&self, kind: Kind, change: &Change) -> Result<(), store::Error> {
        let mut state = self.state();
        state.seen.insert(kind, change.revision);
        match kind {
            Kind::Job => match change.object()? {
                Some(job) => self.put_job(&mut state, job),
                None => self.delete_job(&mut state, &change.key, change.previous()?.as_ref()),
            },
            Kind::Pod => match change.object()? {
                Some(pod) => self.put_pod(&mut state, pod),
                None => {
                    if let Some(pod) = change.previous()? {
                        self.delete_pod(&mut state, &pod);
                    }
                }
            },
            Kind::CronJob
            | Kind::Event
            | Kind::ConfigMap
            | Kind::Secret
            | Kind::Namespace
            | Kind::Node
            | Kind::ServiceAccount
            | Kind::Lease
            | Kind::PersistentVolumeClaim => {}
        }
        Ok(())
    }

    /// Whether anything is known of a pod; nothing of it is left on the host, where it is over and not.
    pub(super) fn holds(&self, uid: &str) -> bool {
        self.state().pods.contains_key(uid)
    }

    /// Whether a Job that was read has to be taken in.
    pub(super) fn concerns_job(&self, job: &Job) -> bool {
        !is_idle(job) || expires_at(job).is_some() || self.state().jobs.contains_key(&job.key())
    }

    /// The same for a pod.
    pub(super) fn concerns_pod(&self, pod: &Pod) -> bool {
        is_held(pod) || self.holds(pod.uid())
    }

    /// Replaces everything by what the store has now.
    pub(super) fn fill(&self, jobs: Listed<Job>, pods: Listed<Pod>) {
        let mut state = self.state();
        let known: BTreeSet<&str> = jobs.all.values().map(String::as_str).collect();
        // What is newer than the list was made meanwhile, by this engine.
        state
            .jobs
            .retain(|_, job| known.contains(job.uid.as_str()) || job.revision > jobs.revision);
        state.expiries.retain(|key| jobs.all.contains_key(key));
        let uids: BTreeSet<&str> = pods.all.values().map(String::as_str).collect();
        let gone = state.pods.iter().filter(|(uid, entry)| {
            !uids.contains(uid.as_str()) && revision(&*entry.pod) <= pods.revision
        });
        let gone: Vec<String> = gone.map(|(uid, _)| uid.clone()).collect();
        gone.iter().for_each(|uid| state.forget(uid));
        state.seen.insert(Kind::Job, jobs.revision);
        state.seen.insert(Kind::Pod, pods.revision);
        let orphaned = pods.owners.iter().filter(|(_, uid)| !known.contains(uid.as_str()));
        state.orphaned.extend(orphaned.cloned());
        for pod in pods.held {
            self.put_pod(&mut state, pod);
        }
        for job in jobs.held {
            self.put_job(&mut state, job);
        }
        state.filled = true;
        self.pods_due.notify_one();
        self.orphans_due.notify_one();
    }
}

impl State {
    /// Lets go of a pod and tells its worker that it is gone.
    fn forget(&mut self, uid: &str) {
        let Some(entry) = self.pods.remove(uid) else { return };
        self.ended.push_back(uid.to_owned());
        if let Some(worker) = &entry.worker {
            worker.send_replace(None);
        }
        self.unfile(&entry.pod);
    }

    /// Notes whose the pod is.
    fn file(&mut self, pod: &Pod) {
        let uids = match (owner(pod), controller(pod)) {
            (Some(owner), _) => self.of_job.entry(owner.uid.clone()).or_default(),
            (None, None) => self.of_nobody.entry(pod.namespace().to_owned()).or_default(),
            (None, Some(_)) => return,
        };
        uids.insert(pod.uid().to_owned());
    }

    fn unfile(&mut self, pod: &Pod) {
        let (all, of) = match owner(pod) {
            Some(owner) => (&mut self.of_job, owner.uid.as_str()),
            None => (&mut self.of_nobody, pod.namespace()),
        };
        if let Some(uids) = all.get_mut(of) {
            uids.remove(pod.uid());
            if uids.is_empty() {
                all.remove(of);
            }
        }
    }
}

/// The revision at which an object was written, for comparing two values of one object.
pub(super) fn revision<O: Object>(object: &O) -> u64 {
    object.meta().resource_version.as_deref().and_then(|text| text.parse().ok()).unwrap_or(0)
}

/// The Job that a pod belongs to.
pub(super) fn owner(pod: &Pod) -> Option<&OwnerReference> {
    let owners = pod.metadata.owner_references.iter().flatten();
    owners.into_iter().find(|owner| owner.controller == Some(true) && owner.kind == "Job")
}

/// There is nothing to do about it.
fn is_idle(job: &Job) -> bool {
    (is_finished(job).is_some() || is_managed_elsewhere(job)) && !job.is_deleting()
}

fn concerns_its_job(pod: &Pod) -> bool {
    !is_terminal(pod) || pod.has_finalizer(TRACKING_FINALIZER)
}

fn needs_worker(pod: &Pod) -> bool {
    !is_terminal(pod) || pod.is_deleting()
}

fn is_held(pod: &Pod) -> bool {
    concerns_its_job(pod) || needs_worker(pod)
}
