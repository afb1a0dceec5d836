//! Kinds that say little: what they are filled with, and what of them can be changed.
//!
//! Owns: ConfigMaps, Secrets, Namespaces, Events, and those without rules. Must not know: requests.

use std::collections::BTreeMap;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::{ConfigMap, Event, Namespace, Secret};
use serde::Serialize;
use serde_json::Value;

use super::{Causes, cause, forbidden, immutable, required, stored};
use crate::api::object::Object;
use crate::api::pod_security::wrong_labels;
use crate::api::validation::object;

/// The label that says which namespace it is.
/// <https://kubernetes.io/docs/reference/labels-annotations-taints/#kubernetes-io-metadata-name>
const NAME_LABEL: &str = "kubernetes.io/metadata.name";

/// Says that the server has to empty the namespace before it goes.
const NAMESPACE_FINALIZER: &str = "kubernetes";

/// How long what names a reason, an action or a reporter of an Event may be, and what it says.
const EVENT_NAME_BYTES_MAX: usize = 128;
const EVENT_NOTE_BYTES_MAX: usize = 1024;

/// A kind that has no rules of its own.
pub(super) fn create<T: Serialize>(object: T) -> Result<Value, Causes> {
    stored(&object, &[])
}

pub(super) fn create_config_map(map: ConfigMap) -> Result<Value, Causes> {
    stored(&map, &object::config_map(&map))
}

/// <https://kubernetes.io/docs/concepts/configuration/configmap/#configmap-immutable>
pub(super) fn update_config_map(map: ConfigMap, old: &ConfigMap) -> Result<Value, Causes> {
    if old.immutable == Some(true) {
        let why = "field is immutable when `immutable` is set";
        let mut wrong = Vec::new();
        if map.immutable != Some(true) {
            wrong.push(forbidden("immutable", why));
        }
        if map.data != old.data {
            wrong.push(forbidden("data", why));
        }
        if map.binary_data != old.binary_data {
            wrong.push(forbidden("binaryData", why));
        }
        if !wrong.is_empty() {
            return Err(wrong);
        }
    }
    create_config_map(map)
}

pub(super) fn create_secret(mut secret: Secret) -> Result<Value, Causes> {
    fill_secret(&mut secret);
    stored(&secret, &object::secret(&secret))
}

pub(super) fn update_secret(mut secret: Secret, old: &Secret) -> Result<Value, Causes> {
    if secret.type_.as_deref().unwrap_or_default().is_empty() {
        secret.type_.clone_from(&old.type_);
    }
    fill_secret(&mut secret);
    if secret.type_ != old.type_ {
        return Err(vec![immutable("type", &secret.type_)]);
    }
    if old.immutable == Some(true) && (secret.immutable != Some(true) || secret.data != old.data) {
        return Err(vec![forbidden("data", "field is immutable when `immutable` is set")]);
    }
    stored(&secret, &object::secret(&secret))
}

/// `stringData` is for writing only.
fn fill_secret(secret: &mut Secret) {
    if let Some(text) = secret.string_data.take().filter(|text| !text.is_empty()) {
        let data: &mut BTreeMap<_, _> = secret.data.get_or_insert_default();
        data.extend(text.into_iter().map(|(key, text)| (key, ByteString(text.into_bytes()))));
    }
    if secret.type_.as_deref().unwrap_or_default().is_empty() {
        secret.type_ = Some("Opaque".to_owned());
    }
}

pub(super) fn create_namespace(mut namespace: Namespace) -> Result<Value, Causes> {
    let name = namespace.name().to_owned();
    let labels = namespace.metadata.labels.get_or_insert_default();
    labels.insert(NAME_LABEL.to_owned(), name);
    let spec = namespace.spec.get_or_insert_default();
    spec.finalizers = Some(vec![NAMESPACE_FINALIZER.to_owned()]);
    namespace.status = Some(Default::default());
    namespace.status.get_or_insert_default().phase = Some("Active".to_owned());
    let_in(&namespace)?;
    stored(&namespace, &[])
}

/// The labels that say which pods are let in are looked at.
/// <https://kubernetes.io/docs/concepts/security/pod-security-admission/#pod-security-admission-labels-for-namespaces>
fn let_in(namespace: &Namespace) -> Result<(), Causes> {
    let wrong = wrong_labels(namespace.metadata.labels.as_ref());
    let cause = |(key, value, detail): (String, String, &str)| {
        cause(&format!("metadata.labels[{key}]"), format!("Invalid value: {value:?}: {detail}"))
    };
    if wrong.is_empty() { Ok(()) } else { Err(wrong.into_iter().map(cause).collect()) }
}

pub(super) fn update_namespace(mut new: Namespace, old: &Namespace) -> Result<Value, Causes> {
    new.spec.clone_from(&old.spec);
    new.status.clone_from(&old.status);
    let labels = new.metadata.labels.get_or_insert_default();
    labels.insert(NAME_LABEL.to_owned(), old.name().to_owned());
    let_in(&new)?;
    stored(&new, &[])
}

/// <https://kubernetes.io/docs/reference/kubernetes-api/cluster-resources/event-v1/>
pub(super) fn create_event(event: Event) -> Result<Value, Causes> {
    let about = event.involved_object.namespace.as_deref().unwrap_or_default();
    let fits = about == event.namespace() || about.is_empty() && event.namespace() == "default";
    if !fits {
        let message = format!("Invalid value: {about:?}: does not match event.namespace");
        return Err(vec![cause("involvedObject.namespace", message)]);
    }
    // Whoever says when exactly it happened says all that the newer version asks for.
    let wrong = if event.event_time.is_some() { incomplete(&event) } else { Vec::new() };
    if wrong.is_empty() { stored(&event, &[]) } else { Err(wrong) }
}

fn incomplete(event: &Event) -> Causes {
    let mut wrong = Vec::new();
    for (field, value) in [
        ("reportingController", &event.reporting_component),
        ("reportingInstance", &event.reporting_instance),
        ("action", &event.action),
        ("reason", &event.reason),
    ] {
        let length = value.as_deref().unwrap_or_default().len();
        if length == 0 {
            wrong.push(required(field));
        } else if length > EVENT_NAME_BYTES_MAX {
            let message =
                format!("Invalid value: \"\": can have at most {EVENT_NAME_BYTES_MAX} characters");
            wrong.push(cause(field, message));
        }
    }
    if event.message.as_deref().unwrap_or_default().len() > EVENT_NOTE_BYTES_MAX {
        let message =
            format!("Invalid value: \"\": can have at most {EVENT_NOTE_BYTES_MAX} characters");
        wrong.push(cause("message", message));
    }
    let given = event.type_.as_deref().unwrap_or_default();
    if !matches!(given, "Normal" | "Warning") {
        wrong.push(cause("type", format!("Invalid value: {given:?}: has invalid value: {given}")));
    }
    wrong
}
