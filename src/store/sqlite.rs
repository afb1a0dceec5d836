//! The embedded backend: one SQLite file.
//!
//! Owns: tables, the writer thread, and what a commit costs. Must not know: what the bytes mean.
//!
//! One thread writes. It takes every batch that waits, writes each under a savepoint of its own, and
//! syncs once for all of them, so that many small commits cost about one. Reads have a connection of
//! their own. In memory there is no thread: a commit is done when it is asked for.

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension, params};
use tokio::sync::{broadcast, mpsc, oneshot};

use super::Error;
use super::backend::{
    Backend, Batch, Entry, Guard, Range, RawChange, Revision, Slice, Write, Written, next_after,
};
use super::metrics::Metrics;
use super::schema::{self, FILE};

/// Batches that share one sync at most.
const GROUP_MAX: usize = 128;

/// Batches that may wait for the writer.
const QUEUE_MAX: usize = 1024;

/// Changes that a watcher may lag behind before it has to read the history.
const BROADCAST_MAX: usize = 4096;

/// How many revisions of history are kept, and how often the rest is thrown away.
const HISTORY_REVISIONS: u64 = 10_000;
const COMPACT_EVERY: u64 = 1_000;

/// From a key on, before another, at most so many.
const RANGE_NOW: &str = "SELECT key, value, revision FROM entries
    WHERE key >= ?1 AND key < ?2 AND revision <= ?3 ORDER BY key LIMIT ?4";

/// The same of the past: what has not changed since, and what stood where it has.
const RANGE_THEN: &str = "SELECT key, value, revision FROM entries
    WHERE key >= ?1 AND key < ?2 AND revision <= ?3
    UNION ALL
    SELECT key, previous, previous_revision FROM history
    WHERE revision > ?3 AND key >= ?1 AND key < ?2 AND previous_revision <= ?3
    ORDER BY key LIMIT ?4";

/// How many there are.
const COUNT_NOW: &str = "SELECT count(*) FROM entries
    WHERE key >= ?1 AND key < ?2 AND revision <= ?3";
const COUNT_THEN: &str = "SELECT
    (SELECT count(*) FROM entries WHERE key >= ?1 AND key < ?2 AND revision <= ?3) +
    (SELECT count(*) FROM history
        WHERE revision > ?3 AND key >= ?1 AND key < ?2 AND previous_revision <= ?3)";

type Answer = Result<Written, Error>;
type Request = (Batch, oneshot::Sender<Answer>);

/// What a commit has to outlive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Durability {
    /// A crash of the host.
    Host,
    /// Nothing: the file is of no use to anybody else.
    Process,
}

impl Durability {
    fn synchronous(self) -> &'static str {
        match self {
            Self::Host => "FULL",
            Self::Process => "OFF",
        }
    }
}

/// The embedded backend.
#[derive(Debug)]
pub(super) struct Sqlite {
    reader: Arc<Mutex<Connection>>,
    writer: Writer,
    changes: broadcast::Sender<Arc<RawChange>>,
    metrics: Arc<Metrics>,
}

#[derive(Debug)]
enum Writer {
    /// The reading connection writes too.
    Inline,
    Thread {
        requests: Option<mpsc::Sender<Request>>,
        thread: Option<JoinHandle<()>>,
    },
}

impl Sqlite {
    /// Opens, or makes, `<dir>/store.db`.
    ///
    /// # Errors
    /// [`Error::Open`] with the path; [`Error::Newer`] for a file of a newer kiln; [`Error::Damaged`].
    pub(super) fn open(dir: &Path, durability: Durability) -> Result<Self, Error> {
        let path = dir.join(FILE);
        let mut writing = connect(&path, durability)?;
        schema::prepare(&mut writing, &path)?;
        let reader = Arc::new(Mutex::new(connect(&path, durability)?));
        let (changes, _) = broadcast::channel(BROADCAST_MAX);
        let (requests, queue) = mpsc::channel(QUEUE_MAX);
        let publish = changes.clone();
        let metrics = Arc::new(Metrics::new());
        let measure = Arc::clone(&metrics);
        let thread = std::thread::Builder::new()
            .name("store-writer".into())
            .spawn(move || write_until_closed(writing, queue, &publish, &measure))
            .map_err(|source| Error::Thread { source })?;
        let writer = Writer::Thread { requests: Some(requests), thread: Some(thread) };
        Ok(Self { reader, writer, changes, metrics })
    }

    /// The same without a thread.
    pub(super) fn open_unthreaded(dir: &Path) -> Result<Self, Error> {
        let path = dir.join(FILE);
        Self::inline(connect(&path, Durability::Host)?, &path)
    }

    /// A store that ends with the process.
    pub(super) fn in_memory() -> Result<Self, Error> {
        let path = Path::new(":memory:");
        let connection = Connection::open_in_memory()
            .map_err(|source| Error::Open { path: path.to_path_buf(), source })?;
        Self::inline(connection, path)
    }

    fn inline(mut connection: Connection, path: &Path) -> Result<Self, Error> {
        schema::prepare(&mut connection, path)?;
        let (changes, _) = broadcast::channel(BROADCAST_MAX);
        let reader = Arc::new(Mutex::new(connection));
        let metrics = Arc::new(Metrics::new());
        Ok(Self { reader, writer: Writer::Inline, changes, metrics })
    }

    fn read(&self) -> MutexGuard<'_, Connection> {
        self.reader.lock().expect("no reader panics while it holds the connection")
    }
}

fn connect(path: &Path, durability: Durability) -> Result<Connection, Error> {
    let opened = |source| Error::opening(path, source);
    schema::make_private(path);
    let connection = Connection::open(path).map_err(opened)?;
    let pragmas =
        format!("PRAGMA synchronous = {}; PRAGMA journal_mode = WAL;", durability.synchronous());
    connection.execute_batch(&pragmas).map_err(opened)?;
    connection.busy_timeout(Duration::from_secs(5)).map_err(opened)?;
    Ok(connection)
}

impl Drop for Sqlite {
    /// What was accepted is written before the file is closed.
    fn drop(&mut self) {
        if let Writer::Thread { requests, thread } = &mut self.writer {
            drop(requests.take());
            if let Some(thread) = thread.take() {
                // A writer that panicked has told so already.
                let _ = thread.join();
            }
        }
    }
}

#[async_trait]
impl Backend for Sqlite {
    async fn get(&self, key: &str) -> Result<Option<Entry>, Error> {
        self.read()
            .prepare_cached("SELECT key, value, revision FROM entries WHERE key = ?1")
            .and_then(|mut query| query.query_row([key], entry).optional())
            .map_err(Error::reading)
    }

    async fn revision(&self) -> Result<Revision, Error> {
        counter(&self.read(), "revision").map_err(Error::reading)
    }

    async fn range(&self, range: Range) -> Result<Slice, Error> {
        let mut connection = self.read();
        let read = |connection: &mut Connection| -> rusqlite::Result<_> {
            let snapshot = connection.transaction()?;
            let now = counter(&snapshot, "revision")?;
            let oldest = counter(&snapshot, "compacted")?;
            let at = range.at.unwrap_or(now);
            if at < oldest {
                return Ok(Err(Error::Compacted { from: at, oldest }));
            }
            let (query, count) =
                if at < now { (RANGE_THEN, COUNT_THEN) } else { (RANGE_NOW, COUNT_NOW) };
            let limit = range.limit.map_or(i64::MAX, |n| i64::try_from(n).unwrap_or(i64::MAX));
            let entries = snapshot
                .prepare_cached(query)?
                .query_map(params![range.start, range.end, at, limit], entry)?
                .collect::<rusqlite::Result<Vec<_>>>()?;
            let remaining = match entries.last() {
                Some(last) if range.counted && range.limit == Some(entries.len()) => snapshot
                    .prepare_cached(count)?
                    .query_row(params![next_after(&last.key), range.end, at], |row| row.get(0))?,
                Some(_) | None => 0,
            };
            Ok(Ok(Slice { entries, revision: at, remaining }))
        };
        read(&mut connection).map_err(Error::reading)?
    }

    async fn commit(&self, batch: Batch) -> Answer {
        match &self.writer {
            Writer::Inline => {
                let mut connection = self.read();
                let mut group = write_group(&mut connection, vec![batch], &self.metrics);
                publish(&self.changes, group.changes);
                group.answers.pop().expect("one batch has one answer")
            }
            Writer::Thread { requests, .. } => {
                let (answer, answered) = oneshot::channel();
                let requests = requests.as_ref().ok_or(Error::Closed)?;
                requests.send((batch, answer)).await.map_err(|_| Error::Closed)?;
                answered.await.map_err(|_| Error::Closed)?
            }
        }
    }

    async fn history(
        &self,
        prefix: &str,
        from: Revision,
        limit: usize,
    ) -> Result<(Vec<RawChange>, Revision), Error> {
        let within = Range::below(prefix);
        let most = i64::try_from(limit).unwrap_or(i64::MAX);
        let mut connection = self.read();
        let read = |connection: &mut Connection| -> rusqlite::Result<_> {
            let snapshot = connection.transaction()?;
            let revision = counter(&snapshot, "revision")?;
            let compacted = counter(&snapshot, "compacted")?;
            let changes = snapshot
                .prepare_cached(
                    "SELECT revision, key, value, previous FROM history
                     WHERE revision > ?1 AND key >= ?2 AND key < ?3 ORDER BY revision LIMIT ?4",
                )?
                .query_map(params![from, within.start, within.end, most], |row| {
                    Ok(RawChange {
                        revision: row.get(0)?,
                        key: row.get(1)?,
                        value: row.get(2)?,
                        previous: row.get(3)?,
                    })
                })?
                .collect::<rusqlite::Result<Vec<_>>>()?;
            Ok((changes, revision, compacted))
        };
        let (changes, revision, compacted) = read(&mut connection).map_err(Error::reading)?;
        if from < compacted {
            return Err(Error::Compacted { from, oldest: compacted });
        }
        let revision = match changes.last() {
            Some(last) if changes.len() == limit => last.revision,
            Some(_) | None => revision,
        };
        Ok((changes, revision))
    }

    fn subscribe(&self) -> broadcast::Receiver<Arc<RawChange>> {
        self.changes.subscribe()
    }

    fn write_metrics(&self, out: &mut String) {
        self.metrics.write(out);
    }
}

fn write_until_closed(
    mut connection: Connection,
    mut queue: mpsc::Receiver<Request>,
    changes: &broadcast::Sender<Arc<RawChange>>,
    metrics: &Metrics,
) {
    while let Some(first) = queue.blocking_recv() {
        let mut requests = vec![first];
        while requests.len() < GROUP_MAX
            && let Ok(next) = queue.try_recv()
        {
            requests.push(next);
        }
        let (batches, asked): (Vec<_>, Vec<_>) = requests.into_iter().unzip();
        let group = write_group(&mut connection, batches, metrics);
        publish(changes, group.changes);
        for (answer, asked) in group.answers.into_iter().zip(asked) {
            // Whoever asked may have gone away; the commit stands.
            let _ = asked.send(answer);
        }
    }
}

fn publish(to: &broadcast::Sender<Arc<RawChange>>, changes: Vec<RawChange>) {
    for change in changes {
        // Nobody watching is no failure.
        let _ = to.send(Arc::new(change));
    }
}

/// What became of the batches that were written together.
struct Group {
    answers: Vec<Answer>,
    changes: Vec<RawChange>,
}

fn write_group(connection: &mut Connection, batches: Vec<Batch>, metrics: &Metrics) -> Group {
    let count = batches.len();
    let begun = stopwatch();
    let written = try_write_group(connection, batches);
    let took = begun.elapsed();
    match written {
        Ok(group) => {
            let refused = group.answers.iter().filter(|answer| answer.is_err()).count();
            metrics.committed([count - refused, refused, 0].map(number), took);
            group
        }
        Err(source) => {
            metrics.committed([0, 0, count].map(number), took);
            let source = Arc::new(source);
            let refuse = || Err(Error::writing(Arc::clone(&source)));
            Group {
                answers: std::iter::repeat_with(refuse).take(count).collect(),
                changes: Vec::new(),
            }
        }
    }
}

fn number(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}

/// What takes time here is the disk, which no clock that is told can speed up.
#[expect(clippy::disallowed_methods, reason = "measures, and decides nothing")]
fn stopwatch() -> Instant {
    Instant::now()
}

fn try_write_group(connection: &mut Connection, batches: Vec<Batch>) -> rusqlite::Result<Group> {
    let mut transaction =
        connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    let before: Revision = counter(&transaction, "revision")?;
    let mut revision = before;
    let mut group = Group { answers: Vec::new(), changes: Vec::new() };
    for batch in batches {
        let savepoint = transaction.savepoint()?;
        match write_batch(&savepoint, batch, revision)? {
            Ok(changes) => {
                savepoint.commit()?;
                revision += changes.len() as u64;
                group.answers.push(Ok(Written::new(revision, changes.len())));
                group.changes.extend(changes);
            }
            Err(refusal) => group.answers.push(Err(refusal)),
        }
    }
    if revision > before {
        set_counter(&transaction, "revision", revision)?;
        if before / COMPACT_EVERY != revision / COMPACT_EVERY {
            compact(&transaction, revision.saturating_sub(HISTORY_REVISIONS))?;
        }
    }
    transaction.commit()?;
    Ok(group)
}

/// Writes one batch, with the revisions after this one; the inner error refuses it and leaves the others
/// of the group alone.
fn write_batch(
    connection: &Connection,
    batch: Batch,
    after: Revision,
) -> rusqlite::Result<Result<Vec<RawChange>, Error>> {
    let stored = |key: &str| -> rusqlite::Result<Option<Entry>> {
        connection
            .prepare_cached("SELECT key, value, revision FROM entries WHERE key = ?1")?
            .query_row([key], entry)
            .optional()
    };
    for guard in batch.guards {
        match guard {
            Guard::Absent { key } if stored(&key)?.is_some() => {
                return Ok(Err(Error::AlreadyExists { key }));
            }
            Guard::Unchanged { key, revision }
                if stored(&key)?.is_none_or(|entry| entry.revision != revision) =>
            {
                return Ok(Err(Error::Conflict { key }));
            }
            Guard::Absent { .. } | Guard::Unchanged { .. } => {}
        }
    }
    let mut changes = Vec::with_capacity(batch.writes.len());
    for (revision, write) in (after + 1..).zip(batch.writes) {
        let (key, value) = match write {
            Write::Put { key, value } => (key, Some(value)),
            Write::Delete { key } => (key, None),
        };
        let (previous, previous_revision) =
            stored(&key)?.map(|entry| (entry.value, entry.revision)).unzip();
        match &value {
            Some(value) => connection
                .prepare_cached(
                    "INSERT OR REPLACE INTO entries (key, value, revision) VALUES (?1, ?2, ?3)",
                )?
                .execute(params![key, value, revision])?,
            None => connection
                .prepare_cached("DELETE FROM entries WHERE key = ?1")?
                .execute(params![key])?,
        };
        connection
            .prepare_cached(
                "INSERT INTO history (revision, key, value, previous, previous_revision)
                 VALUES (?1, ?2, ?3, ?4, ?5)",
            )?
            .execute(params![revision, key, value, previous, previous_revision])?;
        changes.push(RawChange { revision, key, value, previous });
    }
    Ok(Ok(changes))
}

fn compact(connection: &Connection, oldest: Revision) -> rusqlite::Result<()> {
    connection.execute("DELETE FROM history WHERE revision <= ?1", [oldest])?;
    set_counter(connection, "compacted", oldest)
}

fn counter(connection: &Connection, name: &str) -> rusqlite::Result<u64> {
    connection
        .prepare_cached("SELECT value FROM counters WHERE name = ?1")?
        .query_row([name], |row| row.get(0))
}

fn set_counter(connection: &Connection, name: &str, value: u64) -> rusqlite::Result<()> {
    connection
        .prepare_cached("UPDATE counters SET value = ?2 WHERE name = ?1")?
        .execute(params![name, value])?;
    Ok(())
}

fn entry(row: &rusqlite::Row<'_>) -> rusqlite::Result<Entry> {
    Ok(Entry { key: row.get(0)?, value: row.get(1)?, revision: row.get(2)? })
}
