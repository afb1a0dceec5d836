//! Reading what containers wrote.
//!
//! Owns: where the log of an instance stands, following it through rotations, and its last lines.
//! Must not know: who writes it, or how the container ended.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::fs::{self, File};
use std::io::{self, BufRead, Read, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use rustix::fs::inotify::{self, CreateFlags, WatchFlags};
use rustix::io::Errno;
use tokio::net::unix::pipe;

use crate::api::object::Object;
use crate::monitor::cri::{self, MAX_LINE, Stream};
use crate::monitor::log::rotated;
use crate::pod::Instance;

/// What is read from a log at once.
const READ_BYTES: usize = 256 * 1024;
/// No more is looked at for the last lines of a log.
const TAIL_BYTES_MAX: usize = 1024 * 1024;
/// So many files of one log are held open; their space is not free before they are read.
const FILES_HELD_MAX: usize = 64;
/// Stands in the place of lines that were lost before they were read.
const GAP: &str =
    "kiln: lines may be missing here: the log was rotated away faster than it was read";
/// How often to look where the kernel has no more watches to give (128 users of inotify by default).
const POLL_EVERY: Duration = Duration::from_millis(50);

/// The log of one instance, where the kubelet puts it too.
/// <https://kubernetes.io/docs/concepts/cluster-administration/logging/#log-location-node>
pub fn path(log_dir: &Path, pod: &Pod, instance: &Instance) -> PathBuf {
    dir(log_dir, pod).join(&instance.container).join(format!("{}.log", instance.attempt))
}

/// The directory of all logs of a pod.
pub fn dir(log_dir: &Path, pod: &Pod) -> PathBuf {
    log_dir.join(format!("{}_{}_{}", pod.namespace(), pod.name(), pod.uid()))
}

/// How many bytes the files below a directory have; none if it is not there.
pub(super) fn size(dir: &Path) -> io::Result<u64> {
    let entries = match fs::read_dir(dir) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(0),
        entries => entries?,
    };
    let mut sum = 0;
    for entry in entries {
        let entry = entry?;
        sum += match entry.metadata() {
            // It was rotated away.
            Err(e) if e.kind() == io::ErrorKind::NotFound => 0,
            Ok(found) if found.is_dir() => size(&entry.path())?,
            found => found?.len(),
        };
    }
    Ok(sum)
}

/// Deletes a directory with all that is in it; one that is not there is deleted already.
pub(super) fn remove(dir: &Path) -> io::Result<()> {
    match fs::remove_dir_all(dir) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

/// Reads the log of one instance from its first line to its last, while it is written and rotated.
#[derive(Debug)]
pub struct Follower {
    path: PathBuf,
    changes: Changes,
    /// What is still to be read, oldest first. Held open, so that a file that is rotated away and
    /// deleted meanwhile is read all the same.
    files: VecDeque<Open>,
    /// The newest rotated file that was taken up.
    rotated: Option<PathBuf>,
    /// Bytes that were read; those before `handed_out` are done with.
    buffer: Vec<u8>,
    handed_out: usize,
    ended: bool,
}

#[derive(Debug)]
struct Open {
    file: File,
    id: FileId,
    /// Whether files that came before it may never have been read.
    after_gap: bool,
}

/// Device and inode.
type FileId = (u64, u64);

/// Some lines of a log, in order. What was torn, or is of another format, is left out.
#[derive(Debug, Clone)]
pub struct Lines<'a>(&'a [u8]);

impl<'a> Iterator for Lines<'a> {
    type Item = cri::Line<'a>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let mut rest = self.0;
            // A slice cannot fail to be read.
            let taken = rest.skip_until(b'\n').unwrap_or(self.0.len());
            let (line, _) = self.0.split_at(taken);
            self.0 = rest;
            match line.split_last() {
                None => return None,
                Some((_, line)) => {
                    if let Some(line) = cri::parse(line) {
                        return Some(line);
                    }
                }
            }
        }
    }
}

impl Follower {
    /// Begins before the first line; the log need not be there yet. Needs a tokio runtime around it.
    pub fn new(path: PathBuf) -> Self {
        Self {
            path,
            changes: Changes::new(),
            files: VecDeque::new(),
            rotated: None,
            buffer: Vec::new(),
            handed_out: 0,
            ended: false,
        }
    }

    /// The container has ended and its log is whole: what is in it now is all there will be.
    pub fn end(&mut self) {
        self.ended = true;
    }

    /// The next lines, as soon as there are any; a long line comes in parts, as the log has it.
    /// `None`: all was handed out after [`Follower::end`]. Cancel-safe.
    ///
    /// # Errors
    /// The log cannot be read.
    pub async fn next(&mut self) -> io::Result<Option<Lines<'_>>> {
        self.buffer.drain(..self.handed_out);
        self.handed_out = 0;
        loop {
            // A log that is written faster than it is read must not keep others from running.
            tokio::task::coop::consume_budget().await;
            self.changes.watch(&self.path);
            self.take_up_new_files()?;
            if self.read()? {
                if let Some(newline) = self.buffer.iter().rposition(|&byte| byte == b'\n') {
                    self.handed_out = newline + 1;
                    return Ok(Some(Lines(&self.buffer[..self.handed_out])));
                }
            } else if self.files.len() > 1 {
                // The writer has left this file for the next one, and all of it was read.
                self.files.pop_front();
                self.buffer.clear();
                if let Some(open) = self.files.front().filter(|open| open.after_gap) {
                    self.buffer = gap(&open.file)?;
                    self.handed_out = self.buffer.len();
                    return Ok(Some(Lines(&self.buffer)));
                }
            } else if self.ended {
                return Ok(None);
            } else {
                self.changes.wait().await?;
            }
        }
    }

    /// Takes up new files for as long as it is waited for: what was read last is still being passed on,
    /// and what is rotated meanwhile must not be lost. Cancel-safe.
    ///
    /// # Errors
    /// The log cannot be read.
    pub async fn keep_up(&mut self) -> io::Result<Infallible> {
        while self.files.len() < FILES_HELD_MAX {
            self.changes.watch(&self.path);
            self.take_up_new_files()?;
            self.changes.wait().await?;
        }
        std::future::pending().await
    }

    /// Reads on in the oldest file. These reads do not wait: what was just written is in memory.
    fn read(&mut self) -> io::Result<bool> {
        let Some(open) = self.files.front_mut() else { return Ok(false) };
        // A line that never ends is no line of a log.
        if self.buffer.len() > MAX_LINE {
            self.buffer.clear();
        }
        let before = self.buffer.len();
        (&open.file).take(READ_BYTES as u64).read_to_end(&mut self.buffer)?;
        Ok(self.buffer.len() > before)
    }

    /// Opens the files that came after the newest one that is open, if another one stands at the path.
    fn take_up_new_files(&mut self) -> io::Result<()> {
        let newest = self.files.back().map(|open| open.id);
        let current = fs::metadata(&self.path).ok().map(|found| id(&found));
        if current == newest {
            return Ok(());
        }
        let Some((names, found)) = self.all_files()? else { return Ok(()) };
        let known = newest.and_then(|id| found.iter().position(|open| open.id == id));
        // The oldest is deleted first: for as long as the newest one stands, none after it was.
        let mut new = found.into_iter().skip(known.map_or(0, |at| at + 1)).peekable();
        if newest.is_some()
            && known.is_none()
            && let Some(first) = new.peek_mut()
        {
            first.after_gap = true;
        }
        self.files.extend(new);
        if let Some(name) = names.into_iter().next_back() {
            self.rotated = Some(name);
        }
        Ok(())
    }

    /// The rotated files from the newest one on that was taken up, and all that can be opened of these
    /// and of the current one, oldest first. `None`: there is nothing yet.
    fn all_files(&self) -> io::Result<Option<(Vec<PathBuf>, Vec<Open>)>> {
        let mut names = match rotated(&self.path) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            names => names?,
        };
        loop {
            let new = |name: &&PathBuf| self.rotated.as_ref().is_none_or(|known| *name >= known);
            let paths = names.iter().filter(new).chain([&self.path]);
            let opened = paths.filter_map(|path| Open::at(path).transpose());
            let opened = opened.collect::<io::Result<Vec<Open>>>()?;
            // What was rotated while the files were opened may be missing.
            let after = rotated(&self.path)?;
            if after == names {
                return Ok(Some((names, opened)));
            }
            names = after;
        }
    }
}

impl Open {
    /// `None`: it is gone.
    fn at(path: &Path) -> io::Result<Option<Self>> {
        match File::open(path) {
            Ok(file) => {
                let id = id(&file.metadata()?);
                Ok(Some(Self { file, id, after_gap: false }))
            }
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(e),
        }
    }
}

/// A line that says so, dated like the file that it stands before.
fn gap(file: &File) -> io::Result<Vec<u8>> {
    let found = file.metadata()?;
    let nanos = u32::try_from(found.mtime_nsec()).unwrap_or(0);
    Ok(cri::line(Stream::Stderr, found.mtime(), nanos, GAP))
}

fn id(found: &fs::Metadata) -> FileId {
    (found.dev(), found.ino())
}

/// Tells when there may be something new in the log's directory.
#[derive(Debug)]
struct Changes {
    /// `None`: the kernel has no more of them to give. Like a pipe it is read for what there is, which
    /// is all that tokio has to know of it.
    inotify: Option<pipe::Receiver>,
    /// The directory that is watched: the log's own, or the one in which the way there goes on.
    watched: Option<PathBuf>,
}

impl Changes {
    fn new() -> Self {
        let inotify = inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC)
            .ok()
            .and_then(|fd| pipe::Receiver::from_owned_fd_unchecked(fd).ok());
        Self { inotify, watched: None }
    }

    /// Watches the deepest directory on the way to the log that is there. To be called before one
    /// looks: what changes after that is told.
    fn watch(&mut self, log: &Path) {
        let parent = log.parent();
        if self.watched.is_some() && self.watched.as_deref() == parent {
            return;
        }
        let Some(inotify) = &self.inotify else { return };
        let flags = WatchFlags::CREATE | WatchFlags::MODIFY | WatchFlags::MOVED_TO;
        for dir in log.ancestors().skip(1) {
            match inotify::add_watch(inotify, dir, flags) {
                Ok(_) if self.watched.as_deref() == Some(dir) => return,
                Ok(_) => {
                    self.watched = Some(dir.to_owned());
                    // A directory below it may have come before the watch.
                    return self.watch(log);
                }
                Err(Errno::NOENT | Errno::NOTDIR) => {}
                Err(_) => break,
            }
        }
        self.inotify = None;
    }

    /// Waits for a change. Cancel-safe: one looks again after every wait, and before the first one.
    async fn wait(&mut self) -> io::Result<()> {
        let Some(inotify) = &self.inotify else {
            let mut pause = tokio::time::interval(POLL_EVERY);
            pause.tick().await;
            pause.tick().await;
            return Ok(());
        };
        inotify.readable().await?;
        let mut events = [0; 4096];
        loop {
            // What the events say does not matter.
            match inotify.try_read(&mut events) {
                Ok(_) => {}
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(e) => return Err(e),
            }
        }
    }
}

/// A whole line of a container, its parts joined.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    pub stream: Stream,
    pub text: Vec<u8>,
}

/// The last lines of a log, its rotated files included; none where there is no log.
///
/// # Errors
/// The log cannot be read.
pub fn tail(path: &Path, lines: usize) -> io::Result<Vec<Line>> {
    let mut files = match rotated(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        files => files?,
    };
    files.push(path.to_owned());
    let mut bytes = Vec::new();
    for file in files.iter().rev() {
        let Some(Open { mut file, .. }) = Open::at(file)? else { continue };
        let size = file.metadata()?.len();
        let room = TAIL_BYTES_MAX - bytes.len();
        let from = size.saturating_sub(room as u64);
        file.seek(SeekFrom::Start(from))?;
        let mut earlier = Vec::new();
        file.take(room as u64).read_to_end(&mut earlier)?;
        earlier.append(&mut bytes);
        bytes = earlier;
        let whole = Lines(&bytes).filter(|line| !line.partial).count();
        if bytes.len() >= TAIL_BYTES_MAX || whole > lines {
            break;
        }
    }
    let mut all = join(Lines(&bytes));
    Ok(all.split_off(all.len().saturating_sub(lines)))
}

fn join(lines: Lines<'_>) -> Vec<Line> {
    let mut whole = Vec::new();
    let mut pending: [Vec<u8>; 2] = Default::default();
    for line in lines {
        let parts = match line.stream {
            Stream::Stdout => &mut pending[0],
            Stream::Stderr => &mut pending[1],
        };
        parts.extend_from_slice(line.text);
        if !line.partial {
            whole.push(Line { stream: line.stream, text: std::mem::take(parts) });
        }
    }
    whole
}

#[cfg(test)]
mod tests {
    use std::fs::OpenOptions;
    use std::io::Write;

    use super::*;

    const HEAD: &str = "2026-01-01T00:00:00.000000000Z stdout";

    fn append(path: &Path, text: &str) {
        let mut file = OpenOptions::new().append(true).create(true).open(path).unwrap();
        file.write_all(text.as_bytes()).unwrap();
    }

    fn line(text: &str) -> String {
        format!("{HEAD} F {text}\n")
    }

    fn rotate(path: &Path, number: u32) {
        let name = format!("{}.20260101-000000.{number:09}", path.display());
        fs::rename(path, name).unwrap();
    }

    async fn some(follower: &mut Follower) -> Option<Vec<String>> {
        let next = tokio::time::timeout(Duration::from_secs(10), follower.next());
        let lines = next.await.expect("in vain").unwrap()?;
        Some(lines.map(|line| String::from_utf8_lossy(line.text).into_owned()).collect())
    }

    async fn rest(follower: &mut Follower) -> Vec<String> {
        let mut all = Vec::new();
        while let Some(lines) = some(follower).await {
            all.extend(lines);
        }
        all
    }

    #[test]
    fn a_log_stands_where_collectors_look_for_it() {
        let mut pod = Pod::default();
        pod.metadata.namespace = Some("default".into());
        pod.metadata.name = Some("pi-abcde".into());
        pod.metadata.uid = Some("u1".into());
        let instance = Instance { container: "main".into(), attempt: 2 };
        assert_eq!(
            path(Path::new("/var/log/pods"), &pod, &instance),
            Path::new("/var/log/pods/default_pi-abcde_u1/main/2.log")
        );
    }

    #[test]
    fn logs_are_measured_and_deleted_with_their_rotated_files() {
        let dir = tempfile::tempdir().unwrap();
        let pod = dir.path().join("default_p_u");
        assert_eq!(size(&pod).unwrap(), 0);
        fs::create_dir_all(pod.join("main")).unwrap();
        append(&pod.join("main/0.log"), "0123456789");
        rotate(&pod.join("main/0.log"), 0);
        append(&pod.join("main/0.log"), "01234");
        assert_eq!(size(&pod).unwrap(), 15);
        for _ in 0..2 {
            remove(&pod).unwrap();
            assert!(!pod.exists());
        }
    }

    #[tokio::test]
    async fn a_log_is_waited_for_with_the_directories_on_the_way_and_read_to_its_end() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("pod/main/0.log");
        let mut follower = Follower::new(path.clone());
        assert!(futures::poll!(Box::pin(follower.next())).is_pending());
        fs::create_dir(dir.path().join("pod")).unwrap();
        assert!(futures::poll!(Box::pin(follower.next())).is_pending());
        fs::create_dir(dir.path().join("pod/main")).unwrap();
        append(&path, &line("one"));
        assert_eq!(some(&mut follower).await.unwrap(), ["one"]);
        assert!(futures::poll!(Box::pin(follower.next())).is_pending());
        append(&path, &(line("two") + &line("three")));
        assert_eq!(some(&mut follower).await.unwrap(), ["two", "three"]);
        append(&path, &line("last"));
        follower.end();
        assert_eq!(rest(&mut follower).await, ["last"]);
    }

    #[tokio::test]
    async fn a_log_that_never_came_ends_without_a_line() {
        let dir = tempfile::tempdir().unwrap();
        let mut follower = Follower::new(dir.path().join("pod/main/0.log"));
        follower.end();
        assert_eq!(some(&mut follower).await, None);
    }

    #[tokio::test]
    async fn nothing_is_lost_or_doubled_when_the_log_is_rotated() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("0.log");
        append(&path, &line("0"));
        rotate(&path, 0);
        append(&path, &line("1"));
        let mut follower = Follower::new(path.clone());
        assert_eq!(some(&mut follower).await.unwrap(), ["0"]);
        append(&path, &line("1+"));
        rotate(&path, 1);
        append(&path, &line("2"));
        rotate(&path, 2);
        append(&path, &line("3"));
        assert_eq!(some(&mut follower).await.unwrap(), ["1", "1+"]);
        follower.end();
        assert_eq!(rest(&mut follower).await, ["2", "3"]);
    }

    #[tokio::test]
    async fn a_file_that_was_taken_up_is_read_even_if_it_is_deleted() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("0.log");
        append(&path, &line("0"));
        let mut follower = Follower::new(path.clone());
        assert_eq!(some(&mut follower).await.unwrap(), ["0"]);
        append(&path, &line("0+"));
        rotate(&path, 0);
        append(&path, &line("1"));
        assert_eq!(some(&mut follower).await.unwrap(), ["0+"]);
        for old in rotated(&path).unwrap() {
            fs::remove_file(old).unwrap();
        }
        follower.end();
        assert_eq!(rest(&mut follower).await, ["1"]);
    }

    #[tokio::test]
    async fn files_are_taken_up_also_while_their_reader_is_busy() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("0.log");
        append(&path, &line("0"));
        let mut follower = Follower::new(path.clone());
        assert_eq!(some(&mut follower).await.unwrap(), ["0"]);
        for number in 1..5 {
            rotate(&path, number);
            append(&path, &line(&number.to_string()));
            assert!(futures::poll!(Box::pin(follower.keep_up())).is_pending());
            for old in rotated(&path).unwrap() {
                fs::remove_file(old).unwrap();
            }
        }
        follower.end();
        assert_eq!(rest(&mut follower).await, ["1", "2", "3", "4"]);
    }

    #[tokio::test]
    async fn what_was_rotated_away_unread_is_told_in_its_place() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("0.log");
        append(&path, &line("0"));
        let mut follower = Follower::new(path.clone());
        assert_eq!(some(&mut follower).await.unwrap(), ["0"]);
        append(&path, &line("0+"));
        for number in 1..3 {
            rotate(&path, number);
            append(&path, &line(&number.to_string()));
            for old in rotated(&path).unwrap() {
                fs::remove_file(old).unwrap();
            }
        }
        follower.end();
        assert_eq!(rest(&mut follower).await, ["0+", GAP, "2"]);
    }

    #[tokio::test]
    async fn a_line_is_handed_out_when_it_is_whole_and_a_torn_one_never() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("0.log");
        let text = line("whole");
        append(&path, &text[..20]);
        let mut follower = Follower::new(path.clone());
        assert!(futures::poll!(Box::pin(follower.next())).is_pending());
        append(&path, &text[20..]);
        assert_eq!(some(&mut follower).await.unwrap(), ["whole"]);
        append(&path, &text[..20]);
        rotate(&path, 0);
        append(&path, &text);
        follower.end();
        assert_eq!(rest(&mut follower).await, ["whole"]);
    }

    #[tokio::test]
    async fn without_inotify_the_log_is_followed_all_the_same() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("0.log");
        let mut follower = Follower::new(path.clone());
        follower.changes.inotify = None;
        append(&path, &line("one"));
        assert_eq!(some(&mut follower).await.unwrap(), ["one"]);
        let later = async { append(&path, &line("two")) };
        let (lines, ()) = tokio::join!(some(&mut follower), later);
        assert_eq!(lines.unwrap(), ["two"]);
    }

    #[tokio::test]
    async fn a_busy_writer_that_rotates_loses_nothing() {
        const LINES: u32 = 50_000;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("0.log");
        let mut follower = Follower::new(path.clone());
        let writer = std::thread::spawn(move || {
            for number in 0..LINES {
                append(&path, &line(&number.to_string()));
                if number % 500 == 499 {
                    rotate(&path, number);
                }
            }
        });
        let mut seen = Vec::new();
        while seen.len() < LINES as usize {
            seen.extend(some(&mut follower).await.unwrap());
        }
        writer.join().unwrap();
        assert!(seen.iter().enumerate().all(|(at, text)| *text == at.to_string()));
    }

    #[test]
    fn the_last_lines_come_from_rotated_files_too_and_parts_are_joined() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("0.log");
        assert_eq!(tail(&path, 3).unwrap(), []);
        append(&path, &(line("a") + &line("b")));
        rotate(&path, 0);
        append(&path, &format!("{HEAD} P lo\n{HEAD} F ng\n"));
        let texts = |lines: usize| -> Vec<String> {
            let lines = tail(&path, lines).unwrap();
            lines.into_iter().map(|line| String::from_utf8(line.text).unwrap()).collect()
        };
        assert_eq!(texts(2), ["b", "long"]);
        assert_eq!(texts(1), ["long"]);
        assert_eq!(texts(9), ["a", "b", "long"]);
    }
}
