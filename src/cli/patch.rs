//! `kiln patch`: one change to objects, as a patch says.
//!
//! Owns: the languages of patches, by their names. Must not know: what a patch does, which the server
//! works out.

use std::path::PathBuf;

use clap::ValueEnum;
use http::Method;
use serde_json::Value;

use super::Exit;
use super::remote::{Error, JSON_PATCH, MERGE_PATCH, Remote, STRATEGIC_PATCH};
use super::run::sources;
use super::targets::Selection;
use super::written::Writing;
use crate::api::manifest;
use crate::api::patch::{json, merge, strategic};
use crate::api::topology;

/// Change fields of objects
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  kiln patch job pi -p '{\"spec\":{\"parallelism\":3}}'
  kiln patch cronjob nightly --type merge -p 'spec: {suspend: true}'
  kiln patch job pi --type json -p '[{\"op\":\"remove\",\"path\":\"/metadata/labels/app\"}]'
  kiln patch job pi --subresource status --type merge --patch-file status.yaml")]
pub(super) struct Args {
    /// `TYPE NAME...` or `TYPE/NAME...`
    objects: Vec<String>,

    #[command(flatten)]
    selection: Selection,

    /// The patch, as JSON or YAML
    #[arg(short, long, required_unless_present = "patch_file", conflicts_with = "patch_file")]
    patch: Option<String>,

    /// File with the patch, or `-` for standard input
    #[arg(long, value_name = "FILE")]
    patch_file: Option<PathBuf>,

    /// Language of the patch
    #[arg(long = "type", value_enum, value_name = "LANGUAGE", default_value_t = Language::Strategic)]
    language: Language,

    /// Change this part of the objects: status
    #[arg(long, value_name = "NAME")]
    subresource: Option<String>,

    #[command(flatten)]
    writing: Writing,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Language {
    /// Operations, RFC 6902
    Json,
    /// Fields that are to be different, RFC 7386
    Merge,
    /// The same, with lists merged by the names of their items
    Strategic,
}

impl Language {
    fn media(self) -> &'static str {
        match self {
            Self::Json => JSON_PATCH,
            Self::Merge => MERGE_PATCH,
            Self::Strategic => STRATEGIC_PATCH,
        }
    }

    /// What the server would do, as far as it can be known without it.
    fn apply(self, object: &Value, patch: &Value, kind: &str) -> Result<Value, Error> {
        let made = match self {
            Self::Json => json::apply(object, patch),
            Self::Merge => Ok(merge::apply(object.clone(), patch)),
            Self::Strategic => strategic::apply(object, patch, topology::of(kind)),
        };
        made.map_err(|error| Error::failed(error.to_string()))
    }
}

pub(super) async fn run(args: &Args, remote: &Remote) -> Result<Exit, Error> {
    let mut report = args.writing.report(remote)?;
    let patch = read(args)?;
    let targets = args.selection.find(&args.objects, remote).await?;
    let subresource = args.subresource.as_ref().map(|name| format!("/{name}")).unwrap_or_default();
    for target in targets {
        let path = target.path() + &subresource;
        let before = remote.get(&path).await?;
        let after = if args.writing.is_local() {
            args.language.apply(&before, &patch, &target.resource.kind)?
        } else {
            let asked = args.writing.query(&[("fieldValidation", "Strict")]);
            remote.send(Method::PATCH, &(path + &asked), args.language.media(), &patch).await?
        };
        let is_same = is_unchanged(&before, &after);
        let done = if is_same { "patched (no change)" } else { "patched" };
        report.tell(&target.resource, &after, done)?;
    }
    Ok(Exit::Done)
}

/// Who wrote last, and when, is no change of its own.
pub(super) fn is_unchanged(before: &Value, after: &Value) -> bool {
    let plain = |object: &Value| {
        let mut object = object.clone();
        if let Some(metadata) = object["metadata"].as_object_mut() {
            metadata.remove("managedFields");
            metadata.remove("resourceVersion");
        }
        object
    };
    plain(before) == plain(after)
}

fn read(args: &Args) -> Result<Value, Error> {
    let bytes = match (&args.patch, &args.patch_file) {
        (Some(text), _) => text.clone().into_bytes(),
        (None, Some(file)) => {
            let read = sources::read(std::slice::from_ref(file), false);
            let read = read.map_err(|errors| Error::usage(errors.join("\nerror: ")))?;
            read.into_iter().flat_map(|source| source.bytes).collect()
        }
        (None, None) => Vec::new(),
    };
    manifest::yaml(&bytes)
        .map_err(|error| Error::usage(format!("unable to parse the patch: {error}")))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn each_language_says_the_same_in_its_own_way() {
        let before = json!({"kind": "Job", "spec": {"parallelism": 1}});
        let after = json!({"kind": "Job", "spec": {"parallelism": 2}});
        let fields = json!({"spec": {"parallelism": 2}});
        let operations = json!([{"op": "replace", "path": "/spec/parallelism", "value": 2}]);
        for (language, patch) in [
            (Language::Json, &operations),
            (Language::Merge, &fields),
            (Language::Strategic, &fields),
        ] {
            assert_eq!(language.apply(&before, patch, "Job").unwrap(), after, "{language:?}");
        }
        assert!(Language::Json.apply(&before, &fields, "Job").is_err());
    }

    #[test]
    fn a_new_version_alone_is_no_change() {
        let at = |version: &str, name: &str| json!({"metadata": {"resourceVersion": version, "name": name}});
        assert!(is_unchanged(&at("1", "a"), &at("2", "a")));
        assert!(!is_unchanged(&at("1", "a"), &at("2", "b")));
    }
}
