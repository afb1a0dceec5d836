//! Which changes a Job allows.
//!
//! Owns: the fields that stay as they are, and when some of them may change after all. Must not know:
//! who changes them. The words are those of Kubernetes.
//! <https://kubernetes.io/docs/concepts/workloads/controllers/job/#mutable-scheduling-directives>

use k8s_openapi::api::batch::v1::{Job, JobSchedulingConfiguration, JobSpec};
use k8s_openapi::api::core::v1::{NodeAffinity, PodSpec, PodTemplateSpec};
use serde::Serialize;

use super::{FieldError, Found, validate};
use crate::api::job;
use crate::api::path::Path;

/// All that is wrong with a change of a Job. `old` is the Job as it is stored, with its status; `new`
/// has its defaults.
pub fn validate_update(old: &Job, new: &Job) -> Vec<FieldError> {
    let mut found = Found { errors: validate(new) };
    let meta = Path::of("metadata");
    found.unchanged(&meta.field("name"), &old.metadata.name, &new.metadata.name);
    found.unchanged(&meta.field("namespace"), &old.metadata.namespace, &new.metadata.namespace);
    found.unchanged(&meta.field("uid"), &old.metadata.uid, &new.metadata.uid);
    found.extensions_update(&meta.field("annotations"), old, new);
    if let (Some(before), Some(after)) = (&old.spec, &new.spec) {
        found.spec_update(old, before, after);
    }
    found.errors
}

impl Found {
    fn spec_update(&mut self, old: &Job, before: &JobSpec, after: &JobSpec) {
        let path = Path::of("spec");
        self.completions_update(&path.field("completions"), before, after);
        self.unchanged(&path.field("selector"), &before.selector, &after.selector);
        self.template_update(old, before, after);
        let mode = (&before.completion_mode, &after.completion_mode);
        self.unchanged(&path.field("completionMode"), mode.0, mode.1);
        let policy = (&before.pod_failure_policy, &after.pod_failure_policy);
        self.unchanged(&path.field("podFailurePolicy"), policy.0, policy.1);
        let limit = (&before.backoff_limit_per_index, &after.backoff_limit_per_index);
        self.unchanged(&path.field("backoffLimitPerIndex"), limit.0, limit.1);
        self.unchanged(&path.field("managedBy"), &before.managed_by, &after.managed_by);
        let policy = (&before.success_policy, &after.success_policy);
        self.unchanged(&path.field("successPolicy"), policy.0, policy.1);
        let scheduling = path.field("scheduling");
        let adapted = with_count(before.scheduling.clone(), after.scheduling.as_ref());
        self.unchanged(&scheduling, &adapted, &after.scheduling);
    }

    fn unchanged<T: PartialEq + Serialize>(&mut self, path: &Path, old: &T, new: &T) {
        if old != new {
            let shown = serde_json::to_string(new).unwrap_or_default();
            self.invalid(path, shown, "field is immutable");
        }
    }

    /// An Indexed Job may get more indexes or fewer, if all of them may run at once.
    /// <https://kubernetes.io/docs/concepts/workloads/controllers/job/#elastic-indexed-jobs>
    fn completions_update(&mut self, path: &Path, before: &JobSpec, after: &JobSpec) {
        if after.completion_mode.as_deref() != Some("Indexed") {
            return self.unchanged(path, &before.completions, &after.completions);
        }
        let (Some(completions), Some(parallelism)) = (after.completions, after.parallelism) else {
            return;
        };
        if before.completions != after.completions && completions != parallelism {
            let detail = "can only be modified in tandem with spec.parallelism";
            self.invalid(path, completions.to_string(), detail);
        }
    }

    fn template_update(&mut self, old: &Job, before: &JobSpec, after: &JobSpec) {
        let mut adapted = before.template.clone();
        if may_change(old) {
            adapt(&mut adapted, &after.template);
        }
        self.unchanged(&Path::of("spec.template"), &adapted, &after.template);
    }
}

/// Whether no pod was made from the template yet, or none of them runs any more.
fn may_change(old: &Job) -> bool {
    let rests = job::true_condition(old, "Suspended").is_some() && job::active(old) == 0;
    job::is_suspended(old) && (job::start_time(old).is_none() || rests)
}

/// Takes over what may change: where the pods are to run, what they are called, what they need.
fn adapt(old: &mut PodTemplateSpec, new: &PodTemplateSpec) {
    let (labels, annotations) = match &new.metadata {
        Some(meta) => (meta.labels.clone(), meta.annotations.clone()),
        None => (None, None),
    };
    if old.metadata.is_some() || new.metadata.is_some() {
        let meta = old.metadata.get_or_insert_default();
        (meta.labels, meta.annotations) = (labels, annotations);
        if new.metadata.is_none() && *meta == Default::default() {
            old.metadata = None;
        }
    }
    let (Some(old), Some(new)) = (&mut old.spec, &new.spec) else { return };
    old.node_selector.clone_from(&new.node_selector);
    old.tolerations.clone_from(&new.tolerations);
    old.scheduling_gates.clone_from(&new.scheduling_gates);
    adapt_affinity(old, new);
    let init = old.init_containers.iter_mut().flatten();
    for (old, new) in init.zip(new.init_containers.iter().flatten()) {
        old.resources.clone_from(&new.resources);
    }
    for (old, new) in old.containers.iter_mut().zip(&new.containers) {
        old.resources.clone_from(&new.resources);
    }
}

/// Of the affinities only that to nodes may change.
fn adapt_affinity(old: &mut PodSpec, new: &PodSpec) {
    let wanted: Option<NodeAffinity> =
        new.affinity.as_ref().and_then(|affinity| affinity.node_affinity.clone());
    if old.affinity.is_some() || new.affinity.is_some() {
        let affinity = old.affinity.get_or_insert_default();
        affinity.node_affinity = wanted;
        if new.affinity.is_none() && *affinity == Default::default() {
            old.affinity = None;
        }
    }
}

/// How many pods belong together may change; that they do may not.
fn with_count(
    mut old: Option<JobSchedulingConfiguration>,
    new: Option<&JobSchedulingConfiguration>,
) -> Option<JobSchedulingConfiguration> {
    let gang = |scheduling: &mut JobSchedulingConfiguration| {
        scheduling.scheduling_policy.as_mut().and_then(|policy| policy.gang.take())
    };
    let (Some(before), Some(after)) = (&mut old, new) else { return old };
    let wanted = gang(&mut after.clone());
    if gang(before).is_some()
        && let Some(policy) = &mut before.scheduling_policy
    {
        policy.gang = wanted;
    }
    old
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::api::defaults;

    /// A Job with these fields of its spec, and of its pods'.
    fn job(spec: Value, pod: Value) -> Job {
        let mut all = json!({"metadata": {"name": "pi"}, "spec": {"template": {"spec": {
            "restartPolicy": "Never", "containers": [{"name": "a", "image": "b"}],
        }}}});
        for (name, value) in spec.as_object().unwrap() {
            all["spec"][name] = value.clone();
        }
        for (name, value) in pod.as_object().unwrap() {
            all["spec"]["template"]["spec"][name] = value.clone();
        }
        let mut job: Job = serde_json::from_value(all).unwrap();
        defaults::apply(&mut job, "u");
        job
    }

    fn refused(old: &Job, new: &Job) -> Vec<String> {
        validate_update(old, new).iter().map(ToString::to_string).collect()
    }

    fn changed(old: Value, new: Value) -> Vec<String> {
        refused(&job(old, json!({})), &job(new, json!({})))
    }

    #[test]
    fn case_66_completions_change_only_with_parallelism_and_only_of_indexes() {
        let indexed = |completions: i32, parallelism: i32| {
            json!({
                "completionMode": "Indexed", "completions": completions, "parallelism": parallelism,
            })
        };
        assert_eq!(changed(indexed(3, 3), indexed(5, 5)), [""; 0]);
        assert_eq!(changed(indexed(3, 2), indexed(3, 1)), [""; 0]);
        assert_eq!(
            changed(indexed(3, 3), indexed(5, 3)),
            ["spec.completions: Invalid value: 5: can only be modified in tandem with \
              spec.parallelism"]
        );
        assert_eq!(
            changed(json!({"completions": 3}), json!({"completions": 4})),
            ["spec.completions: Invalid value: 4: field is immutable"]
        );
    }

    #[test]
    fn what_may_change_at_any_time_does() {
        let new = json!({
            "parallelism": 3, "completions": 1, "activeDeadlineSeconds": 9, "backoffLimit": 2,
            "ttlSecondsAfterFinished": 1, "suspend": true, "podReplacementPolicy": "Failed",
        });
        assert_eq!(changed(json!({"completions": 1}), new), [""; 0]);
    }

    #[test]
    fn what_may_not_change_is_named() {
        let rules = json!({"rules": []});
        let indexed = |fields: Value| {
            let mut all = json!({"completionMode": "Indexed", "completions": 2});
            all.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
            all
        };
        for (old, new, field) in [
            (json!({"completions": 1}), indexed(json!({"completions": 1})), "completionMode"),
            (json!({}), json!({"podFailurePolicy": rules}), "podFailurePolicy"),
            (json!({}), json!({"managedBy": "a.b/c"}), "managedBy"),
            (
                indexed(json!({})),
                indexed(json!({"backoffLimitPerIndex": 1, "backoffLimit": 6})),
                "backoffLimitPerIndex",
            ),
            (
                indexed(json!({})),
                indexed(json!({"successPolicy": {"rules": [{"succeededCount": 1}]}})),
                "successPolicy",
            ),
            (
                json!({"scheduling": {"schedulingPolicy": {"basic": {}}}}),
                json!({"scheduling": {"schedulingPolicy": {"gang": {"minCount": 1}}}}),
                "scheduling",
            ),
        ] {
            let found = changed(old, new);
            assert_eq!(found.len(), 1, "{found:?}");
            assert!(found[0].starts_with(&format!("spec.{field}: Invalid value: ")), "{found:?}");
            assert!(found[0].ends_with(": field is immutable"), "{found:?}");
        }
        let gang = |n: i32| json!({"scheduling": {"schedulingPolicy": {"gang": {"minCount": n}}}});
        assert_eq!(changed(gang(1), gang(2)), [""; 0]);
        let (old, mut new) = (job(json!({}), json!({})), job(json!({}), json!({})));
        new.metadata.uid = Some("v".into());
        assert!(
            refused(&old, &new)
                .contains(&"metadata.uid: Invalid value: \"v\": field is immutable".to_owned())
        );
    }

    /// Directives that may change, and all at once.
    fn placed() -> Value {
        json!({
            "nodeSelector": {"disk": "ssd"}, "tolerations": [{"operator": "Exists"}],
            "affinity": {"nodeAffinity": {}}, "schedulingGates": [{"name": "a.b/c"}],
            "containers": [{"name": "a", "image": "b", "resources": {"limits": {"cpu": "1"}}}],
        })
    }

    #[test]
    fn case_50_a_job_that_never_started_can_be_placed_elsewhere() {
        let waiting = json!({"suspend": true});
        let old = job(waiting.clone(), json!({}));
        let mut new = job(waiting.clone(), placed());
        let labels = new.spec.as_mut().unwrap().template.metadata.as_mut().unwrap();
        labels.labels.as_mut().unwrap().insert("queue".into(), "q".into());
        assert_eq!(refused(&old, &new), [""; 0]);
        assert_eq!(refused(&new, &old), [""; 0]);
        let image = json!({"containers": [{"name": "a", "image": "c:1"}]});
        let found = refused(&old, &job(waiting.clone(), image));
        assert!(found[0].starts_with("spec.template: Invalid value: {"), "{found:?}");
        assert!(found[0].ends_with(": field is immutable"));
        let pods = json!({"affinity": {"podAffinity": {}}});
        assert_eq!(refused(&old, &job(waiting, pods)).len(), 1);
        let runs = job(json!({}), json!({}));
        assert_eq!(refused(&runs, &job(json!({}), placed())).len(), 1);
    }

    #[test]
    fn case_51_a_job_that_ran_can_be_placed_elsewhere_once_it_rests() {
        let waiting = json!({"suspend": true});
        let mut old = job(waiting.clone(), json!({}));
        let new = job(waiting, placed());
        for (status, allowed) in [
            (json!({"startTime": "2026-01-01T00:00:00Z", "active": 1}), false),
            (json!({"startTime": "2026-01-01T00:00:00Z"}), false),
            (
                json!({
                    "startTime": "2026-01-01T00:00:00Z", "active": 1,
                    "conditions": [{"type": "Suspended", "status": "True"}],
                }),
                false,
            ),
            (
                json!({
                    "startTime": "2026-01-01T00:00:00Z",
                    "conditions": [{"type": "Suspended", "status": "True"}],
                }),
                true,
            ),
        ] {
            old.status = Some(serde_json::from_value(status.clone()).unwrap());
            assert_eq!(refused(&old, &new).is_empty(), allowed, "{status}");
        }
    }
}
