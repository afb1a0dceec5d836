//! What a Job may say of how its pods are placed together.
//!
//! Owns: that of several ways one is chosen. Must not know: what comes of it; on one host all pods are
//! together.
//! <https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/job-v1/#JobSpec>

use k8s_openapi::api::batch::v1::JobSchedulingConfiguration;

use super::{Found, Problem, names};
use crate::api::path::Path;

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

    fn exactly_one(&mut self, path: &Path, said: [bool; 2], names: &str) {
        if said[0] == said[1] {
            let detail = format!("must specify exactly one of: {names}");
            self.invalid(path, String::new(), detail);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{POD, refused};

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
}
