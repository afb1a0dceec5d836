//! What pods need of other objects.
//!
//! Owns: reading it for a pod, and telling the pods' workers that it has changed. Must not know: what a pod
//! makes of it.

use std::collections::BTreeSet;
use std::sync::Arc;

use k8s_openapi::api::core::v1::{ConfigMap, PersistentVolumeClaim, Pod, Secret, ServiceAccount};
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::{RETRY, Shared};
use crate::api::claim::missing;
use crate::api::object::{Key, Kind, Object};
use crate::api::references::{Referred, account, login, pull_secrets, references};
use crate::runtime;
use crate::store::{self, Change, Store};

/// How many changes a worker may be behind before all that it needs counts as changed.
const CHANGES_MAX: usize = 256;

/// Tells of changes. Who asks before reading misses none.
#[derive(Debug)]
pub(super) struct Changes {
    /// `None`: anything may have changed.
    sender: broadcast::Sender<Option<Key>>,
}

/// The changes that one pod is interested in.
#[derive(Debug)]
pub(super) struct Interest {
    needed: BTreeSet<Key>,
    changes: broadcast::Receiver<Option<Key>>,
}

impl Changes {
    pub(super) fn new() -> Self {
        Self { sender: broadcast::Sender::new(CHANGES_MAX) }
    }

    /// `None`: the pod needs nothing.
    pub(super) fn interest(&self, pod: &Pod) -> Option<Interest> {
        let needed = references(pod);
        (!needed.is_empty()).then(|| Interest { needed, changes: self.sender.subscribe() })
    }

    fn tell(&self, changed: Option<Key>) {
        // There may be nobody who needs anything.
        let _ = self.sender.send(changed);
    }
}

impl Interest {
    /// Waits until something has changed that the pod needs. Cancel-safe.
    pub(super) async fn changed(&mut self) {
        loop {
            match self.changes.recv().await {
                Ok(Some(key)) if !self.needed.contains(&key) => {}
                Ok(_) | Err(RecvError::Lagged(_)) => return,
                Err(RecvError::Closed) => return std::future::pending().await,
            }
        }
    }
}

/// What the pod needs, as it is now; and which of the Secrets with which its images are pulled are not
/// there.
pub(super) async fn read_all(
    store: &Store,
    pod: &Pod,
) -> Result<(Referred, Vec<String>), store::Error> {
    let mut found = read(store, pod).await?;
    let mut names: Vec<String> = pull_secrets(pod).into_iter().map(str::to_owned).collect();
    if names.is_empty() {
        // The account's are for pods that name none.
        let account = store.get::<ServiceAccount>(pod.namespace(), account(pod)).await?;
        let secrets = account.and_then(|account| account.image_pull_secrets).unwrap_or_default();
        names = secrets.into_iter().map(|secret| secret.name).collect();
    }
    let mut missing = Vec::new();
    for name in names {
        match store.get::<Secret>(pod.namespace(), &name).await? {
            Some(secret) => found.logins.extend(login(&secret)),
            None => missing.push(name),
        }
    }
    Ok((found, missing))
}

/// The same without what images are pulled with.
pub(super) async fn read(store: &Store, pod: &Pod) -> Result<Referred, store::Error> {
    let mut found = Referred::default();
    for key in references(pod) {
        match key.kind {
            Kind::ConfigMap => {
                let map = store.get::<ConfigMap>(&key.namespace, &key.name).await?;
                found.config_maps.extend(map.map(|map| (key.name, map)));
            }
            Kind::Secret => {
                let secret = store.get::<Secret>(&key.namespace, &key.name).await?;
                found.secrets.extend(secret.map(|secret| (key.name, secret)));
            }
            Kind::PersistentVolumeClaim => {
                let claim = store.get::<PersistentVolumeClaim>(&key.namespace, &key.name).await?;
                found.claims.extend(claim.map(|claim| (key.name, claim)));
            }
            Kind::Job
            | Kind::CronJob
            | Kind::Pod
            | Kind::Event
            | Kind::Namespace
            | Kind::Node
            | Kind::ServiceAccount
            | Kind::Lease => {}
        }
    }
    Ok(found)
}

/// The same for a pod that is to get its place on this host: what it claims has to be there.
pub(super) async fn read_claimed(store: &Store, pod: &Pod) -> Result<Referred, runtime::Error> {
    let found = read(store, pod).await.map_err(|error| unread(&error))?;
    match missing(pod, |name| found.claims.get(name)) {
        Some(message) => Err(runtime::Error::Claim { message }),
        None => Ok(found),
    }
}

pub(super) fn unread(error: &store::Error) -> runtime::Error {
    runtime::Error::Failed { attempt: "read what the pod needs", message: error.to_string() }
}

/// Follows the objects that pods may need until told to stop.
pub(super) async fn run(shared: Arc<Shared>, stop: CancellationToken) {
    loop {
        let failed = tokio::select! {
            biased;
            () = stop.cancelled() => return,
            failed = follow(&shared) => failed,
        };
        if let Some(error) = failed {
            warn!(error = %error, "cannot follow the store");
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                () = shared.clock.sleep(RETRY) => {}
            }
        }
    }
}

/// Tells of every change until a watch ends, and why it did, if it fell not only behind.
async fn follow(shared: &Shared) -> Option<store::Error> {
    let revision = match shared.store.revision().await {
        Ok(revision) => revision,
        Err(error) => return Some(error),
    };
    let mut config_maps = shared.store.watch(Kind::ConfigMap, revision);
    let mut secrets = shared.store.watch(Kind::Secret, revision);
    let mut claims = shared.store.watch(Kind::PersistentVolumeClaim, revision);
    // What changed before is not told of any more.
    shared.changes.tell(None);
    loop {
        // All branches are cancel-safe: a watch keeps what is not taken.
        let change = tokio::select! {
            biased;
            change = config_maps.next() => change,
            change = secrets.next() => change,
            change = claims.next() => change,
        };
        match change {
            Ok(Change { key, .. }) => shared.changes.tell(Some(key)),
            Err(store::Error::Compacted { .. }) => return None,
            Err(error) => return Some(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;
    use k8s_openapi::api::core::v1::Volume;

    use super::*;

    fn pod() -> Pod {
        let mut pod = Pod::default();
        pod.metadata.namespace = Some("default".to_owned());
        let mut volume = Volume::default();
        volume.config_map.get_or_insert_default().name = "m".to_owned();
        pod.spec.get_or_insert_default().volumes = Some(vec![volume]);
        pod
    }

    #[test]
    fn a_pod_is_told_of_what_it_needs_and_of_nothing_else() {
        let changes = Changes::new();
        assert!(changes.interest(&Pod::default()).is_none());
        let mut interest = changes.interest(&pod()).unwrap();
        let key = |name: &str| Some(Key::new(Kind::ConfigMap, "default", name));
        let told = |interest: &mut Interest| interest.changed().now_or_never().is_some();
        changes.tell(key("other"));
        changes.tell(Some(Key::new(Kind::Secret, "default", "m")));
        assert!(!told(&mut interest));
        for change in [key("m"), None] {
            changes.tell(change);
            assert!(told(&mut interest));
        }
        for _ in 0..=CHANGES_MAX {
            changes.tell(key("other"));
        }
        assert!(told(&mut interest));
    }

    #[tokio::test]
    async fn what_is_not_there_is_not_read() {
        let store = Store::in_memory().unwrap();
        assert_eq!(read(&store, &pod()).await.unwrap(), Referred::default());
        let mut map = ConfigMap::default();
        map.metadata.namespace = Some("default".to_owned());
        map.metadata.name = Some("m".to_owned());
        let mut txn = store.txn();
        txn.create(&map);
        txn.commit().await.unwrap();
        let found = read(&store, &pod()).await.unwrap();
        assert_eq!(found.config_maps.keys().collect::<Vec<_>>(), ["m"]);
    }

    #[tokio::test]
    async fn the_accounts_pull_secrets_are_for_pods_that_name_none() {
        let store = Store::in_memory().unwrap();
        let read = async |pod: &Pod| {
            let (found, missing) = read_all(&store, pod).await.unwrap();
            (found.logins, missing)
        };
        let mut pod = pod();
        assert_eq!(read(&pod).await, (vec![], vec![]));
        let object = |value: serde_json::Value| value;
        let secret: Secret = serde_json::from_value(object(serde_json::json!({
            "metadata": {"name": "own", "namespace": "default"},
            "type": "kubernetes.io/dockercfg", "data": {".dockercfg": "e30="},
        })))
        .unwrap();
        let account: ServiceAccount = serde_json::from_value(object(serde_json::json!({
            "metadata": {"name": "default", "namespace": "default"},
            "imagePullSecrets": [{"name": "own"}, {"name": "none"}],
        })))
        .unwrap();
        let mut txn = store.txn();
        txn.create(&secret).create(&account);
        txn.commit().await.unwrap();
        let own = vec!["{\"auths\": {}}".to_owned()];
        assert_eq!(read(&pod).await, (own, vec!["none".to_owned()]));
        let named = [serde_json::from_value(serde_json::json!({"name": "other"})).unwrap()];
        pod.spec.get_or_insert_default().image_pull_secrets = Some(named.into());
        assert_eq!(read(&pod).await, (vec![], vec!["other".to_owned()]));
    }
}
