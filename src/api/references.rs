//! What a pod needs of other objects.
//!
//! Owns: which objects a pod names, and what those say that were found. Must not know: who reads them, or
//! what becomes of what they say.
//! <https://kubernetes.io/docs/concepts/configuration/configmap/#configmaps-and-pods>

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1::{
    ConfigMap, Container, PersistentVolumeClaim, Pod, Secret, Volume,
};

use super::object::{Key, Kind, Object};
use super::pod::all_containers;

/// The objects that a pod names, by name, as they were read. What is not there is missing.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Referred {
    pub config_maps: BTreeMap<String, ConfigMap>,
    pub secrets: BTreeMap<String, Secret>,
    pub claims: BTreeMap<String, PersistentVolumeClaim>,
    /// Who the pod is to registries: the texts of files as Docker's `config.json`, in their order.
    pub logins: Vec<String>,
}

/// What a Secret says of who somebody is to registries, as Docker's `config.json`.
/// <https://kubernetes.io/docs/concepts/configuration/secret/#docker-config-secrets>
pub fn login(secret: &Secret) -> Option<String> {
    let text = |key: &str| {
        let bytes = secret.data.as_ref()?.get(key)?;
        String::from_utf8(bytes.0.clone()).ok()
    };
    match secret.type_.as_deref() {
        Some("kubernetes.io/dockerconfigjson") => text(".dockerconfigjson"),
        // The older form has what the other has in `auths`.
        Some("kubernetes.io/dockercfg") => {
            text(".dockercfg").map(|auths| format!("{{\"auths\": {auths}}}"))
        }
        Some(_) | None => None,
    }
}

/// The Secrets with which the images of a pod are pulled, as the pod names them.
pub fn pull_secrets(pod: &Pod) -> Vec<&str> {
    let named = pod.spec.iter().flat_map(|spec| spec.image_pull_secrets.iter().flatten());
    named.map(|secret| secret.name.as_str()).collect()
}

/// The account that speaks for a pod.
pub fn account(pod: &Pod) -> &str {
    let name = pod.spec.as_ref().and_then(|spec| spec.service_account_name.as_deref());
    name.filter(|name| !name.is_empty()).unwrap_or("default")
}

/// The objects that a pod names, optional ones too.
pub fn references(pod: &Pod) -> BTreeSet<Key> {
    let (mut config_maps, mut secrets) = (BTreeSet::new(), BTreeSet::new());
    for container in all_containers(pod) {
        of_variables(container, &mut config_maps, &mut secrets);
    }
    for volume in volumes(pod) {
        of_volume(volume, &mut config_maps, &mut secrets);
    }
    let key = |kind: Kind| move |name: &str| Key::new(kind, pod.namespace(), name);
    let config_maps = config_maps.into_iter().map(key(Kind::ConfigMap));
    let secrets = secrets.into_iter().map(key(Kind::Secret));
    let claims = claim_names(pod).map(key(Kind::PersistentVolumeClaim));
    config_maps.chain(secrets).chain(claims).collect()
}

/// Whether a volume is made of files that follow what they were made from while the pod runs.
/// <https://kubernetes.io/docs/tasks/configure-pod-container/configure-pod-configmap/#mounted-configmaps-are-updated-automatically>
pub fn is_live(volume: &Volume) -> bool {
    volume.config_map.is_some()
        || volume.secret.is_some()
        || volume.downward_api.is_some()
        || volume.projected.is_some()
}

/// Whether a pod has such volumes.
pub fn has_live_volumes(pod: &Pod) -> bool {
    volumes(pod).iter().any(is_live)
}

/// The claims that a pod names.
pub fn claim_names(pod: &Pod) -> impl Iterator<Item = &str> {
    let sources = volumes(pod).iter().filter_map(|volume| volume.persistent_volume_claim.as_ref());
    sources.map(|source| source.claim_name.as_str())
}

/// The volumes of a pod.
pub fn volumes(pod: &Pod) -> &[Volume] {
    pod.spec.as_ref().and_then(|spec| spec.volumes.as_deref()).unwrap_or_default()
}

type Names<'a> = BTreeSet<&'a str>;

fn of_variables<'a>(container: &'a Container, maps: &mut Names<'a>, secrets: &mut Names<'a>) {
    for source in container.env_from.iter().flatten() {
        maps.extend(source.config_map_ref.iter().map(|source| source.name.as_str()));
        secrets.extend(source.secret_ref.iter().map(|source| source.name.as_str()));
    }
    for source in container.env.iter().flatten().filter_map(|env| env.value_from.as_ref()) {
        maps.extend(source.config_map_key_ref.iter().map(|source| source.name.as_str()));
        secrets.extend(source.secret_key_ref.iter().map(|source| source.name.as_str()));
    }
}

fn of_volume<'a>(volume: &'a Volume, maps: &mut Names<'a>, secrets: &mut Names<'a>) {
    maps.extend(volume.config_map.iter().map(|source| source.name.as_str()));
    secrets.extend(volume.secret.iter().filter_map(|source| source.secret_name.as_deref()));
    let projected = volume.projected.iter().flat_map(|source| source.sources.iter().flatten());
    for source in projected {
        maps.extend(source.config_map.iter().map(|source| source.name.as_str()));
        secrets.extend(source.secret.iter().map(|source| source.name.as_str()));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_login_is_read_from_both_kinds_of_secrets() {
        let secret = |kind: &str, key: &str, text: &str| {
            let mut secret = Secret { type_: Some(kind.to_owned()), ..Secret::default() };
            let bytes = k8s_openapi::ByteString(text.as_bytes().to_owned());
            secret.data = Some([(key.to_owned(), bytes)].into());
            login(&secret)
        };
        let new = secret("kubernetes.io/dockerconfigjson", ".dockerconfigjson", "{\"auths\": {}}");
        assert_eq!(new.as_deref(), Some("{\"auths\": {}}"));
        let old = secret("kubernetes.io/dockercfg", ".dockercfg", "{\"r\": {}}");
        assert_eq!(old.as_deref(), Some("{\"auths\": {\"r\": {}}}"));
        assert_eq!(secret("Opaque", ".dockercfg", "{}"), None);
    }

    #[test]
    fn all_that_a_pod_names_is_found_wherever_it_stands() {
        let pod: Pod = serde_json::from_value(json!({
            "metadata": {"namespace": "n"},
            "spec": {
                "initContainers": [{"name": "i", "envFrom": [
                    {"configMapRef": {"name": "a"}}, {"secretRef": {"name": "b", "optional": true}},
                ]}],
                "containers": [{"name": "c", "env": [
                    {"name": "X", "valueFrom": {"configMapKeyRef": {"name": "d", "key": "k"}}},
                    {"name": "Y", "valueFrom": {"secretKeyRef": {"name": "e", "key": "k"}}},
                    {"name": "Z", "value": "z"},
                ]}],
                "volumes": [
                    {"name": "v", "configMap": {"name": "f"}},
                    {"name": "w", "secret": {"secretName": "g"}},
                    {"name": "x", "projected": {"sources": [
                        {"configMap": {"name": "h"}}, {"secret": {"name": "a"}},
                    ]}},
                    {"name": "y", "emptyDir": {}},
                    {"name": "z", "persistentVolumeClaim": {"claimName": "q"}},
                ],
            },
        }))
        .unwrap();
        let found: Vec<String> = references(&pod).iter().map(ToString::to_string).collect();
        let maps = ["a", "d", "f", "h"].map(|name| format!("configmaps/n/{name}"));
        let secrets = ["a", "b", "e", "g"].map(|name| format!("secrets/n/{name}"));
        let claims = vec!["persistentvolumeclaims/n/q".to_owned()];
        assert_eq!(found, [maps.to_vec(), secrets.to_vec(), claims].concat());
        let live: Vec<bool> = volumes(&pod).iter().map(is_live).collect();
        assert_eq!(live, [true, true, true, false, false]);
        assert!(references(&Pod::default()).is_empty());
    }
}
