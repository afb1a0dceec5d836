//! Fields of a pod that its containers may ask for.
//!
//! Owns: which fields there are, how they are spelled, and what a pod says of each. Must not know: who
//! asks, a variable or a file.
//! <https://kubernetes.io/docs/concepts/workloads/pods/downward-api/>

use k8s_openapi::api::core::v1::Pod;

use super::object::Object;

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

/// A field of a pod, as `fieldRef` names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FieldPath<'a> {
    /// One of [`FIELD_PATHS`].
    Field(&'a str),
    /// `metadata.labels['key']`
    Label(&'a str),
    /// `metadata.annotations['key']`
    Annotation(&'a str),
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

    /// What the pod says there; what it does not say is empty.
    pub fn of(self, pod: &Pod) -> String {
        let meta = &pod.metadata;
        let status = pod.status.as_ref();
        let found = match self {
            Self::Label(key) => meta.labels.as_ref().and_then(|labels| labels.get(key).cloned()),
            Self::Annotation(key) => {
                meta.annotations.as_ref().and_then(|all| all.get(key).cloned())
            }
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
}
