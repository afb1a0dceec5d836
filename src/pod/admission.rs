//! Whether this host takes a pod on.
//!
//! Owns: what a kubelet looks at before it makes anything of a pod, and how a refusal is worded. Must not
//! know: how a pod runs.
//! <https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#pod-phase>

use k8s_openapi::api::core::v1::{AppArmorProfile, Pod, PodStatus};

use super::{Observed, Rules};
use crate::api::pod::all_containers;

/// Why a pod fails before it has begun.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) reason: &'static str,
    pub(super) message: &'static str,
}

/// A pod of which anything has run, or still stands, was taken on.
pub(super) fn refusal(
    pod: &Pod,
    stored: &PodStatus,
    observed: &Observed,
    rules: &Rules,
) -> Option<Refusal> {
    let begun = stored.start_time.is_some() || !observed.containers.is_empty();
    if begun || rules.apparmor || !needs_apparmor(pod) {
        return None;
    }
    let message = "Cannot enforce AppArmor: AppArmor is not enabled on the host";
    Some(Refusal { reason: "AppArmor", message })
}

/// <https://kubernetes.io/docs/tutorials/security/apparmor/#securing-a-pod>
fn needs_apparmor(pod: &Pod) -> bool {
    let of_pod = pod
        .spec
        .as_ref()
        .and_then(|spec| spec.security_context.as_ref()?.app_armor_profile.as_ref());
    let own = all_containers(pod)
        .filter_map(|container| container.security_context.as_ref()?.app_armor_profile.as_ref());
    let confines = |profile: &AppArmorProfile| profile.type_ != "Unconfined";
    of_pod.into_iter().chain(own).any(confines)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::pod::cases::{at, look, pod, ready};
    use crate::pod::{Action, Observed, Rules, reconcile};

    #[test]
    fn a_pod_that_needs_apparmor_fails_where_there_is_none() {
        let mut pod = pod("Never", &["main"]);
        let security = |kind: &str| {
            serde_json::from_value(json!({"appArmorProfile": {"type": kind}})).unwrap()
        };
        pod.spec.as_mut().unwrap().security_context = Some(security("RuntimeDefault"));
        let plan = look(&pod, &Observed::default(), 5);
        let status = &plan.record.status;
        assert_eq!(status.phase.as_deref(), Some("Failed"));
        assert_eq!(status.reason.as_deref(), Some("AppArmor"));
        assert!(plan.actions.iter().all(|action| matches!(action, Action::Tell(_))));
        // Where it is, and where it was taken on before.
        let rules = Rules { apparmor: true, ..Rules::default() };
        let phase = |plan: super::super::Plan| plan.record.status.phase.unwrap();
        assert_eq!(phase(reconcile(&pod, &Observed::default(), &rules, at(5))), "Pending");
        pod.status.get_or_insert_default().start_time =
            Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(at(1)));
        assert_eq!(phase(look(&pod, &ready(), 5)), "Pending");
        pod.status = None;
        pod.spec.as_mut().unwrap().security_context = Some(security("Unconfined"));
        assert_eq!(phase(look(&pod, &Observed::default(), 5)), "Pending");
    }
}
