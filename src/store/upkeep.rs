//! Looking after the embedded store's file: check, backup, restore.
//!
//! Owns: that a backup is of one moment, and that whatever stands under its name is whole. Must not know:
//! whether anybody works with the store, but for what a restore is told.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};
use serde_json::Value;

use super::parse;
use super::schema::{self, FILE};

/// How long to wait for somebody who holds the file to himself.
const BUSY: Duration = Duration::from_secs(5);
/// How many problems are told.
const PROBLEMS_MAX: usize = 100;

/// Why a file was left as it was.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("there is no store at `{path}`")]
    Absent { path: PathBuf },
    #[error("`{path}` exists already; to replace it, say `--force`")]
    Exists { path: PathBuf },
    #[error("`{path}` is no whole store of kiln: {found}")]
    NotWhole { path: PathBuf, found: String },
    #[error(transparent)]
    Newer(super::Error),
    #[error("cannot read `{path}`: {source}")]
    Read { path: PathBuf, source: rusqlite::Error },
    #[error("cannot write `{path}`: {source}")]
    Copy { path: PathBuf, source: rusqlite::Error },
    #[error("cannot write `{path}`: {source}")]
    Place { path: PathBuf, source: io::Error },
}

/// What is in a store.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Checked {
    pub version: i64,
    pub revision: u64,
    /// How many there are of each kind, by the name of the kind in paths.
    pub objects: BTreeMap<String, u64>,
    /// What is wrong with it, a line each.
    pub problems: Vec<String>,
}

/// Where the store of a root is.
pub fn file(root: &Path) -> PathBuf {
    root.join(FILE)
}

/// Reads a whole store: the pages, the indexes and every object. Changes nothing, and may be done while
/// somebody works with it.
///
/// # Errors
/// It cannot be opened. What is wrong in it is no error here, but among the answer's problems.
pub fn check(path: &Path) -> Result<Checked, Error> {
    let connection = open(path)?;
    let mut checked = Checked::default();
    match look_through(&connection, &mut checked) {
        Ok(()) => {}
        Err(error) if is_wrong(&error) => checked.problems.push(error.to_string()),
        Err(source) => return Err(Error::Read { path: path.to_path_buf(), source }),
    }
    Ok(checked)
}

/// Whether it is the file's fault, not that of who reads it.
fn is_wrong(error: &rusqlite::Error) -> bool {
    super::is_damage(error) || matches!(error, rusqlite::Error::InvalidColumnType(..))
}

fn look_through(connection: &Connection, checked: &mut Checked) -> rusqlite::Result<()> {
    // All of it is of one moment.
    let snapshot = connection.unchecked_transaction()?;
    checked.version = schema::version(&snapshot)?;
    checked.problems = schema::examine(&snapshot, &format!("integrity_check({PROBLEMS_MAX})"))?;
    if checked.version == 0 || checked.version > schema::VERSION {
        let (found, known) = (checked.version, schema::VERSION);
        checked.problems.push(format!("its version is {found}, and this kiln knows 1 to {known}"));
        return Ok(());
    }
    let counter = "SELECT value FROM counters WHERE name = 'revision'";
    checked.revision = snapshot.query_row(counter, [], |row| row.get(0))?;
    let mut entries = snapshot.prepare("SELECT key, revision, value FROM entries ORDER BY key")?;
    let mut rows = entries.query([])?;
    while let Some(row) = rows.next()? {
        let (key, revision, value) =
            (row.get::<_, String>(0)?, row.get::<_, u64>(1)?, row.get::<_, Vec<u8>>(2)?);
        if let Some(problem) = wrong(&key, revision, &value, checked.revision)
            && checked.problems.len() < PROBLEMS_MAX
        {
            checked.problems.push(format!("`{key}` {problem}"));
        }
        let kind = match parse(&key) {
            Some(key) => key.kind.plural().to_owned(),
            None => key.split('/').take(3).collect::<Vec<_>>().join(" ").trim().to_owned(),
        };
        *checked.objects.entry(kind).or_default() += 1;
    }
    Ok(())
}

/// What is wrong with an entry, whatever its kind.
fn wrong(key: &str, revision: u64, value: &[u8], last: u64) -> Option<String> {
    if revision > last {
        return Some(format!("has revision {revision}, and the store's last one is {last}"));
    }
    match serde_json::from_slice::<Value>(value) {
        Err(error) => Some(format!("holds no JSON: {error}")),
        Ok(object) => {
            let name = object["metadata"]["name"].as_str().unwrap_or_default().to_owned();
            let is_so = parse(key).is_none_or(|key| key.name == name);
            (!is_so).then(|| format!("holds an object that is called `{name}`"))
        }
    }
}

/// Copies the store of a root, as it is at one moment, into a file; somebody may work with it meanwhile.
/// Under the name of the file there is a whole copy, or what was there before.
///
/// # Errors
/// Then nothing was changed.
pub fn backup(root: &Path, to: &Path, force: bool) -> Result<(), Error> {
    let from = open(&file(root))?;
    if !force && to.exists() {
        return Err(Error::Exists { path: to.to_path_buf() });
    }
    let part = copy(&from, to)?;
    place(&part, to)
}

/// Puts a backup in the place of a root's store, of which nobody may make use meanwhile. What stood there
/// is kept beside it, with the ending `.old`.
///
/// # Errors
/// Then the store is as it was.
pub fn restore(root: &Path, from: &Path, force: bool) -> Result<Checked, Error> {
    let to = file(root);
    let checked = check(from)?;
    if checked.version > schema::VERSION {
        return Err(Error::Newer(schema::newer(from, checked.version)));
    }
    if let Some(found) = checked.problems.first() {
        return Err(Error::NotWhole { path: from.to_path_buf(), found: found.clone() });
    }
    if !force && to.exists() {
        return Err(Error::Exists { path: to });
    }
    let part = copy(&open(from)?, &to)?;
    if to.exists() {
        set_aside(&to).map_err(|source| Error::Place { path: to.clone(), source })?;
    }
    place(&part, &to)?;
    Ok(checked)
}

/// Keeps a store under another name. Its log goes with it: it must not be taken for that of another file.
fn set_aside(store: &Path) -> io::Result<()> {
    for ending in ["-shm", "-wal", ""] {
        let old = with(store, &format!(".old{ending}"));
        match fs::remove_file(&old) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
        let now = with(store, ending);
        match ending {
            // Until the new one is in its place, there is no moment without a store.
            "" => fs::hard_link(&now, &old)?,
            _ if now.exists() => fs::rename(&now, &old)?,
            _ => {}
        }
    }
    Ok(())
}

fn open(path: &Path) -> Result<Connection, Error> {
    if !path.exists() {
        return Err(Error::Absent { path: path.to_path_buf() });
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let opened = Connection::open_with_flags(path, flags).and_then(|connection| {
        connection.busy_timeout(BUSY)?;
        Ok(connection)
    });
    opened.map_err(|source| Error::Read { path: path.to_path_buf(), source })
}

/// Copies all that is committed next to where it is to be, and syncs it.
fn copy(from: &Connection, to: &Path) -> Result<PathBuf, Error> {
    let part = with(to, ".part");
    let placed = |source| Error::Place { path: part.clone(), source };
    match fs::remove_file(&part) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(placed(error)),
        Ok(()) | Err(_) => {}
    }
    schema::make_private(&part);
    let copied = from.execute("VACUUM INTO ?1", [part.to_string_lossy()]);
    let copied = copied.map_err(|source| Error::Copy { path: part.clone(), source });
    let synced = copied.and_then(|_| File::open(&part).and_then(|f| f.sync_all()).map_err(placed));
    if synced.is_err() {
        // It says itself that it is no whole one.
        let _ = fs::remove_file(&part);
    }
    synced.map(|()| part)
}

fn place(part: &Path, to: &Path) -> Result<(), Error> {
    let placed = fs::rename(part, to).and_then(|()| {
        let dir = to.parent().filter(|dir| !dir.as_os_str().is_empty());
        File::open(dir.unwrap_or_else(|| Path::new(".")))?.sync_all()
    });
    placed.map_err(|source| Error::Place { path: to.to_path_buf(), source })
}

fn with(path: &Path, ending: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(ending);
    name.into()
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::batch::v1::Job;

    use super::*;
    use crate::store::Store;

    async fn create(store: &Store, name: &str) {
        let job = serde_json::json!({"metadata": {"namespace": "default", "name": name}});
        let mut txn = store.txn();
        txn.create(&serde_json::from_value::<Job>(job).unwrap());
        txn.commit().await.unwrap();
    }

    async fn names(store: &Store) -> Vec<String> {
        let (jobs, _) = store.list::<Job>(None).await.unwrap();
        jobs.into_iter().filter_map(|job| job.metadata.name).collect()
    }

    #[tokio::test]
    async fn a_backup_is_of_the_moment_although_somebody_works_with_the_store() {
        let dir = tempfile::tempdir().unwrap();
        let copy = dir.path().join("copy");
        let store = Store::open(dir.path()).unwrap();
        create(&store, "a").await;
        backup(dir.path(), &copy, false).unwrap();
        create(&store, "b").await;
        let refused = backup(dir.path(), &copy, false).unwrap_err().to_string();
        assert!(refused.ends_with("exists already; to replace it, say `--force`"), "{refused}");
        assert_eq!(check(&copy).unwrap().objects, [("jobs".to_owned(), 1)].into());
        backup(dir.path(), &copy, true).unwrap();
        let checked = check(&copy).unwrap();
        assert_eq!((checked.revision, checked.problems), (2, Vec::<String>::new()));
        assert_eq!(check(&file(dir.path())).unwrap().objects, checked.objects);
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(fs::metadata(&copy).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[tokio::test]
    async fn backups_that_are_made_while_it_is_written_are_whole() {
        let dir = tempfile::tempdir().unwrap();
        let (copy, root) = (dir.path().join("copy"), dir.path().to_owned());
        let store = Store::open(dir.path()).unwrap();
        create(&store, "first").await;
        let copying = std::thread::spawn(move || {
            for _ in 0..20 {
                backup(&root, &copy, true).unwrap();
                let checked = check(&copy).unwrap();
                assert_eq!(checked.problems, Vec::<String>::new());
                assert_eq!(checked.objects["jobs"], checked.revision, "all up to a revision");
            }
        });
        let mut number = 0;
        while !copying.is_finished() {
            create(&store, &format!("j{number}")).await;
            number += 1;
        }
        copying.join().unwrap();
    }

    #[tokio::test]
    async fn a_restore_keeps_what_it_replaces() {
        let dir = tempfile::tempdir().unwrap();
        let copy = dir.path().join("copy");
        create(&Store::open(dir.path()).unwrap(), "a").await;
        backup(dir.path(), &copy, false).unwrap();
        create(&Store::open(dir.path()).unwrap(), "b").await;
        assert!(matches!(restore(dir.path(), &copy, false), Err(Error::Exists { .. })));
        assert_eq!(names(&Store::open(dir.path()).unwrap()).await, ["a", "b"]);
        assert_eq!(restore(dir.path(), &copy, true).unwrap().revision, 1);
        assert_eq!(names(&Store::open(dir.path()).unwrap()).await, ["a"]);
        let old = check(&dir.path().join("store.db.old")).unwrap();
        assert_eq!((old.revision, old.problems.len()), (2, 0));
        let other = tempfile::tempdir().unwrap();
        restore(other.path(), &copy, false).unwrap();
        assert_eq!(names(&Store::open(other.path()).unwrap()).await, ["a"]);
    }

    #[tokio::test]
    async fn what_a_store_that_was_killed_has_in_its_log_is_not_taken_for_that_of_another() {
        let dir = tempfile::tempdir().unwrap();
        let killed = tempfile::tempdir().unwrap();
        let copy = dir.path().join("copy");
        let store = Store::open(dir.path()).unwrap();
        create(&store, "a").await;
        backup(dir.path(), &copy, false).unwrap();
        create(&store, "b").await;
        for name in ["store.db", "store.db-wal"] {
            fs::copy(dir.path().join(name), killed.path().join(name)).unwrap();
        }
        restore(killed.path(), &copy, true).unwrap();
        assert_eq!(names(&Store::open(killed.path()).unwrap()).await, ["a"]);
        let old = check(&killed.path().join("store.db.old")).unwrap();
        assert_eq!(old.objects["jobs"], 2, "with its log");
    }

    #[tokio::test]
    async fn what_is_no_whole_store_replaces_none() {
        let dir = tempfile::tempdir().unwrap();
        create(&Store::open(dir.path()).unwrap(), "a").await;
        let wrong = dir.path().join("wrong");
        let absent = restore(dir.path(), &wrong, true).unwrap_err().to_string();
        assert!(absent.starts_with("there is no store at"), "{absent}");
        fs::write(&wrong, "Lorem ipsum dolor sit amet".repeat(1000)).unwrap();
        let refused = restore(dir.path(), &wrong, true).unwrap_err().to_string();
        assert!(refused.contains("is no whole store of kiln"), "{refused}");
        fs::write(&wrong, "").unwrap();
        let empty = restore(dir.path(), &wrong, true).unwrap_err().to_string();
        assert!(empty.contains("its version is 0"), "{empty}");
        fs::copy(dir.path().join("store.db"), &wrong).unwrap();
        let connection = Connection::open(&wrong).unwrap();
        connection.pragma_update(None, "user_version", 99).unwrap();
        drop(connection);
        let newer = restore(dir.path(), &wrong, true).unwrap_err().to_string();
        assert!(newer.contains("use a newer kiln"), "{newer}");
        assert_eq!(names(&Store::open(dir.path()).unwrap()).await, ["a"]);
    }

    #[tokio::test]
    async fn what_is_wrong_with_an_object_is_told() {
        let dir = tempfile::tempdir().unwrap();
        create(&Store::open(dir.path()).unwrap(), "a").await;
        let connection = Connection::open(file(dir.path())).unwrap();
        let change =
            "INSERT INTO entries VALUES ('/registry/jobs/default/b', 1, CAST('{' AS BLOB)),
            ('/registry/jobs/default/c', 1, CAST('{}' AS BLOB)),
            ('/registry/jobs/default/d', 9, CAST('{\"metadata\": {\"name\": \"d\"}}' AS BLOB))";
        connection.execute_batch(change).unwrap();
        let problems = check(&file(dir.path())).unwrap().problems;
        assert_eq!(problems.len(), 3, "{problems:?}");
        assert!(problems[0].starts_with("`/registry/jobs/default/b` holds no JSON"));
        assert!(problems[1].contains("holds an object that is called ``"));
        assert!(problems[2].contains("has revision 9, and the store's last one is 1"));
    }
}
