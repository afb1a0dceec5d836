//! Which values a CronJob may have.
//!
//! Owns: the checks of its own fields; those of its template are a Job's. Must not know: when it is due.
//! <https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/cron-job-v1/>

use k8s_openapi::api::batch::v1::{CronJob, CronJobSpec};

use super::{FieldError, Found, Problem, names, quoted, validate};
use crate::api::cron::{Unscheduled, job, schedule};
use crate::api::object::Object;
use crate::api::path::Path;

/// The Jobs' names are eleven characters longer.
const NAME_LENGTH_MAX: usize = 52;

/// All that is wrong with a CronJob that has its defaults.
pub fn validate_cron_job(cron: &CronJob) -> Vec<FieldError> {
    let mut found = Found::default();
    let path = Path::of("metadata.name");
    if cron.name().is_empty() {
        let detail = "name or generateName is required";
        found.add(&path, Problem::Required(detail.to_owned()));
    } else {
        found.spelling(&path, cron.name(), names::subdomain(cron.name()));
        if cron.name().len() > NAME_LENGTH_MAX {
            let detail = format!("must be no more than {NAME_LENGTH_MAX} characters");
            found.invalid(&path, quoted(cron.name()), detail);
        }
    }
    found.cron_spec(cron, &cron.spec);
    found.errors
}

/// All that is wrong with a change of a CronJob: every field of its spec may change.
pub fn validate_cron_job_update(old: &CronJob, new: &CronJob) -> Vec<FieldError> {
    let mut errors = validate_cron_job(new);
    if old.metadata.uid != new.metadata.uid {
        let value = quoted(new.uid());
        let problem = Problem::Invalid { value, detail: "field is immutable".to_owned() };
        errors.push(FieldError { path: Path::of("metadata.uid"), problem });
    }
    errors
}

impl Found {
    fn cron_spec(&mut self, cron: &CronJob, spec: &CronJobSpec) {
        let path = Path::of("spec");
        self.cron_times(cron, spec, &path);
        let policy = path.field("concurrencyPolicy");
        const POLICIES: [&str; 3] = ["Allow", "Forbid", "Replace"];
        match spec.concurrency_policy.as_deref() {
            None | Some("") => self.add(&policy, Problem::Required(String::new())),
            said @ Some(_) => self.one_of(&policy, said, &POLICIES),
        }
        for (name, value) in [
            ("startingDeadlineSeconds", spec.starting_deadline_seconds),
            ("successfulJobsHistoryLimit", spec.successful_jobs_history_limit.map(i64::from)),
            ("failedJobsHistoryLimit", spec.failed_jobs_history_limit.map(i64::from)),
        ] {
            self.not_negative(&path.field(name), value);
        }
        let template = path.field("jobTemplate");
        let own = spec.job_template.spec.as_ref();
        if own.and_then(|spec| spec.manual_selector) == Some(true) {
            let path = template.field("spec").field("manualSelector");
            let value = "true".to_owned();
            return self.add(&path, Problem::Unsupported { value, supported: &["nil", "false"] });
        }
        // As long a name as a Job of it will have.
        let sample = job(cron, &format!("{}-29000000", cron.name()), "uid");
        let errors = validate(&sample).into_iter();
        let own = errors.filter(|error| {
            let path = error.path.to_string();
            path.starts_with("spec") || path.starts_with("metadata.annotations[kiln/")
        });
        for FieldError { path, problem } in own {
            self.add(&path.below(&template), problem);
        }
    }

    fn cron_times(&mut self, cron: &CronJob, spec: &CronJobSpec, path: &Path) {
        let zone = path.field("timeZone");
        if spec.schedule.is_empty() {
            return self.add(&path.field("schedule"), Problem::Required(String::new()));
        }
        match (schedule(cron), spec.time_zone.as_deref().unwrap_or_default()) {
            (Ok(_), _) => {}
            (Err(Unscheduled::Schedule(why)), _) => {
                self.invalid(&path.field("schedule"), quoted(&spec.schedule), why.to_string());
            }
            (Err(Unscheduled::Zone(_)), "") => {
                let detail = "timeZone must be nil or non-empty string";
                self.invalid(&zone, quoted(""), detail);
            }
            (Err(Unscheduled::Zone(_)), name) if name.eq_ignore_ascii_case("local") => {
                let detail = "timeZone must be an explicit time zone as defined in \
                    https://www.iana.org/time-zones";
                self.invalid(&zone, quoted(name), detail);
            }
            (Err(Unscheduled::Zone(_)), name) => {
                self.invalid(&zone, quoted(name), format!("unknown time zone {name}"));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::api::cron::apply_defaults;

    fn refused(fields: Value) -> Vec<String> {
        let mut all = json!({"metadata": {"name": "nightly"}, "spec": {
            "schedule": "0 3 * * *", "jobTemplate": {"spec": {"template": {"spec": {
                "restartPolicy": "Never", "containers": [{"name": "a", "image": "b"}],
            }}}},
        }});
        for (name, value) in fields.as_object().unwrap() {
            all["spec"][name] = value.clone();
        }
        let mut cron: CronJob = serde_json::from_value(all).unwrap();
        apply_defaults(&mut cron);
        validate_cron_job(&cron).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_cron_job_is_refused_in_the_words_of_kubernetes() {
        assert_eq!(refused(json!({"timeZone": "Europe/Berlin", "schedule": "@daily"})), [""; 0]);
        for (fields, expected) in [
            (json!({"schedule": ""}), "schedule: Required value"),
            (
                json!({"schedule": "* *"}),
                "schedule: Invalid value: \"* *\": expected exactly 5 fields, found 2: [* *]",
            ),
            (
                json!({"timeZone": ""}),
                "timeZone: Invalid value: \"\": timeZone must be nil or non-empty string",
            ),
            (
                json!({"timeZone": "Mars/Base"}),
                "timeZone: Invalid value: \"Mars/Base\": unknown time zone Mars/Base",
            ),
            (
                json!({"concurrencyPolicy": "Maybe"}),
                "concurrencyPolicy: Unsupported value: \"Maybe\": supported values: \"Allow\", \
                 \"Forbid\", \"Replace\"",
            ),
            (
                json!({"failedJobsHistoryLimit": -1}),
                "failedJobsHistoryLimit: Invalid value: -1: must be greater than or equal to 0",
            ),
            (
                json!({"jobTemplate": {"spec": {"template": {"spec": {
                    "containers": [{"name": "a", "image": "b"}]}}}}}),
                "jobTemplate.spec.template.spec.restartPolicy: Required value: valid values: \
                 \"OnFailure\", \"Never\"",
            ),
        ] {
            assert_eq!(refused(fields), [format!("spec.{expected}")]);
        }
        let manual =
            refused(json!({"jobTemplate": {"spec": {"manualSelector": true, "template": {}}}}));
        assert!(manual[0].starts_with("spec.jobTemplate.spec.manualSelector: Unsupported value"));
    }

    #[test]
    fn the_name_leaves_room_for_those_of_its_jobs() {
        let mut cron = CronJob::default();
        cron.metadata.name = Some("a".repeat(53));
        let found = validate_cron_job(&cron);
        let text = found[0].to_string();
        assert!(text.ends_with("must be no more than 52 characters"), "{text}");
    }
}
