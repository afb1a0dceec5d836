//! The pods that a Job makes.
//!
//! Owns: their names, uids, labels, owner and finalizer. Must not know: how many are made.
//! <https://kubernetes.io/docs/concepts/workloads/controllers/job/#pod-template>

use jiff::Timestamp;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{Container, Pod, PodStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use sha2::{Digest, Sha256};

use super::TRACKING_FINALIZER;
use super::conditions::whole;
use crate::api::names;
use crate::api::object::Object;

/// The Job's pod of this attempt. The same attempt always has the same name and uid, so that writing
/// it twice meets the first.
pub(super) fn pod(job: &Job, attempt: u64, now: Timestamp) -> Pod {
    let digest = Sha256::digest(format!("{}/{attempt}", job.uid()));
    let template = job.spec.as_ref().map(|spec| spec.template.clone()).unwrap_or_default();
    let meta = template.metadata.unwrap_or_default();
    let base = format!("{}-", job.name());
    let (mut uid, mut suffix) = ([0; 16], [0; names::SUFFIX_LENGTH]);
    uid.copy_from_slice(&digest[..16]);
    suffix.copy_from_slice(&digest[16..16 + names::SUFFIX_LENGTH]);
    let mut spec = template.spec.unwrap_or_default();
    spec.enable_service_links.get_or_insert(true);
    spec.containers.iter_mut().for_each(request_what_is_limited);
    Pod {
        metadata: ObjectMeta {
            name: Some(names::generated(&base, suffix)),
            generate_name: Some(base),
            namespace: job.metadata.namespace.clone(),
            uid: Some(names::uuid(uid)),
            creation_timestamp: Some(whole(now)),
            generation: Some(1),
            labels: meta.labels,
            annotations: meta.annotations,
            finalizers: Some(vec![TRACKING_FINALIZER.to_owned()]),
            owner_references: Some(vec![owner(job)]),
            ..ObjectMeta::default()
        },
        spec: Some(spec),
        status: Some(PodStatus { phase: Some("Pending".to_owned()), ..PodStatus::default() }),
    }
}

fn owner(job: &Job) -> OwnerReference {
    OwnerReference {
        api_version: "batch/v1".to_owned(),
        kind: "Job".to_owned(),
        name: job.name().to_owned(),
        uid: job.uid().to_owned(),
        controller: Some(true),
        block_owner_deletion: Some(true),
    }
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
