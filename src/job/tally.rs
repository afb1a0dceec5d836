//! Which pods of a Job run, end, and count.
//!
//! Owns: sorting the pods. Must not know: what follows from the numbers.
//! <https://kubernetes.io/docs/concepts/workloads/controllers/job/#job-tracking-with-finalizers>

use k8s_openapi::api::core::v1::Pod;

use super::TRACKING_FINALIZER;
use crate::api::object::Object;
use crate::api::pod::{Phase, is_ready, is_terminal, phase, restarts};

/// The pods of a Job, sorted.
#[derive(Debug, Default)]
pub(super) struct Tally<'a> {
    /// Neither terminal nor deleted.
    pub(super) active: Vec<&'a Pod>,
    /// Deleted, and not terminal yet.
    pub(super) terminating: usize,
    /// Succeeded, and not counted yet.
    pub(super) succeeded: Vec<&'a Pod>,
    /// Failed or deleted before they ended, and not counted yet.
    pub(super) failed: Vec<&'a Pod>,
    /// Restarts of containers in pods that have not ended.
    pub(super) restarts: u32,
}

impl<'a> Tally<'a> {
    pub(super) fn of(pods: &[&'a Pod]) -> Self {
        let mut tally = Self::default();
        for pod in pods {
            let over = is_terminal(pod);
            if !over {
                tally.restarts = tally.restarts.saturating_add(restarts(pod));
            }
            match (over, pod.is_deleting()) {
                (false, false) => tally.active.push(pod),
                (false, true) => tally.terminating += 1,
                (true, _) => {}
            }
            if !pod.has_finalizer(TRACKING_FINALIZER) {
                continue;
            }
            if phase(pod) == Phase::Succeeded {
                tally.succeeded.push(pod);
            } else if phase(pod) == Phase::Failed || pod.is_deleting() {
                tally.failed.push(pod);
            }
        }
        tally
    }

    pub(super) fn ready(&self) -> usize {
        self.active.iter().filter(|pod| is_ready(pod)).count()
    }
}
