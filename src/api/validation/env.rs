//! Where the variables of a container come from.
//!
//! Owns: their checks, and those of the fields that a variable or a file may be made from. Must not know:
//! the rest of the container.
//! <https://kubernetes.io/docs/tasks/inject-data-application/define-environment-variable-container/>

use k8s_openapi::api::core::v1::{
    Container, EnvFromSource, EnvVar, EnvVarSource, ObjectFieldSelector, ResourceFieldSelector,
};

use super::{Found, Problem, names, quoted};
use crate::api::downward::{FIELD_PATHS, FILE_FIELD_PATHS, FieldPath, RESOURCES};
use crate::api::path::Path;
use crate::api::quantity::Quantity;

/// For what a field is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Use {
    Variable,
    File,
}

impl Found {
    pub(super) fn variables(&mut self, path: &Path, container: &Container) {
        let env = path.field("env");
        for (index, variable) in container.env.iter().flatten().enumerate() {
            self.one_variable(&env.index(index), variable);
        }
        let from = path.field("envFrom");
        for (index, source) in container.env_from.iter().flatten().enumerate() {
            self.many_variables(&from.index(index), source);
        }
    }

    fn one_variable(&mut self, path: &Path, variable: &EnvVar) {
        if variable.name.is_empty() {
            self.add(&path.field("name"), Problem::Required(String::new()));
        }
        self.spelling(&path.field("name"), &variable.name, names::variable(&variable.name));
        let value = variable.value.as_deref().unwrap_or_default();
        if let Some(source) = &variable.value_from {
            self.source(&path.field("valueFrom"), source, value);
        }
    }

    /// <https://kubernetes.io/docs/tasks/configure-pod-container/configure-pod-configmap/#configure-all-key-value-pairs-in-a-configmap-as-container-environment-variables>
    fn many_variables(&mut self, path: &Path, source: &EnvFromSource) {
        if let Some(prefix) = source.prefix.as_deref().filter(|prefix| !prefix.is_empty()) {
            self.spelling(&path.field("prefix"), prefix, names::variable(prefix));
        }
        match (&source.config_map_ref, &source.secret_ref) {
            (None, None) => {
                let detail = "must specify one of: `configMapRef` or `secretRef`";
                self.invalid(path, quoted(""), detail);
            }
            (Some(_), Some(_)) => {
                let detail = "may not have more than one field specified at a time";
                self.invalid(path, quoted(""), detail);
            }
            (Some(map), None) => {
                self.object_name(&path.field("configMapRef").field("name"), &map.name);
            }
            (None, Some(secret)) => {
                self.object_name(&path.field("secretRef").field("name"), &secret.name);
            }
        }
    }

    pub(super) fn object_name(&mut self, path: &Path, name: &str) {
        if name.is_empty() {
            self.add(path, Problem::Required(String::new()));
        }
    }

    /// <https://kubernetes.io/docs/concepts/workloads/pods/downward-api/>
    fn source(&mut self, path: &Path, source: &EnvVarSource, value: &str) {
        let sources = [
            source.field_ref.is_some(),
            source.resource_field_ref.is_some(),
            source.config_map_key_ref.is_some(),
            source.secret_key_ref.is_some(),
            source.file_key_ref.is_some(),
        ];
        match sources.into_iter().filter(|said| *said).count() {
            0 => {
                let detail = "must specify one of: `fieldRef`, `resourceFieldRef`, \
                    `configMapKeyRef`, `secretKeyRef` or `fileKeyRef`";
                self.invalid(path, "{}".to_owned(), detail);
            }
            1 => {}
            _ => self.invalid(
                path,
                String::new(),
                "may not have more than one field specified at a time",
            ),
        }
        if !value.is_empty() {
            self.invalid(path, String::new(), "may not be specified when `value` is not empty");
        }
        if let Some(field) = &source.field_ref {
            self.field_ref(&path.field("fieldRef"), field, Use::Variable);
        }
        if let Some(resource) = &source.resource_field_ref {
            self.resource_ref(&path.field("resourceFieldRef"), resource, Use::Variable);
        }
        if let Some(key) = &source.config_map_key_ref {
            self.key_ref(&path.field("configMapKeyRef"), &key.name, &key.key);
        }
        if let Some(key) = &source.secret_key_ref {
            self.key_ref(&path.field("secretKeyRef"), &key.name, &key.key);
        }
    }

    fn key_ref(&mut self, path: &Path, name: &str, key: &str) {
        self.object_name(&path.field("name"), name);
        let path = path.field("key");
        if key.is_empty() {
            self.add(&path, Problem::Required(String::new()));
        } else {
            self.spelling(&path, key, names::config_key(key));
        }
    }

    pub(super) fn field_ref(&mut self, path: &Path, field: &ObjectFieldSelector, wanted: Use) {
        let version = path.field("apiVersion");
        match field.api_version.as_deref() {
            None | Some("") => self.add(&version, Problem::Required(String::new())),
            Some("v1") => {}
            Some(other) => {
                let detail = "only \"v1\" is supported";
                self.invalid(&version, quoted(other), detail);
            }
        }
        let path = path.field("fieldPath");
        let (read, supported): (_, &'static [&'static str]) = match wanted {
            Use::Variable => (FieldPath::read(&field.field_path), &FIELD_PATHS),
            Use::File => (FieldPath::read_for_file(&field.field_path), &FILE_FIELD_PATHS),
        };
        match read {
            Some(FieldPath::Label(key) | FieldPath::Annotation(key)) => {
                self.spelling(&path, key, names::qualified(key));
            }
            Some(FieldPath::Field(_) | FieldPath::Labels | FieldPath::Annotations) => {}
            None if field.field_path.is_empty() => {
                self.add(&path, Problem::Required(String::new()));
            }
            None => {
                let value = field.field_path.clone();
                self.add(&path, Problem::Unsupported { value, supported });
            }
        }
    }

    pub(super) fn resource_ref(
        &mut self,
        path: &Path,
        selector: &ResourceFieldSelector,
        wanted: Use,
    ) {
        if wanted == Use::File && selector.container_name.as_deref().is_none_or(str::is_empty) {
            self.add(&path.field("containerName"), Problem::Required(String::new()));
        }
        let at = path.field("resource");
        if selector.resource.is_empty() {
            self.add(&at, Problem::Required(String::new()));
        } else if !RESOURCES.contains(&selector.resource.as_str()) {
            let value = selector.resource.clone();
            self.add(&at, Problem::Unsupported { value, supported: &RESOURCES });
        } else if let Some(divisor) = &selector.divisor {
            self.divisor(&path.field("divisor"), &selector.resource, &divisor.0);
        }
    }

    fn divisor(&mut self, path: &Path, resource: &str, divisor: &str) {
        let name = resource.split_once('.').map_or(resource, |(_, name)| name);
        let (all, allowed): (&str, &[&str]) = match name {
            "cpu" => ("1m and 1 are supported with the cpu resource", &["1m", "1"]),
            "memory" => (
                "1, 1k, 1M, 1G, 1T, 1P, 1E, 1Ki, 1Mi, 1Gi, 1Ti, 1Pi, 1Ei are supported with the memory \
                 resource",
                &BYTE_DIVISORS,
            ),
            _ => (
                "1, 1k, 1M, 1G, 1T, 1P, 1E, 1Ki, 1Mi, 1Gi, 1Ti, 1Pi, 1Ei are supported with the local \
                 ephemeral storage resource",
                &BYTE_DIVISORS,
            ),
        };
        let amount = Quantity::parse(divisor);
        let fits = allowed.iter().any(|known| Quantity::parse(known) == amount);
        if !fits && amount != Ok(Quantity::default()) {
            self.invalid(path, quoted(name), format!("only divisor's values {all}"));
        }
    }
}

const BYTE_DIVISORS: [&str; 13] =
    ["1", "1k", "1M", "1G", "1T", "1P", "1E", "1Ki", "1Mi", "1Gi", "1Ti", "1Pi", "1Ei"];

#[cfg(test)]
mod tests {
    use super::super::tests::refused_container;

    #[test]
    fn the_refusals_of_variables_are_in_the_words_of_kubernetes() {
        for (fields, expected) in [
            (
                "env: [{name: A, valueFrom: {configMapKeyRef: {key: k}}}]",
                "env[0].valueFrom.configMapKeyRef.name: Required value",
            ),
            (
                "env: [{name: A, valueFrom: {secretKeyRef: {name: n}}}]",
                "env[0].valueFrom.secretKeyRef.key: Required value",
            ),
            (
                "env: [{name: A, valueFrom: {secretKeyRef: {name: n, key: k}, fieldRef: {fieldPath: \
                 metadata.name}}}]",
                "env[0].valueFrom: Invalid value: : may not have more than one field specified at a time",
            ),
            (
                "env: [{name: A, valueFrom: {resourceFieldRef: {resource: limits.gpu}}}]",
                "env[0].valueFrom.resourceFieldRef.resource: Unsupported value: \"limits.gpu\": supported \
                 values: \"limits.cpu\", \"limits.ephemeral-storage\", \"limits.memory\", \
                 \"requests.cpu\", \"requests.ephemeral-storage\", \"requests.memory\"",
            ),
            (
                "env: [{name: A, valueFrom: {resourceFieldRef: {resource: limits.cpu, divisor: 1Mi}}}]",
                "env[0].valueFrom.resourceFieldRef.divisor: Invalid value: \"cpu\": only divisor's values \
                 1m and 1 are supported with the cpu resource",
            ),
            (
                "env: [{name: A, valueFrom: {fieldRef: {fieldPath: metadata.labels}}}]",
                "env[0].valueFrom.fieldRef.fieldPath: Unsupported value: \"metadata.labels\": supported \
                 values: \"metadata.name\", \"metadata.namespace\", \"metadata.uid\", \
                 \"spec.nodeName\", \"spec.serviceAccountName\", \"status.hostIP\", \
                 \"status.hostIPs\", \"status.podIP\", \"status.podIPs\"",
            ),
            ("envFrom: [{configMapRef: {}}]", "envFrom[0].configMapRef.name: Required value"),
            ("envFrom: [{secretRef: {name: ''}}]", "envFrom[0].secretRef.name: Required value"),
            (
                "envFrom: [{prefix: a}]",
                "envFrom[0]: Invalid value: \"\": must specify one of: `configMapRef` or `secretRef`",
            ),
            (
                "envFrom: [{secretRef: {name: a}, configMapRef: {name: a}}]",
                "envFrom[0]: Invalid value: \"\": may not have more than one field specified at a time",
            ),
        ] {
            let expected = format!("spec.template.spec.containers[0].{expected}");
            assert_eq!(refused_container(fields), [expected]);
        }
        assert_eq!(
            refused_container(
                "env: [{name: A, valueFrom: {resourceFieldRef: {resource: limits.memory, divisor: 1Mi}}}], \
                 envFrom: [{prefix: P_, secretRef: {name: a, optional: true}}]"
            ),
            [""; 0]
        );
    }
}
