//! When a container may run again.
//!
//! Owns: the checks of a container's own restart policy and its rules. Must not know: that of its pod.
//! <https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#individual-container-restart-policy-and-rules>

use k8s_openapi::api::core::v1::{Container, ContainerRestartRule};

use super::{Found, Problem};
use crate::api::path::Path;

/// A container has no more rules, and a rule no more exit codes.
const RULES_MAX: usize = 20;
const CODES_MAX: usize = 255;

impl Found {
    pub(super) fn container_restarts(&mut self, path: &Path, container: &Container) {
        let rules = container.restart_policy_rules.as_deref().unwrap_or_default();
        let policy = path.field("restartPolicy");
        if container.restart_policy.is_none() && !rules.is_empty() {
            let detail = "must specify restartPolicy when restart rules are used".to_owned();
            self.add(&policy, Problem::Required(detail));
        }
        let policies = &["Always", "Never", "OnFailure"];
        self.one_of(&policy, container.restart_policy.as_deref(), policies);
        let path = path.field("restartPolicyRules");
        if rules.len() > RULES_MAX {
            self.add(&path, Problem::TooMany { found: rules.len(), most: RULES_MAX });
        }
        for (index, rule) in rules.iter().enumerate() {
            self.restart_rule(&path.index(index), rule);
        }
    }

    fn restart_rule(&mut self, path: &Path, rule: &ContainerRestartRule) {
        let actions = &["Restart", "RestartAllContainers"];
        self.one_of(&path.field("action"), Some(&rule.action), actions);
        let path = path.field("exitCodes");
        let Some(codes) = &rule.exit_codes else {
            return self.add(&path, Problem::Required("must be specified".to_owned()));
        };
        self.one_of(&path.field("operator"), Some(&codes.operator), &["In", "NotIn"]);
        let values = codes.values.as_ref().map_or(0, Vec::len);
        if values > CODES_MAX {
            let problem = Problem::TooMany { found: values, most: CODES_MAX };
            self.add(&path.field("values"), problem);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::refused_container;

    #[test]
    fn restart_rules_stand_beside_a_policy_and_have_an_action_and_exit_codes() {
        let path = "spec.template.spec.containers[0]";
        let rule = "{action: Restart, exitCodes: {operator: In, values: [1]}}";
        assert_eq!(
            refused_container(&format!("restartPolicy: Never, restartPolicyRules: [{rule}]")),
            [""; 0]
        );
        for (fields, expected) in [
            (
                format!("restartPolicyRules: [{rule}]"),
                "restartPolicy: Required value: must specify restartPolicy when restart rules are \
                 used",
            ),
            (
                "restartPolicy: Sometimes".to_owned(),
                "restartPolicy: Unsupported value: \"Sometimes\": supported values: \"Always\", \
                 \"Never\", \"OnFailure\"",
            ),
            (
                "restartPolicy: Never, restartPolicyRules: [{action: Restart}]".to_owned(),
                "restartPolicyRules[0].exitCodes: Required value: must be specified",
            ),
            (
                format!(
                    "restartPolicy: Never, restartPolicyRules: [{}]",
                    rule.replace("In,", "Is,")
                ),
                "restartPolicyRules[0].exitCodes.operator: Unsupported value: \"Is\": supported \
                 values: \"In\", \"NotIn\"",
            ),
            (
                format!(
                    "restartPolicy: Never, restartPolicyRules: [{}]",
                    rule.replace("Restart,", "Go,")
                ),
                "restartPolicyRules[0].action: Unsupported value: \"Go\": supported values: \
                 \"Restart\", \"RestartAllContainers\"",
            ),
            (
                format!("restartPolicy: Never, restartPolicyRules: [{}]", [rule; 21].join(", ")),
                "restartPolicyRules: Too many: 21: must have at most 20 items",
            ),
        ] {
            assert_eq!(refused_container(&fields), [format!("{path}.{expected}")]);
        }
    }
}
