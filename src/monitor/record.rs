//! The exit record: how a container ended, on disk before anybody can forget it.
//!
//! Owns: the file `exit.json` in the state directory of one container instance.
//! Must not know: how the end was learnt.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// The file's name in the state directory.
pub const FILE: &str = "exit.json";

/// How a container ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExitRecord {
    /// 0-255; 128 + n for signal n.
    pub code: u8,
    /// When, in seconds since 1970 (UTC), and nanoseconds below a second.
    pub seconds: i64,
    pub nanos: u32,
    /// Whether the kernel killed a process of the container for want of memory.
    pub oom_killed: bool,
}

/// Room for the longest record; the rest is filled with spaces.
const SIZE: usize = 160;

impl ExitRecord {
    /// Reads the record in a state directory. `None` when there is none, or none that makes sense.
    pub fn read(dir: &Path) -> io::Result<Option<ExitRecord>> {
        match fs::read(dir.join(FILE)) {
            Ok(bytes) => Ok(std::str::from_utf8(&bytes).ok().and_then(ExitRecord::parse)),
            Err(e)
                if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) =>
            {
                Ok(None)
            }
            Err(e) => Err(e),
        }
    }

    fn render(self) -> String {
        let ExitRecord { code, seconds, nanos, oom_killed } = self;
        format!(
            r#"{{"exitCode":{code},"exitedAt":{{"seconds":{seconds},"nanos":{nanos}}},"oomKilled":{oom_killed}}}"#
        )
    }

    /// Reads exactly what [`ExitRecord::render`] writes: anything else was torn or is not ours.
    fn parse(text: &str) -> Option<ExitRecord> {
        let rest = text.trim_ascii_end().strip_prefix(r#"{"exitCode":"#)?;
        let (code, rest) = rest.split_once(r#","exitedAt":{"seconds":"#)?;
        let (seconds, rest) = rest.split_once(r#","nanos":"#)?;
        let (nanos, rest) = rest.split_once(r#"},"oomKilled":"#)?;
        Some(ExitRecord {
            code: code.parse().ok()?,
            seconds: seconds.parse().ok()?,
            nanos: nanos.parse().ok().filter(|&nanos| nanos < 1_000_000_000)?,
            oom_killed: rest.strip_suffix('}')?.parse().ok()?,
        })
    }
}

/// A record that can be written even when the disk has filled up since: its room is taken at once.
#[derive(Debug)]
pub(super) struct Reserved {
    dir: PathBuf,
    file: Option<File>,
}

impl Reserved {
    pub(super) fn new(dir: &Path) -> Reserved {
        let mut reserved = Reserved { dir: dir.to_owned(), file: None };
        // Not now is no harm: it is tried again when there is something to write.
        let _ = reserved.take_room();
        reserved
    }

    fn tmp(&self) -> PathBuf {
        self.dir.join(".exit.json.tmp")
    }

    fn take_room(&mut self) -> io::Result<&File> {
        let file = match self.file.take() {
            Some(file) => file,
            None => {
                let mut file = File::create(self.tmp())?;
                file.write_all(&[b' '; SIZE])?;
                file
            }
        };
        Ok(self.file.insert(file))
    }

    /// Puts the record in its place, durably. Done twice is done once.
    pub(super) fn write(&mut self, record: ExitRecord) -> io::Result<()> {
        use std::os::unix::fs::FileExt;

        let line = format!("{:<width$}\n", record.render(), width = SIZE - 1);
        let tmp = self.tmp();
        let file = self.take_room()?;
        let renamed = file
            .write_all_at(line.as_bytes(), 0)
            .and_then(|()| file.sync_all())
            .and_then(|()| fs::rename(tmp, self.dir.join(FILE)));
        if let Err(e) = renamed {
            // Begin with a new file next time: this one may have been deleted under us.
            self.file = None;
            return Err(e);
        }
        File::open(&self.dir)?.sync_all()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RECORD: ExitRecord =
        ExitRecord { code: 143, seconds: 1_795_525_443, nanos: 7, oom_killed: true };

    #[test]
    fn a_record_is_read_as_it_was_written() {
        let dir = tempfile::tempdir().unwrap();
        let mut reserved = Reserved::new(dir.path());
        assert_eq!(ExitRecord::read(dir.path()).unwrap(), None);
        reserved.write(RECORD).unwrap();
        assert_eq!(ExitRecord::read(dir.path()).unwrap(), Some(RECORD));
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "nothing else is left");
    }

    #[test]
    fn the_longest_record_fits_the_room_taken_for_it() {
        let longest =
            ExitRecord { code: 255, seconds: i64::MIN, nanos: 999_999_999, oom_killed: false };
        assert!(longest.render().len() < SIZE);
    }

    #[test]
    fn a_torn_record_is_no_record() {
        let dir = tempfile::tempdir().unwrap();
        let whole = RECORD.render();
        for end in 0..whole.len() {
            fs::write(dir.path().join(FILE), &whole[..end]).unwrap();
            assert_eq!(ExitRecord::read(dir.path()).unwrap(), None, "{}", &whole[..end]);
        }
        fs::write(dir.path().join(FILE), [0xff; 4096]).unwrap();
        assert_eq!(ExitRecord::read(dir.path()).unwrap(), None);
    }

    #[test]
    fn a_state_directory_that_is_gone_is_not_made_again() {
        let dir = tempfile::tempdir().unwrap();
        let gone = dir.path().join("gone");
        fs::create_dir(&gone).unwrap();
        let mut reserved = Reserved::new(&gone);
        fs::remove_dir_all(&gone).unwrap();
        assert!(reserved.write(RECORD).is_err());
        assert!(!gone.exists());
        assert_eq!(ExitRecord::read(&gone).unwrap(), None);
    }

    #[test]
    fn a_record_is_written_again_after_its_room_was_deleted() {
        let dir = tempfile::tempdir().unwrap();
        let mut reserved = Reserved::new(dir.path());
        fs::remove_file(reserved.tmp()).unwrap();
        assert!(reserved.write(RECORD).is_err());
        reserved.write(RECORD).unwrap();
        assert_eq!(ExitRecord::read(dir.path()).unwrap(), Some(RECORD));
    }
}
