//! What a pod has written to the host's disk.
//!
//! Owns: when to look, and how much is too much. Must not know: how it is measured.
//! <https://kubernetes.io/docs/concepts/storage/ephemeral-storage/#resource-emphemeralstorage-consumption>

use std::time::Duration;

use k8s_openapi::api::core::v1::{Pod, PodStatus, Volume};

use super::reconcile::Look;
use super::timer::later;
use super::{Action, Operation, Sandbox, Usage};
use crate::api::event::Note;
use crate::api::pod::all_containers;
use crate::api::quantity::{Quantity, amount_of, limits};
use crate::api::references::volumes;

/// The reason of a pod that has to go because it has taken too much.
pub(super) const EVICTED: &str = "Evicted";
/// How long its containers get to end.
pub(super) const GRACE: Duration = Duration::from_secs(1);

/// How often to look, as the kubelet does.
const MEASURE_EVERY: Duration = Duration::from_secs(10);
const STORAGE: &str = "ephemeral-storage";

impl Look<'_> {
    /// Looks now and then at a pod that has a limit, and notes that it has passed one.
    pub(super) fn check_storage(&mut self, stored: &mut PodStatus) {
        let stands = matches!(self.observed.sandbox, Sandbox::Ready { .. });
        if !stands || stored.reason.is_some() || !is_limited(self.pod) {
            return;
        }
        let measured = self.observed.storage.as_ref();
        if let Some(message) = measured.and_then(|known| excess(self.pod, &known.usage)) {
            stored.reason = Some(EVICTED.to_owned());
            stored.message = Some(message.clone());
            self.tell(Note::warning(EVICTED, message));
            return;
        }
        let due = measured.map(|known| later(known.at, MEASURE_EVERY));
        match due.filter(|due| *due > self.now) {
            Some(due) => self.alarm.set(due),
            None if self.observed.in_flight.contains(&Operation::Measure) => {}
            None => self.actions.push(Action::Measure),
        }
    }
}

/// Whether the pod may write only so much.
fn is_limited(pod: &Pod) -> bool {
    volumes(pod).iter().any(|volume| size_limit(volume).is_some())
        || all_containers(pod).any(|container| amount_of(limits(container), STORAGE).is_some())
}

/// The limit of a directory on the disk; one in memory is limited by the kernel.
fn size_limit(volume: &Volume) -> Option<(&str, Quantity)> {
    let source = volume.empty_dir.as_ref().filter(|dir| dir.medium.as_deref() != Some("Memory"))?;
    let text = source.size_limit.as_ref()?.0.as_str();
    let limit = Quantity::parse(text).ok()?;
    (limit > Quantity::default()).then_some((text, limit))
}

/// Which limit is passed, in the kubelet's words.
fn excess(pod: &Pod, usage: &Usage) -> Option<String> {
    for volume in volumes(pod) {
        let Some((text, limit)) = size_limit(volume) else { continue };
        let used = usage.volumes.get(&volume.name).copied().unwrap_or_default();
        if Quantity::of(used) > limit {
            let name = &volume.name;
            return Some(format!("Usage of EmptyDir volume {name:?} exceeds the limit {text:?}. "));
        }
    }
    let limited = || {
        all_containers(pod).filter_map(|container| {
            let text = limits(container)?.get(STORAGE)?.0.as_str();
            Some((container.name.as_str(), text, Quantity::parse(text).ok()?))
        })
    };
    let total = limited().fold(None, |total: Option<Quantity>, (_, _, limit)| {
        Some(total.map_or(limit, |total| total.plus(limit)))
    });
    let used = usage.volumes.values().chain(usage.containers.values()).sum();
    if total.is_some_and(|total| Quantity::of(used) > total) {
        let total = total.unwrap_or_default().in_bytes();
        return Some(format!(
            "Pod ephemeral local storage usage exceeds the total limit of containers {total}. "
        ));
    }
    limited().find_map(|(name, text, limit)| {
        let used = usage.containers.get(name).copied().unwrap_or_default();
        let passed = Quantity::of(used) > limit;
        let text =
            || format!("Container {name} exceeded its local ephemeral storage limit {text:?}. ");
        passed.then(text)
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::pod::cases::{after, at, does, instance, look, phase, put, ready, running};
    use crate::pod::{Measured, Observed, Signal};

    fn pod(volumes: &serde_json::Value, limits: &[Option<&str>]) -> Pod {
        let mut number = 0;
        let containers: Vec<_> = limits
            .iter()
            .map(|limit| {
                number += 1;
                let limits = limit.map(|limit| json!({"ephemeral-storage": limit}));
                json!({
                    "name": format!("c{number}"), "image": "busybox:1",
                    "resources": {"limits": limits.unwrap_or_else(|| json!({}))},
                })
            })
            .collect();
        let mut pod = crate::pod::cases::pod("Never", &[]);
        let spec = json!({"restartPolicy": "Never", "volumes": volumes, "containers": containers});
        pod.spec = Some(serde_json::from_value(spec).unwrap());
        pod
    }

    fn usage(volumes: &[(&str, u64)], containers: &[(&str, u64)]) -> Usage {
        let owned = |all: &[(&str, u64)]| {
            all.iter().map(|(name, bytes)| ((*name).to_owned(), *bytes)).collect()
        };
        Usage { volumes: owned(volumes), containers: owned(containers) }
    }

    #[test]
    fn what_is_too_much_is_told_in_the_kubelets_words() {
        let disk = json!([{"name": "v", "emptyDir": {"sizeLimit": "1Ki"}}]);
        let memory = json!([{"name": "v", "emptyDir": {"sizeLimit": "1Ki", "medium": "Memory"}}]);
        let mib = 1 << 20;
        for (volumes, limits, usage, expected) in [
            (&disk, vec![None], usage(&[("v", 1024)], &[]), None),
            (
                &disk,
                vec![None],
                usage(&[("v", 1025)], &[]),
                Some("Usage of EmptyDir volume \"v\" exceeds the limit \"1Ki\". "),
            ),
            (&memory, vec![None], usage(&[("v", 1025)], &[]), None),
            (
                &memory,
                vec![Some("1Mi"), Some("2Mi")],
                usage(&[], &[("c1", mib + 1), ("c2", 0)]),
                Some("Container c1 exceeded its local ephemeral storage limit \"1Mi\". "),
            ),
            (
                &memory,
                vec![Some("1Mi"), Some("2Mi")],
                usage(&[("w", 2 * mib)], &[("c1", mib), ("c2", 1)]),
                Some(
                    "Pod ephemeral local storage usage exceeds the total limit of containers 3Mi. ",
                ),
            ),
            (&memory, vec![Some("1Mi"), None], usage(&[], &[("c1", mib)]), None),
        ] {
            assert_eq!(excess(&pod(volumes, &limits), &usage).as_deref(), expected);
        }
    }

    fn measured(used: u64, second: i64) -> Observed {
        let mut observed = ready();
        put(&mut observed, instance("c1", 0), running(1));
        let usage = usage(&[("v", used)], &[]);
        observed.storage = Some(Measured { at: at(second), usage });
        observed
    }

    #[test]
    fn a_pod_that_takes_too_much_is_evicted() {
        let pod = pod(&json!([{"name": "v", "emptyDir": {"sizeLimit": "1Ki"}}]), &[None]);
        assert!(does(&look(&pod, &ready(), 2), &Action::Measure));
        let plan = look(&pod, &measured(1024, 5), 6);
        assert_eq!((does(&plan, &Action::Measure), plan.wake_at), (false, Some(at(15))));
        assert!(does(&look(&pod, &measured(1024, 5), 15), &Action::Measure));

        let observed = measured(1025, 5);
        let plan = look(&pod, &observed, 6);
        let stop = Action::Signal { instance: instance("c1", 0), signal: Signal::Stop };
        assert!(does(&plan, &stop) && phase(&plan) != "Failed");
        let pod = after(&pod, &plan);
        let mut observed = measured(0, 9);
        put(&mut observed, instance("c1", 0), crate::pod::cases::exited(0, 7));
        let plan = look(&pod, &observed, 9);
        let status = plan.record.status.clone();
        assert_eq!((phase(&plan), status.reason.as_deref()), ("Failed", Some("Evicted")));
        assert!(status.message.unwrap().contains("exceeds the limit"));
    }

    #[test]
    fn a_pod_without_limits_is_not_measured() {
        let pod = pod(&json!([{"name": "v", "emptyDir": {}}]), &[None]);
        assert!(!does(&look(&pod, &ready(), 2), &Action::Measure));
    }
}
