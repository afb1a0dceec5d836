//! `kiln edit`: objects in the user's editor, until the server takes them or nothing more is changed.
//!
//! Owns: the file that is edited, and what is said in it. Must not know: what may be changed.

use std::fs;
use std::path::{Path, PathBuf};

use http::Method;
use serde_json::{Value, json};
use tokio::process::Command;
use tokio::signal::unix::{SignalKind, signal};

use super::get::{indented, without_managed_fields};
use super::remote::{Error, MERGE_PATCH, Remote};
use super::scratch::{Scratch, read, write};
use super::targets::{Selection, Target};
use super::{Exit, yaml};
use crate::api::manifest::{Refusal, documents};
use crate::api::patch::merge;

/// Change objects in an editor
#[derive(Debug, clap::Args)]
#[command(after_help = "\
The editor is $KUBE_EDITOR, $EDITOR, or vi.

Examples:
  kiln edit cronjob nightly
  KUBE_EDITOR=nano kiln edit configmap settings
  kiln edit jobs -l app=math -o json")]
pub(super) struct Args {
    /// `TYPE NAME...` or `TYPE/NAME...`
    objects: Vec<String>,

    #[command(flatten)]
    selection: Selection,

    /// yaml or json
    #[arg(short, long, value_name = "FORM", default_value = "yaml", value_parser = ["yaml", "json"])]
    output: String,

    /// Also who owns which field
    #[arg(long)]
    show_managed_fields: bool,

    /// Who owns the fields that are changed
    #[arg(long, value_name = "NAME", default_value = "kiln-edit")]
    field_manager: String,
}

const HEAD: &str = "\
# Please edit the object below. Lines beginning with a '#' will be ignored,
# and an empty file will abort the edit. If an error occurs while saving this file will be
# reopened with the relevant failures.
#
";

/// An object, and as it was when it was read.
struct Edited {
    target: Target,
    before: Value,
}

pub(super) async fn run(args: &Args, remote: &Remote) -> Result<Exit, Error> {
    let mut left = Vec::new();
    for target in args.selection.find(&args.objects, remote).await? {
        let mut before = remote.get(&target.path()).await?;
        if !args.show_managed_fields {
            without_managed_fields(&mut before);
        }
        left.push(Edited { target, before });
    }
    if left.is_empty() {
        remote.output.say("edit cancelled, no objects found");
        return Ok(Exit::Failed);
    }
    let scratch = Scratch::new("edit")?;
    let file = scratch.path().join(format!("edit.{}", args.output));
    let mut text =
        whole(args, &left.iter().map(|edited| edited.before.clone()).collect::<Vec<_>>())?;
    let mut problems = Vec::new();
    loop {
        write(&file, &(head(&problems) + &text))?;
        open(&file).await?;
        let saved = without_comments(&read(&file)?);
        if saved.trim().is_empty() {
            return cancelled("Edit cancelled, saved file was empty.", &problems, &text, remote);
        }
        if saved == without_comments(&text) {
            let told = match problems.is_empty() {
                true => "Edit cancelled, no changes made.",
                false => "Edit cancelled, no valid changes were saved.",
            };
            return cancelled(told, &problems, &text, remote);
        }
        match take(&saved, &left) {
            Ok(wanted) => {
                let (refused, told) = submit(args, left, wanted, remote).await?;
                if refused.is_empty() {
                    return Ok(Exit::Done);
                }
                problems = told;
                text = whole(
                    args,
                    &refused.iter().map(|(_, wanted)| wanted.clone()).collect::<Vec<_>>(),
                )?;
                left = refused.into_iter().map(|(edited, _)| edited).collect();
            }
            Err(wrong) => {
                problems = wrong;
                text = saved;
            }
        }
        for problem in &problems {
            remote.output.say(&format!("error: {problem}"));
        }
    }
}

/// Nothing is lost that somebody typed.
fn cancelled(told: &str, problems: &[String], text: &str, remote: &Remote) -> Result<Exit, Error> {
    remote.output.say(told);
    if problems.is_empty() {
        return Ok(Exit::Done);
    }
    let kept = keep(text)?;
    remote.output.say(&format!("A copy of your changes has been stored to {kept:?}"));
    Ok(Exit::Failed)
}

fn keep(text: &str) -> Result<PathBuf, Error> {
    let name = format!("kiln-edit-{}.yaml", super::rerun::letters()?);
    let kept = std::env::temp_dir().join(name);
    write(&kept, text)?;
    Ok(kept)
}

fn head(problems: &[String]) -> String {
    let mut head = HEAD.to_owned();
    for line in problems.iter().flat_map(|problem| problem.lines()) {
        head += &format!("# {line}\n");
    }
    if !problems.is_empty() {
        head += "#\n";
    }
    head
}

/// One object as it is, several as a list.
fn whole(args: &Args, objects: &[Value]) -> Result<String, Error> {
    let value = match objects {
        [one] => one.clone(),
        several => json!({"apiVersion": "v1", "kind": "List", "items": several}),
    };
    if args.output == "json" {
        return indented(&value);
    }
    yaml::write(&value).map_err(|error| Error::failed(error.to_string()))
}

fn without_comments(text: &str) -> String {
    text.lines().filter(|line| !line.starts_with('#')).map(|line| line.to_owned() + "\n").collect()
}

/// The objects of a file that was edited, in the order of those that were put into it.
fn take(text: &str, of: &[Edited]) -> Result<Vec<Value>, Vec<String>> {
    let objects = documents("edited file", text.as_bytes())
        .map_err(|refusals| refusals.iter().map(Refusal::to_string).collect::<Vec<_>>())?;
    let identity = |object: &Value| {
        let metadata = &object["metadata"];
        [&object["apiVersion"], &object["kind"], &metadata["name"], &metadata["namespace"]]
            .map(Value::clone)
    };
    let find = |edited: &Edited| {
        let found = objects.iter().find(|object| identity(object) == identity(&edited.before));
        found.cloned().ok_or_else(|| {
            format!(
                "{}: at least one of apiVersion, kind, name and namespace was changed; they cannot be",
                edited.target
            )
        })
    };
    let found: Vec<_> = of.iter().map(find).collect();
    let mut wrong: Vec<_> =
        found.iter().filter_map(|found| found.as_ref().err().cloned()).collect();
    if objects.len() > of.len() && wrong.is_empty() {
        wrong.push("there are more objects than before; use `kiln create` for new ones".to_owned());
    }
    if wrong.is_empty() { Ok(found.into_iter().flatten().collect()) } else { Err(wrong) }
}

/// What the server refused, as it was wanted, and why.
async fn submit(
    args: &Args,
    all: Vec<Edited>,
    wanted: Vec<Value>,
    remote: &Remote,
) -> Result<(Vec<(Edited, Value)>, Vec<String>), Error> {
    let (mut refused, mut told) = (Vec::new(), Vec::new());
    for (edited, wanted) in all.into_iter().zip(wanted) {
        let patch = merge::between(&edited.before, &wanted);
        if patch == json!({}) {
            remote.print(format!("{} skipped\n", edited.target));
            continue;
        }
        let asked = super::remote::query(&[
            ("fieldManager", args.field_manager.as_str()),
            ("fieldValidation", "Strict"),
        ]);
        let path = edited.target.path() + &asked;
        match remote.send(Method::PATCH, &path, MERGE_PATCH, &patch).await {
            Ok(_) => remote.print(format!("{} edited\n", edited.target)),
            Err(error @ Error::Refused { .. }) => {
                told.push(format!("{} was not valid:\n* {error}", edited.target));
                refused.push((edited, wanted));
            }
            Err(error) => {
                let kept = keep(&yaml::write(&wanted).unwrap_or_default())?;
                let told = format!("A copy of your changes has been stored to {kept:?}");
                remote.output.say(&told);
                return Err(error);
            }
        }
    }
    Ok((refused, told))
}

/// Lets the user edit a file.
async fn open(file: &Path) -> Result<(), Error> {
    let set = ["KUBE_EDITOR", "EDITOR"]
        .into_iter()
        .find_map(|name| std::env::var(name).ok().filter(|editor| !editor.trim().is_empty()));
    let editor = set.unwrap_or_else(|| "vi".to_owned());
    // An interrupt is the editor's while it runs.
    let _interrupts = signal(SignalKind::interrupt());
    let script = format!("{editor} \"$1\"");
    let ran = Command::new("sh").arg("-c").arg(script).arg("sh").arg(file).status().await;
    match ran {
        Ok(status) if status.success() && fs::exists(file).unwrap_or(false) => Ok(()),
        Ok(status) => Err(Error::failed(format!(
            "there was a problem with the editor {editor:?}: {status}; set KUBE_EDITOR to another one"
        ))),
        Err(error) => Err(Error::failed(format!("cannot run `sh` for the editor: {error}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::remote::known;

    fn edited(name: &str) -> Edited {
        let target = Target {
            resource: known("configmaps").unwrap(),
            namespace: "n".to_owned(),
            name: name.to_owned(),
        };
        Edited { target, before: map(name, "1") }
    }

    fn map(name: &str, value: &str) -> Value {
        json!({
            "apiVersion": "v1", "kind": "ConfigMap", "data": {"k": value},
            "metadata": {"name": name, "namespace": "n"},
        })
    }

    #[test]
    fn objects_are_found_again_whatever_their_order() {
        let of = [edited("a"), edited("b")];
        let list =
            json!({"apiVersion": "v1", "kind": "List", "items": [map("b", "3"), map("a", "2")]});
        assert_eq!(take(&list.to_string(), &of).unwrap(), [map("a", "2"), map("b", "3")]);
        let other = take(&map("c", "1").to_string(), &of[..1]).unwrap_err();
        assert!(other[0].starts_with("configmap/a: at least one of apiVersion"), "{other:?}");
        assert!(take("a: [", &of).is_err());
    }

    #[test]
    fn what_is_wrong_stands_in_the_head_of_the_file() {
        let text = head(&["job.batch/a was not valid:\n* spec: no".to_owned()]);
        assert!(text.ends_with("# job.batch/a was not valid:\n# * spec: no\n#\n"), "{text}");
        assert_eq!(without_comments(&(text + "a: 1\n")), "a: 1\n");
    }
}
