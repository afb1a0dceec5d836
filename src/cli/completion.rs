//! `kiln completion` and `kiln man`: what shells and readers want to know of the commands.
//!
//! Owns: where it goes. Must not know: the commands themselves.

use std::path::PathBuf;

use clap::Command;
use clap_complete::Shell;

use super::Exit;
use super::output::Output;

/// Print the completions for a shell
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[arg(value_enum)]
    shell: Shell,
}

/// Write the man pages into a directory
#[derive(Debug, clap::Args)]
#[command(hide = true)]
pub(super) struct ManArgs {
    dir: PathBuf,
}

pub(super) fn run(args: &Args, mut command: Command, output: &Output) -> Exit {
    let mut bytes = Vec::new();
    clap_complete::generate(args.shell, &mut command, "kiln", &mut bytes);
    output.print(String::from_utf8_lossy(&bytes).into_owned());
    Exit::Done
}

pub(super) fn man(args: &ManArgs, command: Command, output: &Output) -> Exit {
    match clap_mangen::generate_to(command, &args.dir) {
        Ok(()) => Exit::Done,
        Err(error) => {
            output.say(&format!("error: cannot write to `{}`: {error}", args.dir.display()));
            Exit::Failed
        }
    }
}
