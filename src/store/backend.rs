//! What a store is kept in: keys, bytes and revisions.
//!
//! Owns: the words that every backend speaks. Must not know: Jobs, pods, or how bytes are encoded.

use std::ops::RangeInclusive;
use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::broadcast;

use super::Error;

/// Counts changes. Those of one transaction have revisions of their own, in the order of its writes: a
/// reader who saw some of them goes on with the next one.
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

/// One transaction: all of it happens, or nothing, and no read sees part of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Batch {
    pub guards: Vec<Guard>,
    pub writes: Vec<Write>,
}

/// The revisions that the writes of a transaction were given.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Written {
    /// That of its last write; without any, that of the store.
    pub last: Revision,
    count: u64,
}

impl Written {
    /// Of so many writes, the last of which has this revision.
    pub(super) fn new(last: Revision, count: usize) -> Self {
        Self { last, count: count as u64 }
    }

    /// In the order in which the writes were put into the transaction.
    pub fn revisions(self) -> RangeInclusive<Revision> {
        self.last + 1 - self.count..=self.last
    }

    /// That of the first write, of which there is one: for transactions that begin with what they are
    /// about.
    pub fn first(self) -> Revision {
        *self.revisions().start()
    }
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

/// Which entries are asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Range {
    /// The first key.
    pub start: String,
    /// The first key that is not asked for any more.
    pub end: String,
    /// The first so many of them.
    pub limit: Option<usize>,
    /// As they were at this revision; `None`: as they are.
    pub at: Option<Revision>,
    /// Whether to count those that come after them, which costs as much as to read them.
    pub counted: bool,
}

impl Range {
    /// All keys that begin with this.
    pub fn below(prefix: &str) -> Self {
        let end = format!("{prefix}\u{10ffff}");
        Self { start: prefix.to_owned(), end, limit: None, at: None, counted: false }
    }

    /// One key.
    pub fn exactly(key: &str) -> Self {
        let (start, end) = (key.to_owned(), next_after(key));
        Self { start, end, limit: None, at: None, counted: false }
    }
}

/// The key that comes next in the order of keys, whether there is such an entry or not.
pub fn next_after(key: &str) -> String {
    format!("{key}\0")
}

/// Entries in the order of their keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Slice {
    pub entries: Vec<Entry>,
    /// What they were read at.
    pub revision: Revision,
    /// How many come after them; none, where they were not to be counted.
    pub remaining: usize,
}

/// A place that keeps bytes. A commit is durable when it is answered, and what was committed is seen
/// by every later read.
#[async_trait]
pub trait Backend: Send + Sync + 'static {
    async fn get(&self, key: &str) -> Result<Option<Entry>, Error>;

    /// The revision of the last change.
    async fn revision(&self) -> Result<Revision, Error>;

    /// [`Error::Compacted`] if the revision that is asked for is no longer kept.
    async fn range(&self, range: Range) -> Result<Slice, Error>;

    async fn commit(&self, batch: Batch) -> Result<Written, Error>;

    /// The changes after `from` below a prefix, in order, at most so many, and the revision up to which
    /// they are complete. [`Error::Compacted`] if some of them are no longer kept.
    async fn history(
        &self,
        prefix: &str,
        from: Revision,
        limit: usize,
    ) -> Result<(Vec<RawChange>, Revision), Error>;

    /// The changes from now on. A receiver that lags has to read the history again.
    fn subscribe(&self) -> broadcast::Receiver<Arc<RawChange>>;

    /// What is measured of it, in OpenMetrics without the mark of its end.
    fn write_metrics(&self, out: &mut String);
}
