//! The worker of a pod.
//!
//! Owns: telling `pod::reconcile` what is known, storing what it says of the pod, and beginning what is
//! to be done. Must not know: why.
//!
//! A worker never waits for one thing only: operations, the commit of a record, news of the pod and the
//! clock all just make it look again. While a record is being stored, only such actions are begun as
//! may precede it.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use tokio::sync::watch;
use tokio::task::{AbortHandle, Id, JoinError, JoinSet};
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, debug, info_span, warn};

use super::cache::revision;
use super::clock::later;
use super::commit::{Commit, as_stored, commit, stored};
use super::metrics::Progress;
use super::objects::Interest;
use super::operations::{self, Fact, Retry, Task, Troubles};
use super::{RETRY, Shared};
use crate::api::event::Note;
use crate::api::object::Object;
use crate::api::pod::is_terminal;
use crate::api::references::has_live_volumes;
use crate::pod::{self, Action, Instance, Observed, Operation, Record, Sandbox, State};
use crate::runtime::Found;
use crate::store;

/// How long a stopping engine waits for the operations that go on.
const STOP_TIMEOUT: Duration = Duration::from_secs(30);

pub(super) struct Worker {
    shared: Arc<Shared>,
    /// As it is stored, as far as is known.
    pod: Arc<Pod>,
    news: watch::Receiver<Option<Arc<Pod>>>,
    /// What the pod needs of other objects.
    interest: Option<Interest>,
    observed: Observed,
    tasks: JoinSet<Fact>,
    running: HashMap<Id, (Task, AbortHandle)>,
    retries: BTreeMap<Operation, Retry>,
    troubles: Troubles,
    commit: Option<Commit>,
    /// Whether the commit that goes on changes the pod, or only tells something.
    changing: bool,
    /// What is to be told with the next commit, and what is told with the one that goes on.
    notes: Vec<Note>,
    committing: Vec<Note>,
    /// What the last plan told. A plan whose step waits to be tried again tells the same as before.
    told: Vec<Note>,
    /// Whether that the store fails was told.
    store_fails: bool,
    /// No commit before this time: the store failed.
    store_retry: Option<Timestamp>,
    progress: Progress,
}

/// What a worker is to do next.
enum Next {
    Wait(Option<Timestamp>),
    End,
}

impl Worker {
    pub(super) fn new(
        shared: Arc<Shared>,
        pod: Arc<Pod>,
        news: watch::Receiver<Option<Arc<Pod>>>,
        found: Found,
    ) -> Self {
        let sandbox =
            if found.sandbox { Sandbox::Ready { ips: found.ips } } else { Sandbox::Absent };
        let mut observed =
            Observed { sandbox, containers: found.containers, ..Observed::default() };
        // Nobody knows what changed while no engine ran.
        observed.needs.are_stale = has_live_volumes(&pod);
        let progress = Progress::new(&shared.metrics, &observed, shared.clock.now());
        Self {
            interest: shared.changes.interest(&pod),
            shared,
            pod,
            news,
            observed,
            tasks: JoinSet::new(),
            running: HashMap::new(),
            retries: BTreeMap::new(),
            troubles: Troubles::default(),
            commit: None,
            changing: false,
            notes: Vec::new(),
            committing: Vec::new(),
            told: Vec::new(),
            store_fails: false,
            store_retry: None,
            progress,
        }
    }

    pub(super) async fn run(self, stop: CancellationToken) {
        let span = info_span!("pod", namespace = self.pod.namespace(), name = self.pod.name());
        self.work(stop).instrument(span).await;
    }

    async fn work(mut self, stop: CancellationToken) {
        let Some(born) = stop.run_until_cancelled(self.shared.births.read()).await else { return };
        drop(born);
        self.progress.look(&self.observed, self.shared.clock.now());
        self.wait_for_running();
        loop {
            let Next::Wait(wake_at) = self.look() else { return };
            let clock = self.shared.clock.clone();
            // Each branch only makes it look again, and each is cancel-safe: the commit is kept in the
            // worker and polled on; a task's end stays in the set, news stay in the channel.
            tokio::select! {
                biased;
                () = stop.cancelled() => return self.finish().await,
                stored = stored(&mut self.commit) => self.stored(stored).await,
                Some(ended) = self.tasks.join_next_with_id() => self.ended(ended),
                changed = self.news.changed() => {
                    let pod = self.news.borrow_and_update().clone();
                    match pod.filter(|_| changed.is_ok()) {
                        Some(pod) => self.refresh(pod),
                        // The runtime carries on what was begun; the next engine's sweep does the rest.
                        None => {
                            stop.run_until_cancelled(self.clean_up()).await;
                            return;
                        }
                    }
                }
                () = changed(&mut self.interest) => self.needs_changed(),
                () = clock.sleep_until(wake_at) => {}
            }
        }
    }

    /// One look: what the rules say of what is known now, stored and begun.
    fn look(&mut self) -> Next {
        let now = self.shared.clock.now();
        let plan = pod::reconcile(&self.pod, &self.observed, &self.shared.settings.pod, now);
        debug!(actions = ?plan.actions, wake_at = ?plan.wake_at, "looked");
        self.tell(&plan.actions);
        let released = plan.actions.contains(&Action::ReleasePod);
        let mut wake_at = plan.wake_at;
        self.store(plan.record, released, now);
        if self.commit.is_none() {
            earliest(&mut wake_at, self.store_retry);
        }
        let quiet = plan.actions.iter().all(|action| matches!(action, Action::Tell(_)));
        for action in plan.actions {
            earliest(&mut wake_at, self.begin(action, now));
        }
        self.drop_pulls();
        if quiet && self.is_done() && self.shared.cache.retire(&self.pod) {
            return Next::End;
        }
        Next::Wait(wake_at)
    }

    /// Takes in what a plan tells, unless the plan before told it too.
    fn tell(&mut self, actions: &[Action]) {
        let mut told = Vec::new();
        for action in actions {
            let Action::Tell(note) = action else { continue };
            let known = [&self.told, &self.notes, &self.committing];
            if !known.iter().any(|notes| notes.contains(note)) {
                self.notes.push(note.clone());
            }
            told.push(note.clone());
        }
        self.told = told;
    }

    fn is_done(&self) -> bool {
        is_terminal(&self.pod)
            && !self.pod.is_deleting()
            && self.commit.is_none()
            && self.store_retry.is_none()
            && self.notes.is_empty()
            && self.running.is_empty()
            && self.observed.containers.is_empty()
            && !matches!(self.observed.sandbox, Sandbox::Ready { .. })
    }

    /// Begins to store the record, where it says anything new and no other commit goes on.
    fn store(&mut self, record: Record, release: bool, now: Timestamp) {
        if self.commit.is_some() || self.store_retry.is_some_and(|at| now < at) {
            return;
        }
        self.store_retry = None;
        let mut next = Pod::clone(&self.pod);
        let spec = next.spec.get_or_insert_default();
        if spec.node_name.is_none() {
            let node = self.shared.settings.pod.node_name.clone();
            let message = format!(
                "Successfully assigned {}/{} to {node}",
                self.pod.namespace(),
                self.pod.name()
            );
            self.notes.insert(0, Note::normal("Scheduled", message));
            spec.node_name = Some(node);
        }
        next.status = Some(as_stored(record.status));
        record.ledger.write(&mut next);
        if release {
            next.metadata.deletion_grace_period_seconds = Some(0);
        }
        if next == *self.pod && self.notes.is_empty() {
            return;
        }
        self.committing = std::mem::take(&mut self.notes);
        let changes = next != *self.pod;
        self.changing = changes;
        self.commit = Some(Box::pin(commit(
            Arc::clone(&self.shared),
            changes.then_some(next),
            Arc::clone(&self.pod),
            self.committing.clone(),
        )));
    }

    async fn stored(&mut self, result: Result<Option<Pod>, store::Error>) {
        self.commit = None;
        let told = std::mem::take(&mut self.committing);
        match result {
            Ok(Some(pod)) => {
                self.store_fails = false;
                self.shared.metrics.pod_changed(&self.pod, &pod);
                self.pod = Arc::new(pod.clone());
                self.shared.cache.committed_pod(pod);
            }
            Ok(None) => {}
            Err(store::Error::Conflict { .. }) => {
                self.notes.splice(0..0, told);
                self.reread().await;
            }
            Err(error) => {
                // Told once, as long as it goes on.
                if !std::mem::replace(&mut self.store_fails, true) {
                    warn!(error = %error, "cannot store the pod's status: trying again");
                }
                self.notes.splice(0..0, told);
                self.store_retry = Some(later(self.shared.clock.now(), RETRY));
            }
        }
    }

    /// Somebody else was faster: what the pod is now. That it is gone comes as news.
    async fn reread(&mut self) {
        match self.shared.store.get::<Pod>(self.pod.namespace(), self.pod.name()).await {
            Ok(Some(pod)) if pod.uid() == self.pod.uid() => self.refresh(Arc::new(pod)),
            Ok(_) | Err(_) => self.store_retry = Some(later(self.shared.clock.now(), RETRY)),
        }
    }

    fn refresh(&mut self, pod: Arc<Pod>) {
        if revision(&*pod) > revision(&*self.pod) {
            let (old, new) = (&self.pod.metadata, &pod.metadata);
            let same = old.labels == new.labels && old.annotations == new.annotations;
            self.pod = pod;
            if !same {
                self.needs_changed();
            }
        }
    }

    /// What the pod's containers and volumes are made from is not as it was.
    fn needs_changed(&mut self) {
        self.observed.needs.changed_at = Some(self.shared.clock.now());
        self.observed.needs.are_stale = has_live_volumes(&self.pod);
    }

    /// Begins an action, unless it has to wait. Answers until when, if that is known.
    fn begin(&mut self, action: Action, now: Timestamp) -> Option<Timestamp> {
        let operation = operations::operation(&action)?;
        if self.observed.in_flight.contains(&operation) {
            return None;
        }
        let changing = self.commit.is_some() && self.changing;
        let waits_for_store = changing || self.store_retry.is_some();
        if waits_for_store && !operations::may_precede_the_record(&action) {
            return None;
        }
        if let Some(retry) = self.retries.get(&operation).filter(|retry| now < retry.at) {
            return Some(retry.at);
        }
        if operation == Operation::UpdateVolumes {
            // What changes from now on is not looked at.
            self.observed.needs.are_stale = false;
        }
        let work = operations::perform(Arc::clone(&self.shared), Arc::clone(&self.pod), action);
        self.observed.in_flight.insert(operation.clone());
        let handle = self.tasks.spawn(work.in_current_span());
        self.running.insert(handle.id(), (Task::Operation(operation), handle));
        None
    }

    /// Every instance that runs is waited for, once.
    fn wait_for_running(&mut self) {
        let running = self.observed.containers.iter();
        let running = running.filter(|(_, known)| matches!(known.state, State::Running { .. }));
        let instances: Vec<_> = running.map(|(instance, _)| instance.clone()).collect();
        for instance in instances {
            let task = Task::Wait(instance.clone());
            if self.running.values().any(|(known, _)| *known == task) {
                continue;
            }
            let work = operations::wait(Arc::clone(&self.shared), Arc::clone(&self.pod), instance);
            let handle = self.tasks.spawn(work.in_current_span());
            self.running.insert(handle.id(), (task, handle));
        }
    }

    fn ended(&mut self, ended: Result<(Id, Fact), JoinError>) {
        let now = self.shared.clock.now();
        let id = ended.as_ref().map_or_else(JoinError::id, |(id, _)| *id);
        let Some((task, _)) = self.running.remove(&id) else { return };
        let learned = match ended {
            Ok((_, fact)) => {
                self.notes.extend(operations::aside(&fact));
                operations::learn(&mut self.observed, &self.pod, fact, now)
            }
            Err(broken) if broken.is_cancelled() => Ok(()),
            Err(broken) => Err(broken.to_string()),
        };
        self.progress.look(&self.observed, now);
        if let Task::Operation(operation) = task {
            self.observed.in_flight.remove(&operation);
            match learned {
                Ok(()) => drop(self.retries.remove(&operation)),
                Err(message) => {
                    let before = self.retries.get(&operation).copied();
                    // Told once: a containerd that is away for an hour fills no terminal.
                    if before.is_none() {
                        warn!(?operation, message, "will try again");
                    } else {
                        debug!(?operation, message, "will try again");
                        self.notes.extend(self.troubles.add(&self.pod, &operation, message));
                    }
                    self.retries.insert(operation, Retry::after(before, now));
                }
            }
        }
        if matches!(self.observed.sandbox, Sandbox::Absent) {
            self.drop_waits();
        }
        self.drop_checks();
        self.wait_for_running();
    }

    /// Nothing is asked of what has ended.
    fn drop_checks(&self) {
        let runs = |instance: &Instance| {
            let known = self.observed.containers.get(instance);
            known.is_some_and(|known| matches!(known.state, State::Running { .. }))
        };
        self.abort(|task| match task {
            Task::Operation(Operation::Check(instance, _)) => !runs(instance),
            Task::Operation(_) | Task::Wait(_) => false,
        });
    }

    /// Nobody waits for the images of a pod that is over or deleted.
    fn drop_pulls(&self) {
        if is_terminal(&self.pod) || self.pod.is_deleting() {
            self.abort(|task| matches!(task, Task::Operation(Operation::Pull(_))));
        }
    }

    /// Waits for instances that are not there any more.
    fn drop_waits(&self) {
        let known = &self.observed.containers;
        self.abort(|task| matches!(task, Task::Wait(instance) if !known.contains_key(instance)));
    }

    fn abort(&self, which: impl Fn(&Task) -> bool) {
        self.running
            .values()
            .filter(|(task, _)| which(task))
            .for_each(|(_, handle)| handle.abort());
    }

    /// The engine stops: what can be begun again is cut short, what changes the host ends.
    async fn finish(mut self) {
        self.abort(|task| match task {
            Task::Wait(_) | Task::Operation(Operation::Pull(_) | Operation::Check(..)) => true,
            Task::Operation(_) => false,
        });
        let clock = self.shared.clock.clone();
        let at = later(clock.now(), STOP_TIMEOUT);
        let rest = async {
            if let Some(commit) = self.commit.take() {
                let _ = commit.await; // the next engine sees what the store has
            }
            while self.tasks.join_next().await.is_some() {}
        };
        // Whatever is cut short by the time-out is found again by the next engine.
        tokio::select! {
            biased;
            () = rest => {}
            () = clock.sleep_until(Some(at)) => warn!("operations did not end in time"),
        }
        self.tasks.shutdown().await;
    }

    /// The object is gone: nothing of the pod may stay on the host.
    async fn clean_up(mut self) {
        self.tasks.shutdown().await;
        loop {
            let Ok(_turn) = self.shared.removals.acquire().await else { return };
            match self.shared.runtime.remove_sandbox(self.pod.uid()).await {
                Ok(()) => return,
                Err(error) => warn!(error = %error, "cannot remove what is left of the pod"),
            }
            drop(_turn);
            self.shared.clock.sleep(RETRY).await;
        }
    }
}

/// The next change of what the pod needs, if it needs anything.
async fn changed(interest: &mut Option<Interest>) {
    match interest {
        Some(interest) => interest.changed().await,
        None => std::future::pending().await,
    }
}

fn earliest(wake_at: &mut Option<Timestamp>, other: Option<Timestamp>) {
    *wake_at = match (*wake_at, other) {
        (Some(one), Some(two)) => Some(one.min(two)),
        (one, two) => one.or(two),
    };
}
