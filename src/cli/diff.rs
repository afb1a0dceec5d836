//! `kiln diff`: what applying files would change.
//!
//! Owns: both sides as files, and the program that compares them. Must not know: how fields are merged,
//! which the server tries out.

use http::Method;
use serde_json::Value;
use tokio::process::Command;

use super::get::without_managed_fields;
use super::manifests::{Files, Named};
use super::remote::{APPLY_PATCH, Error, FIELD_MANAGER, Remote, query};
use super::scratch::{Scratch, write};
use super::targets::Target;
use super::{Exit, yaml};

/// Show what `kiln apply` would change
///
/// Exit codes: 0 nothing, 1 something, more than 1 that it could not be found out.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
KUBECTL_EXTERNAL_DIFF names another program than `diff -u -N`, as in `colordiff -u -N`.

Examples:
  kiln diff -f job.yaml
  kiln diff -R -f manifests/ && echo nothing to do")]
pub(super) struct Args {
    #[command(flatten)]
    files: Files,

    /// As with `kiln apply --force-conflicts`
    #[arg(long)]
    force_conflicts: bool,

    /// Also who owns which field
    #[arg(long)]
    show_managed_fields: bool,
}

const DIFF: &str = "diff -u -N";
const VARIABLE: &str = "KUBECTL_EXTERNAL_DIFF";

pub(super) async fn run(args: &Args, remote: &Remote) -> Result<Exit, Error> {
    match compare(args, remote).await {
        // 1 would say that there is a difference.
        Err(error @ (Error::Refused { .. } | Error::Failed { .. })) => {
            remote.output.say(&error.to_string());
            Ok(Exit::Usage)
        }
        other => other,
    }
}

async fn compare(args: &Args, remote: &Remote) -> Result<Exit, Error> {
    let scratch = Scratch::new("diff")?;
    let (live, merged) = (scratch.dir("LIVE")?, scratch.dir("MERGED")?);
    for manifest in args.files.read()? {
        let target = Target::of(&manifest, remote).await?;
        let mut before = match remote.get(&target.path()).await {
            Ok(before) => Some(before),
            Err(error) if error.is_not_found() => None,
            Err(error) => return Err(error),
        };
        let mut after = tried(args, &manifest, &target, remote).await?;
        mask(before.as_mut(), &mut after);
        let file = file_name(&target);
        let text = |mut object: Value| {
            if !args.show_managed_fields {
                without_managed_fields(&mut object);
            }
            yaml::write(&object).map_err(|error| Error::failed(error.to_string()))
        };
        if let Some(before) = before {
            write(&live.join(&file), &text(before)?)?;
        }
        write(&merged.join(&file), &text(after)?)?;
    }
    let program = std::env::var(VARIABLE).unwrap_or_else(|_| DIFF.to_owned());
    let mut words = program.split_whitespace();
    let name = words.next().unwrap_or("diff");
    let ran = Command::new(name).args(words).arg(&live).arg(&merged).output().await;
    let ran = ran.map_err(|error| {
        Error::failed(format!("cannot run {name:?}: {error}; install it, or set {VARIABLE}"))
    })?;
    remote.print(String::from_utf8_lossy(&ran.stdout).into_owned());
    let said = String::from_utf8_lossy(&ran.stderr);
    if !said.trim().is_empty() {
        remote.output.say(&said);
    }
    match ran.status.code() {
        Some(0) => Ok(Exit::Done),
        Some(1) => Ok(Exit::Failed),
        Some(_) | None => Err(Error::failed(format!("{program:?} failed: {}", ran.status))),
    }
}

/// The object as it would be.
async fn tried(
    args: &Args,
    manifest: &Named,
    target: &Target,
    remote: &Remote,
) -> Result<Value, Error> {
    if target.name.is_empty() {
        return Err(Error::usage(format!(
            "{}: cannot compare an object without metadata.name",
            manifest.source
        )));
    }
    let force = if args.force_conflicts { "true" } else { "" };
    let asked = query(&[
        ("fieldManager", FIELD_MANAGER),
        ("fieldValidation", "Strict"),
        ("dryRun", "All"),
        ("force", force),
    ]);
    remote
        .send(Method::PATCH, &(target.path() + &asked), APPLY_PATCH, &manifest.object)
        .await
        .map_err(|error| error.during(format!("error when comparing {:?}", manifest.source)))
}

/// `batch.v1.Job.default.pi`
fn file_name(target: &Target) -> String {
    let resource = &target.resource;
    let parts = [
        &resource.group,
        &resource.version,
        &resource.kind,
        if resource.namespaced { &target.namespace } else { &resource.group },
        &target.name,
    ];
    let parts: Vec<_> = parts.into_iter().filter(|part| !part.is_empty()).cloned().collect();
    parts.join(".")
}

/// What a Secret holds is not shown, only that it is another.
fn mask(before: Option<&mut Value>, after: &mut Value) {
    if after["kind"] != "Secret" || after["apiVersion"] != "v1" {
        return;
    }
    let mut nothing = Value::Null;
    let before = before.unwrap_or(&mut nothing);
    let keys = |object: &Value| -> Vec<String> {
        object["data"].as_object().into_iter().flatten().map(|(key, _)| key.clone()).collect()
    };
    let (old_keys, new_keys) = (keys(before), keys(after));
    for key in &new_keys {
        let is_other = old_keys.contains(key) && before["data"][key] != after["data"][key];
        after["data"][key] = if is_other { "*** (after)" } else { "***" }.into();
        if old_keys.contains(key) {
            before["data"][key] = if is_other { "*** (before)" } else { "***" }.into();
        }
    }
    for key in old_keys.iter().filter(|key| !new_keys.contains(key)) {
        before["data"][key] = "***".into();
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::cli::remote::known;

    #[test]
    fn a_file_is_called_as_its_object() {
        let target = |kind: &str| Target {
            resource: known(kind).unwrap(),
            namespace: "n".to_owned(),
            name: "x".to_owned(),
        };
        assert_eq!(file_name(&target("jobs")), "batch.v1.Job.n.x");
        assert_eq!(file_name(&target("namespaces")), "v1.Namespace.x");
    }

    #[test]
    fn what_a_secret_holds_is_not_shown() {
        let secret = |data: Value| json!({"apiVersion": "v1", "kind": "Secret", "data": data});
        let mut before = secret(json!({"same": "a", "other": "b", "gone": "c"}));
        let mut after = secret(json!({"same": "a", "other": "x", "new": "y"}));
        mask(Some(&mut before), &mut after);
        assert_eq!(before["data"], json!({"same": "***", "other": "*** (before)", "gone": "***"}));
        assert_eq!(after["data"], json!({"same": "***", "other": "*** (after)", "new": "***"}));
    }
}
