//! Jobs that clients send.
//!
//! Owns: what of a Job can be changed. Must not know: what the engine makes of it.
//! <https://kubernetes.io/docs/concepts/workloads/controllers/job/>

use k8s_openapi::api::batch::v1::{CronJob, CronJobStatus, Job, JobStatus};
use serde_json::Value;

use super::{Causes, stored};
use crate::api::cron::apply_defaults;
use crate::api::defaults;
use crate::api::object::Object;
use crate::api::validation::{
    validate, validate_cron_job, validate_cron_job_update, validate_update,
};

pub(super) fn create(mut job: Job) -> Result<Value, Causes> {
    // A new one has a status that says nothing: clients read its fields.
    job.status = Some(JobStatus::default());
    job.metadata.generation = Some(1);
    let uid = job.uid().to_owned();
    defaults::apply(&mut job, &uid);
    stored(&job, &validate(&job))
}

pub(super) fn update(mut job: Job, old: &Job) -> Result<Value, Causes> {
    job.status.clone_from(&old.status);
    defaults::apply(&mut job, old.uid());
    stored(&job, &validate_update(old, &job))
}

pub(super) fn create_cron(mut cron: CronJob) -> Result<Value, Causes> {
    cron.status = Some(CronJobStatus::default());
    cron.metadata.generation = Some(1);
    apply_defaults(&mut cron);
    stored(&cron, &validate_cron_job(&cron))
}

pub(super) fn update_cron(mut cron: CronJob, old: &CronJob) -> Result<Value, Causes> {
    cron.status.clone_from(&old.status);
    apply_defaults(&mut cron);
    stored(&cron, &validate_cron_job_update(old, &cron))
}
