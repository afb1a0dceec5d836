//! Of which types the volumes of a pod may be.
//! Owns: the check. Must not know: how a volume is made.
//! <https://kubernetes.io/docs/concepts/security/pod-security-standards/>

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::Volume;

use super::{Subject, Violation, plural, quoted};

const ALLOWED: [&str; 9] = [
    "configMap",
    "csi",
    "downwardAPI",
    "emptyDir",
    "ephemeral",
    "image",
    "persistentVolumeClaim",
    "projected",
    "secret",
];

pub(super) fn restricted(subject: &Subject<'_>) -> Option<Violation> {
    let bad = |volume: &&Volume| kind(volume).filter(|kind| !ALLOWED.contains(&kind.as_str()));
    let volumes = || subject.pod.volumes.iter().flatten();
    let names: Vec<&str> = volumes()
        .filter(|volume| bad(volume).is_some())
        .map(|volume| volume.name.as_str())
        .collect();
    let kinds: BTreeSet<String> = volumes().filter_map(|volume| bad(&volume)).collect();
    let detail = format!(
        "{} {} {} {} {}",
        plural(names.len(), "volume", "volumes"),
        quoted(&names),
        plural(names.len(), "uses", "use"),
        plural(kinds.len(), "restricted volume type", "restricted volume types"),
        quoted(&kinds)
    );
    (!names.is_empty()).then_some(Violation { reason: "restricted volume types", detail })
}

/// The field that says of which type a volume is: there is one beside its name.
fn kind(volume: &Volume) -> Option<String> {
    let fields = serde_json::to_value(volume).ok()?;
    fields.as_object()?.keys().find(|field| *field != "name").cloned()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::tests::violated;

    #[test]
    fn volumes_of_other_types_are_named() {
        let volumes = json!([
            {"name": "v", "hostPath": {"path": "/"}}, {"name": "w", "emptyDir": {}},
            {"name": "x", "nfs": {"server": "s", "path": "/"}},
        ]);
        let text = violated("restricted:latest", json!({"volumes": volumes}), json!({}));
        assert!(text.contains(
            "restricted volume types (volumes \"v\", \"x\" use restricted volume types \"hostPath\", \
             \"nfs\")"
        ));
    }
}
