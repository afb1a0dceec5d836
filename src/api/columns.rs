//! The rows of `get`: what `kubectl` shows of a Job and of a pod in a line.
//!
//! Owns: the cells and how they are set in columns. Must not know: who prints them.

use jiff::Timestamp;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{ContainerStatus, Pod};

use super::duration::{human, since};
use super::job::{completion_time, start_time, succeeded, true_condition};
use super::object::Object;
use super::pod::{container_statuses, containers, is_ready, is_terminal, phase};

pub const JOB_COLUMNS: [&str; 5] = ["NAME", "STATUS", "COMPLETIONS", "DURATION", "AGE"];
pub const POD_COLUMNS: [&str; 5] = ["NAME", "READY", "STATUS", "RESTARTS", "AGE"];

/// No column is narrower than this.
const WIDTH_MIN: usize = 6;
const GAP: usize = 3;

/// <https://kubernetes.io/docs/reference/kubectl/generated/kubectl_get/>
pub fn job_row(job: &Job, now: Timestamp) -> [String; 5] {
    let made = job.metadata.creation_timestamp.as_ref().map(|t| t.0);
    let duration = start_time(job).map_or_else(String::new, |start| {
        human(completion_time(job).unwrap_or(now).duration_since(start))
    });
    [
        job.name().to_owned(),
        job_status(job).to_owned(),
        completions(job),
        duration,
        since(made, now),
    ]
}

fn job_status(job: &Job) -> &'static str {
    let shown = |conditions: &[&'static str]| {
        conditions.iter().copied().find(|kind| true_condition(job, kind).is_some())
    };
    shown(&["Complete", "Failed"])
        .or_else(|| job.is_deleting().then_some("Terminating"))
        .or_else(|| shown(&["Suspended", "FailureTarget", "SuccessCriteriaMet"]))
        .unwrap_or("Running")
}

fn completions(job: &Job) -> String {
    let spec = job.spec.as_ref();
    let done = succeeded(job);
    let parallelism = spec.and_then(|spec| spec.parallelism).unwrap_or(1);
    match spec.and_then(|spec| spec.completions) {
        Some(wanted) => format!("{done}/{wanted}"),
        None if parallelism > 1 => format!("{done}/1 of {parallelism}"),
        None => format!("{done}/1"),
    }
}

/// <https://kubernetes.io/docs/reference/kubectl/generated/kubectl_get/>
pub fn pod_row(pod: &Pod, now: Timestamp) -> [String; 5] {
    let made = pod.metadata.creation_timestamp.as_ref().map(|t| t.0);
    let ready = container_statuses(pod).iter().filter(|status| status.ready).count();
    let ready = format!("{ready}/{}", containers(pod).len());
    [pod.name().to_owned(), ready, pod_status(pod), restarts(pod, now), since(made, now)]
}

/// The first container that has something to say says it; else the pod's reason, else its phase.
fn pod_status(pod: &Pod) -> String {
    let status = pod.status.as_ref();
    if pod.is_deleting() && !is_terminal(pod) {
        return "Terminating".to_owned();
    }
    let told = status.and_then(|status| status.reason.clone());
    let own = told.unwrap_or_else(|| phase(pod).as_str().to_owned());
    let shown = container_statuses(pod).iter().find_map(container_reason).unwrap_or(own);
    let runs = |status: &ContainerStatus| {
        status.ready && status.state.as_ref().is_some_and(|state| state.running.is_some())
    };
    match shown.as_str() {
        "Completed" if container_statuses(pod).iter().any(runs) => {
            if is_ready(pod) {
                "Running".to_owned()
            } else {
                "NotReady".to_owned()
            }
        }
        _ => shown,
    }
}

fn container_reason(status: &ContainerStatus) -> Option<String> {
    let state = status.state.as_ref()?;
    let waiting = state.waiting.as_ref().and_then(|waiting| waiting.reason.clone());
    waiting.filter(|reason| !reason.is_empty()).or_else(|| {
        let end = state.terminated.as_ref()?;
        let by_code = || match end.signal {
            Some(signal) if signal != 0 => format!("Signal:{signal}"),
            Some(_) | None => format!("ExitCode:{}", end.exit_code),
        };
        Some(end.reason.clone().filter(|reason| !reason.is_empty()).unwrap_or_else(by_code))
    })
}

fn restarts(pod: &Pod, now: Timestamp) -> String {
    let all = container_statuses(pod);
    let count: i32 = all.iter().map(|status| status.restart_count).sum();
    let last = all
        .iter()
        .filter_map(|status| status.last_state.as_ref()?.terminated.as_ref()?.finished_at.as_ref())
        .map(|time| time.0)
        .max();
    match last {
        Some(at) if count > 0 => format!("{count} ({} ago)", human(now.duration_since(at))),
        Some(_) | None => count.to_string(),
    }
}

/// Rows below their headers, each cell filled up to the width of its column.
pub fn table<const N: usize>(headers: [&str; N], rows: &[[String; N]]) -> String {
    let width = |column: usize| {
        let cells = rows.iter().map(|row| row[column].chars().count());
        cells.chain([headers[column].len(), WIDTH_MIN]).max().unwrap_or(WIDTH_MIN)
    };
    let widths: [usize; N] = std::array::from_fn(width);
    let line = |cells: [&str; N]| {
        let padded = cells.iter().zip(widths).enumerate().map(|(column, (cell, width))| {
            if column + 1 == N { (*cell).to_owned() } else { format!("{cell:<0$}", width + GAP) }
        });
        padded.collect::<String>() + "\n"
    };
    let body = rows.iter().map(|row| line(row.each_ref().map(String::as_str)));
    std::iter::once(line(headers)).chain(body).collect()
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::batch::v1::JobStatus;
    use serde_json::json;

    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn job(spec: serde_json::Value, status: serde_json::Value) -> Job {
        let text = json!({"metadata": {"name": "j"}, "spec": spec, "status": status});
        serde_json::from_value(text).unwrap()
    }

    fn pod(names: &[&str], status: serde_json::Value) -> Pod {
        let containers: Vec<_> = names.iter().map(|name| json!({"name": name})).collect();
        let text = json!({"metadata": {"name": "p"}, "spec": {"containers": containers}, "status": status});
        serde_json::from_value(text).unwrap()
    }

    #[test]
    fn completions_read_as_kubectl_prints_them() {
        let template = json!({"spec": {"containers": []}});
        for (completions, parallelism, expected) in
            [(None, 3, "0/1 of 3"), (None, 1, "0/1"), (Some(5), 2, "0/5")]
        {
            let spec = json!({
                "completions": completions, "parallelism": parallelism, "template": template,
            });
            assert_eq!(job_row(&job(spec, json!({})), at(0))[2], expected);
        }
    }

    #[test]
    fn the_duration_ends_with_the_completion_and_grows_without_one() {
        let spec = json!({"template": {}});
        let mut complete = job(spec, json!({}));
        let time = |second| k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(at(second));
        complete.status = Some(JobStatus {
            start_time: Some(time(0)),
            completion_time: Some(time(2)),
            ..JobStatus::default()
        });
        assert_eq!(job_row(&complete, at(1800))[3], "2s");
        complete.status.as_mut().unwrap().completion_time = None;
        assert_eq!(job_row(&complete, at(1800))[3], "30m");
        complete.status.as_mut().unwrap().start_time = None;
        assert_eq!(job_row(&complete, at(1800))[3], "");
        complete.metadata.deletion_timestamp = Some(time(1));
        assert_eq!(job_row(&complete, at(1800))[1], "Terminating");
    }

    #[test]
    fn a_pod_shows_what_its_first_container_has_to_say() {
        let running = json!({"running": {}});
        let ended = json!({"terminated": {"exitCode": 0, "reason": "Completed"}});
        let status = |name: &str, state: &serde_json::Value, ready: bool| json!({"name": name, "image": "i", "imageID": "", "ready": ready, "restartCount": 0, "state": state});
        for (ready, expected) in [("True", "Running"), ("False", "NotReady")] {
            let pod = pod(
                &["a", "b"],
                json!({
                    "phase": "Running",
                    "conditions": [{"type": "Ready", "status": ready}],
                    "containerStatuses": [status("a", &ended, false), status("b", &running, true)],
                }),
            );
            assert_eq!(pod_row(&pod, at(0))[1..3], ["1/2", expected]);
        }
        let mut failed = status("a", &json!({"waiting": {"reason": "CrashLoopBackOff"}}), false);
        failed["restartCount"] = 3.into();
        failed["lastState"] =
            json!({"terminated": {"exitCode": 1, "finishedAt": "1970-01-01T00:00:10Z"}});
        let pod = pod(&["a"], json!({"phase": "Running", "containerStatuses": [failed]}));
        assert_eq!(pod_row(&pod, at(15))[1..4], ["0/1", "CrashLoopBackOff", "3 (5s ago)"]);
    }

    #[test]
    fn columns_are_three_spaces_apart() {
        let row = ["batch-job", "Complete", "1/1", "2s", "9s"].map(str::to_owned);
        let expected = "NAME        STATUS     COMPLETIONS   DURATION   AGE\n\
                        batch-job   Complete   1/1           2s         9s\n";
        assert_eq!(table(JOB_COLUMNS, &[row]), expected);
    }
}
