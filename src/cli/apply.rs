//! `kiln apply`: objects as a file says, whether they are there already or not.
//!
//! Owns: telling what came of it. Must not know: how fields are merged, which the server does.

use std::path::PathBuf;

use http::Method;
use serde_json::Value;

use super::Exit;
use super::manifests;
use super::remote::{APPLY_PATCH, Error, FIELD_MANAGER, Remote, escape, of_manifest, query};
use super::replace;

/// Create or change objects so that they are as files say
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// File, directory, or `-` for standard input
    #[arg(short, long, value_name = "FILE", required = true)]
    filename: Vec<PathBuf>,

    /// Take over fields that others own
    #[arg(long)]
    force_conflicts: bool,

    /// Replace a Job that is over, where the file changes what of a Job cannot be changed
    #[arg(long)]
    rerun: bool,
}

pub(super) async fn run(args: &Args, remote: &Remote) -> Result<Exit, Error> {
    for named in manifests::read(&args.filename)? {
        let resource = of_manifest(remote, &named.object).await?;
        if named.name().is_empty() {
            return Err(Error::usage(format!(
                "{}: cannot apply an object without metadata.name; use `kiln create`",
                named.source
            )));
        }
        let namespace = named.namespace(&remote.namespace);
        let path = format!("{}/{}", resource.path(Some(namespace)), escape(named.name()));
        let before = match remote.get(&path).await {
            Ok(before) => Some(before),
            Err(error) if error.is_not_found() => None,
            Err(error) => return Err(error),
        };
        let force = if args.force_conflicts { "true" } else { "" };
        let asked = query(&[
            ("fieldManager", FIELD_MANAGER),
            ("fieldValidation", "Strict"),
            ("force", force),
        ]);
        let path = path + &asked;
        let apply = || remote.send(Method::PATCH, &path, APPLY_PATCH, &named.object);
        let during = |error: Error| error.during(format!("error when applying {:?}", named.source));
        let what = match (apply().await, &before) {
            (Ok(after), before) => verdict(before.as_ref(), &after),
            (Err(error), Some(live))
                if resource.is("Job") && !error.immutable_fields().is_empty() =>
            {
                if !(args.rerun && replace::is_over(live)) {
                    return Err(replace::refusal(&named, live, error, args.rerun));
                }
                replace::make_room(remote, &resource, &named, live).await.map_err(during)?;
                apply().await.map_err(during)?;
                "replaced"
            }
            (Err(error), _) => return Err(during(error)),
        };
        remote.print(format!("{resource}/{} {what}\n", named.name()));
    }
    Ok(Exit::Done)
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
