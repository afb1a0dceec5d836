//! The indexes of an Indexed Job.
//!
//! Owns: which index a pod has, which indexes are done or have failed, and which one is next. Must not
//! know: how many pods run, and when a failed index is tried again.
//! <https://kubernetes.io/docs/concepts/workloads/controllers/job/#completion-mode>

use std::collections::BTreeSet;

use k8s_openapi::api::batch::v1::{Job, JobStatus};
use k8s_openapi::api::core::v1::Pod;

use super::conditions::Verdict;
use crate::api::intervals::Intervals;
use crate::api::job::{Completion, backoff_limit_per_index, max_failed_indexes};
use crate::api::object::Object;

/// The annotation and the label that tell a pod's index.
pub(super) const INDEX: &str = "batch.kubernetes.io/job-completion-index";

/// What became of the indexes. No index is in both sets.
#[derive(Debug)]
pub(super) struct Indexes {
    /// How many there are.
    pub(super) completions: u32,
    pub(super) completed: Intervals,
    pub(super) failed: Intervals,
    /// How many failures an index bears, if each has a limit of its own.
    pub(super) limit: Option<u32>,
}

impl Indexes {
    /// What the status knows of the indexes that there are; `None` for a Job without.
    pub(super) fn of(job: &Job) -> Option<Self> {
        let Completion::Indexed(completions) = Completion::of(job) else { return None };
        let text = |read: fn(&JobStatus) -> &Option<String>| {
            job.status.as_ref().and_then(|status| read(status).as_deref()).unwrap_or_default()
        };
        Some(Self {
            completions,
            completed: Intervals::read(text(|status| &status.completed_indexes), completions),
            failed: Intervals::read(text(|status| &status.failed_indexes), completions),
            limit: backoff_limit_per_index(job),
        })
    }

    /// The pod's index, if it is one that there is.
    pub(super) fn index(&self, pod: &Pod) -> Option<u32> {
        annotation(pod, INDEX).filter(|index| *index < self.completions)
    }

    /// Whether the index needs no pod any more.
    pub(super) fn is_over(&self, index: u32) -> bool {
        self.completed.contains(index) || self.failed.contains(index)
    }

    /// The lowest indexes that need a pod and have none.
    /// <https://kubernetes.io/docs/concepts/workloads/controllers/job/#completion-mode>
    pub(super) fn next(&self, count: usize, busy: &BTreeSet<u32>) -> Vec<u32> {
        let mut over = self.completed.clone();
        over.add(&self.failed);
        let open = over.missing(self.completions).filter(|index| !busy.contains(index));
        open.take(count).collect()
    }

    /// Whether the Job fails because of its indexes.
    /// <https://kubernetes.io/docs/concepts/workloads/controllers/job/#backoff-limit-per-index>
    pub(super) fn failure(&self, job: &Job) -> Option<Verdict> {
        self.limit?;
        if max_failed_indexes(job).is_some_and(|most| self.failed.len() > most) {
            let message = "Job has exceeded the specified maximal number of failed indexes";
            return Some(Verdict::failure("MaxFailedIndexesExceeded", message));
        }
        let over = self.failed.len().saturating_add(self.completed.len());
        (!self.failed.is_empty() && over >= self.completions)
            .then(|| Verdict::failure("FailedIndexes", "Job has failed indexes"))
    }

    /// Writes the sets as the status spells them.
    pub(super) fn write(&self, status: &mut JobStatus) {
        status.completed_indexes = Some(self.completed.to_string()).filter(|text| !text.is_empty());
        status.failed_indexes = self.limit.map(|_| self.failed.to_string());
    }
}

/// A number that the pod carries as an annotation.
pub(super) fn annotation(pod: &Pod, key: &str) -> Option<u32> {
    pod.meta().annotations.as_ref()?.get(key)?.parse().ok()
}
