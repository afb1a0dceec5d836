//! A disk that can be cut off: what SQLite writes is on it for certain only once it was synced.
//!
//! Owns: what would be on the disk after a loss of power, and that writes fail when they are told to. Must
//! not know: what is written.
//!
//! SQLite's own way to files stays in use; its writes, truncations and syncs are written down on their way.
//! It is put in as SQLite's default, for directories that have a [`Disk`]; others are left alone.
#![expect(unsafe_code, reason = "SQLite takes functions of C only")]

use std::collections::{BTreeMap, HashMap};
use std::ffi::{CStr, c_char, c_int, c_void};
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, Once, PoisonError};

use rusqlite::ffi::{
    SQLITE_FULL, SQLITE_IOERR_DELETE, SQLITE_IOERR_FSYNC, SQLITE_IOERR_TRUNCATE,
    SQLITE_IOERR_WRITE, SQLITE_OK, sqlite3_file, sqlite3_io_methods, sqlite3_vfs, sqlite3_vfs_find,
    sqlite3_vfs_register,
};

use crate::dice::Dice;

/// What a disk writes as a whole, or not at all.
const SECTOR: usize = 512;

#[derive(Debug, Clone)]
enum Change {
    Write(usize, Vec<u8>),
    Truncate(usize),
}

#[derive(Debug, Default)]
struct Content {
    synced: Vec<u8>,
    since: Vec<Change>,
    /// As whoever reads it sees it.
    length: usize,
}

impl Content {
    fn apply(bytes: &mut Vec<u8>, change: &Change) {
        match change {
            Change::Write(at, data) => {
                bytes.resize(bytes.len().max(at + data.len()), 0);
                bytes[*at..at + data.len()].copy_from_slice(data);
            }
            Change::Truncate(length) => bytes.resize(*length, 0),
        }
    }
}

#[derive(Debug, Default)]
struct Inner {
    files: BTreeMap<String, Content>,
    writes: u64,
    dies_at: Option<u64>,
    is_dead: bool,
    is_full: bool,
    /// Whether a sync does nothing.
    lies: bool,
}

/// One directory's.
#[derive(Debug, Clone, Default)]
pub(crate) struct Disk(Arc<Mutex<Inner>>);

impl Disk {
    /// The disk of a directory, with files that are in it already. `lies`: a sync does nothing.
    pub(crate) fn new(dir: &Path, lies: bool) -> Self {
        install();
        let disk = Self::default();
        disk.inner().lies = lies;
        for entry in std::fs::read_dir(dir).unwrap() {
            let entry = entry.unwrap();
            let synced = std::fs::read(entry.path()).unwrap();
            let content = Content { length: synced.len(), synced, since: Vec::new() };
            disk.inner().files.insert(entry.file_name().into_string().unwrap(), content);
        }
        state().disks.insert(dir.to_owned(), disk.clone());
        disk
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// After so many writes from now all fail.
    pub(crate) fn die_after(&self, writes: u64) {
        let mut inner = self.inner();
        inner.dies_at = Some(inner.writes + writes);
    }

    pub(crate) fn is_dead(&self) -> bool {
        self.inner().is_dead
    }

    /// From now on no file grows; or they do again.
    pub(crate) fn set_full(&self, full: bool) {
        self.inner().is_full = full;
    }

    /// What is there after the process was killed.
    pub(crate) fn after_kill(&self) -> BTreeMap<String, Vec<u8>> {
        let inner = self.inner();
        let now = inner.files.iter().map(|(name, content)| {
            let mut bytes = content.synced.clone();
            content.since.iter().for_each(|change| Content::apply(&mut bytes, change));
            (name.clone(), bytes)
        });
        now.collect()
    }

    /// What is there after a loss of power: of what was not synced any part, and one write torn.
    pub(crate) fn after_power_loss(&self, dice: &mut Dice) -> BTreeMap<String, Vec<u8>> {
        let inner = self.inner();
        let now = inner.files.iter().map(|(name, content)| {
            let mut bytes = content.synced.clone();
            let torn = dice.below(content.since.len() as u64 + 1);
            for (number, change) in (0..).zip(&content.since) {
                match change {
                    Change::Write(at, data) if number == torn => {
                        for sector in (0..data.len()).step_by(SECTOR) {
                            let part = &data[sector..data.len().min(sector + SECTOR)];
                            if dice.below(2) == 0 {
                                let part = Change::Write(at + sector, part.to_vec());
                                Content::apply(&mut bytes, &part);
                            }
                        }
                    }
                    change if dice.below(2) == 0 => Content::apply(&mut bytes, change),
                    Change::Write(..) | Change::Truncate(_) => {}
                }
            }
            (name.clone(), bytes)
        });
        now.collect()
    }

    /// Nobody writes there any more.
    pub(crate) fn forget(dir: &Path) {
        state().disks.remove(dir);
    }

    /// Whether something may be written; what SQLite is told otherwise.
    fn write(&self, name: &str, change: Change) -> Result<(), c_int> {
        let mut inner = self.inner();
        let failure = match change {
            Change::Write(..) => SQLITE_IOERR_WRITE,
            Change::Truncate(_) => SQLITE_IOERR_TRUNCATE,
        };
        if inner.is_dead {
            return Err(failure);
        }
        let is_full = inner.is_full;
        let length = inner.files.entry(name.to_owned()).or_default().length;
        if let Change::Write(at, data) = &change
            && is_full
            && at + data.len() > length
        {
            return Err(SQLITE_FULL);
        }
        inner.writes += 1;
        if inner.dies_at == Some(inner.writes) {
            inner.is_dead = true;
            return Err(failure);
        }
        let content = inner.files.entry(name.to_owned()).or_default();
        content.length = match &change {
            Change::Write(at, data) => length.max(at + data.len()),
            Change::Truncate(to) => *to,
        };
        content.since.push(change);
        Ok(())
    }

    fn sync(&self, name: &str) -> c_int {
        let mut inner = self.inner();
        if inner.is_dead {
            return SQLITE_IOERR_FSYNC;
        }
        if !inner.lies
            && let Some(content) = inner.files.get_mut(name)
        {
            for change in std::mem::take(&mut content.since) {
                Content::apply(&mut content.synced, &change);
            }
        }
        SQLITE_OK
    }

    fn delete(&self, name: &str) -> c_int {
        let mut inner = self.inner();
        if inner.is_dead {
            return SQLITE_IOERR_DELETE;
        }
        inner.files.remove(name);
        SQLITE_OK
    }
}

/// A file that is open: whose it is, its name, and what SQLite does with files.
#[derive(Clone)]
struct Open {
    disk: Disk,
    name: String,
    original: Methods,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Methods(*const sqlite3_io_methods);

// SAFETY: the tables of methods live as long as the process, and nobody changes them.
unsafe impl Send for Methods {}

#[derive(Default)]
struct State {
    disks: HashMap<PathBuf, Disk>,
    /// By the address of SQLite's own record of the file.
    open: HashMap<usize, Open>,
    tables: HashMap<Methods, Methods>,
}

static STATE: LazyLock<Mutex<State>> = LazyLock::new(Mutex::default);

fn state() -> MutexGuard<'static, State> {
    STATE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn opened(file: *mut sqlite3_file) -> Open {
    state().open.get(&(file as usize)).cloned().expect("it was opened here")
}

struct Real(*mut sqlite3_vfs);
// SAFETY: SQLite's own, which lives as long as the process.
unsafe impl Send for Real {}
// SAFETY: as above; it is only read.
unsafe impl Sync for Real {}

static REAL: LazyLock<Real> = LazyLock::new(|| {
    // SAFETY: a null name asks for the default one.
    Real(unsafe { sqlite3_vfs_find(std::ptr::null()) })
});

fn install() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let real = REAL.0;
        // SAFETY: SQLite's default file system is there, and is a plain record.
        let mut own = unsafe { *real };
        own.zName = c"disk".as_ptr();
        own.pNext = std::ptr::null_mut();
        own.xOpen = Some(open);
        own.xDelete = Some(delete);
        // SAFETY: it is never freed.
        let code = unsafe { sqlite3_vfs_register(Box::leak(Box::new(own)), 1) };
        assert_eq!(code, SQLITE_OK);
    });
}

/// The disk that a path is on, and the name of the file.
unsafe fn place(name: *const c_char) -> Option<(Disk, String)> {
    if name.is_null() {
        return None;
    }
    // SAFETY: SQLite ends its names with a zero.
    let path = PathBuf::from(unsafe { CStr::from_ptr(name) }.to_str().ok()?);
    let disk = state().disks.get(path.parent()?)?.clone();
    Some((disk, path.file_name()?.to_str()?.to_owned()))
}

unsafe extern "C" fn open(
    vfs: *mut sqlite3_vfs,
    name: *const c_char,
    file: *mut sqlite3_file,
    flags: c_int,
    out: *mut c_int,
) -> c_int {
    // SAFETY: what SQLite hands over is handed on as it is; the record of a file that was opened has
    // methods.
    unsafe {
        let code = (*REAL.0).xOpen.expect("it opens")(vfs, name, file, flags, out);
        if code != SQLITE_OK || (*file).pMethods.is_null() {
            return code;
        }
        let Some((disk, name)) = place(name) else { return code };
        let original = Methods((*file).pMethods);
        let mut state = state();
        let own = *state.tables.entry(original).or_insert_with(|| {
            let mut own = *original.0;
            own.xWrite = Some(write);
            own.xTruncate = Some(truncate);
            own.xSync = Some(sync);
            own.xClose = Some(close);
            Methods(Box::leak(Box::new(own)))
        });
        (*file).pMethods = own.0;
        state.open.insert(file as usize, Open { disk, name, original });
        code
    }
}

unsafe extern "C" fn delete(vfs: *mut sqlite3_vfs, name: *const c_char, sync: c_int) -> c_int {
    // SAFETY: as for `open`.
    unsafe {
        if let Some((disk, name)) = place(name) {
            let code = disk.delete(&name);
            if code != SQLITE_OK {
                return code;
            }
        }
        (*REAL.0).xDelete.expect("it deletes")(vfs, name, sync)
    }
}

unsafe extern "C" fn write(
    file: *mut sqlite3_file,
    data: *const c_void,
    length: c_int,
    at: i64,
) -> c_int {
    let open = opened(file);
    let (size, place) = (usize::try_from(length).unwrap(), usize::try_from(at).unwrap());
    // SAFETY: SQLite says how much there is, and its own method is called as it was meant to be.
    unsafe {
        let bytes = std::slice::from_raw_parts(data.cast::<u8>(), size).to_vec();
        match open.disk.write(&open.name, Change::Write(place, bytes)) {
            Err(code) => code,
            Ok(()) => (*open.original.0).xWrite.expect("it writes")(file, data, length, at),
        }
    }
}

unsafe extern "C" fn truncate(file: *mut sqlite3_file, size: i64) -> c_int {
    let open = opened(file);
    let length = usize::try_from(size).unwrap();
    match open.disk.write(&open.name, Change::Truncate(length)) {
        Err(code) => code,
        // SAFETY: SQLite's own method is called as it was meant to be.
        Ok(()) => unsafe { (*open.original.0).xTruncate.expect("it cuts")(file, size) },
    }
}

unsafe extern "C" fn sync(file: *mut sqlite3_file, _: c_int) -> c_int {
    let open = opened(file);
    open.disk.sync(&open.name)
}

unsafe extern "C" fn close(file: *mut sqlite3_file) -> c_int {
    let open = state().open.remove(&(file as usize)).expect("it was opened here");
    // SAFETY: SQLite's own method is called as it was meant to be.
    unsafe { (*open.original.0).xClose.expect("it closes")(file) }
}
