//! The directory of one `kiln run`.
//!
//! Owns: making it, removing it, and finding those of runs that were killed. Must not know: what is in it.
//!
//! A run holds a lock in its directory for as long as it lives, so that a directory without one is what a
//! killed run has left.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

/// How often a directory that was taken away meanwhile is made again.
const TRIES: u32 = 10;

/// Held while directories are made and looked through.
const DOOR: &str = ".lock";
/// Held by the run whose directory it is in.
const LOCK: &str = "lock";
/// Which containerd the run works with, for whoever clears up after it.
const CONTAINERD: &str = "containerd-address";

/// A directory that nobody else has.
#[derive(Debug)]
pub(super) struct Root {
    path: PathBuf,
    /// Locked until it is dropped.
    _lock: File,
}

impl Root {
    /// Makes a new one below `base`.
    pub(super) fn claim(base: &Path) -> io::Result<Self> {
        let runs = runs(base);
        for _ in 1..TRIES {
            match Self::try_claim(&runs) {
                // The last run has just taken the directory of all runs away.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                claimed => return claimed,
            }
        }
        Self::try_claim(&runs)
    }

    fn try_claim(runs: &Path) -> io::Result<Self> {
        fs::create_dir_all(runs)?;
        let _door = door(runs)?;
        let mut n = 0_u32;
        let path = loop {
            let path = runs.join(format!("{}-{n}", std::process::id()));
            match fs::create_dir(&path) {
                // A run of the same process, or one that was killed.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => n += 1,
                made => break made.map(|()| path)?,
            }
        };
        let lock = File::create(path.join(LOCK))?;
        lock.lock()?;
        Ok(Self { path, _lock: lock })
    }

    /// Those of runs that were killed. They are the caller's now.
    pub(super) fn abandoned(base: &Path) -> io::Result<Vec<Self>> {
        let runs = runs(base);
        if !runs.exists() {
            return Ok(Vec::new());
        }
        let _door = door(&runs)?;
        let mut found = Vec::new();
        for entry in fs::read_dir(&runs)? {
            let path = entry?.path();
            if !path.is_dir() {
                continue;
            }
            let lock = File::create(path.join(LOCK))?;
            if lock.try_lock().is_ok() {
                found.push(Self { path, _lock: lock });
            }
        }
        Ok(found)
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Notes which containerd the run works with.
    pub(super) fn note_containerd(&self, address: &str) -> io::Result<()> {
        fs::write(self.path.join(CONTAINERD), address)
    }

    /// What was noted. `None`: the run did not get so far.
    pub(super) fn containerd(&self) -> Option<String> {
        fs::read_to_string(self.path.join(CONTAINERD)).ok()
    }

    /// Removes it with everything in it, and the directory of all runs if it is the last.
    pub(super) fn remove(self) -> io::Result<()> {
        let runs = self.path.parent().map(Path::to_owned);
        fs::remove_dir_all(&self.path)?;
        if let Some(runs) = runs {
            let _door = door(&runs)?;
            let last = fs::read_dir(&runs)?.flatten().all(|entry| entry.file_name() == DOOR);
            if last {
                fs::remove_dir_all(&runs)?;
                // Where nothing else is below the root, it was made for the runs.
                let _ = runs.parent().map(fs::remove_dir);
            }
        }
        Ok(())
    }
}

fn runs(base: &Path) -> PathBuf {
    base.join("runs")
}

fn door(runs: &Path) -> io::Result<File> {
    let door = File::create(runs.join(DOOR))?;
    door.lock()?;
    Ok(door)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_that_lives_is_not_abandoned() {
        let base = tempfile::tempdir().unwrap();
        let (one, two) = (Root::claim(base.path()).unwrap(), Root::claim(base.path()).unwrap());
        assert_ne!(one.path(), two.path());
        assert_eq!(Root::abandoned(base.path()).unwrap().len(), 0);

        one.note_containerd("managed").unwrap();
        let path = one.path().to_owned();
        drop(one);
        let found = Root::abandoned(base.path()).unwrap();
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].path(), found[0].containerd().as_deref()), (&*path, Some("managed")));
        // What was found is nobody else's.
        assert_eq!(Root::abandoned(base.path()).unwrap().len(), 0);
    }

    #[test]
    fn the_last_run_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let base = dir.path().join("kiln");
        let (one, two) = (Root::claim(&base).unwrap(), Root::claim(&base).unwrap());
        one.remove().unwrap();
        assert!(two.path().exists());
        two.remove().unwrap();
        assert!(!base.exists());
        assert_eq!(Root::abandoned(&base).unwrap().len(), 0);
    }
}
