//! Volumes that are made of files: of ConfigMaps, Secrets and the pod itself.
//!
//! Owns: which files such a volume has, and what is in them. Must not know: the disk.
//! <https://kubernetes.io/docs/concepts/storage/projected-volumes/>

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{
    ConfigMap, DownwardAPIVolumeFile, KeyToPath, Pod, Secret, Volume, VolumeProjection,
};

use crate::api::downward::{FieldPath, resource_of};
use crate::api::pod::all_containers;
use crate::runtime::spec::Origin;

/// What a file may be, if nothing else is said.
const MODE: i32 = 0o644;

/// One file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Content {
    pub(super) bytes: Vec<u8>,
    pub(super) mode: u32,
}

/// By their paths in the volume.
pub(super) type Files = BTreeMap<String, Content>;

/// The files of a volume; `None`: it is of another kind.
///
/// # Errors
/// An object or a key is missing that is not optional, in the kubelet's words.
pub(super) fn of(volume: &Volume, pod: &Pod, origin: Origin<'_>) -> Option<Result<Files, String>> {
    if let Some(source) = &volume.config_map {
        let wanted = Wanted::new(&source.name, source.items.as_deref(), source.optional);
        return Some(wanted.of_config_map(origin, mode(source.default_mode)));
    }
    if let Some(source) = &volume.secret {
        let name = source.secret_name.as_deref().unwrap_or_default();
        let wanted = Wanted::new(name, source.items.as_deref(), source.optional);
        return Some(wanted.of_secret(origin, mode(source.default_mode)));
    }
    if let Some(source) = &volume.downward_api {
        let items = source.items.as_deref().unwrap_or_default();
        return Some(Ok(of_pod(items, pod, origin, mode(source.default_mode))));
    }
    let source = volume.projected.as_ref()?;
    let mut all = Files::new();
    for part in source.sources.iter().flatten() {
        match projected(part, pod, origin, mode(source.default_mode)) {
            Ok(files) => all.extend(files),
            Err(why) => return Some(Err(why)),
        }
    }
    Some(Ok(all))
}

fn projected(
    source: &VolumeProjection,
    pod: &Pod,
    origin: Origin<'_>,
    mode: u32,
) -> Result<Files, String> {
    if let Some(source) = &source.config_map {
        let wanted = Wanted::new(&source.name, source.items.as_deref(), source.optional);
        return wanted.of_config_map(origin, mode);
    }
    if let Some(source) = &source.secret {
        let wanted = Wanted::new(&source.name, source.items.as_deref(), source.optional);
        return wanted.of_secret(origin, mode);
    }
    let items = source.downward_api.as_ref().and_then(|source| source.items.as_deref());
    Ok(of_pod(items.unwrap_or_default(), pod, origin, mode))
}

/// What is wanted of an object.
struct Wanted<'a> {
    name: &'a str,
    /// All keys, if none are named.
    items: &'a [KeyToPath],
    optional: bool,
}

impl<'a> Wanted<'a> {
    fn new(name: &'a str, items: Option<&'a [KeyToPath]>, optional: Option<bool>) -> Self {
        Self { name, items: items.unwrap_or_default(), optional: optional == Some(true) }
    }

    fn of_config_map(&self, origin: Origin<'_>, mode: u32) -> Result<Files, String> {
        let Some(map) = origin.referred.config_maps.get(self.name) else {
            return self.none(format!("configmap \"{}\" not found", self.name));
        };
        let no_key = |key: &str| format!("configmap references non-existent config key: {key}");
        self.pick(&data_of_map(map), mode, no_key)
    }

    fn of_secret(&self, origin: Origin<'_>, mode: u32) -> Result<Files, String> {
        let Some(secret) = origin.referred.secrets.get(self.name) else {
            return self.none(format!("secret \"{}\" not found", self.name));
        };
        let no_key = |key: &str| format!("references non-existent secret key: {key}");
        self.pick(&data_of_secret(secret), mode, no_key)
    }

    fn none(&self, why: String) -> Result<Files, String> {
        if self.optional { Ok(Files::new()) } else { Err(why) }
    }

    fn pick(
        &self,
        data: &BTreeMap<&str, &[u8]>,
        mode: u32,
        no_key: impl Fn(&str) -> String,
    ) -> Result<Files, String> {
        let content = |bytes: &[u8], mode| Content { bytes: bytes.to_owned(), mode };
        if self.items.is_empty() {
            let all = data.iter().map(|(key, bytes)| ((*key).to_owned(), content(bytes, mode)));
            return Ok(all.collect());
        }
        let mut files = Files::new();
        for item in self.items {
            match data.get(item.key.as_str()) {
                Some(bytes) => {
                    let mode = item.mode.map_or(mode, |mode| self::mode(Some(mode)));
                    files.insert(item.path.clone(), content(bytes, mode));
                }
                None if self.optional => {}
                None => return Err(no_key(&item.key)),
            }
        }
        Ok(files)
    }
}

fn data_of_map(map: &ConfigMap) -> BTreeMap<&str, &[u8]> {
    let text = map.data.iter().flatten().map(|(key, text)| (key.as_str(), text.as_bytes()));
    let bytes = map.binary_data.iter().flatten();
    text.chain(bytes.map(|(key, bytes)| (key.as_str(), bytes.0.as_slice()))).collect()
}

fn data_of_secret(secret: &Secret) -> BTreeMap<&str, &[u8]> {
    let data = secret.data.iter().flatten();
    data.map(|(key, bytes)| (key.as_str(), bytes.0.as_slice())).collect()
}

/// <https://kubernetes.io/docs/concepts/workloads/pods/downward-api/>
fn of_pod(items: &[DownwardAPIVolumeFile], pod: &Pod, origin: Origin<'_>, mode: u32) -> Files {
    let mut files = Files::new();
    for item in items {
        let of_field = || {
            let field = item.field_ref.as_ref()?;
            Some(FieldPath::read_for_file(&field.field_path)?.of(pod))
        };
        let of_container = || {
            let selector = item.resource_field_ref.as_ref()?;
            let name = selector.container_name.as_deref()?;
            let container = all_containers(pod).find(|container| container.name == name)?;
            Some(resource_of(container, selector, origin.capacity))
        };
        let text = of_field().or_else(of_container).unwrap_or_default();
        let mode = item.mode.map_or(mode, |mode| self::mode(Some(mode)));
        files.insert(item.path.clone(), Content { bytes: text.into_bytes(), mode });
    }
    files
}

fn mode(mode: Option<i32>) -> u32 {
    u32::try_from(mode.unwrap_or(MODE)).unwrap_or_default() & 0o777
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::api::downward::Capacity;
    use crate::api::references::Referred;

    /// `path=text:mode` of each file of a volume from this source.
    fn of_source(source: &Value) -> Result<Vec<String>, String> {
        let pod: Pod = serde_json::from_value(json!({
            "metadata": {"name": "p", "labels": {"a": "1", "b": "2"}},
            "spec": {"containers": [{
                "name": "c", "resources": {"limits": {"memory": "32Mi"}},
            }]},
        }))
        .unwrap();
        let object = |object: Value| serde_json::from_value(object).unwrap();
        let referred = Referred {
            config_maps: [(
                "m".to_owned(),
                object(json!({"data": {"a": "1"}, "binaryData": {"b": "Mg=="}})),
            )]
            .into(),
            secrets: [(
                "s".to_owned(),
                serde_json::from_value(json!({"data": {"p": "aGk="}})).unwrap(),
            )]
            .into(),
            ..Referred::default()
        };
        let mut volume = source.clone();
        volume["name"] = "v".into();
        let volume: Volume = serde_json::from_value(volume).unwrap();
        let origin = Origin { referred: &referred, capacity: &Capacity::default() };
        let files = of(&volume, &pod, origin).unwrap()?;
        let shown = |(path, content): (&String, &Content)| {
            let text = String::from_utf8(content.bytes.clone()).unwrap();
            format!("{path}={text}:{:o}", content.mode)
        };
        Ok(files.iter().map(shown).collect())
    }

    #[test]
    fn a_volume_has_all_keys_or_those_that_are_named() {
        let map = json!({"configMap": {"name": "m", "defaultMode": 0o400}});
        assert_eq!(of_source(&map).unwrap(), ["a=1:400", "b=2:400"]);
        let items = json!([{"key": "b", "path": "x/y", "mode": 0o755}]);
        let map = json!({"configMap": {"name": "m", "items": items}});
        assert_eq!(of_source(&map).unwrap(), ["x/y=2:755"]);
        assert_eq!(of_source(&json!({"secret": {"secretName": "s"}})).unwrap(), ["p=hi:644"]);
    }

    #[test]
    fn what_is_missing_is_told_unless_it_is_optional() {
        let items = json!([{"key": "z", "path": "z"}]);
        for (mut source, kind, expected) in [
            (json!({"name": "x"}), "configMap", "configmap \"x\" not found"),
            (json!({"secretName": "x"}), "secret", "secret \"x\" not found"),
            (
                json!({"name": "m", "items": items}),
                "configMap",
                "configmap references non-existent config key: z",
            ),
            (
                json!({"secretName": "s", "items": items}),
                "secret",
                "references non-existent secret key: z",
            ),
        ] {
            assert_eq!(of_source(&json!({(kind): source})).unwrap_err(), expected);
            source["optional"] = true.into();
            assert_eq!(of_source(&json!({(kind): source})).unwrap(), [""; 0]);
        }
    }

    #[test]
    fn a_projected_volume_has_the_files_of_all_its_sources() {
        let source = json!({"projected": {"defaultMode": 0o440, "sources": [
            {"configMap": {"name": "m", "items": [{"key": "a", "path": "map/a"}]}},
            {"secret": {"name": "s"}},
            {"secret": {"name": "none", "optional": true}},
            {"downwardAPI": {"items": [
                {"path": "labels", "fieldRef": {"fieldPath": "metadata.labels"}},
                {"path": "memory", "mode": 0o600, "resourceFieldRef": {
                    "containerName": "c", "resource": "limits.memory", "divisor": "1Mi",
                }},
            ]}},
        ]}});
        let expected = ["labels=a=\"1\"\nb=\"2\":440", "map/a=1:440", "memory=32:600", "p=hi:440"];
        assert_eq!(of_source(&source).unwrap(), expected);
    }

    #[test]
    fn other_volumes_are_not_made_of_files() {
        let origin = Origin { referred: &Referred::default(), capacity: &Capacity::default() };
        assert!(of(&Volume::default(), &Pod::default(), origin).is_none());
    }
}
