//! Policies of failure, of success and of replacement.

use serde_json::{Value, json};

use crate::daemon::{Daemon, STEERED, cases, play};

#[test]
fn policies_decide_what_a_pods_end_means() {
    play(cases![
        case_77_a_failure_that_fails_the_job_does_so_at_once,
        case_79_an_ignored_failure_does_not_count,
        case_81_the_first_rule_that_matches_decides,
        case_82_a_failure_that_no_rule_matches_counts,
        case_83_a_failure_can_fail_its_index_without_another_try,
        case_84_what_ended_well_matches_no_exit_code,
        case_88_enough_successes_are_a_success,
        case_90_failures_do_not_stand_in_the_way_of_success,
        case_91_only_the_indexes_that_are_named_count,
        case_94_a_deleted_pod_is_replaced_only_once_it_has_ended,
        case_95_by_default_deleted_pods_are_replaced_at_once_and_count_once,
    ]);
}

fn rule(action: &str, operator: &str, code: i32) -> Value {
    json!({"action": action, "onExitCodes": {"operator": operator, "values": [code]}})
}

/// So many pods at once of so many, with these rules and fields.
fn ruled(pods: u32, rules: &[Value], more: Value) -> Value {
    let mut spec = json!({
        "parallelism": pods, "completions": pods, "podFailurePolicy": {"rules": rules},
    });
    spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    spec
}

fn indexed(parallelism: u32, completions: u32, rules: Value) -> Value {
    json!({
        "completionMode": "Indexed", "parallelism": parallelism, "completions": completions,
        "successPolicy": {"rules": rules},
    })
}

fn case_77_a_failure_that_fails_the_job_does_so_at_once(daemon: &Daemon) {
    let job = daemon.job("c77", STEERED, ruled(2, &[rule("FailJob", "In", 1)], json!({})));
    job.until("running=2").end_one(1).until("condition=Failed pods=1");
    job.now("reason=PodFailurePolicy failed=2 held=0");
    let message = job.status()["conditions"][1]["message"].as_str().unwrap().to_owned();
    assert!(message.starts_with("Container main for pod default/c77-"), "{message}");
    assert!(
        message.ends_with(" failed with exit code 1 matching FailJob rule at index 0"),
        "{message}"
    );
}

fn case_79_an_ignored_failure_does_not_count(daemon: &Daemon) {
    let rules = [rule("Ignore", "In", 42)];
    let job = daemon.job("c79", STEERED, ruled(1, &rules, json!({"backoffLimit": 0})));
    job.end_one(42).until("pods=2 running=1").now("failed=0").end_one(0);
    job.until("condition=Complete").now("failed=0 succeeded=1 held=0");
}

fn case_81_the_first_rule_that_matches_decides(daemon: &Daemon) {
    let rules = [rule("Count", "In", 10), rule("FailJob", "In", 10)];
    let job = daemon.job("c81", STEERED, ruled(1, &rules, json!({})));
    job.end_one(10).until("failed=1 running=1").now("conditions=0");
}

fn case_82_a_failure_that_no_rule_matches_counts(daemon: &Daemon) {
    let job = daemon.job("c82", STEERED, ruled(1, &[rule("FailJob", "In", 7)], json!({})));
    job.end_one(1).until("failed=1 running=1").now("conditions=0");
}

fn case_83_a_failure_can_fail_its_index_without_another_try(daemon: &Daemon) {
    let limits = json!({"completionMode": "Indexed", "backoffLimitPerIndex": 1});
    let odd = "exit $JOB_COMPLETION_INDEX";
    let job = daemon.job("c83", odd, ruled(2, &[rule("FailIndex", "In", 1)], limits));
    job.until("condition=Failed").now("failed=1 failedIndexes=1 completed=0 pods=2");
}

fn case_84_what_ended_well_matches_no_exit_code(daemon: &Daemon) {
    let job = daemon.job("c84", STEERED, ruled(2, &[rule("FailJob", "NotIn", 5)], json!({})));
    job.until("running=2").end_one(0).until("succeeded=1").end_one(5);
    job.until("failed=1 running=1").now("conditions=0").end_one(6);
    job.until("condition=Failed reason=PodFailurePolicy");
}

fn case_88_enough_successes_are_a_success(daemon: &Daemon) {
    let job = daemon.job("c88", "exit 0", indexed(2, 2, json!([{"succeededCount": 2}])));
    job.until("condition=Complete").now("reason=SuccessPolicy failed=0 completed=0,1");
    assert_eq!(job.conditions(), ["SuccessCriteriaMet", "Complete"]);
    assert_eq!(job.status()["conditions"][0]["message"], "Matched rules at index 0");
}

fn case_90_failures_do_not_stand_in_the_way_of_success(daemon: &Daemon) {
    let job = daemon.job("c90", STEERED, indexed(3, 5, json!([{"succeededCount": 1}])));
    job.until("running=3").end_index(1, 1).until("failed=1").end_index(0, 0);
    job.until("condition=Complete").now("reason=SuccessPolicy completed=0 active=0");
}

fn case_91_only_the_indexes_that_are_named_count(daemon: &Daemon) {
    let rules = json!([{"succeededIndexes": "1-3", "succeededCount": 2}]);
    let job = daemon.job("c91", STEERED, indexed(4, 4, rules));
    job.until("running=4").end_index(0, 0).end_index(1, 0).until("completed=0,1");
    job.now("conditions=0").end_index(3, 0);
    job.until("condition=Complete").now("reason=SuccessPolicy completed=0,1,3 failed=0");
}

/// Takes a second to end when it is asked to.
const SLOW: &str = "trap 'sleep 1; exit 143' TERM; while true; do sleep 0.1; done";

fn case_94_a_deleted_pod_is_replaced_only_once_it_has_ended(daemon: &Daemon) {
    let job = daemon.job("c94", SLOW, json!({"podReplacementPolicy": "Failed"}));
    job.until("running=1").delete_pods().until("active=0 failed=0 terminating=1");
    job.until("active=1 failed=1 terminating=0");
}

fn case_95_by_default_deleted_pods_are_replaced_at_once_and_count_once(daemon: &Daemon) {
    let job = daemon.job("c95", SLOW, json!({"parallelism": 2, "completions": 2}));
    job.until("running=2").delete_pods().until("active=2 failed=2 running=2");
    job.until("terminating=0 pods=2").now("failed=2 active=2");
}
