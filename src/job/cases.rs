//! The acceptance cases of <https://kubernetes.io/docs/concepts/workloads/controllers/job/>, in numbers of
//! pods.

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::testing::{at, deleted, failed, job, pod, ready, restarted, succeeded};
use super::{Action, Ledger, Plan, Rules, reconcile};

fn look(job: &Job, pods: &[Pod], second: i64) -> Plan {
    let pods: Vec<&Pod> = pods.iter().collect();
    reconcile(job, &pods, &Rules::default(), at(second))
}

fn many(n: usize, make: impl Fn(&str) -> Pod) -> Vec<Pod> {
    (0..n).map(|i| make(&format!("p{i}"))).collect()
}

fn created(plan: &Plan) -> usize {
    plan.actions.iter().filter(|a| matches!(a, Action::CreatePod(_))).count()
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
    let tells = plan.actions.iter().filter_map(|a| match a {
        Action::Tell(note) => Some(note.reason),
        Action::CreatePod(_) | Action::DeletePod { .. } | Action::ReleasePod { .. } => None,
    });
    tells.collect()
}

/// The Job with what the plan records.
fn after(mut job: Job, plan: &Plan) -> Job {
    job.status = Some(plan.record.status.clone());
    plan.record.ledger.write(&mut job);
    job
}

#[test]
fn a_new_job_gets_as_many_pods_as_may_run_at_once() {
    for completions in [Some(5), None] {
        let plan = look(&job(2, completions), &[], 0);
        assert_eq!((created(&plan), counts(&plan)), (2, [2, 0, 0, 0, 0]));
        assert_eq!(told(&plan), ["SuccessfulCreate", "SuccessfulCreate"]);
    }
}

#[test]
fn pending_pods_are_active_and_ready_ones_are_counted() {
    let plan = look(&job(2, Some(5)), &many(2, |n| pod(n, "Pending")), 0);
    assert_eq!((created(&plan), counts(&plan)), (0, [2, 0, 0, 0, 0]));
    let pods = [pod("a", "Running"), ready("b"), ready("c")];
    assert_eq!(counts(&look(&job(3, Some(5)), &pods, 0)), [3, 2, 0, 0, 0]);
}

#[test]
fn a_success_is_counted_once_and_makes_room() {
    let pods = [pod("a", "Running"), succeeded("b", at(1))];
    let plan = look(&job(2, Some(5)), &pods, 2);
    assert_eq!((created(&plan), released(&plan), counts(&plan)), (1, 1, [2, 0, 0, 1, 0]));
}

#[test]
fn too_many_pods_are_deleted_and_not_counted() {
    for (parallelism, active, gone) in [(2, 3, 1), (2, 10, 8)] {
        let plan = look(&job(parallelism, Some(50)), &many(active, |n| pod(n, "Running")), 0);
        let left = parallelism;
        assert_eq!((created(&plan), deletions(&plan)), (0, gone));
        assert_eq!([counts(&plan)[0], counts(&plan)[4]], [left, 0]);
    }
    let mut nearly_done = job(3, Some(4));
    nearly_done.status = Some(Default::default());
    nearly_done.status.as_mut().unwrap().succeeded = Some(2);
    assert_eq!(deletions(&look(&nearly_done, &many(3, |n| pod(n, "Running")), 0)), 1);
    assert_eq!(counts(&look(&job(2, Some(5)), &many(3, ready), 0))[1], 2);
}

#[test]
fn of_pods_that_are_too_many_the_least_advanced_go() {
    let mut pods = vec![ready("ready"), pod("running", "Running"), pod("pending", "Pending")];
    pods.iter_mut().for_each(|p| p.spec.as_mut().unwrap().node_name = Some("n".into()));
    let plan = look(&job(1, Some(5)), &pods, 0);
    let gone: Vec<&str> = plan
        .actions
        .iter()
        .filter_map(|a| match a {
            Action::DeletePod { name, .. } => Some(name.as_str()),
            Action::CreatePod(_) | Action::ReleasePod { .. } | Action::Tell(_) => None,
        })
        .collect();
    assert_eq!(gone, ["pending", "running"]);
}

#[test]
fn no_more_than_500_pods_are_made_in_one_plan() {
    let plan = look(&job(2000, Some(2000)), &[], 0);
    assert_eq!((created(&plan), counts(&plan)[0]), (500, 500));
}

#[test]
fn a_work_queue_takes_no_new_pods_after_its_first_success() {
    let queue = job(2, None);
    let plan = look(&queue, &[pod("a", "Running"), succeeded("b", at(1))], 2);
    assert_eq!((created(&plan), counts(&plan)), (0, [1, 0, 0, 1, 0]));
    assert!(conditions(&plan).is_empty());
    let plan = look(&queue, &[failed("a", at(1)), succeeded("b", at(1))], 2);
    assert_eq!(counts(&plan), [0, 0, 0, 1, 1]);
    assert_eq!(
        conditions(&plan),
        ["SuccessCriteriaMet CompletionsReached", "Complete CompletionsReached"]
    );
}

#[test]
fn parallelism_0_idles_and_completions_0_is_complete_at_once() {
    let plan = look(&job(0, Some(5)), &[], 0);
    assert!(plan.actions.is_empty() && conditions(&plan).is_empty());
    let plan = look(&job(1, Some(0)), &[], 7);
    assert_eq!(
        conditions(&plan),
        ["SuccessCriteriaMet CompletionsReached", "Complete CompletionsReached"]
    );
    assert_eq!(told(&plan), ["Completed"]);
    assert_eq!(plan.record.status.completion_time, Some(Time(at(7))));
}

#[test]
fn more_successes_than_completions_are_told_before_the_end() {
    let plan = look(&job(2, Some(1)), &many(2, |n| succeeded(n, at(1))), 2);
    assert_eq!(told(&plan), ["TooManySucceededPods", "Completed"]);
    assert_eq!(counts(&plan)[3], 2);
}

#[test]
fn a_deleted_job_counts_and_lets_go_and_makes_nothing() {
    let mut deleting = job(3, Some(5));
    deleting.metadata.deletion_timestamp = Some(Time(at(0)));
    let pods = [pod("a", "Pending"), pod("b", "Running"), succeeded("c", at(1))];
    let plan = look(&deleting, &pods, 2);
    assert_eq!((created(&plan), deletions(&plan), released(&plan)), (0, 0, 3));
    assert_eq!(counts(&plan), [2, 0, 0, 1, 0]);

    deleting.spec.as_mut().unwrap().backoff_limit = Some(0);
    let plan = look(&deleting, &[failed("a", at(1))], 2);
    assert_eq!(conditions(&plan)[1], "Failed BackoffLimitExceeded");
}

#[test]
fn the_job_fails_with_one_failure_more_than_its_limit() {
    let mut job = job(1, Some(1));
    job.spec.as_mut().unwrap().backoff_limit = Some(1);
    let plan = look(&job, &[failed("a", at(1))], 2);
    assert!(conditions(&plan).is_empty());
    let job = after(job, &plan);
    let plan = look(&job, &[failed("b", at(20))], 21);
    assert_eq!(
        conditions(&plan),
        ["FailureTarget BackoffLimitExceeded", "Failed BackoffLimitExceeded"]
    );
    assert_eq!((counts(&plan), told(&plan)), ([0, 0, 0, 0, 2], vec!["BackoffLimitExceeded"]));
    assert_eq!(plan.record.status.completion_time, None);
}

#[test]
fn what_still_runs_counts_as_failed_and_the_end_waits_for_it() {
    let mut job = job(3, Some(3));
    job.spec.as_mut().unwrap().backoff_limit = Some(0);
    let plan = look(&job, &[ready("a"), ready("b"), failed("c", at(1))], 2);
    assert_eq!((deletions(&plan), counts(&plan)), (2, [0, 0, 2, 0, 3]));
    assert_eq!(conditions(&plan), ["FailureTarget BackoffLimitExceeded"]);
    let job = after(job, &plan);
    let mut left = deleted(pod("a", "Running"));
    left.metadata.finalizers = None;
    assert_eq!(conditions(&look(&job, &[left], 3)).len(), 1);
    let plan = look(&job, &[], 4);
    assert_eq!((conditions(&plan).len(), counts(&plan)), (2, [0, 0, 0, 0, 3]));
}

#[test]
fn a_failure_delays_the_next_pod_and_a_simultaneous_success_does_not() {
    let plan = look(&job(1, Some(5)), &[failed("a", at(100))], 100);
    assert_eq!((created(&plan), plan.wake_at), (0, Some(at(110))));
    let job = after(job(1, Some(5)), &plan);
    assert_eq!(created(&look(&job, &[], 109)), 0);
    assert_eq!(created(&look(&job, &[], 110)), 1);
    let plan = look(&job, &[succeeded("b", at(120)), failed("c", at(120))], 121);
    assert_eq!((created(&plan), plan.record.ledger.failures), (1, 0));
}

#[test]
fn restarts_in_place_count_towards_the_limit() {
    for (limit, restarts, fails) in
        [(6, 5, false), (6, 6, true), (0, 0, false), (0, 1, true), (1, 1, true)]
    {
        let mut job = job(1, Some(1));
        let spec = job.spec.as_mut().unwrap();
        spec.backoff_limit = Some(limit);
        spec.template.spec.as_mut().unwrap().restart_policy = Some("OnFailure".into());
        let plan = look(&job, &[restarted("a", restarts)], 1);
        assert_eq!(deletions(&plan) == 1, fails, "limit {limit}, {restarts} restarts");
        assert_eq!(counts(&plan)[4], i32::from(fails));
    }
}

#[test]
fn a_deleted_pod_is_replaced_at_once_and_counts_as_failed() {
    let plan = look(&job(1, Some(1)), &[deleted(pod("a", "Running"))], 100);
    assert_eq!((created(&plan), counts(&plan)), (1, [1, 0, 1, 0, 1]));
}

#[test]
fn a_job_is_not_active_longer_than_its_deadline() {
    let mut job = job(1, Some(1));
    job.spec.as_mut().unwrap().active_deadline_seconds = Some(60);
    let plan = look(&job, &[], 100);
    assert_eq!(plan.wake_at, Some(at(160)));
    let mut job = after(job, &plan);
    let plan = look(&job, &[pod("a", "Running")], 160);
    assert_eq!(conditions(&plan), ["FailureTarget DeadlineExceeded"]);
    job.spec.as_mut().unwrap().active_deadline_seconds = Some(600);
    assert!(conditions(&look(&job, &[pod("a", "Running")], 160)).is_empty());
    job.spec.as_mut().unwrap().active_deadline_seconds = Some(0);
    assert_eq!(created(&look(&job, &[], 100)), 0);
}

#[test]
fn a_verdict_that_was_written_stands() {
    let mut job = job(1, Some(1));
    job.spec.as_mut().unwrap().backoff_limit = Some(0);
    let plan = look(&job, &[failed("a", at(1)), pod("b", "Running")], 2);
    let mut job = after(job, &plan);
    job.spec.as_mut().unwrap().backoff_limit = Some(10);
    assert_eq!(conditions(&look(&job, &[], 3))[1], "Failed BackoffLimitExceeded");
}

#[test]
fn conditions_of_others_are_kept_and_false_ones_ignored() {
    let mut job = job(1, Some(1));
    let plan = look(&job, &[], 0);
    job = after(job, &plan);
    let custom = |type_: &str, status: &str| k8s_openapi::api::batch::v1::JobCondition {
        type_: type_.into(),
        status: status.into(),
        ..Default::default()
    };
    job.status.as_mut().unwrap().conditions =
        Some(vec![custom("Mine", "True"), custom("FailureTarget", "False")]);
    let plan = look(&job, &[succeeded("a", at(1))], 2);
    assert_eq!(
        conditions(&plan)[2..],
        ["SuccessCriteriaMet CompletionsReached", "Complete CompletionsReached"]
    );
}

#[test]
fn a_plan_done_twice_is_done_once() {
    let first = look(&job(2, Some(5)), &[], 3);
    assert_eq!(first, look(&job(2, Some(5)), &[], 3));
    let pods: Vec<Pod> = first
        .actions
        .iter()
        .filter_map(|a| match a {
            Action::CreatePod(pod) => Some(*pod.clone()),
            Action::DeletePod { .. } | Action::ReleasePod { .. } | Action::Tell(_) => None,
        })
        .collect();
    let job = after(job(2, Some(5)), &first);
    let second = look(&job, &pods, 3);
    assert!(second.actions.is_empty());
    assert_eq!(second.record.ledger, Ledger { pods_created: 2, ..Ledger::default() });
    assert_ne!(pods[0].metadata.uid, pods[1].metadata.uid);
}

#[test]
fn a_pull_that_takes_too_long_fails_the_job_where_that_is_asked_for() {
    use k8s_openapi::api::core::v1::{ContainerState, ContainerStateWaiting};
    let mut waiting = restarted("a", 0);
    let status = waiting.status.as_mut().unwrap();
    status.phase = Some("Pending".into());
    status.container_statuses.as_mut().unwrap()[0].state = Some(ContainerState {
        waiting: Some(ContainerStateWaiting {
            reason: Some("ImagePullBackOff".into()),
            message: Some("not found".into()),
        }),
        ..ContainerState::default()
    });
    let rules =
        Rules { pull_deadline: Some(std::time::Duration::from_secs(300)), ..Rules::default() };
    let job = job(1, Some(1));
    let plan = reconcile(&job, &[&waiting], &rules, at(299));
    assert_eq!((conditions(&plan).len(), plan.wake_at), (0, Some(at(300))));
    let plan = reconcile(&job, &[&waiting], &rules, at(300));
    assert_eq!(conditions(&plan), ["FailureTarget ImagePullDeadlineExceeded"]);
    assert!(conditions(&look(&job, &[waiting], 1_000_000)).is_empty());
}
