//! Jobs that wait and go on, and Jobs that go when they are over.

use serde_json::json;

use crate::daemon::{Daemon, STEERED, cases, play};

#[test]
fn jobs_wait_go_on_and_go_when_they_are_told_to() {
    play(cases![
        case_41_a_job_that_is_made_to_wait_has_no_pods_and_no_start,
        case_42_the_pods_of_a_job_that_waits_go_and_do_not_count,
        case_44_a_job_that_goes_on_starts_anew,
        case_47_no_pod_is_ready_while_the_job_waits,
        case_48_a_job_that_never_waited_says_nothing_of_it,
        case_50_the_template_of_a_job_that_never_started_can_change_in_part,
        case_51_the_template_of_a_job_that_ran_can_change_once_it_rests,
        case_52_a_job_goes_as_long_after_its_end_as_it_says,
    ]);
}

fn case_41_a_job_that_is_made_to_wait_has_no_pods_and_no_start(daemon: &Daemon) {
    let fields = json!({"suspend": true, "parallelism": 2, "completions": 2});
    let job = daemon.job("c41", "exit 0", fields);
    job.until("condition=Suspended").now("pods=0 active=0");
    assert!(job.status()["startTime"].is_null());
    job.set(&json!({"suspend": false})).until("condition=Complete").now("succeeded=2 pods=2");
}

fn case_42_the_pods_of_a_job_that_waits_go_and_do_not_count(daemon: &Daemon) {
    let job = daemon.job("c42", STEERED, json!({"parallelism": 2, "completions": 2}));
    job.until("running=2").set(&json!({"suspend": true}));
    job.until("condition=Suspended pods=0 terminating=0").now("active=0 failed=0 succeeded=0");
    let condition = &job.status()["conditions"][0];
    assert_eq!(condition["reason"], "JobSuspended");
    assert_eq!(condition["message"], "Job suspended");
}

fn case_44_a_job_that_goes_on_starts_anew(daemon: &Daemon) {
    let job = daemon.job("c44", STEERED, json!({"suspend": true}));
    job.until("condition=Suspended").set(&json!({"suspend": false}));
    job.until("reason=JobResumed running=1");
    let status = job.status();
    assert_eq!(status["conditions"][0]["status"], "False");
    assert_eq!(status["startTime"], status["conditions"][0]["lastTransitionTime"]);
}

fn case_47_no_pod_is_ready_while_the_job_waits(daemon: &Daemon) {
    let job = daemon.job("c47", STEERED, json!({"suspend": true, "parallelism": 2}));
    job.until("condition=Suspended").now("ready=0").set(&json!({"suspend": false}));
    job.until("ready=2").set(&json!({"suspend": true})).until("ready=0 pods=0");
}

fn case_48_a_job_that_never_waited_says_nothing_of_it(daemon: &Daemon) {
    let job = daemon.job("c48", STEERED, json!({"suspend": false}));
    job.until("running=1").now("conditions=0");
}

/// Labels of the template may change, its containers may not.
fn may_change(job: &crate::daemon::Played<'_>) {
    let labels = json!({"template": {"metadata": {"labels": {"queue": "a"}}}});
    job.set(&labels);
    let command = json!({"template": {"spec": {"terminationGracePeriodSeconds": 1}}});
    let message = job.refused(&command);
    assert!(message.contains("spec.template: Invalid value"), "{message}");
    assert!(message.contains("field is immutable"), "{message}");
}

fn case_50_the_template_of_a_job_that_never_started_can_change_in_part(daemon: &Daemon) {
    let job = daemon.job("c50", STEERED, json!({"suspend": true}));
    may_change(&job);
    job.set(&json!({"suspend": false})).until("running=1");
    assert_eq!(job.pods()[0]["metadata"]["labels"]["queue"], "a");
    job.refused(&json!({"template": {"metadata": {"labels": {"queue": "b"}}}}));
}

fn case_51_the_template_of_a_job_that_ran_can_change_once_it_rests(daemon: &Daemon) {
    let job = daemon.job("c51", STEERED, json!({}));
    job.until("running=1").set(&json!({"suspend": true}));
    job.until("condition=Suspended active=0");
    may_change(&job);
}

fn case_52_a_job_goes_as_long_after_its_end_as_it_says(daemon: &Daemon) {
    let at_once = daemon.job("c52-a", "exit 0", json!({"ttlSecondsAfterFinished": 0}));
    let later = daemon.job("c52-b", "exit 0", json!({"ttlSecondsAfterFinished": 3600}));
    let never = daemon.job("c52-c", "exit 0", json!({}));
    at_once.until_gone();
    later.until("condition=Complete").now("pods=1").set(&json!({"ttlSecondsAfterFinished": 1}));
    later.until_gone();
    never.until("condition=Complete").now("pods=1");
}
