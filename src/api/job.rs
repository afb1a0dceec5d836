//! What a Job says, read without `Option`s.
//!
//! Owns: the total accessors over [`Job`]. Must not know: pods, the rules of the Job controller.
//! Every accessor answers for every Job, also for one that was never defaulted.

use std::time::Duration;

use super::extensions::ttl_after_failed;
use jiff::Timestamp;
use k8s_openapi::api::batch::v1::{Job, JobCondition, JobSpec, JobStatus};

/// What `spec.managedBy` calls this controller.
pub const CONTROLLER: &str = "kubernetes.io/job-controller";

/// The condition of a Job that waits for others, in kiln only.
pub const WAITING: &str = "kiln/Waiting";

/// When a Job is complete.
/// <https://kubernetes.io/docs/concepts/workloads/controllers/job/#parallel-jobs>
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Completion {
    /// A work queue: complete when any pod succeeded and none runs any more.
    AnyOne,
    /// Complete when so many pods succeeded.
    Count(u32),
    /// Complete when one pod succeeded for each index below this.
    Indexed(u32),
}

impl Completion {
    /// Reads `completions` and `completionMode`.
    pub fn of(job: &Job) -> Self {
        let Some(spec) = &job.spec else { return Self::Count(1) };
        let indexed = spec.completion_mode.as_deref() == Some("Indexed");
        match (spec.completions, indexed) {
            (Some(n), true) => Self::Indexed(count(n)),
            (Some(n), false) => Self::Count(count(n)),
            (None, true) => Self::Indexed(0),
            (None, false) if spec.parallelism.is_none() => Self::Count(1),
            (None, false) => Self::AnyOne,
        }
    }
}

/// How a Job ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Finished {
    Complete,
    Failed,
}

/// How many pods may run at once.
pub fn parallelism(job: &Job) -> u32 {
    spec(job).and_then(|s| s.parallelism).map_or(1, count)
}

/// How many failures the Job bears.
/// <https://kubernetes.io/docs/concepts/workloads/controllers/job/#pod-backoff-failure-policy>
pub fn backoff_limit(job: &Job) -> u32 {
    spec(job).and_then(|s| s.backoff_limit).map_or(6, count)
}

/// How long the Job may be active, counted from its start.
/// <https://kubernetes.io/docs/concepts/workloads/controllers/job/#job-termination-and-cleanup>
pub fn active_deadline(job: &Job) -> Option<Duration> {
    let seconds = spec(job)?.active_deadline_seconds?;
    Some(Duration::from_secs(u64::try_from(seconds).unwrap_or(0)))
}

/// When the Job fails for having been active too long, once it has started; never while it waits.
pub fn deadline_at(job: &Job) -> Option<Timestamp> {
    if is_suspended(job) {
        return None;
    }
    let started = start_time(job)?;
    let allowed = active_deadline(job)?;
    Some(started.checked_add(allowed).unwrap_or(Timestamp::MAX))
}

/// Whether every index has a limit of its own, and which.
/// <https://kubernetes.io/docs/concepts/workloads/controllers/job/#backoff-limit-per-index>
pub fn backoff_limit_per_index(job: &Job) -> Option<u32> {
    spec(job)?.backoff_limit_per_index.map(count)
}

/// How many indexes may fail before the Job does.
pub fn max_failed_indexes(job: &Job) -> Option<u32> {
    spec(job)?.max_failed_indexes.map(count)
}

/// Whether a pod is replaced only once it has ended, and not already when it is deleted.
/// <https://kubernetes.io/docs/concepts/workloads/controllers/job/#pod-replacement-policy>
pub fn replaces_only_ended(job: &Job) -> bool {
    spec(job).is_some_and(|s| {
        s.pod_failure_policy.is_some() || s.pod_replacement_policy.as_deref() == Some("Failed")
    })
}

/// Whether another controller works on the Job, and this one leaves it alone.
/// <https://kubernetes.io/docs/concepts/workloads/controllers/job/#delegation-of-managing-a-job-object-to-external-controller>
pub fn is_managed_elsewhere(job: &Job) -> bool {
    let manager = spec(job).and_then(|s| s.managed_by.as_deref());
    manager.is_some_and(|manager| manager != CONTROLLER)
}

/// Whether no pods should run for now.
pub fn is_suspended(job: &Job) -> bool {
    spec(job).and_then(|s| s.suspend).unwrap_or(false)
}

/// When the Job was first worked on.
pub fn start_time(job: &Job) -> Option<Timestamp> {
    status(job)?.start_time.as_ref().map(|t| t.0)
}

/// When the Job completed; a failed Job has none.
pub fn completion_time(job: &Job) -> Option<Timestamp> {
    status(job)?.completion_time.as_ref().map(|t| t.0)
}

/// The condition of this type, whatever its status.
pub fn condition<'a>(job: &'a Job, kind: &str) -> Option<&'a JobCondition> {
    status(job)?.conditions.iter().flatten().find(|c| c.type_ == kind)
}

/// The condition of this type, if it is true.
pub fn true_condition<'a>(job: &'a Job, kind: &str) -> Option<&'a JobCondition> {
    condition(job, kind).filter(|c| c.status == "True")
}

/// Whether the Job is over, and how it ended.
/// <https://kubernetes.io/docs/concepts/workloads/controllers/job/#terminal-job-conditions>
pub fn is_finished(job: &Job) -> Option<Finished> {
    if true_condition(job, "Complete").is_some() {
        Some(Finished::Complete)
    } else if true_condition(job, "Failed").is_some() {
        Some(Finished::Failed)
    } else {
        None
    }
}

/// When a Job that is over is to be deleted, if ever: so long after it ended.
/// <https://kubernetes.io/docs/concepts/workloads/controllers/ttlafterfinished/>
pub fn expires_at(job: &Job) -> Option<Timestamp> {
    let own = spec(job).and_then(|s| s.ttl_seconds_after_finished);
    let own = own.map(|seconds| Duration::from_secs(count(seconds).into()));
    let (ended, kept) = match is_finished(job)? {
        Finished::Complete => (true_condition(job, "Complete")?, own),
        Finished::Failed => (true_condition(job, "Failed")?, ttl_after_failed(job).or(own)),
    };
    let ended = ended.last_transition_time.as_ref()?.0;
    Some(ended.checked_add(kept?).unwrap_or(Timestamp::MAX))
}

/// Pods that are neither terminal nor deleted.
pub fn active(job: &Job) -> u32 {
    status(job).and_then(|s| s.active).map_or(0, count)
}

/// Pods counted as succeeded.
pub fn succeeded(job: &Job) -> u32 {
    status(job).and_then(|s| s.succeeded).map_or(0, count)
}

/// Pods counted as failed.
pub fn failed(job: &Job) -> u32 {
    status(job).and_then(|s| s.failed).map_or(0, count)
}

fn spec(job: &Job) -> Option<&JobSpec> {
    job.spec.as_ref()
}

fn status(job: &Job) -> Option<&JobStatus> {
    job.status.as_ref()
}

/// Admission refuses negative numbers; a total accessor reads them as none.
fn count(n: i32) -> u32 {
    u32::try_from(n).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(spec: JobSpec) -> Job {
        Job { spec: Some(spec), ..Job::default() }
    }

    #[test]
    fn completions_and_parallelism_say_when_a_job_is_complete() {
        let of = |completions, parallelism, mode: Option<&str>| {
            Completion::of(&job(JobSpec {
                completions,
                parallelism,
                completion_mode: mode.map(str::to_owned),
                ..JobSpec::default()
            }))
        };
        assert_eq!(of(None, None, None), Completion::Count(1));
        assert_eq!(of(None, Some(3), Some("NonIndexed")), Completion::AnyOne);
        assert_eq!(of(Some(5), Some(3), None), Completion::Count(5));
        assert_eq!(of(Some(0), None, None), Completion::Count(0));
        assert_eq!(of(Some(5), None, Some("Indexed")), Completion::Indexed(5));
    }

    #[test]
    fn a_job_expires_so_long_after_its_end() {
        let ended = |kind: &str, ttl: Option<i32>, failed_ttl: Option<&str>| {
            let mut job = job(JobSpec { ttl_seconds_after_finished: ttl, ..JobSpec::default() });
            let condition = serde_json::json!({
                "type": kind, "status": "True", "lastTransitionTime": "1970-01-01T00:01:40Z",
            });
            let condition = serde_json::from_value(condition).unwrap();
            job.status.get_or_insert_default().conditions = Some(vec![condition]);
            let text = failed_ttl.map(|text| ("kiln/ttl-seconds-after-failed".into(), text.into()));
            job.metadata.annotations = Some(text.into_iter().collect());
            expires_at(&job).map(Timestamp::as_second)
        };
        assert_eq!(ended("Complete", Some(60), None), Some(160));
        assert_eq!(ended("Failed", Some(0), None), Some(100));
        assert_eq!(ended("Failed", Some(0), Some("3600")), Some(3700));
        assert_eq!(ended("Failed", None, Some("10")), Some(110));
        assert_eq!(ended("Complete", None, Some("10")), None);
        assert_eq!(ended("FailureTarget", Some(60), None), None);
    }

    #[test]
    fn a_job_without_a_spec_still_answers() {
        let job = Job::default();
        assert_eq!(Completion::of(&job), Completion::Count(1));
        assert_eq!((parallelism(&job), backoff_limit(&job)), (1, 6));
        assert_eq!(active_deadline(&job), None);
        assert_eq!(is_finished(&job), None);
    }

    #[test]
    fn only_a_true_condition_finishes_a_job() {
        let with = |type_: &str, status: &str| Job {
            status: Some(JobStatus {
                conditions: Some(vec![JobCondition {
                    type_: type_.into(),
                    status: status.into(),
                    ..JobCondition::default()
                }]),
                ..JobStatus::default()
            }),
            ..Job::default()
        };
        assert_eq!(is_finished(&with("Complete", "True")), Some(Finished::Complete));
        assert_eq!(is_finished(&with("Failed", "True")), Some(Finished::Failed));
        assert_eq!(is_finished(&with("Failed", "False")), None);
        assert_eq!(is_finished(&with("FailureTarget", "True")), None);
    }
}
