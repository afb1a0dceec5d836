//! The store's objects of one kind, as news.
//!
//! Owns: following them and, where changes were missed, finding out what is different.
//! Must not know: what they say.

use std::collections::{BTreeMap, VecDeque};

use crate::api::object::{Key, Object};
use crate::store::{self, Revision, Store, Watch};

/// What became of one object.
#[derive(Debug)]
pub(super) enum News<O> {
    Is(Box<O>),
    Gone { uid: String },
}

#[derive(Debug)]
pub(super) struct Feed<O> {
    store: Store,
    watch: Watch,
    /// The objects that there are: which version was told, and the uid.
    known: BTreeMap<Key, (Revision, String)>,
    pending: VecDeque<News<O>>,
}

impl<O: Object> Feed<O> {
    /// Everything that is in the store, and every change from now on.
    pub(super) fn new(store: &Store) -> Self {
        Self {
            store: store.clone(),
            watch: store.watch(O::KIND, 0),
            known: BTreeMap::new(),
            pending: VecDeque::new(),
        }
    }

    /// Whether there are no objects, as far as was told.
    pub(super) fn is_empty(&self) -> bool {
        self.known.is_empty() && self.pending.is_empty()
    }

    /// The next piece of news; waits for it. Cancel-safe, as the watch and the queue are.
    pub(super) async fn next(&mut self) -> Result<News<O>, store::Error> {
        loop {
            if let Some(news) = self.pending.pop_front() {
                return Ok(news);
            }
            match self.watch.next().await {
                Ok(change) => {
                    let news = match change.object::<O>()? {
                        Some(object) => self.learn(object),
                        None => self.forget(&change.key),
                    };
                    self.pending.extend(news);
                }
                Err(store::Error::Compacted { .. }) => self.resync().await?,
                Err(error) => return Err(error),
            }
        }
    }

    /// News that are known without waiting.
    pub(super) fn pending(&mut self) -> Option<News<O>> {
        self.pending.pop_front()
    }

    /// Reads what there is now; what is different becomes news. Cancel-safe: nothing is kept before
    /// all was read.
    pub(super) async fn resync(&mut self) -> Result<(), store::Error> {
        let (objects, revision) = self.store.list::<O>(None).await?;
        let there: Vec<Key> = objects.iter().map(Object::key).collect();
        for object in objects {
            let news = self.learn(object);
            self.pending.extend(news);
        }
        let gone = self.known.keys().filter(|key| there.binary_search(key).is_err());
        for key in gone.cloned().collect::<Vec<_>>() {
            let news = self.forget(&key);
            self.pending.extend(news);
        }
        self.watch = self.store.watch(O::KIND, revision);
        Ok(())
    }

    fn learn(&mut self, object: O) -> Option<News<O>> {
        let version = object.meta().resource_version.as_deref();
        let revision = version.and_then(|version| version.parse().ok()).unwrap_or(0);
        let uid = object.uid().to_owned();
        let before = self.known.insert(object.key(), (revision, uid));
        before.is_none_or(|(before, _)| before < revision).then(|| News::Is(Box::new(object)))
    }

    fn forget(&mut self, key: &Key) -> Option<News<O>> {
        self.known.remove(key).map(|(_, uid)| News::Gone { uid })
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::Pod;

    use super::*;

    fn pod(name: &str) -> Pod {
        let mut pod = Pod::default();
        pod.metadata.namespace = Some("default".into());
        pod.metadata.name = Some(name.into());
        pod.metadata.uid = Some(format!("{name}-uid"));
        pod
    }

    #[tokio::test]
    async fn what_was_missed_is_told_once() {
        let store = Store::in_memory().unwrap();
        let mut feed = Feed::<Pod>::new(&store);
        let mut txn = store.txn();
        txn.create(&pod("a")).create(&pod("b"));
        txn.commit().await.unwrap();
        assert!(matches!(feed.next().await, Ok(News::Is(pod)) if pod.name() == "a"));
        assert!(matches!(feed.next().await, Ok(News::Is(pod)) if pod.name() == "b"));

        let known = store.get::<Pod>("default", "a").await.unwrap().unwrap();
        let mut txn = store.txn();
        txn.delete(&known).create(&pod("c"));
        txn.commit().await.unwrap();
        feed.resync().await.unwrap();
        assert!(matches!(feed.pending(), Some(News::Is(pod)) if pod.name() == "c"));
        assert!(matches!(feed.pending(), Some(News::Gone { uid }) if uid == "a-uid"));
        assert!(feed.pending().is_none() && !feed.is_empty());
        assert!(futures::poll!(Box::pin(feed.next())).is_pending());
    }
}
