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
    pub(super) terminating: Vec<&'a Pod>,
    /// Succeeded, and not counted yet.
    pub(super) succeeded: Vec<&'a Pod>,
    /// Failed, and not counted yet.
    pub(super) failed: Vec<&'a Pod>,
    /// Restarts of containers in pods that have not ended.
    pub(super) restarts: u32,
}

impl<'a> Tally<'a> {
    /// `only_ended`: a pod that is deleted fails only if it ends so, and not already now.
    /// <https://kubernetes.io/docs/concepts/workloads/controllers/job/#pod-replacement-policy>
    pub(super) fn of(pods: &[&'a Pod], only_ended: bool) -> Self {
        let mut tally = Self::default();
        for pod in pods {
            let over = is_terminal(pod);
            if !over {
                tally.restarts = tally.restarts.saturating_add(restarts(pod));
            }
            match (over, pod.is_deleting()) {
                (false, false) => tally.active.push(pod),
                (false, true) => tally.terminating.push(pod),
                (true, _) => {}
            }
            if !pod.has_finalizer(TRACKING_FINALIZER) {
                continue;
            }
            let given_up = pod.is_deleting() && !only_ended;
            match phase(pod) {
                Phase::Succeeded => tally.succeeded.push(pod),
                Phase::Failed => tally.failed.push(pod),
                Phase::Pending | Phase::Running | Phase::Unknown if given_up => {
                    tally.failed.push(pod);
                }
                Phase::Pending | Phase::Running | Phase::Unknown => {}
            }
        }
        tally
    }

    pub(super) fn ready(&self) -> usize {
        self.active.iter().filter(|pod| is_ready(pod)).count()
    }
}
