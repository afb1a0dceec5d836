//! What a pod's worker stores.
//!
//! Owns: writing the pod and what is to be told of it in one transaction. Must not know: when, or what of it
//! is new.

use std::pin::Pin;
use std::sync::Arc;

use k8s_openapi::api::core::v1::{Pod, PodStatus};

use super::Shared;
use super::events::Teller;
use crate::api::event::Note;
use crate::store;

/// A commit that goes on, and what it answers: the pod as it is stored then, if it was.
pub(super) type Commit = Pin<Box<dyn Future<Output = Result<Option<Pod>, store::Error>> + Send>>;

/// The end of the commit that goes on, if one does.
pub(super) async fn stored(commit: &mut Option<Commit>) -> Result<Option<Pod>, store::Error> {
    match commit {
        Some(commit) => commit.await,
        None => std::future::pending().await,
    }
}

/// Stores the pod, where it changes, and what is to be told of it, in one transaction.
pub(super) async fn commit(
    shared: Arc<Shared>,
    next: Option<Pod>,
    pod: Arc<Pod>,
    notes: Vec<Note>,
) -> Result<Option<Pod>, store::Error> {
    let host = shared.settings.pod.node_name.as_str();
    let teller = Teller { component: "kubelet", host: Some(host) };
    let now = shared.clock.now();
    let events = shared.events.events((&*pod, teller), &notes, now);
    let mut txn = shared.store.txn();
    if let Some(next) = &next {
        txn.update(next);
    }
    for event in &events {
        txn.put(event);
    }
    let stored = txn.commit().await?;
    Ok(next.map(|mut next| {
        next.metadata.resource_version = Some(stored.first().to_string());
        next
    }))
}

/// The status as it comes back from the store, where times are whole seconds: two statuses that are
/// stored alike are equal.
pub(super) fn as_stored(status: PodStatus) -> PodStatus {
    let json = serde_json::to_value(&status);
    json.and_then(serde_json::from_value).unwrap_or(status)
}
