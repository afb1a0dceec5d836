//! The acceptance cases of <https://kubernetes.io/docs/concepts/workloads/controllers/job/>, in numbers
//! of pods: one test a case. Those that need an engine are told in `tests/scenarios`.
//!
//! Not here: 10, 24 and 46 are of a controller that writes a sync in several steps and reads a cache
//! that lags. Here a plan is one transaction, guarded by what it was based on: it is written as a whole
//! or made anew, and `engine::jobs` tests that.

mod counting;
mod ending;
mod indexed;
mod limits;
mod owning;
mod suspending;

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;

use super::testing::at;
use super::{Action, Plan, Rules, reconcile};

fn look(job: &Job, pods: &[Pod], second: i64) -> Plan {
    let pods: Vec<&Pod> = pods.iter().collect();
    reconcile(job, &pods, &[], &Rules::default(), at(second))
}

fn many(n: usize, make: impl Fn(&str) -> Pod) -> Vec<Pod> {
    (0..n).map(|i| make(&format!("p{i}"))).collect()
}

fn created_pods(plan: &Plan) -> Vec<Pod> {
    let created = plan.actions.iter().filter_map(|action| {
        if let Action::CreatePod(pod) = action { Some(*pod.clone()) } else { None }
    });
    created.collect()
}

fn created(plan: &Plan) -> usize {
    created_pods(plan).len()
}

fn deletions(plan: &Plan) -> usize {
    plan.actions.iter().filter(|a| matches!(a, Action::DeletePod { .. })).count()
}

fn released(plan: &Plan) -> usize {
    plan.actions.iter().filter(|a| matches!(a, Action::ReleasePod { .. })).count()
}

/// active, ready, terminating, succeeded, failed
fn counts(plan: &Plan) -> [i32; 5] {
    let s = &plan.record.status;
    [s.active, s.ready, s.terminating, s.succeeded, s.failed].map(Option::unwrap_or_default)
}

fn conditions(plan: &Plan) -> Vec<String> {
    let all = plan.record.status.conditions.iter().flatten();
    all.map(|c| format!("{} {}", c.type_, c.reason.as_deref().unwrap_or_default())).collect()
}

fn told(plan: &Plan) -> Vec<&'static str> {
    let tells = plan.actions.iter();
    tells
        .filter_map(|a| if let Action::Tell(note) = a { Some(note.reason) } else { None })
        .collect()
}

/// The names of the pods that are deleted.
fn deleted_pods(plan: &Plan) -> Vec<&str> {
    let deleted = plan.actions.iter().filter_map(|action| {
        if let Action::DeletePod { name, .. } = action { Some(name.as_str()) } else { None }
    });
    deleted.collect()
}

/// The Job with what the plan records.
fn after(mut job: Job, plan: &Plan) -> Job {
    job.status = Some(plan.record.status.clone());
    plan.record.ledger.write(&mut job);
    job
}

const COMPLETE: [&str; 2] =
    ["SuccessCriteriaMet CompletionsReached", "Complete CompletionsReached"];
const TOO_MANY_FAILED: [&str; 2] =
    ["FailureTarget BackoffLimitExceeded", "Failed BackoffLimitExceeded"];
