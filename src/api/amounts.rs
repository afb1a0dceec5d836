//! What pods ask of a host, and what a host has.
//!
//! Owns: the amounts, and what a pod asks for in all. Must not know: which pods run where.

use std::fmt;
use std::ops::{Add, Sub};

use k8s_openapi::api::core::v1::{Container, Pod};

use super::pod::{containers, init_containers, is_sidecar};
use super::quantity::{ResourceList, cpu_millis, limits, memory_bytes, requests};

/// Processors, memory, and how many pods.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Amounts {
    pub cpu_millis: u64,
    pub memory_bytes: u64,
    pub pods: u64,
}

impl Amounts {
    /// A host that takes whatever comes.
    pub const UNLIMITED: Self =
        Self { cpu_millis: u64::MAX, memory_bytes: u64::MAX, pods: u64::MAX };

    pub fn fits_in(self, room: Self) -> bool {
        self.each(room).into_iter().all(|(_, wanted, free)| wanted <= free)
    }

    /// What is asked for, and what there is of it, by name.
    pub fn each(self, other: Self) -> [(Resource, u64, u64); 3] {
        [
            (Resource::Cpu, self.cpu_millis, other.cpu_millis),
            (Resource::Memory, self.memory_bytes, other.memory_bytes),
            (Resource::Pods, self.pods, other.pods),
        ]
    }

    fn with(self, other: Self, merge: impl Fn(u64, u64) -> u64) -> Self {
        Self {
            cpu_millis: merge(self.cpu_millis, other.cpu_millis),
            memory_bytes: merge(self.memory_bytes, other.memory_bytes),
            pods: merge(self.pods, other.pods),
        }
    }
}

impl Add for Amounts {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        self.with(other, u64::saturating_add)
    }
}

impl Sub for Amounts {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        self.with(other, u64::saturating_sub)
    }
}

/// One of the things that a host can be short of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resource {
    Cpu,
    Memory,
    Pods,
}

impl Resource {
    /// An amount as people write it: `1500m`, `64Mi`, `110`.
    pub fn shown(self, amount: u64) -> String {
        match self {
            Self::Cpu if amount.is_multiple_of(1000) => (amount / 1000).to_string(),
            Self::Cpu => format!("{amount}m"),
            Self::Memory if amount.is_multiple_of(1 << 30) => format!("{}Gi", amount >> 30),
            Self::Memory if amount.is_multiple_of(1 << 20) => format!("{}Mi", amount >> 20),
            Self::Memory if amount.is_multiple_of(1 << 10) => format!("{}Ki", amount >> 10),
            Self::Memory | Self::Pods => amount.to_string(),
        }
    }
}

impl fmt::Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Cpu => "cpu",
            Self::Memory => "memory",
            Self::Pods => "pods",
        })
    }
}

/// What a pod asks for: the most that is asked for at any time, be it by an init container with the sidecars
/// before it, or by all that run in the end. What the pod says of itself as a whole goes before that.
/// <https://kubernetes.io/docs/concepts/workloads/pods/sidecar-containers/#resource-sharing-within-containers>
pub fn asked(pod: &Pod) -> Amounts {
    let (mut beside, mut most) = (Amounts::default(), Amounts::default());
    for init in init_containers(pod) {
        let own = of_container(init);
        if is_sidecar(init) {
            beside = beside + own;
        }
        let now = if is_sidecar(init) { beside } else { beside + own };
        most = most.with(now, u64::max);
    }
    let lasting = containers(pod).iter().fold(beside, |sum, own| sum + of_container(own));
    let mut all = most.with(lasting, u64::max);
    let spec = pod.spec.as_ref();
    if let Some(whole) = spec.and_then(|spec| spec.resources.as_ref()) {
        let whole = of_lists(whole.requests.as_ref(), whole.limits.as_ref());
        all.cpu_millis = whole.0.unwrap_or(all.cpu_millis);
        all.memory_bytes = whole.1.unwrap_or(all.memory_bytes);
    }
    let overhead = of_lists(spec.and_then(|spec| spec.overhead.as_ref()), None);
    let overhead = Amounts {
        cpu_millis: overhead.0.unwrap_or(0),
        memory_bytes: overhead.1.unwrap_or(0),
        pods: 1,
    };
    all + overhead
}

fn of_container(container: &Container) -> Amounts {
    let (cpu, memory) = of_lists(requests(container), limits(container));
    Amounts { cpu_millis: cpu.unwrap_or(0), memory_bytes: memory.unwrap_or(0), pods: 0 }
}

/// What is not asked for but limited is asked for up to the limit.
fn of_lists(
    requests: Option<&ResourceList>,
    limits: Option<&ResourceList>,
) -> (Option<u64>, Option<u64>) {
    let cpu = cpu_millis(requests).or_else(|| cpu_millis(limits));
    (cpu, memory_bytes(requests).or_else(|| memory_bytes(limits)))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn pod(spec: Value) -> Pod {
        serde_json::from_value(json!({"spec": spec})).unwrap()
    }

    fn container(cpu: &str, sidecar: bool) -> Value {
        let policy = sidecar.then_some("Always");
        json!({"name": "c", "restartPolicy": policy, "resources": {"requests": {"cpu": cpu}}})
    }

    #[test]
    fn a_pod_asks_for_the_most_that_it_needs_at_any_time() {
        let cpu = |init: Vec<Value>, own: Vec<Value>| {
            asked(&pod(json!({"initContainers": init, "containers": own}))).cpu_millis
        };
        assert_eq!(cpu(vec![], vec![container("1", false), container("500m", false)]), 1500);
        assert_eq!(cpu(vec![container("2", false)], vec![container("1", false)]), 2000);
        assert_eq!(cpu(vec![container("1", true)], vec![container("1", false)]), 2000);
        let sidecar_first = vec![container("1", true), container("3", false)];
        assert_eq!(cpu(sidecar_first, vec![container("1", false)]), 4000);
        let sidecar_last = vec![container("3", false), container("1", true)];
        assert_eq!(cpu(sidecar_last, vec![container("1", false)]), 3000);
    }

    #[test]
    fn a_limit_stands_for_a_request_and_the_pods_own_word_goes_first() {
        let limited = json!({"name": "c", "resources": {"limits": {"memory": "1Mi"}}});
        let all = asked(&pod(json!({"containers": [limited]})));
        assert_eq!(all, Amounts { cpu_millis: 0, memory_bytes: 1 << 20, pods: 1 });
        let whole = json!({
            "resources": {"requests": {"memory": "3Mi"}}, "overhead": {"cpu": "10m"},
            "containers": [limited],
        });
        let all = asked(&pod(whole));
        assert_eq!(all, Amounts { cpu_millis: 10, memory_bytes: 3 << 20, pods: 1 });
    }

    #[test]
    fn amounts_are_shown_as_people_write_them() {
        assert_eq!(Resource::Cpu.shown(2000) + " " + &Resource::Cpu.shown(150), "2 150m");
        assert_eq!(Resource::Memory.shown(64 << 20), "64Mi");
        assert_eq!(Resource::Memory.shown(1000), "1000");
    }
}
