//! Which values a claim may have.
//!
//! Owns: its checks. Must not know: what becomes of it.
//! <https://kubernetes.io/docs/reference/kubernetes-api/config-and-storage-resources/persistent-volume-claim-v1/>

use k8s_openapi::api::core::v1::PersistentVolumeClaim;

use super::{FieldError, Found, Problem, quoted};
use crate::api::path::Path;
use crate::api::quantity::Quantity;

/// `ReadWriteOncePod` is left out: no pod is kept from what another one has.
const ACCESS_MODES: &[&str] = &["ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce"];
/// There are no devices to hand out.
const VOLUME_MODES: &[&str] = &["Filesystem"];

/// All that is wrong with a claim, beyond its metadata.
pub fn claim(claim: &PersistentVolumeClaim) -> Vec<FieldError> {
    let mut found = Found::default();
    let path = Path::of("spec");
    let spec = claim.spec.clone().unwrap_or_default();
    let modes = path.field("accessModes");
    let said = spec.access_modes.unwrap_or_default();
    if said.is_empty() {
        let detail = "at least 1 access mode is required".to_owned();
        found.add(&modes, Problem::Required(detail));
    }
    for (index, mode) in said.iter().enumerate() {
        found.one_of(&modes.index(index), Some(mode), ACCESS_MODES);
    }
    found.one_of(&path.field("volumeMode"), spec.volume_mode.as_deref(), VOLUME_MODES);
    let asked = Path::of("spec.resources").key("storage");
    let requests = spec.resources.and_then(|resources| resources.requests).unwrap_or_default();
    match requests.get("storage") {
        None => found.add(&asked, Problem::Required(String::new())),
        Some(size) => match Quantity::parse(&size.0) {
            Ok(parsed) if !parsed.is_negative() && parsed.value() > 0 => {}
            Ok(_) => found.invalid(&asked, quoted(&size.0), "must be greater than zero"),
            Err(_) => found.invalid(&asked, quoted(&size.0), "must be a quantity, as in 10Gi"),
        },
    }
    found.errors
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn a_claim_says_how_it_is_used_and_how_much_it_asks_for() {
        let wrong = |spec: Value| {
            let object = serde_json::from_value(json!({"spec": spec})).unwrap();
            let errors = claim(&object);
            errors.iter().map(|error| error.path.to_string()).collect::<Vec<_>>()
        };
        let asked = |size: &str| json!({"requests": {"storage": size}});
        let modes = ["ReadWriteOnce"];
        assert!(wrong(json!({"accessModes": modes, "resources": asked("1Gi")})).is_empty());
        assert_eq!(wrong(json!({})), ["spec.accessModes", "spec.resources[storage]"]);
        for size in ["0", "-1", "x"] {
            let found = wrong(json!({"accessModes": modes, "resources": asked(size)}));
            assert_eq!(found, ["spec.resources[storage]"], "{size}");
        }
        let exclusive = json!({"accessModes": ["ReadWriteOncePod"], "volumeMode": "Block",
            "resources": asked("1")});
        assert_eq!(wrong(exclusive), ["spec.accessModes[0]", "spec.volumeMode"]);
    }
}
