//! The store: where every object lives.
//!
//! Owns: how objects become bytes and keys, transactions over several of them, and watching.
//! Must not know: what a Job means, or who reads. Nothing outside knows which backend runs.

pub mod backend;
pub mod gone;
mod metrics;
mod schema;
mod sqlite;
#[cfg(test)]
mod tests;
pub mod untyped;
pub mod upkeep;

use std::collections::VecDeque;
use std::marker::PhantomData;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::sync::broadcast;

use self::backend::{Backend, Batch, Entry, Guard, Range, RawChange, Write, next_after};
pub use self::backend::{Revision, Written};
use self::sqlite::{Durability, Sqlite};
use crate::api::object::{Key, Kind, Object};

/// Why the store did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("`{key}` was changed by somebody else")]
    Conflict { key: String },
    #[error("`{key}` exists already")]
    AlreadyExists { key: String },
    #[error("the changes after revision {from} are no longer kept (oldest: {oldest})")]
    Compacted { from: Revision, oldest: Revision },
    #[error("cannot open the store `{path}`")]
    Open { path: PathBuf, source: rusqlite::Error },
    #[error(
        "the store `{path}` has version {found}, and this kiln knows {known}: use a newer kiln"
    )]
    Newer { path: PathBuf, found: i64, known: i64 },
    #[error(
        "the store is damaged ({found}): stop kiln, see by `kiln store check` what is wrong, and put a \
         backup in its place by `kiln store restore FILE --force`"
    )]
    Damaged { found: String },
    #[error("cannot start the store's writer")]
    Thread { source: std::io::Error },
    #[error("cannot read the store")]
    Read { source: rusqlite::Error },
    /// Shared, because the batches that were written together fail together.
    #[error("cannot write the store")]
    Write { source: Arc<rusqlite::Error> },
    #[error(
        "cannot write the store: its disk is full; free some space, or use a root on another disk \
         (`--root`)"
    )]
    Full { source: Arc<rusqlite::Error> },
    #[error("cannot encode `{key}`")]
    Encode { key: Key, source: serde_json::Error },
    #[error("`{key}` holds something that is not what its key says")]
    Decode { key: String, source: serde_json::Error },
    #[error("the store is closed")]
    Closed,
}

impl Error {
    fn opening(path: &Path, source: rusqlite::Error) -> Self {
        if is_damage(&source) {
            return Self::Damaged { found: format!("`{}`: {source}", path.display()) };
        }
        Self::Open { path: path.to_path_buf(), source }
    }

    fn reading(source: rusqlite::Error) -> Self {
        if is_damage(&source) {
            return Self::Damaged { found: source.to_string() };
        }
        Self::Read { source }
    }

    /// The store cannot be written, and whether that is for want of space.
    fn writing(source: Arc<rusqlite::Error>) -> Self {
        // Of a shared memory that cannot grow, SQLite says no more than that.
        const NO_ROOM: [i32; 2] = [rusqlite::ffi::SQLITE_FULL, rusqlite::ffi::SQLITE_IOERR_SHMSIZE];
        let code = source.sqlite_error().map(|error| error.extended_code);
        if code.is_some_and(|code| NO_ROOM.contains(&code)) {
            Self::Full { source }
        } else if is_damage(&source) {
            Self::Damaged { found: source.to_string() }
        } else {
            Self::Write { source }
        }
    }

    /// As SQLite tells that there is no room.
    #[cfg(test)]
    pub(crate) fn full() -> Self {
        let code = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_FULL);
        Self::writing(Arc::new(rusqlite::Error::SqliteFailure(code, None)))
    }

    /// Whether looking again is all that is needed: somebody else was faster.
    pub fn is_race(&self) -> bool {
        matches!(self, Self::Conflict { .. } | Self::AlreadyExists { .. })
    }
}

/// Whether the file is not what SQLite wrote.
fn is_damage(error: &rusqlite::Error) -> bool {
    use rusqlite::ErrorCode::{DatabaseCorrupt, NotADatabase};
    matches!(error.sqlite_error_code(), Some(DatabaseCorrupt | NotADatabase))
}

/// The objects, typed. Cheap to clone.
#[derive(Clone)]
pub struct Store {
    backend: Arc<dyn Backend>,
    /// Whether what remains of a pod that goes is kept.
    keeps: bool,
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Store")
    }
}

impl Store {
    /// Opens, or makes, the embedded store in a directory.
    pub fn open(dir: &Path) -> Result<Self, Error> {
        Ok(Self { backend: Arc::new(Sqlite::open(dir, Durability::Host)?), keeps: true })
    }

    /// The same for a directory that nobody reads once this process has ended: a commit is not synced to
    /// the disk, and nothing is kept of a pod that goes.
    pub fn open_for_this_process(dir: &Path) -> Result<Self, Error> {
        Ok(Self { backend: Arc::new(Sqlite::open(dir, Durability::Process)?), keeps: false })
    }

    /// The same as [`Store::open`] without a thread: a commit is done when it is asked for, so that a
    /// simulation plays the same each time.
    pub fn open_unthreaded(dir: &Path) -> Result<Self, Error> {
        Ok(Self { backend: Arc::new(Sqlite::open_unthreaded(dir)?), keeps: true })
    }

    /// A store that ends with the process; a commit is done when it is asked for.
    pub fn in_memory() -> Result<Self, Error> {
        Ok(Self { backend: Arc::new(Sqlite::in_memory()?), keeps: true })
    }

    pub async fn get<O: Object>(&self, namespace: &str, name: &str) -> Result<Option<O>, Error> {
        let key = path(&Key::new(O::KIND, namespace, name));
        self.backend.get(&key).await?.map(|entry| decode(&entry)).transpose()
    }

    /// All objects of a kind, in one namespace or in all, in the order of their keys.
    pub async fn list<O: Object>(
        &self,
        namespace: Option<&str>,
    ) -> Result<(Vec<O>, Revision), Error> {
        let slice = self.backend.range(Range::below(&prefix(O::KIND, namespace))).await?;
        Ok((slice.entries.iter().map(decode).collect::<Result<_, _>>()?, slice.revision))
    }

    /// The same some at a time, each page as it is when it is read: what is only looked through need not be
    /// in memory as a whole.
    pub fn pages<O: Object>(&self, namespace: Option<&str>) -> Pages<'_, O> {
        let all = Range::below(&prefix(O::KIND, namespace));
        Pages { store: self, rest: Some(Range { limit: Some(PAGE), ..all }), kind: PhantomData }
    }

    pub fn txn(&self) -> Txn<'_> {
        Txn { store: self, batch: Batch::default(), kept: Vec::new(), failed: None }
    }

    /// What is measured of it, in OpenMetrics without the mark of its end.
    pub fn write_metrics(&self, out: &mut String) {
        self.backend.write_metrics(out);
    }

    /// The revision of the last change.
    pub async fn revision(&self) -> Result<Revision, Error> {
        self.backend.revision().await
    }

    /// The changes of a kind after a revision, in order, each once.
    pub fn watch(&self, kind: Kind, from: Revision) -> Watch {
        self.watch_in(kind, None, from)
    }

    /// The same of one namespace.
    pub fn watch_in(&self, kind: Kind, namespace: Option<&str>, from: Revision) -> Watch {
        Watch {
            live: self.backend.subscribe(),
            backend: Arc::clone(&self.backend),
            prefix: prefix(kind, namespace),
            passed: from,
            behind: true,
            pending: VecDeque::new(),
        }
    }
}

/// How many objects a page has.
const PAGE: usize = 500;

/// How many changes a watcher that is behind takes into memory at once.
const HISTORY_PAGE: usize = 256;

/// All objects of a kind, some at a time.
#[derive(Debug)]
pub struct Pages<'a, O> {
    store: &'a Store,
    rest: Option<Range>,
    kind: PhantomData<O>,
}

impl<O: Object> Pages<'_, O> {
    /// The next of them, and the revision at which they were read; `None`: those were all.
    pub async fn next(&mut self) -> Result<Option<(Vec<O>, Revision)>, Error> {
        let Some(range) = self.rest.take() else { return Ok(None) };
        let slice = self.store.backend.range(range.clone()).await?;
        if slice.entries.len() == PAGE {
            let last = slice.entries.last();
            self.rest = last.map(|last| Range { start: next_after(&last.key), ..range });
        }
        Ok(Some((slice.entries.iter().map(decode).collect::<Result<_, _>>()?, slice.revision)))
    }
}

/// A transaction that is being put together.
#[derive(Debug)]
pub struct Txn<'a> {
    store: &'a Store,
    batch: Batch,
    /// What is kept of the objects that go.
    kept: Vec<Write>,
    failed: Option<Error>,
}

impl Txn<'_> {
    /// Writes a new object; there must be none of that name.
    pub fn create<O: Object>(&mut self, object: &O) -> &mut Self {
        self.batch.guards.push(Guard::Absent { key: path(&object.key()) });
        self.put(object)
    }

    /// Writes an object that was read before and must not have changed since. One that is deleted
    /// and that nothing holds any more goes away instead.
    pub fn update<O: Object>(&mut self, object: &O) -> &mut Self {
        self.unchanged(object);
        if object.is_released() {
            self.keep(object);
            self.batch.writes.push(Write::Delete { key: path(&object.key()) });
            return self;
        }
        self.put(object)
    }

    /// Removes an object that was read before and must not have changed since.
    pub fn delete<O: Object>(&mut self, object: &O) -> &mut Self {
        self.unchanged(object);
        self.keep(object);
        self.batch.writes.push(Write::Delete { key: path(&object.key()) });
        self
    }

    /// Writes an object whatever stands there: for Events, which only add up.
    pub fn put<O: Object>(&mut self, object: &O) -> &mut Self {
        let key = object.key();
        let mut object = object.clone();
        // The revision is the entry's own.
        object.meta_mut().resource_version = None;
        match serde_json::to_vec(&object) {
            Ok(value) => self.batch.writes.push(Write::Put { key: path(&key), value }),
            Err(source) => self.failed = Some(Error::Encode { key, source }),
        }
        self
    }

    pub fn is_empty(&self) -> bool {
        self.batch.writes.is_empty() && self.failed.is_none()
    }

    /// Durable when it answers. An empty transaction costs nothing and answers revision 0.
    pub async fn commit(mut self) -> Result<Written, Error> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        if self.batch.writes.is_empty() && self.batch.guards.is_empty() {
            return Ok(Written::default());
        }
        // Before all others: whoever counts those of the transaction counts from its last one.
        let own = self.batch.writes.len();
        self.batch.writes.splice(0..0, self.kept);
        let written = self.store.backend.commit(self.batch).await?;
        Ok(Written::new(written.last, own))
    }

    fn unchanged<O: Object>(&mut self, object: &O) {
        let revision =
            object.meta().resource_version.as_deref().and_then(|v| v.parse().ok()).unwrap_or(0);
        self.batch.guards.push(Guard::Unchanged { key: path(&object.key()), revision });
    }
}

/// One object's change.
#[derive(Debug, Clone)]
pub struct Change {
    pub revision: Revision,
    pub key: Key,
    raw: Arc<RawChange>,
}

impl Change {
    /// The object as it is now; `None`: it is gone.
    pub fn object<O: Object>(&self) -> Result<Option<O>, Error> {
        self.raw.value.as_ref().map(|value| self.decode(value)).transpose()
    }

    /// The object as it was before; `None`: it is new.
    pub fn previous<O: Object>(&self) -> Result<Option<O>, Error> {
        self.raw.previous.as_ref().map(|value| self.decode(value)).transpose()
    }

    fn decode<O: Object>(&self, value: &[u8]) -> Result<O, Error> {
        decode_value(&self.raw.key, value, self.revision)
    }
}

/// The changes of a kind. Dropping it ends it.
pub struct Watch {
    backend: Arc<dyn Backend>,
    live: broadcast::Receiver<Arc<RawChange>>,
    prefix: String,
    /// No change up to here is still to come, pending ones aside.
    passed: Revision,
    /// Whether the history has to be read before the live changes make sense.
    behind: bool,
    pending: VecDeque<Arc<RawChange>>,
}

impl std::fmt::Debug for Watch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Watch({} after {})", self.prefix, self.passed)
    }
}

impl Watch {
    /// Up to where whoever took all changes so far has seen everything.
    pub fn passed(&self) -> Revision {
        let pending = self.pending.front().map(|change| change.revision.saturating_sub(1));
        pending.unwrap_or(self.passed)
    }

    /// The next change; waits for it. Cancel-safe: a change is taken out only when it is answered.
    ///
    /// # Errors
    /// [`Error::Compacted`]: list again and watch from there. [`Error::Closed`]: the store is gone.
    pub async fn next(&mut self) -> Result<Change, Error> {
        loop {
            if let Some(raw) = self.pending.pop_front() {
                if let Some(key) = parse(&raw.key) {
                    return Ok(Change { revision: raw.revision, key, raw });
                }
                continue;
            }
            if self.behind {
                let read = self.backend.history(&self.prefix, self.passed, HISTORY_PAGE).await?;
                let (changes, revision) = read;
                self.behind = changes.len() == HISTORY_PAGE;
                self.pending.extend(changes.into_iter().map(Arc::new));
                self.passed = revision;
                continue;
            }
            match self.live.recv().await {
                // What the history held already.
                Ok(change) if change.revision <= self.passed => {}
                Ok(change) => {
                    self.passed = change.revision;
                    if change.key.starts_with(&self.prefix) {
                        self.pending.push_back(change);
                    }
                }
                Err(broadcast::error::RecvError::Lagged(_)) => self.behind = true,
                Err(broadcast::error::RecvError::Closed) => return Err(Error::Closed),
            }
        }
    }
}

fn prefix(kind: Kind, namespace: Option<&str>) -> String {
    match namespace {
        Some(namespace) => format!("/registry/{}/{namespace}/", kind.plural()),
        None => format!("/registry/{}/", kind.plural()),
    }
}

fn path(key: &Key) -> String {
    let namespace = key.kind.is_namespaced().then_some(key.namespace.as_str());
    prefix(key.kind, namespace) + &key.name
}

fn parse(path: &str) -> Option<Key> {
    let (plural, rest) = path.strip_prefix("/registry/")?.split_once('/')?;
    let kind = Kind::ALL.into_iter().find(|kind| kind.plural() == plural)?;
    let (namespace, name) = if kind.is_namespaced() { rest.split_once('/')? } else { ("", rest) };
    Some(Key::new(kind, namespace, name))
}

fn decode<O: Object>(entry: &Entry) -> Result<O, Error> {
    decode_value(&entry.key, &entry.value, entry.revision)
}

fn decode_value<O: Object>(key: &str, value: &[u8], revision: Revision) -> Result<O, Error> {
    let mut object: O = serde_json::from_slice(value)
        .map_err(|source| Error::Decode { key: key.to_owned(), source })?;
    object.meta_mut().resource_version = Some(revision.to_string());
    Ok(object)
}
