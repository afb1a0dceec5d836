//! How a Job ends.
//!
//! Owns: the conditions with their reasons and messages, and which of them is met. Must not know: how
//! many pods run.
//! <https://kubernetes.io/docs/concepts/workloads/controllers/job/#terminal-job-conditions>

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::batch::v1::{Job, JobCondition, JobStatus};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::backoff::later;
use super::tally::Tally;
use crate::api::job::{backoff_limit, deadline_at, true_condition};
use crate::api::object::Object;
use crate::api::pod::{RestartPolicy, all_container_statuses, restart_policy};

/// What is decided of a Job; it shows as an interim condition until the last pod has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Verdict {
    pub(super) success: bool,
    pub(super) reason: String,
    pub(super) message: String,
}

impl Verdict {
    pub(super) fn failure(reason: &str, message: impl Into<String>) -> Self {
        Self { success: false, reason: reason.to_owned(), message: message.into() }
    }

    pub(super) fn success(reason: &str, message: impl Into<String>) -> Self {
        Self { success: true, reason: reason.to_owned(), message: message.into() }
    }

    pub(super) fn completions_reached() -> Self {
        Self::success("CompletionsReached", "Reached expected number of succeeded pods")
    }

    /// The verdict that the status carries already.
    pub(super) fn stored(job: &Job) -> Option<Self> {
        let read = |kind, success| {
            true_condition(job, kind).map(|c| Self {
                success,
                reason: c.reason.clone().unwrap_or_default(),
                message: c.message.clone().unwrap_or_default(),
            })
        };
        read("SuccessCriteriaMet", true).or_else(|| read("FailureTarget", false))
    }

    /// `failed`: with the pods that are counted now.
    /// <https://kubernetes.io/docs/concepts/workloads/controllers/job/#pod-backoff-failure-policy>
    pub(super) fn too_many_failures(job: &Job, tally: &Tally<'_>, failed: u32) -> Option<Self> {
        let message = "Job has reached the specified backoff limit";
        (failed > backoff_limit(job) || restarted_too_often(job, tally))
            .then(|| Self::failure("BackoffLimitExceeded", message))
    }

    /// <https://kubernetes.io/docs/concepts/workloads/controllers/job/#job-termination-and-cleanup>
    pub(super) fn too_long(job: &Job, now: Timestamp) -> Option<Self> {
        let message = "Job was active longer than specified deadline";
        deadline_at(job)
            .is_some_and(|at| at <= now)
            .then(|| Self::failure("DeadlineExceeded", message))
    }

    /// A pod that cannot get its image fails the Job, where that is asked for.
    pub(super) fn no_image(tally: &Tally<'_>, patience: Patience, now: Timestamp) -> Option<Self> {
        let (pod, error) = tally.active.iter().find_map(|pod| {
            let at = pull_deadline_at(pod, patience)?;
            (at <= now).then(|| pull_error(pod)).flatten().map(|error| (pod, error))
        })?;
        let message = format!("Pod {} did not get its image in time: {error}", pod.name());
        Some(Self::failure("ImagePullDeadlineExceeded", message))
    }

    /// As an Event names the reason.
    pub(super) fn event_reason(&self) -> &'static str {
        const REASONS: [&str; 7] = [
            "BackoffLimitExceeded",
            "DeadlineExceeded",
            "DependencyFailed",
            "FailedIndexes",
            "ImagePullDeadlineExceeded",
            "MaxFailedIndexesExceeded",
            "PodFailurePolicy",
        ];
        REASONS.into_iter().find(|reason| *reason == self.reason).unwrap_or("Failed")
    }

    pub(super) fn interim(&self) -> &'static str {
        if self.success { "SuccessCriteriaMet" } else { "FailureTarget" }
    }

    pub(super) fn last(&self) -> &'static str {
        if self.success { "Complete" } else { "Failed" }
    }

    /// Adds a condition of this type, unless the Job has it already.
    pub(super) fn add_to(&self, status: &mut JobStatus, kind: &str, now: Timestamp) {
        let conditions = status.conditions.get_or_insert_default();
        if conditions.iter().any(|c| c.type_ == kind && c.status == "True") {
            return;
        }
        let now = Some(whole(now));
        conditions.push(JobCondition {
            type_: kind.to_owned(),
            status: "True".to_owned(),
            reason: Some(self.reason.clone()),
            message: Some(self.message.clone()),
            last_probe_time: now.clone(),
            last_transition_time: now,
        });
    }
}

/// Containers that restart in their pod count too, if the pod does not count as failed for it.
/// <https://kubernetes.io/docs/concepts/workloads/controllers/job/#pod-backoff-failure-policy>
fn restarted_too_often(job: &Job, tally: &Tally<'_>) -> bool {
    let template = job.spec.as_ref().and_then(|spec| spec.template.spec.clone());
    let policy = restart_policy(&Pod { spec: template, ..Pod::default() });
    let limit = backoff_limit(job);
    policy == RestartPolicy::OnFailure && tally.restarts > 0 && tally.restarts >= limit
}

/// How long a pod may be without its image; `None`: for ever.
pub(super) type Patience = Option<Duration>;

/// When a pod that cannot get an image makes its Job fail.
pub(super) fn pull_deadline_at(pod: &Pod, patience: Patience) -> Option<Timestamp> {
    pull_error(pod)?;
    let made = pod.metadata.creation_timestamp.as_ref().map(|t| t.0);
    // A container that ran before had its image until then.
    let since = [crate::api::pod::start_time(pod).or(made), crate::api::pod::finished_at(pod)];
    Some(later(since.into_iter().flatten().max()?, patience?))
}

/// What a container of the pod that cannot get its image says.
fn pull_error(pod: &Pod) -> Option<String> {
    const REASONS: [&str; 4] =
        ["ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull"];
    all_container_statuses(pod).find_map(|status| {
        let waiting = status.state.as_ref()?.waiting.as_ref()?;
        let reason = waiting.reason.as_deref().filter(|reason| REASONS.contains(reason))?;
        Some(waiting.message.clone().unwrap_or_else(|| reason.to_owned()))
    })
}

/// A time as objects carry it, in whole seconds. Written any finer it would differ from itself once
/// it was stored.
pub(super) fn whole(at: Timestamp) -> Time {
    Time(Timestamp::from_second(at.as_second()).expect("a time without its fraction is a time"))
}
