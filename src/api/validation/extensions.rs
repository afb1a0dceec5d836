//! Which annotations under `kiln/` a Job may have.
//!
//! Owns: their checks, as far as the Job itself says all that is needed. Must not know: other Jobs.

use k8s_openapi::api::batch::v1::Job;

use super::{Found, quoted};
use crate::api::extensions::{self, AFTER, COMPLETION_CONTAINERS, after, completion_containers};
use crate::api::job;
use crate::api::object::Object;
use crate::api::path::Path;

impl Found {
    pub(super) fn extensions(&mut self, path: &Path, job: &Job) {
        for (key, value) in job.metadata.annotations.iter().flatten() {
            if let Some(detail) = extensions::refusal(key, value) {
                self.invalid(&path.key(key), quoted(value), detail);
            }
        }
        if after(job).contains(&job.name()) {
            self.invalid(&path.key(AFTER), quoted(job.name()), "a Job cannot wait for itself");
        }
        let template = job.spec.as_ref().and_then(|spec| spec.template.spec.as_ref());
        let containers = template.map_or(&[][..], |spec| &spec.containers);
        for name in completion_containers(&job.metadata).into_iter().flatten() {
            if !containers.iter().any(|container| container.name == name) {
                let detail = "is no container of the template (init containers do not count)";
                self.invalid(&path.key(COMPLETION_CONTAINERS), quoted(name), detail);
            }
        }
    }

    /// What a Job waits for may change for as long as it waits.
    pub(super) fn extensions_update(&mut self, path: &Path, old: &Job, new: &Job) {
        let begun = job::start_time(old).is_some() || job::is_finished(old).is_some();
        if begun && after(old) != after(new) {
            let detail = "may only be changed before the Job begins";
            self.invalid(&path.key(AFTER), quoted(&after(new).join(",")), detail);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::api::defaults;
    use crate::api::validation::{validate, validate_update};

    fn job(annotations: &serde_json::Value) -> Job {
        let mut job: Job = serde_json::from_value(json!({
            "metadata": {"name": "pi", "namespace": "n", "annotations": annotations},
            "spec": {"template": {"spec": {
                "restartPolicy": "Never",
                "initContainers": [{"name": "first", "image": "b"}],
                "containers": [{"name": "main", "image": "b"}, {"name": "helper", "image": "b"}],
            }}},
        }))
        .unwrap();
        defaults::apply(&mut job, "u");
        job
    }

    fn refused(annotations: &serde_json::Value) -> Vec<String> {
        validate(&job(annotations)).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn the_names_in_annotations_have_to_make_sense() {
        assert_eq!(refused(&json!({"kiln/completion-containers": "main, helper"})), [""; 0]);
        assert_eq!(
            refused(&json!({"kiln/completion-containers": "main,first"})),
            ["metadata.annotations[kiln/completion-containers]: Invalid value: \"first\": is no \
              container of the template (init containers do not count)"]
        );
        assert_eq!(
            refused(&json!({"kiln/after": "a,pi"})),
            [
                "metadata.annotations[kiln/after]: Invalid value: \"pi\": a Job cannot wait for itself"
            ]
        );
    }

    #[test]
    fn what_a_job_waits_for_changes_only_until_it_begins() {
        let (mut old, new) = (job(&json!({"kiln/after": "a"})), job(&json!({"kiln/after": "b"})));
        assert_eq!(validate_update(&old, &new), []);
        old.status = serde_json::from_value(json!({"startTime": "2026-01-01T00:00:00Z"})).unwrap();
        let refused: Vec<String> =
            validate_update(&old, &new).iter().map(ToString::to_string).collect();
        assert_eq!(
            refused,
            ["metadata.annotations[kiln/after]: Invalid value: \"b\": may only be changed before \
              the Job begins"]
        );
    }
}
