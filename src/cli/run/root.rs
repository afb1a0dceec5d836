//! The directory of one `kiln run`.
//!
//! Owns: making it, removing it, and finding those of runs that were killed. Must not know: what is in it.
//!
//! A run holds a lock in its directory for as long as it lives, so that a directory without one is what a
//! killed run has left.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use tracing::debug;

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
        let _door = match door(&runs) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            door => door?,
        };
        let mut found = Vec::new();
        for entry in fs::read_dir(&runs)?.flatten() {
            let path = entry.path();
            if !path.is_dir() {
                continue;
            }
            match File::options().write(true).open(path.join(LOCK)) {
                Ok(lock) => {
                    if lock.try_lock().is_ok() {
                        found.push(Self { path, _lock: lock });
                    }
                }
                // Behind the door a directory has its lock: whoever made or removed this one was killed
                // in between, and there is nothing in it.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    let _ = fs::remove_dir(&path);
                }
                // One that cannot be looked at does not hide the others.
                Err(error) => debug!(%error, path = %path.display(), "cannot open the lock"),
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
    ///
    /// The lock goes last, and behind the door: the directory is never seen without it, and a removal that
    /// is killed leaves an abandoned one. What takes long is done before, and keeps nobody waiting.
    pub(super) fn remove(self) -> io::Result<()> {
        for entry in fs::read_dir(&self.path)? {
            let entry = entry?;
            if entry.file_name() == LOCK {
                continue;
            }
            if entry.file_type()?.is_dir() {
                fs::remove_dir_all(entry.path())?;
            } else {
                fs::remove_file(entry.path())?;
            }
        }
        let Some(runs) = self.path.parent() else { return fs::remove_dir_all(&self.path) };
        let _door = door(runs)?;
        fs::remove_dir_all(&self.path)?;
        if fs::read_dir(runs)?.flatten().all(|entry| entry.file_name() == DOOR) {
            fs::remove_file(runs.join(DOOR))?;
            match fs::remove_dir(runs) {
                // Somebody has just come by and made a new door.
                Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => return Ok(()),
                removed => removed?,
            }
            // Where nothing else is below the root, it was made for the runs.
            let _ = runs.parent().map(fs::remove_dir);
        }
        Ok(())
    }
}

fn runs(base: &Path) -> PathBuf {
    base.join("runs")
}

fn door(runs: &Path) -> io::Result<File> {
    let path = runs.join(DOOR);
    loop {
        let door = File::create(&path)?;
        door.lock()?;
        let held = door.metadata()?;
        // The last run may have taken it away while this one waited: then it keeps nobody out.
        if fs::metadata(&path).is_ok_and(|now| (now.dev(), now.ino()) == (held.dev(), held.ino())) {
            return Ok(door);
        }
    }
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
    #[test]
    fn a_run_that_is_being_removed_is_not_abandoned_until_it_is_killed() {
        let base = tempfile::tempdir().unwrap();
        let run = Root::claim(base.path()).unwrap();
        let path = run.path().to_owned();
        for number in 0..2000 {
            fs::write(path.join(number.to_string()), "").unwrap();
        }
        std::thread::scope(|scope| {
            let removal = scope.spawn(|| run.remove());
            while !removal.is_finished() {
                assert_eq!(Root::abandoned(base.path()).unwrap().len(), 0);
            }
            removal.join().unwrap().unwrap();
        });
        assert!(!path.exists());

        let killed = Root::claim(base.path()).unwrap();
        let other = runs(base.path()).join("0-0");
        drop(killed);
        fs::create_dir(&other).unwrap();
        assert_eq!(Root::abandoned(base.path()).unwrap().len(), 1);
        assert!(!other.exists(), "nothing else would take it away");
    }

    #[test]
    fn a_directory_that_cannot_be_looked_at_does_not_hide_the_others() {
        let base = tempfile::tempdir().unwrap();
        drop(Root::claim(base.path()).unwrap());
        // Not even root can write to it.
        fs::create_dir_all(runs(base.path()).join("0-0").join(LOCK)).unwrap();
        assert_eq!(Root::abandoned(base.path()).unwrap().len(), 1);
    }
}
