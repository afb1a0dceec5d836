//! What all stored objects have in common: a kind, a key, metadata.

use std::fmt;

use k8s_openapi::api::batch::v1::{CronJob, Job};
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{
    ConfigMap, Event, Namespace, Node, PersistentVolumeClaim, Pod, Secret, ServiceAccount,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// What the engine remembers in annotations is called like this. A user says nothing under it but what
/// [`super::extensions`] names.
pub const ENGINE_PREFIX: &str = "kiln/";

/// The kinds of object that kiln stores.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    Job,
    CronJob,
    Pod,
    Event,
    ConfigMap,
    Secret,
    Namespace,
    Node,
    ServiceAccount,
    Lease,
    PersistentVolumeClaim,
}

impl Kind {
    pub const ALL: [Self; 11] = [
        Self::Job,
        Self::CronJob,
        Self::Pod,
        Self::Event,
        Self::ConfigMap,
        Self::Secret,
        Self::Namespace,
        Self::Node,
        Self::ServiceAccount,
        Self::Lease,
        Self::PersistentVolumeClaim,
    ];

    /// As `kind` spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Job => "Job",
            Self::CronJob => "CronJob",
            Self::Pod => "Pod",
            Self::Event => "Event",
            Self::ConfigMap => "ConfigMap",
            Self::Secret => "Secret",
            Self::Namespace => "Namespace",
            Self::Node => "Node",
            Self::ServiceAccount => "ServiceAccount",
            Self::Lease => "Lease",
            Self::PersistentVolumeClaim => "PersistentVolumeClaim",
        }
    }

    /// The plural in a path: `/registry/<plural>/<namespace>/<name>`.
    pub fn plural(self) -> &'static str {
        match self {
            Self::Job => "jobs",
            Self::CronJob => "cronjobs",
            Self::Pod => "pods",
            Self::Event => "events",
            Self::ConfigMap => "configmaps",
            Self::Secret => "secrets",
            Self::Namespace => "namespaces",
            Self::Node => "nodes",
            Self::ServiceAccount => "serviceaccounts",
            Self::Lease => "leases",
            Self::PersistentVolumeClaim => "persistentvolumeclaims",
        }
    }

    /// The version that objects of this kind are stored in.
    pub fn api_version(self) -> &'static str {
        match self {
            Self::Job | Self::CronJob => "batch/v1",
            Self::Lease => "coordination.k8s.io/v1",
            Self::Pod
            | Self::Event
            | Self::ConfigMap
            | Self::Secret
            | Self::Namespace
            | Self::Node
            | Self::ServiceAccount
            | Self::PersistentVolumeClaim => "v1",
        }
    }

    /// Whether objects of this kind are in a namespace.
    pub fn is_namespaced(self) -> bool {
        !matches!(self, Self::Namespace | Self::Node)
    }
}

/// The name of one object.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key {
    pub kind: Kind,
    pub namespace: String,
    pub name: String,
}

impl Key {
    pub fn new(kind: Kind, namespace: impl Into<String>, name: impl Into<String>) -> Self {
        Self { kind, namespace: namespace.into(), name: name.into() }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.kind.plural(), self.namespace, self.name)
    }
}

/// An object that the store keeps.
pub trait Object:
    Serialize + DeserializeOwned + Clone + fmt::Debug + Send + Sync + 'static
{
    const KIND: Kind;

    fn meta(&self) -> &ObjectMeta;
    fn meta_mut(&mut self) -> &mut ObjectMeta;

    fn name(&self) -> &str {
        self.meta().name.as_deref().unwrap_or_default()
    }

    fn namespace(&self) -> &str {
        self.meta().namespace.as_deref().unwrap_or_default()
    }

    fn uid(&self) -> &str {
        self.meta().uid.as_deref().unwrap_or_default()
    }

    fn key(&self) -> Key {
        Key::new(Self::KIND, self.namespace(), self.name())
    }

    fn is_deleting(&self) -> bool {
        self.meta().deletion_timestamp.is_some()
    }

    fn has_finalizer(&self, finalizer: &str) -> bool {
        self.meta().finalizers.iter().flatten().any(|f| f == finalizer)
    }

    fn remove_finalizer(&mut self, finalizer: &str) {
        if let Some(finalizers) = &mut self.meta_mut().finalizers {
            finalizers.retain(|f| f != finalizer);
        }
    }

    /// Whether nothing holds a deleted object any more. A pod is also held by the engine until its
    /// containers are gone, which it tells by a grace period of zero.
    /// <https://kubernetes.io/docs/concepts/overview/working-with-objects/finalizers/>
    fn is_released(&self) -> bool {
        let meta = self.meta();
        self.is_deleting()
            && meta.finalizers.iter().flatten().next().is_none()
            && (Self::KIND != Kind::Pod || meta.deletion_grace_period_seconds == Some(0))
    }
}

macro_rules! object {
    ($type:ty, $kind:expr) => {
        impl Object for $type {
            const KIND: Kind = $kind;

            fn meta(&self) -> &ObjectMeta {
                &self.metadata
            }

            fn meta_mut(&mut self) -> &mut ObjectMeta {
                &mut self.metadata
            }
        }
    };
}

object!(Job, Kind::Job);
object!(CronJob, Kind::CronJob);
object!(Pod, Kind::Pod);
object!(Event, Kind::Event);
object!(ConfigMap, Kind::ConfigMap);
object!(Secret, Kind::Secret);
object!(Namespace, Kind::Namespace);
object!(Node, Kind::Node);
object!(ServiceAccount, Kind::ServiceAccount);
object!(Lease, Kind::Lease);
object!(PersistentVolumeClaim, Kind::PersistentVolumeClaim);
