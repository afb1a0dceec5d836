//! A worker for every pod.
//!
//! Owns: when a pod gets its worker, and that it has one as long as it needs one. Must not know: what a
//! worker does.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use tokio::task::{Id, JoinSet};
use tokio_util::sync::CancellationToken;
use tracing::{error, warn};

use super::Shared;
use super::admission::{Gate, tell};
use super::pods::Worker;
use crate::api::object::Object;
use crate::runtime::Found;

/// How long to wait before the runtime is asked again after it failed.
const RETRY: Duration = Duration::from_secs(1);

/// Gives every pod a worker until told to stop, then lets the workers end.
pub(super) async fn run(shared: Arc<Shared>, stop: CancellationToken) {
    let Some(mut found) = observe(&shared, &stop).await else { return };
    let mut workers = JoinSet::new();
    let mut uids: HashMap<Id, String> = HashMap::new();
    let (mut gate, mut telling) = (Gate::new(shared.settings.room), JoinSet::new());
    loop {
        while let Some(uid) = shared.cache.ended() {
            gate.leave(&uid);
        }
        let mut starting = Vec::new();
        while let Some(pod) = shared.cache.born() {
            if gate.arrive(&shared, &pod, found.contains_key(pod.uid())) {
                starting.extend(shared.cache.adopt(pod.uid()));
            }
        }
        for uid in gate.start(shared.clock.now()) {
            match shared.cache.adopt(&uid) {
                Some(pod) => starting.push(pod),
                None => gate.leave(&uid),
            }
        }
        for (pod, news) in starting {
            let uid = pod.uid().to_owned();
            let known = found.remove(&uid).unwrap_or_default();
            let worker = Worker::new(Arc::clone(&shared), pod, news, known);
            let handle = workers.spawn(worker.run(stop.clone()));
            uids.insert(handle.id(), uid);
        }
        let mut next_notice = None;
        if telling.is_empty() {
            let notices = gate.notices(shared.clock.now());
            next_notice = gate.next_notice();
            if !notices.is_empty() {
                telling.spawn(tell(Arc::clone(&shared), notices));
            }
        }
        // All branches are cancel-safe; a permit of `Notify` is kept until it is taken.
        tokio::select! {
            biased;
            () = stop.cancelled() => break,
            () = shared.cache.pods_due.notified() => {}
            Some(_) = telling.join_next() => {}
            () = shared.clock.sleep_until(next_notice) => {}
            Some(ended) = workers.join_next_with_id() => match ended {
                Ok((id, ())) => drop(uids.remove(&id)),
                Err(broken) => {
                    error!(error = %broken, "a pod's worker broke");
                    if let Some(uid) = uids.remove(&broken.id()) {
                        shared.clock.sleep(RETRY).await;
                        let Some(again) = observe(&shared, &stop).await else { break };
                        found = again;
                        shared.cache.abandon(&uid);
                    }
                }
            },
        }
    }
    while workers.join_next().await.is_some() {}
    while telling.join_next().await.is_some() {}
}

/// Asks the runtime what stands on the host, until it answers. `None`: the engine stops.
async fn observe(shared: &Shared, stop: &CancellationToken) -> Option<BTreeMap<String, Found>> {
    loop {
        // A list that is cut short costs nothing.
        let answer = tokio::select! {
            biased;
            () = stop.cancelled() => return None,
            answer = shared.runtime.observe() => answer,
        };
        match answer {
            Ok(found) => return Some(found),
            Err(error) => warn!(error = %error, "cannot see what runs on this host"),
        }
        tokio::select! {
            biased;
            () = stop.cancelled() => return None,
            () = shared.clock.sleep(RETRY) => {}
        }
    }
}
