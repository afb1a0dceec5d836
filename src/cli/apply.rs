//! `kiln apply`: objects as a file says, whether they are there already or not.
//!
//! Owns: telling what came of it. Must not know: how fields are merged, which the server does.

use http::Method;
use serde_json::Value;

use super::Exit;
use super::immutable;
use super::manifests::Files;
use super::remote::{APPLY_PATCH, Error, Remote};
use super::targets::Target;
use super::written::{DryRun, Writing};

/// Create or change objects so that they are as files say
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  kiln apply -f job.yaml
  kiln apply -R -f manifests/ --dry-run server
  kiln apply -k overlays/test")]
pub(super) struct Args {
    #[command(flatten)]
    files: Files,

    /// Take over fields that others own
    #[arg(long)]
    force_conflicts: bool,

    /// Replace a Job that is over, where the file changes what of a Job cannot be changed
    #[arg(long)]
    rerun: bool,

    /// Ask the server to merge, as kiln always does
    #[arg(long, hide = true)]
    server_side: bool,

    #[command(flatten)]
    writing: Writing,
}

pub(super) async fn run(args: &Args, remote: &Remote) -> Result<Exit, Error> {
    let mut report = args.writing.report(remote)?;
    let all = Target::of_all(args.files.read()?, remote).await?;
    if let Some((manifest, _)) = all.iter().find(|(_, target)| target.name.is_empty()) {
        return Err(Error::usage(format!(
            "{}: cannot apply an object without metadata.name; use `kiln create`",
            manifest.source
        )));
    }
    for (manifest, target) in all {
        let path = target.path();
        let before = match remote.get(&path).await {
            Ok(before) => Some(before),
            Err(error) if error.is_not_found() => None,
            Err(error) => return Err(error),
        };
        if args.writing.is_local() {
            let what = if before.is_some() { "configured" } else { "created" };
            report.tell(&target.resource, &manifest.object, what)?;
            continue;
        }
        let during =
            |error: Error| error.during(format!("error when applying {:?}", manifest.source));
        let (after, what) = match (apply(&target, &manifest.object, args, remote).await, &before) {
            (Ok(after), before) => {
                let what = verdict(before.as_ref(), &after);
                (after, what)
            }
            (Err(error), Some(live))
                if target.resource.is("Job") && !error.immutable_fields().is_empty() =>
            {
                if !(args.rerun && immutable::is_over(live)) {
                    return Err(immutable::refusal(&manifest, live, error, args.rerun));
                }
                let wanted = &manifest.object;
                if args.writing.dry_run == DryRun::None {
                    immutable::make_room(remote, &target, wanted, live).await.map_err(during)?;
                    (apply(&target, wanted, args, remote).await.map_err(during)?, "replaced")
                } else {
                    let tried = immutable::try_out(remote, &target, wanted).await;
                    (tried.map_err(during)?, "replaced")
                }
            }
            (Err(error), _) => return Err(during(error)),
        };
        report.tell(&target.resource, &after, what)?;
    }
    Ok(Exit::Done)
}

async fn apply(
    target: &Target,
    object: &Value,
    args: &Args,
    remote: &Remote,
) -> Result<Value, Error> {
    let force = if args.force_conflicts { "true" } else { "" };
    let asked = args.writing.query(&[("fieldValidation", "Strict"), ("force", force)]);
    remote.send(Method::PATCH, &(target.path() + &asked), APPLY_PATCH, object).await
}

fn verdict(before: Option<&Value>, after: &Value) -> &'static str {
    let version = |object: &Value| object["metadata"]["resourceVersion"].clone();
    match before {
        None => "created",
        Some(before) if version(before) == version(after) => "unchanged",
        Some(_) => "configured",
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_was_not_written_is_unchanged() {
        let at = |version: &str| json!({"metadata": {"resourceVersion": version}});
        assert_eq!(verdict(None, &at("1")), "created");
        assert_eq!(verdict(Some(&at("1")), &at("1")), "unchanged");
        assert_eq!(verdict(Some(&at("1")), &at("2")), "configured");
    }
}
