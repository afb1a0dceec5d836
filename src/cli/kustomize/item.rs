//! One object on its way through a kustomization.
//!
//! Owns: by which names it is known, and its place in the order of creation. Must not know: how it is
//! changed.

use serde_json::Value;

/// Kinds that others need, in the order in which they are created.
const FIRST: [&str; 22] = [
    "Namespace",
    "ResourceQuota",
    "StorageClass",
    "CustomResourceDefinition",
    "ServiceAccount",
    "PodSecurityPolicy",
    "Role",
    "ClusterRole",
    "RoleBinding",
    "ClusterRoleBinding",
    "ConfigMap",
    "Secret",
    "Endpoints",
    "Service",
    "LimitRange",
    "PriorityClass",
    "PersistentVolume",
    "PersistentVolumeClaim",
    "Deployment",
    "StatefulSet",
    "CronJob",
    "PodDisruptionBudget",
];
/// Kinds that would refuse others.
const LAST: [&str; 2] = ["MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"];

/// Kinds that are in no namespace.
const OF_CLUSTER: [&str; 20] = [
    "APIService",
    "CSIDriver",
    "CSINode",
    "CertificateSigningRequest",
    "ClusterRole",
    "ClusterRoleBinding",
    "ComponentStatus",
    "CustomResourceDefinition",
    "FlowSchema",
    "IngressClass",
    "MutatingWebhookConfiguration",
    "Namespace",
    "Node",
    "PersistentVolume",
    "PriorityClass",
    "PriorityLevelConfiguration",
    "RuntimeClass",
    "StorageClass",
    "ValidatingWebhookConfiguration",
    "VolumeAttachment",
];

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Item {
    pub(super) object: Value,
    /// What it was called before: patches and generators of the directories above may say so still.
    former: Vec<(String, String)>,
    /// Its name is to tell what it holds.
    pub(super) is_hashed: bool,
}

impl Item {
    pub(super) fn new(object: Value) -> Self {
        Self { object, former: Vec::new(), is_hashed: false }
    }

    pub(super) fn kind(&self) -> &str {
        self.object["kind"].as_str().unwrap_or_default()
    }

    /// Of `apiVersion`.
    pub(super) fn group_and_version(&self) -> (&str, &str) {
        let text = self.object["apiVersion"].as_str().unwrap_or_default();
        text.split_once('/').unwrap_or(("", text))
    }

    pub(super) fn name(&self) -> &str {
        self.object["metadata"]["name"].as_str().unwrap_or_default()
    }

    pub(super) fn namespace(&self) -> &str {
        self.object["metadata"]["namespace"].as_str().unwrap_or_default()
    }

    pub(super) fn is_of_cluster(&self) -> bool {
        OF_CLUSTER.contains(&self.kind())
    }

    /// The names and namespaces by which it is and was known.
    pub(super) fn names(&self) -> impl Iterator<Item = (&str, &str)> {
        let former =
            self.former.iter().map(|(name, namespace)| (name.as_str(), namespace.as_str()));
        std::iter::once((self.name(), self.namespace())).chain(former)
    }

    /// Changes name or namespace, and remembers the old ones.
    pub(super) fn rename(&mut self, field: &str, to: &str) {
        let old = (self.name().to_owned(), self.namespace().to_owned());
        if !self.former.contains(&old) {
            self.former.push(old);
        }
        self.object["metadata"][field] = to.into();
    }

    fn is_same(&self, other: &Self) -> bool {
        self.kind() == other.kind()
            && self.group_and_version().0 == other.group_and_version().0
            && self.name() == other.name()
            && namespace_or_default(self.namespace()) == namespace_or_default(other.namespace())
    }
}

/// What says no namespace is in `default`.
pub(super) fn namespace_or_default(namespace: &str) -> &str {
    if namespace.is_empty() { "default" } else { namespace }
}

/// Adds objects to others.
///
/// # Errors
/// One is there already.
pub(super) fn add(items: &mut Vec<Item>, more: Vec<Item>) -> Result<(), String> {
    for item in more {
        if item.kind().is_empty() || item.name().is_empty() {
            return Err(format!(
                "an object without kind or metadata.name: {}",
                item.object.to_string().chars().take(80).collect::<String>()
            ));
        }
        if items.iter().any(|known| known.is_same(&item)) {
            return Err(format!(
                "may not add resource with an already registered id: {}/{}",
                item.kind(),
                item.name()
            ));
        }
        items.push(item);
    }
    Ok(())
}

type Order = (isize, String, String, String);

pub(super) fn order(item: &Item) -> Order {
    let place = |list: &[&str]| list.iter().position(|kind| *kind == item.kind());
    let signed = |index: usize| isize::try_from(index).unwrap_or(isize::MAX);
    let place = match (place(&FIRST), place(&LAST)) {
        (Some(index), _) => signed(index) - signed(FIRST.len()),
        (None, Some(index)) => signed(index) + 1,
        (None, None) => 0,
    };
    let (group, version) = item.group_and_version();
    // As kustomize has it: the core group after all others.
    let group = if group.is_empty() { "~G" } else { group };
    let kind = format!("{group}_{version}_{}", item.kind());
    (place, kind, item.namespace().to_owned(), item.name().to_owned())
}
