//! What a Job may say of where its pods are placed.
//!
//! Owns: that of several ways one is chosen, and how a toleration is written. Must not know: what comes of
//! it; on one host all pods are together.
//! <https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/job-v1/#JobSpec>

use k8s_openapi::api::batch::v1::JobSchedulingConfiguration;
use k8s_openapi::api::core::v1::Toleration;
use k8s_openapi::api::scheduling::v1alpha3::WorkloadPodGroupResourceClaim as Claim;

use super::{Found, Problem, names, quoted};
use crate::api::path::Path;

/// How many devices the pods may share.
const CLAIMS_MAX: usize = 4;

impl Found {
    pub(super) fn scheduling(&mut self, path: &Path, scheduling: &JobSchedulingConfiguration) {
        if let Some(policy) = &scheduling.scheduling_policy {
            let path = path.field("schedulingPolicy");
            self.exactly_one(&path, [policy.basic.is_some(), policy.gang.is_some()], "basic, gang");
            let least = policy.gang.as_ref().and_then(|gang| gang.min_count);
            if let Some(least) = least.filter(|least| *least < 1) {
                let path = path.field("gang").field("minCount");
                self.invalid(&path, least.to_string(), "must be greater than or equal to 1");
            }
        }
        if let Some(mode) = &scheduling.disruption_mode {
            let path = path.field("disruptionMode");
            self.exactly_one(&path, [mode.all.is_some(), mode.single.is_some()], "all, single");
        }
        let claims = scheduling.resource_claims.as_deref().unwrap_or_default();
        self.claims(&path.field("resourceClaims"), claims);
        let constraints = scheduling.scheduling_constraints.as_ref();
        let topology = constraints.and_then(|constraints| constraints.topology.as_deref());
        let path = path.field("schedulingConstraints").field("topology");
        for (index, constraint) in topology.unwrap_or_default().iter().enumerate() {
            let path = path.index(index).field("key");
            if constraint.key.is_empty() {
                self.add(&path, Problem::Required(String::new()));
            } else {
                self.spelling(&path, &constraint.key, names::qualified(&constraint.key));
            }
        }
    }

    /// <https://kubernetes.io/docs/concepts/scheduling-eviction/dynamic-resource-allocation/>
    fn claims(&mut self, path: &Path, claims: &[Claim]) {
        if claims.len() > CLAIMS_MAX {
            self.add(path, Problem::TooMany { found: claims.len(), most: CLAIMS_MAX });
        }
        for (index, claim) in claims.iter().enumerate() {
            let path = path.index(index);
            let name = path.field("name");
            if claim.name.is_empty() {
                self.add(&name, Problem::Required(String::new()));
            } else {
                self.spelling(&name, &claim.name, names::label(&claim.name));
            }
            if claims.iter().take(index).any(|before| before.name == claim.name) {
                self.add(&name, Problem::Duplicate { value: claim.name.clone() });
            }
            let (object, template) =
                (&claim.resource_claim_name, &claim.resource_claim_template_name);
            let said = [object.is_some(), template.is_some()];
            self.exactly_one(&path, said, "resourceClaimName, resourceClaimTemplateName");
            for (field, text) in
                [("resourceClaimName", object), ("resourceClaimTemplateName", template)]
            {
                if let Some(text) = text {
                    self.spelling(&path.field(field), text, names::subdomain(text));
                }
            }
        }
    }

    /// <https://kubernetes.io/docs/concepts/scheduling-eviction/taint-and-toleration/>
    pub(super) fn tolerations(&mut self, path: &Path, tolerations: &[Toleration]) {
        for (index, toleration) in tolerations.iter().enumerate() {
            let path = path.index(index);
            let (operator, effect) = (path.field("operator"), path.field("effect"));
            let said = |text: &Option<String>| text.clone().unwrap_or_default();
            let (key, how) = (said(&toleration.key), said(&toleration.operator));
            if !key.is_empty() {
                self.spelling(&path.field("key"), &key, names::qualified(&key));
            } else if how != "Exists" {
                let detail = "operator must be Exists when `key` is empty, which means \"match all \
                    values and all keys\"";
                self.invalid(&operator, quoted(&how), detail);
            }
            if toleration.toleration_seconds.is_some() && said(&toleration.effect) != "NoExecute" {
                let detail = "effect must be 'NoExecute' when `tolerationSeconds` is set";
                self.invalid(&effect, quoted(&said(&toleration.effect)), detail);
            }
            if how == "Exists" && !said(&toleration.value).is_empty() {
                let detail = "value must be empty when `operator` is 'Exists'";
                self.invalid(&operator, quoted(&said(&toleration.value)), detail);
            }
            let how = Some(how.as_str()).filter(|how| !how.is_empty());
            self.one_of(&operator, how, &["Equal", "Exists"]);
            let kind = toleration.effect.as_deref().filter(|kind| !kind.is_empty());
            self.one_of(&effect, kind, &["NoSchedule", "PreferNoSchedule", "NoExecute"]);
        }
    }

    fn exactly_one(&mut self, path: &Path, said: [bool; 2], names: &str) {
        if said[0] == said[1] {
            let detail = format!("must specify exactly one of: {names}");
            self.invalid(path, String::new(), detail);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{POD, refused, refused_pod};

    #[test]
    fn one_way_of_scheduling_is_chosen() {
        let of = |fields: &str| {
            refused(&format!("{{scheduling: {fields}, template: {{spec: {{{POD}}}}}}}"))
        };
        assert_eq!(
            of("{schedulingPolicy: {gang: {minCount: 2}}, disruptionMode: {all: {}}}"),
            [""; 0]
        );
        assert_eq!(of("{}"), [""; 0]);
        assert_eq!(of("{schedulingPolicy: {}}").len(), 1);
        assert_eq!(
            of("{schedulingPolicy: {gang: {minCount: 0}}}"),
            ["spec.scheduling.schedulingPolicy.gang.minCount: Invalid value: 0: must be greater \
              than or equal to 1"]
        );
    }

    #[test]
    fn a_shared_device_has_a_name_and_one_place_that_it_comes_from() {
        let of = |claims: &str| {
            let fields = format!("{{scheduling: {{resourceClaims: [{claims}]}}");
            refused(&format!("{fields}, template: {{spec: {{{POD}}}}}}}"))
        };
        assert_eq!(
            of("{name: a, resourceClaimName: x}, {name: b, resourceClaimTemplateName: y}"),
            [""; 0]
        );
        let path = "spec.scheduling.resourceClaims";
        let one = "must specify exactly one of: resourceClaimName, resourceClaimTemplateName";
        for (claims, field, problem) in [
            ("{name: '', resourceClaimName: x}", "[0].name", "Required value"),
            ("{name: A, resourceClaimName: x}", "[0].name", "Invalid value: \"A\""),
            ("{name: a, resourceClaimName: X}", "[0].resourceClaimName", "Invalid value: \"X\""),
            (
                "{name: a, resourceClaimName: x}, {name: a, resourceClaimName: y}",
                "[1].name",
                "Duplicate value: \"a\"",
            ),
            ("{name: a}", "[0]", one),
            ("{name: a, resourceClaimName: x, resourceClaimTemplateName: y}", "[0]", one),
        ] {
            let found = of(claims);
            assert_eq!(found.len(), 1, "{found:?}");
            assert!(found[0].starts_with(&format!("{path}{field}: ")), "{found:?}");
            assert!(found[0].contains(problem), "{found:?}");
        }
        let five: Vec<String> =
            (0..5).map(|n| format!("{{name: a{n}, resourceClaimName: x}}")).collect();
        assert_eq!(
            of(&five.join(", ")),
            [format!("{path}: Too many: 5: must have at most 4 items")]
        );
    }

    #[test]
    fn tolerations_are_written_as_kubernetes_wants_them() {
        let path = "spec.template.spec.tolerations[0]";
        let of = |toleration: &str| refused_pod(&format!("tolerations: [{{{toleration}}}]"));
        assert_eq!(of("operator: Exists"), [""; 0]);
        assert_eq!(of("key: gpu, value: 'yes', effect: NoSchedule"), [""; 0]);
        for (toleration, expected) in [
            (
                "key: a, operator: Exists, value: b",
                "operator: Invalid value: \"b\": value must be empty when `operator` is 'Exists'",
            ),
            (
                "key: a, tolerationSeconds: 1",
                "effect: Invalid value: \"\": effect must be 'NoExecute' when `tolerationSeconds` is set",
            ),
            (
                "key: a, effect: Never",
                "effect: Unsupported value: \"Never\": supported values: \"NoSchedule\", \
                 \"PreferNoSchedule\", \"NoExecute\"",
            ),
            (
                "operator: Equal",
                "operator: Invalid value: \"Equal\": operator must be Exists when `key` is empty, which \
                 means \"match all values and all keys\"",
            ),
        ] {
            assert_eq!(of(toleration), [format!("{path}.{expected}")]);
        }
    }
}
