//! `kiln store`: looking after the file of `kiln serve`.
//!
//! Owns: how it is asked and told, and that nothing is put under a daemon that runs. Must not know: what a
//! store is made of.

use std::fmt::Write;
use std::path::PathBuf;

use clap::Subcommand;

use super::Exit;
use super::output::Output;
use super::serve::claim;
use crate::store::upkeep::{self, Checked, Error};

/// Check, back up or restore the store of `kiln serve`
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  kiln store check
  kiln store backup /backup/kiln-$(date +%F).db    While `kiln serve` runs, too
  kiln store restore /backup/kiln-2026-01-31.db --force

After a restore, `kiln serve` ends what runs and is not known to the backup.")]
pub(super) struct Args {
    #[command(subcommand)]
    verb: Verb,

    /// Directory of kiln's own files
    #[arg(
        long,
        env = "KILN_ROOT",
        value_name = "DIR",
        default_value = "/var/lib/kiln",
        global = true
    )]
    root: PathBuf,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Read the whole store, or a backup, and show what is in it and what is wrong with it
    ///
    /// Exit codes: 0 nothing is wrong, 1 something is, 3 it cannot be read.
    Check {
        /// A backup instead of the store
        file: Option<PathBuf>,
    },
    /// Copy the store as it is at one moment; `kiln serve` may go on meanwhile
    Backup {
        /// Where to; only its owner may read it, for it has Secrets in it
        file: PathBuf,
        /// Replace the file
        #[arg(long)]
        force: bool,
    },
    /// Put a backup in the place of the store, when no `kiln serve` runs
    Restore {
        /// The backup, which is checked first
        file: PathBuf,
        /// Replace the store that there is; it is kept as `store.db.old`
        #[arg(long)]
        force: bool,
    },
}

pub(super) fn run(args: &Args, output: &Output) -> Exit {
    match act(args, output) {
        Ok(exit) => exit,
        Err(error) => {
            output.say(&format!("error: {error:#}"));
            match error.downcast_ref::<Error>() {
                Some(Error::Exists { .. } | Error::NotWhole { .. } | Error::Newer(_)) => {
                    Exit::Failed
                }
                Some(
                    Error::Absent { .. }
                    | Error::Read { .. }
                    | Error::Copy { .. }
                    | Error::Place { .. },
                )
                | None => Exit::Unreachable,
            }
        }
    }
}

fn act(args: &Args, output: &Output) -> anyhow::Result<Exit> {
    let root = &args.root;
    match &args.verb {
        Verb::Check { file } => {
            let path = file.clone().unwrap_or_else(|| upkeep::file(root));
            let checked = upkeep::check(&path)?;
            output.print(show(&checked));
            Ok(if checked.problems.is_empty() { Exit::Done } else { Exit::Failed })
        }
        Verb::Backup { file, force } => {
            upkeep::backup(root, file, *force)?;
            output.print(format!("backed up to {}\n", file.display()));
            Ok(Exit::Done)
        }
        Verb::Restore { file, force } => {
            let _lock = claim(root)?;
            let restored = upkeep::restore(root, file, *force)?;
            output.print(format!("restored {} objects\n", restored.objects.values().sum::<u64>()));
            Ok(Exit::Done)
        }
    }
}

fn show(checked: &Checked) -> String {
    let mut text = format!("version {}, revision {}\n", checked.version, checked.revision);
    for (kind, count) in &checked.objects {
        // A String takes everything.
        let _ = writeln!(text, "{count:>8} {kind}");
    }
    for problem in &checked.problems {
        let _ = writeln!(text, "wrong: {problem}");
    }
    if checked.problems.is_empty() {
        text.push_str("nothing is wrong\n");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::output::Printer;
    use crate::store::Store;

    async fn ask(root: &std::path::Path, verb: Verb) -> (Exit, String) {
        let (printer, captured) = Printer::captured().unwrap();
        let exit = run(&Args { verb, root: root.to_owned() }, &printer.output());
        printer.finish().await;
        (exit, captured.stdout() + &captured.stderr())
    }

    #[tokio::test]
    async fn a_store_is_checked_backed_up_and_restored_but_not_under_a_daemon() {
        let dir = tempfile::tempdir().unwrap();
        let (root, file) = (dir.path().join("root"), dir.path().join("copy"));
        let (exit, told) = ask(&root, Verb::Check { file: None }).await;
        assert_eq!(exit, Exit::Unreachable);
        assert!(told.starts_with("error: there is no store at"), "{told}");
        let daemon = claim(&root).unwrap();
        drop(Store::open(&root).unwrap());
        let (exit, told) = ask(&root, Verb::Check { file: None }).await;
        let expected = (Exit::Done, "version 2, revision 0\nnothing is wrong\n");
        assert_eq!((exit, told.as_str()), expected);
        let backup = Verb::Backup { file: file.clone(), force: false };
        assert_eq!(ask(&root, backup).await.0, Exit::Done);
        let restore = |force| Verb::Restore { file: file.clone(), force };
        let (exit, told) = ask(&root, restore(true)).await;
        assert_eq!(exit, Exit::Unreachable);
        assert!(told.contains("another `kiln serve` works with"), "{told}");
        drop(daemon);
        assert_eq!(ask(&root, restore(false)).await.0, Exit::Failed);
        let restored = (Exit::Done, "restored 0 objects\n".to_owned());
        assert_eq!(ask(&root, restore(true)).await, restored);
    }
}
