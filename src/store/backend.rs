//! What a store is kept in: keys, bytes and revisions.
//!
//! Owns: the words that every backend speaks. Must not know: Jobs, pods, or how bytes are encoded.

use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::broadcast;

use super::Error;

/// Counts commits. Every change of one transaction carries the same revision.
pub type Revision = u64;

/// A value and the revision of its last change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub key: String,
    pub value: Vec<u8>,
    pub revision: Revision,
}

/// What must hold for a batch to be written at all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Guard {
    Absent { key: String },
    Unchanged { key: String, revision: Revision },
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Write {
    Put { key: String, value: Vec<u8> },
    Delete { key: String },
}

/// One transaction: all of it happens, or nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Batch {
    pub guards: Vec<Guard>,
    pub writes: Vec<Write>,
}

/// One key's change, as a watcher sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RawChange {
    pub revision: Revision,
    pub key: String,
    /// `None`: the key was deleted.
    pub value: Option<Vec<u8>>,
    /// What stood there before.
    pub previous: Option<Vec<u8>>,
}

/// A place that keeps bytes. A commit is durable when it is answered, and what was committed is seen
/// by every later read.
#[async_trait]
pub trait Backend: Send + Sync + 'static {
    async fn get(&self, key: &str) -> Result<Option<Entry>, Error>;

    /// All entries below a prefix in the order of their keys, and the revision they were read at.
    async fn range(&self, prefix: &str) -> Result<(Vec<Entry>, Revision), Error>;

    async fn commit(&self, batch: Batch) -> Result<Revision, Error>;

    /// The changes after `from`, in order, and the revision up to which they are complete.
    /// [`Error::Compacted`] if some of them are no longer kept.
    async fn history(&self, from: Revision) -> Result<(Vec<RawChange>, Revision), Error>;

    /// The changes from now on. A receiver that lags has to read the history again.
    fn subscribe(&self) -> broadcast::Receiver<Arc<RawChange>>;
}
