//! Labels, annotations, and the selector that ties pods to their Job.
//!
//! Owns: which of them a Job may have, and which labels a selector matches. Must not know: who
//! generated them.
//! <https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/>

use std::collections::BTreeMap;

use k8s_openapi::api::batch::v1::{Job, JobSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, LabelSelectorRequirement};

use super::{Found, Problem, names, quoted};
use crate::api::defaults::GENERATED_LABELS;
use crate::api::object::Object;
use crate::api::path::Path;

type Labels = BTreeMap<String, String>;

/// All annotations of an object together are no larger.
const ANNOTATIONS_SIZE_MAX: usize = 256 * 1024;

impl Found {
    /// <https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#syntax-and-character-set>
    pub(super) fn labels<'a>(
        &mut self,
        path: &Path,
        labels: impl IntoIterator<Item = (&'a String, &'a String)>,
    ) {
        for (key, value) in labels {
            self.spelling(path, key, names::qualified(key));
            self.spelling(path, value, names::label_value(value));
        }
    }

    /// <https://kubernetes.io/docs/concepts/overview/working-with-objects/annotations/#syntax-and-character-set>
    pub(super) fn annotations(&mut self, path: &Path, annotations: Option<&Labels>) {
        let all = annotations.into_iter().flatten();
        let size: usize = all.clone().map(|(key, value)| key.len() + value.len()).sum();
        for (key, _) in all {
            self.spelling(path, key, names::qualified(&key.to_lowercase()));
        }
        if size > ANNOTATIONS_SIZE_MAX {
            self.add(path, Problem::TooLong { bytes: ANNOTATIONS_SIZE_MAX });
        }
    }

    /// <https://kubernetes.io/docs/concepts/workloads/controllers/job/#specifying-your-own-pod-selector>
    pub(super) fn selector(&mut self, job: &Job, spec: &JobSpec) {
        let path = Path::of("spec.selector");
        let Some(selector) = &spec.selector else {
            return self.add(&path, Problem::Required(String::new()));
        };
        let before = self.errors.len();
        self.selector_syntax(&path, selector);
        if self.errors.len() > before {
            return;
        }
        let labels = spec.template.metadata.as_ref().and_then(|meta| meta.labels.as_ref());
        if spec.manual_selector != Some(true) {
            self.generated(job, selector, labels);
        }
        if !selects(selector, labels) {
            let shown = serde_json::to_string(&labels).unwrap_or_default();
            let detail = "`selector` does not match template `labels`";
            self.invalid(&Path::of("spec.template.metadata.labels"), shown, detail);
        }
    }

    fn selector_syntax(&mut self, path: &Path, selector: &LabelSelector) {
        self.labels(&path.field("matchLabels"), selector.match_labels.iter().flatten());
        for (index, wanted) in selector.match_expressions.iter().flatten().enumerate() {
            let path = path.field("matchExpressions").index(index);
            let values = wanted.values.as_deref().unwrap_or_default();
            match wanted.operator.as_str() {
                "In" | "NotIn" if values.is_empty() => {
                    let detail = "must be specified when `operator` is 'In' or 'NotIn'";
                    self.add(&path.field("values"), Problem::Required(detail.to_owned()));
                }
                "Exists" | "DoesNotExist" if !values.is_empty() => {
                    let detail =
                        "may not be specified when `operator` is 'Exists' or 'DoesNotExist'";
                    self.add(&path.field("values"), Problem::Forbidden(detail));
                }
                "In" | "NotIn" | "Exists" | "DoesNotExist" => {}
                other => {
                    let detail = "not a valid selector operator";
                    self.invalid(&path.field("operator"), quoted(other), detail);
                }
            }
            self.spelling(&path.field("key"), &wanted.key, names::qualified(&wanted.key));
            for (index, value) in values.iter().enumerate() {
                let path = path.field("values").index(index);
                self.spelling(&path, value, names::label_value(value));
            }
        }
    }

    /// Labels that were generated are as they were generated: what else the user said of them, and
    /// every other selector, needs `manualSelector`.
    fn generated(&mut self, job: &Job, selector: &LabelSelector, labels: Option<&Labels>) {
        let path = Path::of("spec.template.metadata.labels");
        let expected: Labels = GENERATED_LABELS
            .into_iter()
            .zip([job.uid(), job.name(), job.uid(), job.name()])
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .collect();
        for (key, value) in &expected {
            let path = path.key(key);
            let detail = format!("must be '{value}'");
            match labels.and_then(|labels| labels.get(key)) {
                None => self.add(&path, Problem::Required(detail)),
                Some(found) if found == value => {}
                Some(_) => {
                    let shown = serde_json::to_string(&labels).unwrap_or_default();
                    self.invalid(&path, shown, detail);
                }
            }
        }
        if !selects(selector, Some(&expected)) {
            let shown = serde_json::to_string(selector).unwrap_or_default();
            self.invalid(&Path::of("spec.selector"), shown, "`selector` not auto-generated");
        }
    }
}

/// Whether the labels are all that the selector asks for.
pub fn selects(selector: &LabelSelector, labels: Option<&Labels>) -> bool {
    let get = |key: &str| labels.and_then(|labels| labels.get(key));
    let named = selector.match_labels.iter().flatten();
    named.into_iter().all(|(key, value)| get(key) == Some(value))
        && selector.match_expressions.iter().flatten().all(|wanted| holds(wanted, get(&wanted.key)))
}

fn holds(wanted: &LabelSelectorRequirement, found: Option<&String>) -> bool {
    let listed = found.is_some_and(|found| wanted.values.iter().flatten().any(|v| v == found));
    match wanted.operator.as_str() {
        "In" => listed,
        "NotIn" => !listed,
        "Exists" => found.is_some(),
        "DoesNotExist" => found.is_none(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{POD, refused, refused_job};

    fn manual(selector: &str, labels: &str) -> Vec<String> {
        let template = format!("template: {{metadata: {{labels: {labels}}}, spec: {{{POD}}}}}");
        refused(&format!("{{manualSelector: true, selector: {selector}, {template}}}"))
    }

    #[test]
    fn a_selector_of_ones_own_matches_by_labels_and_by_expressions() {
        for (selector, fits) in [
            ("{matchLabels: {app: a}}", true),
            ("{matchLabels: {app: b}}", false),
            ("{matchExpressions: [{key: app, operator: In, values: [a, b]}]}", true),
            ("{matchExpressions: [{key: app, operator: In, values: [b]}]}", false),
            ("{matchExpressions: [{key: tier, operator: In, values: [b]}]}", false),
            ("{matchExpressions: [{key: app, operator: NotIn, values: [b]}]}", true),
            ("{matchExpressions: [{key: tier, operator: NotIn, values: [b]}]}", true),
            ("{matchExpressions: [{key: app, operator: NotIn, values: [a]}]}", false),
            ("{matchExpressions: [{key: app, operator: Exists}]}", true),
            ("{matchExpressions: [{key: tier, operator: Exists}]}", false),
            ("{matchExpressions: [{key: tier, operator: DoesNotExist}]}", true),
            (
                "{matchLabels: {app: a}, matchExpressions: [{key: app, operator: DoesNotExist}]}",
                false,
            ),
        ] {
            let expected = "spec.template.metadata.labels: Invalid value: {\"app\":\"a\"}: \
                `selector` does not match template `labels`";
            let expected: &[&str] = if fits { &[] } else { &[expected] };
            assert_eq!(manual(selector, "{app: a}"), expected, "{selector}");
        }
    }

    #[test]
    fn a_manual_selector_has_to_be_given_and_be_well_formed() {
        assert_eq!(
            refused(&format!("{{manualSelector: true, template: {{spec: {{{POD}}}}}}}")),
            ["spec.selector: Required value"]
        );
        for (expression, expected) in [
            (
                "{key: a, operator: In}",
                "values: Required value: must be specified when `operator` is 'In' or 'NotIn'",
            ),
            (
                "{key: a, operator: Exists, values: [b]}",
                "values: Forbidden: may not be specified when `operator` is 'Exists' or 'DoesNotExist'",
            ),
            (
                "{key: a, operator: Gt, values: [b]}",
                "operator: Invalid value: \"Gt\": not a valid selector operator",
            ),
        ] {
            let selector = format!("{{matchExpressions: [{expression}]}}");
            let expected = format!("spec.selector.matchExpressions[0].{expected}");
            assert_eq!(manual(&selector, "{}"), [expected]);
        }
        let wrong = manual("{matchLabels: {-a: b}}", "{}");
        assert!(
            wrong[0]
                .starts_with("spec.selector.matchLabels: Invalid value: \"-a\": name part must")
        );
    }

    #[test]
    fn a_selector_without_manual_selector_is_refused() {
        let template = format!("template: {{metadata: {{labels: {{app: a}}}}, spec: {{{POD}}}}}");
        assert_eq!(
            refused(&format!("{{selector: {{matchLabels: {{app: a}}}}, {template}}}")),
            ["spec.selector: Invalid value: {\"matchLabels\":{\"app\":\"a\",\
              \"batch.kubernetes.io/controller-uid\":\"u\"}}: `selector` not auto-generated"]
        );
    }

    #[test]
    fn a_label_that_contradicts_a_generated_one_is_refused() {
        let spec = |label: &str| {
            format!("{{template: {{metadata: {{labels: {{{label}}}}}, spec: {{{POD}}}}}}}")
        };
        let found = refused(&spec("job-name: other"));
        assert_eq!(found.len(), 1);
        assert!(
            found[0].starts_with("spec.template.metadata.labels[job-name]: Invalid value: {"),
            "{found:?}"
        );
        assert!(found[0].ends_with(": must be 'pi'"), "{found:?}");
        assert_eq!(refused(&spec("job-name: pi")), [""; 0]);
        assert_eq!(refused(&spec("batch.kubernetes.io/controller-uid: mine")).len(), 2);
    }

    #[test]
    fn labels_and_annotations_are_spelled_right() {
        let found = refused_job("{name: pi, labels: {a: b c, 'd/': e}}");
        assert_eq!(found.len(), 3, "{found:?}");
        assert!(found[0].starts_with(
            "metadata.labels: Invalid value: \"b c\": a valid label must be an empty string or \
             consist of alphanumeric characters, '-', '_' or '.', and must start and end with"
        ));
        assert_eq!(found[1], "metadata.labels: Invalid value: \"d/\": name part must be non-empty");

        let template = "template: {metadata: {labels: {a: -}, annotations: {B/c: d}}";
        let found = refused(&format!("{{{template}, spec: {{{POD}}}}}}}"));
        let found: Vec<&str> = found.iter().map(|text| &text[..35]).collect();
        // The Job without labels of its own got those of its template.
        assert_eq!(
            found,
            ["metadata.labels: Invalid value: \"-\"", "spec.template.labels: Invalid value"]
        );

        let large = format!("{{name: pi, annotations: {{a: {}}}}}", "x".repeat(256 * 1024));
        assert_eq!(
            refused_job(&large),
            ["metadata.annotations: Too long: may not be more than 262144 bytes"]
        );
    }

    #[test]
    fn a_job_name_has_to_fit_into_the_label_that_is_generated_of_it() {
        let name = "a".repeat(64);
        assert_eq!(
            refused_job(&format!("{{name: {name}}}")),
            [format!(
                "spec.template.labels: Invalid value: \"{name}\": must be no more than 63 bytes"
            )]
        );
    }
}
