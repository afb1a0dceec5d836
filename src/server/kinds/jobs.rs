//! Jobs that clients send.
//!
//! Owns: what of a Job can be changed. Must not know: what the engine makes of it.
//! <https://kubernetes.io/docs/concepts/workloads/controllers/job/>

use k8s_openapi::api::batch::v1::{Job, JobSpec};
use serde_json::Value;

use super::{Causes, immutable, stored};
use crate::api::defaults;
use crate::api::object::Object;
use crate::api::validation::validate;

pub(super) fn create(mut job: Job) -> Result<Value, Causes> {
    job.status = None;
    job.metadata.generation = Some(1);
    let uid = job.uid().to_owned();
    defaults::apply(&mut job, &uid);
    stored(&job, &validate(&job))
}

pub(super) fn update(mut job: Job, old: &Job) -> Result<Value, Causes> {
    job.status.clone_from(&old.status);
    defaults::apply(&mut job, old.uid());
    let none = JobSpec::default();
    let (new_spec, old_spec) =
        (job.spec.as_ref().unwrap_or(&none), old.spec.as_ref().unwrap_or(&none));
    let mut wrong = Vec::new();
    if new_spec.completions != old_spec.completions {
        wrong.push(immutable("spec.completions", &new_spec.completions));
    }
    if new_spec.selector != old_spec.selector {
        wrong.push(immutable("spec.selector", &new_spec.selector));
    }
    if new_spec.template != old_spec.template {
        wrong.push(immutable("spec.template", &new_spec.template));
    }
    if new_spec.completion_mode != old_spec.completion_mode {
        wrong.push(immutable("spec.completionMode", &new_spec.completion_mode));
    }
    if new_spec.manual_selector != old_spec.manual_selector {
        wrong.push(immutable("spec.manualSelector", &new_spec.manual_selector));
    }
    let refused = stored(&job, &validate(&job));
    if wrong.is_empty() {
        return refused;
    }
    wrong.extend(refused.err().into_iter().flatten());
    Err(wrong)
}
