//! A Job, described.
//!
//! Owns: which fields are shown, in which order, and the sentence at the end. Must not know: where the
//! Job is from.

use jiff::Timestamp;
use k8s_openapi::api::batch::v1::{Job, JobSpec, JobStatus};
use k8s_openapi::api::core::v1::{
    ContainerStateTerminated, ContainerStatus, Event, Pod, PodTemplateSpec,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;

use super::containers::{containers, volumes};
use super::sheet::{NONE, Sheet, between, rfc1123};
use crate::api::duration::since;
use crate::api::job::{completion_time, is_finished, start_time, true_condition};
use crate::api::object::Object;
use crate::api::pod::{all_container_statuses, finished_at, phase, restarts};
use crate::cli::get::waits_for;

/// Indexes are cut at the first comma from here on.
const INDEXES_MAX: usize = 50;

/// <https://kubernetes.io/docs/reference/kubectl/generated/kubectl_describe/>
///
/// `gone`: what is remembered of pods that are gone.
pub(super) fn render(
    job: &Job,
    (pods, gone): (&[Pod], &[Pod]),
    events: &[Event],
    now: Timestamp,
) -> String {
    let mut sheet = Sheet::default();
    let metadata = &job.metadata;
    let empty = (JobSpec::default(), JobStatus::default());
    let spec = job.spec.as_ref().unwrap_or(&empty.0);
    let status = job.status.as_ref().unwrap_or(&empty.1);
    sheet.field("Name", job.name());
    sheet.field("Namespace", metadata.namespace.as_deref().unwrap_or_default());
    sheet.field("Selector", selector(spec.selector.as_ref()));
    sheet.labels("Labels", metadata.labels.as_ref());
    sheet.annotations("Annotations", metadata.annotations.as_ref());
    let mut owners = metadata.owner_references.iter().flatten();
    if let Some(owner) = owners.find(|owner| owner.controller == Some(true)) {
        sheet.field("Controlled By", format!("{}/{}", owner.kind, owner.name));
    }
    wishes(&mut sheet, spec);
    course(&mut sheet, job, spec, status);
    template(&mut sheet, &spec.template);
    remembered(&mut sheet, gone, now);
    sheet.events(events, now);
    sheet.finish() + "\n" + &why(job, pods, now) + "\n"
}

fn wishes(sheet: &mut Sheet, spec: &JobSpec) {
    if let Some(parallelism) = spec.parallelism {
        sheet.field("Parallelism", parallelism);
    }
    match spec.completions {
        Some(completions) => sheet.field("Completions", completions),
        None => sheet.field("Completions", "<unset>"),
    }
    if let Some(mode) = &spec.completion_mode {
        sheet.field("Completion Mode", mode);
    }
    if let Some(suspend) = spec.suspend {
        sheet.field("Suspend", suspend);
    }
    if let Some(limit) = spec.backoff_limit {
        sheet.field("Backoff Limit", limit);
    }
    if let Some(seconds) = spec.ttl_seconds_after_finished {
        sheet.field("TTL Seconds After Finished", seconds);
    }
}

fn course(sheet: &mut Sheet, job: &Job, spec: &JobSpec, status: &JobStatus) {
    if let Some(start) = start_time(job) {
        sheet.field("Start Time", rfc1123(start));
    }
    if let Some(end) = completion_time(job) {
        sheet.field("Completed At", rfc1123(end));
        if let Some(start) = start_time(job) {
            sheet.field("Duration", between(start, end));
        }
    }
    if let Some(seconds) = spec.active_deadline_seconds {
        sheet.field("Active Deadline Seconds", format!("{seconds}s"));
    }
    let ready = status.ready.map(|ready| format!(" ({ready} Ready)")).unwrap_or_default();
    let count = |number: Option<i32>| number.unwrap_or(0);
    let (active, done, failed) =
        (count(status.active), count(status.succeeded), count(status.failed));
    let pods = format!("{active} Active{ready} / {done} Succeeded / {failed} Failed");
    sheet.field("Pods Statuses", pods);
    if spec.completion_mode.as_deref() == Some("Indexed") {
        let indexes = status.completed_indexes.as_deref().unwrap_or_default();
        sheet.field("Completed Indexes", capped(indexes));
    }
}

fn capped(indexes: &str) -> String {
    if indexes.is_empty() {
        return NONE.to_owned();
    }
    let comma = indexes.char_indices().find(|(at, char)| *at >= INDEXES_MAX && *char == ',');
    comma.map_or_else(|| indexes.to_owned(), |(at, _)| format!("{},...", &indexes[..at]))
}

fn selector(selector: Option<&LabelSelector>) -> String {
    let labels = selector.and_then(|selector| selector.match_labels.as_ref());
    let pairs = labels.into_iter().flatten().map(|(key, value)| format!("{key}={value}"));
    pairs.collect::<Vec<_>>().join(",")
}

fn template(sheet: &mut Sheet, template: &PodTemplateSpec) {
    sheet.line("Pod Template:");
    let metadata = template.metadata.as_ref();
    sheet.labels("  Labels", metadata.and_then(|metadata| metadata.labels.as_ref()));
    let annotations = metadata.and_then(|metadata| metadata.annotations.as_ref());
    if annotations.is_some_and(|annotations| !annotations.is_empty()) {
        sheet.annotations("  Annotations", annotations);
    }
    let Some(spec) = &template.spec else { return };
    if let Some(account) = spec.service_account_name.as_ref().filter(|name| !name.is_empty()) {
        sheet.field("  Service Account", account);
    }
    if let Some(init) = spec.init_containers.as_ref().filter(|init| !init.is_empty()) {
        containers(sheet, "  Init Containers", "   ", init, None);
    }
    containers(sheet, "  Containers", "   ", &spec.containers, None);
    volumes(sheet, "  ", spec.volumes.as_ref());
    if let Some(class) = spec.priority_class_name.as_ref().filter(|class| !class.is_empty()) {
        sheet.field("  Priority Class Name", class);
    }
    sheet.labels("  Node-Selectors", spec.node_selector.as_ref());
    sheet.tolerations("  Tolerations", spec.tolerations.as_ref());
}

/// How pods ended that are gone; their logs may still be there.
fn remembered(sheet: &mut Sheet, gone: &[Pod], now: Timestamp) {
    if gone.is_empty() {
        return;
    }
    let mut gone: Vec<_> = gone.iter().collect();
    gone.sort_by_key(|pod| (finished_at(pod), pod.name()));
    sheet.line("Deleted Pods:");
    sheet.line("  Name\tStatus\tRestarts\tContainer\tExit Code\tReason\tEnded");
    sheet.line("  ----\t------\t--------\t---------\t---------\t------\t-----");
    for pod in gone {
        let head = format!("  {}\t{}\t{}", pod.name(), phase(pod).as_str(), restarts(pod));
        let ends = all_container_statuses(pod).filter_map(|status| Some((status, end(status)?)));
        let rows: Vec<_> = ends
            .map(|(status, end)| {
                let at = end.finished_at.as_ref().map(|time| time.0);
                let reason = end.reason.as_deref().unwrap_or_default();
                let ago = since(at, now);
                format!("{head}\t{}\t{}\t{reason}\t{ago} ago", status.name, end.exit_code)
            })
            .collect();
        if rows.is_empty() {
            sheet.line(format!("{head}\t{NONE}\t\t\t"));
        }
        rows.into_iter().for_each(|row| sheet.line(row));
    }
    sheet.flush();
}

/// How a container ended, or did the time before.
fn end(status: &ContainerStatus) -> Option<&ContainerStateTerminated> {
    let now = status.state.as_ref().and_then(|state| state.terminated.as_ref());
    now.or_else(|| status.last_state.as_ref().and_then(|state| state.terminated.as_ref()))
}

/// Why the Job is in the state it is in, in a sentence.
fn why(job: &Job, pods: &[Pod], now: Timestamp) -> String {
    let status = job.status.clone().unwrap_or_default();
    let count = |number: Option<i32>, what: &str| match number.unwrap_or(0) {
        1 => format!("1 pod {what}"),
        number => format!("{number} pods {what}"),
    };
    if is_finished(job).is_some() {
        if true_condition(job, "Complete").is_some() {
            return format!("The Job is complete: {}.", count(status.succeeded, "succeeded"));
        }
        let failed = true_condition(job, "Failed");
        let own = |text: Option<&String>| text.cloned().unwrap_or_default();
        let reason = own(failed.and_then(|condition| condition.reason.as_ref()));
        let message = own(failed.and_then(|condition| condition.message.as_ref()));
        return format!("The Job failed with {reason}: {}.", message.trim_end_matches('.'));
    }
    if job.is_deleting() {
        return "The Job is being deleted, and waits for its pods to end.".to_owned();
    }
    match waits_for(job, pods, now) {
        Some(reason) if reason == "resume" => {
            let name = job.name();
            format!("The Job is suspended; `kiln resume job {name}` lets it go on.")
        }
        Some(reason) => format!("The Job waits for {reason}."),
        None => format!("The Job runs: {}.", count(status.active, "active")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn job() -> Job {
        serde_json::from_value(json!({
            "metadata": {"name": "pi", "namespace": "default", "labels": {"app": "pi"}},
            "spec": {
                "parallelism": 1, "completions": 1, "completionMode": "NonIndexed",
                "suspend": false, "backoffLimit": 4,
                "selector": {"matchLabels": {"batch.kubernetes.io/controller-uid": "u"}},
                "template": {
                    "metadata": {"labels": {"job-name": "pi"}},
                    "spec": {"containers": [{
                        "name": "pi", "image": "perl:5", "command": ["perl", "-v"],
                        "resources": {"limits": {"memory": "64Mi"}},
                        "env": [{"name": "A", "value": "b"}],
                    }]},
                },
            },
            "status": {
                "startTime": "2026-01-02T15:04:05Z", "completionTime": "2026-01-02T15:04:15Z",
                "succeeded": 1, "ready": 0,
                "conditions": [{"type": "Complete", "status": "True"}],
            },
        }))
        .unwrap()
    }

    const EXPECTED: &str = "\
Name:             pi
Namespace:        default
Selector:         batch.kubernetes.io/controller-uid=u
Labels:           app=pi
Annotations:      <none>
Parallelism:      1
Completions:      1
Completion Mode:  NonIndexed
Suspend:          false
Backoff Limit:    4
Start Time:       Fri, 02 Jan 2026 15:04:05 +0000
Completed At:     Fri, 02 Jan 2026 15:04:15 +0000
Duration:         10s
Pods Statuses:    0 Active (0 Ready) / 1 Succeeded / 0 Failed
Pod Template:
  Labels:  job-name=pi
  Containers:
   pi:
    Image:      perl:5
    Port:       <none>
    Host Port:  <none>
    Command:
      perl
      -v
    Limits:
      memory:  64Mi
    Environment:
      A:           b
    Mounts:        <none>
  Volumes:         <none>
  Node-Selectors:  <none>
  Tolerations:     <none>
Events:
  Type    Reason            Age   From            Message
  ----    ------            ----  ----            -------
  Normal  SuccessfulCreate  100s  job-controller  Created pod: pi-x
  Normal  Completed         90s   job-controller  Job completed

The Job is complete: 1 pod succeeded.
";

    #[test]
    fn a_job_is_described_as_kubectl_does_with_a_sentence_at_its_end() {
        let event = |reason: &str, message: &str, at: &str| -> Event {
            serde_json::from_value(json!({
                "metadata": {}, "involvedObject": {}, "type": "Normal", "reason": reason,
                "message": message, "source": {"component": "job-controller"},
                "firstTimestamp": at, "lastTimestamp": at, "count": 1,
            }))
            .unwrap()
        };
        let events = [
            event("Completed", "Job completed", "2026-01-02T15:04:15Z"),
            event("SuccessfulCreate", "Created pod: pi-x", "2026-01-02T15:04:05Z"),
        ];
        let now = "2026-01-02T15:05:45Z".parse().unwrap();
        assert_eq!(render(&job(), (&[], &[]), &events, now), EXPECTED);
    }

    #[test]
    fn how_pods_ended_that_are_gone_is_told() {
        let now = "2026-01-02T15:05:45Z".parse().unwrap();
        let gone: Pod = serde_json::from_value(json!({
            "metadata": {"name": "pi-x"},
            "status": {"phase": "Failed", "containerStatuses": [{
                "name": "a", "restartCount": 2, "ready": false, "image": "", "imageID": "",
                "state": {"terminated": {
                    "exitCode": 3, "reason": "Error", "finishedAt": "2026-01-02T15:05:00Z",
                }},
            }]},
        }))
        .unwrap();
        let text = render(&job(), (&[], &[gone]), &[], now);
        let expected = "\
Deleted Pods:
  Name  Status  Restarts  Container  Exit Code  Reason  Ended
  ----  ------  --------  ---------  ---------  ------  -----
  pi-x  Failed  2         a          3          Error   45s ago
";
        assert!(text.contains(expected), "{text}");
    }

    #[test]
    fn the_sentence_tells_why() {
        let now = Timestamp::UNIX_EPOCH;
        let mut job = job();
        job.status = serde_json::from_value(json!({"conditions": [{
            "type": "Failed", "status": "True", "reason": "BackoffLimitExceeded",
            "message": "Job has reached the specified backoff limit",
        }]}))
        .unwrap();
        assert_eq!(
            why(&job, &[], now),
            "The Job failed with BackoffLimitExceeded: Job has reached the specified backoff limit."
        );
        job.status = None;
        assert_eq!(why(&job, &[], now), "The Job waits for its first pod.");
        job.spec.as_mut().unwrap().suspend = Some(true);
        let expected = "The Job is suspended; `kiln resume job pi` lets it go on.";
        assert_eq!(why(&job, &[], now), expected);
    }

    #[test]
    fn long_indexes_are_cut_at_a_comma() {
        assert_eq!(capped(""), "<none>");
        assert_eq!(capped("1,3-5"), "1,3-5");
        let long = (0..40).map(|n| (2 * n).to_string()).collect::<Vec<_>>().join(",");
        let cut = capped(&long);
        assert!(cut.ends_with(",...") && cut.len() < 60, "{cut}");
    }
}
