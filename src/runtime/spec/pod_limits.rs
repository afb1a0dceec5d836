//! What the containers of a pod may use together.
//!
//! Owns: how the pod's own resources and those of its containers become the numbers of the cgroup around
//! them all. Must not know: where that cgroup is.
//! <https://kubernetes.io/docs/concepts/workloads/pods/sidecar-containers/#resource-sharing-within-containers>

use k8s_openapi::api::core::v1::{Container, Pod, ResourceRequirements};

use super::resources::{PERIOD, QUOTA_MIN, SHARES_MIN, shares_of};
use crate::api::pod::{containers, init_containers, is_sidecar};
use crate::api::quantity::{ResourceList, cpu_millis, memory_bytes};

/// The limits of a pod's cgroup; `None` is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PodLimits {
    pub cpu_shares: u64,
    /// Microseconds of processors in each period.
    pub cpu_quota: Option<u64>,
    pub cpu_period: u64,
    pub memory_bytes: Option<u64>,
    pub pids: Option<u64>,
}

/// A limit holds for the pod only where the pod itself or every container has one.
pub fn pod_limits(pod: &Pod, pids: Option<u64>) -> PodLimits {
    let whole = pod.spec.as_ref().and_then(|spec| spec.resources.as_ref());
    let limit = |read: Read| match whole.and_then(|own| read(own.limits.as_ref())) {
        Some(own) => Some(own),
        None => together(pod, |own| read(own.limits.as_ref())),
    };
    let request = |own: &ResourceRequirements| {
        cpu_millis(own.requests.as_ref()).or_else(|| cpu_millis(own.limits.as_ref()))
    };
    let asked = whole
        .and_then(request)
        .or_else(|| together(pod, |own| Some(request(own).unwrap_or_default())));
    let quota = limit(cpu_millis).filter(|limit| *limit > 0);
    PodLimits {
        cpu_shares: asked.map_or(SHARES_MIN, shares_of),
        cpu_quota: quota.map(|limit| (limit.saturating_mul(PERIOD) / 1000).max(QUOTA_MIN)),
        cpu_period: PERIOD,
        memory_bytes: limit(memory_bytes).filter(|limit| *limit > 0),
        pids,
    }
}

type Read = fn(Option<&ResourceList>) -> Option<u64>;

/// What runs at the same time, added up; init containers run one by one, beside the sidecars that were
/// started before them. `None` where a container says nothing.
fn together(pod: &Pod, read: impl Fn(&ResourceRequirements) -> Option<u64>) -> Option<u64> {
    let nothing = ResourceRequirements::default();
    let of = |container: &Container| read(container.resources.as_ref().unwrap_or(&nothing));
    let (mut sidecars, mut most) = (0_u64, 0_u64);
    for init in init_containers(pod) {
        let own = of(init)?;
        if is_sidecar(init) {
            sidecars = sidecars.saturating_add(own);
            most = most.max(sidecars);
        } else {
            most = most.max(sidecars.saturating_add(own));
        }
    }
    let own =
        containers(pod).iter().map(of).try_fold(0_u64, |sum, own| Some(sum.saturating_add(own?)));
    Some(most.max(sidecars.saturating_add(own?)))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn limits(spec: Value) -> PodLimits {
        pod_limits(&serde_json::from_value(json!({"spec": spec})).unwrap(), None)
    }

    fn container(limits: Value, requests: Value) -> Value {
        json!({"name": "a", "resources": {"limits": limits, "requests": requests}})
    }

    #[test]
    fn what_all_containers_have_is_what_the_pod_has() {
        let one = container(json!({"cpu": "1", "memory": "64Mi"}), json!({"cpu": "500m"}));
        let two = container(json!({"cpu": "500m", "memory": "32Mi"}), json!({}));
        let found = limits(json!({"containers": [one.clone(), two]}));
        assert_eq!((found.cpu_shares, found.cpu_quota), (1024, Some(150_000)));
        assert_eq!(found.memory_bytes, Some(96 << 20));
        let free = limits(json!({"containers": [one, container(json!({}), json!({}))]}));
        assert_eq!((free.cpu_shares, free.cpu_quota, free.memory_bytes), (512, None, None));
        let nothing = limits(json!({"containers": [container(json!({}), json!({}))]}));
        assert_eq!((nothing.cpu_shares, nothing.cpu_quota), (2, None));
    }

    #[test]
    fn init_containers_run_one_by_one_and_sidecars_beside_the_others() {
        let memory = |amount: &str| container(json!({"memory": amount}), json!({}));
        let mut sidecar = memory("10");
        sidecar["restartPolicy"] = json!("Always");
        let of = |init: Value, own: &str| {
            limits(json!({"initContainers": init, "containers": [memory(own)]})).memory_bytes
        };
        assert_eq!(of(json!([memory("100"), memory("50")]), "20"), Some(100));
        assert_eq!(of(json!([sidecar, memory("5")]), "20"), Some(30));
        assert_eq!(of(json!([sidecar, memory("100")]), "20"), Some(110));
    }

    #[test]
    fn what_the_pod_has_as_a_whole_is_above_its_containers() {
        let found = limits(json!({
            "resources": {"limits": {"cpu": "2", "memory": "1Gi"}, "requests": {"cpu": "1"}},
            "containers": [container(json!({"cpu": "1"}), json!({})), container(json!({}), json!({}))],
        }));
        assert_eq!((found.cpu_shares, found.cpu_quota), (1024, Some(200_000)));
        assert_eq!(found.memory_bytes, Some(1 << 30));
    }
}
