//! How many pods run, and how they are counted: cases 1 to 23 of
//! <https://kubernetes.io/docs/concepts/workloads/controllers/job/#parallel-jobs>.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::super::testing::{at, deleted, failed, job, pod, ready, succeeded};
use super::super::{Action, Ledger};
use super::{
    COMPLETE, TOO_MANY_FAILED, after, conditions, counts, created, created_pods, deleted_pods,
    deletions, look, many, released, told,
};

#[test]
fn case_1_a_new_job_gets_as_many_pods_as_may_run_at_once() {
    let plan = look(&job(2, Some(5)), &[], 0);
    assert_eq!((created(&plan), counts(&plan)), (2, [2, 0, 0, 0, 0]));
    assert_eq!(told(&plan), ["SuccessfulCreate", "SuccessfulCreate"]);
}

#[test]
fn case_2_a_work_queue_gets_as_many_pods_as_may_run_at_once() {
    let plan = look(&job(2, None), &[], 0);
    assert_eq!((created(&plan), counts(&plan)), (2, [2, 0, 0, 0, 0]));
}

#[test]
fn case_3_pending_pods_are_active() {
    let plan = look(&job(2, Some(5)), &many(2, |n| pod(n, "Pending")), 0);
    assert_eq!((created(&plan), counts(&plan)), (0, [2, 0, 0, 0, 0]));
}

#[test]
fn case_4_ready_pods_are_counted() {
    let pods = [pod("a", "Running"), ready("b"), ready("c")];
    assert_eq!(counts(&look(&job(3, Some(5)), &pods, 0)), [3, 2, 0, 0, 0]);
}

#[test]
fn case_5_a_success_is_counted_once_and_makes_room() {
    let pods = [pod("a", "Running"), succeeded("b", at(1))];
    let plan = look(&job(2, Some(5)), &pods, 2);
    assert_eq!((created(&plan), released(&plan), counts(&plan)), (1, 1, [2, 0, 0, 1, 0]));
}

#[test]
fn case_6_a_pod_too_many_is_deleted_and_not_counted() {
    let plan = look(&job(2, Some(50)), &many(3, |n| pod(n, "Running")), 0);
    assert_eq!((created(&plan), deletions(&plan)), (0, 1));
    assert_eq!(counts(&plan), [2, 0, 1, 0, 0]);
    let uncounted = |action: &Action| matches!(action, Action::DeletePod { uncounted: true, .. });
    assert!(plan.actions.iter().any(uncounted));
}

#[test]
fn case_7_all_pods_that_are_too_many_go_at_once() {
    let plan = look(&job(2, Some(50)), &many(10, |n| pod(n, "Running")), 0);
    assert_eq!((deletions(&plan), counts(&plan)), (8, [2, 0, 8, 0, 0]));
}

#[test]
fn case_8_no_more_pods_run_than_completions_are_missing() {
    let mut nearly_done = job(3, Some(4));
    nearly_done.status.get_or_insert_default().succeeded = Some(2);
    let plan = look(&nearly_done, &many(3, |n| pod(n, "Running")), 0);
    assert_eq!((deletions(&plan), counts(&plan)), (1, [2, 0, 1, 2, 0]));
}

#[test]
fn case_9_a_deleted_pod_is_ready_no_more() {
    assert_eq!(counts(&look(&job(2, Some(5)), &many(3, ready), 0)), [2, 2, 1, 0, 0]);
}

#[test]
fn of_pods_that_are_too_many_the_least_advanced_go() {
    let mut pods = vec![ready("ready"), pod("running", "Running"), pod("pending", "Pending")];
    pods.iter_mut().for_each(|p| p.spec.as_mut().unwrap().node_name = Some("n".into()));
    let plan = look(&job(1, Some(5)), &pods, 0);
    let gone = deleted_pods(&plan);
    assert_eq!(gone, ["pending", "running"]);
}

#[test]
fn case_11_a_plan_that_could_not_be_written_is_made_again_with_the_same_pods() {
    let (job, pods) = (job(3, Some(5)), [failed("a", at(1)), succeeded("b", at(2))]);
    let lost = look(&job, &pods, 30);
    assert_eq!((created(&lost), counts(&lost)), (3, [3, 0, 0, 1, 1]));
    let again = look(&job, &pods, 30);
    assert_eq!((counts(&again), created_pods(&again)), (counts(&lost), created_pods(&lost)));
}

#[test]
fn case_15_a_work_queue_is_complete_when_one_succeeded_and_none_runs() {
    let plan = look(&job(2, None), &[failed("a", at(1)), succeeded("b", at(1))], 2);
    assert_eq!(
        (counts(&plan), conditions(&plan)),
        ([0, 0, 0, 1, 1], COMPLETE.map(Into::into).into())
    );
}

#[test]
fn case_16_a_work_queue_takes_no_new_pods_after_its_first_success() {
    let plan = look(&job(2, None), &[pod("a", "Running"), succeeded("b", at(1))], 2);
    assert_eq!((created(&plan), counts(&plan)), (0, [1, 0, 0, 1, 0]));
    assert!(conditions(&plan).is_empty());
}

#[test]
fn case_17_parallelism_0_idles() {
    let plan = look(&job(0, Some(5)), &[], 0);
    assert!(plan.actions.is_empty() && conditions(&plan).is_empty());
    let idle = after(job(0, Some(5)), &plan);
    assert_eq!(crate::api::columns::job_row(&idle, at(1))[1], "Running");
}

#[test]
fn case_18_completions_0_is_complete_at_once() {
    let plan = look(&job(1, Some(0)), &[], 7);
    assert_eq!(conditions(&plan), COMPLETE);
    assert_eq!((created(&plan), told(&plan)), (0, vec!["Completed"]));
    assert_eq!(plan.record.status.completion_time, Some(Time(at(7))));
}

#[test]
fn case_19_the_last_success_completes_the_job() {
    let plan = look(&job(5, Some(5)), &many(5, |n| succeeded(n, at(1))), 2);
    assert_eq!((counts(&plan), released(&plan)), ([0, 0, 0, 5, 0], 5));
    assert_eq!(
        (conditions(&plan), told(&plan)),
        (COMPLETE.map(Into::into).into(), vec!["Completed"])
    );
}

#[test]
fn case_20_more_successes_than_completions_are_told_before_the_end() {
    let plan = look(&job(2, Some(1)), &many(2, |n| succeeded(n, at(1))), 2);
    assert_eq!(told(&plan), ["TooManySucceededPods", "Completed"]);
    assert_eq!(counts(&plan)[3], 2);
}

#[test]
fn case_21_what_is_too_much_for_one_plan_is_made_by_several() {
    let (mut job, mut pods, mut steps) = (job(1200, Some(1200)), Vec::new(), Vec::new());
    while pods.len() < 1200 {
        let plan = look(&job, &pods, 0);
        steps.push(created(&plan));
        pods.extend(created_pods(&plan));
        job = after(job, &plan);
    }
    assert_eq!(steps, [500, 500, 200]);
    for pod in &mut pods {
        pod.status.as_mut().unwrap().phase = Some("Succeeded".to_owned());
    }
    let plan = look(&job, &pods, 1);
    assert_eq!((counts(&plan), released(&plan)), ([0, 0, 0, 1200, 0], 1200));
    assert_eq!(conditions(&plan), COMPLETE);
}

#[test]
fn case_22_a_deleted_job_counts_and_lets_go_and_makes_nothing() {
    let mut deleting = job(3, Some(5));
    deleting.metadata.deletion_timestamp = Some(Time(at(0)));
    let pods = [pod("a", "Pending"), pod("b", "Running"), succeeded("c", at(1))];
    let plan = look(&deleting, &pods, 2);
    assert_eq!((created(&plan), deletions(&plan), released(&plan)), (0, 0, 3));
    assert_eq!(counts(&plan), [2, 0, 0, 1, 0]);
}

#[test]
fn case_23_a_deleted_job_still_fails() {
    let mut deleting = job(3, Some(5));
    deleting.metadata.deletion_timestamp = Some(Time(at(0)));
    deleting.spec.as_mut().unwrap().backoff_limit = Some(0);
    assert_eq!(conditions(&look(&deleting, &[failed("a", at(1))], 2)), TOO_MANY_FAILED);
}

#[test]
fn a_deleted_pod_is_replaced_at_once_and_counts_as_failed() {
    let plan = look(&job(1, Some(1)), &[deleted(pod("a", "Running"))], 100);
    assert_eq!((created(&plan), counts(&plan)), (1, [1, 0, 1, 0, 1]));
}

#[test]
fn a_plan_done_twice_is_done_once() {
    let first = look(&job(2, Some(5)), &[], 3);
    assert_eq!(first, look(&job(2, Some(5)), &[], 3));
    let pods = created_pods(&first);
    let job = after(job(2, Some(5)), &first);
    let second = look(&job, &pods, 3);
    assert!(second.actions.is_empty());
    assert_eq!(second.record.ledger, Ledger { pods_created: 2, ..Ledger::default() });
    assert_ne!(pods[0].metadata.uid, pods[1].metadata.uid);
}
