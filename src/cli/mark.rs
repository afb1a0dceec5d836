//! `kiln label` and `kiln annotate`: words that objects carry.
//!
//! Owns: reading `KEY=VALUE` and `KEY-`, and what may be overwritten. Must not know: what the words mean
//! to anybody.

use http::Method;
use serde_json::{Map, Value, json};

use super::remote::{Error, MERGE_PATCH, Remote};
use super::targets::{Selection, Target};
use super::written::Writing;
use super::{Exit, jsonpath};

/// Set and remove labels of objects
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  kiln label job pi app=math
  kiln label jobs --all app=math tier- --overwrite
  kiln label -f job.yaml app=math
  kiln label job pi --list")]
pub(super) struct LabelArgs {
    #[command(flatten)]
    marks: Marks,
}

/// Set and remove annotations of objects
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  kiln annotate job pi owner='Ada Lovelace'
  kiln annotate jobs -l app=math owner-
  kiln annotate -f job.yaml owner=me --overwrite
  kiln annotate job pi --list")]
pub(super) struct AnnotateArgs {
    #[command(flatten)]
    marks: Marks,
}

#[derive(Debug, clap::Args)]
struct Marks {
    /// `TYPE NAME...` or `TYPE/NAME...`, then KEY=VALUE to set and KEY- to remove
    #[arg(value_name = "OBJECTS AND CHANGES")]
    words: Vec<String>,

    #[command(flatten)]
    selection: Selection,

    /// Also where there is another value
    #[arg(long)]
    overwrite: bool,

    /// Show them
    #[arg(long)]
    list: bool,

    /// Only if the object is of this version
    #[arg(long, value_name = "VERSION")]
    resource_version: Option<String>,

    #[command(flatten)]
    writing: Writing,
}

/// One of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Label,
    Annotation,
}

impl Kind {
    fn field(self) -> &'static str {
        match self {
            Self::Label => "labels",
            Self::Annotation => "annotations",
        }
    }

    fn singular(self) -> &'static str {
        match self {
            Self::Label => "label",
            Self::Annotation => "annotation",
        }
    }

    /// What is already there and must not be.
    fn conflict(self, held: &[String]) -> String {
        match self {
            Self::Label => format!("{}, and --overwrite is false", held.join("; ")),
            Self::Annotation => format!(
                "--overwrite is false but found the following declared annotation(s): {}",
                held.join("; ")
            ),
        }
    }

    /// What came of it, in a word.
    fn done(self, before: &Map<String, Value>, after: &Map<String, Value>) -> &'static str {
        match self {
            Self::Annotation => "annotated",
            Self::Label if before == after => "not labeled",
            Self::Label if after.len() < before.len() => "unlabeled",
            Self::Label => "labeled",
        }
    }
}

pub(super) async fn label(args: &LabelArgs, remote: &Remote) -> Result<Exit, Error> {
    run(&args.marks, Kind::Label, remote).await
}

pub(super) async fn annotate(args: &AnnotateArgs, remote: &Remote) -> Result<Exit, Error> {
    run(&args.marks, Kind::Annotation, remote).await
}

async fn run(args: &Marks, kind: Kind, remote: &Remote) -> Result<Exit, Error> {
    let mut report = args.writing.report(remote)?;
    let (objects, changes) = split(&args.words, kind)?;
    if changes.is_empty() && !args.list {
        return Err(Error::usage(format!("at least one {} update is required", kind.singular())));
    }
    let targets = args.selection.find(objects, remote).await?;
    if args.resource_version.is_some() && targets.len() > 1 {
        return Err(Error::usage("--resource-version may only be used with a single resource"));
    }
    // All are looked at before the first is changed.
    let mut found = Vec::new();
    for target in targets {
        let object = remote.get(&target.path()).await?;
        let marks = object["metadata"][kind.field()].as_object().cloned().unwrap_or_default();
        let held = held(&marks, &changes);
        if !held.is_empty() && !args.overwrite {
            return Err(Error::failed(kind.conflict(&held)));
        }
        found.push((target, object, marks));
    }
    let several = found.len() > 1;
    for (target, mut object, before) in found {
        let mut after = before.clone();
        for (key, value) in &changes {
            match value {
                Some(value) => {
                    after.insert(key.clone(), value.clone().into());
                }
                None if after.remove(key).is_none() => {
                    remote.print(format!("{} {key:?} not found.\n", kind.singular()));
                }
                None => {}
            }
        }
        if !changes.is_empty() {
            object = change(args, kind, &target, (object, &changes), remote).await?;
            let done = kind.done(&before, &after);
            // A listing is the answer by itself.
            if !args.list {
                report.tell(&target.resource, &object, done)?;
            }
        }
        if args.list {
            remote.print(listing(&target, kind, &after, several));
        }
    }
    Ok(Exit::Done)
}

type Changes = Vec<(String, Option<String>)>;

/// The object as it is then.
async fn change(
    args: &Marks,
    kind: Kind,
    target: &Target,
    (mut object, changes): (Value, &Changes),
    remote: &Remote,
) -> Result<Value, Error> {
    let marks: Map<_, _> = changes.iter().map(|(key, value)| (key.clone(), json!(value))).collect();
    let mut patch = json!({"metadata": {kind.field(): marks}});
    if let Some(version) = &args.resource_version {
        patch["metadata"]["resourceVersion"] = version.clone().into();
    }
    if args.writing.is_local() {
        object = crate::api::patch::merge::apply(object, &patch);
        return Ok(object);
    }
    let path = target.path() + &args.writing.query(&[]);
    remote.send(Method::PATCH, &path, MERGE_PATCH, &patch).await
}

/// Objects first, then changes.
fn split(words: &[String], kind: Kind) -> Result<(&[String], Changes), Error> {
    let is_change = |word: &String| word.contains('=') || word.ends_with('-');
    let at = words.iter().position(is_change).unwrap_or(words.len());
    let (objects, rest) = words.split_at(at);
    let mut changes: Changes = Vec::new();
    for word in rest {
        let (key, value) = match (word.split_once('='), word.strip_suffix('-')) {
            (Some((key, value)), _) => (key, Some(value.to_owned())),
            (None, Some(key)) => (key, None),
            (None, None) => {
                return Err(Error::usage(format!(
                    "all resources must be specified before {} changes: {word}",
                    kind.singular()
                )));
            }
        };
        if key.is_empty() {
            return Err(Error::usage(format!("{word:?}: expected KEY=VALUE or KEY-")));
        }
        if changes.iter().any(|(known, other)| known == key && other.is_some() != value.is_some()) {
            return Err(Error::usage(format!(
                "can not both modify and remove {} {key:?} in the same command",
                kind.singular()
            )));
        }
        changes.push((key.to_owned(), value));
    }
    Ok((objects, changes))
}

/// What has another value already.
fn held(marks: &Map<String, Value>, changes: &Changes) -> Vec<String> {
    let held = changes.iter().filter_map(|(key, value)| {
        let (old, new) = (marks.get(key)?, value.as_ref()?);
        let old = jsonpath::text(old);
        (old != *new).then(|| format!("'{key}' already has a value ({old})"))
    });
    held.collect()
}

fn listing(target: &Target, kind: Kind, marks: &Map<String, Value>, several: bool) -> String {
    let indent = if several { " " } else { "" };
    let lines: String = marks
        .iter()
        .map(|(key, value)| format!("{indent}{key}={}\n", jsonpath::text(value)))
        .collect();
    if !several {
        return lines;
    }
    format!("Listing {} for {target}:\n{lines}", kind.field())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split(' ').map(str::to_owned).collect()
    }

    #[test]
    fn objects_come_before_changes() {
        let all = words("job a-b x=1 y=a=b z-");
        let (objects, changes) = split(&all, Kind::Label).unwrap();
        assert_eq!(objects, ["job", "a-b"]);
        let expected: Changes = vec![
            ("x".to_owned(), Some("1".to_owned())),
            ("y".to_owned(), Some("a=b".to_owned())),
            ("z".to_owned(), None),
        ];
        assert_eq!(changes, expected);
        for wrong in ["job a x=1 b", "job a =1", "job a x=1 x-"] {
            assert!(split(&words(wrong), Kind::Label).is_err(), "{wrong}");
        }
    }

    #[test]
    fn another_value_is_held_but_the_same_is_not() {
        let marks = json!({"a": "1", "b": "2"}).as_object().unwrap().clone();
        let change = |key: &str, value: &str| (key.to_owned(), Some(value.to_owned()));
        assert!(held(&marks, &vec![change("a", "1"), change("c", "3")]).is_empty());
        let held = held(&marks, &vec![change("b", "3")]);
        assert_eq!(
            Kind::Label.conflict(&held),
            "'b' already has a value (2), and --overwrite is false"
        );
    }

    #[test]
    fn what_came_of_it_is_told_in_a_word() {
        let marks = |value: Value| value.as_object().unwrap().clone();
        let one = marks(json!({"a": "1"}));
        for (after, expected) in [
            (json!({"a": "1"}), "not labeled"),
            (json!({"a": "2"}), "labeled"),
            (json!({}), "unlabeled"),
        ] {
            assert_eq!(Kind::Label.done(&one, &marks(after)), expected);
        }
    }
}
