//! What a Job that does not go on waits for, in a few words.
//!
//! Owns: the words. Must not know: who shows them.

use jiff::Timestamp;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;

use crate::api::job::{
    WAITING, active, deadline_at, failed, is_finished, is_suspended, true_condition,
};
use crate::api::pod::{Phase, condition, container_statuses, phase};

/// `None`: it is over, or it runs.
pub(in crate::cli) fn waits_for(job: &Job, pods: &[Pod], now: Timestamp) -> Option<String> {
    if is_finished(job).is_some() {
        return None;
    }
    if is_suspended(job) {
        return Some("resume".to_owned());
    }
    if let Some(message) = true_condition(job, WAITING).and_then(|waits| waits.message.as_deref()) {
        return Some(message.strip_prefix("Waits for ").unwrap_or(message).to_owned());
    }
    if deadline_at(job).is_some_and(|at| at <= now) {
        return Some("its pods to end, past its deadline".to_owned());
    }
    let running = pods.iter().any(|pod| phase(pod) == Phase::Running);
    let reason = pods.iter().filter(|pod| phase(pod) == Phase::Pending).find_map(reason);
    match reason {
        Some(reason) => Some(reason),
        None if running => None,
        None if active(job) > 0 => Some("its pods to start".to_owned()),
        None if failed(job) > 0 => Some("the back-off after a failed pod".to_owned()),
        None => Some("its first pod".to_owned()),
    }
}

/// What a container that waits gives as its reason.
fn reason(pod: &Pod) -> Option<String> {
    let unscheduled = condition(pod, "PodScheduled").filter(|found| found.status == "False");
    if let Some(message) = unscheduled.and_then(|found| found.message.as_deref()) {
        return Some(format!("room on the host ({})", message.trim_end_matches('.')));
    }
    let status = pod.status.as_ref();
    let init = status.into_iter().flat_map(|s| s.init_container_statuses.iter().flatten());
    let waiting = init
        .chain(container_statuses(pod))
        .filter_map(|status| Some((status, status.state.as_ref()?.waiting.as_ref()?)));
    waiting
        .filter_map(|(status, waiting)| {
            let reason = waiting.reason.as_deref()?;
            Some(match reason {
                "PodInitializing" => return None,
                "ContainerCreating" => format!("container {} to start", status.name),
                "ErrImagePull" | "ImagePullBackOff" | "InvalidImageName" | "ErrImageNeverPull" => {
                    format!("image {} ({reason})", status.image)
                }
                other => format!("container {} ({other})", status.name),
            })
        })
        .next()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn job(spec: serde_json::Value, status: serde_json::Value) -> Job {
        let mut spec = spec;
        spec["template"] = json!({"spec": {"containers": []}});
        serde_json::from_value(json!({"metadata": {"name": "j"}, "spec": spec, "status": status}))
            .unwrap()
    }

    fn waiting(reason: &str) -> Pod {
        serde_json::from_value(json!({"metadata": {"name": "p"}, "status": {
            "phase": "Pending",
            "containerStatuses": [{
                "name": "main", "image": "no/such:1", "imageID": "", "ready": false,
                "restartCount": 0, "state": {"waiting": {"reason": reason}},
            }],
        }}))
        .unwrap()
    }

    #[test]
    fn what_a_job_waits_for_is_told_in_a_few_words() {
        let now = Timestamp::UNIX_EPOCH;
        let plain = job(json!({}), json!({"active": 1}));
        for (pods, expected) in [
            (vec![waiting("ImagePullBackOff")], "image no/such:1 (ImagePullBackOff)"),
            (vec![waiting("ContainerCreating")], "container main to start"),
            (vec![], "its pods to start"),
        ] {
            assert_eq!(waits_for(&plain, &pods, now).unwrap(), expected);
        }
        let suspended = job(json!({"suspend": true}), json!({}));
        assert_eq!(waits_for(&suspended, &[], now).unwrap(), "resume");
        let after = json!({"conditions": [{
            "type": "kiln/Waiting", "status": "True", "message": "Waits for Job a (there is none)",
        }]});
        let after = waits_for(&job(json!({}), after), &[], now);
        assert_eq!(after.unwrap(), "Job a (there is none)");
        let failed = job(json!({}), json!({"failed": 1}));
        assert_eq!(waits_for(&failed, &[], now).unwrap(), "the back-off after a failed pod");
        let over = json!({"conditions": [{"type": "Complete", "status": "True"}]});
        assert_eq!(waits_for(&job(json!({}), over), &[], now), None);
    }
}
