//! The logs of pods that are gone.
//!
//! Owns: when they go too, with what remains of the pod. What they take is asked of the disk each time,
//! not remembered. Must not know: where logs are, or who reads them.

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde_json::Value;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use super::Shared;
use super::clock::later;
use crate::api::object::Object;
use crate::api::remains::gone_since;
use crate::store::gone::{Place, Which};
use crate::store::{self, Store};

/// How many pods that are gone are read at once.
const CHUNK: usize = 500;
/// No more of them are kept, however little they take.
const PODS_MAX: usize = 20_000;

/// For how long logs outlive their pods.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogRetention {
    pub age: Duration,
    /// Of all pods that are gone; the oldest go first.
    pub bytes: u64,
}

impl Default for LogRetention {
    fn default() -> Self {
        Self { age: Duration::from_hours(7 * 24), bytes: 10 << 30 }
    }
}

/// A pod that is gone.
#[derive(Debug)]
struct Gone {
    place: Place,
    /// No more than its name and uid.
    pod: Pod,
    since: Timestamp,
}

/// Looks at them at the start and then at times.
pub(super) async fn run(shared: Arc<Shared>, stop: CancellationToken) {
    loop {
        // What is cut short is begun anew by the next engine.
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            looked = forget(&shared) => match looked {
                Ok(0) => {}
                Ok(count) => debug!(count, "forgot pods that are gone, and their logs"),
                Err(error) => warn!(%error, "cannot look at the logs of pods that are gone"),
            },
        }
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            () = shared.clock.sleep(shared.settings.sweep_every) => {}
        }
    }
}

/// One look. Answers how many pods were forgotten.
async fn forget(shared: &Shared) -> Result<usize, store::Error> {
    let gone = read(&shared.store).await?;
    let Some(live) = shared.cache.live() else { return Ok(0) };
    let mut bytes = Vec::new();
    for gone in &gone {
        // Of one that cannot be measured only the age counts.
        bytes.push(shared.runtime.log_bytes(&gone.pod).await.unwrap_or(0));
    }
    let retention = shared.settings.log_retention;
    let since = gone.iter().map(|gone| gone.since).zip(bytes);
    let kept = kept(since, retention, shared.clock.now());
    let mut count = 0;
    for gone in gone.iter().skip(kept).filter(|gone| may_go(gone, &live)) {
        // The logs first: what is left of a pod whose logs could not be deleted is looked at again.
        if let Err(error) = shared.runtime.remove_logs(&gone.pod).await {
            warn!(%error, pod = gone.pod.name(), "cannot delete the logs of a pod that is gone");
            continue;
        }
        let mut txn = shared.store.txn();
        txn.forget(&gone.place);
        txn.commit().await?;
        count += 1;
    }
    Ok(count)
}

/// A pod is gone from the store before its last container is from the host.
fn may_go(gone: &Gone, live: &BTreeSet<String>) -> bool {
    !live.contains(gone.pod.uid())
}

/// How many are kept, of those that are gone the shortest first.
fn kept(
    gone: impl Iterator<Item = (Timestamp, u64)>,
    retention: LogRetention,
    now: Timestamp,
) -> usize {
    let mut sum: u64 = 0;
    let fits = |(since, bytes): &(Timestamp, u64)| {
        sum = sum.saturating_add(*bytes);
        later(*since, retention.age) > now && sum <= retention.bytes
    };
    gone.take(PODS_MAX).take_while(fits).count()
}

/// All of them, those that are gone the shortest first.
async fn read(store: &Store) -> Result<Vec<Gone>, store::Error> {
    let mut all: Vec<Gone> = Vec::new();
    loop {
        let after = all.last().map(|gone| &gone.place);
        let page = store.gone_pods(Which::default(), after, CHUNK).await?;
        let is_last = page.len() < CHUNK;
        all.extend(page.into_iter().map(|(place, pod)| Gone {
            place,
            since: gone_since(&pod),
            pod: named(&pod),
        }));
        if is_last {
            break;
        }
    }
    all.sort_by_key(|gone| Reverse(gone.since));
    Ok(all)
}

fn named(pod: &Value) -> Pod {
    let text = |field: &str| pod["metadata"][field].as_str().map(str::to_owned);
    let (name, namespace, uid) = (text("name"), text("namespace"), text("uid"));
    let metadata = ObjectMeta { name, namespace, uid, ..ObjectMeta::default() };
    Pod { metadata, ..Pod::default() }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::api::object::{Key, Kind};
    use crate::engine::{Clock, Engine, Settings};
    use crate::runtime::fake::Fake;
    use crate::{job, pod};

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn what_is_too_old_and_what_is_too_much_goes() {
        let gone = [(at(50), 10), (at(40), 10), (at(30), 10), (at(20), 0)];
        let kept = |age, bytes| {
            let retention = LogRetention { age: Duration::from_secs(age), bytes };
            super::kept(gone.into_iter(), retention, at(60))
        };
        assert_eq!(kept(100, 30), 4);
        assert_eq!(kept(100, 29), 2);
        assert_eq!(kept(100, 9), 0);
        assert_eq!(kept(30, 30), 2);
        assert_eq!(kept(31, 30), 3);
        assert_eq!(kept(0, 30), 0);
    }

    async fn gone(store: &Store) -> Vec<String> {
        let gone = store.gone_pods(Which::default(), None, CHUNK).await.unwrap();
        let name = |pod: &Value| pod["metadata"]["name"].as_str().unwrap().to_owned();
        gone.iter().map(|(_, pod)| name(pod)).collect()
    }

    async fn put(store: &Store, name: &str, at: i64) {
        let key = Key::new(Kind::Pod, "default", name);
        let metadata = json!({
            "namespace": "default", "name": name, "uid": format!("uid-{name}"),
            "creationTimestamp": Timestamp::from_second(at).unwrap().to_string(),
        });
        let pod = json!({"metadata": metadata, "status": {"phase": "Succeeded"}});
        let mut txn = store.txn();
        txn.create_value(&key, &pod);
        txn.commit().await.unwrap();
    }

    async fn delete(store: &Store, name: &str) {
        let key = Key::new(Kind::Pod, "default", name);
        let value = store.read(&key).await.unwrap().unwrap();
        let mut txn = store.txn();
        txn.delete_value(&key, &value);
        txn.commit().await.unwrap();
    }

    #[tokio::test]
    async fn logs_outlive_their_pods_for_a_while_and_those_of_a_living_one_stay() {
        let clock = Clock::virtual_at(at(1000));
        let (store, now) = (Store::in_memory().unwrap(), clock.clone());
        let host = Arc::new(Fake::new(move || now.now()));
        for (name, begun) in [("old", 100), ("new", 950), ("living", 100)] {
            put(&store, name, begun).await;
            host.write_log(&format!("uid-{name}"), 10);
        }
        delete(&store, "old").await;
        delete(&store, "new").await;
        let mut settings = Settings::new(job::Rules::default(), pod::Rules::default());
        settings.log_retention = LogRetention { age: Duration::from_secs(600), bytes: 100 };
        let engine = Engine::start(store.clone(), Arc::<Fake>::clone(&host), clock, settings);
        let patience = tokio::time::Instant::now() + Duration::from_secs(20);
        while gone(&store).await != ["new"] {
            assert!(tokio::time::Instant::now() < patience, "{:?}", gone(&store).await);
            tokio::task::yield_now().await;
        }
        assert_eq!(host.logs(), ["uid-living", "uid-new"]);
        engine.stop().await;
    }
}
