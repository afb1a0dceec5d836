//! How many pods run, and how they are counted.

use serde_json::json;

use crate::daemon::{Daemon, STEERED, cases, play};

#[test]
fn pods_are_made_and_counted_as_the_job_says() {
    play(cases![
        case_1_as_many_pods_run_as_may,
        case_4_pods_that_are_ready_are_counted,
        case_5_a_success_is_counted_once_and_makes_room,
        case_9_of_pods_that_are_too_many_none_is_ready_any_more,
        case_12_parallelism_goes_down_and_up_and_nothing_fails,
        case_13_a_pod_that_fails_is_replaced,
        case_14_a_work_queue_replaces_failures_until_its_first_success,
        case_15_a_work_queue_is_complete_when_one_succeeded_and_none_runs,
        case_16_a_work_queue_waits_for_what_still_runs,
        case_17_parallelism_0_idles,
        case_18_completions_0_is_complete_at_once,
        case_19_the_last_success_completes_the_job,
    ]);
}

fn case_1_as_many_pods_run_as_may(daemon: &Daemon) {
    let job = daemon.job("c1", STEERED, json!({"parallelism": 2, "completions": 5}));
    job.until("active=2 running=2").now("pods=2 conditions=0 failed=0 succeeded=0");
}

fn case_4_pods_that_are_ready_are_counted(daemon: &Daemon) {
    let job = daemon.job("c4", STEERED, json!({"parallelism": 3}));
    job.until("active=3 ready=3 running=3");
}

fn case_5_a_success_is_counted_once_and_makes_room(daemon: &Daemon) {
    let job = daemon.job("c5", STEERED, json!({"parallelism": 2, "completions": 5}));
    job.until("running=2").end_one(0).until("succeeded=1 active=2 running=2 pods=3 held=2");
}

fn case_9_of_pods_that_are_too_many_none_is_ready_any_more(daemon: &Daemon) {
    let job = daemon.job("c9", STEERED, json!({"parallelism": 3, "completions": 9}));
    job.until("ready=3").set(&json!({"parallelism": 2}));
    job.until("active=2 ready=2 terminating=0 pods=2").now("failed=0 conditions=0");
}

fn case_12_parallelism_goes_down_and_up_and_nothing_fails(daemon: &Daemon) {
    let job = daemon.job("c12", STEERED, json!({"parallelism": 5, "backoffLimit": 2}));
    job.until("running=5").set(&json!({"parallelism": 2}));
    job.until("active=2 running=2 pods=2 failed=0").set(&json!({"parallelism": 4}));
    job.until("active=4 running=4").end_one(0).end_one(0).end_one(0).end_one(0);
    job.until("condition=Complete").now("succeeded=4 failed=0 held=0");
}

fn case_13_a_pod_that_fails_is_replaced(daemon: &Daemon) {
    let job = daemon.job("c13", STEERED, json!({}));
    job.end_one(1).until("failed=1 active=1 running=1").end_one(0);
    job.until("condition=Complete").now("succeeded=1 failed=1 pods=2 held=0");
}

fn case_14_a_work_queue_replaces_failures_until_its_first_success(daemon: &Daemon) {
    let job = daemon.job("c14", STEERED, json!({"parallelism": 4}));
    job.until("running=4").end_one(1).until("failed=1 active=4 running=4");
    job.end_one(0).until("active=3 succeeded=1 pods=5");
    job.end_one(1).until("active=2 failed=2").end_one(0).end_one(0);
    job.until("condition=Complete").now("succeeded=3 failed=2 pods=5");
}

fn case_15_a_work_queue_is_complete_when_one_succeeded_and_none_runs(daemon: &Daemon) {
    let job = daemon.job("c15", STEERED, json!({"parallelism": 2}));
    job.until("running=2").end_one(0).until("succeeded=1").end_one(1);
    job.until("condition=Complete").now("succeeded=1 failed=1 active=0");
}

fn case_16_a_work_queue_waits_for_what_still_runs(daemon: &Daemon) {
    let job = daemon.job("c16", STEERED, json!({"parallelism": 2}));
    job.until("running=2").end_one(0).until("succeeded=1 active=1").now("conditions=0 pods=2");
}

fn case_17_parallelism_0_idles(daemon: &Daemon) {
    let job = daemon.job("c17", STEERED, json!({"parallelism": 0, "completions": 5}));
    while job.status()["startTime"].is_null() {
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    job.now("pods=0 active=0 conditions=0");
}

fn case_18_completions_0_is_complete_at_once(daemon: &Daemon) {
    let job = daemon.job("c18", "exit 1", json!({"completions": 0}));
    job.until("condition=Complete reason=CompletionsReached").now("pods=0 succeeded=0");
}

fn case_19_the_last_success_completes_the_job(daemon: &Daemon) {
    let job = daemon.job("c19", "exit 0", json!({"parallelism": 5, "completions": 5}));
    job.until("condition=Complete").now("succeeded=5 failed=0 pods=5 held=0");
    assert_eq!(job.conditions(), ["SuccessCriteriaMet", "Complete"]);
    let status = job.status();
    assert_eq!(status["completionTime"], status["conditions"][1]["lastTransitionTime"]);
}
