//! Which values a Job may have.
//!
//! Owns: the checks, how a refusal is worded, and the Job's own fields. Must not know: defaults, or
//! where a Job comes from. The rules and their words are those of
//! <https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/job-v1/>.

mod check;
mod claim;
mod completion;
mod cron;
mod env;
mod extensions;
mod files;
pub(super) mod names;
mod network;
pub mod object;
mod pod;
mod policies;
mod resources;
mod restart;
mod scheduling;
mod security;
mod selector;
mod update;
mod volumes;

use std::fmt;

pub use claim::claim;
pub use cron::{validate_cron_job, validate_cron_job_update};
pub use selector::selects;
pub use update::validate_update;

use k8s_openapi::api::batch::v1::{Job, JobSpec};

use super::defaults::GENERATED_LABELS;
use super::object::Object;
use super::path::Path;

/// What is wrong with one field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldError {
    /// `spec.template.spec.containers[0].image`
    pub path: Path,
    pub problem: Problem,
}

/// <https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/status/>
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Problem {
    Required(String),
    Invalid {
        /// As Kubernetes shows it: text in quotes, objects as JSON.
        value: String,
        detail: String,
    },
    /// Not one of the values that there are.
    Unsupported {
        value: String,
        supported: &'static [&'static str],
    },
    Duplicate {
        value: String,
    },
    DuplicateNumber {
        value: i64,
    },
    Forbidden(&'static str),
    NotFound {
        value: String,
    },
    TooLong {
        /// How many there may be.
        bytes: usize,
    },
    TooMany {
        found: usize,
        /// How many there may be.
        most: usize,
    },
}

impl fmt::Display for FieldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.problem)
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Required(detail) if detail.is_empty() => f.write_str("Required value"),
            Self::Required(detail) => write!(f, "Required value: {detail}"),
            Self::Invalid { value, detail } => write!(f, "Invalid value: {value}: {detail}"),
            Self::Unsupported { value, supported } => {
                let supported: Vec<String> = supported.iter().map(|s| quoted(s)).collect();
                let supported = supported.join(", ");
                write!(f, "Unsupported value: {value:?}: supported values: {supported}")
            }
            Self::DuplicateNumber { value } => write!(f, "Duplicate value: {value}"),
            Self::Duplicate { value } => write!(f, "Duplicate value: {value:?}"),
            Self::NotFound { value } => write!(f, "Not found: {value:?}"),
            Self::Forbidden(detail) => write!(f, "Forbidden: {detail}"),
            Self::TooLong { bytes } => {
                write!(f, "Too long: may not be more than {bytes} bytes")
            }
            Self::TooMany { found, most } => {
                write!(f, "Too many: {found}: must have at most {most} items")
            }
        }
    }
}

/// All that is wrong with a Job that has its defaults.
pub fn validate(job: &Job) -> Vec<FieldError> {
    let mut found = Found::default();
    found.metadata(job);
    match &job.spec {
        Some(spec) => found.spec(job, spec),
        None => found.add(&Path::of("spec"), Problem::Required(String::new())),
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

/// What was found so far.
#[derive(Default)]
struct Found {
    errors: Vec<FieldError>,
}

impl Found {
    /// The same is not told twice.
    fn add(&mut self, path: &Path, problem: Problem) {
        let error = FieldError { path: path.clone(), problem };
        if !self.errors.contains(&error) {
            self.errors.push(error);
        }
    }

    fn invalid(&mut self, path: &Path, value: String, detail: impl Into<String>) {
        self.add(path, Problem::Invalid { value, detail: detail.into() });
    }

    /// Adds what is wrong with the spelling of a value.
    fn spelling(&mut self, path: &Path, value: &str, wrong: Vec<String>) {
        for detail in wrong {
            self.invalid(path, quoted(value), detail);
        }
    }

    fn not_negative(&mut self, path: &Path, value: Option<i64>) {
        if let Some(value) = value.filter(|value| *value < 0) {
            self.invalid(path, value.to_string(), "must be greater than or equal to 0");
        }
    }

    fn within(&mut self, path: &Path, value: Option<i64>, least: i64, most: i64) {
        if let Some(value) = value.filter(|value| !(least..=most).contains(value)) {
            let detail = format!("must be between {least} and {most}, inclusive");
            self.invalid(path, value.to_string(), detail);
        }
    }

    fn one_of(&mut self, path: &Path, value: Option<&str>, all: &'static [&'static str]) {
        if let Some(value) = value.filter(|value| !all.contains(value)) {
            self.add(path, Problem::Unsupported { value: value.to_owned(), supported: all });
        }
    }

    /// <https://kubernetes.io/docs/concepts/overview/working-with-objects/names/>
    fn metadata(&mut self, job: &Job) {
        let path = Path::of("metadata");
        if let Some(base) = job.metadata.generate_name.as_deref().filter(|base| !base.is_empty()) {
            self.spelling(&path.field("generateName"), base, names::subdomain_prefix(base));
        }
        if job.name().is_empty() {
            let detail = "name or generateName is required";
            self.add(&path.field("name"), Problem::Required(detail.to_owned()));
        } else {
            self.spelling(&path.field("name"), job.name(), names::subdomain(job.name()));
        }
        let namespace = path.field("namespace");
        if job.namespace().is_empty() {
            self.add(&namespace, Problem::Required(String::new()));
        } else {
            self.spelling(&namespace, job.namespace(), names::label(job.namespace()));
        }
        // Those that were generated are told of where they were generated, in the template.
        let labels = job.metadata.labels.iter().flatten();
        let own = labels.filter(|(key, _)| !GENERATED_LABELS.contains(&key.as_str()));
        self.labels(&path.field("labels"), own);
        let annotations = path.field("annotations");
        self.annotations(&annotations, job.metadata.annotations.as_ref());
        self.extensions(&annotations, job);
    }

    fn spec(&mut self, job: &Job, spec: &JobSpec) {
        let path = Path::of("spec");
        for (name, value) in [
            ("parallelism", spec.parallelism.map(i64::from)),
            ("completions", spec.completions.map(i64::from)),
            ("activeDeadlineSeconds", spec.active_deadline_seconds),
            ("backoffLimit", spec.backoff_limit.map(i64::from)),
            ("ttlSecondsAfterFinished", spec.ttl_seconds_after_finished.map(i64::from)),
            ("backoffLimitPerIndex", spec.backoff_limit_per_index.map(i64::from)),
            ("maxFailedIndexes", spec.max_failed_indexes.map(i64::from)),
        ] {
            self.not_negative(&path.field(name), value);
        }
        let modes = &["NonIndexed", "Indexed"];
        self.one_of(&path.field("completionMode"), spec.completion_mode.as_deref(), modes);
        let policies: &[_] = match &spec.pod_failure_policy {
            Some(_) => &["Failed"],
            None => &["Failed", "TerminatingOrFailed"],
        };
        let policy = spec.pod_replacement_policy.as_deref();
        self.one_of(&path.field("podReplacementPolicy"), policy, policies);
        self.completion(job, spec);
        self.manager(&path.field("managedBy"), spec.managed_by.as_deref());
        if let Some(policy) = &spec.pod_failure_policy {
            self.failure_policy(policy, spec);
        }
        if let Some(policy) = &spec.success_policy {
            self.success_policy(policy, spec);
        }
        if let Some(scheduling) = &spec.scheduling {
            self.scheduling(&path.field("scheduling"), scheduling);
        }
        self.selector(job, spec);
        self.template(&spec.template);
    }

    /// <https://kubernetes.io/docs/concepts/workloads/controllers/job/#delegation-of-managing-a-job-object-to-external-controller>
    fn manager(&mut self, path: &Path, manager: Option<&str>) {
        let Some(manager) = manager else { return };
        self.spelling(path, manager, names::domain_path(manager));
        if manager.len() > MANAGER_LENGTH_MAX {
            self.add(path, Problem::TooLong { bytes: MANAGER_LENGTH_MAX });
        }
    }
}

/// `spec.managedBy` is no longer.
const MANAGER_LENGTH_MAX: usize = 63;

fn quoted(text: &str) -> String {
    format!("{text:?}")
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::option;
    use proptest::prelude::*;
    use proptest::sample::select;
    use serde_json::json;

    use super::*;
    use crate::api::{defaults, manifest};

    /// The pod of a Job with nothing wrong.
    pub(super) const POD: &str = "restartPolicy: Never, containers: [{name: a, image: b}]";

    pub(super) fn refused_text(meta: &str, spec: &str) -> Vec<String> {
        let text = format!("apiVersion: batch/v1\nkind: Job\nmetadata: {meta}\nspec: {spec}\n");
        let mut job = manifest::read("job.yaml", text.as_bytes()).unwrap().remove(0);
        defaults::apply(&mut job, "u");
        validate(&job).iter().map(ToString::to_string).collect()
    }

    pub(super) fn refused(spec: &str) -> Vec<String> {
        refused_text("{name: pi}", spec)
    }

    /// With this metadata, and nothing else wrong.
    pub(super) fn refused_job(meta: &str) -> Vec<String> {
        refused_text(meta, &format!("{{template: {{spec: {{{POD}}}}}}}"))
    }

    /// With these fields of the pod's spec, and nothing else wrong.
    pub(super) fn refused_pod(fields: &str) -> Vec<String> {
        refused(&format!("{{template: {{spec: {{{POD}, {fields}}}}}}}"))
    }

    /// With these fields of its container, and nothing else wrong.
    pub(super) fn refused_container(fields: &str) -> Vec<String> {
        let container = format!("{{name: a, image: b, {fields}}}");
        let pod = format!("{{restartPolicy: Never, containers: [{container}]}}");
        refused(&format!("{{template: {{spec: {pod}}}}}"))
    }

    #[test]
    fn the_jobs_refusals_are_in_the_words_of_kubernetes() {
        for (field, expected) in [
            (
                "parallelism: -1",
                "parallelism: Invalid value: -1: must be greater than or equal to 0",
            ),
            (
                "completions: -2",
                "completions: Invalid value: -2: must be greater than or equal to 0",
            ),
            (
                "backoffLimit: -1",
                "backoffLimit: Invalid value: -1: must be greater than or equal to 0",
            ),
            (
                "activeDeadlineSeconds: -1",
                "activeDeadlineSeconds: Invalid value: -1: must be greater than or equal to 0",
            ),
            (
                "completionMode: Sorted",
                "completionMode: Unsupported value: \"Sorted\": supported values: \
                 \"NonIndexed\", \"Indexed\"",
            ),
            (
                "podReplacementPolicy: Never",
                "podReplacementPolicy: Unsupported value: \"Never\": supported values: \
                 \"Failed\", \"TerminatingOrFailed\"",
            ),
        ] {
            let spec = format!("{{{field}, template: {{spec: {{{POD}}}}}}}");
            assert_eq!(refused(&spec), [format!("spec.{expected}")]);
        }
        let unknown =
            "{template: {spec: {restartPolicy: Sometimes, containers: [{name: a, image: b}]}}}";
        assert_eq!(
            refused(unknown),
            ["spec.template.spec.restartPolicy: Unsupported value: \"Sometimes\": \
              supported values: \"OnFailure\", \"Never\""]
        );
    }

    #[test]
    fn a_name_is_a_subdomain_and_a_namespace_a_label() {
        for (meta, expected) in [
            ("{}", "metadata.name: Required value: name or generateName is required"),
            (
                "{name: Pi}",
                "metadata.name: Invalid value: \"Pi\": a lowercase RFC 1123 subdomain must consist",
            ),
            (
                "{name: pi, namespace: a.b}",
                "metadata.namespace: Invalid value: \"a.b\": must not contain dots",
            ),
            (
                "{name: pi, generateName: Pi-}",
                "metadata.generateName: Invalid value: \"Pi-\": a lowercase RFC 1123 subdomain must",
            ),
        ] {
            let found = refused_job(meta);
            assert!(found.iter().any(|text| text.starts_with(expected)), "{found:?}");
        }
        assert_eq!(refused_job("{name: a.b, namespace: c-d, generateName: e-}"), [""; 0]);
    }

    #[test]
    fn an_annotation_of_kiln_that_cannot_be_read_is_refused() {
        assert_eq!(
            refused_job("{name: pi, annotations: {kiln/pull-deadline: soon}}"),
            ["metadata.annotations[kiln/pull-deadline]: Invalid value: \"soon\": must be a \
              duration such as 90s, 5m or 1h30m, or \"never\""]
        );
        let legal = "{kiln/pull-deadline: never, kiln/ttl-seconds-after-failed: '60'}";
        assert_eq!(refused_job(&format!("{{name: pi, annotations: {legal}}}")), [""; 0]);
    }

    #[test]
    fn several_refusals_are_listed() {
        let errors = validate(&Job::default());
        let text = summary("x", &errors);
        assert!(
            text.starts_with("The Job \"x\" is invalid: \n* metadata.name: Required"),
            "{text}"
        );
        assert_eq!(summary("x", &errors[2..]), "The Job \"x\" is invalid: spec: Required value");
    }

    #[test]
    fn the_manifests_of_this_repository_are_valid() {
        for text in [
            include_str!("../../../manifests/batch-job.yaml"),
            include_str!("../../../manifests/multi-completion-batch-job.yaml"),
            include_str!("../../../manifests/multi-completion-parallel-batch-job.yaml"),
            include_str!("../../../manifests/time-limited-batch-job.yaml"),
            include_str!("../../../manifests/failing-batch-job.yaml"),
        ] {
            let mut job = manifest::read("job.yaml", text.as_bytes()).unwrap().remove(0);
            defaults::apply(&mut job, "u");
            assert_eq!(validate(&job), []);
        }
    }

    /// Any of the choices that a user has, all of them legal.
    fn legal_jobs() -> impl Strategy<Value = Job> {
        let count = || option::of(0..5_i32);
        let numbers = (count(), count(), count(), option::of(0..5_i64));
        let choice = |all: &'static [&'static str]| select(all).prop_map(str::to_owned);
        let container = (
            option::of(choice(&["Always", "IfNotPresent", "Never"])),
            choice(&["busybox", "a/b:1", "a.b:5000/c@sha256:0"]),
            option::of(choice(&["http", "a-1"])),
            vec(choice(&["A", "b.c", "D E"]), 0..3),
        );
        let names = (choice(&["pi", "a.b", "0"]), option::of(choice(&["a", "b"])), any::<bool>());
        let policy = choice(&["Never", "OnFailure"]);
        let all = (numbers, vec(container, 1..4), names, policy);
        all.prop_map(|(numbers, containers, (name, label, manual), policy)| {
            let (parallelism, completions, limit, deadline) = numbers;
            let containers: Vec<_> = containers
                .into_iter()
                .enumerate()
                .map(|(i, (pull, image, port, env))| {
                    let env: Vec<_> = env.iter().map(|name| json!({"name": name})).collect();
                    let port = port.map(|port| json!([{"name": port, "containerPort": 80}]));
                    json!({
                        "name": format!("c{i}"), "image": image, "imagePullPolicy": pull,
                        "env": env, "ports": port,
                    })
                })
                .collect();
            let labels = label.map(|label| json!({"app": label}));
            let job = json!({
                "metadata": {"name": name},
                "spec": {
                    "parallelism": parallelism, "completions": completions, "backoffLimit": limit,
                    "activeDeadlineSeconds": deadline, "manualSelector": manual.then_some(true),
                    "selector": manual.then(|| json!({"matchLabels": labels})),
                    "template": {
                        "metadata": {"labels": labels},
                        "spec": {"restartPolicy": policy, "containers": containers},
                    },
                },
            });
            serde_json::from_value(job).unwrap()
        })
    }

    /// The same for a Job with indexes, limits and policies.
    fn legal_indexed_jobs() -> impl Strategy<Value = Job> {
        let action = || select(&["Count", "FailIndex", "FailJob", "Ignore"][..]);
        let rules = option::of(vec((action(), any::<bool>(), 1..9_i32), 0..4));
        let limits = (option::of(0..5_i32), option::of(0..=6_i32), option::of(0..9_i32));
        let success = option::of(vec((0..6_i32, option::of(1..=1_i32)), 1..3));
        let waits = (any::<bool>(), option::of(select(&["Failed"][..])));
        let all = (limits, rules, success, waits);
        all.prop_map(|((per_index, most, limit), rules, success, (suspend, replacement))| {
            let rules = rules.map(|rules| {
                let allowed = |action: &str| per_index.is_some() || action != "FailIndex";
                let rules = rules.into_iter().filter(|(action, ..)| allowed(action));
                let rule = |(action, by_code, code): (&str, bool, i32)| match by_code {
                    true => json!({
                        "action": action, "onExitCodes": {"operator": "In", "values": [code]},
                    }),
                    false => json!({"action": action, "onPodConditions": [{"type": "a.b/C"}]}),
                };
                json!({"rules": rules.map(rule).collect::<Vec<_>>()})
            });
            let success = success.map(|rules| {
                let rule = |(index, count): (i32, Option<i32>)| {
                    json!({"succeededIndexes": index.to_string(), "succeededCount": count})
                };
                json!({"rules": rules.into_iter().map(rule).collect::<Vec<_>>()})
            });
            let job = json!({
                "metadata": {"name": "pi"},
                "spec": {
                    "completionMode": "Indexed", "completions": 6, "backoffLimit": limit,
                    "backoffLimitPerIndex": per_index, "suspend": suspend,
                    "maxFailedIndexes": most.filter(|_| per_index.is_some()),
                    "podFailurePolicy": rules, "successPolicy": success,
                    "podReplacementPolicy": replacement,
                    "template": {"spec": {
                        "restartPolicy": "Never", "containers": [{"name": "a", "image": "b"}],
                    }},
                },
            });
            serde_json::from_value(job).unwrap()
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig {
            failure_persistence: None, ..ProptestConfig::default()
        })]

        #[test]
        fn what_defaults_make_of_a_legal_job_with_indexes_is_valid(mut job in legal_indexed_jobs()) {
            defaults::apply(&mut job, "u");
            prop_assert_eq!(validate(&job), []);
            let once = job.clone();
            defaults::apply(&mut job, "u");
            prop_assert_eq!(job, once);
        }

        #[test]
        fn what_defaults_make_of_a_legal_job_is_valid(mut job in legal_jobs()) {
            defaults::apply(&mut job, "u");
            prop_assert_eq!(validate(&job), []);
            let once = job.clone();
            defaults::apply(&mut job, "u");
            prop_assert_eq!(job, once);
        }
    }
}
