//! Which policies of failure and of success a Job may have.
//!
//! Owns: the rules about rules. Must not know: what they do.
//! <https://kubernetes.io/docs/concepts/workloads/controllers/job/#pod-failure-policy>

use std::collections::BTreeSet;

use k8s_openapi::api::batch::v1::{
    JobSpec, PodFailurePolicy, PodFailurePolicyOnExitCodesRequirement,
    PodFailurePolicyOnPodConditionsPattern, PodFailurePolicyRule, SuccessPolicy, SuccessPolicyRule,
};
use serde::Serialize;

use super::{Found, Problem, names, quoted};
use crate::api::intervals::Intervals;
use crate::api::path::Path;

const RULES_MAX: usize = 20;
const PATTERNS_MAX: usize = 20;
const EXIT_CODES_MAX: usize = 255;
/// The text of `succeededIndexes` is no longer.
const INDEXES_BYTES_MAX: usize = 65_536;

const ACTIONS: [&str; 4] = ["Count", "FailIndex", "FailJob", "Ignore"];

impl Found {
    pub(super) fn failure_policy(&mut self, policy: &PodFailurePolicy, spec: &JobSpec) {
        let pod = spec.template.spec.as_ref();
        if let Some(restarts) = pod.and_then(|pod| pod.restart_policy.as_deref())
            && restarts == "OnFailure"
        {
            let detail = "only \"Never\" is supported when podFailurePolicy is specified";
            let path = Path::of("spec.template.spec.restartPolicy");
            self.invalid(&path, quoted(restarts), detail);
        }
        let path = Path::of("spec.podFailurePolicy.rules");
        if policy.rules.len() > RULES_MAX {
            self.add(&path, Problem::TooMany { found: policy.rules.len(), most: RULES_MAX });
        }
        for (index, rule) in policy.rules.iter().enumerate() {
            self.failure_rule(&path.index(index), rule, spec);
        }
    }

    fn failure_rule(&mut self, path: &Path, rule: &PodFailurePolicyRule, spec: &JobSpec) {
        let action = path.field("action");
        match rule.action.as_str() {
            "" => {
                let detail = format!("valid values: {ACTIONS:?}");
                self.add(&action, Problem::Required(detail));
            }
            "FailIndex" if spec.backoff_limit_per_index.is_none() => {
                let detail = "requires the backoffLimitPerIndex to be set";
                self.invalid(&action, quoted("FailIndex"), detail);
            }
            other => self.one_of(&action, Some(other), &ACTIONS),
        }
        let patterns = rule.on_pod_conditions.as_deref().unwrap_or_default();
        match (&rule.on_exit_codes, patterns) {
            (Some(_), [_, ..]) => {
                let detail = "specifying both OnExitCodes and OnPodConditions is not supported";
                self.invalid(path, json(rule), detail);
            }
            (None, []) => {
                let detail = "specifying one of OnExitCodes and OnPodConditions is required";
                self.invalid(path, json(rule), detail);
            }
            (Some(_), []) | (None, [_, ..]) => {}
        }
        if let Some(codes) = &rule.on_exit_codes {
            self.exit_codes(&path.field("onExitCodes"), codes, spec);
        }
        self.patterns(&path.field("onPodConditions"), patterns);
    }

    fn exit_codes(
        &mut self,
        path: &Path,
        codes: &PodFailurePolicyOnExitCodesRequirement,
        spec: &JobSpec,
    ) {
        const OPERATORS: [&str; 2] = ["In", "NotIn"];
        let operator = path.field("operator");
        if codes.operator.is_empty() {
            let detail = format!("valid values: {OPERATORS:?}");
            self.add(&operator, Problem::Required(detail));
        } else {
            self.one_of(&operator, Some(&codes.operator), &OPERATORS);
        }
        let pod = spec.template.spec.as_ref();
        let init = pod.into_iter().flat_map(|pod| pod.init_containers.iter().flatten());
        let mut all = pod.into_iter().flat_map(|pod| &pod.containers).chain(init);
        if let Some(name) = &codes.container_name
            && !all.any(|container| container.name == *name)
        {
            let detail = "must be one of the container or initContainer names in the pod template";
            self.invalid(&path.field("containerName"), quoted(name), detail);
        }
        self.exit_code_values(&path.field("values"), codes);
    }

    fn exit_code_values(&mut self, path: &Path, codes: &PodFailurePolicyOnExitCodesRequirement) {
        let values = &codes.values;
        if values.is_empty() {
            self.invalid(path, "[]".to_owned(), "at least one value is required");
        } else if values.len() > EXIT_CODES_MAX {
            self.add(path, Problem::TooMany { found: values.len(), most: EXIT_CODES_MAX });
        }
        let mut seen = BTreeSet::new();
        for (index, value) in values.iter().enumerate() {
            let path = path.index(index);
            if *value == 0 && codes.operator == "In" {
                self.invalid(&path, "0".to_owned(), "must not be 0 for the In operator");
            }
            if !seen.insert(value) {
                // A number is shown without quotes.
                self.add(&path, Problem::DuplicateNumber { value: (*value).into() });
            }
        }
        if !values.is_sorted() {
            self.invalid(path, json(values), "must be ordered");
        }
    }

    fn patterns(&mut self, path: &Path, patterns: &[PodFailurePolicyOnPodConditionsPattern]) {
        if patterns.len() > PATTERNS_MAX {
            self.add(path, Problem::TooMany { found: patterns.len(), most: PATTERNS_MAX });
        }
        for (index, pattern) in patterns.iter().enumerate() {
            let path = path.index(index);
            self.spelling(&path.field("type"), &pattern.type_, names::qualified(&pattern.type_));
            const STATUSES: [&str; 3] = ["False", "True", "Unknown"];
            match pattern.status.as_deref() {
                None | Some("") => {
                    let detail = format!("valid values: {STATUSES:?}");
                    self.add(&path.field("status"), Problem::Required(detail));
                }
                status @ Some(_) => self.one_of(&path.field("status"), status, &STATUSES),
            }
        }
    }

    /// <https://kubernetes.io/docs/concepts/workloads/controllers/job/#success-policy>
    pub(super) fn success_policy(&mut self, policy: &SuccessPolicy, spec: &JobSpec) {
        let path = Path::of("spec.successPolicy");
        if spec.completion_mode.as_deref() != Some("Indexed") {
            let detail = "requires indexed completion mode";
            return self.invalid(&path, json(policy), detail);
        }
        let path = path.field("rules");
        if policy.rules.is_empty() {
            let detail = "at least one rules must be specified when the successPolicy is specified";
            self.add(&path, Problem::Required(detail.to_owned()));
        }
        if policy.rules.len() > RULES_MAX {
            self.add(&path, Problem::TooMany { found: policy.rules.len(), most: RULES_MAX });
        }
        let completions = spec.completions.and_then(|n| u32::try_from(n).ok()).unwrap_or(0);
        for (index, rule) in policy.rules.iter().enumerate() {
            self.success_rule(&path.index(index), rule, completions);
        }
    }

    fn success_rule(&mut self, path: &Path, rule: &SuccessPolicyRule, completions: u32) {
        if rule.succeeded_count.is_none() && rule.succeeded_indexes.is_none() {
            let detail = "at least one of succeededCount or succeededIndexes must be specified";
            self.add(path, Problem::Required(detail.to_owned()));
        }
        let mut listed = None;
        if let Some(text) = &rule.succeeded_indexes {
            let path = path.field("succeededIndexes");
            if text.len() > INDEXES_BYTES_MAX {
                self.add(&path, Problem::TooLong { bytes: INDEXES_BYTES_MAX });
            }
            match Intervals::parse(text, completions) {
                Ok(indexes) => listed = Some(indexes.len()),
                Err(why) => {
                    let detail = format!("error parsing succeededIndexes: {why}");
                    self.invalid(&path, quoted(text), detail);
                }
            }
        }
        let Some(count) = rule.succeeded_count else { return };
        let path = path.field("succeededCount");
        self.not_negative(&path, Some(count.into()));
        if i64::from(count) > i64::from(completions) {
            let detail = format!(
                "must be less than or equal to {completions} (the number of specified completions)"
            );
            self.invalid(&path, count.to_string(), detail);
        }
        if let Some(listed) = listed.filter(|listed| i64::from(count) > i64::from(*listed)) {
            let detail = format!(
                "must be less than or equal to {listed} (the number of indexes in the specified \
                 succeededIndexes field)"
            );
            self.invalid(&path, count.to_string(), detail);
        }
    }
}

fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::super::tests::{POD, refused};

    fn of(fields: &str) -> Vec<String> {
        refused(&format!("{{{fields}, template: {{spec: {{{POD}}}}}}}"))
    }

    fn rule(rule: &str) -> Vec<String> {
        of(&format!("podFailurePolicy: {{rules: [{rule}]}}"))
    }

    #[test]
    fn case_86_a_failure_policy_needs_pods_that_fail() {
        let policy = "podFailurePolicy: {rules: []}";
        let pod = "restartPolicy: OnFailure, containers: [{name: a, image: b}]";
        assert_eq!(
            refused(&format!("{{{policy}, template: {{spec: {{{pod}}}}}}}")),
            ["spec.template.spec.restartPolicy: Invalid value: \"OnFailure\": only \"Never\" is \
              supported when podFailurePolicy is specified"]
        );
        assert_eq!(
            of(&format!("{policy}, podReplacementPolicy: TerminatingOrFailed")),
            ["spec.podReplacementPolicy: Unsupported value: \"TerminatingOrFailed\": supported \
              values: \"Failed\""]
        );
        assert_eq!(of(&format!("{policy}, podReplacementPolicy: Failed")), [""; 0]);
    }

    #[test]
    fn case_87_the_rules_of_a_failure_policy_are_in_order() {
        let many: Vec<String> = (1..=256).map(|n| n.to_string()).collect();
        let codes = |values: &str| {
            rule(&format!("{{action: FailJob, onExitCodes: {{operator: In, values: {values}}}}}"))
        };
        let at = "spec.podFailurePolicy.rules[0]";
        for (found, expected) in [
            (codes("[2, 1]"), "onExitCodes.values: Invalid value: [2,1]: must be ordered"),
            (codes("[1, 1]"), "onExitCodes.values[1]: Duplicate value: 1"),
            (
                codes("[0]"),
                "onExitCodes.values[0]: Invalid value: 0: must not be 0 for the In operator",
            ),
            (codes("[]"), "onExitCodes.values: Invalid value: []: at least one value is required"),
            (
                codes(&format!("[{}]", many.join(", "))),
                "onExitCodes.values: Too many: 256: must have at most 255 items",
            ),
            (
                rule("{action: Sleep, onPodConditions: [{type: A}]}"),
                "action: Unsupported value: \"Sleep\": supported values: \"Count\", \
                 \"FailIndex\", \"FailJob\", \"Ignore\"",
            ),
            (
                rule("{action: FailIndex, onPodConditions: [{type: A}]}"),
                "action: Invalid value: \"FailIndex\": requires the backoffLimitPerIndex to be set",
            ),
            (
                rule("{action: Count, onExitCodes: {containerName: x, operator: In, values: [1]}}"),
                "onExitCodes.containerName: Invalid value: \"x\": must be one of the container or \
                 initContainer names in the pod template",
            ),
            (
                rule("{action: Count, onPodConditions: [{type: A, status: maybe}]}"),
                "onPodConditions[0].status: Unsupported value: \"maybe\": supported values: \
                 \"False\", \"True\", \"Unknown\"",
            ),
        ] {
            assert_eq!(found, [format!("{at}.{expected}")]);
        }
        let none = rule("{action: Count}");
        assert!(none[0].ends_with("specifying one of OnExitCodes and OnPodConditions is required"));
        let both = rule(
            "{action: Count, onPodConditions: [{type: A}], onExitCodes: {operator: In, values: [1]}}",
        );
        assert!(both[0].starts_with(&format!("{at}: Invalid value: {{\"action\":\"Count\"")));
        assert!(
            both[0].ends_with("specifying both OnExitCodes and OnPodConditions is not supported")
        );
    }

    #[test]
    fn case_92_a_success_policy_is_about_indexes_that_there_are() {
        let indexed = |rules: &str| {
            of(&format!(
                "completionMode: Indexed, completions: 5, successPolicy: {{rules: {rules}}}"
            ))
        };
        let at = "spec.successPolicy.rules";
        for (found, expected) in [
            (
                indexed("[]"),
                ": Required value: at least one rules must be specified when the successPolicy is \
                 specified",
            ),
            (
                indexed("[{}]"),
                "[0]: Required value: at least one of succeededCount or succeededIndexes must be \
                 specified",
            ),
            (
                indexed("[{succeededIndexes: '1-5'}]"),
                "[0].succeededIndexes: Invalid value: \"1-5\": error parsing succeededIndexes: too \
                 large index: \"5\", it must be less than 5",
            ),
            (
                indexed("[{succeededIndexes: '1-2', succeededCount: 3}]"),
                "[0].succeededCount: Invalid value: 3: must be less than or equal to 2 (the number \
                 of indexes in the specified succeededIndexes field)",
            ),
            (
                indexed("[{succeededCount: 6}]"),
                "[0].succeededCount: Invalid value: 6: must be less than or equal to 5 (the number \
                 of specified completions)",
            ),
        ] {
            assert_eq!(found, [format!("{at}{expected}")]);
        }
        assert_eq!(indexed("[{succeededIndexes: '0,2-4', succeededCount: 4}]"), [""; 0]);
        assert_eq!(
            of("successPolicy: {rules: [{succeededCount: 1}]}"),
            ["spec.successPolicy: Invalid value: {\"rules\":[{\"succeededCount\":1}]}: requires \
              indexed completion mode"]
        );
    }
}
