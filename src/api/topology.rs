//! How the lists and maps of an object are merged: by which keys, or not at all.
//!
//! Owns: the table, one for strategic merge patch, server-side apply and OpenAPI. A field that is not
//! in it is a value, a list that is replaced as a whole, or a map that is merged key by key.
//! Must not know: how anything is merged.
//! <https://kubernetes.io/docs/reference/using-api/server-side-apply/#merge-strategy>

/// A type whose fields do not all follow the rule.
#[derive(Debug)]
pub struct Type {
    /// As OpenAPI names it.
    pub name: &'static str,
    /// `x-kubernetes-map-type: atomic`: applied as a whole, though a patch still merges it.
    pub atomic: bool,
    pub fields: &'static [Field],
}

/// A field that does not follow the rule, or that has such fields in it.
#[derive(Debug)]
pub struct Field {
    pub name: &'static str,
    /// What a strategic merge patch does with a list.
    pub patch: Patch,
    /// What server-side apply does with a list.
    pub list: List,
    /// The type of the field; of a list: of its elements.
    pub of: &'static Type,
    /// Whether every object has this field, though it may be empty.
    pub always: bool,
}

/// `x-kubernetes-patch-strategy` and `x-kubernetes-patch-merge-key`.
/// <https://kubernetes.io/docs/tasks/manage-kubernetes-objects/update-api-object-kubectl-patch/>
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Patch {
    Replace,
    /// Values are added that are not there yet.
    Merge,
    /// Elements of the same key are merged.
    MergeBy(&'static str),
    /// So are these; clients say besides which fields of an element shall be kept.
    MergeRetaining(&'static str),
}

/// `x-kubernetes-list-type` and `x-kubernetes-list-map-keys`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum List {
    Atomic,
    Set,
    Map(&'static [Key]),
}

/// A key of the elements of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Key {
    pub name: &'static str,
    /// What an element has that does not say it.
    pub default: Option<&'static str>,
}

impl Type {
    /// What is said of the field of this name.
    pub fn field(&self, name: &str) -> Option<&'static Field> {
        self.fields.iter().find(|field| field.name == name)
    }
}

impl Patch {
    /// The key by which a patch merges the elements of a list.
    pub fn key(self) -> Option<&'static str> {
        match self {
            Self::Replace | Self::Merge => None,
            Self::MergeBy(key) | Self::MergeRetaining(key) => Some(key),
        }
    }

    /// The value of `x-kubernetes-patch-strategy`.
    pub fn strategy(self) -> Option<&'static str> {
        match self {
            Self::Replace => None,
            Self::Merge | Self::MergeBy(_) => Some("merge"),
            Self::MergeRetaining(_) => Some("merge,retainKeys"),
        }
    }
}

impl List {
    /// The value of `x-kubernetes-list-type`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Atomic => "atomic",
            Self::Set => "set",
            Self::Map(_) => "map",
        }
    }
}

/// Whether more than its metadata is known of this kind.
pub fn is_known(kind: &str) -> bool {
    !std::ptr::eq(of(kind), &raw const OBJECT)
}

/// The type of objects of this kind. What is not known has metadata, as all have.
pub fn of(kind: &str) -> &'static Type {
    match kind {
        "Job" => &JOB,
        "CronJob" => &CRON_JOB,
        "Pod" => &POD,
        "Node" => &NODE,
        "Namespace" => &NAMESPACE,
        "ServiceAccount" => &SERVICE_ACCOUNT,
        "Event" => &EVENT,
        "ConfigMap" => &CONFIG_MAP,
        "Secret" => &SECRET,
        "Lease" => &LEASE,
        "PersistentVolumeClaim" => &CLAIM,
        _ => &OBJECT,
    }
}

/// All types of the table.
pub const TYPES: &[&Type] = &[
    &META,
    &OWNER_REFERENCE,
    &LABEL_SELECTOR,
    &JOB,
    &JOB_SPEC,
    &JOB_STATUS,
    &SCHEDULING,
    &FAILURE_POLICY,
    &SUCCESS_POLICY,
    &CRON_JOB,
    &CRON_JOB_SPEC,
    &JOB_TEMPLATE,
    &POD_TEMPLATE,
    &POD,
    &POD_SPEC,
    &POD_STATUS,
    &CONTAINER,
    &EPHEMERAL_CONTAINER,
    &ENV_VAR,
    &ENV_VAR_SOURCE,
    &CONFIG_MAP_KEY,
    &SECRET_KEY,
    &FILE_KEY,
    &OBJECT_FIELD,
    &RESOURCE_FIELD,
    &RESOURCES,
    &VOLUME_MOUNT,
    &CONTAINER_PORT,
    &VOLUME_DEVICE,
    &VOLUME,
    &HOST_ALIAS,
    &LOCAL_REFERENCE,
    &OBJECT_REFERENCE,
    &AFFINITY,
    &NODE_AFFINITY,
    &NODE_SELECTOR,
    &SPREAD,
    &NODE,
    &NODE_SPEC,
    &NODE_STATUS,
    &NAMESPACE,
    &NAMESPACE_STATUS,
    &SERVICE_ACCOUNT,
    &EVENT,
    &CONFIG_MAP,
    &SECRET,
    &LEASE,
    &CLAIM,
    &CLAIM_SPEC,
    &CLAIM_STATUS,
];

/// What has nothing in it to say anything of.
pub static PLAIN: Type = granular("", &[]);
/// A map that is applied as a whole.
pub static ATOMIC: Type = atomic("", &[]);

const fn granular(name: &'static str, fields: &'static [Field]) -> Type {
    Type { name, atomic: false, fields }
}

const fn atomic(name: &'static str, fields: &'static [Field]) -> Type {
    Type { name, atomic: true, fields }
}

const fn field(name: &'static str, of: &'static Type) -> Field {
    Field { name, patch: Patch::Replace, list: List::Atomic, of, always: false }
}

const fn always(name: &'static str, of: &'static Type) -> Field {
    Field { name, patch: Patch::Replace, list: List::Atomic, of, always: true }
}

const fn list(name: &'static str, patch: Patch, list: List, of: &'static Type) -> Field {
    Field { name, patch, list, of, always: false }
}

/// A list that is patched and applied by one and the same key.
const fn by(key: &'static Key, name: &'static str, of: &'static Type) -> Field {
    list(name, Patch::MergeBy(key.name), List::Map(std::slice::from_ref(key)), of)
}

const fn key(name: &'static str) -> Key {
    Key { name, default: None }
}

const NAME: &Key = &key("name");
const IP: &Key = &key("ip");
const TYPE: &Key = &key("type");
const PORT_KEYS: &[Key] = &[key("containerPort"), Key { name: "protocol", default: Some("TCP") }];
const SPREAD_KEYS: &[Key] = &[key("topologyKey"), key("whenUnsatisfiable")];

static OBJECT: Type = granular("", &[always("metadata", &META)]);

pub static META: Type = granular(
    "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta",
    &[
        list("finalizers", Patch::Merge, List::Set, &PLAIN),
        by(&key("uid"), "ownerReferences", &OWNER_REFERENCE),
    ],
);
static OWNER_REFERENCE: Type = atomic("io.k8s.apimachinery.pkg.apis.meta.v1.OwnerReference", &[]);
static LABEL_SELECTOR: Type = atomic("io.k8s.apimachinery.pkg.apis.meta.v1.LabelSelector", &[]);

pub static JOB: Type = granular(
    "io.k8s.api.batch.v1.Job",
    &[always("metadata", &META), always("spec", &JOB_SPEC), always("status", &JOB_STATUS)],
);
static JOB_SPEC: Type = granular(
    "io.k8s.api.batch.v1.JobSpec",
    &[
        field("selector", &LABEL_SELECTOR),
        always("template", &POD_TEMPLATE),
        field("podFailurePolicy", &FAILURE_POLICY),
        field("successPolicy", &SUCCESS_POLICY),
        field("scheduling", &SCHEDULING),
    ],
);
/// Conditions are patched by their type, but applied as a whole.
static JOB_STATUS: Type = granular(
    "io.k8s.api.batch.v1.JobStatus",
    &[list("conditions", Patch::MergeBy("type"), List::Atomic, &PLAIN)],
);
static SCHEDULING: Type = granular(
    "io.k8s.api.batch.v1.JobSchedulingConfiguration",
    &[by(NAME, "resourceClaims", &PLAIN)],
);
static FAILURE_POLICY: Type = granular("io.k8s.api.batch.v1.PodFailurePolicy", &[]);
static SUCCESS_POLICY: Type = granular("io.k8s.api.batch.v1.SuccessPolicy", &[]);

static CRON_JOB: Type = granular(
    "io.k8s.api.batch.v1.CronJob",
    &[always("metadata", &META), always("spec", &CRON_JOB_SPEC), always("status", &PLAIN)],
);
static CRON_JOB_SPEC: Type =
    granular("io.k8s.api.batch.v1.CronJobSpec", &[always("jobTemplate", &JOB_TEMPLATE)]);
static JOB_TEMPLATE: Type = granular(
    "io.k8s.api.batch.v1.JobTemplateSpec",
    &[always("metadata", &META), always("spec", &JOB_SPEC)],
);

static POD_TEMPLATE: Type = granular(
    "io.k8s.api.core.v1.PodTemplateSpec",
    &[always("metadata", &META), always("spec", &POD_SPEC)],
);
pub static POD: Type = granular(
    "io.k8s.api.core.v1.Pod",
    &[always("metadata", &META), always("spec", &POD_SPEC), always("status", &POD_STATUS)],
);
static POD_SPEC: Type = granular(
    "io.k8s.api.core.v1.PodSpec",
    &[
        Field { always: true, ..by(NAME, "containers", &CONTAINER) },
        by(NAME, "initContainers", &CONTAINER),
        by(NAME, "ephemeralContainers", &EPHEMERAL_CONTAINER),
        by(IP, "hostAliases", &HOST_ALIAS),
        by(NAME, "imagePullSecrets", &LOCAL_REFERENCE),
        by(NAME, "schedulingGates", &PLAIN),
        by(NAME, "evictionResponders", &ATOMIC),
        list("volumes", Patch::MergeRetaining("name"), BY_NAME, &VOLUME),
        list("resourceClaims", Patch::MergeRetaining("name"), BY_NAME, &PLAIN),
        list(
            "topologySpreadConstraints",
            Patch::MergeBy("topologyKey"),
            List::Map(SPREAD_KEYS),
            &SPREAD,
        ),
        field("nodeSelector", &ATOMIC),
        field("affinity", &AFFINITY),
    ],
);
const BY_NAME: List = List::Map(std::slice::from_ref(NAME));
static POD_STATUS: Type = granular(
    "io.k8s.api.core.v1.PodStatus",
    &[
        by(TYPE, "conditions", &PLAIN),
        by(IP, "podIPs", &PLAIN),
        list("hostIPs", Patch::MergeBy("ip"), List::Atomic, &PLAIN),
        list("resourceClaimStatuses", Patch::MergeRetaining("name"), BY_NAME, &PLAIN),
        by(&key("resourceClaimName"), "nodeAllocatableResourceClaimStatuses", &PLAIN),
        list("volumeHealth", Patch::Replace, BY_NAME, &PLAIN),
    ],
);

const CONTAINER_FIELDS: &[Field] = &[
    by(NAME, "env", &ENV_VAR),
    list("ports", Patch::MergeBy("containerPort"), List::Map(PORT_KEYS), &CONTAINER_PORT),
    by(&key("mountPath"), "volumeMounts", &VOLUME_MOUNT),
    by(&key("devicePath"), "volumeDevices", &VOLUME_DEVICE),
    field("resources", &RESOURCES),
];
static CONTAINER: Type = granular("io.k8s.api.core.v1.Container", CONTAINER_FIELDS);
static EPHEMERAL_CONTAINER: Type =
    granular("io.k8s.api.core.v1.EphemeralContainer", CONTAINER_FIELDS);
static ENV_VAR: Type =
    granular("io.k8s.api.core.v1.EnvVar", &[field("valueFrom", &ENV_VAR_SOURCE)]);
static ENV_VAR_SOURCE: Type = granular(
    "io.k8s.api.core.v1.EnvVarSource",
    &[
        field("configMapKeyRef", &CONFIG_MAP_KEY),
        field("secretKeyRef", &SECRET_KEY),
        field("fileKeyRef", &FILE_KEY),
        field("fieldRef", &OBJECT_FIELD),
        field("resourceFieldRef", &RESOURCE_FIELD),
    ],
);
static CONFIG_MAP_KEY: Type = atomic("io.k8s.api.core.v1.ConfigMapKeySelector", &[]);
static SECRET_KEY: Type = atomic("io.k8s.api.core.v1.SecretKeySelector", &[]);
static FILE_KEY: Type = atomic("io.k8s.api.core.v1.FileKeySelector", &[]);
static OBJECT_FIELD: Type = atomic("io.k8s.api.core.v1.ObjectFieldSelector", &[]);
static RESOURCE_FIELD: Type = atomic("io.k8s.api.core.v1.ResourceFieldSelector", &[]);
static RESOURCES: Type = granular(
    "io.k8s.api.core.v1.ResourceRequirements",
    &[list("claims", Patch::Replace, BY_NAME, &PLAIN)],
);
static VOLUME_MOUNT: Type = granular(
    "io.k8s.api.core.v1.VolumeMount",
    &[list("bindMountOptions", Patch::Replace, List::Set, &PLAIN)],
);
static CONTAINER_PORT: Type = granular("io.k8s.api.core.v1.ContainerPort", &[]);
static VOLUME_DEVICE: Type = granular("io.k8s.api.core.v1.VolumeDevice", &[]);
static VOLUME: Type = granular("io.k8s.api.core.v1.Volume", &[]);
static HOST_ALIAS: Type = granular("io.k8s.api.core.v1.HostAlias", &[]);
static LOCAL_REFERENCE: Type = atomic("io.k8s.api.core.v1.LocalObjectReference", &[]);
static OBJECT_REFERENCE: Type = atomic("io.k8s.api.core.v1.ObjectReference", &[]);
static AFFINITY: Type =
    granular("io.k8s.api.core.v1.Affinity", &[field("nodeAffinity", &NODE_AFFINITY)]);
static NODE_AFFINITY: Type = granular(
    "io.k8s.api.core.v1.NodeAffinity",
    &[field("requiredDuringSchedulingIgnoredDuringExecution", &NODE_SELECTOR)],
);
static NODE_SELECTOR: Type = atomic("io.k8s.api.core.v1.NodeSelector", &[]);
static SPREAD: Type = granular(
    "io.k8s.api.core.v1.TopologySpreadConstraint",
    &[field("labelSelector", &LABEL_SELECTOR)],
);

static NODE: Type = granular(
    "io.k8s.api.core.v1.Node",
    &[always("metadata", &META), always("spec", &NODE_SPEC), always("status", &NODE_STATUS)],
);
static NODE_SPEC: Type =
    granular("io.k8s.api.core.v1.NodeSpec", &[list("podCIDRs", Patch::Merge, List::Set, &PLAIN)]);
static NODE_STATUS: Type = granular(
    "io.k8s.api.core.v1.NodeStatus",
    &[by(TYPE, "addresses", &PLAIN), by(TYPE, "conditions", &PLAIN)],
);
static NAMESPACE: Type = granular(
    "io.k8s.api.core.v1.Namespace",
    &[always("metadata", &META), always("spec", &PLAIN), always("status", &NAMESPACE_STATUS)],
);
static NAMESPACE_STATUS: Type =
    granular("io.k8s.api.core.v1.NamespaceStatus", &[by(TYPE, "conditions", &PLAIN)]);
static SERVICE_ACCOUNT: Type = granular(
    "io.k8s.api.core.v1.ServiceAccount",
    &[always("metadata", &META), by(NAME, "secrets", &OBJECT_REFERENCE)],
);
static EVENT: Type = granular(
    "io.k8s.api.core.v1.Event",
    &[
        always("metadata", &META),
        field("involvedObject", &OBJECT_REFERENCE),
        field("related", &OBJECT_REFERENCE),
    ],
);
static CONFIG_MAP: Type = granular("io.k8s.api.core.v1.ConfigMap", &[always("metadata", &META)]);
static SECRET: Type = granular("io.k8s.api.core.v1.Secret", &[always("metadata", &META)]);
static LEASE: Type = granular(
    "io.k8s.api.coordination.v1.Lease",
    &[always("metadata", &META), always("spec", &PLAIN)],
);
static CLAIM: Type = granular(
    "io.k8s.api.core.v1.PersistentVolumeClaim",
    &[always("metadata", &META), always("spec", &CLAIM_SPEC), always("status", &CLAIM_STATUS)],
);
static CLAIM_SPEC: Type =
    granular("io.k8s.api.core.v1.PersistentVolumeClaimSpec", &[field("selector", &LABEL_SELECTOR)]);
static CLAIM_STATUS: Type =
    granular("io.k8s.api.core.v1.PersistentVolumeClaimStatus", &[by(TYPE, "conditions", &PLAIN)]);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_of_the_table_is_listed_once() {
        let mut names: Vec<_> = TYPES.iter().map(|of| of.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), TYPES.len());
        for of in TYPES {
            for field in of.fields {
                let listed = field.of.name.is_empty() || names.contains(&field.of.name);
                assert!(listed, "{}.{}: {} is not listed", of.name, field.name, field.of.name);
            }
        }
    }

    #[test]
    fn a_kind_leads_to_its_containers_and_to_what_is_in_them() {
        let template = |of: &Type| of.field("spec").unwrap().of.field("template").unwrap().of;
        let job = of("CronJob").field("spec").unwrap().of.field("jobTemplate").unwrap().of;
        for template in [template(of("Job")), template(job)] {
            let containers = template.field("spec").unwrap().of.field("containers").unwrap();
            assert_eq!(containers.patch.key(), Some("name"));
            let ports = containers.of.field("ports").unwrap();
            assert_eq!(ports.patch.key(), Some("containerPort"));
            assert_eq!(ports.list, List::Map(PORT_KEYS));
        }
        assert_eq!(of("Widget").field("metadata").unwrap().of.name, META.name);
    }
}
