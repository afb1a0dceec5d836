//! The pods that a Job makes.
//!
//! Owns: their names, uids, labels, owner and finalizer, and how they are told their index. Must not
//! know: how many are made.
//! <https://kubernetes.io/docs/concepts/workloads/controllers/job/#pod-template>

use jiff::Timestamp;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{
    Container, EnvVar, EnvVarSource, ObjectFieldSelector, Pod, PodSpec, PodStatus,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use sha2::{Digest, Sha256};

use super::TRACKING_FINALIZER;
use super::claim::owner;
use super::conditions::whole;
use super::indexes::INDEX;
use crate::api::extensions::COMPLETION_CONTAINERS;
use crate::api::names;
use crate::api::object::Object;

/// How often pods of this index failed before.
/// <https://kubernetes.io/docs/reference/labels-annotations-taints/#batch-kubernetes-io-job-index-failure-count>
pub(super) const FAILURES: &str = "batch.kubernetes.io/job-index-failure-count";
/// How often they failed in a way that is ignored.
pub(super) const IGNORED: &str = "batch.kubernetes.io/job-index-ignored-failure-count";

/// What distinguishes one pod of a Job from another.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Birth {
    /// How many pods were made for the Job before.
    pub(super) attempt: u64,
    pub(super) index: Option<u32>,
    /// How often the index failed, and how often that was ignored; where each has a limit of its own.
    pub(super) failures: Option<(u32, u32)>,
}

/// The Job's pod of this attempt. The same attempt always has the same name and uid, so that writing
/// it twice meets the first.
/// <https://kubernetes.io/docs/concepts/workloads/controllers/job/#pod-template>
pub(super) fn pod(job: &Job, birth: Birth, now: Timestamp) -> Pod {
    let digest = Sha256::digest(format!("{}/{}", job.uid(), birth.attempt));
    let template = job.spec.as_ref().map(|spec| spec.template.clone()).unwrap_or_default();
    let meta = template.metadata.unwrap_or_default();
    let base = base(job.name(), birth.index);
    let (mut uid, mut suffix) = ([0; 16], [0; names::SUFFIX_LENGTH]);
    uid.copy_from_slice(&digest[..16]);
    suffix.copy_from_slice(&digest[16..16 + names::SUFFIX_LENGTH]);
    let mut spec = template.spec.unwrap_or_default();
    spec.enable_service_links.get_or_insert(true);
    let init = spec.init_containers.iter_mut().flatten();
    spec.containers.iter_mut().chain(init).for_each(request_what_is_limited);
    let mut finalizers = meta.finalizers.unwrap_or_default();
    finalizers.retain(|finalizer| finalizer != TRACKING_FINALIZER);
    finalizers.push(TRACKING_FINALIZER.to_owned());
    let mut pod = Pod {
        metadata: ObjectMeta {
            name: Some(names::generated(&base, suffix)),
            generate_name: Some(base),
            namespace: job.metadata.namespace.clone(),
            uid: Some(names::uuid(uid)),
            creation_timestamp: Some(whole(now)),
            generation: Some(1),
            labels: meta.labels,
            annotations: meta.annotations,
            finalizers: Some(finalizers),
            owner_references: Some(vec![owner(job)]),
            ..ObjectMeta::default()
        },
        spec: Some(spec),
        status: Some(PodStatus { phase: Some("Pending".to_owned()), ..PodStatus::default() }),
    };
    // The pod's own rules read it there.
    let own = job.metadata.annotations.as_ref();
    if let Some(names) = own.and_then(|own| own.get(COMPLETION_CONTAINERS)) {
        let annotations = pod.metadata.annotations.get_or_insert_default();
        annotations.insert(COMPLETION_CONTAINERS.to_owned(), names.clone());
    }
    if let Some(index) = birth.index {
        tell_index(&mut pod, job.name(), index);
    }
    if let Some((failures, ignored)) = birth.failures {
        let annotations = pod.metadata.annotations.get_or_insert_default();
        annotations.insert(FAILURES.to_owned(), failures.to_string());
        if ignored > 0 {
            annotations.insert(IGNORED.to_owned(), ignored.to_string());
        }
    }
    pod
}

/// What the pod's name begins with: the index is never cut off.
fn base(job: &str, index: Option<u32>) -> String {
    let end = index.map_or_else(|| "-".to_owned(), |index| format!("-{index}-"));
    let room = names::GENERATED_BASE_MAX.saturating_sub(end.len());
    let cut = if index.is_some() { job.get(..room).unwrap_or(job) } else { job };
    format!("{cut}{end}")
}

/// <https://kubernetes.io/docs/concepts/workloads/controllers/job/#completion-mode>
fn tell_index(pod: &mut Pod, job: &str, index: u32) {
    let value = index.to_string();
    let meta = &mut pod.metadata;
    meta.annotations.get_or_insert_default().insert(INDEX.to_owned(), value.clone());
    meta.labels.get_or_insert_default().insert(INDEX.to_owned(), value.clone());
    let spec: &mut PodSpec = pod.spec.get_or_insert_default();
    spec.hostname = Some(format!("{job}-{value}"));
    let init = spec.init_containers.iter_mut().flatten();
    spec.containers.iter_mut().chain(init).for_each(add_variable);
}

/// A container that has such a variable of its own keeps it.
fn add_variable(container: &mut Container) {
    const NAME: &str = "JOB_COMPLETION_INDEX";
    let env = container.env.get_or_insert_default();
    if env.iter().any(|variable| variable.name == NAME) {
        return;
    }
    let field = ObjectFieldSelector {
        api_version: Some("v1".to_owned()),
        field_path: format!("metadata.labels['{INDEX}']"),
    };
    env.push(EnvVar {
        name: NAME.to_owned(),
        value: None,
        value_from: Some(EnvVarSource { field_ref: Some(field), ..EnvVarSource::default() }),
    });
}

/// A container that has a limit and no request asks for the limit; on the pod only.
/// <https://kubernetes.io/docs/concepts/configuration/manage-resources-containers/#requests-and-limits>
fn request_what_is_limited(container: &mut Container) {
    let Some(resources) = &mut container.resources else { return };
    let Some(limits) = &resources.limits else { return };
    let requests = resources.requests.get_or_insert_default();
    for (name, limit) in limits {
        requests.entry(name.clone()).or_insert_with(|| limit.clone());
    }
}
