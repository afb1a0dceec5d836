//! A containerd of our own.
//!
//! Owns: its configuration, its process, starting it again when it dies, and ending it. Must not know:
//! what it is used for.
//!
//! It outlives a kiln that is killed, and the next one that works below the same directory takes it over.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use super::containerd::Client;
use super::pause::pause;

/// How often a containerd that was started is asked whether it serves, and for how long.
const LOOK_EVERY: Duration = Duration::from_millis(5);
/// How often one that an earlier kiln started is looked at.
const FOUND_LOOK: Duration = Duration::from_millis(200);
const START_TIMEOUT: Duration = Duration::from_secs(30);
/// How long it may take to end before it is killed.
const STOP_TIMEOUT: Duration = Duration::from_secs(10);
/// How long to wait before one that died is started again; doubles with each death up to the maximum.
const RESTART_FIRST: Duration = Duration::from_millis(100);
const RESTART_MAX: Duration = Duration::from_secs(10);
/// A log that is longer when a containerd is started is thrown away.
const LOG_BYTES_MAX: u64 = 10 * 1024 * 1024;
/// How much of the log's end is read for an error message.
const LAST_WORDS_BYTES: u64 = 64 * 1024;
/// A socket's address has room for this many bytes.
const ADDRESS_BYTES_MAX: usize = 107;

/// Why there is no containerd of our own.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(
        "containerd is not installed: `containerd` is not in PATH; install it (`apt-get install \
         containerd`), or name the socket of one that runs with `--containerd ADDRESS`"
    )]
    NotInstalled,
    #[error(
        "`{0}` is too long for the address of a socket: use a root with a shorter path (`--root`)"
    )]
    PathTooLong(PathBuf),
    #[error("cannot prepare a private containerd in `{dir}`")]
    Prepare { dir: PathBuf, source: io::Error },
    #[error("the private containerd ended at once ({status}); its log says: {log}")]
    Ended { status: String, log: String },
    #[error("the private containerd does not answer; its log says: {log}")]
    Silent { log: String },
    #[error("the start of the private containerd was cancelled")]
    Cancelled,
}

/// The running containerd. [`Managed::stop`] ends it in order; dropping it kills it.
#[derive(Debug)]
pub struct Managed {
    files: Files,
    stop: CancellationToken,
    keeper: JoinSet<()>,
}

#[derive(Debug, Clone)]
struct Files {
    dir: PathBuf,
}

impl Files {
    fn address(&self) -> PathBuf {
        self.dir.join("containerd.sock")
    }

    fn log(&self) -> PathBuf {
        self.dir.join("containerd.log")
    }

    fn config(&self) -> PathBuf {
        self.dir.join("config.toml")
    }

    fn pid(&self) -> PathBuf {
        self.dir.join("containerd.pid")
    }
}

/// The process, either started by us or found.
#[derive(Debug)]
enum Process {
    Child(Child),
    Found(Pid),
}

impl Managed {
    /// Starts a containerd below `dir`, or takes over the one that runs there. Answers when it serves.
    ///
    /// # Errors
    /// With what its log says and what to do, or because it was cancelled. No process is left then.
    pub async fn start(dir: &Path, cancel: &CancellationToken) -> Result<Self, Error> {
        let files = Files { dir: dir.to_owned() };
        if files.address().as_os_str().len() > ADDRESS_BYTES_MAX - ".ttrpc".len() {
            return Err(Error::PathTooLong(files.address()));
        }
        prepare(&files).map_err(|source| Error::Prepare { dir: dir.to_owned(), source })?;
        let mut process = match found(&files) {
            Some(process) => process,
            None => Process::Child(spawn(&files)?),
        };
        let served = tokio::select! {
            served = serving_at_last(&files, &mut process) => served,
            () = cancel.cancelled() => Err(Error::Cancelled),
        };
        if let Err(error) = served {
            process.end(&files).await;
            return Err(error);
        }
        let stop = CancellationToken::new();
        let mut keeper = JoinSet::new();
        keeper.spawn(keep(files.clone(), process, stop.clone()));
        Ok(Self { files, stop, keeper })
    }

    /// Its socket.
    pub fn address(&self) -> PathBuf {
        self.files.address()
    }

    /// Ends it. Containers that still run are left to their shims.
    pub async fn stop(mut self) {
        self.stop.cancel();
        while self.keeper.join_next().await.is_some() {}
    }
}

fn prepare(files: &Files) -> io::Result<()> {
    fs::create_dir_all(&files.dir)?;
    let quoted = |path: PathBuf| toml::Value::from(path.display().to_string()).to_string();
    // Nothing of Kubernetes' own interface is needed, nor any snapshotter but one.
    let config = format!(
        "version = 2\nroot = {root}\nstate = {state}\n\
         disabled_plugins = [\"io.containerd.grpc.v1.cri\", \"io.containerd.internal.v1.opt\", \
         \"io.containerd.snapshotter.v1.aufs\", \"io.containerd.snapshotter.v1.btrfs\", \
         \"io.containerd.snapshotter.v1.devmapper\", \"io.containerd.snapshotter.v1.zfs\"]\n\
         [grpc]\naddress = {address}\n",
        root = quoted(files.dir.join("root")),
        state = quoted(files.dir.join("state")),
        address = quoted(files.address()),
    );
    fs::write(files.config(), config)
}

/// The containerd that an earlier kiln started here, if it still runs. It is known by its configuration:
/// a kiln that was killed may not have noted its number.
fn found(files: &Files) -> Option<Process> {
    let entries = fs::read_dir("/proc").ok()?.flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let mut ours = pids.filter_map(Pid::from_raw).filter(|pid| is_ours(files, *pid));
    ours.next().map(Process::Found)
}

fn is_ours(files: &Files, pid: Pid) -> bool {
    let command = fs::read(format!("/proc/{}/cmdline", pid.as_raw_nonzero()));
    command.is_ok_and(|command| is_containerd_of(&files.config(), &command))
}

/// Whether a command line, as `/proc` shows it, is that of a containerd with this configuration: who only
/// reads the file is not to be killed.
fn is_containerd_of(config: &Path, command: &[u8]) -> bool {
    let args: Vec<&[u8]> = command.split(|byte| *byte == 0).collect();
    let program = args.first().and_then(|path| path.rsplit(|byte| *byte == b'/').next());
    let given = [b"--config".as_slice(), config.as_os_str().as_encoded_bytes()];
    program == Some(b"containerd".as_slice()) && args.windows(2).any(|pair| pair == given)
}

fn spawn(files: &Files) -> Result<Child, Error> {
    let prepare = |source| Error::Prepare { dir: files.dir.clone(), source };
    let log = open_log(files).map_err(prepare)?;
    let mut command = Command::new("containerd");
    command.arg("--config").arg(files.config());
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
    // Ctrl-C is for kiln, which still needs it then.
    command.process_group(0).kill_on_drop(true);
    let child = command.spawn().map_err(|error| {
        if error.kind() == io::ErrorKind::NotFound { Error::NotInstalled } else { prepare(error) }
    })?;
    if let Some(pid) = child.id() {
        fs::write(files.pid(), pid.to_string()).map_err(prepare)?;
    }
    Ok(child)
}

/// What it writes to. One that has grown too long begins anew.
fn open_log(files: &Files) -> io::Result<File> {
    let log = File::options().create(true).append(true).open(files.log())?;
    if log.metadata()?.len() > LOG_BYTES_MAX {
        log.set_len(0)?;
    }
    Ok(log)
}

/// Waits until it answers, and starts another one where the one that was found ends.
async fn serving_at_last(files: &Files, process: &mut Process) -> Result<(), Error> {
    match serving(files, process).await {
        // It was about to end when it was found.
        Err(Error::Ended { .. }) if matches!(process, Process::Found(_)) => {
            *process = Process::Child(spawn(files)?);
            serving(files, process).await
        }
        served => served,
    }
}

/// Waits until it answers, or ends.
async fn serving(files: &Files, process: &mut Process) -> Result<(), Error> {
    let client = Client::new(&files.address());
    let asked = async {
        while client.check().await.is_err() {
            pause(LOOK_EVERY).await;
        }
    };
    // Both branches are cancel-safe: asking has no effect, and an end stays an end.
    tokio::select! {
        () = asked => Ok(()),
        status = process.ended(files) => Err(Error::Ended { status, log: last_words(files) }),
        () = pause(START_TIMEOUT) => Err(Error::Silent { log: last_words(files) }),
    }
}

fn last_words(files: &Files) -> String {
    const LINES: usize = 3;
    let log = tail(&files.log()).unwrap_or_default();
    let log = String::from_utf8_lossy(&log);
    let lines: Vec<&str> = log.lines().collect();
    let last = lines[lines.len().saturating_sub(LINES)..].join("\n");
    if last.is_empty() { "nothing".to_owned() } else { last }
}

/// The end of a file that may be long.
fn tail(path: &Path) -> io::Result<Vec<u8>> {
    let mut file = File::open(path)?;
    let len = file.metadata()?.len();
    file.seek(SeekFrom::Start(len.saturating_sub(LAST_WORDS_BYTES)))?;
    let mut end = Vec::new();
    // It may be written to meanwhile.
    file.take(LAST_WORDS_BYTES).read_to_end(&mut end)?;
    Ok(end)
}

/// Starts it again whenever it dies, until it is told to stop.
async fn keep(files: Files, mut process: Process, stop: CancellationToken) {
    let mut delay = RESTART_FIRST;
    loop {
        tokio::select! {
            () = stop.cancelled() => return process.end(&files).await,
            status = process.ended(&files) => warn!(status, "the private containerd died: starting it again"),
        }
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = pause(delay) => {}
            }
            delay = delay.saturating_mul(2).min(RESTART_MAX);
            match spawn(&files) {
                Ok(child) => {
                    process = Process::Child(child);
                    break;
                }
                Err(error) => error!(%error, "cannot start the private containerd"),
            }
        }
        let served = tokio::select! {
            () = stop.cancelled() => return process.end(&files).await,
            served = serving(&files, &mut process) => served,
        };
        match served {
            Ok(()) => {
                info!("the private containerd serves again");
                delay = RESTART_FIRST;
            }
            Err(error) => error!(%error, "the private containerd does not serve"),
        }
    }
}

impl Process {
    /// Waits for its end. Cancel-safe.
    async fn ended(&mut self, files: &Files) -> String {
        match self {
            Self::Child(child) => {
                let ended = child.wait().await;
                ended.map_or_else(|error| error.to_string(), |status| status.to_string())
            }
            // It is nobody's child any more: nothing tells of its end.
            Self::Found(pid) => {
                while is_ours(files, *pid) {
                    pause(FOUND_LOOK).await;
                }
                "exit status unknown".to_owned()
            }
        }
    }

    async fn end(mut self, files: &Files) {
        for signal in [Signal::TERM, Signal::KILL] {
            let pid = match &self {
                Self::Child(child) => child.id().and_then(|id| Pid::from_raw(id.cast_signed())),
                // Its number may be somebody else's by now.
                Self::Found(pid) => is_ours(files, *pid).then_some(*pid),
            };
            // One that is gone needs no signal.
            let _ = pid.map(|pid| kill_process(pid, signal));
            tokio::select! {
                _ = self.ended(files) => break,
                () = pause(STOP_TIMEOUT) => warn!(?signal, "the private containerd does not end"),
            }
        }
        let _ = fs::remove_file(files.pid()); // whoever reads it checks the process
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_containerd_with_our_configuration_is_ours() {
        let config = Path::new("/k/containerd/config.toml");
        let is_ours = |args: &[&str]| {
            let command: String = args.iter().map(|arg| format!("{arg}\0")).collect();
            is_containerd_of(config, command.as_bytes())
        };
        let path = "/k/containerd/config.toml";
        assert!(is_ours(&["containerd", "--config", path]));
        assert!(is_ours(&["/usr/bin/containerd", "--log-level", "debug", "--config", path]));
        assert!(!is_ours(&["less", path]));
        assert!(!is_ours(&["my-containerd", "--config", path]));
        assert!(!is_ours(&["containerd", "--config", "/etc/containerd/config.toml", path]));
        assert!(!is_ours(&[]));
    }

    #[test]
    fn a_log_that_is_long_is_neither_read_nor_kept_whole() {
        let dir = tempfile::tempdir().unwrap();
        let files = Files { dir: dir.path().to_owned() };
        assert_eq!(last_words(&files), "nothing");
        fs::write(files.log(), "one\ntwo\nthree\nfour\n").unwrap();
        open_log(&files).unwrap();
        assert_eq!(last_words(&files), "two\nthree\nfour");

        let line = "x".repeat(1023) + "\n";
        let many = usize::try_from(LOG_BYTES_MAX / 1024).unwrap();
        fs::write(files.log(), line.repeat(many) + "the last\n").unwrap();
        assert_eq!(tail(&files.log()).unwrap().len(), 64 * 1024);
        assert!(last_words(&files).ends_with("x\nthe last"));
        open_log(&files).unwrap();
        assert_eq!(last_words(&files), "nothing");
    }
}
