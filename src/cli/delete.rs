//! `kiln delete`: objects, and the wait until they are gone.
//!
//! Owns: which objects are meant. Must not know: what else goes with them.

use std::time::Duration;

use clap::{ArgAction, ValueEnum};
use http::Method;
use serde_json::json;

use super::Exit;
use super::remote::{Error, JSON, Observer, Remote};
use super::targets::{Selection, Target};

/// Delete objects, and wait until they are gone
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  kiln delete -f job.yaml
  kiln delete job pi --wait=false
  kiln delete jobs,cronjobs -l app=nightly
  kiln delete pods --all --grace-period=0 --force")]
pub(super) struct Args {
    /// `TYPE NAME...`, `TYPE/NAME...`, or TYPE with --all or -l
    objects: Vec<String>,

    #[command(flatten)]
    selection: Selection,

    /// What becomes of the objects that these own
    #[arg(long, value_enum, default_value_t = Cascade::Background)]
    cascade: Cascade,

    /// Seconds that pods have to end by themselves
    #[arg(long, value_name = "SECONDS")]
    grace_period: Option<u32>,

    /// Kill at once what runs
    #[arg(long)]
    force: bool,

    /// Whether to wait until they are gone
    #[arg(long, default_value_t = true, num_args = 0..=1, default_missing_value = "true", action = ArgAction::Set)]
    wait: bool,

    /// What is not there is fine
    #[arg(long)]
    ignore_not_found: bool,

    /// How long to wait [default: as long as it takes]
    #[arg(long, value_name = "TIME", value_parser = super::settings::duration)]
    timeout: Option<Duration>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Cascade {
    Background,
    Foreground,
    Orphan,
}

pub(super) async fn run(args: &Args, remote: &Remote) -> Result<Exit, Error> {
    let targets = args.selection.find(&args.objects, remote).await?;
    if targets.is_empty() {
        remote.print("No resources found\n");
    }
    let (mut gone, mut exit) = (Vec::new(), Exit::Done);
    for target in targets {
        match delete(args, &target, remote).await {
            Ok(uid) => gone.push((target, uid)),
            Err(error) if error.is_not_found() => {
                if !args.ignore_not_found {
                    remote.output.say(&error.to_string());
                    exit = Exit::Failed;
                }
            }
            Err(error) => return Err(error),
        }
    }
    if args.wait {
        let until = args.timeout.and_then(|timeout| remote.clock.now().checked_add(timeout).ok());
        // What was waited for in vain is dropped.
        tokio::select! {
            waited = all_gone(&gone, remote) => waited?,
            () = remote.clock.sleep_until(until) => {
                let message = "timed out waiting for the condition".to_owned();
                return Err(Error::TimedOut { message });
            }
        }
    }
    Ok(exit)
}

/// The uid of what goes.
async fn delete(args: &Args, target: &Target, remote: &Remote) -> Result<String, Error> {
    let Target { resource, namespace, name } = target;
    let path = target.path();
    let uid = match args.wait {
        true => remote.get(&path).await?["metadata"]["uid"].as_str().unwrap_or_default().to_owned(),
        false => String::new(),
    };
    let policy = match args.cascade {
        Cascade::Background => "Background",
        Cascade::Foreground => "Foreground",
        Cascade::Orphan => "Orphan",
    };
    let mut options =
        json!({"kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": policy});
    let grace = args.grace_period.or_else(|| args.force.then_some(0));
    if let Some(seconds) = grace {
        options["gracePeriodSeconds"] = seconds.into();
    }
    remote.send(Method::DELETE, &path, JSON, &options).await?;
    let forced = if args.force && grace == Some(0) { "force deleted" } else { "deleted" };
    let from =
        if resource.namespaced { format!(" from {namespace} namespace") } else { String::new() };
    remote.print(format!("{resource} {name:?} {forced}{from}\n"));
    Ok(uid)
}

/// Another object of the same name is not what was deleted.
async fn all_gone(deleted: &[(Target, String)], remote: &Remote) -> Result<(), Error> {
    for (target, uid) in deleted {
        let mut observer =
            Observer::within(remote, &target.resource, &target.namespace, &target.name);
        while let Some(object) = observer.next().await? {
            if object["metadata"]["uid"] != uid.as_str() {
                break;
            }
        }
    }
    Ok(())
}
