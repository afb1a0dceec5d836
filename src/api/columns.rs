//! The rows of `get`: what `kubectl` shows of a Job and of a pod in a line.
//!
//! Owns: the cells. Must not know: how they are set in columns, and who prints them.

use jiff::Timestamp;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{ContainerStatus, Pod, PodTemplateSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;

use super::duration::{human, since};
use super::job::{WAITING, completion_time, start_time, succeeded, true_condition};
use super::object::Object;
use super::pod::{condition, container_statuses, containers, is_ready, is_terminal, phase};
use super::selector::label;

pub const JOB_COLUMNS: [&str; 5] = ["NAME", "STATUS", "COMPLETIONS", "DURATION", "AGE"];

/// What a cell says that has nothing to say.
pub const NONE: &str = "<none>";

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

/// What is shown of a Job besides to who asks for more: containers, images and selector.
pub fn job_wide(job: &Job) -> [String; 3] {
    let nothing = PodTemplateSpec::default();
    let spec = job.spec.as_ref();
    let template = spec.map_or(&nothing, |spec| &spec.template);
    template_cells(template, spec.and_then(|spec| spec.selector.as_ref()))
}

/// The containers of a template, their images, and the selector of its pods.
pub fn template_cells(template: &PodTemplateSpec, selector: Option<&LabelSelector>) -> [String; 3] {
    let containers = template.spec.as_ref().map_or(&[][..], |spec| &spec.containers);
    let names: Vec<&str> = containers.iter().map(|container| container.name.as_str()).collect();
    let images: Vec<&str> =
        containers.iter().map(|c| c.image.as_deref().unwrap_or_default()).collect();
    let selector = match selector.map(label::Selector::of) {
        None => String::new(),
        Some(Ok(selector)) => selector.to_string(),
        Some(Err(_)) => "<error>".to_owned(),
    };
    [names.join(","), images.join(","), or_none(Some(&selector))]
}

fn or_none(text: Option<&str>) -> String {
    text.filter(|text| !text.is_empty()).unwrap_or(NONE).to_owned()
}

fn job_status(job: &Job) -> &'static str {
    let shown = |conditions: &[&'static str]| {
        conditions.iter().copied().find(|kind| true_condition(job, kind).is_some())
    };
    shown(&["Complete", "Failed"])
        .or_else(|| job.is_deleting().then_some("Terminating"))
        .or_else(|| shown(&["Suspended", "FailureTarget", "SuccessCriteriaMet"]))
        .or_else(|| true_condition(job, WAITING).map(|_| "Waiting"))
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
    let all = containers(pod).len() + sidecars(pod).count();
    let ready = lasting(pod).filter(|status| status.ready).count();
    let ready = format!("{ready}/{all}");
    [pod.name().to_owned(), ready, pod_status(pod), restarts(pod, now), since(made, now)]
}

/// What is shown of a pod besides to who asks for more: address, node, nominated node, gates.
pub fn pod_wide(pod: &Pod) -> [String; 4] {
    let spec = pod.spec.as_ref();
    let status = pod.status.as_ref();
    let first = status.and_then(|status| status.pod_ips.as_ref()?.first());
    let address = first.map(|first| first.ip.as_str());
    let address = address.or_else(|| status?.pod_ip.as_deref());
    let gates = spec.and_then(|spec| spec.readiness_gates.as_deref()).unwrap_or_default();
    let open = gates.iter().filter(|gate| {
        condition(pod, &gate.condition_type).is_some_and(|found| found.status == "True")
    });
    [
        or_none(address),
        or_none(spec.and_then(|spec| spec.node_name.as_deref())),
        or_none(status.and_then(|status| status.nominated_node_name.as_deref())),
        if gates.is_empty() {
            NONE.to_owned()
        } else {
            format!("{}/{}", open.count(), gates.len())
        },
    ]
}

/// The first container that has something to say says it; else the pod's reason, else its phase.
fn pod_status(pod: &Pod) -> String {
    let status = pod.status.as_ref();
    let told = status.and_then(|status| status.reason.clone());
    if pod.is_deleting() && told.as_deref() == Some("NodeLost") {
        return "Unknown".to_owned();
    }
    if pod.is_deleting() && !is_terminal(pod) {
        return "Terminating".to_owned();
    }
    let initialized = condition(pod, "Initialized").is_some_and(|c| c.status == "True");
    let initializing = initializing(pod);
    if let Some(init) = initializing.clone().filter(|_| !initialized) {
        return init;
    }
    let gated = condition(pod, "PodScheduled")
        .and_then(|scheduled| scheduled.reason.clone())
        .filter(|reason| reason == "SchedulingGated");
    let told = gated.or(told);
    let own = initializing.or(told).unwrap_or_else(|| phase(pod).as_str().to_owned());
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

/// The names of the containers that start before the others and run beside them.
/// <https://kubernetes.io/docs/concepts/workloads/pods/sidecar-containers/>
fn sidecars(pod: &Pod) -> impl Iterator<Item = &str> {
    let init = pod.spec.iter().flat_map(|spec| spec.init_containers.iter().flatten());
    let lasting = init.filter(|container| container.restart_policy.as_deref() == Some("Always"));
    lasting.map(|container| container.name.as_str())
}

fn init_statuses(pod: &Pod) -> impl Iterator<Item = &ContainerStatus> {
    pod.status.iter().flat_map(|status| status.init_container_statuses.iter().flatten())
}

/// The containers that are there for as long as the pod.
fn lasting(pod: &Pod) -> impl Iterator<Item = &ContainerStatus> {
    let started = |status: &&ContainerStatus| {
        status.started == Some(true) && sidecars(pod).any(|name| name == status.name)
    };
    container_statuses(pod).iter().chain(init_statuses(pod).filter(started))
}

/// What holds up the other containers: the first init container that is not done.
/// <https://kubernetes.io/docs/tasks/debug/debug-application/debug-init-containers/>
fn initializing(pod: &Pod) -> Option<String> {
    let done = |status: &ContainerStatus| {
        let end = status.state.as_ref().and_then(|state| state.terminated.as_ref());
        let beside = sidecars(pod).any(|name| name == status.name);
        end.is_some_and(|end| end.exit_code == 0) || (beside && status.started == Some(true))
    };
    let (index, status) = init_statuses(pod).enumerate().find(|(_, status)| !done(status))?;
    let reason = container_reason(status).filter(|reason| reason != "PodInitializing");
    let all = pod.spec.as_ref().and_then(|spec| spec.init_containers.as_ref()).map_or(0, Vec::len);
    Some(reason.map_or_else(|| format!("Init:{index}/{all}"), |reason| format!("Init:{reason}")))
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
    let counted: Vec<_> = match initializing(pod) {
        Some(_) => init_statuses(pod).collect(),
        None => lasting(pod).collect(),
    };
    let count: i32 = counted.iter().map(|status| status.restart_count).sum();
    let last = counted
        .iter()
        .filter_map(|status| status.last_state.as_ref()?.terminated.as_ref()?.finished_at.as_ref())
        .map(|time| time.0)
        .max();
    match last {
        Some(at) if count > 0 => format!("{count} ({} ago)", human(now.duration_since(at))),
        Some(_) | None => count.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::batch::v1::{JobCondition, JobStatus};
    use k8s_openapi::api::core::v1::Container;
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
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

    fn with_conditions(mut job: Job, kinds: &[&str]) -> Job {
        let all = kinds.iter().map(|kind| JobCondition {
            type_: (*kind).to_owned(),
            status: "True".to_owned(),
            ..JobCondition::default()
        });
        job.status.get_or_insert_default().conditions = Some(all.collect());
        job
    }

    fn time(second: i64) -> Time {
        Time(at(second))
    }

    #[test]
    fn case_107_completions_read_as_kubectl_prints_them() {
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
    fn case_108_the_status_is_the_first_thing_that_is_true() {
        let plain = || job(json!({"template": {}}), json!({}));
        for (conditions, deleting, expected) in [
            (&[] as &[&str], false, "Running"),
            (&["SuccessCriteriaMet"], false, "SuccessCriteriaMet"),
            (&["FailureTarget"], false, "FailureTarget"),
            (&["Suspended"], false, "Suspended"),
            (&["Suspended"], true, "Terminating"),
            (&["FailureTarget", "Failed"], true, "Failed"),
            (&["SuccessCriteriaMet", "Complete"], true, "Complete"),
        ] {
            let mut job = with_conditions(plain(), conditions);
            job.metadata.deletion_timestamp = deleting.then(|| time(1));
            let row = job_row(&job, at(1800));
            assert_eq!((row[1].as_str(), row[3].as_str()), (expected, ""), "{conditions:?}");
        }
    }

    #[test]
    fn case_109_the_duration_ends_with_the_completion_and_grows_without_one() {
        let mut complete = job(json!({"template": {}}), json!({}));
        complete.status = Some(JobStatus {
            start_time: Some(time(0)),
            completion_time: Some(time(2)),
            ..JobStatus::default()
        });
        assert_eq!(job_row(&complete, at(1800))[3], "2s");
        complete.status.as_mut().unwrap().completion_time = None;
        let failed = with_conditions(complete, &["FailureTarget", "Failed"]);
        assert_eq!(job_row(&failed, at(1800))[3], "30m");
        assert_eq!(job_row(&failed, at(3600))[3], "60m");
    }

    fn status(name: &str, state: &serde_json::Value, ready: bool) -> serde_json::Value {
        json!({
            "name": name, "image": "i", "imageID": "", "ready": ready, "started": ready,
            "restartCount": 0, "state": state,
        })
    }

    #[test]
    fn case_110_init_containers_show_until_they_are_done_and_sidecars_beside_the_others() {
        let running = json!({"running": {}});
        let ended = json!({"terminated": {"exitCode": 0, "reason": "Completed"}});
        let failed = json!({"terminated": {"exitCode": 1, "reason": "Error"}});
        let waiting = json!({"waiting": {"reason": "PodInitializing"}});
        for (first, second, expected) in [
            (&running, &waiting, "Init:0/2"),
            (&ended, &waiting, "Init:1/2"),
            (&failed, &waiting, "Init:Error"),
            (&json!({"terminated": {"exitCode": 3}}), &waiting, "Init:ExitCode:3"),
            (
                &json!({"waiting": {"reason": "CrashLoopBackOff"}}),
                &waiting,
                "Init:CrashLoopBackOff",
            ),
        ] {
            let mut pod = pod(
                &["main"],
                json!({
                    "phase": "Pending",
                    "initContainerStatuses": [status("a", first, false), status("b", second, false)],
                    "containerStatuses": [status("main", &waiting, false)],
                }),
            );
            let init =
                ["a", "b"].map(|name| Container { name: name.into(), ..Container::default() });
            pod.spec.as_mut().unwrap().init_containers = Some(init.to_vec());
            assert_eq!(pod_row(&pod, at(0))[1..3], ["0/1", expected]);
        }
        let mut pod = pod(
            &["main"],
            json!({
                "phase": "Running",
                "initContainerStatuses": [status("proxy", &running, true)],
                "containerStatuses": [status("main", &running, true)],
            }),
        );
        pod.spec.as_mut().unwrap().init_containers = Some(vec![Container {
            name: "proxy".into(),
            restart_policy: Some("Always".into()),
            ..Container::default()
        }]);
        assert_eq!(pod_row(&pod, at(0))[1..3], ["2/2", "Running"]);
    }

    #[test]
    fn case_111_a_pod_shows_what_its_first_container_has_to_say() {
        let running = json!({"running": {}});
        let ended = json!({"terminated": {"exitCode": 0, "reason": "Completed"}});
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
    }

    #[test]
    fn case_112_restarts_tell_how_long_ago_the_last_one_was() {
        let mut failed = status("a", &json!({"waiting": {"reason": "CrashLoopBackOff"}}), false);
        failed["restartCount"] = 3.into();
        failed["lastState"] =
            json!({"terminated": {"exitCode": 1, "finishedAt": "1970-01-01T00:00:10Z"}});
        let pod = pod(&["a"], json!({"phase": "Running", "containerStatuses": [failed]}));
        assert_eq!(pod_row(&pod, at(15))[1..4], ["0/1", "CrashLoopBackOff", "3 (5s ago)"]);
    }

    #[test]
    fn a_pod_that_is_gated_or_lost_says_so() {
        let gated =
            json!([{"type": "PodScheduled", "status": "False", "reason": "SchedulingGated"}]);
        let mut pod = pod(&["a"], json!({"phase": "Pending", "conditions": gated}));
        assert_eq!(pod_row(&pod, at(0))[2], "SchedulingGated");
        pod.metadata.deletion_timestamp =
            Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(at(0)));
        assert_eq!(pod_row(&pod, at(0))[2], "Terminating");
        pod.status.as_mut().unwrap().reason = Some("NodeLost".to_owned());
        assert_eq!(pod_row(&pod, at(0))[2], "Unknown");
    }
}
