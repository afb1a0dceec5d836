//! `kiln run`: Jobs, to their end, in the foreground.
//!
//! Owns: the verb's arguments, and what it needs: a root of its own, signals, a place to print.
//! Must not know: how a run goes on (`course`).

mod abandoned;
mod course;
mod feed;
mod follow;
mod options;
mod outcome;
mod report;
mod root;
pub(super) mod sources;
#[cfg(test)]
mod tests;
mod view;

use std::io::{self, IsTerminal};
use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use clap::ValueEnum;
use k8s_openapi::api::batch::v1::Job;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;

pub use self::course::core;
pub use self::options::{Host, Options, Progress};
pub use self::outcome::Format;
use self::root::Root;
use super::Exit;
use super::connect::{Absent, connect_unless};
use super::output::{Output, Printer};
use super::settings::{Settings, duration};
use crate::engine::Clock;
use crate::runtime::{Containerd, Runtime};
use crate::server::manifests::{self, Admitted};
use crate::server::objects;
use crate::store::Store;

/// How long to wait for a terminal that does not take what is printed, after an interrupt.
const PRINT_PATIENCE: Duration = Duration::from_secs(2);
/// How long tasks may go on after everything is over.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(1);

/// Run Jobs to their end, in the foreground
///
/// Reads manifests, runs all their Jobs on containerd, and removes everything again. What the containers
/// write goes to standard output and standard error as it comes; kiln's own words go to standard error.
/// The exit code is the result: 0 when all Jobs are complete, 1 when one has failed.
///
/// Ctrl-C deletes the Jobs, and their containers get their grace period; a second Ctrl-C kills them at
/// once. Either way nothing is left behind but the pulled images.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub struct Args {
    /// Manifest: a file, a directory of them, or - for standard input; may be given several times
    #[arg(short = 'f', long = "filename", value_name = "FILE", required = true, num_args = 1..)]
    filenames: Vec<PathBuf>,

    /// Print the containers' lines as they are, without the pods' names
    #[arg(long)]
    no_prefix: bool,

    /// Print the finished Jobs instead of the table; the containers' output goes to standard error
    #[arg(short, long, value_name = "FORMAT", value_enum)]
    output: Option<Format>,

    /// Give up after this time: the Jobs are deleted, and the exit code is 4
    #[arg(long, value_name = "TIME", value_parser = duration)]
    timeout: Option<Duration>,

    /// How to show what goes on: `auto` is a live view on a terminal, plain lines otherwise
    #[arg(long, value_name = "HOW", value_enum, default_value_t = ProgressMode::Auto)]
    progress: ProgressMode,

    /// Fail a Job whose pods cannot get an image for this long; 0 waits for ever
    #[arg(
        long,
        env = "KILN_PULL_DEADLINE",
        value_name = "TIME",
        default_value = "5m",
        value_parser = duration
    )]
    pull_deadline: Duration,

    #[command(flatten)]
    settings: Settings,
}

const AFTER_HELP: &str = "\
Examples:
  kiln run -f job.yaml                       One Job, or all Jobs of the file
  kiln run -f a.yaml -f jobs/                Several files; all manifests of a directory
  generate | kiln run -f - --no-prefix       From standard input; output as the containers write it
  kiln run -f job.yaml -o json | jq .status  The finished Job, for machines
  kiln run -f job.yaml --timeout 10m         Not longer than that

Times are written as 500ms, 30s, 5m or 1h30m. KILN_LOG=debug shows what kiln does.

Exit codes:
  0 all Jobs are complete   1 a Job failed   2 wrong usage or manifest
  3 containerd or the store cannot be reached   4 timed out   130 interrupted";

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum ProgressMode {
    Auto,
    Plain,
    None,
}

/// Does what the arguments say.
pub(super) fn main(args: &Args) -> Exit {
    let live = args.progress == ProgressMode::Auto
        && io::stderr().is_terminal()
        && std::env::var_os("TERM").is_none_or(|term| term != "dumb");
    let Ok(printer) = Printer::standard(live) else { return Exit::Unreachable };
    trace(&printer);
    match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(threads) => {
            let exit = threads.block_on(async {
                let exit = run(args, &printer, live).await;
                print_the_rest(printer, exit).await;
                exit
            });
            threads.shutdown_timeout(SHUTDOWN_TIMEOUT);
            exit
        }
        // Nothing can be printed without it; the exit code says what is known.
        Err(_) => Exit::Unreachable,
    }
}

/// Waits until everything is printed, or until nobody wants to wait any more.
async fn print_the_rest(printer: Printer, exit: Exit) {
    let mut tasks = JoinSet::new();
    let interrupted = async {
        match interrupts(&mut tasks) {
            Ok(mut interrupts) => interrupts.recv().await,
            Err(_) => std::future::pending().await,
        }
    };
    let patience = if exit == Exit::Interrupted { PRINT_PATIENCE } else { Duration::MAX };
    let finished = tokio::time::timeout(patience, printer.finish());
    tokio::select! {
        _ = finished => {}
        _ = interrupted => {}
    }
}

/// Diagnostics, for those who ask with `KILN_LOG`; warnings for everybody.
fn trace(printer: &Printer) {
    let diagnostics = printer.diagnostics();
    let filter = EnvFilter::try_from_env("KILN_LOG").unwrap_or_else(|_| EnvFilter::new("warn"));
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(move || diagnostics.clone())
        .with_target(false)
        .without_time()
        .with_ansi(io::stderr().is_terminal());
    // There is one already where a test runs several verbs.
    let _ = subscriber.try_init();
}

async fn run(args: &Args, printer: &Printer, live: bool) -> Exit {
    let output = printer.output();
    let clock = Clock::system();
    let jobs = match admit(&args.filenames, &clock) {
        Ok(jobs) => jobs,
        Err(errors) => {
            for error in errors {
                output.say(&format!("error: {error}"));
            }
            return Exit::Usage;
        }
    };
    let progress = match args.progress {
        ProgressMode::Auto if live => Progress::Live(printer.view()),
        ProgressMode::Auto | ProgressMode::Plain => Progress::Plain,
        ProgressMode::None => Progress::Nothing,
    };
    let options =
        Options { prefix: !args.no_prefix, format: args.output, timeout: args.timeout, progress };
    match run_jobs(args, options, jobs, output.clone(), clock).await {
        Ok(exit) => exit,
        Err(error) => {
            output.say(&format!("error: {error:#}{}", cure(&error)));
            Exit::Unreachable
        }
    }
}

/// What to do about an error that does not say so itself.
fn cure(error: &anyhow::Error) -> &'static str {
    let is_full = |cause: &(dyn std::error::Error + 'static)| {
        cause.downcast_ref::<io::Error>().is_some_and(|e| e.kind() == io::ErrorKind::StorageFull)
    };
    if error.chain().any(is_full) {
        "; free some space, or name a root on another disk with `--root DIR`"
    } else {
        ""
    }
}

/// All Jobs of all files and what they need, or all that is wrong with them.
fn admit(filenames: &[PathBuf], clock: &Clock) -> Result<Admitted, Vec<String>> {
    let sources = sources::read(filenames, false)?;
    let admitted = manifests::admit(&sources, clock.now());
    let admitted = admitted.and_then(|all| manifests::can_begin(&all.jobs).map(|()| all));
    let admitted = admitted.map(|mut all| {
        all.jobs.iter_mut().for_each(let_go);
        all
    });
    admitted.map_err(|error| {
        if let objects::Error::Refused { refusals } = &error {
            return refusals.iter().map(ToString::to_string).collect();
        }
        vec![format!("{:#}", anyhow::Error::from(error))]
    })
}

/// Nobody else sees the pods of a run, and could let go of what a finalizer holds.
fn let_go(job: &mut Job) {
    if let Some(meta) = job.spec.as_mut().and_then(|spec| spec.template.metadata.as_mut()) {
        meta.finalizers = None;
    }
}

async fn run_jobs(
    args: &Args,
    options: Options,
    jobs: Admitted,
    output: Output,
    clock: Clock,
) -> anyhow::Result<Exit> {
    let mut tasks = JoinSet::new();
    let mut interrupts = interrupts(&mut tasks).context("cannot watch for signals")?;
    if !clear_unless_interrupted(&args.settings, &clock, &output, &mut interrupts).await {
        return Ok(Exit::Interrupted);
    }
    let root = Root::claim(&args.settings.root).with_context(|| {
        let base = args.settings.root.display();
        format!("cannot make a directory below `{base}`; name another one with `--root DIR`")
    })?;
    if let Err(error) = root.note_containerd(&args.settings.containerd.to_string()) {
        return leave(root, Err(error).context("cannot write to the root"));
    }
    let log_dir = args.settings.log_dir.clone().unwrap_or_else(|| root.path().join("logs"));
    let interrupted = async { interrupts.recv().await.unwrap_or_default() };
    let how = (&args.settings, Absent::Fail);
    let connected = connect_unless(interrupted, how, root.path(), &log_dir, &clock).await;
    let connection = match connected {
        Ok(Some(connection)) => connection,
        Ok(None) => return leave(root, Ok(Exit::Interrupted)),
        Err(error) => return leave(root, Err(error)),
    };
    let exit = match Store::open_for_this_process(root.path()).context("cannot open the store") {
        Ok(store) => {
            let deadline = Some(args.pull_deadline).filter(|time| !time.is_zero());
            let settings = args.settings.engine(deadline);
            let runtime: Arc<dyn Runtime> = Arc::<Containerd>::clone(&connection.runtime);
            let host = Host { runtime, store, clock, settings, log_dir };
            core(&host, options, jobs, output.clone(), interrupts).await
        }
        Err(error) => Err(error),
    };
    if connection.close().await {
        return leave(root, exit);
    }
    let path = root.path().display();
    output.say(&format!(
        "warning: containers may be left behind: the next `kiln run` with this root clears them up, as \
         soon as containerd answers; they are noted in `{path}`"
    ));
    exit
}

/// Clears up after runs that were killed. What is not cleared up then is still abandoned. Answers `false`
/// where it was interrupted: a containerd that was started for it has ended, unless nobody waited for that.
async fn clear_unless_interrupted(
    settings: &Settings,
    clock: &Clock,
    output: &Output,
    interrupts: &mut mpsc::Receiver<()>,
) -> bool {
    let cancel = CancellationToken::new();
    let mut clearing = pin!(abandoned::clear(settings, clock, output, &cancel));
    tokio::select! {
        () = &mut clearing => return true,
        _ = interrupts.recv() => cancel.cancel(),
    }
    tokio::select! {
        () = clearing => {}
        _ = interrupts.recv() => {}
    }
    false
}

/// Nothing of a run stays, however it ended.
fn leave(root: Root, exit: anyhow::Result<Exit>) -> anyhow::Result<Exit> {
    let path = root.path().display().to_string();
    let removed = root.remove().with_context(|| format!("cannot remove `{path}`"));
    exit.and_then(|exit| removed.map(|()| exit))
}

/// Each SIGINT and each SIGTERM.
fn interrupts(tasks: &mut JoinSet<()>) -> io::Result<mpsc::Receiver<()>> {
    let (sender, interrupts) = mpsc::channel(1);
    for kind in [SignalKind::interrupt(), SignalKind::terminate()] {
        let (mut signals, sender) = (signal(kind)?, sender.clone());
        tasks.spawn(async move {
            while signals.recv().await.is_some() && sender.send(()).await.is_ok() {}
        });
    }
    Ok(interrupts)
}
