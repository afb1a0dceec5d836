//! Namespaces: what comes with one, and what goes with it.
//!
//! Owns: the objects that are there from the start, and emptying a namespace that is deleted. Must not
//! know: what is in a namespace, but for its kind.
//! <https://kubernetes.io/docs/concepts/overview/working-with-objects/namespaces/>

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::api::{Api, Call};
use super::metadata::{self, seconds};
use super::objects::{Propagation, Seed, write_deletion};
use super::resources;
use super::status::Error;
use crate::api::deletion::mark_pod;
use crate::api::names;
use crate::api::object::{Key, Kind, Object};
use crate::store::untyped::Query;
use crate::store::{self, Store, Txn};

/// Those that are there from the start, and stay.
pub(super) const PERMANENT: [&str; 2] = ["default", "kube-system"];
/// Every namespace has this account, without rights.
const ACCOUNT: &str = "default";
/// How long to wait for what was marked in a namespace to be gone.
const LOOK_AGAIN: Duration = Duration::from_millis(500);
/// How many objects are looked at in one go.
const CHUNK: usize = 500;

/// The namespace that an object is to be made in.
pub(super) async fn living(call: &Call<'_>, key: &Key) -> Result<Value, Error> {
    let name = &key.namespace;
    let found = call.api.store.read(&Key::new(Kind::Namespace, "", name.clone())).await?;
    let Some(namespace) = found else {
        return Err(Error::NotFound {
            resource: resources::of(Kind::Namespace),
            name: name.clone(),
        });
    };
    if namespace["metadata"]["deletionTimestamp"].is_string() {
        return Err(Error::Forbidden {
            resource: call.resource,
            name: key.name.clone(),
            why: format!(
                "unable to create new content in namespace {name} because it is being terminated"
            ),
        });
    }
    Ok(namespace)
}

/// Adds what comes with a new namespace.
pub(super) fn furnish(txn: &mut Txn<'_>, name: &str, now: Timestamp) -> Result<(), Error> {
    let account = json!({
        "apiVersion": "v1", "kind": "ServiceAccount",
        "metadata": {
            "name": ACCOUNT, "namespace": name, "uid": uid()?, "creationTimestamp": seconds(now),
        },
    });
    txn.create_value(&Key::new(Kind::ServiceAccount, name, ACCOUNT), &account);
    Ok(())
}

fn uid() -> Result<String, Error> {
    let seed = Seed::random().map_err(|error| Error::Internal { message: error.to_string() })?;
    Ok(names::uuid(seed.uid))
}

/// Makes the namespaces that are always there, where they are not.
///
/// # Errors
/// The store cannot be read or written.
pub(super) async fn prepare(store: &Store, now: Timestamp) -> Result<(), Error> {
    for name in PERMANENT {
        let key = Key::new(Kind::Namespace, "", name);
        if store.read(&key).await?.is_some() {
            continue;
        }
        let namespace = json!({
            "apiVersion": "v1", "kind": "Namespace",
            "metadata": {
                "name": name, "uid": uid()?, "creationTimestamp": seconds(now),
                "labels": {"kubernetes.io/metadata.name": name},
            },
            "spec": {"finalizers": ["kubernetes"]},
            "status": {"phase": "Active"},
        });
        let mut txn = store.txn();
        txn.create_value(&key, &namespace);
        furnish(&mut txn, name, now)?;
        txn.commit().await?;
    }
    Ok(())
}

/// Marks a namespace: nothing new comes into it, and what is in it goes.
pub(super) async fn delete(call: &Call<'_>, key: &Key, old: &Value) -> Result<Value, Error> {
    if PERMANENT.contains(&key.name.as_str()) {
        return Err(Error::Forbidden {
            resource: call.resource,
            name: key.name.clone(),
            why: "this namespace may not be deleted".to_owned(),
        });
    }
    if old["metadata"]["deletionTimestamp"].is_string() {
        return Ok(old.clone());
    }
    let mut next = old.clone();
    next["metadata"]["deletionTimestamp"] = metadata::seconds(call.now).into();
    next["status"]["phase"] = "Terminating".into();
    // What holds it is the server itself, until it is empty.
    let mut txn = call.api.store.txn();
    let mut held = next.clone();
    let mut finalizers = finalizers(&held);
    finalizers.push(HOLD.into());
    held["metadata"]["finalizers"] = finalizers.into();
    txn.update_value(key, &held);
    let committed = txn.commit().await;
    let written = committed.map_err(|error| Error::store(call.resource, &key.name, error))?;
    held["metadata"]["resourceVersion"] = written.last.to_string().into();
    Ok(held)
}

/// Holds a namespace until it is empty.
const HOLD: &str = "kubernetes.io/namespace-contents";

/// Empties the namespaces that are deleted, until told to stop.
pub(super) async fn run(api: Arc<Api>, stop: CancellationToken) {
    loop {
        let work = async {
            match look(&api).await {
                Ok(true) => {
                    let _ = tokio::time::timeout(LOOK_AGAIN, std::future::pending::<()>()).await;
                }
                Ok(false) => changed(&api.store).await,
                Err(error) => {
                    tracing::warn!(%error, "cannot empty a namespace");
                    let _ = tokio::time::timeout(LOOK_AGAIN, std::future::pending::<()>()).await;
                }
            }
        };
        // Cutting a look short leaves a namespace half emptied: the next look goes on.
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            () = work => {}
        }
    }
}

/// Waits until some namespace changes.
async fn changed(store: &Store) {
    let Ok(revision) = store.revision().await else { return };
    let mut changes = store.watch(Kind::Namespace, revision);
    // Whatever was deleted between the look and now is looked at again.
    let held = |value: &Value| finalizers(value).iter().any(|finalizer| finalizer == HOLD);
    if let Ok(page) = store.page(terminating()).await
        && page.items.iter().any(|(_, value)| held(value))
    {
        return;
    }
    let _ = changes.next().await;
}

fn terminating<'a>() -> Query<'a> {
    Query { kind: Kind::Namespace, namespace: None, name: None, after: None, limit: None, at: None }
}

/// One look at all namespaces. Answers whether some still go.
async fn look(api: &Api) -> Result<bool, Error> {
    let mut left = false;
    for (key, value) in api.store.page(terminating()).await?.items {
        if !value["metadata"]["deletionTimestamp"].is_string() {
            continue;
        }
        if empty(api, &key.name).await? {
            let mut next = value;
            let mut finalizers = finalizers(&next);
            finalizers.retain(|finalizer| finalizer != HOLD);
            // Somebody else holds it; their change wakes the next look.
            if finalizers.len() == next["metadata"]["finalizers"].as_array().map_or(0, Vec::len) {
                continue;
            }
            next["metadata"]["finalizers"] = finalizers.into();
            let mut txn = api.store.txn();
            txn.update_value(&key, &next);
            match txn.commit().await {
                Err(error) if error.is_race() => left = true,
                other => drop(other?),
            }
        } else {
            left = true;
        }
    }
    Ok(left)
}

fn finalizers(value: &Value) -> Vec<Value> {
    value["metadata"]["finalizers"].as_array().cloned().unwrap_or_default()
}

/// Asks everything in a namespace to go. Answers whether nothing is left.
async fn empty(api: &Api, namespace: &str) -> Result<bool, Error> {
    let now = (api.now)();
    let mut is_empty = true;
    // Jobs first: they make pods. Events last: they tell of all others.
    let mut kinds: Vec<Kind> = Kind::ALL.into_iter().filter(|kind| kind.is_namespaced()).collect();
    kinds.sort_by_key(|kind| (*kind == Kind::Event, *kind));
    for kind in kinds {
        let query = Query {
            kind,
            namespace: Some(namespace),
            name: None,
            after: None,
            limit: Some(CHUNK),
            at: None,
        };
        let page = api.store.page(query).await?;
        for (key, value) in page.items {
            is_empty = false;
            match dismiss(&api.store, &key, value, now).await {
                Err(error) if error.is_race() => {}
                other => other?,
            }
        }
    }
    Ok(is_empty)
}

async fn dismiss(
    store: &Store,
    key: &Key,
    value: Value,
    now: Timestamp,
) -> Result<(), store::Error> {
    let decode = |source| store::Error::Decode { key: key.to_string(), source };
    match key.kind {
        Kind::Job => {
            let job: Job = serde_json::from_value(value).map_err(decode)?;
            if job.is_deleting() {
                return Ok(());
            }
            write_deletion(store, job, Propagation::Background, now).await
        }
        Kind::Pod => {
            let pod: Pod = serde_json::from_value(value).map_err(decode)?;
            let mut next = pod.clone();
            mark_pod(&mut next, None, now);
            if next == pod {
                return Ok(());
            }
            let mut txn = store.txn();
            txn.update(&next);
            txn.commit().await.map(drop)
        }
        Kind::PersistentVolumeClaim => {
            let mut claim: PersistentVolumeClaim = serde_json::from_value(value).map_err(decode)?;
            if claim.is_deleting() {
                return Ok(());
            }
            let whole = Timestamp::from_second(now.as_second()).unwrap_or(now);
            claim.metadata.deletion_timestamp = Some(Time(whole));
            claim.metadata.deletion_grace_period_seconds = Some(0);
            let mut txn = store.txn();
            txn.update(&claim);
            txn.commit().await.map(drop)
        }
        Kind::CronJob
        | Kind::Event
        | Kind::ConfigMap
        | Kind::Secret
        | Kind::Namespace
        | Kind::Node
        | Kind::ServiceAccount
        | Kind::Lease => {
            let mut txn = store.txn();
            txn.delete_value(key, &value);
            txn.commit().await.map(drop)
        }
    }
}
