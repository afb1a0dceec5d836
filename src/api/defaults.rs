//! What a Job says where its manifest says nothing.
//!
//! Owns: the defaults of the Job and of its pod template. Must not know: which values are valid.
//! <https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/job-v1/>

use std::collections::BTreeMap;

use k8s_openapi::api::batch::v1::{Job, JobSpec};
use k8s_openapi::api::core::v1::{
    Container, HTTPGetAction, ObjectFieldSelector, Pod, PodSpec, Probe, ResourceFieldSelector,
    Volume,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;

use super::object::Object;
use super::references::is_live;

/// The labels that tie pods to their Job; the last two are what they were called before.
/// <https://kubernetes.io/docs/reference/labels-annotations-taints/#batchkubernetesio-controller-uid>
pub const GENERATED_LABELS: [&str; 4] = [
    "batch.kubernetes.io/controller-uid",
    "batch.kubernetes.io/job-name",
    "controller-uid",
    "job-name",
];

/// Fills in what is not said. Done twice is done once.
pub fn apply(job: &mut Job, uid: &str) {
    let name = job.name().to_owned();
    job.metadata.uid.get_or_insert_with(|| uid.to_owned());
    job.metadata.namespace.get_or_insert_with(|| "default".to_owned());
    let spec = job.spec.get_or_insert_default();
    fill_spec(spec);
    if spec.manual_selector != Some(true) {
        generate_selector(spec, &name, uid);
    }
    fill_pod(spec.template.spec.get_or_insert_default());
    let template_labels = spec.template.metadata.as_ref().and_then(|meta| meta.labels.clone());
    if job.metadata.labels.as_ref().is_none_or(BTreeMap::is_empty) {
        job.metadata.labels = template_labels;
    }
}

/// Fills in what a pod that belongs to nobody does not say.
/// <https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#restart-policy>
pub fn apply_pod(pod: &mut Pod) {
    let spec = pod.spec.get_or_insert_default();
    fill_pod(spec);
    spec.restart_policy.get_or_insert_with(|| "Always".to_owned());
    pod.status.get_or_insert_default().phase.get_or_insert_with(|| "Pending".to_owned());
}

fn fill_spec(spec: &mut JobSpec) {
    // A Job with parallelism and without completions is a work queue.
    if spec.parallelism.is_none() {
        spec.completions.get_or_insert(1);
    }
    spec.parallelism.get_or_insert(1);
    // Where each index has a limit of its own, all of them together need none.
    let limit = if spec.backoff_limit_per_index.is_some() { i32::MAX } else { 6 };
    spec.backoff_limit.get_or_insert(limit);
    spec.completion_mode.get_or_insert_with(|| "NonIndexed".to_owned());
    spec.suspend.get_or_insert(false);
    spec.manual_selector.get_or_insert(false);
    let policy = match &spec.pod_failure_policy {
        Some(_) => "Failed",
        None => "TerminatingOrFailed",
    };
    spec.pod_replacement_policy.get_or_insert_with(|| policy.to_owned());
    let rules = spec.pod_failure_policy.iter_mut().flat_map(|policy| &mut policy.rules);
    for pattern in rules.flat_map(|rule| rule.on_pod_conditions.iter_mut().flatten()) {
        pattern.status.get_or_insert_with(|| "True".to_owned());
    }
}

/// A selector that nobody wrote selects the pods by the Job's uid.
/// <https://kubernetes.io/docs/concepts/workloads/controllers/job/#specifying-your-own-pod-selector>
fn generate_selector(spec: &mut JobSpec, name: &str, uid: &str) {
    let labels = spec.template.metadata.get_or_insert_default().labels.get_or_insert_default();
    for (label, value) in GENERATED_LABELS.into_iter().zip([uid, name, uid, name]) {
        labels.entry(label.to_owned()).or_insert_with(|| value.to_owned());
    }
    let selector: &mut LabelSelector = spec.selector.get_or_insert_default();
    let selected = selector.match_labels.get_or_insert_default();
    selected.entry(GENERATED_LABELS[0].to_owned()).or_insert_with(|| uid.to_owned());
}

/// <https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/pod-v1/>
fn fill_pod(pod: &mut PodSpec) {
    pod.dns_policy.get_or_insert_with(|| "ClusterFirst".to_owned());
    pod.scheduler_name.get_or_insert_with(|| "default-scheduler".to_owned());
    pod.security_context.get_or_insert_default();
    pod.termination_grace_period_seconds.get_or_insert(30);
    pod.volumes.iter_mut().flatten().for_each(fill_volume);
    let init = pod.init_containers.iter_mut().flatten();
    init.chain(&mut pod.containers).for_each(fill_container);
}

/// What readers may do with the files of a volume, and its owner besides.
const FILE_MODE: i32 = 0o644;

/// A volume that says nothing of itself is an empty directory.
fn fill_volume(volume: &mut Volume) {
    let is_of_host = volume.host_path.is_some() || volume.persistent_volume_claim.is_some();
    if !is_of_host && !is_live(volume) {
        volume.empty_dir.get_or_insert_default();
    }
    let mode = |mode: &mut Option<i32>| *mode = mode.or(Some(FILE_MODE));
    volume.config_map.iter_mut().for_each(|source| mode(&mut source.default_mode));
    volume.secret.iter_mut().for_each(|source| mode(&mut source.default_mode));
    volume.projected.iter_mut().for_each(|source| mode(&mut source.default_mode));
    volume.downward_api.iter_mut().for_each(|source| mode(&mut source.default_mode));
    let own = volume.downward_api.iter_mut().flat_map(|source| source.items.iter_mut().flatten());
    let projected =
        volume.projected.iter_mut().flat_map(|source| source.sources.iter_mut().flatten());
    let projected = projected.filter_map(|source| source.downward_api.as_mut());
    let all = own.chain(projected.flat_map(|source| source.items.iter_mut().flatten()));
    for file in all {
        file.field_ref.iter_mut().for_each(fill_field_ref);
        file.resource_field_ref.iter_mut().for_each(fill_resource_ref);
    }
}

fn fill_field_ref(field: &mut ObjectFieldSelector) {
    field.api_version.get_or_insert_with(|| "v1".to_owned());
}

fn fill_resource_ref(resource: &mut ResourceFieldSelector) {
    resource.divisor.get_or_insert_with(|| Quantity("0".to_owned()));
}

fn fill_container(container: &mut Container) {
    let image = container.image.as_deref().unwrap_or_default();
    let policy = default_pull_policy(image);
    container.image_pull_policy.get_or_insert_with(|| policy.to_owned());
    container.termination_message_path.get_or_insert_with(|| "/dev/termination-log".to_owned());
    container.termination_message_policy.get_or_insert_with(|| "File".to_owned());
    container.resources.get_or_insert_default();
    for source in container.env.iter_mut().flatten().filter_map(|env| env.value_from.as_mut()) {
        source.field_ref.iter_mut().for_each(fill_field_ref);
        source.resource_field_ref.iter_mut().for_each(fill_resource_ref);
    }
    let probes = [
        &mut container.startup_probe,
        &mut container.liveness_probe,
        &mut container.readiness_probe,
    ];
    probes.into_iter().flatten().for_each(fill_probe);
    if let Some(lifecycle) = &mut container.lifecycle {
        let hooks = [&mut lifecycle.post_start, &mut lifecycle.pre_stop];
        hooks.into_iter().flatten().filter_map(|hook| hook.http_get.as_mut()).for_each(fill_get);
    }
    for port in container.ports.iter_mut().flatten() {
        port.protocol.get_or_insert_with(|| "TCP".to_owned());
    }
}

/// <https://kubernetes.io/docs/tasks/configure-pod-container/configure-liveness-readiness-startup-probes/#configure-probes>
fn fill_probe(probe: &mut Probe) {
    probe.timeout_seconds.get_or_insert(1);
    probe.period_seconds.get_or_insert(10);
    probe.success_threshold.get_or_insert(1);
    probe.failure_threshold.get_or_insert(3);
    probe.http_get.iter_mut().for_each(fill_get);
    if let Some(grpc) = &mut probe.grpc {
        grpc.service.get_or_insert_default();
    }
}

fn fill_get(get: &mut HTTPGetAction) {
    get.path.get_or_insert_with(|| "/".to_owned());
    get.scheme.get_or_insert_with(|| "HTTP".to_owned());
}

/// What is pulled when, of an image of which nothing is said.
/// <https://kubernetes.io/docs/concepts/containers/images/#imagepullpolicy-defaulting>
pub fn default_pull_policy(image: &str) -> &'static str {
    let last = image.rsplit('/').next().unwrap_or_default();
    let tag = last.split_once(':').map(|(_, tag)| tag);
    match tag {
        _ if image.contains('@') => "IfNotPresent",
        None | Some("latest") => "Always",
        Some(_) => "IfNotPresent",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::manifest;

    fn admitted(text: &str) -> Job {
        let mut job = manifest::read("job.yaml", text.as_bytes()).unwrap().remove(0);
        apply(&mut job, "uid-1");
        job
    }

    #[test]
    fn the_first_job_of_every_book_gets_its_defaults() {
        let job = admitted(include_str!("../../manifests/batch-job.yaml"));
        let spec = job.spec.as_ref().unwrap();
        assert_eq!(
            (spec.parallelism, spec.completions, spec.backoff_limit),
            (Some(1), Some(1), Some(6))
        );
        let labels = job.metadata.labels.as_ref().unwrap();
        assert_eq!(labels["app"], "batch-job");
        assert_eq!(labels["batch.kubernetes.io/controller-uid"], "uid-1");
        assert_eq!(labels["job-name"], "batch-job");
        let selector = spec.selector.as_ref().unwrap().match_labels.as_ref().unwrap();
        assert_eq!(selector["batch.kubernetes.io/controller-uid"], "uid-1");
        let pod = spec.template.spec.as_ref().unwrap();
        assert_eq!(pod.containers[0].image_pull_policy.as_deref(), Some("Always"));
        assert_eq!(pod.termination_grace_period_seconds, Some(30));
    }

    #[test]
    fn parallelism_without_completions_stays_a_work_queue() {
        let mut job = Job::default();
        job.spec.get_or_insert_default().parallelism = Some(3);
        apply(&mut job, "u");
        assert_eq!(job.spec.unwrap().completions, None);
    }

    #[test]
    fn case_76_where_each_index_has_a_limit_the_job_has_none() {
        let mut job = Job::default();
        job.spec.get_or_insert_default().backoff_limit_per_index = Some(1);
        apply(&mut job, "u");
        assert_eq!(job.spec.unwrap().backoff_limit, Some(2_147_483_647));
    }

    #[test]
    fn a_failure_policy_replaces_only_pods_that_have_failed() {
        let job = admitted(
            "---\n{apiVersion: batch/v1, kind: Job, metadata: {name: a}, spec: {podFailurePolicy: \
             {rules: [{action: Ignore, onPodConditions: [{type: A}]}]}}}\n",
        );
        let spec = job.spec.unwrap();
        assert_eq!(spec.pod_replacement_policy.as_deref(), Some("Failed"));
        let rule = &spec.pod_failure_policy.unwrap().rules[0];
        let pattern = &rule.on_pod_conditions.as_ref().unwrap()[0];
        assert_eq!(pattern.status.as_deref(), Some("True"));
    }

    #[test]
    fn a_manual_selector_is_left_as_it_is() {
        let mut job = Job::default();
        job.spec.get_or_insert_default().manual_selector = Some(true);
        apply(&mut job, "u");
        let spec = job.spec.unwrap();
        assert_eq!((spec.selector, spec.template.metadata), (None, None));
    }

    #[test]
    fn defaults_done_twice_are_done_once() {
        let once = admitted(include_str!("../../manifests/multi-completion-batch-job.yaml"));
        let mut twice = once.clone();
        apply(&mut twice, "uid-1");
        assert_eq!(once, twice);
    }

    #[test]
    fn without_a_tag_an_image_is_always_asked_for() {
        for (image, policy) in [
            ("busybox", "Always"),
            ("localhost:5000/busybox", "Always"),
            ("busybox:latest", "Always"),
            ("busybox:1.36", "IfNotPresent"),
            ("busybox@sha256:0", "IfNotPresent"),
        ] {
            assert_eq!(default_pull_policy(image), policy, "{image}");
        }
    }
}
