//! Jobs with indexes.

use serde_json::{Value, json};

use crate::daemon::{Daemon, Played, STEERED, cases, play};

#[test]
fn indexes_run_grow_shrink_and_fail_each_for_itself() {
    play(cases![
        case_54_the_lowest_indexes_come_first,
        case_57_an_index_that_failed_is_tried_again,
        case_62_a_job_can_grow,
        case_63_a_job_that_shrinks_forgets_the_indexes_that_there_are_no_more,
        case_64_an_index_that_was_scaled_away_runs_again,
        case_65_a_job_that_shrinks_to_nothing_is_complete,
        case_70_too_many_failed_indexes_end_the_job,
        case_71_a_pod_knows_how_often_its_index_failed,
        case_72_the_job_fails_when_its_last_index_is_over,
        case_73_the_limit_of_the_job_holds_beside_those_of_its_indexes,
        case_74_the_second_failed_index_is_one_too_many,
        case_75_where_no_index_failed_the_list_is_there_and_empty,
    ]);
}

fn indexed(parallelism: u32, completions: u32, more: Value) -> Value {
    let mut spec = json!({
        "completionMode": "Indexed", "parallelism": parallelism, "completions": completions,
    });
    spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    spec
}

fn scale(job: &Played<'_>, to: u32) {
    job.set(&json!({"parallelism": to, "completions": to}));
}

/// The values of an annotation of the pods, in order.
fn annotations(job: &Played<'_>, key: &str) -> Vec<String> {
    let pods = job.pods();
    let texts = pods.iter().filter_map(|pod| pod["metadata"]["annotations"][key].as_str());
    let mut texts: Vec<String> = texts.map(str::to_owned).collect();
    texts.sort();
    texts
}

const INDEX: &str = "batch.kubernetes.io/job-completion-index";
const FAILURES: &str = "batch.kubernetes.io/job-index-failure-count";

fn case_54_the_lowest_indexes_come_first(daemon: &Daemon) {
    let job = daemon.job("c54", STEERED, indexed(2, 5, json!({})));
    job.until("running=2");
    assert_eq!(annotations(&job, INDEX), ["0", "1"]);
    job.end_index(1, 0).until("completed=1 running=2");
    assert_eq!(annotations(&job, INDEX), ["0", "1", "2"]);
}

fn case_57_an_index_that_failed_is_tried_again(daemon: &Daemon) {
    let job = daemon.job("c57", STEERED, indexed(2, 2, json!({})));
    job.until("running=2").end_index(0, 1).until("failed=1 running=2");
    assert_eq!(annotations(&job, INDEX), ["0", "0", "1"]);
    job.end_index(0, 0).end_index(1, 0).until("condition=Complete completed=0,1 failed=1");
}

fn case_62_a_job_can_grow(daemon: &Daemon) {
    let job = daemon.job("c62", STEERED, indexed(2, 2, json!({})));
    job.until("running=2");
    scale(&job, 3);
    job.until("running=3").end_index(0, 0).end_index(1, 0).end_index(2, 0);
    job.until("condition=Complete").now("completed=0-2 succeeded=3");
}

fn case_63_a_job_that_shrinks_forgets_the_indexes_that_there_are_no_more(daemon: &Daemon) {
    let job = daemon.job("c63", STEERED, indexed(3, 3, json!({})));
    job.until("running=3").end_index(1, 0).until("completed=1").end_index(2, 1);
    job.until("failed=1");
    scale(&job, 1);
    job.until("active=1 succeeded=0 completed=").end_index(0, 0);
    job.until("condition=Complete").now("completed=0 succeeded=1 failed=1");
}

fn case_64_an_index_that_was_scaled_away_runs_again(daemon: &Daemon) {
    let job = daemon.job("c64", STEERED, indexed(3, 3, json!({})));
    job.until("running=3").end_index(2, 0).until("completed=2");
    scale(&job, 2);
    job.until("completed= active=2");
    scale(&job, 3);
    job.until("running=3");
    assert_eq!(annotations(&job, INDEX), ["0", "1", "2", "2"]);
}

fn case_65_a_job_that_shrinks_to_nothing_is_complete(daemon: &Daemon) {
    let job = daemon.job("c65", STEERED, indexed(2, 2, json!({})));
    job.until("running=2");
    scale(&job, 0);
    job.until("condition=SuccessCriteriaMet condition=Complete pods=0").now("failed=0");
}

fn case_70_too_many_failed_indexes_end_the_job(daemon: &Daemon) {
    let limits = json!({"backoffLimitPerIndex": 0, "maxFailedIndexes": 0});
    let job = daemon.job("c70", "exit 1", indexed(1, 4, limits));
    job.until("condition=Failed").now("reason=MaxFailedIndexesExceeded failedIndexes=0 failed=1");
    job.now("pods=1");
}

fn case_71_a_pod_knows_how_often_its_index_failed(daemon: &Daemon) {
    let job = daemon.job("c71", "exit 1", indexed(2, 2, json!({"backoffLimitPerIndex": 1})));
    job.until("condition=Failed").now("reason=FailedIndexes failed=4 failedIndexes=0,1");
    assert_eq!(annotations(&job, FAILURES), ["0", "0", "1", "1"]);
}

fn case_72_the_job_fails_when_its_last_index_is_over(daemon: &Daemon) {
    let job = daemon.job("c72", STEERED, indexed(2, 2, json!({"backoffLimitPerIndex": 1})));
    job.until("running=2").end_index(0, 1).until("failed=1 running=2 failedIndexes=");
    job.end_index(0, 1).until("failed=2 failedIndexes=0 active=1").now("conditions=0");
    job.end_index(1, 0).until("condition=Failed").now("completed=1 succeeded=1");
}

fn case_73_the_limit_of_the_job_holds_beside_those_of_its_indexes(daemon: &Daemon) {
    let limits = json!({"backoffLimitPerIndex": 1, "backoffLimit": 0});
    let job = daemon.job("c73", STEERED, indexed(3, 3, limits));
    job.until("running=3").end_index(0, 1);
    job.until("condition=Failed").now("reason=BackoffLimitExceeded failed=3 failedIndexes=");
}

fn case_74_the_second_failed_index_is_one_too_many(daemon: &Daemon) {
    let limits = json!({"backoffLimitPerIndex": 0, "maxFailedIndexes": 1});
    let job = daemon.job("c74", STEERED, indexed(3, 4, limits));
    job.until("running=3").end_index(0, 1).until("failedIndexes=0 running=3").end_index(1, 1);
    job.until("condition=Failed").now("reason=MaxFailedIndexesExceeded failedIndexes=0,1");
}

fn case_75_where_no_index_failed_the_list_is_there_and_empty(daemon: &Daemon) {
    let job = daemon.job("c75", "exit 0", indexed(2, 2, json!({"backoffLimitPerIndex": 1})));
    job.until("condition=Complete").now("failedIndexes= completed=0,1");
}
