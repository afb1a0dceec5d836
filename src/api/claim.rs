//! Claims: directories of this host that outlive the pods that use them.
//!
//! Owns: when a claim has its directory, and which pods hold on to it. Must not know: where it is.
//! <https://kubernetes.io/docs/concepts/storage/persistent-volumes/>

use k8s_openapi::api::core::v1::{PersistentVolumeClaim, PersistentVolumeClaimStatus, Pod};

use super::object::{Key, Kind, Object};
use super::pod::is_terminal;
use super::references::{claim_names, references};

/// The class of storage that there is: directories of this host. It is that of claims that name none.
pub const CLASS: &str = "local";

/// Keeps a claim while it is in use.
/// <https://kubernetes.io/docs/concepts/storage/persistent-volumes/#storage-object-in-use-protection>
pub const PROTECTION_FINALIZER: &str = "kubernetes.io/pvc-protection";

/// Says of a new claim what it does not say itself. Nothing has to be provided for one of the class that
/// there is: it is bound at once. One that asks for something else waits.
pub fn fill(claim: &mut PersistentVolumeClaim) {
    protect(claim);
    let volume = format!("pvc-{}", claim.uid());
    let spec = claim.spec.get_or_insert_default();
    spec.volume_mode.get_or_insert_with(|| "Filesystem".to_owned());
    let class = spec.storage_class_name.get_or_insert_with(|| CLASS.to_owned());
    let mut status = PersistentVolumeClaimStatus::default();
    let is_ours = class == CLASS
        && spec.volume_name.is_none()
        && spec.selector.is_none()
        && spec.data_source.is_none()
        && spec.data_source_ref.is_none();
    if is_ours {
        spec.volume_name = Some(volume);
        status.access_modes.clone_from(&spec.access_modes);
        status.capacity = spec.resources.as_ref().and_then(|asked| asked.requests.clone());
    }
    status.phase = Some(if is_ours { "Bound" } else { "Pending" }.to_owned());
    claim.status = Some(status);
}

/// Keeps a claim while it is in use, unless it is deleted already.
pub fn protect(claim: &mut PersistentVolumeClaim) {
    if !claim.is_deleting() && !claim.has_finalizer(PROTECTION_FINALIZER) {
        let finalizers = claim.metadata.finalizers.get_or_insert_default();
        finalizers.push(PROTECTION_FINALIZER.to_owned());
    }
}

/// Whether it has its directory.
pub fn is_bound(claim: &PersistentVolumeClaim) -> bool {
    claim.status.as_ref().and_then(|status| status.phase.as_deref()) == Some("Bound")
}

/// Why a claim is not bound.
pub fn wait(claim: &PersistentVolumeClaim) -> Option<String> {
    if is_bound(claim) || claim.is_deleting() {
        return None;
    }
    let spec = claim.spec.as_ref();
    let class = spec.and_then(|spec| spec.storage_class_name.as_deref()).unwrap_or_default();
    Some(match class {
        CLASS => {
            "a claim that names a volume, a selector or a source cannot be served; leave them out"
                .to_owned()
        }
        "" => {
            "no persistent volumes available for this claim and no storage class is set".to_owned()
        }
        class => format!("storageclass.storage.k8s.io \"{class}\" not found"),
    })
}

/// Whether a pod holds on to a claim: it is not over, and was there before the claim was deleted.
pub fn is_held_by(claim: &PersistentVolumeClaim, pod: &Pod) -> bool {
    let key = Key::new(Kind::PersistentVolumeClaim, claim.namespace(), claim.name());
    let before = match (&pod.metadata.creation_timestamp, &claim.metadata.deletion_timestamp) {
        (Some(created), Some(deleted)) => created.0 <= deleted.0,
        (None, _) | (_, None) => true,
    };
    before && !is_terminal(pod) && references(pod).contains(&key)
}

/// Why a pod cannot have the claims that it names, as the scheduler words it.
pub fn missing<'a>(
    pod: &Pod,
    find: impl Fn(&str) -> Option<&'a PersistentVolumeClaim>,
) -> Option<String> {
    claim_names(pod).find_map(|name| {
        let Some(claim) = find(name) else {
            return Some(format!("persistentvolumeclaim \"{name}\" not found"));
        };
        if claim.is_deleting() && !is_held_by(claim, pod) {
            return Some(format!("persistentvolumeclaim \"{name}\" is being deleted"));
        }
        (!is_bound(claim)).then(|| "pod has unbound immediate PersistentVolumeClaims".to_owned())
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn claim(spec: Value) -> PersistentVolumeClaim {
        let meta = json!({"name": "c", "namespace": "n", "uid": "u"});
        let mut claim = serde_json::from_value(json!({"metadata": meta, "spec": spec})).unwrap();
        fill(&mut claim);
        claim
    }

    fn pod() -> Pod {
        let volume = json!({"name": "v", "persistentVolumeClaim": {"claimName": "c"}});
        serde_json::from_value(json!({
            "metadata": {"namespace": "n", "creationTimestamp": "2026-01-01T00:00:05Z"},
            "spec": {"containers": [], "volumes": [volume]},
        }))
        .unwrap()
    }

    #[test]
    fn a_claim_of_the_class_that_there_is_is_bound_at_once() {
        let asked = json!({"requests": {"storage": "1Gi"}});
        for spec in [json!({"resources": asked}), json!({"storageClassName": "local"})] {
            let claim = claim(spec);
            assert!(is_bound(&claim) && claim.has_finalizer(PROTECTION_FINALIZER));
            assert_eq!(claim.spec.as_ref().unwrap().volume_name.as_deref(), Some("pvc-u"));
            assert_eq!(wait(&claim), None);
        }
        let fast = claim(json!({"storageClassName": "fast"}));
        let why = wait(&fast).unwrap();
        assert_eq!(why, "storageclass.storage.k8s.io \"fast\" not found");
        assert!(!is_bound(&fast) && wait(&claim(json!({"storageClassName": ""}))).is_some());
        assert!(wait(&claim(json!({"volumeName": "other"}))).is_some());
    }

    #[test]
    fn a_pod_waits_for_a_claim_that_it_cannot_have() {
        let pod = pod();
        let why = |claim: Option<&PersistentVolumeClaim>| missing(&pod, |_| claim);
        let mut found = claim(json!({}));
        assert_eq!(why(Some(&found)), None);
        assert_eq!(why(None).unwrap(), "persistentvolumeclaim \"c\" not found");
        let fast = claim(json!({"storageClassName": "fast"}));
        assert!(why(Some(&fast)).unwrap().contains("unbound"));
        let deleted = |second: &str| Some(serde_json::from_value(json!(second)).unwrap());
        found.metadata.deletion_timestamp = deleted("2026-01-01T00:00:04Z");
        assert_eq!(why(Some(&found)).unwrap(), "persistentvolumeclaim \"c\" is being deleted");
        assert!(!is_held_by(&found, &pod));
        found.metadata.deletion_timestamp = deleted("2026-01-01T00:00:06Z");
        assert!(is_held_by(&found, &pod) && why(Some(&found)).is_none());
        let mut over = pod.clone();
        over.status.get_or_insert_default().phase = Some("Failed".to_owned());
        assert!(!is_held_by(&found, &over));
    }
}
