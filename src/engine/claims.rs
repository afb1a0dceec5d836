//! Claims: when they go, and their directories with them.
//!
//! Owns: letting go of a deleted claim that no pod holds, deleting the directories of those that are gone,
//! and saying why one waits. Must not know: where the directories are.
//!
//! Uids are never used again. So a directory whose claim is not in the store, read after the directories
//! were, is one that nobody can have: whoever deleted the claim, and whatever crashed on the way.

use std::collections::BTreeSet;
use std::sync::Arc;

use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use super::events::Teller;
use super::{RETRY, Shared};
use crate::api::claim::{PROTECTION_FINALIZER, is_held_by, wait};
use crate::api::event::Note;
use crate::api::object::{Kind, Object};
use crate::store;

const TELLER: Teller<'_> = Teller { component: "persistentvolume-controller", host: None };

/// Follows the claims until told to stop.
pub(super) async fn run(shared: Arc<Shared>, stop: CancellationToken) {
    // Of which it was told why they wait.
    let mut told = BTreeSet::new();
    loop {
        let failed = tokio::select! {
            biased;
            () = stop.cancelled() => return,
            failed = follow(&shared, &mut told) => failed,
        };
        if let Some(error) = failed {
            warn!(%error, "cannot look at the claims");
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                () = shared.clock.sleep(RETRY) => {}
            }
        }
    }
}

/// Looks whenever a claim changes, and while a deleted one is held, whenever a pod does. Ends when a watch
/// does, and answers why, if it fell not only behind.
async fn follow(shared: &Shared, told: &mut BTreeSet<String>) -> Option<store::Error> {
    loop {
        let revision = match shared.store.revision().await {
            Ok(revision) => revision,
            Err(error) => return Some(error),
        };
        let mut claims = shared.store.watch(Kind::PersistentVolumeClaim, revision);
        let mut pods = shared.store.watch(Kind::Pod, revision);
        let held = match look(shared, told).await {
            Ok(held) => held,
            Err(error) if error.is_race() => continue,
            Err(error) => return Some(error),
        };
        // Both branches are cancel-safe: a watch keeps what is not taken.
        let change = tokio::select! {
            biased;
            change = claims.next() => change,
            change = pods.next(), if held => change,
        };
        match change {
            Ok(_) => {}
            Err(store::Error::Compacted { .. }) => return None,
            Err(error) => return Some(error),
        }
    }
}

/// Answers whether a claim that is deleted is held by a pod.
async fn look(shared: &Shared, told: &mut BTreeSet<String>) -> Result<bool, store::Error> {
    let on_host = shared.runtime.claims().await;
    let (claims, _) = shared.store.list::<PersistentVolumeClaim>(None).await?;
    told.retain(|uid| claims.iter().any(|claim| claim.uid() == uid));
    let mut held = false;
    for claim in &claims {
        if !told.contains(claim.uid()) && tell(shared, claim).await? {
            told.insert(claim.uid().to_owned());
        }
        if claim.is_deleting() && claim.has_finalizer(PROTECTION_FINALIZER) {
            held |= !let_go(shared, claim).await?;
        }
    }
    match on_host {
        Ok(uids) => {
            let gone = uids.iter().filter(|uid| claims.iter().all(|claim| claim.uid() != *uid));
            for uid in gone {
                match shared.runtime.remove_claim(uid).await {
                    Ok(()) => debug!(uid, "deleted the directory of a claim that is gone"),
                    Err(error) => warn!(%error, uid, "the directory of a claim is left behind"),
                }
            }
        }
        Err(error) => warn!(%error, "cannot see which claims have directories"),
    }
    Ok(held)
}

/// Lets go of a deleted claim, unless a pod holds it. Answers whether it did.
async fn let_go(shared: &Shared, claim: &PersistentVolumeClaim) -> Result<bool, store::Error> {
    let mut pages = shared.store.pages::<Pod>(Some(claim.namespace()));
    while let Some((pods, _)) = pages.next().await? {
        if pods.iter().any(|pod| is_held_by(claim, pod)) {
            return Ok(false);
        }
    }
    let mut next = claim.clone();
    next.remove_finalizer(PROTECTION_FINALIZER);
    let mut txn = shared.store.txn();
    txn.update(&next);
    txn.commit().await.map(|_| true)
}

/// Says why a claim waits. Answers whether there was anything to say.
async fn tell(shared: &Shared, claim: &PersistentVolumeClaim) -> Result<bool, store::Error> {
    let Some(why) = wait(claim) else { return Ok(false) };
    let note = [Note::warning("ProvisioningFailed", why)];
    let mut txn = shared.store.txn();
    for event in shared.events.events((claim, TELLER), &note, shared.clock.now()) {
        txn.put(&event);
    }
    txn.commit().await.map(|_| true)
}
