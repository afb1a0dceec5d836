//! What is told of Jobs and pods while they run, a line each.
//!
//! Owns: the words, and that nothing is told twice. Must not know: where they are printed.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{ContainerStateTerminated, ContainerStatus, Event, Pod};

use crate::api::job::{Finished, is_finished, true_condition};
use crate::api::object::{Key, Object};
use crate::api::pod::{Phase, all_container_statuses, phase};
use crate::runtime::Pulls;

/// What the status of a pod or of a Job tells already.
pub(super) const TOLD_OTHERWISE: [&str; 5] =
    ["Failed", "BackOff", "BackoffLimitExceeded", "DeadlineExceeded", "ImagePullDeadlineExceeded"];

/// How much is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Detail {
    /// Also what goes as it should.
    All,
    /// Only what does not.
    Trouble,
    Nothing,
}

/// What was told already.
#[derive(Debug)]
pub(super) struct Report {
    detail: Detail,
    jobs: BTreeSet<String>,
    pods: BTreeMap<String, Told>,
    pulling: BTreeSet<String>,
    pulled: BTreeSet<String>,
    events: BTreeSet<String>,
}

#[derive(Debug, Default)]
struct Told {
    started: bool,
    ended: bool,
    /// Container and id of the ends that were told.
    ends: BTreeSet<(String, Option<String>)>,
    /// Why a container waits: container and text.
    waits: BTreeSet<(String, String)>,
}

impl Report {
    pub(super) fn new(detail: Detail) -> Self {
        Self {
            detail,
            jobs: BTreeSet::new(),
            pods: BTreeMap::new(),
            pulling: BTreeSet::new(),
            pulled: BTreeSet::new(),
            events: BTreeSet::new(),
        }
    }

    pub(super) fn created(&self, job: &Job) -> Vec<String> {
        self.lines(Detail::All, vec![format!("{} created", named(job))])
    }

    pub(super) fn created_other(&self, key: &Key) -> Vec<String> {
        let kind = key.kind.as_str().to_lowercase();
        self.lines(Detail::All, vec![format!("{kind}/{} created", key.name)])
    }

    pub(super) fn job(&mut self, job: &Job) -> Vec<String> {
        let Some(finished) = is_finished(job) else { return Vec::new() };
        if !self.jobs.insert(job.uid().to_owned()) {
            return Vec::new();
        }
        match finished {
            Finished::Complete => {
                self.lines(Detail::All, vec![format!("{} is complete", named(job))])
            }
            Finished::Failed => self.lines(Detail::Trouble, vec![failure(job)]),
        }
    }

    pub(super) fn pod(&mut self, pod: &Pod) -> Vec<String> {
        let told = self.pods.entry(pod.uid().to_owned()).or_default();
        let (mut news, mut trouble) = (Vec::new(), Vec::new());
        let name = format!("pod/{}", pod.name());
        let ran = |status: &ContainerStatus| {
            let runs = status.state.as_ref().is_some_and(|state| state.running.is_some());
            runs || ends(status).any(|(end, _)| end.reason.as_deref() != Some("StartError"))
        };
        if !told.started && all_container_statuses(pod).any(ran) {
            told.started = true;
            news.push(format!("{name} started"));
        }
        for status in all_container_statuses(pod) {
            trouble.extend(told.container(&name, status));
        }
        let phase = phase(pod);
        if phase.is_terminal() && !told.ended {
            told.ended = true;
            let status = pod.status.as_ref();
            let reason = status.and_then(|status| status.reason.as_ref());
            let message = status.and_then(|status| status.message.as_ref());
            let why: String = [reason, message].into_iter().flatten().map(prefixed).collect();
            match phase {
                Phase::Succeeded => news.push(format!("{name} succeeded")),
                Phase::Failed | Phase::Pending | Phase::Running | Phase::Unknown => {
                    trouble.push(format!("{name} failed{why}"));
                }
            }
        }
        let mut lines = self.lines(Detail::All, news);
        lines.extend(self.lines(Detail::Trouble, trouble));
        lines
    }

    pub(super) fn pod_gone(&mut self, uid: &str) {
        self.pods.remove(uid);
    }

    /// The images whose transfer has begun.
    pub(super) fn pulls(&mut self, pulls: &Pulls) -> Vec<String> {
        self.pulling.retain(|image| pulls.contains_key(image));
        let new = pulls.keys().filter(|image| self.pulling.insert((*image).clone()));
        let lines = new.map(|image| format!("pulling {image}")).collect();
        self.lines(Detail::All, lines)
    }

    pub(super) fn event(&mut self, event: &Event) -> Vec<String> {
        let reason = event.reason.as_deref().unwrap_or_default();
        let message = event.message.as_deref().unwrap_or_default();
        if reason == "Pulled" {
            return match pulled(message) {
                Some(line) if self.pulled.insert(line.clone()) => {
                    self.lines(Detail::All, vec![line])
                }
                Some(_) | None => Vec::new(),
            };
        }
        let is_trouble = event.type_.as_deref() == Some("Warning");
        let first = is_trouble
            && !TOLD_OTHERWISE.contains(&reason)
            && self.events.insert(event.name().to_owned());
        let lines = first.then(|| format!("{}: {reason}: {message}", subject(event)));
        self.lines(Detail::Trouble, lines.into_iter().collect())
    }

    fn lines(&self, detail: Detail, lines: Vec<String>) -> Vec<String> {
        let shown = match self.detail {
            Detail::All => true,
            Detail::Trouble => detail == Detail::Trouble,
            Detail::Nothing => false,
        };
        if shown { lines } else { Vec::new() }
    }
}

impl Told {
    /// What is wrong with a container, as far as it is new.
    fn container(&mut self, pod: &str, status: &ContainerStatus) -> Vec<String> {
        let mut lines = Vec::new();
        let name = &status.name;
        let waiting = status.state.as_ref().and_then(|state| state.waiting.as_ref());
        for (end, again) in ends(status) {
            let failed = end.exit_code != 0 || again;
            let id = (name.clone(), end.container_id.clone());
            if failed && self.ends.insert(id) {
                let backoff = waiting.and_then(|waiting| waiting.message.as_deref());
                let rest = if again { restarting(backoff) } else { String::new() };
                lines.push(format!("{pod}: {name} {}{rest}", ended(end)));
            }
        }
        let reason = waiting.and_then(|waiting| waiting.reason.as_deref()).unwrap_or_default();
        let message = waiting.and_then(|waiting| waiting.message.as_deref()).unwrap_or_default();
        let told_with_its_end = ["", "CrashLoopBackOff", "RunContainerError"].contains(&reason);
        if !message.is_empty() && !told_with_its_end {
            let text = format!("{reason}: {message}");
            if self.waits.insert((name.clone(), text.clone())) {
                lines.push(format!("{pod}: {name} waits: {text}"));
            }
        }
        lines
    }
}

/// The ends that a status tells of, the earlier one first; whether the container is started again.
pub(super) fn ends(
    status: &ContainerStatus,
) -> impl Iterator<Item = (&ContainerStateTerminated, bool)> {
    let last = status.last_state.as_ref().and_then(|last| last.terminated.as_ref());
    let now = status.state.as_ref().and_then(|state| state.terminated.as_ref());
    last.map(|end| (end, true)).into_iter().chain(now.map(|end| (end, false)))
}

/// `exited with code 3 (Error)`
pub(super) fn ended(end: &ContainerStateTerminated) -> String {
    let reason = end.reason.as_deref().unwrap_or_default();
    let message = end.message.as_ref().map(prefixed).unwrap_or_default();
    match reason {
        "StartError" => format!("could not be started{message}"),
        "" => format!("exited with code {}{message}", end.exit_code),
        reason => format!("exited with code {} ({reason}){message}", end.exit_code),
    }
}

/// `job.batch/pi failed: BackoffLimitExceeded: Job has reached the specified backoff limit`
pub(super) fn failure(job: &Job) -> String {
    let condition = true_condition(job, "Failed");
    let reason = condition.and_then(|condition| condition.reason.as_ref());
    let message = condition.and_then(|condition| condition.message.as_ref());
    let why: String = [reason, message].into_iter().flatten().map(prefixed).collect();
    format!("{} failed{why}", named(job))
}

/// `job.batch/pi`
pub(super) fn named(job: &Job) -> String {
    format!("job.batch/{}", job.name())
}

/// What an Event is about: `pod/pi-abcde`.
pub(super) fn subject(event: &Event) -> String {
    let about = &event.involved_object;
    let name = about.name.as_deref().unwrap_or_default();
    match about.kind.as_deref() {
        Some("Job") => format!("job.batch/{name}"),
        Some(kind) => format!("{}/{name}", kind.to_ascii_lowercase()),
        None => name.to_owned(),
    }
}

fn prefixed(text: &String) -> String {
    format!(": {text}")
}

/// The back-off is told as `back-off 20s restarting failed container=...`.
fn restarting(backoff: Option<&str>) -> String {
    let time = backoff
        .and_then(|message| message.strip_prefix("back-off "))
        .and_then(|rest| rest.split_once(' '));
    match time {
        Some((time, _)) => format!(", is restarted in {time}"),
        None => ", is restarted".to_owned(),
    }
}

/// `pulled busybox:1 in 1.2s (2154321 bytes)`; `None` for an image that was there.
fn pulled(message: &str) -> Option<String> {
    let rest = message.strip_prefix("Successfully pulled image \"")?;
    let (image, rest) = rest.split_once("\" in ")?;
    let (time, rest) = rest.split_once(' ')?;
    let (_, size) = rest.split_once("Image size: ")?;
    let size = size.strip_suffix('.')?;
    Some(format!("pulled {image} in {time} ({size})"))
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use serde_json::{Value, json};

    use super::*;
    use crate::runtime::PullProgress;

    fn pod(phase: &str, state: &Value, last: &Value, id: Option<&str>) -> Pod {
        serde_json::from_value(json!({
            "metadata": {"name": "p", "uid": "u"},
            "status": {"phase": phase, "containerStatuses": [{
                "name": "main", "image": "", "imageID": "", "ready": false, "restartCount": 0,
                "state": state, "lastState": last, "containerID": id,
            }]},
        }))
        .unwrap()
    }

    fn event(kind: &str, reason: &str, message: &str) -> Event {
        serde_json::from_value(json!({
            "metadata": {"name": reason}, "involvedObject": {"kind": "Pod", "name": "p"},
            "type": kind, "reason": reason, "message": message,
        }))
        .unwrap()
    }

    #[test]
    fn each_step_of_a_pods_life_is_told_once() {
        let mut report = Report::new(Detail::All);
        let end = json!({"terminated": {"exitCode": 3, "reason": "Error", "containerID": "a"}});
        let backoff = json!({"waiting": {"reason": "CrashLoopBackOff",
            "message": "back-off 20s restarting failed container=main"}});
        let waits = json!({"waiting": {"reason": "ErrImagePull", "message": "x: not found"}});
        let none = json!({});
        let steps = [
            (pod("Pending", &waits, &none, None), "pod/p: main waits: ErrImagePull: x: not found"),
            (pod("Running", &json!({"running": {}}), &none, Some("a")), "pod/p started"),
            (
                pod("Running", &backoff, &end, Some("a")),
                "pod/p: main exited with code 3 (Error), is restarted in 20s",
            ),
            (
                pod("Succeeded", &json!({"terminated": {"exitCode": 0}}), &end, Some("b")),
                "pod/p succeeded",
            ),
        ];
        for (pod, expected) in steps {
            assert_eq!(report.pod(&pod), [expected]);
            assert_eq!(report.pod(&pod), [""; 0]);
        }
    }

    #[test]
    fn a_pod_that_failed_says_with_which_code_and_why() {
        let end = json!({"terminated": {"exitCode": 137, "reason": "OOMKilled"}});
        let mut failed = pod("Failed", &end, &json!({}), Some("a"));
        failed.status.as_mut().unwrap().reason = Some("DeadlineExceeded".into());
        assert_eq!(
            Report::new(Detail::Trouble).pod(&failed),
            ["pod/p: main exited with code 137 (OOMKilled)", "pod/p failed: DeadlineExceeded"]
        );
    }

    #[test]
    fn a_transfer_is_told_once_and_an_image_that_was_there_never() {
        let mut report = Report::new(Detail::All);
        let text = "Successfully pulled image \"busybox:1\" in 1.200s (1.300s including waiting). \
                    Image size: 2154321 bytes.";
        assert_eq!(
            report.event(&event("Normal", "Pulled", text)),
            ["pulled busybox:1 in 1.200s (2154321 bytes)"]
        );
        assert_eq!(report.event(&event("Normal", "Pulled", text)), [""; 0]);
        for there in [
            "Container image \"busybox:2\" already present on machine",
            "Successfully pulled image \"busybox:2\" in 12ms (12ms including waiting)",
        ] {
            assert_eq!(report.event(&event("Normal", "Pulled", there)), [""; 0]);
        }
    }

    #[test]
    fn a_pull_is_told_when_it_begins() {
        let mut report = Report::new(Detail::All);
        let pull = PullProgress { since: Timestamp::UNIX_EPOCH, layers: Vec::new() };
        let pulls = Pulls::from([("docker.io/library/busybox:1".to_owned(), pull)]);
        assert_eq!(report.pulls(&pulls), ["pulling docker.io/library/busybox:1"]);
        assert_eq!(report.pulls(&pulls), [""; 0]);
        assert_eq!(report.pulls(&Pulls::new()), [""; 0]);
        assert_eq!(report.pulls(&pulls).len(), 1, "it is tried again");
    }

    #[test]
    fn a_warning_is_told_once_unless_a_status_tells_it() {
        let mut report = Report::new(Detail::Trouble);
        let warning = event("Warning", "FailedCreatePodSandBox", "no space");
        assert_eq!(report.event(&warning), ["pod/p: FailedCreatePodSandBox: no space"]);
        assert_eq!(report.event(&warning), [""; 0]);
        assert_eq!(report.event(&event("Warning", "BackOff", "again")), [""; 0]);
        assert_eq!(report.event(&event("Normal", "Created", "fine")), [""; 0]);
    }
}
