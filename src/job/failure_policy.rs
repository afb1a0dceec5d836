//! What a failed pod means for its Job.
//!
//! Owns: matching a pod against the rules of the pod failure policy. Must not know: what follows from
//! a match.
//! <https://kubernetes.io/docs/concepts/workloads/controllers/job/#pod-failure-policy>

use k8s_openapi::api::batch::v1::{
    Job, PodFailurePolicyOnExitCodesRequirement, PodFailurePolicyOnPodConditionsPattern,
    PodFailurePolicyRule,
};
use k8s_openapi::api::core::v1::{ContainerStatus, Pod};

use crate::api::extensions::decides;
use crate::api::object::Object;
use crate::api::pod::{condition, container_statuses};

/// What is to be done about a failure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Judgement {
    Count,
    /// The failure counts, and its index is not tried again.
    FailIndex,
    FailJob {
        message: String,
    },
    /// The failure does not count.
    Ignore,
}

/// The first rule that matches decides; a failure that none matches counts.
/// <https://kubernetes.io/docs/concepts/workloads/controllers/job/#pod-failure-policy>
pub(super) fn judge(job: &Job, pod: &Pod) -> Judgement {
    match decisive(job, pod) {
        None | Some((_, "Count", _)) => Judgement::Count,
        Some((_, "Ignore", _)) => Judgement::Ignore,
        Some((_, "FailIndex", _)) => Judgement::FailIndex,
        Some((index, _, what)) => {
            Judgement::FailJob { message: format!("{what} matching FailJob rule at index {index}") }
        }
    }
}

/// The action of the rule that decides about a failed pod, if one does.
pub fn failure_rule(job: &Job, pod: &Pod) -> Option<&'static str> {
    decisive(job, pod).map(|(_, action, _)| action)
}

/// The first rule that matches: its index, its action, and what of the pod it is about. A rule with an
/// action that is not known is skipped.
fn decisive(job: &Job, pod: &Pod) -> Option<(usize, &'static str, String)> {
    let policy = job.spec.as_ref().and_then(|spec| spec.pod_failure_policy.as_ref());
    let rules = policy.map_or(&[][..], |policy| &policy.rules);
    rules.iter().enumerate().find_map(|(index, rule)| {
        let known = ["Count", "Ignore", "FailIndex", "FailJob"];
        let action = known.into_iter().find(|action| *action == rule.action)?;
        Some((index, action, matched(rule, pod)?))
    })
}

/// What of the pod the rule is about, if it is about this pod.
fn matched(rule: &PodFailurePolicyRule, pod: &Pod) -> Option<String> {
    if let Some(codes) = &rule.on_exit_codes {
        let (container, code) = exit(codes, pod)?;
        return Some(format!(
            "Container {container} for pod {}/{} failed with exit code {code}",
            pod.namespace(),
            pod.name()
        ));
    }
    let patterns = rule.on_pod_conditions.as_deref().unwrap_or_default();
    let kind = patterns.iter().find(|pattern| has(pod, pattern)).map(|pattern| &pattern.type_)?;
    Some(format!("Pod {}/{} has condition {kind}", pod.namespace(), pod.name()))
}

/// The first container that ended with such a code. One that did well is never meant.
fn exit<'a>(
    wanted: &PodFailurePolicyOnExitCodesRequirement,
    pod: &'a Pod,
) -> Option<(&'a str, i32)> {
    let init = pod.status.iter().flat_map(|status| status.init_container_statuses.iter().flatten());
    let named = |status: &&ContainerStatus| {
        wanted.container_name.as_ref().is_none_or(|n| *n == status.name)
    };
    let own = container_statuses(pod).iter().filter(|s| decides(&pod.metadata, &s.name));
    own.chain(init).filter(named).find_map(|status| {
        let code = status.state.as_ref()?.terminated.as_ref()?.exit_code;
        let listed = wanted.values.contains(&code);
        let fits = match wanted.operator.as_str() {
            "In" => listed,
            "NotIn" => !listed,
            // An operator that is not known matches nothing.
            _ => false,
        };
        (code != 0 && fits).then_some((status.name.as_str(), code))
    })
}

fn has(pod: &Pod, pattern: &PodFailurePolicyOnPodConditionsPattern) -> bool {
    let wanted = pattern.status.as_deref().unwrap_or("True");
    condition(pod, &pattern.type_).is_some_and(|found| found.status == wanted)
}
