//! Claims that clients send.
//!
//! Owns: what a new one becomes, and what of it can be changed. Must not know: where its directory is.
//! <https://kubernetes.io/docs/concepts/storage/persistent-volumes/#persistentvolumeclaims>

use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use serde_json::Value;

use super::{Causes, forbidden, stored};
use crate::api::claim::{fill, protect};
use crate::api::validation::claim;

pub(super) fn create(mut new: PersistentVolumeClaim) -> Result<Value, Causes> {
    fill(&mut new);
    stored(&new, &claim(&new))
}

pub(super) fn update(
    mut new: PersistentVolumeClaim,
    old: &PersistentVolumeClaim,
) -> Result<Value, Causes> {
    new.status.clone_from(&old.status);
    protect(&mut new);
    let filled = old.spec.clone().unwrap_or_default();
    let spec = new.spec.get_or_insert_default();
    // Who sends again what was written first does not say what was filled in.
    spec.volume_name = spec.volume_name.take().or(filled.volume_name);
    spec.volume_mode = spec.volume_mode.take().or(filled.volume_mode);
    spec.storage_class_name = spec.storage_class_name.take().or(filled.storage_class_name);
    if new.spec != old.spec {
        let why = "spec is immutable after creation except resources.requests and \
                   volumeAttributesClassName for bound claims";
        return Err(vec![forbidden("spec", why)]);
    }
    stored(&new, &[])
}
