//! Fields of a pod, and of its containers, that these may ask for.
//!
//! Owns: which fields there are, how they are spelled, and what a pod says of each. Must not know: where it
//! is told.
//! <https://kubernetes.io/docs/concepts/workloads/pods/downward-api/>

use std::collections::BTreeMap;
use std::fmt::Write;

use k8s_openapi::api::core::v1::{Container, Pod, ResourceFieldSelector};

use super::object::Object;
use super::quantity::{Quantity, amount_of, limits, requests};

/// The fields that a variable may have, besides single labels and annotations.
pub const FIELD_PATHS: [&str; 9] = [
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
    "spec.nodeName",
    "spec.serviceAccountName",
    "status.hostIP",
    "status.hostIPs",
    "status.podIP",
    "status.podIPs",
];

/// The fields that a file may have, besides single labels and annotations.
pub const FILE_FIELD_PATHS: [&str; 5] = [
    "metadata.annotations",
    "metadata.labels",
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
];

/// What of a container's resources can be asked for.
pub const RESOURCES: [&str; 6] = [
    "limits.cpu",
    "limits.ephemeral-storage",
    "limits.memory",
    "requests.cpu",
    "requests.ephemeral-storage",
    "requests.memory",
];

/// What there is for a container that sets no limit: all of the host.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Capacity {
    pub processors: u64,
    pub memory_bytes: u64,
    pub storage_bytes: u64,
}

/// A field of a pod, as `fieldRef` names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FieldPath<'a> {
    /// One of [`FIELD_PATHS`].
    Field(&'a str),
    /// `metadata.labels['key']`
    Label(&'a str),
    /// `metadata.annotations['key']`
    Annotation(&'a str),
    /// All of them, a line each.
    Labels,
    Annotations,
}

impl<'a> FieldPath<'a> {
    /// Reads a path; `None` where there is no such field.
    pub fn read(text: &'a str) -> Option<Self> {
        let key = |map: &str| text.strip_prefix(map)?.strip_prefix("['")?.strip_suffix("']");
        key("metadata.labels")
            .map(Self::Label)
            .or_else(|| key("metadata.annotations").map(Self::Annotation))
            .or_else(|| FIELD_PATHS.contains(&text).then_some(Self::Field(text)))
    }

    /// Reads a path for a file, which may have what changes while the pod runs, and not what is only known
    /// of a pod that runs.
    pub fn read_for_file(text: &'a str) -> Option<Self> {
        match text {
            "metadata.labels" => Some(Self::Labels),
            "metadata.annotations" => Some(Self::Annotations),
            text => Self::read(text).filter(|found| match found {
                Self::Field(field) => FILE_FIELD_PATHS.contains(field),
                Self::Label(_) | Self::Annotation(_) | Self::Labels | Self::Annotations => true,
            }),
        }
    }

    /// What the pod says there; what it does not say is empty.
    pub fn of(self, pod: &Pod) -> String {
        let meta = &pod.metadata;
        let status = pod.status.as_ref();
        let found = match self {
            Self::Label(key) => meta.labels.as_ref().and_then(|labels| labels.get(key).cloned()),
            Self::Annotation(key) => {
                meta.annotations.as_ref().and_then(|all| all.get(key).cloned())
            }
            Self::Labels => Some(lines(meta.labels.as_ref())),
            Self::Annotations => Some(lines(meta.annotations.as_ref())),
            Self::Field("metadata.name") => Some(pod.name().to_owned()),
            Self::Field("metadata.namespace") => Some(pod.namespace().to_owned()),
            Self::Field("metadata.uid") => Some(pod.uid().to_owned()),
            Self::Field("spec.nodeName") => pod.spec.as_ref().and_then(|s| s.node_name.clone()),
            Self::Field("spec.serviceAccountName") => {
                let account = pod.spec.as_ref().and_then(|s| s.service_account_name.clone());
                Some(account.unwrap_or_else(|| "default".to_owned()))
            }
            Self::Field("status.hostIP") => status.and_then(|s| s.host_ip.clone()),
            Self::Field("status.hostIPs") => status.map(|s| {
                let all = s.host_ips.iter().flatten().map(|ip| ip.ip.clone());
                all.collect::<Vec<_>>().join(",")
            }),
            Self::Field("status.podIP") => status.and_then(|s| s.pod_ip.clone()),
            Self::Field("status.podIPs") => status.map(|s| {
                let all = s.pod_ips.iter().flatten().map(|ip| ip.ip.clone());
                all.collect::<Vec<_>>().join(",")
            }),
            Self::Field(_) => None,
        };
        found.unwrap_or_default()
    }
}

/// `key="value"`, a line each, in the order of the keys.
fn lines(all: Option<&BTreeMap<String, String>>) -> String {
    let all = all.into_iter().flatten();
    let lines: Vec<String> = all.map(|(key, value)| format!("{key}={}", quoted(value))).collect();
    lines.join("\n")
}

/// The text as Go quotes it.
fn quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for c in text.chars() {
        match c {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            // Writing to a string does not fail.
            c if c.is_ascii_control() => drop(write!(quoted, "\\x{:02x}", u32::from(c))),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

/// What a container may use at most, or asks for, in multiples of the divisor, rounded up.
/// <https://kubernetes.io/docs/concepts/workloads/pods/downward-api/#downwardapi-resourceFieldRef>
pub fn resource_of(
    container: &Container,
    selector: &ResourceFieldSelector,
    capacity: &Capacity,
) -> String {
    let some = |amount: &Quantity| *amount > Quantity::default();
    let (kind, name) = selector.resource.split_once('.').unwrap_or_default();
    let limit = amount_of(limits(container), name).filter(some);
    let amount = match kind {
        "requests" => amount_of(requests(container), name).or(limit).unwrap_or_default(),
        _ => limit.unwrap_or_else(|| capacity.of(name)),
    };
    let divisor = selector.divisor.as_ref().and_then(|text| Quantity::parse(&text.0).ok());
    amount.multiples_of(divisor.filter(some).unwrap_or_else(|| Quantity::of(1))).to_string()
}

impl Capacity {
    fn of(&self, resource: &str) -> Quantity {
        Quantity::of(match resource {
            "cpu" => self.processors,
            "memory" => self.memory_bytes,
            "ephemeral-storage" => self.storage_bytes,
            _ => 0,
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_field_is_read_from_the_pod() {
        let pod: Pod = serde_json::from_value(json!({
            "metadata": {
                "name": "a", "namespace": "b", "uid": "c",
                "labels": {"x/y": "l"}, "annotations": {"z": "n"},
            },
            "spec": {"nodeName": "h", "containers": []},
            "status": {
                "hostIP": "1", "hostIPs": [{"ip": "1"}], "podIP": "2",
                "podIPs": [{"ip": "2"}, {"ip": "3"}],
            },
        }))
        .unwrap();
        let of = |path| FieldPath::read(path).map(|field| field.of(&pod));
        let found: Vec<String> = FIELD_PATHS.iter().filter_map(|path| of(path)).collect();
        assert_eq!(found, ["a", "b", "c", "h", "default", "1", "1", "2", "2,3"]);
        for (path, value) in [
            ("metadata.labels['x/y']", Some("l")),
            ("metadata.annotations['z']", Some("n")),
            ("metadata.annotations['none']", Some("")),
            ("metadata.labels", None),
            ("metadata.labels[x]", None),
            ("spec.containers", None),
        ] {
            assert_eq!(of(path).as_deref(), value, "{path}");
        }
        assert_eq!(FieldPath::Field("status.podIP").of(&Pod::default()), "");
    }

    #[test]
    fn a_file_has_all_labels_but_nothing_that_only_a_running_pod_knows() {
        let pod: Pod = serde_json::from_value(json!({
            "metadata": {"name": "a", "labels": {"b": "2", "a": "x \"y\"\n\\\u{1}é"}},
        }))
        .unwrap();
        let of = |path| FieldPath::read_for_file(path).map(|field| field.of(&pod));
        for (path, value) in [
            ("metadata.labels", Some("a=\"x \\\"y\\\"\\n\\\\\\x01é\"\nb=\"2\"")),
            ("metadata.annotations", Some("")),
            ("metadata.name", Some("a")),
            ("metadata.labels['b']", Some("2")),
            ("status.podIP", None),
            ("spec.nodeName", None),
        ] {
            assert_eq!(of(path).as_deref(), value, "{path}");
        }
    }

    #[test]
    fn a_resource_is_told_in_multiples_rounded_up_and_without_a_limit_it_is_the_hosts() {
        let container: Container = serde_json::from_value(json!({
            "name": "c",
            "resources": {
                "limits": {"cpu": "1500m", "memory": "100Mi"}, "requests": {"memory": "1"},
            },
        }))
        .unwrap();
        let capacity = Capacity { processors: 4, memory_bytes: 8 << 30, storage_bytes: 1 << 40 };
        for (resource, divisor, expected) in [
            ("limits.cpu", "", "2"),
            ("limits.cpu", "0", "2"),
            ("limits.cpu", "1m", "1500"),
            ("requests.cpu", "1m", "1500"),
            ("limits.memory", "1Mi", "100"),
            ("limits.memory", "1", "104857600"),
            ("limits.memory", "1G", "1"),
            ("requests.memory", "1Gi", "1"),
            ("limits.ephemeral-storage", "1Gi", "1024"),
            ("requests.ephemeral-storage", "1", "0"),
        ] {
            let selector =
                serde_json::from_value(json!({"resource": resource, "divisor": divisor}));
            let found = resource_of(&container, &selector.unwrap(), &capacity);
            assert_eq!(found, expected, "{resource} / {divisor}");
        }
        let selector = serde_json::from_value(json!({"resource": "limits.cpu"})).unwrap();
        assert_eq!(resource_of(&Container::default(), &selector, &capacity), "4");
    }
}
