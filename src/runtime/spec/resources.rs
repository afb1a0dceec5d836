//! The resources of a container.
//!
//! Owns: how requests and limits become numbers of cgroups, and who is killed first for want of memory.
//! Must not know: where cgroups are. The numbers are those of cgroup v1; the OCI runtime converts them
//! for v2.
//! <https://kubernetes.io/docs/concepts/configuration/manage-resources-containers/>

use std::collections::{BTreeMap, HashMap};

use oci_spec::runtime::{
    LinuxCpu, LinuxDeviceCgroup, LinuxHugepageLimit, LinuxMemory, LinuxResources,
};

use super::{Inputs, Refusal};
use crate::api::pod::{QosClass, qos_class};
use crate::api::quantity::{HUGE_PAGES, Quantity, cpu_millis, limits, memory_bytes, requests};

/// The shares of one processor.
const SHARES_PER_CPU: u64 = 1024;
/// What the kernel takes at least, and at most.
pub(super) const SHARES_MIN: u64 = 2;
const SHARES_MAX: u64 = 262_144;
/// Over how many microseconds the use of processors is counted.
pub(super) const PERIOD: u64 = 100_000;
/// The kernel takes no smaller quota, in microseconds.
pub(super) const QUOTA_MIN: u64 = 1000;

pub(super) fn of(inputs: &Inputs<'_>) -> Result<LinuxResources, Refusal> {
    let mut devices = LinuxDeviceCgroup::default();
    // To what is denied, the OCI runtime adds what every container has: null, zero, urandom...
    devices.set_allow(inputs.is_privileged()).set_access(Some("rwm".to_owned()));
    let mut resources = LinuxResources::default();
    resources
        .set_devices(Some(vec![devices]))
        .set_cpu(Some(cpu(inputs)))
        .set_memory(memory(inputs))
        .set_hugepage_limits(huge_pages(inputs)?)
        .set_unified(inputs.host.oom_group.then(|| {
            // A container ends as a whole: half of one helps nobody.
            HashMap::from([("memory.oom.group".to_owned(), "1".to_owned())])
        }));
    Ok(resources)
}

/// Of each size what is asked for, or none at all.
/// <https://kubernetes.io/docs/tasks/manage-hugepages/scheduling-hugepages/>
fn huge_pages(inputs: &Inputs<'_>) -> Result<Option<Vec<LinuxHugepageLimit>>, Refusal> {
    let sizes = &inputs.host.huge_pages;
    let mut asked = BTreeMap::new();
    for (name, amount) in limits(inputs.container).into_iter().flatten() {
        let bytes = |text: &str| Quantity::parse(text).ok().map(Quantity::value);
        let Some(size) = name.strip_prefix(HUGE_PAGES).and_then(bytes) else { continue };
        let size = u64::try_from(size).unwrap_or_default();
        if !sizes.contains(&size) {
            return Err(Refusal::create(format!("this host cannot limit {name}")));
        }
        asked.insert(size, bytes(&amount.0).unwrap_or_default());
    }
    let limit = |size: &u64| {
        let mut limit = LinuxHugepageLimit::default();
        limit.set_page_size(page_size(*size)).set_limit(asked.get(size).copied().unwrap_or(0));
        limit
    };
    Ok(Some(sizes.iter().map(limit).collect::<Vec<_>>()).filter(|all| !all.is_empty()))
}

/// `2MB`, `1GB`: as the kernel names its files, and the OCI the sizes.
fn page_size(bytes: u64) -> String {
    let mut rest = bytes;
    for unit in ["B", "KB", "MB"] {
        if rest < 1024 {
            return format!("{rest}{unit}");
        }
        rest /= 1024;
    }
    format!("{rest}GB")
}

fn cpu(inputs: &Inputs<'_>) -> LinuxCpu {
    let limit = cpu_millis(limits(inputs.container));
    let request = cpu_millis(requests(inputs.container)).or(limit).unwrap_or(0);
    let mut cpu = LinuxCpu::default();
    cpu.set_shares(Some(shares_of(request)));
    if let Some(limit) = limit.filter(|limit| *limit > 0) {
        let quota = (limit.saturating_mul(PERIOD) / 1000).max(QUOTA_MIN);
        cpu.set_quota(Some(i64::try_from(quota).unwrap_or(i64::MAX))).set_period(Some(PERIOD));
    }
    cpu
}

/// The shares of so many thousandths of a processor.
pub(super) fn shares_of(millis: u64) -> u64 {
    (millis.saturating_mul(SHARES_PER_CPU) / 1000).clamp(SHARES_MIN, SHARES_MAX)
}

/// A limit of memory is one of memory and swap together, so that nothing escapes into swap.
fn memory(inputs: &Inputs<'_>) -> Option<LinuxMemory> {
    let limit = memory_bytes(limits(inputs.container)).filter(|limit| *limit > 0)?;
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let mut memory = LinuxMemory::default();
    memory.set_limit(Some(limit)).set_swap(inputs.host.swap_limit.then_some(limit));
    Some(memory)
}

/// A guaranteed container is killed last but for the host's own services.
const GUARANTEED: i32 = -997;
/// What asks for nothing is killed first.
const BEST_EFFORT: i32 = 1000;

/// Who is killed first; `None` where the host does not allow to set it so low.
/// <https://kubernetes.io/docs/concepts/scheduling-eviction/node-pressure-eviction/#node-out-of-memory-behavior>
pub(super) fn oom_score_adj(inputs: &Inputs<'_>) -> Option<i32> {
    let score = match qos_class(inputs.pod) {
        QosClass::Guaranteed => GUARANTEED,
        QosClass::BestEffort => BEST_EFFORT,
        QosClass::Burstable => {
            let container = inputs.container;
            let asked = memory_bytes(requests(container));
            let asked = asked.or_else(|| memory_bytes(limits(container)));
            let capacity = inputs.host.capacity.memory_bytes.max(1);
            let share = asked.unwrap_or(0).saturating_mul(1000) / capacity;
            let score = BEST_EFFORT - i32::try_from(share).unwrap_or(BEST_EFFORT).min(BEST_EFFORT);
            score.clamp(BEST_EFFORT + GUARANTEED, BEST_EFFORT - 1)
        }
    };
    Some(score).filter(|score| *score >= inputs.host.oom_score_adj_min)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::testing::Case;
    use super::*;

    fn with(limits: Value, requests: Value) -> Case {
        Case::new().container(json!({"resources": {"limits": limits, "requests": requests}}))
    }

    fn resources(case: &Case) -> LinuxResources {
        case.spec().linux().as_ref().unwrap().resources().clone().unwrap()
    }

    /// Shares, quota.
    fn cpu(case: &Case) -> (Option<u64>, Option<i64>) {
        let resources = resources(case);
        let cpu = resources.cpu().as_ref().unwrap();
        assert_eq!(cpu.period(), cpu.quota().map(|_| 100_000));
        (cpu.shares(), cpu.quota())
    }

    /// Limit, swap.
    fn memory(case: &Case) -> Option<(Option<i64>, Option<i64>)> {
        resources(case).memory().as_ref().map(|memory| (memory.limit(), memory.swap()))
    }

    #[test]
    fn processors_become_shares_and_a_quota() {
        for (limit, request, expected) in [
            (json!({}), json!({}), (2, None)),
            (json!({}), json!({"cpu": "250m"}), (256, None)),
            (json!({"cpu": "1500m"}), json!({}), (1536, Some(150_000))),
            (json!({"cpu": "2"}), json!({"cpu": "500m"}), (512, Some(200_000))),
            (json!({"cpu": "5m"}), json!({"cpu": "1m"}), (2, Some(1000))),
            (json!({"cpu": "0"}), json!({}), (2, None)),
            (json!({"cpu": "1000"}), json!({}), (262_144, Some(100_000_000))),
        ] {
            assert_eq!(cpu(&with(limit, request)), (Some(expected.0), expected.1));
        }
    }

    #[test]
    fn a_limit_of_memory_includes_swap_where_that_can_be_said() {
        let mut case = with(json!({"memory": "64Mi"}), json!({}));
        assert_eq!(memory(&case), Some((Some(64 << 20), Some(64 << 20))));
        case.host.swap_limit = false;
        assert_eq!(memory(&case), Some((Some(64 << 20), None)));
        assert_eq!(memory(&with(json!({}), json!({"memory": "64Mi"}))), None);
        assert_eq!(memory(&with(json!({"memory": "0"}), json!({}))), None);
    }

    #[test]
    fn a_container_out_of_memory_ends_as_a_whole_where_that_can_be_said() {
        let mut case = Case::new();
        assert_eq!(resources(&case).unified(), &None);
        case.host.oom_group = true;
        assert_eq!(resources(&case).unified().as_ref().unwrap()["memory.oom.group"], "1");
    }

    #[test]
    fn devices_are_denied_unless_the_container_is_privileged() {
        let allowed = |case: Case| {
            let devices = resources(&case).devices().clone().unwrap();
            assert_eq!((devices.len(), devices[0].access().as_deref()), (1, Some("rwm")));
            devices[0].allow()
        };
        assert!(!allowed(Case::new()));
        assert!(allowed(Case::new().security(json!({"privileged": true}))));
    }

    #[test]
    fn huge_pages_of_every_size_are_limited_and_what_cannot_be_limited_is_refused() {
        let mut case = with(json!({"hugepages-2Mi": "4Mi"}), json!({}));
        assert_eq!(case.build().unwrap_err().message, "this host cannot limit hugepages-2Mi");
        case.host.huge_pages = vec![2 << 20, 1 << 30];
        let limits = resources(&case).hugepage_limits().clone().unwrap();
        let of = |limit: &LinuxHugepageLimit| (limit.page_size().clone(), limit.limit());
        let expected = [("2MB".to_owned(), 4 << 20), ("1GB".to_owned(), 0)];
        assert_eq!(limits.iter().map(of).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn neither_processes_nor_disks_are_limited() {
        let case = with(json!({"ephemeral-storage": "1Gi"}), json!({}));
        let resources = resources(&case);
        assert_eq!((resources.pids(), resources.hugepage_limits()), (&None, &None));
        assert_eq!((resources.memory(), resources.block_io()), (&None, &None));
    }

    #[test]
    fn who_asks_for_more_is_killed_later() {
        let score = |case: &Case| case.process().oom_score_adj();
        let all = json!({"cpu": "1", "memory": "1Gi"});
        assert_eq!(score(&with(all.clone(), all)), Some(-997));
        assert_eq!(score(&Case::new()), Some(1000));
        for (request, expected) in [("1", 999), ("2Gi", 750), ("8Gi", 3), ("100Gi", 3)] {
            assert_eq!(score(&with(json!({}), json!({"memory": request}))), Some(expected));
        }
        assert_eq!(score(&with(json!({}), json!({"cpu": "1"}))), Some(999));
    }

    #[test]
    fn a_score_that_the_host_does_not_allow_is_left_out() {
        let all = json!({"cpu": "1", "memory": "1Gi"});
        let mut case = with(all.clone(), all);
        case.host.oom_score_adj_min = 0;
        assert_eq!(case.process().oom_score_adj(), None);
        let mut case = Case::new();
        case.host.oom_score_adj_min = 0;
        assert_eq!(case.process().oom_score_adj(), Some(1000));
    }
}
