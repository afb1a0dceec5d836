//! The gate in front of the host: pods that wait until there is room for them.
//!
//! Owns: telling the line what comes and goes, and telling pods where they stand in it. Must not know: who
//! may go first.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Pod, PodCondition};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use tracing::{debug, warn};

use super::Shared;
use super::clock::later;
use super::events::Teller;
use crate::admission::{Claim, Line, Standing};
use crate::api::amounts::{Amounts, asked};
use crate::api::event::Note;
use crate::api::object::Object;
use crate::api::pod::{active_deadline, grace_period, is_terminal};
use crate::store;

/// A pod that has waited for so long is told why.
const PATIENCE: Duration = Duration::from_secs(1);
/// How often pods are told of a new place in the line.
const REFRESH_EVERY: Duration = Duration::from_secs(5);
/// So many from the head of the line are told of a new place; and so many pods of anything at once.
const TOLD_AT_ONCE: usize = 100;

const SCHEDULED: &str = "PodScheduled";
const TELLER: Teller<'_> = Teller { component: "default-scheduler", host: None };

/// The line, and what was told of it.
#[derive(Debug)]
pub(super) struct Gate {
    line: Line,
    /// By uid: what a pod was told last.
    told: BTreeMap<String, String>,
    /// Those that were told nothing yet, in the order in which they came.
    untold: VecDeque<(Timestamp, String)>,
    /// Whether places have changed since they were told of.
    moved: bool,
    refreshed_at: Timestamp,
}

/// What a pod is to be told.
#[derive(Debug)]
pub(super) struct Notice {
    uid: String,
    standing: Standing,
    first: bool,
}

impl Gate {
    pub(super) fn new(room: Amounts) -> Self {
        Self {
            line: Line::new(room),
            told: BTreeMap::new(),
            untold: VecDeque::new(),
            moved: false,
            refreshed_at: Timestamp::MIN,
        }
    }

    /// Takes in a pod that has no worker. `found`: something of it is on the host. Answers whether it gets
    /// a worker at once: it runs already, or it is only to be cleared away.
    pub(super) fn arrive(&mut self, shared: &Shared, pod: &Pod, found: bool) -> bool {
        let (uid, now) = (pod.uid(), shared.clock.now());
        let bound = pod.spec.as_ref().is_some_and(|spec| spec.node_name.is_some());
        if is_terminal(pod) || (pod.is_deleting() && !bound && !found) {
            self.leave(uid);
            return true;
        }
        if self.line.holds(uid) {
            return true;
        }
        let claim = claim(shared, pod, now);
        if bound || found {
            self.line.hold(uid, &claim, now);
            return true;
        }
        if !self.line.waits(uid) {
            self.untold.push_back((now, uid.to_owned()));
            self.moved = true;
        }
        self.line.wait(uid, claim);
        false
    }

    /// The pod is over or gone.
    pub(super) fn leave(&mut self, uid: &str) {
        self.told.remove(uid);
        self.moved |= self.line.leave(uid);
    }

    /// The pods that start now.
    pub(super) fn start(&mut self, now: Timestamp) -> Vec<String> {
        let started = self.line.start(now);
        self.moved |= !started.is_empty();
        for uid in &started {
            self.told.remove(uid);
        }
        started
    }

    /// When there may be something to tell.
    pub(super) fn next_notice(&self) -> Option<Timestamp> {
        let first = self.untold.front().map(|(since, _)| later(*since, PATIENCE));
        let moved = self.moved && !self.told.is_empty();
        let again = moved.then(|| later(self.refreshed_at, REFRESH_EVERY));
        first.into_iter().chain(again).min()
    }

    /// What is to be told now; it counts as told.
    pub(super) fn notices(&mut self, now: Timestamp) -> Vec<Notice> {
        if self.next_notice().is_none_or(|at| at > now) {
            return Vec::new();
        }
        let mut fresh = BTreeSet::new();
        while let Some((since, _)) = self.untold.front()
            && later(*since, PATIENCE) <= now
            && fresh.len() < TOLD_AT_ONCE
            && let Some((_, uid)) = self.untold.pop_front()
        {
            fresh.insert(uid);
        }
        let refreshes = self.moved && later(self.refreshed_at, REFRESH_EVERY) <= now;
        let mut notices = Vec::new();
        for (index, (uid, standing)) in self.line.waiting(usize::MAX).enumerate() {
            let first = fresh.contains(uid) && !self.told.contains_key(uid);
            let near = refreshes && index < TOLD_AT_ONCE;
            let news = self.told.get(uid).is_some_and(|told| *told != standing.message());
            if first || (near && news) {
                notices.push(Notice { uid: uid.to_owned(), standing, first });
            }
            if index >= TOLD_AT_ONCE && fresh.is_empty() {
                break;
            }
        }
        for notice in &notices {
            self.told.insert(notice.uid.clone(), notice.standing.message());
        }
        if refreshes {
            self.moved = false;
            self.refreshed_at = now;
        }
        notices
    }
}

/// What the pod asks for, and for how long it can last: its own deadline or that of its Job, and the time
/// that it has to stop.
fn claim(shared: &Shared, pod: &Pod, now: Timestamp) -> Claim {
    let until = shared.cache.job_deadline(pod);
    let until = until.map(|at| Duration::try_from(at.duration_since(now)).unwrap_or_default());
    let lasts = active_deadline(pod).into_iter().chain(until).min();
    let created = pod.metadata.creation_timestamp.as_ref();
    Claim {
        asks: asked(pod),
        priority: pod.spec.as_ref().and_then(|spec| spec.priority).unwrap_or(0),
        since: created.map_or(now, |time| time.0),
        lasts: lasts.map(|time| time.saturating_add(grace_period(pod))),
    }
}

/// Writes into each pod where it stands.
pub(super) async fn tell(shared: Arc<Shared>, notices: Vec<Notice>) {
    let each = notices.into_iter().map(|notice| tell_one(&shared, notice));
    for told in join_all(each).await {
        match told {
            Ok(()) => {}
            // It started meanwhile, or is deleted: what it was told is of no use any more.
            Err(error) if error.is_race() => debug!(%error, "somebody else was faster"),
            Err(error) => warn!(%error, "cannot tell a pod what it waits for"),
        }
    }
}

async fn tell_one(shared: &Shared, notice: Notice) -> Result<(), store::Error> {
    let Some(pod) = shared.cache.pod(&notice.uid) else { return Ok(()) };
    let bound = pod.spec.as_ref().is_some_and(|spec| spec.node_name.is_some());
    if bound || pod.is_deleting() {
        return Ok(());
    }
    let now = shared.clock.now();
    let mut next = Pod::clone(&pod);
    tell_condition(&mut next, &notice.standing, now);
    let mut txn = shared.store.txn();
    txn.update(&next);
    if notice.first {
        let note = [Note::warning("FailedScheduling", notice.standing.reason())];
        for event in shared.events.events((&*pod, TELLER), &note, now) {
            txn.put(&event);
        }
    }
    next.metadata.resource_version = Some(txn.commit().await?.first().to_string());
    shared.cache.committed_pod(next);
    Ok(())
}

/// <https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#pod-conditions>
fn tell_condition(pod: &mut Pod, standing: &Standing, now: Timestamp) {
    let whole = Timestamp::from_second(now.as_second()).unwrap_or(now);
    let status = pod.status.get_or_insert_default();
    status.phase.get_or_insert_with(|| "Pending".to_owned());
    let conditions = status.conditions.get_or_insert_default();
    let before = conditions.iter().find(|c| c.type_ == SCHEDULED && c.status == "False");
    let since = before.and_then(|condition| condition.last_transition_time.clone());
    conditions.retain(|condition| condition.type_ != SCHEDULED);
    conditions.push(PodCondition {
        type_: SCHEDULED.to_owned(),
        status: "False".to_owned(),
        reason: Some("Unschedulable".to_owned()),
        message: Some(standing.message()),
        last_transition_time: since.or(Some(Time(whole))),
        ..PodCondition::default()
    });
}
