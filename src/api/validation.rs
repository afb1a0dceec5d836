//! Which values a Job may have.
//!
//! Owns: the checks and how a refusal is worded. Must not know: defaults, or where a Job comes from.
//! <https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/job-v1/>

use std::collections::BTreeSet;
use std::fmt;

use k8s_openapi::api::batch::v1::{Job, JobSpec};
use k8s_openapi::api::core::v1::{Container, PodSpec};

use super::object::Object;

/// A DNS label has no more characters.
const LABEL_LENGTH_MAX: usize = 63;
/// A DNS subdomain has no more characters.
const SUBDOMAIN_LENGTH_MAX: usize = 253;

/// What is wrong with one field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldError {
    /// `spec.template.spec.containers[0].image`
    pub path: String,
    pub problem: Problem,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Problem {
    Required(&'static str),
    Invalid {
        value: String,
        detail: &'static str,
    },
    /// Not one of the values that there are.
    Unsupported {
        value: String,
        supported: &'static [&'static str],
    },
    Duplicate {
        value: String,
    },
}

impl fmt::Display for FieldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.path)?;
        match &self.problem {
            Problem::Required("") => f.write_str("Required value"),
            Problem::Required(detail) => write!(f, "Required value: {detail}"),
            Problem::Invalid { value, detail } => write!(f, "Invalid value: {value}: {detail}"),
            Problem::Unsupported { value, supported } => {
                let supported: Vec<String> = supported.iter().map(|s| format!("{s:?}")).collect();
                write!(
                    f,
                    "Unsupported value: {value:?}: supported values: {}",
                    supported.join(", ")
                )
            }
            Problem::Duplicate { value } => write!(f, "Duplicate value: {value:?}"),
        }
    }
}

/// All that is wrong with a Job that has its defaults.
pub fn validate(job: &Job) -> Vec<FieldError> {
    let mut found = Found::default();
    let name = job.name();
    if name.is_empty() {
        found.add("metadata.name", Problem::Required("name or generateName is required"));
    } else if !is_subdomain(name) {
        found.invalid(
            "metadata.name",
            format!("{name:?}"),
            "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' \
             or '.', and must start and end with an alphanumeric character",
        );
    }
    match &job.spec {
        Some(spec) => found.job_spec(spec),
        None => found.add("spec", Problem::Required("")),
    }
    found.errors
}

/// The refusal as `kubectl` words it.
pub fn summary(name: &str, errors: &[FieldError]) -> String {
    match errors {
        [one] => format!("The Job {name:?} is invalid: {one}"),
        many => {
            let lines: String = many.iter().map(|error| format!("\n* {error}")).collect();
            format!("The Job {name:?} is invalid: {lines}")
        }
    }
}

#[derive(Default)]
struct Found {
    errors: Vec<FieldError>,
}

impl Found {
    fn add(&mut self, path: impl Into<String>, problem: Problem) {
        self.errors.push(FieldError { path: path.into(), problem });
    }

    fn invalid(&mut self, path: impl Into<String>, value: String, detail: &'static str) {
        self.add(path, Problem::Invalid { value, detail });
    }

    fn not_negative(&mut self, path: &str, value: Option<i64>) {
        if let Some(value) = value.filter(|value| *value < 0) {
            self.invalid(path, value.to_string(), "must be greater than or equal to 0");
        }
    }

    fn job_spec(&mut self, spec: &JobSpec) {
        self.not_negative("spec.parallelism", spec.parallelism.map(i64::from));
        self.not_negative("spec.completions", spec.completions.map(i64::from));
        self.not_negative("spec.activeDeadlineSeconds", spec.active_deadline_seconds);
        self.not_negative("spec.backoffLimit", spec.backoff_limit.map(i64::from));
        self.selector(spec);
        match &spec.template.spec {
            Some(pod) => self.pod_spec(pod),
            None => self.add("spec.template.spec", Problem::Required("")),
        }
    }

    /// <https://kubernetes.io/docs/concepts/workloads/controllers/job/#specifying-your-own-pod-selector>
    fn selector(&mut self, spec: &JobSpec) {
        let Some(selector) = &spec.selector else {
            return self.add("spec.selector", Problem::Required(""));
        };
        let labels = spec.template.metadata.as_ref().and_then(|meta| meta.labels.as_ref());
        let mut wanted = selector.match_labels.iter().flatten();
        if wanted.any(|(key, value)| labels.and_then(|labels| labels.get(key)) != Some(value)) {
            let shown = serde_json::to_string(&labels).unwrap_or_default();
            let detail = "`selector` does not match template `labels`";
            self.invalid("spec.template.metadata.labels", shown, detail);
        }
    }

    fn pod_spec(&mut self, pod: &PodSpec) {
        const PATH: &str = "spec.template.spec";
        let policy = format!("{PATH}.restartPolicy");
        match pod.restart_policy.as_deref() {
            Some("OnFailure" | "Never") => {}
            None | Some("" | "Always") => {
                self.add(policy, Problem::Required("valid values: \"OnFailure\", \"Never\""));
            }
            Some(other) => {
                let supported = &["OnFailure", "Never"];
                self.add(policy, Problem::Unsupported { value: other.to_owned(), supported });
            }
        }
        self.not_negative(
            &format!("{PATH}.terminationGracePeriodSeconds"),
            pod.termination_grace_period_seconds,
        );
        if let Some(seconds) = pod.active_deadline_seconds
            && !(1..=i64::from(i32::MAX)).contains(&seconds)
        {
            let path = format!("{PATH}.activeDeadlineSeconds");
            self.invalid(path, seconds.to_string(), "must be between 1 and 2147483647, inclusive");
        }
        let containers = format!("{PATH}.containers");
        if pod.containers.is_empty() {
            self.add(&containers, Problem::Required(""));
        }
        let mut names = BTreeSet::new();
        for (index, container) in pod.containers.iter().enumerate() {
            let path = format!("{containers}[{index}]");
            self.container(container, &path);
            if !container.name.is_empty() && !names.insert(container.name.as_str()) {
                let value = container.name.clone();
                self.add(format!("{path}.name"), Problem::Duplicate { value });
            }
        }
    }

    fn container(&mut self, container: &Container, path: &str) {
        let name = container.name.as_str();
        if name.is_empty() {
            self.add(format!("{path}.name"), Problem::Required(""));
        } else if !is_label(name) {
            self.invalid(
                format!("{path}.name"),
                format!("{name:?}"),
                "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or \
                 '-', and must start and end with an alphanumeric character",
            );
        }
        let image = container.image.as_deref().unwrap_or_default();
        if image.is_empty() {
            self.add(format!("{path}.image"), Problem::Required(""));
        } else if image.trim() != image {
            let detail = "must not have leading or trailing whitespace";
            self.invalid(format!("{path}.image"), format!("{image:?}"), detail);
        }
        if let Some(policy) = container.image_pull_policy.as_deref()
            && !["Always", "IfNotPresent", "Never"].contains(&policy)
        {
            let supported = &["Always", "IfNotPresent", "Never"];
            let value = policy.to_owned();
            self.add(format!("{path}.imagePullPolicy"), Problem::Unsupported { value, supported });
        }
        for (index, variable) in container.env.iter().flatten().enumerate() {
            if variable.name.is_empty() {
                self.add(format!("{path}.env[{index}].name"), Problem::Required(""));
            } else if variable.name.contains('=') {
                let detail = "must not contain '='";
                let shown = format!("{:?}", variable.name);
                self.invalid(format!("{path}.env[{index}].name"), shown, detail);
            }
        }
    }
}

/// <https://kubernetes.io/docs/concepts/overview/working-with-objects/names/#dns-label-names>
fn is_label(text: &str) -> bool {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let bytes = text.as_bytes();
    text.len() <= LABEL_LENGTH_MAX
        && bytes.first().is_some_and(|b| plain(*b))
        && bytes.last().is_some_and(|b| plain(*b))
        && bytes.iter().all(|b| plain(*b) || *b == b'-')
}

/// <https://kubernetes.io/docs/concepts/overview/working-with-objects/names/#dns-subdomain-names>
fn is_subdomain(text: &str) -> bool {
    text.len() <= SUBDOMAIN_LENGTH_MAX && text.split('.').all(is_label)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::{defaults, manifest};

    fn refused(spec: &str) -> Vec<String> {
        let text =
            format!("apiVersion: batch/v1\nkind: Job\nmetadata: {{name: pi}}\nspec: {spec}\n");
        let mut job = manifest::read("job.yaml", text.as_bytes()).unwrap().remove(0);
        defaults::apply(&mut job, "u");
        validate(&job).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn refusals_are_in_the_words_of_kubernetes() {
        let pod = |fields: &str| format!("{{template: {{spec: {{{fields}}}}}}}");
        for (spec, expected) in [
            (
                pod("containers: [{name: a, image: b}]"),
                "spec.template.spec.restartPolicy: Required value: valid values: \"OnFailure\", \"Never\"",
            ),
            (
                pod("restartPolicy: Sometimes, containers: [{name: a, image: b}]"),
                "spec.template.spec.restartPolicy: Unsupported value: \"Sometimes\": supported values: \"OnFailure\", \"Never\"",
            ),
            (
                pod("restartPolicy: Never, containers: [{name: a, image: b}, {name: a, image: b}]"),
                "spec.template.spec.containers[1].name: Duplicate value: \"a\"",
            ),
            (
                pod("restartPolicy: Never, containers: [{name: a}]"),
                "spec.template.spec.containers[0].image: Required value",
            ),
            (
                "{parallelism: -1, template: {spec: {restartPolicy: Never, containers: [{name: a, image: b}]}}}"
                    .to_owned(),
                "spec.parallelism: Invalid value: -1: must be greater than or equal to 0",
            ),
        ] {
            assert_eq!(refused(&spec), [expected]);
        }
    }

    #[test]
    fn several_refusals_are_listed() {
        let errors = validate(&Job::default());
        let text = summary("x", &errors);
        assert!(
            text.starts_with("The Job \"x\" is invalid: \n* metadata.name: Required"),
            "{text}"
        );
        assert_eq!(summary("x", &errors[1..]), "The Job \"x\" is invalid: spec: Required value");
    }

    #[test]
    fn the_manifests_of_this_repository_are_valid() {
        for text in [
            include_str!("../../manifests/batch-job.yaml"),
            include_str!("../../manifests/multi-completion-batch-job.yaml"),
            include_str!("../../manifests/multi-completion-parallel-batch-job.yaml"),
            include_str!("../../manifests/time-limited-batch-job.yaml"),
            include_str!("../../manifests/failing-batch-job.yaml"),
        ] {
            let mut job = manifest::read("job.yaml", text.as_bytes()).unwrap().remove(0);
            defaults::apply(&mut job, "u");
            assert_eq!(validate(&job), []);
        }
    }
}
