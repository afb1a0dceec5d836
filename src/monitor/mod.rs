//! The process beside each container: its pipes become the log, the shim's answer the exit record.
//!
//! Owns: the `binary://` logger that containerd's shim starts with every container, and the formats
//! of the two files that it leaves: [`cri`] and [`record`].
//! Must not know: anything else of kiln. std, rustix and one signal handler only: it is entered
//! before clap and tokio, stays for as long as its container does, and must cost next to nothing.
//!
//! It outlives the engine and containerd, and it dies of nothing that a container or a disk does:
//! without its reader a container is killed by SIGPIPE, and a reader that stops freezes it.

use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use rustix::fs::OFlags;
use rustix::time::{ClockId, clock_gettime};

mod cgroup;
pub mod cri;
pub mod log;
mod pump;
pub mod record;
mod shim;

/// What one monitor is told, in the URI that containerd hands to the shim.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Where the exit record goes. Must exist; when it is gone, no record is written.
    pub state_dir: PathBuf,
    /// The current log file; rotated ones stand beside it. Missing directories are made.
    pub log_path: PathBuf,
    /// The log is rotated before it grows beyond this many bytes; 0 means never.
    pub max_bytes: u64,
    /// How many log files there may be, with the current one; at least 1.
    pub max_files: u32,
    /// The container's cgroup below the mount points, as in `/proc/<pid>/cgroup`, to tell whether
    /// the kernel killed a process for want of memory.
    pub cgroup: Option<PathBuf>,
}

/// The first argument of a monitor, and the one key of its URI: the shim passes keys in random order.
pub const ARGUMENT: &str = "monitor";

/// What to start beside a container: the small binary that stands beside kiln's own, or that one itself.
pub fn binary(kiln: &Path) -> PathBuf {
    let small = kiln.with_file_name("kiln-monitor");
    if small.exists() { small } else { kiln.to_owned() }
}

impl Options {
    /// The value for `stdout` (and `stderr`) of containerd's `tasks.Create`. `exe` is absolute.
    pub fn uri(&self, exe: &Path) -> String {
        let mut uri = String::from("binary://");
        escape(exe.as_os_str().as_bytes(), &mut uri);
        uri.push('?');
        uri.push_str(ARGUMENT);
        uri.push('=');
        escape(self.value().as_bytes(), &mut uri);
        uri
    }

    /// Reads what [`Options::uri`] wrote, after the shim has taken the URI apart; `None` when it is
    /// of another version.
    pub fn parse(value: &str) -> Option<Options> {
        let mut fields = value.split(':');
        let max_bytes = fields.next()?.parse().ok()?;
        let max_files = fields.next()?.parse().ok()?;
        let state_dir = unescape(fields.next()?)?;
        let log_path = unescape(fields.next()?)?;
        let cgroup = unescape(fields.next()?)?;
        let cgroup = Some(cgroup).filter(|path| !path.as_os_str().is_empty());
        let whole = fields.next().is_none() && !log_path.as_os_str().is_empty();
        whole.then_some(Options { state_dir, log_path, max_bytes, max_files, cgroup })
    }

    fn value(&self) -> String {
        let mut value = format!("{}:{}", self.max_bytes, self.max_files);
        let cgroup = self.cgroup.as_deref().unwrap_or_else(|| Path::new(""));
        for path in [&self.state_dir, &self.log_path, cgroup] {
            value.push(':');
            escape(path.as_os_str().as_bytes(), &mut value);
        }
        value
    }
}

/// The whole life of a monitor. `args` are those after `monitor`.
pub fn main(args: impl Iterator<Item = OsString>) -> ExitCode {
    let mut args = args;
    let Some(options) = args.next().and_then(|value| Options::parse(value.to_str()?)) else {
        return ExitCode::from(2);
    };
    let id = std::env::var("CONTAINER_ID").unwrap_or_default();
    match monitor(&options, id) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

/// Fails only where it was not started as a logger: with pipes at 3 and 4, and 5 to say "ready".
fn monitor(options: &Options, id: String) -> io::Result<()> {
    ignore_signals()?;
    let (stdout, stderr) = (reopen(3)?, reopen(4)?);
    let shim = shim::Shim::parent(id, Path::new("."));
    // Let go of the bundle's directory.
    let _ = rustix::process::chdir("/");
    let pump = pump::Pump::new(options, stdout, stderr, shim);
    OpenOptions::new().write(true).open("/proc/self/fd/5")?.write_all(b".")?;
    pump.run();
    Ok(())
}

/// The shim sends SIGTERM as soon as it has closed its ends of the pipes, before they are read; the
/// others come from a terminal that somebody started containerd in.
fn ignore_signals() -> io::Result<()> {
    use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM};

    // Fails for the leader of a process group, which no terminal's signal reaches by accident.
    let _ = rustix::process::setsid();
    for signal in [SIGTERM, SIGINT, SIGHUP, SIGQUIT] {
        signal_hook::flag::register(signal, Arc::new(AtomicBool::new(false)))?;
    }
    Ok(())
}

/// Opens the pipe at an inherited descriptor anew, to read without blocking; what others hold of it
/// is left as it is.
fn reopen(fd: u32) -> io::Result<File> {
    let flags = OFlags::NONBLOCK.bits().cast_signed();
    OpenOptions::new().read(true).custom_flags(flags).open(format!("/proc/self/fd/{fd}"))
}

/// Seconds since 1970 (UTC) and nanoseconds.
fn now() -> (i64, u32) {
    let now = clock_gettime(ClockId::Realtime);
    (now.tv_sec, u32::try_from(now.tv_nsec).unwrap_or(0))
}

/// A clock that only goes forward.
fn uptime() -> Duration {
    Duration::try_from(clock_gettime(ClockId::Monotonic)).unwrap_or_default()
}

fn escape(bytes: &[u8], out: &mut String) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    for &byte in bytes {
        if byte.is_ascii_alphanumeric() || b"/._-".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push('%');
            out.push(char::from(HEX[usize::from(byte >> 4)]));
            out.push(char::from(HEX[usize::from(byte & 15)]));
        }
    }
}

fn unescape(text: &str) -> Option<PathBuf> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => hex(rest.next()?)? << 4 | hex(rest.next()?)?,
            plain => plain,
        });
    }
    Some(PathBuf::from(OsString::from_vec(bytes)))
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options() -> Options {
        Options {
            state_dir: PathBuf::from("/var/lib/kiln/pods/a b/c:d"),
            log_path: PathBuf::from("/var/log/pods/ns_p_u/main/0%.log"),
            max_bytes: 10 << 20,
            max_files: 5,
            cgroup: None,
        }
    }

    #[test]
    fn options_survive_the_way_through_the_uri() {
        for cgroup in [None, Some(PathBuf::from("/kiln/podü/x"))] {
            let options = Options { cgroup, ..options() };
            let uri = options.uri(Path::new("/usr/local/bin/kiln"));
            let value = uri.strip_prefix("binary:///usr/local/bin/kiln?monitor=").unwrap();
            // What Go's url.Query does.
            let value = unescape(value).unwrap().into_os_string().into_string().unwrap();
            assert_eq!(Options::parse(&value), Some(options));
        }
    }

    #[test]
    fn the_uri_has_no_byte_that_go_reads_as_syntax() {
        let uri = options().uri(Path::new("/opt/k&l=n+;/kiln"));
        let (path, value) = uri.split_once('?').unwrap();
        assert_eq!(path, "binary:///opt/k%26l%3Dn%2B%3B/kiln");
        assert_eq!(value.matches(['&', '=', '+', ';', '#', ' ']).count(), 1, "{value}");
    }

    #[test]
    fn options_of_another_version_are_refused() {
        for value in
            ["", "1:2", "1:2:/a:/b", "1:2:/a::", "x:2:/a:/b:", "1:2:/a:/b::", "1:2:/%zz:/b:"]
        {
            assert_eq!(Options::parse(value), None, "{value}");
        }
    }
}
