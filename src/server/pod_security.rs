//! Whether a namespace lets in what a client makes.
//!
//! Owns: asking the Pod Security Standards about pods, and about what makes pods. Must not know: the
//! standards.
//! <https://kubernetes.io/docs/concepts/security/pod-security-admission/>

use k8s_openapi::api::batch::v1::{CronJob, Job};
use k8s_openapi::api::core::v1::{Namespace, Pod, PodTemplateSpec};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::api::Call;
use super::status::Error;
use super::write::text;
use crate::api::object::Kind;
use crate::api::pod_security::{Policy, refusal, warning};

/// What the client should know of an object that the namespace lets in.
///
/// # Errors
/// [`Error::Forbidden`]: it does not.
pub(super) fn admit(
    call: &Call<'_>,
    kind: Kind,
    object: &Value,
    namespace: &Value,
) -> Result<Vec<String>, Error> {
    let namespace: Namespace = read(namespace)?;
    let policy = Policy::of(namespace.metadata.labels.as_ref());
    let template = match kind {
        Kind::Pod => {
            let pod: Pod = read(object)?;
            PodTemplateSpec { metadata: Some(pod.metadata), spec: pod.spec }
        }
        Kind::Job => read::<Job>(object)?.spec.unwrap_or_default().template,
        Kind::CronJob => {
            let jobs = read::<CronJob>(object)?.spec.job_template;
            jobs.spec.unwrap_or_default().template
        }
        Kind::Event
        | Kind::ConfigMap
        | Kind::Secret
        | Kind::Namespace
        | Kind::Node
        | Kind::ServiceAccount
        | Kind::Lease
        | Kind::PersistentVolumeClaim => return Ok(Vec::new()),
    };
    let annotations = template.metadata.as_ref().and_then(|meta| meta.annotations.as_ref());
    let Some(spec) = &template.spec else { return Ok(Vec::new()) };
    let name = text(object, "/metadata/name");
    // What makes pods is let in: it may be changed before it makes one.
    if kind == Kind::Pod
        && let Some(why) = refusal(annotations, spec, &policy)
    {
        return Err(Error::Forbidden { resource: call.resource, name, why });
    }
    if let Some(what) = warning(annotations, spec, policy.audit) {
        let (kind, by) = (call.resource.kind, &call.caller.name);
        tracing::info!(kind, name, by, what, "audit");
    }
    Ok(warning(annotations, spec, policy.warn).into_iter().collect())
}

fn read<T: DeserializeOwned>(value: &Value) -> Result<T, Error> {
    serde_json::from_value(value.clone())
        .map_err(|error| Error::Internal { message: error.to_string() })
}
