//! The log file of one container: appended to, rotated, and kept through whatever a disk does.
//!
//! Owns: the current file, its rotated ones, and the count of lines that could not be written.
//! Must not know: pipes, the shim, what the lines say.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

use super::cri::{self, Stamp, Stream};
use super::{Options, now};

/// The rotated files of a log, oldest first: `<log>.<yyyymmdd>-<hhmmss>.<nanoseconds>`.
pub fn rotated(log_path: &Path) -> io::Result<Vec<PathBuf>> {
    let (Some(dir), Some(name)) = (log_path.parent(), log_path.file_name()) else {
        return Ok(Vec::new());
    };
    let mut files = Vec::new();
    for entry in fs::read_dir(dir)? {
        let file = entry?.file_name();
        let suffix = file.as_encoded_bytes().strip_prefix(name.as_encoded_bytes());
        if let Some([b'.', time @ ..]) = suffix
            && !time.is_empty()
            && time.iter().all(|byte| byte.is_ascii_digit() || matches!(byte, b'-' | b'.'))
        {
            files.push(dir.join(file));
        }
    }
    files.sort_unstable();
    Ok(files)
}

/// The log that a monitor writes. Nothing that it does fails: what cannot be written is counted,
/// and told in the log as soon as there is room again.
#[derive(Debug)]
pub(super) struct Log<'a> {
    options: &'a Options,
    open: Option<Open>,
    lost: Lost,
    /// Files rotated since the last sync.
    unsynced: Vec<PathBuf>,
    /// When the log was last rotated: names of rotated files never go back.
    rotated_at: (i64, u32),
}

#[derive(Debug)]
struct Open {
    file: File,
    device: u64,
    inode: u64,
    dirty: bool,
}

#[derive(Debug, Default)]
struct Lost {
    lines: u64,
    why: String,
}

impl<'a> Log<'a> {
    pub(super) fn open(options: &'a Options) -> Log<'a> {
        let (lost, unsynced, rotated_at) = (Lost::default(), Vec::new(), (0, 0));
        let mut log = Log { options, open: None, lost, unsynced, rotated_at };
        // A failure is met again, and counted, with the first lines.
        let _ = log.reopen();
        log
    }

    /// Appends whole lines.
    pub(super) fn write(&mut self, lines: &[u8]) {
        if lines.is_empty() {
            return;
        }
        self.tell_what_was_lost();
        if self.lost.lines > 0 {
            self.lost.lines += count(lines);
        } else if let Err((written, e)) = self.append(lines) {
            self.lost = Lost { lines: count(&lines[written..]), why: e.to_string() };
        }
    }

    /// Whether there is something to tell that could not be told yet.
    pub(super) fn has_lost(&self) -> bool {
        self.lost.lines > 0
    }

    /// Puts a line of kiln's own in the place of the lines that are missing.
    pub(super) fn tell_what_was_lost(&mut self) {
        if self.lost.lines == 0 {
            return;
        }
        let Lost { lines, why } = &self.lost;
        let text =
            format!("kiln: {lines} lines are missing here, they could not be written: {why}");
        let (seconds, nanos) = now();
        let line = cri::line(Stream::Stderr, seconds, nanos, &text);
        if self.append(&line).is_ok() {
            self.lost = Lost::default();
        }
    }

    /// Makes everything that was written durable.
    pub(super) fn sync(&mut self) {
        for path in self.unsynced.drain(..) {
            // One that is gone needs no sync.
            let _ = File::open(path).and_then(|file| file.sync_data());
        }
        if let Some(open) = self.open.as_mut().filter(|open| open.dirty) {
            open.dirty = open.file.sync_data().is_err();
        }
    }

    /// Answers on failure how many bytes of whole lines are in the file nevertheless.
    fn append(&mut self, lines: &[u8]) -> Result<(), (usize, io::Error)> {
        let open = self.current(lines.len()).map_err(|e| (0, e))?;
        open.dirty = true;
        let mut written = 0;
        while written < lines.len() {
            let e = match open.file.write(&lines[written..]) {
                Ok(0) => io::ErrorKind::WriteZero.into(),
                Ok(n) => {
                    written += n;
                    continue;
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                Err(e) => e,
            };
            let whole =
                lines[..written].iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1);
            let torn = written - whole;
            if torn > 0 && open.shorten(torn).is_err() {
                // The next one that is opened ends the torn line.
                self.open = None;
            }
            return Err((whole, e));
        }
        Ok(())
    }

    /// The file to append `length` bytes to: the one that stands at the log's path, even when
    /// somebody has deleted or renamed it, with room below the limit.
    fn current(&mut self, length: usize) -> io::Result<&mut Open> {
        let size = match (&self.open, fs::metadata(&self.options.log_path)) {
            (Some(open), Ok(found)) if open.is(&found) => found.len(),
            _ => self.reopen()?,
        };
        let limit = self.options.max_bytes;
        if limit > 0 && size > 0 && size.saturating_add(length as u64) > limit {
            self.rotate();
        }
        self.open.as_mut().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    /// Opens the log, and makes it and its directories where they are missing. Answers its size.
    fn reopen(&mut self) -> io::Result<u64> {
        self.open = None;
        let path = &self.options.log_path;
        let open = |path| OpenOptions::new().read(true).append(true).create(true).open(path);
        let mut file = match (open(path), path.parent()) {
            (Err(e), Some(dir)) if e.kind() == io::ErrorKind::NotFound => {
                fs::create_dir_all(dir)?;
                open(path)?
            }
            (opened, _) => opened?,
        };
        let found = file.metadata()?;
        let mut last = [b'\n'];
        if let Some(at) = found.len().checked_sub(1) {
            file.read_exact_at(&mut last, at)?;
        }
        if last != [b'\n'] {
            file.write_all(b"\n")?;
        }
        self.open = Some(Open { file, device: found.dev(), inode: found.ino(), dirty: false });
        Ok(found.len())
    }

    /// Renames the current file, begins a new one, and deletes those that are too many. When it
    /// cannot be done now, the current file grows for the time being.
    fn rotate(&mut self) {
        let (seconds, nanos) = self.rotated_at;
        let next = if nanos < 999_999_999 { (seconds, nanos + 1) } else { (seconds + 1, 0) };
        self.rotated_at = now().max(next);
        let path = &self.options.log_path;
        let mut name = path.clone().into_os_string();
        name.push(suffix(self.rotated_at));
        let name = PathBuf::from(name);
        if fs::rename(path, &name).is_err() {
            return;
        }
        self.unsynced.push(name);
        let _ = self.reopen();
        let files = rotated(path).unwrap_or_default();
        let keep = usize::try_from(self.options.max_files.saturating_sub(1)).unwrap_or(usize::MAX);
        for old in &files[..files.len().saturating_sub(keep)] {
            let _ = fs::remove_file(old);
            self.unsynced.retain(|path| path != old);
        }
    }
}

impl Open {
    fn is(&self, found: &fs::Metadata) -> bool {
        (self.device, self.inode) == (found.dev(), found.ino())
    }

    fn shorten(&self, torn: usize) -> io::Result<()> {
        let size = self.file.metadata()?.len();
        self.file.set_len(size.saturating_sub(torn as u64))
    }
}

fn count(lines: &[u8]) -> u64 {
    lines.iter().filter(|&&byte| byte == b'\n').count() as u64
}

fn suffix((seconds, nanos): (i64, u32)) -> String {
    let stamp = Stamp::of(seconds, nanos);
    let time = stamp.as_str().trim_end_matches('Z').replace(['-', ':'], "").replace('T', "-");
    format!(".{time}")
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    fn options(dir: &Path, max_bytes: u64, max_files: u32) -> Options {
        let log_path = dir.join("pod/main/0.log");
        Options { state_dir: dir.to_owned(), log_path, max_bytes, max_files, cgroup: None }
    }

    fn read(path: &Path) -> String {
        fs::read_to_string(path).unwrap()
    }

    /// A file system with room for little.
    struct Tiny(tempfile::TempDir);

    impl Tiny {
        fn mount() -> Tiny {
            let dir = tempfile::tempdir().unwrap();
            let mount = ["-t", "tmpfs", "-o", "size=64k", "tmpfs"];
            assert!(Command::new("mount").args(mount).arg(dir.path()).status().unwrap().success());
            Tiny(dir)
        }
    }

    impl Drop for Tiny {
        fn drop(&mut self) {
            let _ = Command::new("umount").arg("-l").arg(self.0.path()).status();
        }
    }

    #[test]
    fn a_log_is_rotated_before_it_grows_too_big_and_the_oldest_files_go() {
        let dir = tempfile::tempdir().unwrap();
        let options = options(dir.path(), 10, 3);
        let mut log = Log::open(&options);
        for line in ["1111\n", "2222\n", "3333\n", "a line beyond the limit\n", "5555\n", "6666\n"]
        {
            log.write(line.as_bytes());
        }
        let files = rotated(&options.log_path).unwrap();
        assert_eq!(
            files.iter().map(|file| read(file)).collect::<Vec<_>>(),
            ["3333\n", "a line beyond the limit\n"]
        );
        assert_eq!(read(&options.log_path), "5555\n6666\n");
    }

    #[test]
    fn many_rotations_in_one_moment_keep_their_order() {
        let dir = tempfile::tempdir().unwrap();
        let options = options(dir.path(), 4, 1000);
        let mut log = Log::open(&options);
        log.rotated_at = (i64::from(u32::MAX), 999_999_900);
        let lines: Vec<String> = (0..300).map(|n| format!("{n:03}\n")).collect();
        lines.iter().for_each(|line| log.write(line.as_bytes()));
        let mut files = rotated(&options.log_path).unwrap();
        files.push(options.log_path.clone());
        assert_eq!(files.iter().map(|file| read(file)).collect::<Vec<_>>(), lines);
    }

    #[test]
    fn a_log_that_was_deleted_or_renamed_is_begun_again() {
        let dir = tempfile::tempdir().unwrap();
        let options = options(dir.path(), 0, 1);
        let mut log = Log::open(&options);
        log.write(b"one\n");
        fs::remove_dir_all(dir.path().join("pod")).unwrap();
        log.write(b"two\n");
        assert_eq!(read(&options.log_path), "two\n");
        fs::rename(&options.log_path, dir.path().join("elsewhere")).unwrap();
        log.write(b"three\n");
        assert_eq!(read(&options.log_path), "three\n");
    }

    #[test]
    fn a_line_that_was_torn_in_an_earlier_life_is_ended() {
        let dir = tempfile::tempdir().unwrap();
        let options = options(dir.path(), 0, 1);
        fs::create_dir_all(options.log_path.parent().unwrap()).unwrap();
        fs::write(&options.log_path, "to").unwrap();
        Log::open(&options).write(b"next\n");
        assert_eq!(read(&options.log_path), "to\nnext\n");
    }

    #[test]
    fn a_full_disk_loses_lines_that_are_counted_and_told_when_there_is_room_again() {
        let tiny = Tiny::mount();
        let options = options(tiny.0.path(), 0, 1);
        let mut log = Log::open(&options);
        let line = [&[b'x'; 999][..], b"\n"].concat();
        (0..100).for_each(|_| log.write(&line));
        assert!(log.has_lost());
        let kept = read(&options.log_path);
        assert!(kept.ends_with('\n'), "no line is torn");

        fs::write(&options.log_path, "").unwrap();
        log.write(b"after\n");
        assert!(!log.has_lost());
        let lost = 100 - kept.lines().count();
        let told = read(&options.log_path);
        let (note, after) = told.split_once('\n').unwrap();
        assert!(note.contains(&format!(" stderr F kiln: {lost} lines are missing here")), "{note}");
        assert_eq!(after, "after\n");
    }

    #[test]
    fn a_log_that_cannot_be_made_loses_lines_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("pod"), "in the way").unwrap();
        let options = options(dir.path(), 0, 1);
        let mut log = Log::open(&options);
        log.write(b"one\ntwo\n");
        log.sync();
        fs::remove_file(dir.path().join("pod")).unwrap();
        log.tell_what_was_lost();
        assert!(read(&options.log_path).contains("kiln: 2 lines are missing here"));
    }
}
