//! Which values objects other than Jobs may have.
//!
//! Owns: the checks of metadata that all kinds share, and of the kinds that say little. Must not know:
//! who sends them. <https://kubernetes.io/docs/concepts/overview/working-with-objects/names/>

use k8s_openapi::api::core::v1::{ConfigMap, Pod, Secret};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::{FieldError, Found, Problem, names, quoted};
use crate::api::object::Kind;
use crate::api::path::Path;

/// What the data of a ConfigMap or a Secret may have in all.
const DATA_BYTES_MAX: usize = 1024 * 1024;

/// All that is wrong with the metadata of an object that has its name.
pub fn metadata(kind: Kind, meta: &ObjectMeta) -> Vec<FieldError> {
    let mut found = Found::default();
    let path = Path::of("metadata");
    let name = meta.name.as_deref().unwrap_or_default();
    if let Some(base) = meta.generate_name.as_deref().filter(|base| !base.is_empty()) {
        found.spelling(&path.field("generateName"), base, names::subdomain_prefix(base));
    }
    if name.is_empty() {
        let detail = "name or generateName is required".to_owned();
        found.add(&path.field("name"), Problem::Required(detail));
    } else if kind == Kind::Namespace {
        found.spelling(&path.field("name"), name, names::label(name));
    } else {
        found.spelling(&path.field("name"), name, names::subdomain(name));
    }
    found.labels(&path.field("labels"), meta.labels.iter().flatten());
    found.annotations(&path.field("annotations"), meta.annotations.as_ref());
    let finalizers = path.field("finalizers");
    for (index, finalizer) in meta.finalizers.iter().flatten().enumerate() {
        let wrong = names::qualified(finalizer);
        found.spelling(&finalizers.index(index), finalizer, wrong);
    }
    found.errors
}

/// All that is wrong with a pod that belongs to nobody, beyond its metadata.
pub fn pod(pod: &Pod) -> Vec<FieldError> {
    let mut found = Found::default();
    let path = Path::of("spec");
    match &pod.spec {
        Some(spec) => {
            found.pod(&path, spec);
            let policies = &["Always", "OnFailure", "Never"];
            let policy = spec.restart_policy.as_deref();
            found.one_of(&path.field("restartPolicy"), policy, policies);
        }
        None => found.add(&path, Problem::Required(String::new())),
    }
    found.errors
}

/// <https://kubernetes.io/docs/concepts/configuration/configmap/#configmap-object>
pub fn config_map(map: &ConfigMap) -> Vec<FieldError> {
    let mut found = Found::default();
    let text = map.data.iter().flatten().map(|(key, value)| (key, value.len()));
    let bytes = map.binary_data.iter().flatten().map(|(key, value)| (key, value.0.len()));
    let (data, binary) = (Path::of("data"), Path::of("binaryData"));
    let mut total = found.data(&data, text);
    total += found.data(&binary, bytes);
    for key in map.binary_data.iter().flatten().map(|(key, _)| key) {
        if map.data.iter().flatten().any(|(other, _)| other == key) {
            let detail = "duplicate of key present in data";
            found.invalid(&binary.key(key), quoted(key), detail);
        }
    }
    found.total(total);
    found.errors
}

/// <https://kubernetes.io/docs/concepts/configuration/secret/#secret-types>
pub fn secret(secret: &Secret) -> Vec<FieldError> {
    let mut found = Found::default();
    let data = Path::of("data");
    let bytes = secret.data.iter().flatten().map(|(key, value)| (key, value.0.len()));
    let total = found.data(&data, bytes);
    found.total(total);
    let needed: &[&str] = match secret.type_.as_deref() {
        Some("kubernetes.io/dockerconfigjson") => &[".dockerconfigjson"],
        Some("kubernetes.io/dockercfg") => &[".dockercfg"],
        Some("kubernetes.io/tls") => &["tls.crt", "tls.key"],
        Some("kubernetes.io/ssh-auth") => &["ssh-privatekey"],
        Some(_) | None => &[],
    };
    for key in needed {
        if !secret.data.iter().flatten().any(|(given, _)| given == key) {
            found.add(&data.key(key), Problem::Required(String::new()));
        }
    }
    found.errors
}

impl Found {
    /// Checks the keys; answers how many bytes there are in all.
    fn data<'a>(
        &mut self,
        path: &Path,
        entries: impl Iterator<Item = (&'a String, usize)>,
    ) -> usize {
        let mut total = 0;
        for (key, bytes) in entries {
            total += key.len() + bytes;
            self.spelling(&path.key(key), key, names::config_key(key));
        }
        total
    }

    fn total(&mut self, bytes: usize) {
        if bytes > DATA_BYTES_MAX {
            self.add(&Path::default(), Problem::TooLong { bytes: DATA_BYTES_MAX });
        }
    }
}
