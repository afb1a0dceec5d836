//! Which numbers of pods, indexes and failures a Job may have.
//!
//! Owns: the limits of completions and parallelism, and of failures per index. Must not know: policies.
//! <https://kubernetes.io/docs/concepts/workloads/controllers/job/#completion-mode>

use k8s_openapi::api::batch::v1::{Job, JobSpec};

use super::{Found, Problem, names, quoted};
use crate::api::object::Object;
use crate::api::path::Path;

/// No more pods of an Indexed Job run at once, and no more of its indexes may fail.
const INDEXES_AT_ONCE_MAX: i32 = 100_000;
/// The same for a Job that has more indexes than that, each with a limit of its own.
const INDEXES_AT_ONCE_MAX_OF_MANY: i32 = 10_000;

impl Found {
    pub(super) fn completion(&mut self, job: &Job, spec: &JobSpec) {
        if spec.completion_mode.as_deref() == Some("Indexed") {
            self.indexed(job, spec);
        } else {
            self.not_indexed(spec);
        }
        if spec.max_failed_indexes.is_some() && spec.backoff_limit_per_index.is_none() {
            let detail = "when maxFailedIndexes is specified";
            let path = Path::of("spec.backoffLimitPerIndex");
            self.add(&path, Problem::Required(detail.to_owned()));
        }
    }

    fn not_indexed(&mut self, spec: &JobSpec) {
        for (name, value) in [
            ("backoffLimitPerIndex", spec.backoff_limit_per_index),
            ("maxFailedIndexes", spec.max_failed_indexes),
        ] {
            if let Some(value) = value {
                let path = Path::of("spec").field(name);
                self.invalid(&path, value.to_string(), "requires indexed completion mode");
            }
        }
    }

    fn indexed(&mut self, job: &Job, spec: &JobSpec) {
        let path = Path::of("spec");
        let Some(completions) = spec.completions else {
            let detail = "when completion mode is Indexed";
            return self.add(&path.field("completions"), Problem::Required(detail.to_owned()));
        };
        self.hostname(job, completions);
        let parallelism = spec.parallelism.unwrap_or(1);
        if parallelism > INDEXES_AT_ONCE_MAX {
            let detail = format!(
                "must be less than or equal to {INDEXES_AT_ONCE_MAX} when completion mode is Indexed"
            );
            self.invalid(&path.field("parallelism"), parallelism.to_string(), detail);
        }
        if spec.backoff_limit_per_index.is_some() && completions > INDEXES_AT_ONCE_MAX {
            self.many_indexes(spec, parallelism);
        } else if let Some(most) = spec.max_failed_indexes {
            let path = path.field("maxFailedIndexes");
            if most > completions {
                let detail = format!("must be less than or equal to {completions}");
                self.invalid(&path, most.to_string(), detail);
            }
            if most > INDEXES_AT_ONCE_MAX {
                let detail = format!("must be less than or equal to {INDEXES_AT_ONCE_MAX}");
                self.invalid(&path, most.to_string(), detail);
            }
        }
    }

    fn many_indexes(&mut self, spec: &JobSpec, parallelism: i32) {
        const MOST: i32 = INDEXES_AT_ONCE_MAX_OF_MANY;
        let when = format!(
            "when completions are above {INDEXES_AT_ONCE_MAX} and used with backoff limit per index"
        );
        let detail = format!("must be less than or equal to {MOST} {when}");
        let path = Path::of("spec.maxFailedIndexes");
        match spec.max_failed_indexes {
            None => {
                let when = format!("must be specified {when}");
                self.add(&path, Problem::Required(when));
            }
            Some(most) if most > MOST => self.invalid(&path, most.to_string(), detail.clone()),
            Some(_) => {}
        }
        if parallelism > MOST {
            self.invalid(&Path::of("spec.parallelism"), parallelism.to_string(), detail);
        }
    }

    /// The last index has the longest hostname.
    fn hostname(&mut self, job: &Job, completions: i32) {
        if completions < 1 || job.name().is_empty() {
            return;
        }
        let hostname = format!("{}-{}", job.name(), completions - 1);
        if !names::label(&hostname).is_empty() {
            let detail = format!("will not able to create pod with invalid DNS label: {hostname}");
            self.invalid(&Path::of("metadata.name"), quoted(job.name()), detail);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{POD, refused, refused_text};

    fn of(fields: &str) -> Vec<String> {
        refused(&format!("{{{fields}, template: {{spec: {{{POD}}}}}}}"))
    }

    #[test]
    fn case_67_an_indexed_job_says_how_many_and_has_a_name_that_fits() {
        assert_eq!(
            of("completionMode: Indexed, parallelism: 2"),
            ["spec.completions: Required value: when completion mode is Indexed"]
        );
        assert_eq!(
            of("completionMode: Indexed, completions: 100000, parallelism: 100000"),
            [""; 0]
        );
        let name = "a".repeat(62);
        let spec =
            format!("{{completionMode: Indexed, completions: 1, template: {{spec: {{{POD}}}}}}}");
        let found = refused_text(&format!("{{name: {name}}}"), &spec);
        assert_eq!(
            found,
            [format!(
                "metadata.name: Invalid value: \"{name}\": will not able to create pod with \
                 invalid DNS label: {name}-0"
            )]
        );
    }

    #[test]
    fn limits_of_indexes_need_indexes() {
        for (fields, expected) in [
            (
                "backoffLimitPerIndex: 1",
                "backoffLimitPerIndex: Invalid value: 1: requires indexed completion mode",
            ),
            (
                "completionMode: Indexed, completions: 2, maxFailedIndexes: 1",
                "backoffLimitPerIndex: Required value: when maxFailedIndexes is specified",
            ),
            (
                "completionMode: Indexed, completions: 2, backoffLimitPerIndex: -1",
                "backoffLimitPerIndex: Invalid value: -1: must be greater than or equal to 0",
            ),
            (
                "completionMode: Indexed, completions: 2, backoffLimitPerIndex: 1, maxFailedIndexes: 3",
                "maxFailedIndexes: Invalid value: 3: must be less than or equal to 2",
            ),
            (
                "completionMode: Indexed, completions: 1, parallelism: 100001",
                "parallelism: Invalid value: 100001: must be less than or equal to 100000 when \
                 completion mode is Indexed",
            ),
            (
                "completionMode: Indexed, completions: 200000, backoffLimitPerIndex: 1",
                "maxFailedIndexes: Required value: must be specified when completions are above \
                 100000 and used with backoff limit per index",
            ),
        ] {
            assert_eq!(of(fields), [format!("spec.{expected}")]);
        }
    }
}
