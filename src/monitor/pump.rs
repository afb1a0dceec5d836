//! The loop of a monitor: two pipes in, one log out, and one question to the shim.
//!
//! Owns: the order of things at the end: the pipes are drained, the log is made durable, and only
//! then is the record written; so whoever sees the record sees the whole log.
//! Must not know: formats.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::time::Timespec;

use super::cri::{MAX_LINE, Splitter, Stamp, Stream};
use super::log::Log;
use super::record::{ExitRecord, Reserved};
use super::shim::{Answer, Exit, Shim};
use super::{Options, cgroup, now, uptime};

/// What is read from a pipe at once: all that a pipe holds.
const READ: usize = 64 * 1024;
/// What is written to the log at once.
const BATCH: usize = 128 * 1024;
/// How soon to try again what a full disk has refused.
const DISK_RETRY: Duration = Duration::from_secs(1);
/// How long to wait for the shim's answer after the pipes were closed: the shim waits meanwhile.
const LAST_ANSWER: Duration = Duration::from_millis(500);

/// What one monitor holds.
#[derive(Debug)]
pub(super) struct Pump<'a> {
    options: &'a Options,
    pipes: [Pipe; 2],
    buffer: Vec<u8>,
    batch: Vec<u8>,
    log: Log<'a>,
    shim: Shim,
    reserved: Reserved,
    /// An exit that could not be recorded yet.
    owed: Option<ExitRecord>,
}

#[derive(Debug)]
struct Pipe {
    /// Non-blocking; `None` after its end.
    file: Option<File>,
    splitter: Splitter,
}

impl<'a> Pump<'a> {
    /// Opens the log and takes room for the record: after this the container may start.
    pub(super) fn new(options: &'a Options, stdout: File, stderr: File, shim: Shim) -> Pump<'a> {
        let pipe = |file, stream| Pipe { file: Some(file), splitter: Splitter::new(stream) };
        Pump {
            options,
            pipes: [pipe(stdout, Stream::Stdout), pipe(stderr, Stream::Stderr)],
            buffer: vec![0; READ],
            batch: Vec::with_capacity(BATCH),
            log: Log::open(options),
            shim,
            reserved: Reserved::new(&options.state_dir),
            owed: None,
        }
    }

    /// Runs until both pipes are at their end, which comes when the task is deleted.
    pub(super) fn run(mut self) {
        let mut last_answer = None;
        loop {
            match self.shim.step(uptime()) {
                Some(Answer::Exited(exit)) => self.exited(exit),
                // The container was never made, and its owner has cleared up.
                Some(Answer::Unknown) if !self.options.state_dir.exists() => break,
                Some(Answer::Unknown) | None => {}
            }
            if self.pipes.iter().all(|pipe| pipe.file.is_none()) {
                let until = *last_answer.get_or_insert_with(|| {
                    self.shim.hurry();
                    uptime() + LAST_ANSWER
                });
                if self.shim.is_over() || until <= uptime() {
                    break;
                }
            }
            self.wait(last_answer);
            self.read(0, READ);
            self.read(1, READ);
            self.flush();
        }
        self.end_lines();
        self.retry();
    }

    /// Sleeps until there is something to do, and does what a full disk has refused.
    fn wait(&mut self, last_answer: Option<Duration>) {
        let refused = self.owed.is_some() || self.log.has_lost();
        let retry = refused.then(|| uptime() + DISK_RETRY);
        let deadline = [self.shim.deadline(), last_answer, retry].into_iter().flatten().min();
        let timeout = deadline
            .and_then(|deadline| Timespec::try_from(deadline.saturating_sub(uptime())).ok());

        let pipes = self.pipes.iter().filter_map(|pipe| pipe.file.as_ref()).map(File::as_fd);
        let mut fds: Vec<PollFd<'_>> = pipes
            .chain(self.shim.socket())
            .map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN))
            .collect();
        // An interrupted poll is one that found nothing.
        let ready = poll(&mut fds, timeout.as_ref()).unwrap_or(0);
        if refused && ready == 0 {
            self.retry();
        }
    }

    fn retry(&mut self) {
        self.log.tell_what_was_lost();
        if let Some(record) = self.owed
            && self.reserved.write(record).is_ok()
        {
            self.owed = None;
        }
    }

    /// Reads at most `limit` bytes from a pipe; answers how many there were.
    fn read(&mut self, index: usize, limit: usize) -> usize {
        let pipe = &mut self.pipes[index];
        let Some(file) = &mut pipe.file else { return 0 };
        let n = match file.read(&mut self.buffer[..limit.min(READ)]) {
            Ok(n @ 1..) => n,
            Err(e)
                if matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) =>
            {
                return 0;
            }
            Ok(0) | Err(_) => {
                pipe.file = None;
                return 0;
            }
        };
        let stamp = stamp();
        let mut rest = &self.buffer[..n];
        while !rest.is_empty() {
            rest = &rest[pipe.splitter.push(rest, &stamp, &mut self.batch)..];
            if self.batch.capacity() - self.batch.len() < MAX_LINE {
                self.log.write(&self.batch);
                self.batch.clear();
            }
        }
        n
    }

    fn flush(&mut self) {
        self.log.write(&self.batch);
        self.batch.clear();
    }

    fn end_lines(&mut self) {
        for pipe in &mut self.pipes {
            pipe.splitter.finish(&stamp(), &mut self.batch);
        }
        self.flush();
    }

    fn exited(&mut self, exit: Exit) {
        let oom_killed = self.options.cgroup.as_deref().is_some_and(cgroup::oom_killed);
        self.drain();
        self.end_lines();
        self.log.sync();
        let Exit { code, seconds, nanos } = exit;
        self.owed = Some(ExitRecord { code, seconds, nanos, oom_killed });
        self.retry();
    }

    /// Takes what the container wrote before its end. Not more: a process that shares the pipes may
    /// go on writing for ever.
    fn drain(&mut self) {
        for index in 0..self.pipes.len() {
            let file = self.pipes[index].file.as_ref();
            let held = file.and_then(|file| rustix::io::ioctl_fionread(file).ok()).unwrap_or(0);
            let mut rest = usize::try_from(held).unwrap_or(usize::MAX);
            while rest > 0 {
                match self.read(index, rest) {
                    0 => break,
                    n => rest -= n,
                }
            }
        }
        self.flush();
    }
}

fn stamp() -> Stamp {
    let (seconds, nanos) = now();
    Stamp::of(seconds, nanos)
}
