//! `kiln serve`: the engine and the API, until told to stop.
//!
//! Owns: putting the parts together, the order in which they start and stop, and what systemd is told.
//! Must not know: what any part does.

mod logs;
mod notify;

use std::fs::{self, File};
use std::io::{self, IsTerminal};
use std::net::SocketAddr;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use anyhow::{Context, bail};
use clap::ValueEnum;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing::info;
use tracing_subscriber::EnvFilter;

use self::logs::PodLogs;
use super::Exit;
use super::connect::{Absent, connect_unless};
use super::output::{Output, Printer};
use super::room::of_host;
use super::settings::{Settings, bytes, duration};
use crate::engine::{self, Clock, Engine, LogRetention};
use crate::runtime::{Containerd, Runtime};
use crate::server::api::Api;
use crate::server::metrics::Measures;
use crate::server::{Listen, Server};
use crate::store::Store;

/// Where collectors of logs look for those of pods.
/// <https://kubernetes.io/docs/concepts/cluster-administration/logging/#log-location-node>
const LOG_DIR: &str = "/var/log/pods";
/// Held by the process that works with a root.
const LOCK: &str = "lock";
/// How long tasks may go on after everything is over.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(1);

/// Run the engine as a daemon that serves the Kubernetes API
///
/// Jobs and all other objects are kept below the root. Containers outlive the daemon: the next one takes
/// them over. `<root>/kubeconfig` is made for kubectl and every other client of Kubernetes; members of
/// the group `kiln` may use the unix socket.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub struct Args {
    /// Address for clients that speak TLS; `none` listens on the unix socket only
    #[arg(long, env = "KILN_LISTEN", value_name = "ADDRESS", default_value = "127.0.0.1:6550")]
    listen: Address,

    /// Unix socket for clients on this host
    #[arg(long, env = "KILN_SOCKET", value_name = "PATH", default_value = "/run/kiln/kiln.sock")]
    socket: PathBuf,

    /// How to write what goes on, to standard error; KILN_LOG says how much of it
    #[arg(long, env = "KILN_LOG_FORMAT", value_name = "FORMAT", value_enum, default_value_t = LogFormat::Text)]
    log_format: LogFormat,

    /// How long logs outlive their pods, and how much of them: an age, a size, or both
    #[arg(
        long,
        env = "KILN_LOG_RETENTION",
        value_name = "AGE,BYTES",
        default_value = "7d,10Gi",
        value_parser = log_retention
    )]
    log_retention: LogRetention,

    #[command(flatten)]
    settings: Settings,
}

const AFTER_HELP: &str = "\
Examples:
  kiln serve                                        As root, with containerd on its usual socket
  kubectl --kubeconfig /var/lib/kiln/kubeconfig get jobs
  kiln serve --root /tmp/kiln --socket /tmp/kiln/kiln.sock --listen none

SIGTERM or Ctrl-C stops the daemon; containers run on. KILN_LOG=debug shows what kiln does.";

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum LogFormat {
    Text,
    Json,
}

/// Where to listen by TLS, if anywhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Address(Option<SocketAddr>);

impl FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "none" {
            return Ok(Self(None));
        }
        let address = text.parse();
        let address = address.map_err(|_| {
            "expected an address and a port, as in 127.0.0.1:6550, or `none`".to_owned()
        })?;
        Ok(Self(Some(address)))
    }
}

/// Reads `7d,10Gi`, `7d`, `10Gi`; what is not said is as ever. `10GiB` is the same as `10Gi`.
fn log_retention(text: &str) -> Result<LogRetention, String> {
    let mut retention = LogRetention::default();
    let (mut age, mut size) = (None, None);
    for part in text.split(',').map(str::trim) {
        let plain = part.strip_suffix("iB").map(|number| format!("{number}i"));
        let known = match (duration(part), bytes(plain.as_deref().unwrap_or(part))) {
            (Ok(time), _) => age.replace(time).is_some(),
            (Err(_), Ok(number)) => size.replace(number).is_some(),
            (Err(_), Err(_)) => true,
        };
        if known {
            return Err("expected an age and a size, as in 7d,10Gi, or one of them".to_owned());
        }
    }
    retention.age = age.unwrap_or(retention.age);
    retention.bytes = size.unwrap_or(retention.bytes);
    Ok(retention)
}

/// What the daemon works with.
#[derive(Clone)]
pub struct Parts {
    pub runtime: Arc<dyn Runtime>,
    pub store: Store,
    pub clock: Clock,
    pub settings: engine::Settings,
    pub log_dir: PathBuf,
    pub listen: Listen,
}

impl std::fmt::Debug for Parts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Parts")
    }
}

/// Does what the arguments say.
pub(super) fn main(args: &Args) -> Exit {
    let Ok(printer) = Printer::standard(false) else { return Exit::Unreachable };
    trace(args.log_format, &printer);
    match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(threads) => {
            let exit = threads.block_on(async {
                let exit = run(args, &printer.output()).await;
                printer.finish().await;
                exit
            });
            threads.shutdown_timeout(SHUTDOWN_TIMEOUT);
            exit
        }
        // Nothing can be printed without it; the exit code says what is known.
        Err(_) => Exit::Unreachable,
    }
}

fn trace(format: LogFormat, printer: &Printer) {
    let diagnostics = printer.diagnostics();
    let filter = EnvFilter::try_from_env("KILN_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(move || diagnostics.clone())
        .with_ansi(io::stderr().is_terminal());
    // There is one already where a test runs several verbs.
    let _ = match format {
        LogFormat::Text => builder.with_target(false).try_init(),
        LogFormat::Json => builder.json().try_init(),
    };
}

async fn run(args: &Args, output: &Output) -> Exit {
    match serve(args).await {
        Ok(()) => Exit::Done,
        Err(error) => {
            output.say(&format!("error: {error:#}"));
            Exit::Unreachable
        }
    }
}

async fn serve(args: &Args) -> anyhow::Result<()> {
    let mut signals = Signals::watch().context("cannot watch for signals")?;
    let root = &args.settings.root;
    let _lock = claim(root)?;
    let log_dir = args.settings.log_dir.clone().unwrap_or_else(|| LOG_DIR.into());
    let clock = Clock::system();
    let how = (&args.settings, Absent::Wait);
    let connected = connect_unless(signals.next(), how, root, &log_dir, &clock).await?;
    let Some(connection) = connected else { return Ok(()) };
    let mut settings = args.settings.engine(None);
    settings.log_retention = args.log_retention;
    let (capacity, allocatable) = of_host(args.settings.max_pods, args.settings.reserve);
    let listen = Listen {
        socket: Some(args.socket.clone()),
        address: args.listen.0,
        root: root.clone(),
        host: settings.pod.node_name.clone(),
        host_ips: settings.pod.host_ips.clone(),
        container_runtime: format!("containerd://{}", connection.version),
        capacity,
        allocatable,
    };
    let begun = async {
        let store = Store::open(root).context("cannot open the store")?;
        let runtime: Arc<dyn Runtime> = Arc::<Containerd>::clone(&connection.runtime);
        Daemon::start(Parts { runtime, store, clock, settings, log_dir, listen }).await
    };
    let served = match begun.await {
        Ok(daemon) => {
            notify::ready();
            signals.next().await;
            notify::stopping();
            daemon.stop().await;
            Ok(())
        }
        Err(error) => Err(error),
    };
    connection.close().await;
    served
}

/// What asks the daemon to stop.
struct Signals {
    terminated: Signal,
    interrupted: Signal,
}

impl Signals {
    fn watch() -> io::Result<Self> {
        Ok(Self {
            terminated: signal(SignalKind::terminate())?,
            interrupted: signal(SignalKind::interrupt())?,
        })
    }

    /// Cancel-safe: a signal that nobody took is there the next time.
    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminated.recv() => {}
            _ = self.interrupted.recv() => {}
        }
    }
}

/// Makes the root where there is none, and keeps everybody else from working with it.
/// Nobody else works with this root for as long as the file is open.
pub(super) fn claim(root: &Path) -> anyhow::Result<File> {
    let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(root);
    made.with_context(|| {
        let root = root.display();
        format!("cannot make the directory `{root}`; name another one with `--root DIR`")
    })?;
    let path = root.join(LOCK);
    let lock = File::create(&path).with_context(|| format!("cannot write `{}`", path.display()))?;
    if lock.try_lock().is_err() {
        bail!("another `kiln serve` works with `{}`; stop it first", root.display());
    }
    Ok(lock)
}

/// What is measured beside the API.
#[derive(Debug)]
struct Measured {
    store: Store,
    /// There is none yet when the API begins to answer.
    engine: OnceLock<Arc<engine::Metrics>>,
}

impl Measures for Measured {
    fn write(&self, out: &mut String) {
        self.store.write_metrics(out);
        if let Some(engine) = self.engine.get() {
            engine.write(out);
        }
    }
}

/// The engine and the API, side by side on one store.
#[derive(Debug)]
pub struct Daemon {
    engine: Engine,
    server: Server,
}

impl Daemon {
    /// Starts both; needs a tokio runtime around it.
    ///
    /// # Errors
    /// The API cannot be served; then nothing runs.
    pub async fn start(parts: Parts) -> anyhow::Result<Self> {
        let logs = PodLogs::new(parts.store.clone(), parts.log_dir);
        let now = parts.clock.clone();
        let now = Arc::new(move || now.now());
        let measured = Arc::new(Measured { store: parts.store.clone(), engine: OnceLock::new() });
        let measures = Arc::<Measured>::clone(&measured);
        let api = Api::new(parts.store.clone(), now, Arc::new(logs)).with_measures(measures);
        let api = Arc::new(api);
        let server = Server::start(api, parts.listen).await.context("cannot serve the API")?;
        let engine = Engine::start(parts.store, parts.runtime, parts.clock, parts.settings);
        // It is set nowhere else.
        let _ = measured.engine.set(engine.metrics());
        info!(address = ?server.address(), "kiln serves");
        Ok(Self { engine, server })
    }

    pub fn server(&self) -> &Server {
        &self.server
    }

    /// Takes no more wishes, then decides no more. Containers run on.
    pub async fn stop(self) {
        info!("kiln stops; containers run on");
        self.server.stop().await;
        self.engine.stop().await;
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::UnixStream;

    use super::*;
    use crate::api::amounts::Amounts;
    use crate::runtime::fake::Fake;
    use crate::{job, pod};

    #[test]
    fn a_root_has_one_daemon() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("root");
        let first = claim(&root).unwrap();
        let second = claim(&root).unwrap_err().to_string();
        assert!(second.starts_with("another `kiln serve` works with"), "{second}");
        drop(first);
        claim(&root).unwrap();
    }

    #[tokio::test]
    async fn what_is_measured_is_documented() {
        let root = tempfile::tempdir().unwrap();
        let clock = Clock::system();
        let now = clock.clone();
        let socket = root.path().join("kiln.sock");
        let parts = Parts {
            runtime: Arc::new(Fake::new(move || now.now())),
            store: Store::in_memory().unwrap(),
            clock,
            settings: engine::Settings::new(job::Rules::default(), pod::Rules::default()),
            log_dir: root.path().to_owned(),
            listen: Listen {
                socket: Some(socket.clone()),
                address: None,
                root: root.path().to_owned(),
                host: "here".to_owned(),
                host_ips: Vec::new(),
                container_runtime: "containerd://0".to_owned(),
                capacity: Amounts::default(),
                allocatable: Amounts::default(),
            },
        };
        let daemon = Daemon::start(parts).await.unwrap();
        let ask = async |path: &str| {
            let mut stream = UnixStream::connect(&socket).await.unwrap();
            let head = format!("GET {path} HTTP/1.1\r\nhost: kiln\r\nconnection: close\r\n\r\n");
            stream.write_all(head.as_bytes()).await.unwrap();
            stream
        };
        let mut watch = ask("/api/v1/namespaces?watch=true").await;
        assert!(watch.read(&mut [0; 16]).await.unwrap() > 0);
        let mut answer = String::new();
        ask("/metrics").await.read_to_string(&mut answer).await.unwrap();
        daemon.stop().await;
        let answer = answer + &engine::metrics::tests::all();

        let documented = include_str!("../../../docs/metrics.md").lines().filter_map(|line| {
            let mut cells = line.split('|').map(str::trim).skip(1);
            let name = cells.next()?.strip_prefix('`')?.strip_suffix('`')?;
            Some(format!("{name} {}", cells.next()?))
        });
        let measured = answer.lines().filter_map(|line| {
            let (name, kind) = line.strip_prefix("# TYPE ")?.split_once(' ')?;
            let total = if kind == "counter" { "_total" } else { "" };
            Some(format!("{name}{total} {kind}"))
        });
        let documented: BTreeSet<_> = documented.collect();
        assert_eq!(documented, measured.collect(), "docs/metrics.md and what is measured differ");
        assert!(answer.contains("# EOF"), "{answer}");
    }

    #[test]
    fn logs_are_kept_for_a_time_and_up_to_a_size() {
        let read = |text: &str| log_retention(text).map(|kept| (kept.age.as_secs(), kept.bytes));
        assert_eq!(read("7d,10Gi"), Ok((7 * 86_400, 10 << 30)));
        assert_eq!(log_retention("7d,10GiB"), Ok(LogRetention::default()));
        assert_eq!(read("1M, 12h"), Ok((12 * 3600, 1_000_000)));
        assert_eq!(read("0"), Ok((0, 10 << 30)));
        assert_eq!(read("500Mi"), Ok((7 * 86_400, 500 << 20)));
        for text in ["", "7d,", "7d,1h", "1Gi,2Gi", "7 days", "7d,10Gi,1", "10GB"] {
            assert!(read(text).is_err(), "{text}");
        }
    }

    #[test]
    fn an_address_is_one_or_none() {
        assert_eq!("none".parse(), Ok(Address(None)));
        let address: Address = "[::1]:80".parse().unwrap();
        assert_eq!(address.0.map(|address| address.port()), Some(80));
        assert!("localhost".parse::<Address>().is_err());
    }
}
