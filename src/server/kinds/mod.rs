//! What each kind asks of the objects that clients send.
//!
//! Owns: who is asked about which kind, and what all kinds have in common. Must not know: requests, or
//! the store.

mod claims;
mod jobs;
mod plain;
mod pods;

use k8s_openapi::api::batch::v1::{CronJob, Job};
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{
    ConfigMap, Event, Namespace, Node, PersistentVolumeClaim, Pod, Secret, ServiceAccount,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::metadata::next_generation;
use super::status::Cause;
use crate::api::object::Kind;
use crate::api::strict::{self, Checked};
use crate::api::validation;

/// What is wrong with an object.
pub(super) type Causes = Vec<Cause>;

/// Holds a new object against the fields of its kind.
pub(super) fn check_new(kind: Kind, value: &Value) -> Checked {
    match kind {
        Kind::Job => with_meta(strict::job(value.clone()), value),
        Kind::Pod => with_meta(strict::pod(value.clone()), value),
        Kind::CronJob
        | Kind::Event
        | Kind::ConfigMap
        | Kind::Secret
        | Kind::Namespace
        | Kind::Node
        | Kind::ServiceAccount
        | Kind::Lease
        | Kind::PersistentVolumeClaim => check_typed(kind, value),
    }
}

/// The same for one that changes another; a pod says then what it was given, too.
pub(super) fn check_change(kind: Kind, value: &Value) -> Checked {
    if kind == Kind::Pod { check_typed(kind, value) } else { check_new(kind, value) }
}

/// The same for one whose status is meant.
pub(super) fn check_typed(kind: Kind, value: &Value) -> Checked {
    match kind {
        Kind::Job => strict::typed::<Job>(value),
        Kind::CronJob => strict::typed::<CronJob>(value),
        Kind::Pod => strict::typed::<Pod>(value),
        Kind::Event => strict::typed::<Event>(value),
        Kind::ConfigMap => strict::typed::<ConfigMap>(value),
        Kind::Secret => strict::typed::<Secret>(value),
        Kind::Namespace => strict::typed::<Namespace>(value),
        Kind::Node => strict::typed::<Node>(value),
        Kind::ServiceAccount => strict::typed::<ServiceAccount>(value),
        Kind::Lease => strict::typed::<Lease>(value),
        Kind::PersistentVolumeClaim => strict::typed::<PersistentVolumeClaim>(value),
    }
}

/// Manifests say no more of metadata than users do; other clients say all of it.
fn with_meta(mut checked: Checked, value: &Value) -> Checked {
    let meta = strict::typed::<ObjectMeta>(&value["metadata"]);
    checked.mistyped.extend(meta.mistyped.into_iter().map(|what| format!("metadata: {what}")));
    checked.kept["metadata"] = meta.kept;
    checked
}

/// Fills in what a new object does not say, and looks at what it says.
pub(super) fn create(kind: Kind, value: Value) -> Result<Value, Causes> {
    match kind {
        Kind::Job => jobs::create(read(value)?),
        Kind::CronJob => jobs::create_cron(read(value)?),
        Kind::Pod => pods::create(read(value)?),
        Kind::ConfigMap => plain::create_config_map(read(value)?),
        Kind::Secret => plain::create_secret(read(value)?),
        Kind::Namespace => plain::create_namespace(read(value)?),
        Kind::Event => plain::create_event(read(value)?),
        Kind::Node => plain::create::<Node>(read(value)?),
        Kind::ServiceAccount => plain::create::<ServiceAccount>(read(value)?),
        Kind::Lease => plain::create::<Lease>(read(value)?),
        Kind::PersistentVolumeClaim => claims::create(read(value)?),
    }
}

/// The object as it is after a change of all but its status.
pub(super) fn update(kind: Kind, new: Value, old: &Value) -> Result<Value, Causes> {
    let mut next = match kind {
        Kind::Job => jobs::update(read(new)?, &read(old.clone())?)?,
        Kind::CronJob => jobs::update_cron(read(new)?, &read(old.clone())?)?,
        Kind::Pod => pods::update(read(new)?, &read(old.clone())?)?,
        Kind::ConfigMap => plain::update_config_map(read(new)?, &read(old.clone())?)?,
        Kind::Secret => plain::update_secret(read(new)?, &read(old.clone())?)?,
        Kind::Namespace => plain::update_namespace(read(new)?, &read(old.clone())?)?,
        Kind::Event => plain::create_event(read(new)?)?,
        Kind::Node => plain::create::<Node>(read(new)?)?,
        Kind::ServiceAccount => plain::create::<ServiceAccount>(read(new)?)?,
        Kind::Lease => plain::create::<Lease>(read(new)?)?,
        Kind::PersistentVolumeClaim => claims::update(read(new)?, &read(old.clone())?)?,
    };
    if matches!(kind, Kind::Job | Kind::CronJob | Kind::Pod) && next["spec"] != old["spec"] {
        next_generation(&mut next);
    }
    Ok(next)
}

/// The object as it is after a change of its status.
pub(super) fn update_status(kind: Kind, new: &Value, old: &Value) -> Value {
    let mut next = check_typed(kind, old).kept;
    match new.get("status") {
        Some(status) => next["status"] = status.clone(),
        None => {
            if let Value::Object(object) = &mut next {
                object.remove("status");
            }
        }
    }
    next
}

/// Takes a document that was held against its fields for what it is.
fn read<T: DeserializeOwned>(value: Value) -> Result<T, Causes> {
    serde_json::from_value(value).map_err(|error| vec![cause("", error.to_string())])
}

/// What is stored of it, unless something is wrong.
fn stored<T: Serialize>(object: &T, wrong: &[validation::FieldError]) -> Result<Value, Causes> {
    if !wrong.is_empty() {
        return Err(wrong.iter().map(Cause::from).collect());
    }
    serde_json::to_value(object).map_err(|error| vec![cause("", error.to_string())])
}

fn cause(field: &str, message: String) -> Cause {
    Cause { reason: "FieldValueInvalid", message, field: field.to_owned() }
}

pub(super) fn required(field: &str) -> Cause {
    Cause {
        reason: "FieldValueRequired",
        message: "Required value".to_owned(),
        field: field.to_owned(),
    }
}

fn forbidden(field: &str, message: &str) -> Cause {
    Cause {
        reason: "FieldValueForbidden",
        message: format!("Forbidden: {message}"),
        field: field.to_owned(),
    }
}

/// That a field cannot be changed, in the words of Kubernetes.
fn immutable<T: Serialize>(field: &str, value: &T) -> Cause {
    let value = serde_json::to_string(value).unwrap_or_default();
    cause(field, format!("Invalid value: {value}: field is immutable"))
}
