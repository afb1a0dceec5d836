//! Jobs that wait and go on: cases 41 to 49 of
//! <https://kubernetes.io/docs/concepts/workloads/controllers/job/#suspending-a-job>.
//! 46 is of a controller whose cache lags, as 24 is: see `engine::jobs`.

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::super::testing::{at, failed, job, pod, ready, succeeded};
use super::{COMPLETE, after, conditions, counts, created, deletions, look, many, released, told};

fn suspend(mut job: Job, suspended: bool) -> Job {
    job.spec.as_mut().unwrap().suspend = Some(suspended);
    job
}

fn started(plan: &super::Plan) -> Option<Time> {
    plan.record.status.start_time.clone()
}

#[test]
fn case_41_a_job_that_is_made_to_wait_has_no_pods_and_no_start() {
    let job = suspend(job(2, Some(2)), true);
    let plan = look(&job, &[], 5);
    assert_eq!((created(&plan), started(&plan)), (0, None));
    assert_eq!(conditions(&plan), ["Suspended JobSuspended"]);
    let job = suspend(after(job, &plan), false);
    let plan = look(&job, &[], 9);
    assert_eq!((created(&plan), started(&plan)), (2, Some(Time(at(9)))));
    assert_eq!(conditions(&plan), ["Suspended JobResumed"]);
    let pods = many(2, |n| succeeded(n, at(10)));
    let plan = look(&after(job, &plan), &pods, 11);
    assert_eq!(conditions(&plan)[1..], COMPLETE);
}

#[test]
fn case_42_the_pods_of_a_job_that_waits_go_and_do_not_count_as_failed() {
    let running = suspend(job(2, Some(2)), true);
    let plan = look(&running, &[pod("a", "Running"), failed("b", at(1))], 2);
    assert_eq!((deletions(&plan), counts(&plan)), (1, [0, 0, 1, 0, 1]));
    assert_eq!(conditions(&plan), ["Suspended JobSuspended"]);
}

#[test]
fn case_43_suspension_deletes_what_is_active_and_says_so() {
    let plan = look(&suspend(job(2, Some(2)), true), &many(2, ready), 2);
    assert_eq!((deletions(&plan), counts(&plan)), (2, [0, 0, 2, 0, 0]));
    let condition = &plan.record.status.conditions.as_ref().unwrap()[0];
    assert_eq!(
        (condition.status.as_str(), condition.message.as_deref()),
        ("True", Some("Job suspended"))
    );
    assert_eq!(told(&plan), ["SuccessfulDelete", "SuccessfulDelete", "Suspended"]);
}

#[test]
fn case_44_a_job_that_goes_on_starts_anew() {
    let waiting = suspend(job(2, Some(2)), true);
    let waiting = after(waiting.clone(), &look(&waiting, &[], 3));
    let plan = look(&suspend(waiting, false), &[], 50);
    let condition = &plan.record.status.conditions.as_ref().unwrap()[0];
    assert_eq!(
        (condition.status.as_str(), condition.reason.as_deref()),
        ("False", Some("JobResumed"))
    );
    assert_eq!((created(&plan), started(&plan)), (2, Some(Time(at(50)))));
    assert_eq!(told(&plan), ["SuccessfulCreate", "SuccessfulCreate", "Resumed"]);
}

#[test]
fn case_45_a_job_that_is_deleted_is_not_suspended() {
    let mut deleting = suspend(job(2, Some(2)), true);
    deleting.metadata.deletion_timestamp = Some(Time(at(0)));
    let plan = look(&deleting, &many(2, ready), 2);
    assert_eq!((deletions(&plan), conditions(&plan).len()), (0, 0));
}

#[test]
fn case_47_no_pod_is_ready_while_the_job_waits() {
    let plan = look(&suspend(job(2, Some(2)), true), &[], 2);
    assert_eq!(plan.record.status.ready, Some(0));
    let resumed = suspend(after(job(2, Some(2)), &plan), false);
    let plan = look(&resumed, &many(2, ready), 3);
    assert_eq!(plan.record.status.ready, Some(2));
    let plan = look(&suspend(after(resumed, &plan), true), &many(2, ready), 4);
    assert_eq!(plan.record.status.ready, Some(0));
}

#[test]
fn case_48_a_job_that_never_waited_says_nothing_of_it() {
    let plan = look(&suspend(job(2, Some(2)), false), &[], 2);
    assert_eq!(conditions(&plan), [""; 0]);
}

#[test]
fn case_49_the_deadline_does_not_run_while_the_job_waits() {
    let mut limited = job(1, Some(1));
    limited.spec.as_mut().unwrap().active_deadline_seconds = Some(60);
    let plan = look(&limited, &[], 0);
    let waiting = suspend(after(limited, &plan), true);
    let plan = look(&waiting, &[pod("a", "Running")], 70);
    assert_eq!((conditions(&plan), started(&plan)), (vec!["Suspended JobSuspended".into()], None));
    assert_eq!(plan.wake_at, None);
    let plan = look(&suspend(after(waiting, &plan), false), &[], 100);
    assert_eq!(plan.wake_at, Some(at(160)));
}

#[test]
fn a_job_can_still_end_while_it_waits() {
    let plan = look(&suspend(job(2, Some(1)), true), &[succeeded("a", at(1))], 2);
    assert_eq!((released(&plan), conditions(&plan)), (1, COMPLETE.map(Into::into).into()));
    let mut limited = suspend(job(1, Some(1)), true);
    limited.spec.as_mut().unwrap().backoff_limit = Some(0);
    let plan = look(&limited, &[failed("a", at(1))], 2);
    assert_eq!(conditions(&plan).last().map(String::as_str), Some("Failed BackoffLimitExceeded"));
}

#[test]
fn a_wait_is_told_once() {
    let waiting = suspend(job(1, Some(1)), true);
    let plan = look(&waiting, &[], 1);
    let again = look(&after(waiting, &plan), &[], 2);
    assert_eq!((told(&again), again.record), (vec![], plan.record));
}
