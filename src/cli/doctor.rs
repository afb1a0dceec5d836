//! `kiln doctor`: what this host has and lacks, with the cure.
//!
//! Owns: how it is told, and the exit code. Must not know: what is looked at, which is of
//! `runtime::inspect`.

use clap::ValueEnum;

use super::Exit;
use super::get::indented;
use super::output::Output;
use super::settings::{self, Network, Settings};
use super::table::Columns;
use crate::monitor;
use crate::runtime::inspect::{Asked, Finding, Verdict, inspect};

/// Show what this host has and lacks for running containers
///
/// Exit codes: 0 nothing that is needed is missing, 1 something is.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  kiln doctor
  kiln doctor --containerd managed
  kiln doctor -o json")]
pub(super) struct Args {
    /// json
    #[arg(short, long, value_enum, value_name = "FORM")]
    output: Option<Form>,

    #[command(flatten)]
    settings: Settings,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Form {
    Json,
}

pub(super) async fn run(args: &Args, output: &Output) -> Exit {
    let settings = &args.settings;
    let kiln = std::env::current_exe().unwrap_or_else(|_| "kiln".into());
    let monitor = monitor::binary(&kiln);
    let log_dir = settings.log_dir.clone().unwrap_or_else(|| settings.root.clone());
    let plugins = match settings.network {
        Some(Network::Cni) | None => Some(settings.plugins()),
        Some(Network::Host | Network::None) => None,
    };
    let found = inspect(&Asked {
        containerd: match &settings.containerd {
            settings::Containerd::Managed => None,
            settings::Containerd::Socket(path) => Some(path),
        },
        runtime: &settings.runtime,
        runtime_binary: settings.runtime_binary.as_deref(),
        monitor: &monitor,
        root: &settings.root,
        log_dir: &log_dir,
        plugins: plugins.as_ref(),
        needs_plugins: settings.network == Some(Network::Cni),
    })
    .await;
    let text = match args.output {
        Some(Form::Json) => indented(&serde_json::json!(found)),
        None => Ok(show(&found)),
    };
    match text {
        Ok(text) => output.print(text),
        Err(error) => {
            output.say(&error.to_string());
            return Exit::Failed;
        }
    }
    let fails = found.iter().any(|finding| finding.verdict == Verdict::Fail);
    if fails { Exit::Failed } else { Exit::Done }
}

/// A line each; the cure below what needs it.
fn show(found: &[Finding]) -> String {
    let verdict = |finding: &Finding| match finding.verdict {
        Verdict::Ok => "ok",
        Verdict::Warn => "warn",
        Verdict::Fail => "FAIL",
    };
    let rows: Vec<_> = found
        .iter()
        .map(|finding| {
            vec![verdict(finding).to_owned(), finding.check.to_owned(), finding.found.clone()]
        })
        .collect();
    let table = Columns::default().set(&rows);
    let mut text = String::new();
    for (line, finding) in table.lines().zip(found) {
        text = text + line + "\n";
        if let Some(cure) = &finding.cure {
            text = text + "       cure: " + cure + "\n";
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_told_with_the_cure_below_it() {
        let finding = |check, verdict, cure: Option<&str>| Finding {
            check,
            verdict,
            found: "x".to_owned(),
            cure: cure.map(str::to_owned),
        };
        let found = [
            finding("kernel", Verdict::Ok, None),
            finding("user", Verdict::Fail, Some("run kiln as root")),
        ];
        assert_eq!(
            show(&found),
            "ok     kernel   x\nFAIL   user     x\n       cure: run kiln as root\n"
        );
    }
}
