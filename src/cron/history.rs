//! How many Jobs that are over a CronJob keeps.
//!
//! Owns: which of them go. Must not know: those that run.
//! <https://kubernetes.io/docs/concepts/workloads/controllers/cron-jobs/#jobs-history-limits>

use jiff::Timestamp;
use k8s_openapi::api::batch::v1::{CronJob, Job};

use crate::api::cron::history_limits;
use crate::api::job::{Finished, is_finished, start_time};
use crate::api::object::Object;

/// The oldest Jobs beyond the limits, of those that completed and of those that failed.
/// <https://kubernetes.io/docs/concepts/workloads/controllers/cron-jobs/#jobs-history-limits>
pub(super) fn surplus<'a>(cron: &CronJob, jobs: &[&'a Job]) -> Vec<&'a Job> {
    let (completed, failed) = history_limits(cron);
    let mut gone = oldest(jobs, Finished::Complete, completed);
    gone.extend(oldest(jobs, Finished::Failed, failed));
    gone
}

fn oldest<'a>(jobs: &[&'a Job], end: Finished, kept: usize) -> Vec<&'a Job> {
    let over = jobs.iter().copied().filter(|job| is_finished(job) == Some(end));
    let mut over: Vec<&Job> = over.filter(|job| !job.is_deleting()).collect();
    let started = |job: &Job| start_time(job).unwrap_or(Timestamp::MIN);
    over.sort_by(|a, b| started(a).cmp(&started(b)).then_with(|| a.name().cmp(b.name())));
    over.truncate(over.len().saturating_sub(kept));
    over
}
