//! How a Job fails, and how long it waits before: cases 25 to 40 of
//! <https://kubernetes.io/docs/concepts/workloads/controllers/job/#pod-backoff-failure-policy>.
//! 30 is told of in `backoff.rs`.

use k8s_openapi::api::batch::v1::Job;

use super::super::testing::{at, deleted, failed, job, pod, ready, restarted, succeeded};
use super::super::{Rules, reconcile};
use super::{
    COMPLETE, TOO_MANY_FAILED, after, conditions, counts, created, created_pods, deletions, look,
    released, told,
};

fn limited(mut job: Job, backoff_limit: i32) -> Job {
    job.spec.as_mut().unwrap().backoff_limit = Some(backoff_limit);
    job
}

fn with_deadline(mut job: Job, seconds: i64) -> Job {
    job.spec.as_mut().unwrap().active_deadline_seconds = Some(seconds);
    job
}

fn on_failure(mut job: Job) -> Job {
    let template = &mut job.spec.as_mut().unwrap().template;
    template.spec.as_mut().unwrap().restart_policy = Some("OnFailure".into());
    job
}

#[test]
fn case_25_the_job_fails_with_one_failure_more_than_its_limit() {
    let job = limited(job(1, Some(1)), 1);
    let plan = look(&job, &[failed("a", at(1))], 2);
    assert!(conditions(&plan).is_empty());
    let job = after(job, &plan);
    let plan = look(&job, &[failed("b", at(20))], 21);
    assert_eq!(
        (conditions(&plan), counts(&plan)),
        (TOO_MANY_FAILED.map(Into::into).into(), [0, 0, 0, 0, 2])
    );
    // The pods that failed stay; nothing is deleted.
    assert_eq!((deletions(&plan), told(&plan)), (0, vec!["BackoffLimitExceeded"]));
    assert_eq!(plan.record.status.completion_time, None);
}

#[test]
fn case_26_what_still_runs_is_deleted_counts_as_failed_and_the_end_waits_for_it() {
    let job = limited(job(2, Some(3)), 0);
    let pods = [succeeded("a", at(1)), failed("b", at(1)), ready("c")];
    let plan = look(&job, &pods, 2);
    assert_eq!((deletions(&plan), counts(&plan)), (1, [0, 0, 1, 1, 2]));
    assert_eq!(conditions(&plan), TOO_MANY_FAILED[..1]);
    let job = after(job, &plan);
    let mut left = deleted(pod("c", "Running"));
    left.metadata.finalizers = None;
    assert_eq!(conditions(&look(&job, &[left], 3)).len(), 1);
    let plan = look(&job, &[], 4);
    assert_eq!((conditions(&plan).len(), counts(&plan)), (2, [0, 0, 0, 1, 2]));
}

#[test]
fn case_27_all_that_still_runs_counts_as_failed_at_once() {
    let job = limited(job(3, Some(3)), 0);
    let plan = look(&job, &[ready("a"), ready("b"), failed("c", at(1))], 2);
    assert_eq!((deletions(&plan), counts(&plan)), (2, [0, 0, 2, 0, 3]));
}

#[test]
fn case_28_a_failure_delays_the_next_pod_by_10_seconds() {
    let plan = look(&job(1, Some(5)), &[failed("a", at(100))], 100);
    assert_eq!((created(&plan), plan.wake_at), (0, Some(at(110))));
    let job = after(job(1, Some(5)), &plan);
    assert_eq!(created(&look(&job, &[], 109)), 0);
    assert_eq!(created(&look(&job, &[], 110)), 1);
}

#[test]
fn case_29_each_further_failure_doubles_the_delay() {
    let mut job = job(1, Some(5));
    for (end, due) in [(100, 110), (115, 135), (140, 180)] {
        // It is seen a second late; that takes nothing from the delay and adds no second one.
        let plan = look(&job, &[failed("a", at(end))], end + 1);
        let wakes = plan.wake_at.unwrap().as_second();
        assert!((due..=due + 1).contains(&wakes), "{end}: {wakes}");
        job = after(job, &plan);
        assert_eq!(created(&look(&job, &[], wakes - 1)), 0);
        assert_eq!(created(&look(&job, &[], wakes)), 1);
    }
}

#[test]
fn case_31_a_simultaneous_success_takes_the_delay_away() {
    let plan = look(&job(1, Some(5)), &[succeeded("b", at(120)), failed("c", at(120))], 121);
    assert_eq!((created(&plan), plan.record.ledger.failures), (1, 0));
}

#[test]
fn case_32_restarts_in_place_count_towards_the_limit() {
    for (limit, restarts, fails) in
        [(6, 5, false), (6, 6, true), (0, 0, false), (0, 1, true), (1, 1, true)]
    {
        let job = on_failure(limited(job(1, Some(1)), limit));
        let plan = look(&job, &[restarted("a", restarts)], 1);
        assert_eq!(deletions(&plan) == 1, fails, "limit {limit}, {restarts} restarts");
        assert_eq!(counts(&plan)[4], i32::from(fails));
        assert_eq!(conditions(&plan), TOO_MANY_FAILED[..usize::from(fails)]);
    }
    // The restarts of all pods that run are added up; those of pods that ended are forgotten.
    let job = on_failure(job(3, Some(5)));
    let mut ended = restarted("c", 9);
    ended.status.as_mut().unwrap().phase = Some("Succeeded".into());
    let plan = look(&job, &[restarted("a", 3), restarted("b", 2), ended.clone()], 1);
    assert!(conditions(&plan).is_empty());
    let plan = look(&job, &[restarted("a", 3), restarted("b", 3), ended], 1);
    assert_eq!(conditions(&plan), TOO_MANY_FAILED[..1]);
}

#[test]
fn case_34_pods_that_fail_once_each_are_replaced_until_all_succeeded() {
    let (mut job, mut now) = (job(1, Some(4)), 0);
    let (mut plan, mut made) = (look(&job, &[], now), 0);
    for attempt in 0..8 {
        now += 20;
        let mut pods = created_pods(&plan);
        made += pods.len();
        let phase = if attempt % 2 == 0 { "Failed" } else { "Succeeded" };
        pods[0].status.as_mut().unwrap().phase = Some(phase.into());
        job = after(job, &plan);
        plan = look(&job, &pods, now);
        if attempt < 7 && created(&plan) == 0 {
            job = after(job, &plan);
            now += 20;
            plan = look(&job, &[], now);
        }
    }
    assert_eq!((made, counts(&plan)), (8, [0, 0, 0, 4, 4]));
    assert_eq!(conditions(&plan), COMPLETE);
}

#[test]
fn case_36_where_one_of_a_hundred_fails_none_is_held_back() {
    let job = limited(job(100, Some(100)), 0);
    let mut pods = created_pods(&look(&job, &[], 0));
    pods[42].status.as_mut().unwrap().phase = Some("Failed".into());
    let plan = look(&job, &pods, 1);
    assert_eq!((deletions(&plan), released(&plan)), (99, 1));
    assert_eq!(counts(&plan), [0, 0, 99, 0, 100]);
    assert_eq!(conditions(&look(&after(job, &plan), &[], 2)), TOO_MANY_FAILED);
}

#[test]
fn case_38_a_job_is_not_active_longer_than_its_deadline() {
    let job = with_deadline(job(1, Some(1)), 60);
    let plan = look(&job, &[], 100);
    assert_eq!(plan.wake_at, Some(at(160)));
    let job = after(job, &plan);
    assert!(conditions(&look(&job, &[pod("a", "Running")], 159)).is_empty());
    let plan = look(&job, &[pod("a", "Running")], 160);
    assert_eq!(
        (deletions(&plan), conditions(&plan)),
        (1, vec!["FailureTarget DeadlineExceeded".to_owned()])
    );
    let plan = look(&after(job, &plan), &[], 161);
    assert_eq!(conditions(&plan)[1], "Failed DeadlineExceeded");
    assert_eq!((told(&plan), plan.record.status.completion_time), (vec!["DeadlineExceeded"], None));
}

#[test]
fn case_39_a_deadline_of_0_fails_the_job_at_once() {
    let plan = look(&with_deadline(job(1, Some(1)), 0), &[], 100);
    assert_eq!(created(&plan), 0);
    assert_eq!(conditions(&plan), ["FailureTarget DeadlineExceeded", "Failed DeadlineExceeded"]);
}

#[test]
fn case_40_a_deadline_can_be_put_off() {
    let job = with_deadline(job(1, Some(1)), 60);
    let job = with_deadline(after(job.clone(), &look(&job, &[], 0)), 600);
    let plan = look(&job, &[pod("a", "Running")], 60);
    assert_eq!((conditions(&plan).len(), plan.wake_at), (0, Some(at(600))));
}

#[test]
fn a_verdict_that_was_written_stands() {
    let job = limited(job(1, Some(1)), 0);
    let plan = look(&job, &[failed("a", at(1)), pod("b", "Running")], 2);
    let job = limited(after(job, &plan), 10);
    assert_eq!(conditions(&look(&job, &[], 3)), TOO_MANY_FAILED);
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
    assert_eq!(conditions(&plan)[2..], COMPLETE);
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
    let plan = reconcile(&job, &[&waiting], &[], &rules, at(299));
    assert_eq!((conditions(&plan).len(), plan.wake_at), (0, Some(at(300))));
    let plan = reconcile(&job, &[&waiting], &[], &rules, at(300));
    assert_eq!(conditions(&plan), ["FailureTarget ImagePullDeadlineExceeded"]);
    assert!(conditions(&look(&job, &[waiting], 1_000_000)).is_empty());
}
