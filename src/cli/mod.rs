//! The command line: one verb, one file.
//!
//! Owns: the arguments, what is printed, and the exit codes. Must not know: how anything is decided or
//! done. Only [`output`] prints.

mod api_resources;
mod apply;
mod auth;
mod completion;
mod connect;
mod create;
mod delete;
mod describe;
mod diff;
mod doctor;
mod edit;
mod explain;
mod get;
mod immutable;
mod jsonpath;
mod kustomize;
mod logs;
mod manifests;
mod mark;
pub mod output;
mod patch;
pub mod remote;
mod replace;
mod rerun;
mod room;
pub mod run;
mod scale;
mod scratch;
pub mod serve;
pub mod settings;
mod store;
mod suspend;
mod table;
mod targets;
mod version;
mod wait;
mod written;
mod yaml;

use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, CommandFactory, Parser, Subcommand};
use tokio::signal::unix::{SignalKind, signal};

use self::output::{Output, Printer};
use self::remote::{Connection, Error, Remote};
use crate::engine::Clock;

/// How the process ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    Done,
    /// A Job failed, or a request was refused.
    Failed,
    /// Wrong usage, or a wrong manifest.
    Usage,
    /// containerd, the store or the server cannot be reached.
    Unreachable,
    TimedOut,
    Interrupted,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Done => 0,
            Exit::Failed => 1,
            Exit::Usage => 2,
            Exit::Unreachable => 3,
            Exit::TimedOut => 4,
            Exit::Interrupted => 130,
        })
    }
}

/// Runs Kubernetes Jobs as real containers, straight on containerd.
#[derive(Debug, Parser)]
#[command(name = "kiln", version, arg_required_else_help = true, after_help = AFTER_HELP)]
struct Kiln {
    #[command(subcommand)]
    verb: Verb,
}

const AFTER_HELP: &str = "\
Examples:
  kiln run -f job.yaml     Run a Job to its end, show its output, exit with its result
  kiln help run            All that `run` can be told
  kiln create -f job.yaml  Have `kiln serve`, or any cluster, run it
  kiln logs -f job/NAME    Follow it to its end

Exit codes:
  0 done   1 a Job failed, or the request was refused   2 wrong usage or manifest
  3 containerd, the store or the server cannot be reached
  4 timed out   130 interrupted";

#[derive(Debug, Subcommand)]
enum Verb {
    Run(Box<run::Args>),
    Serve(Box<serve::Args>),
    Doctor(Box<doctor::Args>),
    Store(Box<store::Args>),
    Completion(completion::Args),
    Man(completion::ManArgs),
    #[command(flatten)]
    Asked(Box<Request>),
}

/// What a server is asked.
#[derive(Debug, Subcommand)]
enum Request {
    Create(With<create::Args>),
    Apply(With<apply::Args>),
    Replace(With<replace::Args>),
    Diff(With<diff::Args>),
    Delete(With<delete::Args>),
    Get(With<get::Args>),
    Describe(With<describe::Args>),
    Explain(With<explain::Args>),
    Edit(With<edit::Args>),
    Patch(With<patch::Args>),
    Label(With<mark::LabelArgs>),
    Annotate(With<mark::AnnotateArgs>),
    Logs(With<logs::Args>),
    Scale(With<scale::Args>),
    Wait(With<wait::Args>),
    Suspend(With<suspend::SuspendArgs>),
    Resume(With<suspend::ResumeArgs>),
    Rerun(With<rerun::Args>),
    Auth(With<auth::Args>),
    ApiResources(With<api_resources::Args>),
    Version(With<version::Args>),
}

impl Request {
    fn connection(&self) -> &Connection {
        match self {
            Self::Create(args) => &args.connection,
            Self::Apply(args) => &args.connection,
            Self::Replace(args) => &args.connection,
            Self::Diff(args) => &args.connection,
            Self::Delete(args) => &args.connection,
            Self::Get(args) => &args.connection,
            Self::Describe(args) => &args.connection,
            Self::Explain(args) => &args.connection,
            Self::Edit(args) => &args.connection,
            Self::Patch(args) => &args.connection,
            Self::Label(args) => &args.connection,
            Self::Annotate(args) => &args.connection,
            Self::Logs(args) => &args.connection,
            Self::Scale(args) => &args.connection,
            Self::Wait(args) => &args.connection,
            Self::Suspend(args) => &args.connection,
            Self::Resume(args) => &args.connection,
            Self::Rerun(args) => &args.connection,
            Self::Auth(args) => &args.connection,
            Self::ApiResources(args) => &args.connection,
            Self::Version(args) => &args.connection,
        }
    }
}

// The arguments of a verb, and which server it is for. What the documentation of this type and of
// `Connection` said would be shown in place of what the verb says of itself.
#[derive(Debug, Args)]
struct With<A: Args> {
    #[command(flatten)]
    verb: A,
    #[command(flatten)]
    connection: Connection,
}

/// How long tasks may go on after everything is over.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_millis(200);

/// Does what the arguments of the process say.
pub fn main() -> ExitCode {
    let kiln = match Kiln::try_parse() {
        Ok(kiln) => kiln,
        Err(error) => {
            // Nobody reads it, then.
            let _ = error.print();
            let code = if error.use_stderr() { Exit::Usage } else { Exit::Done };
            return code.into();
        }
    };
    match kiln.verb {
        Verb::Run(args) => run::main(&args),
        Verb::Serve(args) => serve::main(&args),
        Verb::Doctor(args) => printed(async |output| doctor::run(&args, output).await),
        Verb::Store(args) => printed(async |output| store::run(&args, output)),
        Verb::Completion(args) => {
            printed(async |output| completion::run(&args, Kiln::command(), output))
        }
        Verb::Man(args) => printed(async |output| completion::man(&args, Kiln::command(), output)),
        Verb::Asked(request) => asked(&request),
    }
    .into()
}

/// Asks a server what the arguments say, the first of which is the name of the program; for use within
/// a process.
pub async fn ask(arguments: &[&str], output: &Output) -> Exit {
    match Kiln::try_parse_from(arguments) {
        Ok(Kiln { verb: Verb::Asked(request) }) => answer(&request, output).await,
        Ok(Kiln { verb: Verb::Doctor(args) }) => doctor::run(&args, output).await,
        Ok(Kiln { verb: Verb::Store(args) }) => store::run(&args, output),
        Ok(Kiln { verb: Verb::Run(_) | Verb::Serve(_) | Verb::Completion(_) | Verb::Man(_) }) => {
            Exit::Usage
        }
        Err(error) => {
            output.say(&error.to_string());
            Exit::Usage
        }
    }
}

/// Prints, and ends when all is printed.
fn printed(work: impl AsyncFnOnce(&Output) -> Exit) -> Exit {
    let Ok(printer) = Printer::standard(false) else { return Exit::Unreachable };
    let Ok(threads) = tokio::runtime::Builder::new_current_thread().enable_all().build() else {
        return Exit::Unreachable;
    };
    threads.block_on(async {
        let exit = work(&printer.output()).await;
        printer.finish().await;
        exit
    })
}

fn asked(request: &Request) -> Exit {
    let Ok(printer) = Printer::standard(false) else { return Exit::Unreachable };
    let Ok(threads) = tokio::runtime::Builder::new_current_thread().enable_all().build() else {
        // Nothing can be printed without it; the exit code says what is known.
        return Exit::Unreachable;
    };
    let exit = threads.block_on(async {
        let output = printer.output();
        // Each of the others only ends the work.
        let exit = tokio::select! {
            exit = answer(request, &output) => exit,
            // An interrupt while the user edits is the editor's.
            () = interrupted(), if !matches!(request, Request::Edit(_)) => Exit::Interrupted,
            () = output.closed() => Exit::Done,
        };
        drop(output);
        printer.finish().await;
        exit
    });
    threads.shutdown_timeout(SHUTDOWN_TIMEOUT);
    exit
}

async fn interrupted() {
    let kinds = [SignalKind::interrupt(), SignalKind::terminate()];
    let [Ok(mut interrupt), Ok(mut terminate)] = kinds.map(signal) else {
        return std::future::pending().await;
    };
    // Either only ends the wait.
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
}

async fn answer(request: &Request, output: &Output) -> Exit {
    let connection = request.connection();
    let answered = async {
        let remote = Remote::new(connection, output.clone(), Clock::system()).await?;
        match request {
            Request::Create(args) => create::run(&args.verb, &remote).await,
            Request::Apply(args) => apply::run(&args.verb, &remote).await,
            Request::Replace(args) => replace::run(&args.verb, &remote).await,
            Request::Diff(args) => diff::run(&args.verb, &remote).await,
            Request::Delete(args) => delete::run(&args.verb, &remote).await,
            Request::Get(args) => get::run(&args.verb, &remote).await,
            Request::Describe(args) => describe::run(&args.verb, &remote).await,
            Request::Explain(args) => explain::run(&args.verb, &remote).await,
            Request::Edit(args) => edit::run(&args.verb, &remote).await,
            Request::Patch(args) => patch::run(&args.verb, &remote).await,
            Request::Label(args) => mark::label(&args.verb, &remote).await,
            Request::Annotate(args) => mark::annotate(&args.verb, &remote).await,
            Request::Logs(args) => logs::run(&args.verb, &remote).await,
            Request::Scale(args) => scale::run(&args.verb, &remote).await,
            Request::Wait(args) => wait::run(&args.verb, &remote).await,
            Request::Suspend(args) => suspend::suspend(&args.verb, &remote).await,
            Request::Resume(args) => suspend::resume(&args.verb, &remote).await,
            Request::Rerun(args) => rerun::run(&args.verb, &remote).await,
            Request::Auth(args) => auth::run(&args.verb, &remote).await,
            Request::ApiResources(args) => api_resources::run(&args.verb, &remote).await,
            Request::Version(args) => version::run(&args.verb, &remote).await,
        }
    };
    answered.await.unwrap_or_else(|error: Error| {
        output.say(&error.to_string());
        error.exit()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_arguments_are_consistent() {
        Kiln::command().debug_assert();
    }

    /// `| verb | what |` of each, and of what is below it.
    fn rows(command: &clap::Command, prefix: &str) -> String {
        let verbs = command.get_subcommands().filter(|verb| !verb.is_hide_set());
        let row = |verb: &clap::Command| {
            let name = format!("{prefix}{}", verb.get_name());
            let about = verb.get_about().expect("each verb says what it does");
            format!("| `{name}` | {about} |\n") + &rows(verb, &format!("{name} "))
        };
        verbs.map(row).collect()
    }

    #[test]
    fn every_verb_is_in_the_documentation_with_what_it_does() {
        let expected = rows(&Kiln::command(), "");
        let documented = include_str!("../../docs/cli.md");
        let is_row = |line: &&str| line.starts_with("| `");
        let documented: String =
            documented.lines().filter(is_row).map(|line| line.to_owned() + "\n").collect();
        assert_eq!(documented, expected, "the table of docs/cli.md and the verbs differ");
    }
}
