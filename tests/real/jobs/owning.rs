//! Whose the pods are, and what becomes of them when their Job goes.

use serde_json::{Value, json};

use crate::daemon::{Daemon, Played, STEERED, cases, play};
use crate::host::{Outcome, until};

#[test]
fn pods_belong_to_their_job_and_go_with_it() {
    play(cases![
        case_98_however_a_job_is_deleted_no_pod_is_held_back,
        case_99_a_job_that_runs_is_deleted_with_its_pods,
        case_100_a_pod_is_adopted_and_released,
        case_101_a_job_of_another_controller_is_left_alone,
        case_104_a_condition_of_somebody_else_survives,
        case_106_who_deletes_a_job_and_says_no_more_means_its_pods_too,
        case_107_completions_read_as_kubectl_prints_them,
        case_108_a_job_that_waits_is_shown_as_such,
    ]);
}

fn running<'a>(daemon: &'a Daemon, name: &str) -> Played<'a> {
    let job = daemon.job(name, STEERED, json!({"parallelism": 2, "completions": 4}));
    job.until("running=2");
    job
}

fn case_98_however_a_job_is_deleted_no_pod_is_held_back(daemon: &Daemon) {
    let jobs = [("c98-a", "Orphan"), ("c98-b", "Background"), ("c98-c", "Foreground")];
    let jobs = jobs.map(|(name, propagation)| (running(daemon, name), propagation));
    for (job, propagation) in &jobs {
        job.end_one(0).until("succeeded=1").delete(propagation).until("held=0");
    }
    let [(orphaned, _), (background, _), (foreground, _)] = &jobs;
    background.until_gone();
    foreground.until_gone();
    assert_eq!(orphaned.object(), None);
    orphaned.now("held=0 running=2 pods=3").delete_pods().until("pods=0");
}

fn case_99_a_job_that_runs_is_deleted_with_its_pods(daemon: &Daemon) {
    let job = running(daemon, "c99");
    let mut command = daemon.kiln("delete");
    Outcome::of(command.args(["job", "c99"])).exits(0).prints("job.batch \"c99\" deleted");
    job.until_gone();
}

fn pod_path(pod: &Value) -> String {
    format!("/api/v1/namespaces/default/pods/{}", pod["metadata"]["name"].as_str().unwrap())
}

fn is_owned(daemon: &Daemon, path: &str) -> bool {
    let owners = daemon.get(path).1["metadata"]["ownerReferences"].clone();
    owners.as_array().is_some_and(|owners| !owners.is_empty())
}

fn case_100_a_pod_is_adopted_and_released(daemon: &Daemon) {
    let job = running(daemon, "c100");
    let path = pod_path(&job.pods()[0]);
    daemon.patch(&path, &json!({"metadata": {"ownerReferences": null}}));
    until("it is the Job's again", || is_owned(daemon, &path));
    job.now("active=2 pods=2");
    // One that the selector does not select is nobody's.
    let labels = ["controller-uid", "batch.kubernetes.io/controller-uid"];
    let labels: Value = labels.iter().map(|label| ((*label).to_owned(), Value::Null)).collect();
    daemon.patch(&path, &json!({"metadata": {"labels": labels}}));
    until("it is nobody's", || !is_owned(daemon, &path));
    job.until("active=2 pods=3 running=3").delete_pods();
}

fn case_101_a_job_of_another_controller_is_left_alone(daemon: &Daemon) {
    let theirs = daemon.job("c101", "exit 0", json!({"managedBy": "example.com/theirs"}));
    running(daemon, "c101-ours").delete("Background").until_gone();
    let job = theirs.object().unwrap();
    assert!(job["status"].as_object().is_none_or(serde_json::Map::is_empty), "{job}");
    theirs.now("pods=0");
}

fn case_104_a_condition_of_somebody_else_survives(daemon: &Daemon) {
    let job = running(daemon, "c104");
    let mut status = job.status();
    let condition = json!({"type": "Mine", "status": "True"});
    status["conditions"] = json!([condition]);
    let path = "/apis/batch/v1/namespaces/default/jobs/c104/status";
    daemon.patch(path, &json!({"status": {"conditions": [condition]}}));
    job.end_one(0).until("succeeded=1 condition=Mine");
}

fn case_106_who_deletes_a_job_and_says_no_more_means_its_pods_too(daemon: &Daemon) {
    let job = running(daemon, "c106");
    let path = "/apis/batch/v1/namespaces/default/jobs/c106";
    assert_eq!(daemon.ask("DELETE", path, "application/json", &Value::Null).0, 200);
    job.until_gone();
}

/// The row that `kiln get` prints of a Job.
fn row(daemon: &Daemon, name: &str) -> Vec<String> {
    let outcome = Outcome::of(daemon.kiln("get").args(["job", name]));
    outcome.exits(0);
    let line = outcome.stdout.lines().nth(1).unwrap_or_default();
    line.split_whitespace().map(str::to_owned).collect()
}

fn case_107_completions_read_as_kubectl_prints_them(daemon: &Daemon) {
    for (name, spec, shown) in [
        ("c107-a", json!({"parallelism": 3, "suspend": true}), "0/1"),
        ("c107-b", json!({"completions": 5, "suspend": true}), "0/5"),
    ] {
        let _job = daemon.job(name, STEERED, spec);
        assert!(row(daemon, name).contains(&shown.to_owned()), "{:?}", row(daemon, name));
    }
}

fn case_108_a_job_that_waits_is_shown_as_such(daemon: &Daemon) {
    let job = daemon.job("c108", STEERED, json!({"suspend": true}));
    job.until("condition=Suspended");
    assert_eq!(row(daemon, "c108")[1], "Suspended");
    job.set(&json!({"suspend": false})).until("running=1");
    assert_eq!(row(daemon, "c108")[1], "Running");
}
