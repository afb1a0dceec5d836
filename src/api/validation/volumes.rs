//! Which volumes a pod may have, and how its containers may mount them.
//!
//! Owns: their checks. Must not know: the rest of the pod.
//! <https://kubernetes.io/docs/concepts/storage/volumes/>

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::{
    Container, EmptyDirVolumeSource, HostPathVolumeSource, PodSpec, Volume,
};

use super::{Found, Problem, names, quoted};
use crate::api::path::Path;
use crate::api::quantity::Quantity;

const HOST_PATH_TYPES: &[&str] = &[
    "",
    "BlockDevice",
    "CharDevice",
    "Directory",
    "DirectoryOrCreate",
    "File",
    "FileOrCreate",
    "Socket",
];

impl Found {
    pub(super) fn volumes(&mut self, path: &Path, volumes: &[Volume]) {
        let mut taken = BTreeSet::new();
        for (index, volume) in volumes.iter().enumerate() {
            let path = path.index(index);
            let name = path.field("name");
            if volume.name.is_empty() {
                self.add(&name, Problem::Required(String::new()));
            } else {
                self.spelling(&name, &volume.name, names::label(&volume.name));
                if !taken.insert(volume.name.as_str()) {
                    self.add(&name, Problem::Duplicate { value: volume.name.clone() });
                }
            }
            self.volume(&path, volume);
        }
    }

    fn volume(&mut self, path: &Path, volume: &Volume) {
        let sources = [
            ("emptyDir", volume.empty_dir.is_some()),
            ("hostPath", volume.host_path.is_some()),
            ("secret", volume.secret.is_some()),
            ("downwardAPI", volume.downward_api.is_some()),
            ("configMap", volume.config_map.is_some()),
            ("projected", volume.projected.is_some()),
            ("persistentVolumeClaim", volume.persistent_volume_claim.is_some()),
        ];
        let mut said = sources.iter().filter(|(_, said)| *said);
        if said.next().is_none() {
            self.add(path, Problem::Required("must specify a volume type".to_owned()));
        }
        for (name, _) in said {
            let detail = "may not specify more than 1 volume type";
            self.add(&path.field(name), Problem::Forbidden(detail));
        }
        if let Some(source) = &volume.empty_dir {
            self.empty_dir(&path.field("emptyDir"), source);
        }
        if let Some(source) = &volume.host_path {
            self.host_path(&path.field("hostPath"), source);
        }
        if let Some(source) = &volume.persistent_volume_claim {
            self.claim_name(
                &path.field("persistentVolumeClaim").field("claimName"),
                &source.claim_name,
            );
        }
        self.files(path, volume);
    }

    fn claim_name(&mut self, path: &Path, name: &str) {
        if name.is_empty() {
            self.add(path, Problem::Required(String::new()));
        } else {
            self.spelling(path, name, names::subdomain(name));
        }
    }

    fn empty_dir(&mut self, path: &Path, source: &EmptyDirVolumeSource) {
        let Some(limit) = &source.size_limit else { return };
        let path = path.field("sizeLimit");
        if Quantity::parse(&limit.0).is_ok_and(Quantity::is_negative) {
            self.invalid(
                &path,
                quoted(&limit.0),
                "SizeLimit field must be a valid resource quantity",
            );
        }
    }

    fn host_path(&mut self, path: &Path, source: &HostPathVolumeSource) {
        let at = path.field("path");
        if source.path.is_empty() {
            self.add(&at, Problem::Required(String::new()));
        } else if source.path.split('/').any(|part| part == "..") {
            self.invalid(&at, quoted(&source.path), "must not contain '..'");
        }
        self.one_of(&path.field("type"), source.type_.as_deref(), HOST_PATH_TYPES);
    }

    pub(super) fn mounts(&mut self, path: &Path, pod: &PodSpec, container: &Container) {
        let mut taken = BTreeSet::new();
        for (index, mount) in container.volume_mounts.iter().flatten().enumerate() {
            let path = path.index(index);
            let name = path.field("name");
            if mount.name.is_empty() {
                self.add(&name, Problem::Required(String::new()));
            } else if !pod.volumes.iter().flatten().any(|volume| volume.name == mount.name) {
                self.add(&name, Problem::NotFound { value: mount.name.clone() });
            }
            let at = path.field("mountPath");
            if mount.mount_path.is_empty() {
                self.add(&at, Problem::Required(String::new()));
            } else if !taken.insert(mount.mount_path.as_str()) {
                self.invalid(&at, quoted(&mount.mount_path), "must be unique");
            }
            let part = mount.sub_path.as_deref().unwrap_or_default();
            self.descending(&path.field("subPath"), part);
            let expression = mount.sub_path_expr.as_deref().unwrap_or_default();
            if !expression.is_empty() && !part.is_empty() {
                let detail = "subPathExpr and subPath are mutually exclusive";
                self.invalid(&path.field("subPathExpr"), quoted(expression), detail);
            }
            self.descending(&path.field("subPathExpr"), expression);
            let propagation = mount.mount_propagation.as_deref();
            let all = &["Bidirectional", "HostToContainer", "None"];
            self.one_of(&path.field("mountPropagation"), propagation, all);
            let security = container.security_context.as_ref();
            let privileged = security.and_then(|security| security.privileged) == Some(true);
            if propagation == Some("Bidirectional") && !privileged {
                let detail =
                    "Bidirectional mount propagation is available only to privileged containers";
                self.add(&path.field("mountPropagation"), Problem::Forbidden(detail));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{refused, refused_pod};

    #[test]
    fn the_refusals_of_volumes_are_in_the_words_of_kubernetes() {
        for (volume, expected) in [
            ("{emptyDir: {}}", "name: Required value"),
            ("{name: v, hostPath: {path: ''}}", "hostPath.path: Required value"),
            (
                "{name: v, hostPath: {path: /a/../b}}",
                "hostPath.path: Invalid value: \"/a/../b\": must not contain '..'",
            ),
            (
                "{name: v, emptyDir: {}, hostPath: {path: /a}}",
                "hostPath: Forbidden: may not specify more than 1 volume type",
            ),
            (
                "{name: v, emptyDir: {sizeLimit: -1}}",
                "emptyDir.sizeLimit: Invalid value: \"-1\": SizeLimit field must be a valid resource \
                 quantity",
            ),
        ] {
            let expected = format!("spec.template.spec.volumes[0].{expected}");
            assert_eq!(refused_pod(&format!("volumes: [{volume}]")), [expected]);
        }
        assert_eq!(
            refused_pod("volumes: [{name: v, emptyDir: {}}, {name: v}]"),
            ["spec.template.spec.volumes[1].name: Duplicate value: \"v\""]
        );
        for source in ["{medium: Memory, sizeLimit: 1Gi}", "{sizeLimit: 1Gi}"] {
            assert_eq!(
                refused_pod(&format!("volumes: [{{name: v, emptyDir: {source}}}]")),
                [""; 0]
            );
        }
    }

    #[test]
    fn the_refusals_of_mounts_are_in_the_words_of_kubernetes() {
        for (mounts, expected) in [
            ("[{name: w, mountPath: /a}]", "[0].name: Not found: \"w\""),
            ("[{name: v}]", "[0].mountPath: Required value"),
            (
                "[{name: v, mountPath: /a}, {name: v, mountPath: /a}]",
                "[1].mountPath: Invalid value: \"/a\": must be unique",
            ),
            (
                "[{name: v, mountPath: /a, subPath: /b}]",
                "[0].subPath: Invalid value: \"/b\": must be a relative path",
            ),
            (
                "[{name: v, mountPath: /a, subPath: b/../../c}]",
                "[0].subPath: Invalid value: \"b/../../c\": must not contain '..'",
            ),
            (
                "[{name: v, mountPath: /a, mountPropagation: Bidirectional}]",
                "[0].mountPropagation: Forbidden: Bidirectional mount propagation is available only to \
                 privileged containers",
            ),
        ] {
            let text = format!(
                "{{template: {{spec: {{restartPolicy: Never, volumes: [{{name: v, emptyDir: {{}}}}], \
                 containers: [{{name: c, image: i, volumeMounts: {mounts}}}]}}}}}}"
            );
            let path = "spec.template.spec.containers[0].volumeMounts";
            assert_eq!(refused(&text), [format!("{path}{expected}")]);
        }
    }
}
