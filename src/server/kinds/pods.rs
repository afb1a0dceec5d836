//! Pods that clients send, and that belong to nobody.
//!
//! Owns: what of a pod can be changed. Must not know: what the engine makes of it.
//! <https://kubernetes.io/docs/concepts/workloads/pods/>

use k8s_openapi::api::core::v1::{Pod, PodSpec, PodStatus};
use serde_json::Value;

use super::{Causes, forbidden, stored};
use crate::api::defaults;
use crate::api::validation::object;

pub(super) fn create(mut pod: Pod) -> Result<Value, Causes> {
    pod.status = Some(PodStatus::default());
    pod.metadata.generation = Some(1);
    defaults::apply_pod(&mut pod);
    stored(&pod, &object::pod(&pod))
}

/// <https://kubernetes.io/docs/concepts/workloads/pods/#pod-update-and-replacement>
pub(super) fn update(mut pod: Pod, old: &Pod) -> Result<Value, Causes> {
    defaults::apply_pod(&mut pod);
    pod.status.clone_from(&old.status);
    let deadline = pod.spec.as_ref().and_then(|spec| spec.active_deadline_seconds);
    if pod.spec.as_ref().map(|spec| spec.node_name.is_none()).unwrap_or(true) {
        let node = old.spec.as_ref().and_then(|spec| spec.node_name.clone());
        pod.spec.get_or_insert_default().node_name = node;
    }
    let as_before =
        old.spec.as_ref().map(|spec| PodSpec { active_deadline_seconds: deadline, ..spec.clone() });
    if pod.spec != as_before {
        let why = "pod updates may not change fields other than `spec.activeDeadlineSeconds`";
        return Err(vec![forbidden("spec", why)]);
    }
    let before = old.spec.as_ref().and_then(|spec| spec.active_deadline_seconds);
    if before.is_some_and(|before| deadline.is_none_or(|deadline| deadline > before)) {
        let why = "must be less than or equal to previous value";
        return Err(vec![forbidden("spec.activeDeadlineSeconds", why)]);
    }
    stored(&pod, &object::pod(&pod))
}
