//! Patches of a kustomization.
//!
//! Owns: which objects a patch is for. Must not know: what patches do, which is of `api::patch`.
//! <https://kubectl.docs.kubernetes.io/references/kustomize/kustomization/patches/>

use regex::Regex;
use serde_json::Value;

use super::Dir;
use super::file::{Kustomization, Patch, PatchOptions, Target};
use super::item::{Item, namespace_or_default};
use crate::api::manifest::{self, Refusal, documents};
use crate::api::patch::{json, strategic};
use crate::api::selector::label::Selector;
use crate::api::topology;

/// Those that see objects as they are read.
///
/// # Errors
/// A patch cannot be read, is for nothing, or does not fit.
pub(super) fn run(
    wanted: &Kustomization,
    dir: &Dir<'_>,
    items: &mut Vec<Item>,
) -> Result<(), String> {
    for text in &wanted.patches_strategic_merge {
        // Either the patch, or the file that it is in.
        let is_inline = text.contains('\n') || text.contains(": ");
        let bytes = if is_inline { text.clone().into_bytes() } else { dir.read(text)? };
        let patch = Patch::default();
        for object in parse(&bytes, "patchesStrategicMerge")? {
            merge(&patch, &object, items)?;
        }
    }
    for patch in &wanted.patches {
        one(patch, dir, items, "patches")?;
    }
    Ok(())
}

/// Those that see objects with their new names.
///
/// # Errors
/// A patch cannot be read, is for nothing, or does not fit.
pub(super) fn run_after(
    wanted: &Kustomization,
    dir: &Dir<'_>,
    items: &mut Vec<Item>,
) -> Result<(), String> {
    wanted.patches_json6902.iter().try_for_each(|patch| one(patch, dir, items, "patchesJson6902"))
}

fn one(patch: &Patch, dir: &Dir<'_>, items: &mut Vec<Item>, field: &str) -> Result<(), String> {
    let bytes = match (patch.path.is_empty(), patch.patch.is_empty()) {
        (false, true) => dir.read(&patch.path)?,
        (true, false) => patch.patch.clone().into_bytes(),
        (true, true) | (false, false) => {
            return Err(format!("{field}: exactly one of `path` and `patch` must be given"));
        }
    };
    let read = parse(&bytes, field)?;
    let is_operations = |value: &Value| value.is_array() || value.get("op").is_some();
    if !read.iter().any(is_operations) {
        return read.iter().try_for_each(|object| merge(patch, object, items));
    }
    let Some(target) = &patch.target else {
        return Err(format!("{field}: must specify a target for a JSON 6902 patch"));
    };
    let target = Matcher::new(target)?;
    for operations in &read {
        for item in items.iter_mut().filter(|item| target.matches(item)) {
            let patched = json::apply(&item.object, operations);
            let patched = patched.map_err(|error| format!("{field}: {}: {error}", item.name()))?;
            put(item, patched, PatchOptions { allow_name_change: true, allow_kind_change: true });
        }
    }
    Ok(())
}

/// Operations come out as one list. YAML has braces and brackets, too.
fn parse(bytes: &[u8], field: &str) -> Result<Vec<Value>, String> {
    let first = bytes.iter().find(|byte| !byte.is_ascii_whitespace());
    if matches!(first, Some(b'[' | b'{')) {
        let read = manifest::yaml(bytes);
        return read.map(|value| vec![value]).map_err(|error| format!("{field}: {error}"));
    }
    documents(field, bytes)
        .map_err(|refusals| refusals.iter().map(Refusal::to_string).collect::<Vec<_>>().join("\n"))
}

/// A patch in the form of the object: for that object, or for all that the target names.
fn merge(patch: &Patch, change: &Value, items: &mut Vec<Item>) -> Result<(), String> {
    let wanted = Item::new(change.clone());
    let matcher = patch.target.as_ref().map(Matcher::new).transpose()?;
    let is_meant = |item: &Item| match &matcher {
        Some(matcher) => matcher.matches(item),
        None => {
            item.kind() == wanted.kind()
                && item.group_and_version() == wanted.group_and_version()
                && item.names().any(|(name, namespace)| {
                    name == wanted.name()
                        && (wanted.namespace().is_empty()
                            || namespace_or_default(namespace) == wanted.namespace())
                })
        }
    };
    let found = items.iter().filter(|item| is_meant(item)).count();
    if found == 0 && matcher.is_none() {
        return Err(format!(
            "patches: no matches for {}/{}; failed to find unique target for patch",
            wanted.kind(),
            wanted.name()
        ));
    }
    if change["$patch"] == "delete" {
        items.retain(|item| !is_meant(item));
        return Ok(());
    }
    for item in items.iter_mut().filter(|item| is_meant(item)) {
        expect_known(item, change)?;
        let patched = strategic::apply(&item.object, change, topology::of(item.kind()));
        let patched = patched.map_err(|error| format!("patches: {}: {error}", item.name()))?;
        put(item, patched, patch.options);
    }
    Ok(())
}

/// How lists of other built-in kinds are merged is not known here.
fn expect_known(item: &Item, change: &Value) -> Result<(), String> {
    let (group, _) = item.group_and_version();
    let is_built_in = !group.contains('.') || group.ends_with(".k8s.io");
    if is_built_in && !topology::is_known(item.kind()) && has_list(change) {
        return Err(format!(
            "patches: {}/{}: how lists of a {} are merged is not known; say it with a JSON 6902 patch",
            item.kind(),
            item.name(),
            item.kind()
        ));
    }
    Ok(())
}

fn has_list(value: &Value) -> bool {
    match value {
        Value::Array(_) => true,
        Value::Object(fields) => fields.values().any(has_list),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}

/// An object stays what it is, unless the patch may make another of it.
fn put(item: &mut Item, mut patched: Value, options: PatchOptions) {
    let old = &item.object;
    if !options.allow_kind_change {
        for field in ["apiVersion", "kind"] {
            patched[field] = old[field].clone();
        }
    }
    let metadata = old["metadata"].clone();
    let new_name = patched["metadata"]["name"].clone();
    for field in ["name", "namespace"] {
        match metadata.get(field) {
            Some(value) => patched["metadata"][field] = value.clone(),
            None => {
                if let Some(fields) = patched["metadata"].as_object_mut() {
                    fields.remove(field);
                }
            }
        }
    }
    item.object = patched;
    if options.allow_name_change
        && let Some(name) = new_name.as_str().filter(|name| *name != item.name())
    {
        item.rename("name", name);
    }
}

/// What a target's texts match.
struct Matcher {
    group: Option<Regex>,
    version: Option<Regex>,
    kind: Option<Regex>,
    name: Option<Regex>,
    namespace: Option<Regex>,
    labels: Option<Selector>,
    annotations: Option<Selector>,
}

impl Matcher {
    fn new(target: &Target) -> Result<Self, String> {
        let pattern = |text: &str| match text {
            "" => Ok(None),
            text => Regex::new(&format!("^(?:{text})$"))
                .map(Some)
                .map_err(|error| format!("patches: target: {error}")),
        };
        let selector = |text: &str| match text {
            "" => Ok(None),
            text => Selector::parse(text)
                .map(Some)
                .map_err(|error| format!("patches: target: {text:?}: {error}")),
        };
        Ok(Self {
            group: pattern(&target.group)?,
            version: pattern(&target.version)?,
            kind: pattern(&target.kind)?,
            name: pattern(&target.name)?,
            namespace: pattern(&target.namespace)?,
            labels: selector(&target.label_selector)?,
            annotations: selector(&target.annotation_selector)?,
        })
    }

    fn matches(&self, item: &Item) -> bool {
        let is = |pattern: &Option<Regex>, text: &str| {
            pattern.as_ref().is_none_or(|pattern| pattern.is_match(text))
        };
        let selects = |selector: &Option<Selector>, field: &str| {
            let texts = &item.object["metadata"][field];
            selector.as_ref().is_none_or(|s| s.matches(|key| texts[key].as_str()))
        };
        let (group, version) = item.group_and_version();
        is(&self.group, group)
            && is(&self.version, version)
            && is(&self.kind, item.kind())
            && item.names().any(|(name, namespace)| {
                is(&self.name, name) && is(&self.namespace, namespace_or_default(namespace))
            })
            && selects(&self.labels, "labels")
            && selects(&self.annotations, "annotations")
    }
}
