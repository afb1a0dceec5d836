//! What a pod says, read without `Option`s.
//!
//! Owns: the total accessors over [`Pod`]. Must not know: Jobs' rules, the runtime.
//! Every accessor answers for every pod, also for one that has no status yet.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{
    Container, ContainerStatus, Pod, PodCondition, PodSpec, ResourceRequirements,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;

use super::quantity::{Quantity, amount_of};

/// Where a pod is in its life.
/// <https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#pod-phase>
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    Pending,
    Running,
    Succeeded,
    Failed,
    Unknown,
}

impl Phase {
    /// As `status.phase` spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "Pending",
            Self::Running => "Running",
            Self::Succeeded => "Succeeded",
            Self::Failed => "Failed",
            Self::Unknown => "Unknown",
        }
    }

    /// Whether the pod never leaves this phase.
    pub fn is_terminal(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed)
    }
}

/// What becomes of a container that exits.
/// <https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#restart-policy>
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RestartPolicy {
    Always,
    OnFailure,
    Never,
}

/// How firmly a pod holds what it asked for, when the host runs short.
/// <https://kubernetes.io/docs/concepts/workloads/pods/pod-qos/>
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QosClass {
    Guaranteed,
    Burstable,
    BestEffort,
}

impl QosClass {
    /// As `status.qosClass` spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Guaranteed => "Guaranteed",
            Self::Burstable => "Burstable",
            Self::BestEffort => "BestEffort",
        }
    }
}

/// The pod's class, from its requests and limits of processors and memory. A request that is not made
/// is the limit.
/// <https://kubernetes.io/docs/concepts/workloads/pods/pod-qos/#quality-of-service-classes>
pub fn qos_class(pod: &Pod) -> QosClass {
    let (mut any, mut guaranteed) = (false, true);
    // What the pod has as a whole is above what its containers have.
    let whole = spec(pod).and_then(|spec| spec.resources.as_ref());
    let whole = whole.filter(|own| own.limits.is_some() || own.requests.is_some());
    let all: Vec<Option<&ResourceRequirements>> = match whole {
        Some(own) => vec![Some(own)],
        None => all_containers(pod).map(|container| container.resources.as_ref()).collect(),
    };
    for resources in all {
        for resource in ["cpu", "memory"] {
            let more_than_nothing = |amount: &Quantity| *amount > Quantity::default();
            let amount = |list| amount_of(list, resource).filter(more_than_nothing);
            let limit = amount(resources.and_then(|own| own.limits.as_ref()));
            let request = amount(resources.and_then(|own| own.requests.as_ref())).or(limit);
            any |= request.is_some();
            guaranteed &= limit.is_some() && request == limit;
        }
    }
    match (any, guaranteed) {
        (false, _) => QosClass::BestEffort,
        (true, true) => QosClass::Guaranteed,
        (true, false) => QosClass::Burstable,
    }
}

/// The pod's phase; a pod without a status is pending.
pub fn phase(pod: &Pod) -> Phase {
    match pod.status.as_ref().and_then(|s| s.phase.as_deref()) {
        None | Some("" | "Pending") => Phase::Pending,
        Some("Running") => Phase::Running,
        Some("Succeeded") => Phase::Succeeded,
        Some("Failed") => Phase::Failed,
        Some(_) => Phase::Unknown,
    }
}

/// Whether the pod has succeeded or failed.
pub fn is_terminal(pod: &Pod) -> bool {
    phase(pod).is_terminal()
}

/// The pod's restart policy; unset means always.
pub fn restart_policy(pod: &Pod) -> RestartPolicy {
    spec(pod).and_then(|s| s.restart_policy.as_deref()).map_or(RestartPolicy::Always, spoken)
}

/// A container's restart policy: its own, else that of its pod.
/// <https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#individual-container-restart-policy-and-rules>
pub fn container_policy(container: &Container, of_pod: RestartPolicy) -> RestartPolicy {
    container.restart_policy.as_deref().map_or(of_pod, spoken)
}

fn spoken(policy: &str) -> RestartPolicy {
    match policy {
        "Never" => RestartPolicy::Never,
        "OnFailure" => RestartPolicy::OnFailure,
        _ => RestartPolicy::Always,
    }
}

/// The containers of the spec, without init containers, in their order.
pub fn containers(pod: &Pod) -> &[Container] {
    spec(pod).map_or(&[], |s| &s.containers)
}

/// The init containers of the spec, sidecars included, in their order.
pub fn init_containers(pod: &Pod) -> &[Container] {
    spec(pod).and_then(|s| s.init_containers.as_deref()).unwrap_or_default()
}

/// Every container of the spec, in the order in which they start.
pub fn all_containers(pod: &Pod) -> impl Iterator<Item = &Container> {
    init_containers(pod).iter().chain(containers(pod))
}

/// Whether an init container runs beside the others for as long as the pod.
/// <https://kubernetes.io/docs/concepts/workloads/pods/sidecar-containers/>
pub fn is_sidecar(init: &Container) -> bool {
    init.restart_policy.as_deref() == Some("Always")
}

/// The status of each init container.
pub fn init_container_statuses(pod: &Pod) -> &[ContainerStatus] {
    pod.status.as_ref().and_then(|s| s.init_container_statuses.as_deref()).unwrap_or_default()
}

/// The status of every container, those of init containers first.
pub fn all_container_statuses(pod: &Pod) -> impl Iterator<Item = &ContainerStatus> {
    init_container_statuses(pod).iter().chain(container_statuses(pod))
}

/// The status of each container, without init containers.
pub fn container_statuses(pod: &Pod) -> &[ContainerStatus] {
    pod.status.as_ref().and_then(|s| s.container_statuses.as_deref()).unwrap_or_default()
}

/// The status of the container of this name.
pub fn container_status<'a>(pod: &'a Pod, container: &str) -> Option<&'a ContainerStatus> {
    container_statuses(pod).iter().find(|s| s.name == container)
}

/// The condition of this type, whatever its status.
pub fn condition<'a>(pod: &'a Pod, kind: &str) -> Option<&'a PodCondition> {
    pod.status.as_ref()?.conditions.iter().flatten().find(|c| c.type_ == kind)
}

/// Whether the pod's `Ready` condition is true.
pub fn is_ready(pod: &Pod) -> bool {
    condition(pod, "Ready").is_some_and(|c| c.status == "True")
}

/// How often containers of this pod were restarted, init containers included.
pub fn restarts(pod: &Pod) -> u32 {
    all_container_statuses(pod)
        .fold(0, |sum: u32, s| sum.saturating_add(u32::try_from(s.restart_count).unwrap_or(0)))
}

/// How long the containers have between the stop signal and the kill: what the deletion asks for,
/// else what the spec does, else 30 s.
/// <https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#pod-termination>
pub fn grace_period(pod: &Pod) -> Duration {
    let asked = pod.metadata.deletion_grace_period_seconds;
    let own = spec(pod).and_then(|s| s.termination_grace_period_seconds);
    Duration::from_secs(asked.or(own).map_or(30, |s| u64::try_from(s).unwrap_or(0)))
}

/// How long the pod may be active, counted from its start.
pub fn active_deadline(pod: &Pod) -> Option<Duration> {
    let seconds = spec(pod)?.active_deadline_seconds?;
    Some(Duration::from_secs(u64::try_from(seconds).unwrap_or(0)))
}

/// When the node took the pod on.
pub fn start_time(pod: &Pod) -> Option<Timestamp> {
    pod.status.as_ref()?.start_time.as_ref().map(|t| t.0)
}

/// The last moment at which a container of the pod ended, or ended the time before.
pub fn finished_at(pod: &Pod) -> Option<Timestamp> {
    let ended = |s: &ContainerStatus| {
        let now = s.state.as_ref().and_then(|s| s.terminated.as_ref());
        let before = s.last_state.as_ref().and_then(|s| s.terminated.as_ref());
        now.or(before).and_then(|t| t.finished_at.as_ref()).map(|t| t.0)
    };
    container_statuses(pod).iter().filter_map(ended).max()
}

/// The one owner that controls the pod.
/// <https://kubernetes.io/docs/concepts/overview/working-with-objects/owners-dependents/>
pub fn controller(pod: &Pod) -> Option<&OwnerReference> {
    pod.metadata.owner_references.iter().flatten().find(|o| o.controller == Some(true))
}

/// The uid of the controlling owner: of the pod's Job.
pub fn controller_uid(pod: &Pod) -> Option<&str> {
    controller(pod).map(|o| o.uid.as_str())
}

/// Whether the Job of this uid controls the pod.
pub fn is_controlled_by(pod: &Pod, uid: &str) -> bool {
    controller_uid(pod) == Some(uid)
}

fn spec(pod: &Pod) -> Option<&PodSpec> {
    pod.spec.as_ref()
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::PodStatus;
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

    use super::*;

    #[test]
    fn a_pod_without_anything_still_answers() {
        let pod = Pod::default();
        assert_eq!(phase(&pod), Phase::Pending);
        assert_eq!(restart_policy(&pod), RestartPolicy::Always);
        assert_eq!(grace_period(&pod), Duration::from_secs(30));
        assert_eq!((restarts(&pod), controller_uid(&pod)), (0, None));
        assert!(containers(&pod).is_empty() && !is_terminal(&pod) && !is_ready(&pod));
    }

    #[test]
    fn every_phase_reads_back_as_it_is_written() {
        for p in [Phase::Pending, Phase::Running, Phase::Succeeded, Phase::Failed, Phase::Unknown] {
            let status = PodStatus { phase: Some(p.as_str().into()), ..PodStatus::default() };
            let pod = Pod { status: Some(status), ..Pod::default() };
            assert_eq!(phase(&pod), p);
            assert_eq!(is_terminal(&pod), matches!(p, Phase::Succeeded | Phase::Failed));
        }
    }

    #[test]
    fn the_grace_of_a_deletion_outranks_that_of_the_spec() {
        let spec = PodSpec { termination_grace_period_seconds: Some(5), ..PodSpec::default() };
        let mut pod = Pod { spec: Some(spec), ..Pod::default() };
        assert_eq!(grace_period(&pod), Duration::from_secs(5));
        pod.metadata =
            ObjectMeta { deletion_grace_period_seconds: Some(0), ..ObjectMeta::default() };
        assert_eq!(grace_period(&pod), Duration::ZERO);
    }

    #[test]
    fn the_class_follows_from_requests_and_limits_of_every_container() {
        let class = |containers: &[(&str, &str)]| {
            let list = |text: &str| -> serde_json::Value {
                text.split_whitespace().filter_map(|entry| entry.split_once('=')).collect()
            };
            let containers: Vec<_> = containers
                .iter()
                .map(|(limits, requests)| {
                    let resources =
                        serde_json::json!({"limits": list(limits), "requests": list(requests)});
                    serde_json::json!({"name": "a", "resources": resources})
                })
                .collect();
            let pod = serde_json::json!({"spec": {"containers": containers}});
            qos_class(&serde_json::from_value(pod).unwrap()).as_str()
        };
        for (containers, expected) in [
            (&[("", "")][..], "BestEffort"),
            (&[("ephemeral-storage=1", "cpu=0")], "BestEffort"),
            (&[("cpu=1 memory=1Gi", "")], "Guaranteed"),
            (&[("cpu=1 memory=1Gi", "cpu=1000m memory=1024Mi")], "Guaranteed"),
            (&[("cpu=1 memory=1Gi", "cpu=500m")], "Burstable"),
            (&[("cpu=1", "")], "Burstable"),
            (&[("", "memory=1Mi")], "Burstable"),
            (&[("cpu=1 memory=1Gi", ""), ("", "")], "Burstable"),
            (&[("cpu=1 memory=1Gi", ""), ("cpu=2 memory=1", "")], "Guaranteed"),
        ] {
            assert_eq!(class(containers), expected, "{containers:?}");
        }
    }

    #[test]
    fn an_init_container_counts_for_the_class() {
        let pod: Pod = serde_json::from_value(serde_json::json!({"spec": {
            "containers": [{"name": "a", "resources": {"limits": {"cpu": "1", "memory": "1"}}}],
            "initContainers": [{"name": "b"}],
        }}))
        .unwrap();
        assert_eq!(qos_class(&pod), QosClass::Burstable);
    }

    #[test]
    fn what_a_pod_has_as_a_whole_decides_its_class() {
        let pod: Pod = serde_json::from_value(serde_json::json!({"spec": {
            "resources": {"limits": {"cpu": "1", "memory": "1Gi"}},
            "containers": [{"name": "a"}, {"name": "b", "resources": {"limits": {"cpu": "1"}}}],
        }}))
        .unwrap();
        assert_eq!(qos_class(&pod), QosClass::Guaranteed);
    }

    #[test]
    fn only_the_controlling_owner_counts() {
        let owner = |uid: &str, controller| OwnerReference {
            uid: uid.into(),
            controller,
            ..OwnerReference::default()
        };
        let mut pod = Pod::default();
        pod.metadata.owner_references = Some(vec![owner("a", None), owner("b", Some(true))]);
        assert!(is_controlled_by(&pod, "b") && !is_controlled_by(&pod, "a"));
    }
}
