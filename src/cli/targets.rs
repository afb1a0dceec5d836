//! Objects that a command is about: by files, by names, by labels, or all of a kind.
//!
//! Owns: the words that name them, and their paths. Must not know: what is done with them.

use std::fmt;

use serde_json::Value;

use super::manifests::{Files, Named};
use super::remote::{Error, Remote, Resource, escape, named, named_all, of_manifest, query};

/// How objects are chosen, besides by their names.
#[derive(Debug, Clone, Default, clap::Args)]
pub(super) struct Selection {
    #[command(flatten)]
    pub(super) files: Files,

    /// All objects of the type
    #[arg(long)]
    pub(super) all: bool,

    /// Those with these labels
    #[arg(short = 'l', long, value_name = "LABELS", conflicts_with = "all")]
    selector: Option<String>,

    /// Those with these fields
    #[arg(long, value_name = "FIELDS")]
    field_selector: Option<String>,

    /// Of all namespaces
    #[arg(short = 'A', long)]
    all_namespaces: bool,
}

/// One object.
#[derive(Debug, Clone)]
pub(super) struct Target {
    pub(super) resource: Resource,
    pub(super) namespace: String,
    pub(super) name: String,
}

impl Target {
    /// Where a manifest's object is, or is to be.
    ///
    /// # Errors
    /// There is no such kind, or the namespace is not the one that the user named.
    pub(super) async fn of(manifest: &Named, remote: &Remote) -> Result<Self, Error> {
        let resource = of_manifest(remote, &manifest.object).await?;
        let own = &remote.namespace;
        let given = manifest.object["metadata"]["namespace"].as_str();
        let given = given.filter(|given| resource.namespaced && !given.is_empty());
        if remote.namespace_is_named
            && let Some(given) = given.filter(|given| given != own)
        {
            return Err(Error::usage(format!(
                "{}: the namespace from the provided object {given:?} does not match the namespace \
                 {own:?}. You must pass '--namespace={given}' to perform this operation.",
                manifest.source
            )));
        }
        let namespace = given.unwrap_or(own).to_owned();
        Ok(Self { resource, namespace, name: manifest.name().to_owned() })
    }

    /// All of them, before anything is done with the first.
    ///
    /// # Errors
    /// Those of [`Self::of`].
    pub(super) async fn of_all(
        manifests: Vec<Named>,
        remote: &Remote,
    ) -> Result<Vec<(Named, Self)>, Error> {
        let mut all = Vec::new();
        for manifest in manifests {
            let target = Self::of(&manifest, remote).await?;
            all.push((manifest, target));
        }
        Ok(all)
    }

    /// The path of its kind.
    pub(super) fn list(&self) -> String {
        self.resource.path(Some(&self.namespace))
    }

    pub(super) fn path(&self) -> String {
        format!("{}/{}", self.list(), escape(&self.name))
    }
}

/// `job.batch/pi`
impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.resource, self.name)
    }
}

impl Selection {
    /// All that is meant. `words`: `TYPE NAME...`, `TYPE/NAME...`, or `TYPE[,TYPE...]`.
    ///
    /// # Errors
    /// Nothing is named, or what is named makes no sense; or the server refuses to list.
    pub(super) async fn find(
        &self,
        words: &[String],
        remote: &Remote,
    ) -> Result<Vec<Target>, Error> {
        let mut targets = Vec::new();
        if !self.files.is_empty() {
            if !words.is_empty() || self.is_a_choice() {
                return Err(Error::usage(
                    "when files are named, neither types nor --all, -l or --field-selector may be",
                ));
            }
            for manifest in self.files.read()? {
                targets.push(Target::of(&manifest, remote).await?);
            }
            return Ok(targets);
        }
        let Some((first, names)) = words.split_first() else {
            return Err(Error::usage(
                "you must provide one or more resources: `TYPE NAME`, `TYPE/NAME`, or -f FILE",
            ));
        };
        let own = || remote.namespace.clone();
        if first.contains('/') {
            for word in words {
                let (kind, name) = type_and_name(word)?;
                let resource = named(remote, kind).await?;
                targets.push(Target { resource, namespace: own(), name: name.to_owned() });
            }
            return Ok(targets);
        }
        if self.is_a_choice() != names.is_empty() {
            return Err(Error::usage(
                "resource(s) were provided, but no name was specified, or names together with --all, \
                 -l or --field-selector",
            ));
        }
        for resource in named_all(remote, first).await? {
            if names.is_empty() {
                targets.extend(self.listed(&resource, remote).await?);
            }
            targets.extend(names.iter().map(|name| Target {
                resource: resource.clone(),
                namespace: own(),
                name: name.clone(),
            }));
        }
        Ok(targets)
    }

    fn is_a_choice(&self) -> bool {
        self.all || self.selector.is_some() || self.field_selector.is_some()
    }

    async fn listed(&self, resource: &Resource, remote: &Remote) -> Result<Vec<Target>, Error> {
        let namespace = (!self.all_namespaces).then_some(remote.namespace.as_str());
        let path = resource.path(namespace)
            + &query(&[
                ("labelSelector", self.selector.as_deref().unwrap_or_default()),
                ("fieldSelector", self.field_selector.as_deref().unwrap_or_default()),
            ]);
        let items: Vec<Value> = remote.items(&path).await?;
        let target = |item: &Value| {
            let metadata = &item["metadata"];
            let namespace = metadata["namespace"].as_str().unwrap_or(&remote.namespace).to_owned();
            let name = metadata["name"].as_str()?.to_owned();
            Some(Target { resource: resource.clone(), namespace, name })
        };
        Ok(items.iter().filter_map(target).collect())
    }
}

/// `job/pi`
///
/// # Errors
/// It is one of the two only.
pub(super) fn type_and_name(word: &str) -> Result<(&str, &str), Error> {
    word.split_once('/').filter(|(kind, name)| !kind.is_empty() && !name.is_empty()).ok_or_else(
        || {
            Error::usage(format!(
                "{word:?}: there is no need to specify a resource type as a separate argument when \
                 passing arguments in resource/name form: expected TYPE/NAME"
            ))
        },
    )
}
