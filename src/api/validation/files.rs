//! Which files a volume may be made of.
//!
//! Owns: the checks of volumes whose files come from ConfigMaps, Secrets and the pod itself. Must not know:
//! other volumes, or whether the objects are there.
//! <https://kubernetes.io/docs/concepts/storage/projected-volumes/>

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::{
    DownwardAPIVolumeFile, KeyToPath, ProjectedVolumeSource, Volume, VolumeProjection,
};

use super::env::Use;
use super::{Found, Problem, quoted};
use crate::api::path::Path;

/// The most that a mode can be.
const MODE_MAX: i32 = 0o777;

impl Found {
    pub(super) fn files(&mut self, path: &Path, volume: &Volume) {
        if let Some(source) = &volume.config_map {
            let path = path.field("configMap");
            self.object_name(&path.field("name"), &source.name);
            self.mode(&path.field("defaultMode"), source.default_mode);
            self.keys(&path.field("items"), source.items.as_deref());
        }
        if let Some(source) = &volume.secret {
            let path = path.field("secret");
            let name = source.secret_name.as_deref().unwrap_or_default();
            self.object_name(&path.field("secretName"), name);
            self.mode(&path.field("defaultMode"), source.default_mode);
            self.keys(&path.field("items"), source.items.as_deref());
        }
        if let Some(source) = &volume.downward_api {
            let path = path.field("downwardAPI");
            self.mode(&path.field("defaultMode"), source.default_mode);
            self.downward_files(&path.field("items"), source.items.as_deref());
        }
        if let Some(source) = &volume.projected {
            self.projected(&path.field("projected"), source);
        }
    }

    fn projected(&mut self, path: &Path, projected: &ProjectedVolumeSource) {
        self.mode(&path.field("defaultMode"), projected.default_mode);
        let mut taken = BTreeSet::new();
        for (index, source) in projected.sources.iter().flatten().enumerate() {
            let at = path.field("sources").index(index);
            let sources = [
                source.secret.is_some(),
                source.config_map.is_some(),
                source.downward_api.is_some(),
            ];
            match sources.into_iter().filter(|said| *said).count() {
                0 => self.add(&at, Problem::Required("must specify a volume type".to_owned())),
                1 => {}
                _ => self.add(&at, Problem::Forbidden("may not specify more than 1 volume type")),
            }
            self.projection(&at, source);
            for (name, file) in named_paths(source) {
                if !file.is_empty() && !taken.insert(file.to_owned()) {
                    self.invalid(path, quoted(name), "conflicting duplicate paths");
                }
            }
        }
    }

    fn projection(&mut self, path: &Path, source: &VolumeProjection) {
        if let Some(source) = &source.secret {
            let path = path.field("secret");
            self.object_name(&path.field("name"), &source.name);
            self.keys(&path.field("items"), source.items.as_deref());
        }
        if let Some(source) = &source.config_map {
            let path = path.field("configMap");
            self.object_name(&path.field("name"), &source.name);
            self.keys(&path.field("items"), source.items.as_deref());
        }
        if let Some(source) = &source.downward_api {
            let path = path.field("downwardAPI").field("items");
            self.downward_files(&path, source.items.as_deref());
        }
    }

    fn keys(&mut self, path: &Path, items: Option<&[KeyToPath]>) {
        for (index, item) in items.unwrap_or_default().iter().enumerate() {
            let path = path.index(index);
            if item.key.is_empty() {
                self.add(&path.field("key"), Problem::Required(String::new()));
            }
            self.file_path(&path.field("path"), &item.path);
            self.mode(&path.field("mode"), item.mode);
        }
    }

    fn downward_files(&mut self, path: &Path, items: Option<&[DownwardAPIVolumeFile]>) {
        for (index, file) in items.unwrap_or_default().iter().enumerate() {
            let path = path.index(index);
            self.file_path(&path.field("path"), &file.path);
            match (&file.field_ref, &file.resource_field_ref) {
                (Some(field), None) => {
                    self.field_ref(&path.field("fieldRef"), field, Use::File);
                }
                (None, Some(resource)) => {
                    self.resource_ref(&path.field("resourceFieldRef"), resource, Use::File);
                }
                (Some(_), Some(_)) => {
                    let detail =
                        "fieldRef and resourceFieldRef can not be specified simultaneously";
                    self.invalid(&path, quoted("resource"), detail);
                }
                (None, None) => {
                    let detail = "one of fieldRef and resourceFieldRef is required".to_owned();
                    self.add(&path, Problem::Required(detail));
                }
            }
            self.mode(&path.field("mode"), file.mode);
        }
    }

    fn file_path(&mut self, path: &Path, text: &str) {
        if text.is_empty() {
            self.add(path, Problem::Required(String::new()));
        }
        self.descending(path, text);
        if text.starts_with("..") && !text.starts_with("../") {
            self.invalid(path, quoted(text), "must not start with '..'");
        }
    }

    /// A path that leads nowhere but down.
    pub(super) fn descending(&mut self, path: &Path, text: &str) {
        if text.starts_with('/') {
            self.invalid(path, quoted(text), "must be a relative path");
        } else if text.split('/').any(|part| part == "..") {
            self.invalid(path, quoted(text), "must not contain '..'");
        }
    }

    fn mode(&mut self, path: &Path, mode: Option<i32>) {
        if let Some(mode) = mode.filter(|mode| !(0..=MODE_MAX).contains(mode)) {
            let detail = "must be a number between 0 and 0777 (octal), both inclusive";
            self.invalid(path, mode.to_string(), detail);
        }
    }
}

/// The paths that a projection names, with what it is called when two of them are the same.
fn named_paths(source: &VolumeProjection) -> Vec<(&str, &str)> {
    let keys = |name, items| {
        let items: &[KeyToPath] = Option::unwrap_or_default(items);
        items.iter().map(move |item| (name, item.path.as_str()))
    };
    let secret = source.secret.iter().flat_map(|s| keys(s.name.as_str(), s.items.as_deref()));
    let map = source.config_map.iter().flat_map(|s| keys(s.name.as_str(), s.items.as_deref()));
    let downward = source.downward_api.iter().flat_map(|s| s.items.iter().flatten());
    let downward = downward.map(|file| (file.path.as_str(), file.path.as_str()));
    secret.chain(map).chain(downward).collect()
}

#[cfg(test)]
mod tests {
    use super::super::tests::refused_pod;

    #[test]
    fn the_refusals_of_files_are_in_the_words_of_kubernetes() {
        for (source, expected) in [
            ("configMap: {}", "configMap.name: Required value"),
            ("secret: {}", "secret.secretName: Required value"),
            (
                "configMap: {name: a, defaultMode: 512}",
                "configMap.defaultMode: Invalid value: 512: must be a number between 0 and 0777 (octal), \
                 both inclusive",
            ),
            ("secret: {secretName: a, items: [{key: k}]}", "secret.items[0].path: Required value"),
            ("secret: {secretName: a, items: [{path: k}]}", "secret.items[0].key: Required value"),
            (
                "configMap: {name: a, items: [{key: k, path: /a}]}",
                "configMap.items[0].path: Invalid value: \"/a\": must be a relative path",
            ),
            (
                "configMap: {name: a, items: [{key: k, path: a/../b}]}",
                "configMap.items[0].path: Invalid value: \"a/../b\": must not contain '..'",
            ),
            (
                "configMap: {name: a, items: [{key: k, path: ..data}]}",
                "configMap.items[0].path: Invalid value: \"..data\": must not start with '..'",
            ),
            (
                "downwardAPI: {items: [{path: a}]}",
                "downwardAPI.items[0]: Required value: one of fieldRef and resourceFieldRef is required",
            ),
            (
                "downwardAPI: {items: [{path: a, fieldRef: {fieldPath: status.podIP}}]}",
                "downwardAPI.items[0].fieldRef.fieldPath: Unsupported value: \"status.podIP\": supported \
                 values: \"metadata.annotations\", \"metadata.labels\", \"metadata.name\", \
                 \"metadata.namespace\", \"metadata.uid\"",
            ),
            (
                "downwardAPI: {items: [{path: a, resourceFieldRef: {resource: limits.cpu}}]}",
                "downwardAPI.items[0].resourceFieldRef.containerName: Required value",
            ),
            (
                "projected: {sources: [{}]}",
                "projected.sources[0]: Required value: must specify a volume type",
            ),
            (
                "projected: {sources: [{secret: {name: a}, configMap: {name: a}}]}",
                "projected.sources[0]: Forbidden: may not specify more than 1 volume type",
            ),
            (
                "projected: {sources: [{secret: {name: a, items: [{key: k, path: p}]}}, {configMap: {name: \
                 b, items: [{key: k, path: p}]}}]}",
                "projected: Invalid value: \"b\": conflicting duplicate paths",
            ),
        ] {
            let expected = format!("spec.template.spec.volumes[0].{expected}");
            assert_eq!(refused_pod(&format!("volumes: [{{name: v, {source}}}]")), [expected]);
        }
        for source in [
            "configMap: {name: a, optional: true, defaultMode: 0400, items: [{key: k, path: a/b}]}",
            "downwardAPI: {items: [{path: a, fieldRef: {fieldPath: metadata.labels}}]}",
            "projected: {sources: [{secret: {name: a}}, {configMap: {name: a}}]}",
        ] {
            assert_eq!(refused_pod(&format!("volumes: [{{name: v, {source}}}]")), [""; 0]);
        }
    }
}
