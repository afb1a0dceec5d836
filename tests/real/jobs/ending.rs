//! How a Job fails.

use std::thread;
use std::time::Duration;

use serde_json::json;

use crate::daemon::{Daemon, STEERED, cases, play};

#[test]
fn jobs_fail_by_their_limits_and_not_before() {
    play(cases![
        case_25_the_job_fails_with_one_failure_more_than_its_limit,
        case_27_all_that_still_runs_counts_as_failed,
        case_32_restarts_in_place_count_towards_the_limit,
        case_33_containers_restart_in_their_pods_and_no_pod_fails,
        case_34_pods_that_fail_once_each_are_replaced_until_all_succeeded,
        case_35_every_pod_that_did_not_succeed_counts_as_failed,
        case_37_a_missing_image_fails_nothing,
        case_38_a_job_is_not_active_longer_than_its_deadline,
        case_39_a_deadline_of_0_fails_the_job_at_once,
        case_40_a_deadline_can_be_put_off,
    ]);
}

fn case_25_the_job_fails_with_one_failure_more_than_its_limit(daemon: &Daemon) {
    let job = daemon.job("c25", "exit 1", json!({"backoffLimit": 1}));
    job.until("condition=Failed").now("reason=BackoffLimitExceeded failed=2 pods=2 active=0");
    job.now("ready=0 terminating=0 held=0");
    assert_eq!(job.conditions(), ["FailureTarget", "Failed"]);
    assert!(job.pods().iter().all(|pod| pod["status"]["phase"] == "Failed"));
}

fn case_27_all_that_still_runs_counts_as_failed(daemon: &Daemon) {
    let limits = json!({"parallelism": 3, "completions": 3, "backoffLimit": 0});
    let job = daemon.job("c27", STEERED, limits);
    job.until("ready=3").end_one(1).until("failed=3 active=0 ready=0");
    job.until("condition=Failed pods=1").now("failed=3 terminating=0");
}

fn case_32_restarts_in_place_count_towards_the_limit(daemon: &Daemon) {
    let job = daemon.job("c32", "exit 1", json!({"restartPolicy": "OnFailure", "backoffLimit": 2}));
    job.until("condition=Failed pods=0").now("reason=BackoffLimitExceeded failed=1");
}

fn case_33_containers_restart_in_their_pods_and_no_pod_fails(daemon: &Daemon) {
    let once = "[ -e /dev/shm/once ] && exit 0; touch /dev/shm/once; exit 1";
    let limits = json!({"restartPolicy": "OnFailure", "completions": 4, "parallelism": 2});
    let job = daemon.job("c33", once, limits);
    job.until("condition=Complete").now("succeeded=4 failed=0 pods=4");
}

fn case_34_pods_that_fail_once_each_are_replaced_until_all_succeeded(daemon: &Daemon) {
    let once = "f=/c/once-$(hostname); [ -e $f ] && exit 0; touch $f; exit 1";
    let limits = json!({"completionMode": "Indexed", "completions": 3, "parallelism": 3});
    let job = daemon.job("c34", once, limits);
    job.until("condition=SuccessCriteriaMet condition=Complete").now("succeeded=3 failed=3");
}

fn case_35_every_pod_that_did_not_succeed_counts_as_failed(daemon: &Daemon) {
    let limits = json!({"parallelism": 5, "completions": 5, "backoffLimit": 0});
    let job = daemon.job("c35", STEERED, limits);
    job.until("running=5").end_one(0).until("succeeded=1").end_one(1);
    job.until("condition=Failed pods=2").now("succeeded=1 failed=4 held=0");
}

fn case_37_a_missing_image_fails_nothing(daemon: &Daemon) {
    let job = daemon.job("c37", "true", json!({"image": "luksa/nothing:1", "backoffLimit": 0}));
    let waits = || {
        let pods = job.pods();
        let waiting = |pod: &serde_json::Value| {
            pod["status"]["containerStatuses"][0]["state"]["waiting"]["reason"].clone()
        };
        pods.first().map(waiting).unwrap_or_default() == "ImagePullBackOff"
    };
    while !waits() {
        thread::sleep(Duration::from_millis(50));
    }
    job.now("active=1 failed=0 conditions=0");
}

fn case_38_a_job_is_not_active_longer_than_its_deadline(daemon: &Daemon) {
    let job = daemon.job("c38", STEERED, json!({"activeDeadlineSeconds": 1}));
    job.until("condition=Failed pods=0").now("reason=DeadlineExceeded");
    assert!(job.status()["completionTime"].is_null());
}

fn case_39_a_deadline_of_0_fails_the_job_at_once(daemon: &Daemon) {
    let job = daemon.job("c39", "exit 0", json!({"activeDeadlineSeconds": 0}));
    job.until("condition=Failed").now("reason=DeadlineExceeded pods=0 failed=0");
}

fn case_40_a_deadline_can_be_put_off(daemon: &Daemon) {
    let job = daemon.job("c40", STEERED, json!({"activeDeadlineSeconds": 5}));
    job.until("running=1").set(&json!({"activeDeadlineSeconds": 600}));
    thread::sleep(Duration::from_secs(6));
    job.now("active=1 failed=0 conditions=0").end_one(0).until("condition=Complete");
}
