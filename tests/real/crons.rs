//! CronJobs on real containers.

use serde_json::{Value, json};

use crate::daemon::{Daemon, STEERED, cases, play};
use crate::host::until;

#[test]
fn cron_jobs_start_what_is_due() {
    play(cases![
        what_was_missed_is_started_at_once_and_named_after_its_minute,
        what_still_runs_is_replaced_at_the_next_minute,
        a_start_that_is_too_late_is_told_and_not_made,
    ]);
}

const CRONS: &str = "/apis/batch/v1/namespaces/default/cronjobs";

/// Submits a CronJob that was last due ten minutes ago, as far as it knows.
fn late(daemon: &Daemon, name: &str, script: &str, fields: Value) -> String {
    let template = json!({"spec": daemon.spec(script, json!({}))});
    let mut spec = json!({"schedule": "* * * * *", "suspend": true, "jobTemplate": template});
    spec.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    daemon.post(CRONS, &json!({"metadata": {"name": name}, "spec": spec}));
    let path = format!("{CRONS}/{name}");
    let last = jiff::Timestamp::now() - jiff::SignedDuration::from_mins(10);
    let last = json!({"status": {"lastScheduleTime": last.strftime("%FT%TZ").to_string()}});
    daemon.patch(&format!("{path}/status"), &last);
    daemon.patch(&path, &json!({"spec": {"suspend": false}}));
    path
}

/// The names of the Jobs that it controls.
fn jobs(daemon: &Daemon, path: &str) -> Vec<String> {
    let uid = daemon.get(path).1["metadata"]["uid"].clone();
    let (_, all) = daemon.get("/apis/batch/v1/namespaces/default/jobs");
    let own = all["items"].as_array().unwrap().iter();
    let own = own.filter(|job| job["metadata"]["ownerReferences"][0]["uid"] == uid);
    own.map(|job| job["metadata"]["name"].as_str().unwrap().to_owned()).collect()
}

fn reasons(daemon: &Daemon, name: &str) -> Vec<String> {
    let (_, events) = daemon.get("/api/v1/namespaces/default/events");
    let about = events["items"].as_array().unwrap().iter();
    let about = about.filter(|event| event["involvedObject"]["name"] == name);
    about.map(|event| event["reason"].as_str().unwrap().to_owned()).collect()
}

fn what_was_missed_is_started_at_once_and_named_after_its_minute(daemon: &Daemon) {
    let path = late(daemon, "missed", "exit 0", json!({}));
    until("the Job has succeeded", || {
        daemon.get(&path).1["status"]["lastSuccessfulTime"].is_string()
    });
    let status = daemon.get(&path).1["status"].clone();
    let last: jiff::Timestamp = status["lastScheduleTime"].as_str().unwrap().parse().unwrap();
    let names = jobs(daemon, &path);
    assert!(names.contains(&format!("missed-{}", last.as_second() / 60)), "{names:?}");
    let told = reasons(daemon, "missed");
    for reason in ["SuccessfulCreate", "SawCompletedJob"] {
        assert!(told.iter().any(|known| known == reason), "{told:?}");
    }
}

fn what_still_runs_is_replaced_at_the_next_minute(daemon: &Daemon) {
    let path = late(daemon, "replaced", STEERED, json!({"concurrencyPolicy": "Replace"}));
    until("a Job runs", || jobs(daemon, &path).len() == 1);
    let first = jobs(daemon, &path).remove(0);
    for _ in 0..2 {
        // A minute is longer than anything else is waited for.
        std::thread::sleep(std::time::Duration::from_secs(20));
    }
    until("another one runs", || {
        let names = jobs(daemon, &path);
        names.len() == 1 && names[0] != first
    });
    let told = reasons(daemon, "replaced");
    assert!(told.iter().any(|known| known == "SuccessfulDelete"), "{told:?}");
    daemon.ask("DELETE", &path, "application/json", &Value::Null);
    until("its Jobs go after it", || {
        daemon.get("/apis/batch/v1/namespaces/default/jobs").1["items"]
            .as_array()
            .unwrap()
            .iter()
            .all(|job| !job["metadata"]["name"].as_str().unwrap().starts_with("replaced-"))
    });
}

fn a_start_that_is_too_late_is_told_and_not_made(daemon: &Daemon) {
    // Due once a day, and never now.
    let hour = (jiff::Timestamp::now() - jiff::SignedDuration::from_mins(5)).strftime("%M %H");
    let fields = json!({"schedule": format!("{hour} * * *"), "startingDeadlineSeconds": 60});
    let path = late(daemon, "late", "exit 0", fields);
    until("that it is too late is told", || {
        reasons(daemon, "late").iter().any(|reason| reason == "MissSchedule")
    });
    assert_eq!(jobs(daemon, &path), [""; 0]);
}
