//! Whether a namespace lets in the pods that a Job makes.
//!
//! Owns: asking about them before they are stored. Must not know: Jobs, or what the standards are.
//! <https://kubernetes.io/docs/concepts/security/pod-security-admission/>

use k8s_openapi::api::core::v1::{Namespace, Pod};

use super::Shared;
use crate::api::object::Object;
use crate::api::pod_security::{Policy, refusal};
use crate::store;

/// Why a pod is not let in, in the words in which a client would be told. The pods of a Job are alike: one
/// stands for all.
pub(super) async fn forbidden(shared: &Shared, pod: &Pod) -> Result<Option<String>, store::Error> {
    let Some(spec) = &pod.spec else { return Ok(None) };
    // A run has no namespaces, and so no rules for them.
    let namespace: Option<Namespace> = shared.store.get("", pod.namespace()).await?;
    let labels = namespace.as_ref().and_then(|namespace| namespace.metadata.labels.as_ref());
    let why = refusal(pod.metadata.annotations.as_ref(), spec, &Policy::of(labels));
    Ok(why.map(|why| format!("pods {:?} is forbidden: {why}", pod.name())))
}
