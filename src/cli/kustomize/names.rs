//! Names that objects have for each other.
//!
//! Owns: where a pod names ConfigMaps, Secrets and the like, and that the names stay right. Must not
//! know: why a name changes.

use serde_json::Value;

use super::item::{Item, namespace_or_default};

/// Where pods are described.
const PODS: [&str; 3] = ["/spec", "/spec/template/spec", "/spec/jobTemplate/spec/template/spec"];

/// One change of a name.
struct Change {
    kind: String,
    namespace: String,
    from: String,
    to: String,
}

/// Renames objects, and what they are called by the others. `name`: what an object is to be called,
/// unless it keeps its name.
pub(super) fn rename(items: &mut [Item], name: impl Fn(&Item) -> Option<String>) {
    let mut changes = Vec::new();
    for item in items.iter_mut() {
        let Some(to) = name(item).filter(|to| to != item.name()) else { continue };
        changes.push(Change {
            kind: item.kind().to_owned(),
            namespace: namespace_or_default(item.namespace()).to_owned(),
            from: item.name().to_owned(),
            to: to.clone(),
        });
        item.rename("name", &to);
    }
    for item in items {
        let namespace = namespace_or_default(item.namespace()).to_owned();
        let find = |kind: &str, name: &str| {
            let is_it = |change: &&Change| {
                change.kind == kind && change.from == name && change.namespace == namespace
            };
            changes.iter().find(is_it).map(|change| change.to.clone())
        };
        for pointer in PODS {
            if let Some(pod) = item.object.pointer_mut(pointer)
                && pod["containers"].is_array()
            {
                visit(pod, &find);
            }
        }
    }
}

/// All names within a pod, wherever a field of such a name is.
fn visit(value: &mut Value, find: &impl Fn(&str, &str) -> Option<String>) {
    match value {
        Value::Object(fields) => {
            for (name, inner) in fields.iter_mut() {
                match name.as_str() {
                    "configMap" | "configMapRef" | "configMapKeyRef" => {
                        update(inner.get_mut("name"), "ConfigMap", find);
                    }
                    "secretRef" | "secretKeyRef" => update(inner.get_mut("name"), "Secret", find),
                    // In a volume, and among several sources of one.
                    "secret" => {
                        update(inner.get_mut("secretName"), "Secret", find);
                        update(inner.get_mut("name"), "Secret", find);
                    }
                    "imagePullSecrets" => {
                        for secret in inner.as_array_mut().into_iter().flatten() {
                            update(secret.get_mut("name"), "Secret", find);
                        }
                    }
                    "serviceAccountName" => update(Some(inner), "ServiceAccount", find),
                    "claimName" => update(Some(inner), "PersistentVolumeClaim", find),
                    _ => visit(inner, find),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| visit(item, find)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn update(name: Option<&mut Value>, kind: &str, find: &impl Fn(&str, &str) -> Option<String>) {
    if let Some(name) = name
        && let Some(to) = name.as_str().and_then(|name| find(kind, name))
    {
        *name = to.into();
    }
}
