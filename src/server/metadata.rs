//! The metadata of objects on their way into the store.
//!
//! Owns: what a client may say of it and what the server does, for all kinds alike. Must not know:
//! any kind's own rules.
//! <https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/object-meta/>

use jiff::Timestamp;
use serde_json::{Map, Value};

use super::api::Call;
use super::objects::Seed;
use super::status::Error;
use crate::api::extensions::is_engines;
use crate::api::names;

/// Makes sure that the object is of the kind that the path says; one that does not say is.
pub(super) fn expect_kind(call: &Call<'_>, value: &mut Value) -> Result<(), Error> {
    let version = call.resource.group_version();
    let Value::Object(object) = value else {
        return Err(Error::bad("the body of the request is not an object"));
    };
    let said = |field: &str| match object.get(field) {
        Some(Value::String(text)) => text.clone(),
        _ => String::new(),
    };
    let (given_version, given_kind) = (said("apiVersion"), said("kind"));
    if !given_version.is_empty() && given_version != version {
        return Err(Error::bad(format!(
            "the API version in the data ({given_version}) does not match the expected API version \
             ({version})"
        )));
    }
    if !given_kind.is_empty() && given_kind != call.resource.kind {
        return Err(Error::bad(format!(
            "{given_kind} in version {:?} cannot be handled as a {}",
            call.resource.version, call.resource.kind
        )));
    }
    object.insert("apiVersion".to_owned(), version.into());
    object.insert("kind".to_owned(), call.resource.kind.into());
    if !object.get("metadata").is_some_and(Value::is_object) {
        object.insert("metadata".to_owned(), Value::Object(Map::new()));
    }
    Ok(())
}

/// The namespace of the path is the object's; where the object says one, it is the same.
pub(super) fn place(call: &Call<'_>, meta: &mut Map<String, Value>) -> Result<(), Error> {
    let given = meta.get("namespace").and_then(Value::as_str).unwrap_or_default();
    match call.target.namespace.as_deref() {
        Some(namespace) if given.is_empty() || given == namespace => {
            meta.insert("namespace".to_owned(), namespace.into());
            Ok(())
        }
        None if !call.resource.namespaced => {
            meta.remove("namespace");
            Ok(())
        }
        Some(_) => Err(Error::bad(
            "the namespace of the provided object does not match the namespace sent on the request",
        )),
        None => Err(Error::bad("an empty namespace may not be set during creation")),
    }
}

/// What a new object gets.
pub(super) fn create(
    meta: &mut Map<String, Value>,
    seed: &Seed,
    now: Timestamp,
) -> Result<(), Error> {
    if meta.get("resourceVersion").and_then(Value::as_str).is_some_and(|v| !v.is_empty()) {
        return Err(Error::bad("resourceVersion should not be set on objects to be created"));
    }
    for field in ["deletionGracePeriodSeconds", "deletionTimestamp", "resourceVersion", "selfLink"]
    {
        meta.remove(field);
    }
    let text = |meta: &Map<String, Value>, field: &str| {
        meta.get(field).and_then(Value::as_str).unwrap_or_default().to_owned()
    };
    let base = text(meta, "generateName");
    if text(meta, "name").is_empty() && !base.is_empty() {
        meta.insert("name".to_owned(), names::generated(&base, seed.suffix).into());
    }
    if let Some(Value::Object(annotations)) = meta.get_mut("annotations") {
        annotations.retain(|key, _| !is_engines(key));
    }
    meta.insert("uid".to_owned(), names::uuid(seed.uid).into());
    meta.remove("generation");
    meta.insert("creationTimestamp".to_owned(), seconds(now).into());
    drop_empty(meta);
    Ok(())
}

/// What a changed object keeps of the one that it replaces.
pub(super) fn update(meta: &mut Map<String, Value>, old: &Map<String, Value>) {
    for field in [
        "creationTimestamp",
        "deletionGracePeriodSeconds",
        "deletionTimestamp",
        "generateName",
        "generation",
        "name",
        "namespace",
        "resourceVersion",
        "uid",
    ] {
        match old.get(field) {
            Some(value) => meta.insert(field.to_owned(), value.clone()),
            None => meta.remove(field),
        };
    }
    meta.remove("selfLink");
    keep_the_engines(meta, old);
    drop_empty(meta);
}

/// What the engine remembers in annotations is not for clients to lose.
fn keep_the_engines(meta: &mut Map<String, Value>, old: &Map<String, Value>) {
    let remembered: Vec<(String, Value)> = old
        .get("annotations")
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
        .filter(|(key, _)| is_engines(key))
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect();
    if let Some(Value::Object(annotations)) = meta.get_mut("annotations") {
        annotations.retain(|key, _| !is_engines(key));
    }
    if remembered.is_empty() {
        return;
    }
    let annotations = meta.entry("annotations").or_insert_with(|| Value::Object(Map::new()));
    if let Value::Object(annotations) = annotations {
        annotations.extend(remembered);
    }
}

/// An empty map says no more than none.
fn drop_empty(meta: &mut Map<String, Value>) {
    for field in ["annotations", "labels"] {
        if meta.get(field).and_then(Value::as_object).is_some_and(Map::is_empty) {
            meta.remove(field);
        }
    }
}

/// Counts a change of what is wished.
pub(super) fn next_generation(value: &mut Value) {
    let generation = value["metadata"]["generation"].as_i64().unwrap_or(1);
    value["metadata"]["generation"] = generation.saturating_add(1).into();
}

/// A time as objects carry it.
pub(super) fn seconds(at: Timestamp) -> String {
    Timestamp::from_second(at.as_second()).unwrap_or(at).to_string()
}
