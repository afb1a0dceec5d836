//! What a kustomization says of all its objects: namespace, names, labels, annotations, images.
//!
//! Owns: the fields that each of them is in. Must not know: where the objects come from.

use serde_json::Value;

use super::file::{Image, Kustomization, Texts};
use super::generate::set;
use super::item::Item;
use super::names;

/// Kinds with pods for as long as they are there, and so with a selector that they need.
const WORKLOADS: [&str; 4] = ["DaemonSet", "Deployment", "ReplicaSet", "StatefulSet"];
/// Kinds whose names are not the kustomization's to change.
const NAMES_KEPT: [&str; 3] = ["APIService", "CustomResourceDefinition", "Namespace"];

/// # Errors
/// Two objects would be called the same.
pub(super) fn run(wanted: &Kustomization, items: &mut [Item]) -> Result<(), String> {
    if !wanted.namespace.is_empty() {
        namespace(&wanted.namespace, items);
    }
    if !wanted.name_prefix.is_empty() || !wanted.name_suffix.is_empty() {
        names::rename(items, |item| {
            let keeps = NAMES_KEPT.contains(&item.kind());
            let name = || format!("{}{}{}", wanted.name_prefix, item.name(), wanted.name_suffix);
            (!keeps).then(name)
        });
    }
    for item in items.iter_mut() {
        let Item { object, .. } = item;
        for labels in &wanted.labels {
            set(&mut object["metadata"], "labels", &labels.pairs);
            if labels.include_selectors || labels.include_templates {
                templates(object, "labels", &labels.pairs);
            }
            if labels.include_selectors {
                selectors(object, &labels.pairs);
            }
        }
        set(&mut object["metadata"], "labels", &wanted.common_labels);
        templates(object, "labels", &wanted.common_labels);
        selectors(object, &wanted.common_labels);
        set(&mut object["metadata"], "annotations", &wanted.common_annotations);
        templates(object, "annotations", &wanted.common_annotations);
    }
    for (at, item) in items.iter().enumerate() {
        let is_same = |other: &&Item| {
            other.kind() == item.kind()
                && other.group_and_version() == item.group_and_version()
                && (other.name(), other.namespace()) == (item.name(), item.namespace())
        };
        if items[..at].iter().any(|other| is_same(&other)) {
            return Err(format!("two objects are called {}/{} now", item.kind(), item.name()));
        }
    }
    Ok(())
}

fn namespace(to: &str, items: &mut [Item]) {
    for item in items.iter_mut() {
        if item.kind() == "Namespace" {
            item.rename("name", to);
        } else if !item.is_of_cluster() {
            item.rename("namespace", to);
        }
        // Accounts that are of the kustomization go with it.
        for subject in list(&mut item.object, "/subjects") {
            if subject["kind"] == "ServiceAccount" && subject["name"] == "default" {
                subject["namespace"] = to.into();
            }
        }
    }
}

/// Of the objects that this one makes.
fn templates(object: &mut Value, field: &str, texts: &Texts) {
    if texts.is_empty() {
        return;
    }
    match object["kind"].as_str().unwrap_or_default() {
        "CronJob" => {
            let template = &mut object["spec"]["jobTemplate"];
            set(&mut template["metadata"], field, texts);
            set(&mut template["spec"]["template"]["metadata"], field, texts);
        }
        "Job" | "ReplicationController" => {
            set(&mut object["spec"]["template"]["metadata"], field, texts);
        }
        kind if WORKLOADS.contains(&kind) => {
            set(&mut object["spec"]["template"]["metadata"], field, texts);
            if field == "labels" {
                for claim in list(object, "/spec/volumeClaimTemplates") {
                    set(&mut claim["metadata"], field, texts);
                }
            }
        }
        _ => {}
    }
}

/// Those of kinds that need one; and those of others, where there is one.
fn selectors(object: &mut Value, texts: &Texts) {
    if texts.is_empty() {
        return;
    }
    let kind = object["kind"].as_str().unwrap_or_default().to_owned();
    match kind.as_str() {
        "Service" | "ReplicationController" => set(&mut object["spec"], "selector", texts),
        "CronJob" => {
            present(object, "/spec/jobTemplate/spec/selector/matchLabels", texts);
        }
        "Job" | "PodDisruptionBudget" => {
            present(object, "/spec/selector/matchLabels", texts);
        }
        "NetworkPolicy" => present(object, "/spec/podSelector/matchLabels", texts),
        kind if WORKLOADS.contains(&kind) => {
            set(&mut object["spec"]["selector"], "matchLabels", texts);
        }
        _ => {}
    }
}

fn present(object: &mut Value, pointer: &str, texts: &Texts) {
    if let Some(Value::Object(labels)) = object.pointer_mut(pointer) {
        labels.extend(texts.iter().map(|(key, value)| (key.clone(), value.clone().into())));
    }
}

/// The elements of a list, if it is there.
fn list<'a>(object: &'a mut Value, pointer: &str) -> impl Iterator<Item = &'a mut Value> {
    object.pointer_mut(pointer).and_then(Value::as_array_mut).into_iter().flatten()
}

pub(super) fn images(images: &[Image], items: &mut [Item]) {
    for item in items {
        for image in images {
            of_containers(&mut item.object, image);
        }
    }
}

/// Wherever there are containers.
fn of_containers(value: &mut Value, image: &Image) {
    match value {
        Value::Object(fields) => {
            for (name, inner) in fields.iter_mut() {
                if matches!(name.as_str(), "containers" | "initContainers" | "ephemeralContainers")
                {
                    for container in inner.as_array_mut().into_iter().flatten() {
                        if let Some(found) = container["image"].as_str().map(|i| renamed(i, image))
                        {
                            container["image"] = found.into();
                        }
                    }
                }
                of_containers(inner, image);
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| of_containers(item, image)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// A new tag goes without the old digest, and the other way round.
fn renamed(reference: &str, image: &Image) -> String {
    let (name, mut rest) = split(reference);
    if name != image.name {
        return reference.to_owned();
    }
    let name = if image.new_name.is_empty() { name } else { &image.new_name };
    let mut new = String::new();
    if !image.new_tag.is_empty() {
        new = format!(":{}", image.new_tag);
    }
    if !image.digest.is_empty() {
        new = format!("{new}@{}", image.digest);
    }
    if !new.is_empty() {
        rest = &new;
    }
    format!("{name}{rest}")
}

/// The name, and tag and digest behind it.
fn split(reference: &str) -> (&str, &str) {
    let end = reference.find('@').unwrap_or(reference.len());
    // A colon before the last slash is of a port.
    let from = reference[..end].rfind('/').map_or(0, |at| at + 1);
    let at = reference[from..end].find(':').map_or(end, |at| from + at);
    reference.split_at(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_is_renamed_by_its_name() {
        let image = |name: &str, new_name: &str, new_tag: &str, digest: &str| Image {
            name: name.to_owned(),
            new_name: new_name.to_owned(),
            new_tag: new_tag.to_owned(),
            digest: digest.to_owned(),
        };
        for (reference, image, expected) in [
            ("perl:5", image("perl", "", "6", ""), "perl:6"),
            ("perl", image("perl", "my/perl", "", ""), "my/perl"),
            ("perl@sha256:0", image("perl", "", "6", ""), "perl:6"),
            ("perl:5@sha256:0", image("perl", "p", "", ""), "p:5@sha256:0"),
            ("r:5000/perl:5", image("r:5000/perl", "", "", "sha256:1"), "r:5000/perl@sha256:1"),
            ("r:5000/perl", image("perl", "x", "", ""), "r:5000/perl"),
        ] {
            assert_eq!(renamed(reference, &image), expected, "{reference}");
        }
    }
}
