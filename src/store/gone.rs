//! Pods that are gone, kept for as long as their logs are.
//!
//! Owns: where they stand, and that each is put there by the transaction by which it goes. Must not know:
//! for how long they are kept.

use serde_json::Value;

use super::backend::{Range, Write, next_after};
use super::untyped::decode;
use super::{Error, Store, Txn};
use crate::api::object::{Kind, Object};
use crate::api::remains::remains;

const PREFIX: &str = "/gone/pods/";

/// Which of the pods that are gone.
#[derive(Debug, Clone, Copy, Default)]
pub struct Which<'a> {
    /// `None`: of all namespaces.
    pub namespace: Option<&'a str>,
    /// With a namespace: only those of this name. There may have been several.
    pub name: Option<&'a str>,
}

/// Where one is kept.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place(String);

impl Store {
    /// The first so many of the pods that are gone, or of those after a place, in the order of namespace,
    /// name and uid: what remains of each.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn gone_pods(
        &self,
        which: Which<'_>,
        after: Option<&Place>,
        limit: usize,
    ) -> Result<Vec<(Place, Value)>, Error> {
        let prefix = match (which.namespace, which.name) {
            (None, _) => PREFIX.to_owned(),
            (Some(namespace), None) => format!("{PREFIX}{namespace}/"),
            (Some(namespace), Some(name)) => format!("{PREFIX}{namespace}/{name}/"),
        };
        let mut range = Range { limit: Some(limit), ..Range::below(&prefix) };
        if let Some(place) = after {
            range.start = next_after(&place.0);
        }
        let entries = self.backend.range(range).await?.entries.into_iter();
        let read = entries.map(|entry| {
            let pod = decode(&entry.key, &entry.value, entry.revision)?;
            Ok((Place(entry.key), pod))
        });
        read.collect()
    }
}

impl Txn<'_> {
    /// Forgets a pod that is gone.
    pub fn forget(&mut self, place: &Place) -> &mut Self {
        self.batch.writes.push(Write::Delete { key: place.0.clone() });
        self
    }

    /// Keeps what remains of an object that goes, if it is a pod.
    pub(super) fn keep<O: Object>(&mut self, object: &O) {
        if O::KIND == Kind::Pod && self.store.keeps {
            match serde_json::to_value(object) {
                Ok(value) => self.keep_value(O::KIND, &value),
                Err(source) => self.failed = Some(Error::Encode { key: object.key(), source }),
            }
        }
    }

    /// The same of an object that is JSON.
    pub(super) fn keep_value(&mut self, kind: Kind, value: &Value) {
        let text = |name: &str| value["metadata"][name].as_str().unwrap_or_default();
        let (namespace, name, uid) = (text("namespace"), text("name"), text("uid"));
        if kind != Kind::Pod || !self.store.keeps || uid.is_empty() {
            return;
        }
        let key = format!("{PREFIX}{namespace}/{name}/{uid}");
        // JSON that was read can be written.
        let value = remains(value).to_string().into_bytes();
        self.kept.push(Write::Put { key, value });
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::Pod;
    use serde_json::json;

    use super::*;
    use crate::api::object::Key;

    fn pod(name: &str, uid: &str) -> Value {
        json!({
            "metadata": {"namespace": "default", "name": name, "uid": uid},
            "status": {"phase": "Failed"},
        })
    }

    async fn names(store: &Store, which: Which<'_>) -> Vec<String> {
        let gone = store.gone_pods(which, None, 100).await.unwrap();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        gone.iter()
            .map(|(_, pod)| text(&pod["metadata"]["name"]) + "/" + &text(&pod["metadata"]["uid"]))
            .collect()
    }

    #[tokio::test]
    async fn a_pod_is_kept_by_the_transaction_by_which_it_goes() {
        let store = Store::in_memory().unwrap();
        for (name, uid) in [("a", "1"), ("b", "2"), ("a-b", "3")] {
            let key = Key::new(Kind::Pod, "default", name);
            let mut txn = store.txn();
            txn.create_value(&key, &pod(name, uid));
            txn.commit().await.unwrap();
            assert_eq!(store.gone_pods(Which::default(), None, 9).await.unwrap().len(), {
                ["a", "b", "a-b"].iter().position(|known| *known == name).unwrap()
            });
            let mut txn = store.txn();
            match name {
                // Whichever way it goes.
                "a" => {
                    let typed: Pod = store.get("default", name).await.unwrap().unwrap();
                    txn.delete(&typed);
                }
                "b" => {
                    let mut typed: Pod = store.get("default", name).await.unwrap().unwrap();
                    typed.metadata.deletion_timestamp =
                        serde_json::from_value(json!("2026-01-01T00:00:00Z")).unwrap();
                    typed.metadata.deletion_grace_period_seconds = Some(0);
                    txn.update(&typed);
                }
                _ => {
                    let value = store.read(&key).await.unwrap().unwrap();
                    txn.delete_value(&key, &value);
                }
            }
            let written = txn.commit().await.unwrap();
            assert_eq!(written.first(), written.last, "of what it was told to write");
            assert_eq!(written.last, store.revision().await.unwrap());
        }
        let which = |name| Which { namespace: Some("default"), name };
        assert_eq!(names(&store, which(None)).await, ["a-b/3", "a/1", "b/2"]);
        assert_eq!(names(&store, which(Some("a"))).await, ["a/1"]);
        let other = Which { namespace: Some("other"), name: None };
        assert!(names(&store, other).await.is_empty());

        let first = store.gone_pods(Which::default(), None, 1).await.unwrap().remove(0);
        let rest = store.gone_pods(Which::default(), Some(&first.0), 9).await.unwrap();
        assert_eq!(rest.len(), 2);
        let mut txn = store.txn();
        txn.forget(&first.0);
        txn.commit().await.unwrap();
        assert_eq!(names(&store, Which::default()).await, ["a/1", "b/2"]);
    }

    #[tokio::test]
    async fn a_store_of_one_run_keeps_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open_for_this_process(dir.path()).unwrap();
        let key = Key::new(Kind::Pod, "default", "a");
        let mut txn = store.txn();
        txn.create_value(&key, &pod("a", "1"));
        txn.commit().await.unwrap();
        let value = store.read(&key).await.unwrap().unwrap();
        let mut txn = store.txn();
        txn.delete_value(&key, &value);
        txn.commit().await.unwrap();
        assert!(names(&store, Which::default()).await.is_empty());
    }
}
