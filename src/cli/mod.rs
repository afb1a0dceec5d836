//! The command line: one verb, one file.
//!
//! Owns: the arguments, what is printed, and the exit codes. Must not know: how anything is decided or
//! done. Only [`output`] prints.

mod connect;
pub mod output;
pub mod run;
pub mod serve;
pub mod settings;
mod yaml;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

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

Exit codes:
  0 done   1 a Job failed   2 wrong usage or manifest   3 containerd or the store cannot be reached
  4 timed out   130 interrupted";

#[derive(Debug, Subcommand)]
enum Verb {
    Run(Box<run::Args>),
    Serve(Box<serve::Args>),
}

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
    }
    .into()
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_arguments_are_consistent() {
        Kiln::command().debug_assert();
    }
}
