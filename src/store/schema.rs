//! The layout of the embedded store's file.
//!
//! Owns: its tables, their versions, how a file of an older version is brought up to date, and that one
//! which is damaged or newer is not touched. Must not know: what the bytes mean.

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rusqlite::{Connection, TransactionBehavior};

use super::Error;

/// What the file is called.
pub(super) const FILE: &str = "store.db";

/// The layout of the tables; a file with a higher number was written by a newer kiln.
pub(super) const VERSION: i64 = 2;

/// What is looked through stands before what is only handed out: the bytes, which may fill pages.
const TABLES: &str = "
    CREATE TABLE entries (key TEXT PRIMARY KEY, revision INTEGER NOT NULL, value BLOB NOT NULL)
        WITHOUT ROWID;
    CREATE TABLE counters (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
    INSERT INTO counters VALUES ('revision', 0), ('compacted', 0);
";
const HISTORY: &str = "
    CREATE TABLE history (revision INTEGER PRIMARY KEY, key TEXT NOT NULL,
        previous_revision INTEGER, value BLOB, previous BLOB);
";

/// In version 1 the changes of one transaction shared a revision. Watchers of before list again.
const FROM_1: &str = "
    DROP TABLE history;
    UPDATE counters SET value = (SELECT value FROM counters WHERE name = 'revision')
        WHERE name = 'compacted';
";

/// Makes the file where there is none: only its owner may read what is in it, Secrets among it. SQLite
/// gives the files that it makes beside it the same mode.
pub(super) fn make_private(path: &Path) {
    // Where it cannot be made, it cannot be opened either, and that is told.
    let _ = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
}

/// Makes the tables in a new file, brings those of an older one up to date, and refuses a file that it
/// does not understand, or that is damaged.
pub(super) fn prepare(connection: &mut Connection, path: &Path) -> Result<(), Error> {
    let opened = |source| Error::opening(path, source);
    let found = version(connection).map_err(opened)?;
    let before = match found {
        0 => TABLES,
        1 => FROM_1,
        VERSION => "",
        _ => return Err(newer(path, found)),
    };
    // Before anything is written.
    if let Some(found) = examine(connection, "quick_check(1)").map_err(opened)?.first() {
        return Err(Error::Damaged { found: format!("`{}`: {found}", path.display()) });
    }
    if found == VERSION {
        return Ok(());
    }
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate);
    let transaction = transaction.map_err(opened)?;
    transaction.execute_batch(before).map_err(opened)?;
    transaction.execute_batch(HISTORY).map_err(opened)?;
    transaction.pragma_update(None, "user_version", VERSION).map_err(opened)?;
    transaction.commit().map_err(opened)
}

pub(super) fn version(connection: &Connection) -> rusqlite::Result<i64> {
    connection.query_row("PRAGMA user_version", [], |row| row.get(0))
}

pub(super) fn newer(path: &Path, found: i64) -> Error {
    Error::Newer { path: path.to_path_buf(), found, known: VERSION }
}

/// What one of SQLite's own checks finds wrong: `quick_check` or `integrity_check`.
pub(super) fn examine(connection: &Connection, check: &str) -> rusqlite::Result<Vec<String>> {
    let mut query = connection.prepare(&format!("PRAGMA {check}"))?;
    let lines = query.query_map([], |row| row.get::<_, String>(0))?;
    let lines = lines.collect::<rusqlite::Result<Vec<_>>>()?;
    Ok(lines.into_iter().filter(|line| line != "ok").collect())
}
