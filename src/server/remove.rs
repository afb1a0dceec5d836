//! Deleting: one object or many.
//!
//! Owns: `DeleteOptions`, preconditions, and what a request to delete writes for each kind. Must not
//! know: what the engine then does.
//! <https://kubernetes.io/docs/concepts/architecture/garbage-collection/#cascading-deletion>

use std::time::Duration;

use bytes::Bytes;
use k8s_openapi::api::batch::v1::{CronJob, Job};
use k8s_openapi::api::core::v1::Pod;
use serde_json::{Value, json};

use super::api::Call;
use super::objects::{Propagation, write_cron_deletion, write_deletion};
use super::read::{self, Filter};
use super::respond::Answer;
use super::status::{self, Error};
use super::write::{TRIES_MAX, text};
use super::{body, metadata, namespaces, shape};
use crate::api::deletion::mark_pod;
use crate::api::object::{Key, Kind, Object};
use crate::store;

/// What the client says about the deletion.
#[derive(Debug, Clone, PartialEq)]
struct Options {
    propagation: Propagation,
    grace: Option<Duration>,
    uid: Option<String>,
    revision: Option<String>,
    dry_run: bool,
}

pub(super) async fn delete(call: &Call<'_>, kind: Kind, bytes: &Bytes) -> Result<Answer, Error> {
    let options = Options::of(call, bytes)?;
    let key = call.key(kind);
    Ok(Answer::ok(match delete_one(call, &key, &options).await? {
        // What is only marked is shown.
        Outcome::Marked(value) => call.shown(value)?,
        Outcome::Gone(value) => {
            status::success(call.resource, &key.name, &text(&value, "/metadata/uid"))
        }
    }))
}

pub(super) async fn delete_collection(
    call: &Call<'_>,
    kind: Kind,
    bytes: &Bytes,
) -> Result<Answer, Error> {
    let options = Options::of(call, bytes)?;
    let filter = Filter::of(call)?;
    let found = read::all(call, kind, &filter).await?;
    let mut values = Vec::new();
    for (key, value) in found.items {
        match delete_one(call, &key, &options).await {
            Ok(_) | Err(Error::NotFound { .. }) => values.push(value),
            Err(other) => return Err(other),
        }
    }
    let meta = json!({"resourceVersion": found.revision.to_string()});
    let form = call.form()?;
    let list = shape::list(form, call.resource, (values, meta), &call.parameters, call.now)?;
    Ok(Answer::ok(list))
}

/// What is there after a request to delete.
enum Outcome {
    /// The object, which goes later.
    Marked(Value),
    /// Nothing; this is what there was.
    Gone(Value),
}

async fn delete_one(call: &Call<'_>, key: &Key, options: &Options) -> Result<Outcome, Error> {
    let mut tries = TRIES_MAX;
    loop {
        tries -= 1;
        let found = call.api.store.read(key).await?;
        let old = found.ok_or_else(|| call.not_found(&key.name))?;
        options.check(call, &old)?;
        if options.dry_run {
            return Ok(Outcome::Gone(old));
        }
        match write(call, key, &old, options).await {
            Err(Error::Conflict { .. }) if tries > 0 => {}
            other => {
                if other.is_ok() {
                    tracing::debug!(%key, by = call.caller.name, "deletion asked for");
                }
                return other;
            }
        }
    }
}

async fn write(
    call: &Call<'_>,
    key: &Key,
    old: &Value,
    options: &Options,
) -> Result<Outcome, Error> {
    let store = &call.api.store;
    let failed = |error: store::Error| Error::store(call.resource, &key.name, error);
    match key.kind {
        Kind::Job => {
            let job: Job = typed(old)?;
            write_deletion(store, job, options.propagation, call.now).await.map_err(failed)?;
        }
        Kind::Pod => {
            let pod: Pod = typed(old)?;
            let mut next = pod.clone();
            mark_pod(&mut next, options.grace, call.now);
            if next != pod {
                let mut txn = store.txn();
                txn.update(&next);
                txn.commit().await.map_err(failed)?;
            }
        }
        Kind::Namespace => return namespaces::delete(call, key, old).await.map(Outcome::Marked),
        Kind::CronJob => {
            let cron: CronJob = typed(old)?;
            let written = write_cron_deletion(store, cron, options.propagation, call.now).await;
            written.map_err(failed)?;
        }
        Kind::Event
        | Kind::ConfigMap
        | Kind::Secret
        | Kind::Node
        | Kind::ServiceAccount
        | Kind::Lease
        | Kind::PersistentVolumeClaim => {
            let mut txn = store.txn();
            let mut next = old.clone();
            next["metadata"]["deletionTimestamp"] = metadata::seconds(call.now).into();
            next["metadata"]["deletionGracePeriodSeconds"] = 0.into();
            if !old["metadata"]["deletionTimestamp"].is_string()
                || old["metadata"]["finalizers"].as_array().is_none_or(Vec::is_empty)
            {
                txn.update_value(key, &next);
            }
            txn.commit().await.map_err(failed)?;
        }
    }
    Ok(match store.read(key).await? {
        Some(value) if value["metadata"]["uid"] == old["metadata"]["uid"] => Outcome::Marked(value),
        Some(_) | None => Outcome::Gone(old.clone()),
    })
}

fn typed<O: Object>(value: &Value) -> Result<O, Error> {
    serde_json::from_value(value.clone())
        .map_err(|error| Error::Internal { message: error.to_string() })
}

impl Options {
    /// Reads the options from the body, and where it says nothing, from the query.
    fn of(call: &Call<'_>, bytes: &Bytes) -> Result<Self, Error> {
        let body = if bytes.is_empty() { Value::Null } else { body::decode(call, bytes)?.value };
        let kind = body["kind"].as_str().unwrap_or("DeleteOptions");
        if !body.is_null() && kind != "DeleteOptions" {
            return Err(Error::bad(format!("expected DeleteOptions, found {kind}")));
        }
        let asked = |name: &str| {
            let parameter = call.parameters.get(name).map(str::to_owned);
            body[name].as_str().map(str::to_owned).or(parameter)
        };
        let orphans = body["orphanDependents"].as_bool();
        let propagation = match (asked("propagationPolicy").as_deref(), orphans) {
            (Some("Background"), _) | (None, Some(false)) => Propagation::Background,
            (Some("Foreground"), _) => Propagation::Foreground,
            (Some("Orphan"), _) | (None, Some(true)) => Propagation::Orphan,
            // Whoever deletes a Job and says no more means its pods too.
            (None, None) => Propagation::Background,
            (Some(other), _) => {
                return Err(Error::bad(format!(
                    "propagationPolicy: Unsupported value: {other:?}: supported values: \
                     \"Background\", \"Foreground\", \"Orphan\""
                )));
            }
        };
        let grace = match body["gracePeriodSeconds"].as_i64() {
            Some(seconds) => Some(seconds),
            None => call.parameters.number("gracePeriodSeconds")?,
        };
        // A negative grace is none that can be had: the shortest is meant.
        let grace = grace.map(|seconds| Duration::from_secs(u64::try_from(seconds).unwrap_or(0)));
        let conditions = &body["preconditions"];
        let dry = body["dryRun"].as_array().is_some_and(|list| !list.is_empty());
        Ok(Self {
            propagation,
            grace,
            uid: conditions["uid"].as_str().map(str::to_owned),
            revision: conditions["resourceVersion"].as_str().map(str::to_owned),
            dry_run: dry || call.parameters.dry_run()?,
        })
    }

    /// <https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/delete-options/>
    fn check(&self, call: &Call<'_>, object: &Value) -> Result<(), Error> {
        let is = [text(object, "/metadata/uid"), text(object, "/metadata/resourceVersion")];
        let wanted = [("UID", &self.uid), ("ResourceVersion", &self.revision)];
        for ((what, wanted), is) in wanted.into_iter().zip(is) {
            if let Some(wanted) = wanted.as_ref().filter(|wanted| **wanted != is) {
                return Err(Error::Conflict {
                    resource: call.resource,
                    name: text(object, "/metadata/name"),
                    why: format!(
                        "Precondition failed: {what} in precondition: {wanted}, {what} in object \
                         meta: {is}"
                    ),
                });
            }
        }
        Ok(())
    }
}
