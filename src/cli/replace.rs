//! `kiln replace`: objects exactly as files say.
//!
//! Owns: which version is replaced. Must not know: what may be changed, which the server says.

use http::Method;
use serde_json::{Value, json};

use super::Exit;
use super::create::{STRICTLY, make};
use super::manifests::{Files, Named};
use super::remote::{Error, JSON, Observer, Remote};
use super::targets::Target;
use super::written::Writing;

/// Put objects in the place of those that are there
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  kiln replace -f settings.yaml
  kiln get job pi -o yaml | sed 's/parallelism: 1/parallelism: 2/' | kiln replace -f -
  kiln replace --force -f job.yaml   Delete the Job and create it anew")]
pub(super) struct Args {
    #[command(flatten)]
    files: Files,

    /// Delete what is there, wait until it is gone, and create it anew
    #[arg(long)]
    force: bool,

    /// With --force: seconds that pods have to end by themselves
    #[arg(long, value_name = "SECONDS", requires = "force")]
    grace_period: Option<u32>,

    #[command(flatten)]
    writing: Writing,
}

pub(super) async fn run(args: &Args, remote: &Remote) -> Result<Exit, Error> {
    let mut report = args.writing.report(remote)?;
    if args.force && args.writing.dry_run != super::written::DryRun::None {
        return Err(Error::usage("--dry-run can not be used when --force is set"));
    }
    let all = Target::of_all(args.files.read()?, remote).await?;
    if let Some((manifest, _)) = all.iter().find(|(_, target)| target.name.is_empty()) {
        return Err(Error::usage(format!(
            "{}: cannot replace an object without metadata.name",
            manifest.source
        )));
    }
    if args.force {
        for (_, target) in &all {
            delete(args, target, remote).await?;
        }
    }
    for (manifest, target) in all {
        let replaced = if args.force {
            make(&target, &manifest.object, &args.writing.query(&[STRICTLY]), remote).await
        } else {
            put(args, &manifest, &target, remote).await
        };
        let during = || format!("error when replacing {:?}", manifest.source);
        let object = replaced.map_err(|error| error.during(during()))?;
        report.tell(&target.resource, &object, "replaced")?;
    }
    Ok(Exit::Done)
}

/// A manifest that does not say which version it replaces means the one that is there.
async fn put(
    args: &Args,
    manifest: &Named,
    target: &Target,
    remote: &Remote,
) -> Result<Value, Error> {
    let mut object = manifest.object.clone();
    if args.writing.is_local() {
        remote.get(&target.path()).await?;
        return Ok(object);
    }
    if object["metadata"]["resourceVersion"].is_null() {
        let there = remote.get(&target.path()).await?;
        object["metadata"]["resourceVersion"] = there["metadata"]["resourceVersion"].clone();
    }
    let path = target.path() + &args.writing.query(&[STRICTLY]);
    remote.send(Method::PUT, &path, JSON, &object).await
}

/// What is not there is fine.
async fn delete(args: &Args, target: &Target, remote: &Remote) -> Result<(), Error> {
    let there = match remote.get(&target.path()).await {
        Ok(there) => there,
        Err(error) if error.is_not_found() => return Ok(()),
        Err(error) => return Err(error),
    };
    let mut options =
        json!({"kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": "Background"});
    if let Some(seconds) = args.grace_period {
        options["gracePeriodSeconds"] = seconds.into();
    }
    remote.send(Method::DELETE, &target.path(), JSON, &options).await?;
    remote.print(format!("{} {:?} deleted\n", target.resource, target.name));
    let mut observer = Observer::within(remote, &target.resource, &target.namespace, &target.name);
    while let Some(object) = observer.next().await? {
        if object["metadata"]["uid"] != there["metadata"]["uid"] {
            break;
        }
    }
    Ok(())
}
