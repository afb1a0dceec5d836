//! How many pods a Job should have now.
//!
//! Owns: how many are wanted, and which go first. Must not know: how a Job ends.
//! <https://kubernetes.io/docs/concepts/workloads/controllers/job/#controlling-parallelism>

use std::cmp::Reverse;
use std::collections::BTreeSet;

use jiff::Timestamp;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;

use super::indexes::Indexes;
use crate::api::job::{Completion, parallelism};
use crate::api::object::Object;
use crate::api::pod::{Phase, condition, is_ready, phase, restarts};

/// How many pods one plan makes or deletes at most.
pub(super) const CHANGES_MAX: usize = 500;

/// How many pods should be active, given how many succeeded and how many are active.
/// <https://kubernetes.io/docs/concepts/workloads/controllers/job/#controlling-parallelism>
pub(super) fn wanted(job: &Job, succeeded: u32, active: usize) -> usize {
    let parallel = usize::try_from(parallelism(job)).unwrap_or(usize::MAX);
    match Completion::of(job) {
        Completion::AnyOne if succeeded == 0 => parallel,
        Completion::AnyOne => active.min(parallel),
        Completion::Count(n) | Completion::Indexed(n) => {
            let missing = n.saturating_sub(succeeded);
            parallel.min(usize::try_from(missing).unwrap_or(usize::MAX))
        }
    }
}

/// The pods that go first when there are too many: those without an index of their own, then those in
/// which the least is lost.
/// <https://kubernetes.io/docs/concepts/workloads/controllers/replicaset/#scaling-a-replicaset>
pub(super) fn surplus<'a>(
    active: &[&'a Pod],
    wanted: usize,
    indexes: Option<&Indexes>,
) -> Vec<&'a Pod> {
    let too_many = active.len().saturating_sub(wanted);
    let all_fit = indexes.is_none_or(|indexes| busy(active, indexes).len() == active.len());
    if too_many == 0 && all_fit {
        return Vec::new();
    }
    let mut ranked: Vec<&Pod> = active.to_vec();
    ranked.sort_by_cached_key(|pod| rank(pod));
    let mut gone = Vec::new();
    if let Some(indexes) = indexes {
        let mut taken = BTreeSet::new();
        // The best of each index comes first, and stays.
        ranked.reverse();
        (ranked, gone) = ranked
            .into_iter()
            .partition(|pod| indexes.index(pod).is_some_and(|index| taken.insert(index)));
        ranked.reverse();
    }
    let more = too_many.saturating_sub(gone.len());
    gone.extend(ranked.into_iter().take(more));
    gone.truncate(CHANGES_MAX);
    gone
}

/// The indexes that these pods have.
pub(super) fn busy<'a>(
    pods: impl IntoIterator<Item = &'a &'a Pod>,
    indexes: &Indexes,
) -> BTreeSet<u32> {
    pods.into_iter().filter_map(|pod| indexes.index(pod)).collect()
}

type Rank = (bool, u8, bool, Reverse<Timestamp>, Reverse<u32>, Reverse<Timestamp>, String);

fn rank(pod: &Pod) -> Rank {
    let assigned = pod.spec.as_ref().is_some_and(|spec| spec.node_name.is_some());
    let step = match phase(pod) {
        Phase::Pending => 0,
        Phase::Unknown => 1,
        Phase::Running | Phase::Succeeded | Phase::Failed => 2,
    };
    let ready = is_ready(pod);
    let ready_since = condition(pod, "Ready")
        .filter(|_| ready)
        .and_then(|c| c.last_transition_time.as_ref())
        .map_or(Timestamp::MIN, |t| t.0);
    let made = pod.metadata.creation_timestamp.as_ref().map_or(Timestamp::MIN, |t| t.0);
    (
        assigned,
        step,
        ready,
        Reverse(ready_since),
        Reverse(restarts(pod)),
        Reverse(made),
        pod.name().to_owned(),
    )
}
