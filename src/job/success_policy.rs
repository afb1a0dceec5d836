//! When some of the indexes are enough.
//!
//! Owns: the rules of the success policy. Must not know: what still runs then.
//! <https://kubernetes.io/docs/concepts/workloads/controllers/job/#success-policy>

use k8s_openapi::api::batch::v1::{Job, SuccessPolicyRule};

use super::conditions::Verdict;
use super::indexes::Indexes;
use crate::api::intervals::Intervals;

/// The first rule that is met makes the Job a success.
/// <https://kubernetes.io/docs/concepts/workloads/controllers/job/#success-policy>
pub(super) fn success(job: &Job, indexes: &Indexes) -> Option<Verdict> {
    let policy = job.spec.as_ref()?.success_policy.as_ref()?;
    if indexes.completed.is_empty() {
        return None;
    }
    let rule = policy.rules.iter().position(|rule| is_met(rule, indexes))?;
    Some(Verdict::success("SuccessPolicy", format!("Matched rules at index {rule}")))
}

fn is_met(rule: &SuccessPolicyRule, indexes: &Indexes) -> bool {
    let count = rule.succeeded_count.map(|count| u32::try_from(count).unwrap_or(0));
    match (&rule.succeeded_indexes, count) {
        (Some(wanted), count) => {
            let wanted = Intervals::read(wanted, indexes.completions);
            let done = wanted.shared(&indexes.completed);
            done == wanted.len() || count.is_some_and(|count| done >= count)
        }
        (None, Some(count)) => indexes.completed.len() >= count,
        (None, None) => false,
    }
}
