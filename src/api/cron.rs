//! What a CronJob says, read without `Option`s, and its defaults.
//!
//! Owns: the total accessors over [`CronJob`], and what it says where its manifest says nothing. Must
//! not know: when a Job is started.
//! <https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/cron-job-v1/>

use jiff::Timestamp;
use k8s_openapi::api::batch::v1::{CronJob, Job};

use super::defaults;
use super::object::Object;
use super::schedule::{Malformed, Schedule, zone};

/// What becomes of a start while a Job of before still runs.
/// <https://kubernetes.io/docs/concepts/workloads/controllers/cron-jobs/#concurrency-policy>
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Concurrency {
    Allow,
    Forbid,
    Replace,
}

/// Why a CronJob has no times.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unscheduled {
    /// There is no such time zone.
    Zone(String),
    Schedule(Malformed),
}

/// The times at which the CronJob is due.
///
/// # Errors
/// [`Unscheduled`]
pub fn schedule(cron: &CronJob) -> Result<Schedule, Unscheduled> {
    let name = cron.spec.time_zone.as_deref();
    let zone = zone(name).ok_or_else(|| Unscheduled::Zone(name.unwrap_or_default().to_owned()))?;
    Schedule::parse(&cron.spec.schedule, zone).map_err(Unscheduled::Schedule)
}

pub fn concurrency(cron: &CronJob) -> Concurrency {
    match cron.spec.concurrency_policy.as_deref() {
        Some("Forbid") => Concurrency::Forbid,
        Some("Replace") => Concurrency::Replace,
        None | Some(_) => Concurrency::Allow,
    }
}

pub fn is_suspended(cron: &CronJob) -> bool {
    cron.spec.suspend.unwrap_or(false)
}

/// How many Jobs that completed, and how many that failed, are kept.
/// <https://kubernetes.io/docs/concepts/workloads/controllers/cron-jobs/#jobs-history-limits>
pub fn history_limits(cron: &CronJob) -> (usize, usize) {
    let limit =
        |said: Option<i32>, default| said.map_or(default, |n| usize::try_from(n).unwrap_or(0));
    let spec = &cron.spec;
    (limit(spec.successful_jobs_history_limit, 3), limit(spec.failed_jobs_history_limit, 1))
}

/// When a Job was started last, or else when the CronJob was made: only times after it count.
pub fn seen_until(cron: &CronJob) -> Timestamp {
    let last = cron.status.as_ref().and_then(|status| status.last_schedule_time.as_ref());
    let made = cron.metadata.creation_timestamp.as_ref();
    last.or(made).map_or(Timestamp::UNIX_EPOCH, |time| time.0)
}

/// Fills in what is not said. Done twice is done once.
pub fn apply_defaults(cron: &mut CronJob) {
    cron.metadata.namespace.get_or_insert_with(|| "default".to_owned());
    let spec = &mut cron.spec;
    spec.concurrency_policy.get_or_insert_with(|| "Allow".to_owned());
    spec.suspend.get_or_insert(false);
    spec.successful_jobs_history_limit.get_or_insert(3);
    spec.failed_jobs_history_limit.get_or_insert(1);
    let mut job = Job { spec: spec.job_template.spec.take(), ..Job::default() };
    // Selector and labels are each Job's own.
    let job_spec = job.spec.get_or_insert_default();
    let (manual, selector) = (job_spec.manual_selector, job_spec.selector.take());
    job_spec.manual_selector = Some(true);
    defaults::apply(&mut job, "");
    if let Some(spec) = &mut job.spec {
        (spec.manual_selector, spec.selector) = (manual, selector);
    }
    spec.job_template.spec = job.spec;
}

/// The Job as the template says, for a start with this name and uid.
pub fn job(cron: &CronJob, name: &str, uid: &str) -> Job {
    let template = cron.spec.job_template.clone();
    let meta = template.metadata.unwrap_or_default();
    let mut job = Job { spec: template.spec, ..Job::default() };
    job.metadata.name = Some(name.to_owned());
    job.metadata.namespace = Some(cron.namespace().to_owned());
    job.metadata.labels = meta.labels;
    job.metadata.annotations = meta.annotations;
    job.metadata.generation = Some(1);
    defaults::apply(&mut job, uid);
    job
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cron_job_has_its_defaults_once() {
        let mut cron = CronJob::default();
        apply_defaults(&mut cron);
        assert_eq!((concurrency(&cron), history_limits(&cron)), (Concurrency::Allow, (3, 1)));
        let template = cron.spec.job_template.spec.as_ref().unwrap();
        assert_eq!((template.backoff_limit, &template.selector), (Some(6), &None));
        assert_eq!((template.manual_selector, &template.template.metadata), (None, &None));
        let once = cron.clone();
        apply_defaults(&mut cron);
        assert_eq!(cron, once);
    }

    #[test]
    fn a_job_of_the_template_is_complete() {
        let mut cron = CronJob::default();
        apply_defaults(&mut cron);
        let job = job(&cron, "a-1", "u");
        let selector = job.spec.unwrap().selector.unwrap().match_labels.unwrap();
        assert_eq!(selector["batch.kubernetes.io/controller-uid"], "u");
        assert_eq!(
            (job.metadata.name.as_deref(), job.metadata.uid.as_deref()),
            (Some("a-1"), Some("u"))
        );
    }
}
