//! The protobuf messages of the Kubernetes API as data: field numbers, JSON names, types.
//!
//! Owns: what stands in the `protobuf` and `json` tags of the Go types, which are the definition of
//! both encodings.
//! Must not know: how a message is read.

use super::Kind::{
    Bool, Bytes, Int, IntOrString, Json, List, Map, MicroTime, Of, Quantity, Text, Texts, Time,
};
use super::{Field, Kind, Message};

/// A field that says something wherever it stands, even with a zero.
const fn field(number: u32, name: &'static str, kind: Kind) -> Field {
    Field { number, name, kind, zero_is_absent: false }
}

/// A field that Go always writes, since it is no pointer, and that says nothing when it is zero.
const fn filled(number: u32, name: &'static str, kind: Kind) -> Field {
    Field { number, name, kind, zero_is_absent: true }
}

/// A message whose fields stand in JSON among those of the message that holds it.
const fn inline(number: u32, message: &'static Message) -> Field {
    Field { number, name: "", kind: Kind::Inline(message), zero_is_absent: false }
}

const fn message(name: &'static str, fields: &'static [Field]) -> Message {
    Message { name, fields }
}

// From here on written by scripts/api-tables.

/// What may stand in a body: API version (any, if empty), kind, message.
pub(super) static KINDS: [(&str, &str, &Message); 16] = [
    ("v1", "ConfigMap", &CONFIG_MAP),
    ("v1", "Event", &EVENT),
    ("v1", "Namespace", &NAMESPACE),
    ("v1", "PersistentVolumeClaim", &PERSISTENT_VOLUME_CLAIM),
    ("v1", "Pod", &POD),
    ("v1", "Secret", &SECRET),
    ("v1", "ServiceAccount", &SERVICE_ACCOUNT),
    ("batch/v1", "CronJob", &CRON_JOB),
    ("batch/v1", "Job", &JOB),
    ("authentication.k8s.io/v1", "SelfSubjectReview", &SELF_SUBJECT_REVIEW),
    ("authorization.k8s.io/v1", "SelfSubjectAccessReview", &SELF_SUBJECT_ACCESS_REVIEW),
    ("authorization.k8s.io/v1", "SelfSubjectRulesReview", &SELF_SUBJECT_RULES_REVIEW),
    ("coordination.k8s.io/v1", "Lease", &LEASE),
    ("events.k8s.io/v1", "Event", &EVENTS_EVENT),
    ("policy/v1", "Eviction", &EVICTION),
    ("", "DeleteOptions", &DELETE_OPTIONS),
];

/// `io.k8s.api.authentication.v1.SelfSubjectReview`.
pub(super) static SELF_SUBJECT_REVIEW: Message = message(
    "io.k8s.api.authentication.v1.SelfSubjectReview",
    &[
        filled(1, "metadata", Of(&OBJECT_META)),
        filled(2, "status", Of(&SELF_SUBJECT_REVIEW_STATUS)),
    ],
);

/// `io.k8s.api.authentication.v1.SelfSubjectReviewStatus`.
pub(super) static SELF_SUBJECT_REVIEW_STATUS: Message = message(
    "io.k8s.api.authentication.v1.SelfSubjectReviewStatus",
    &[filled(1, "userInfo", Of(&USER_INFO))],
);

/// `io.k8s.api.authentication.v1.UserInfo`.
pub(super) static USER_INFO: Message = message(
    "io.k8s.api.authentication.v1.UserInfo",
    &[
        filled(1, "username", Text),
        filled(2, "uid", Text),
        field(3, "groups", List(&Text)),
        field(4, "extra", Map(&Texts)),
    ],
);

/// `io.k8s.api.authorization.v1.FieldSelectorAttributes`.
pub(super) static FIELD_SELECTOR_ATTRIBUTES: Message = message(
    "io.k8s.api.authorization.v1.FieldSelectorAttributes",
    &[
        filled(1, "rawSelector", Text),
        field(2, "requirements", List(&Of(&FIELD_SELECTOR_REQUIREMENT))),
    ],
);

/// `io.k8s.api.authorization.v1.LabelSelectorAttributes`.
pub(super) static LABEL_SELECTOR_ATTRIBUTES: Message = message(
    "io.k8s.api.authorization.v1.LabelSelectorAttributes",
    &[
        filled(1, "rawSelector", Text),
        field(2, "requirements", List(&Of(&LABEL_SELECTOR_REQUIREMENT))),
    ],
);

/// `io.k8s.api.authorization.v1.NonResourceAttributes`.
pub(super) static NON_RESOURCE_ATTRIBUTES: Message = message(
    "io.k8s.api.authorization.v1.NonResourceAttributes",
    &[filled(1, "path", Text), filled(2, "verb", Text)],
);

/// `io.k8s.api.authorization.v1.NonResourceRule`.
pub(super) static NON_RESOURCE_RULE: Message = message(
    "io.k8s.api.authorization.v1.NonResourceRule",
    &[field(1, "verbs", List(&Text)), field(2, "nonResourceURLs", List(&Text))],
);

/// `io.k8s.api.authorization.v1.ResourceAttributes`.
pub(super) static RESOURCE_ATTRIBUTES: Message = message(
    "io.k8s.api.authorization.v1.ResourceAttributes",
    &[
        filled(1, "namespace", Text),
        filled(2, "verb", Text),
        filled(3, "group", Text),
        filled(4, "version", Text),
        filled(5, "resource", Text),
        filled(6, "subresource", Text),
        filled(7, "name", Text),
        field(8, "fieldSelector", Of(&FIELD_SELECTOR_ATTRIBUTES)),
        field(9, "labelSelector", Of(&LABEL_SELECTOR_ATTRIBUTES)),
    ],
);

/// `io.k8s.api.authorization.v1.ResourceRule`.
pub(super) static RESOURCE_RULE: Message = message(
    "io.k8s.api.authorization.v1.ResourceRule",
    &[
        field(1, "verbs", List(&Text)),
        field(2, "apiGroups", List(&Text)),
        field(3, "resources", List(&Text)),
        field(4, "resourceNames", List(&Text)),
    ],
);

/// `io.k8s.api.authorization.v1.SelfSubjectAccessReview`.
pub(super) static SELF_SUBJECT_ACCESS_REVIEW: Message = message(
    "io.k8s.api.authorization.v1.SelfSubjectAccessReview",
    &[
        filled(1, "metadata", Of(&OBJECT_META)),
        field(2, "spec", Of(&SELF_SUBJECT_ACCESS_REVIEW_SPEC)),
        filled(3, "status", Of(&SUBJECT_ACCESS_REVIEW_STATUS)),
    ],
);

/// `io.k8s.api.authorization.v1.SelfSubjectAccessReviewSpec`.
pub(super) static SELF_SUBJECT_ACCESS_REVIEW_SPEC: Message = message(
    "io.k8s.api.authorization.v1.SelfSubjectAccessReviewSpec",
    &[
        field(1, "resourceAttributes", Of(&RESOURCE_ATTRIBUTES)),
        field(2, "nonResourceAttributes", Of(&NON_RESOURCE_ATTRIBUTES)),
    ],
);

/// `io.k8s.api.authorization.v1.SelfSubjectRulesReview`.
pub(super) static SELF_SUBJECT_RULES_REVIEW: Message = message(
    "io.k8s.api.authorization.v1.SelfSubjectRulesReview",
    &[
        filled(1, "metadata", Of(&OBJECT_META)),
        field(2, "spec", Of(&SELF_SUBJECT_RULES_REVIEW_SPEC)),
        filled(3, "status", Of(&SUBJECT_RULES_REVIEW_STATUS)),
    ],
);

/// `io.k8s.api.authorization.v1.SelfSubjectRulesReviewSpec`.
pub(super) static SELF_SUBJECT_RULES_REVIEW_SPEC: Message = message(
    "io.k8s.api.authorization.v1.SelfSubjectRulesReviewSpec",
    &[filled(1, "namespace", Text)],
);

/// `io.k8s.api.authorization.v1.SubjectAccessReviewStatus`.
pub(super) static SUBJECT_ACCESS_REVIEW_STATUS: Message = message(
    "io.k8s.api.authorization.v1.SubjectAccessReviewStatus",
    &[
        field(1, "allowed", Bool),
        filled(2, "reason", Text),
        filled(3, "evaluationError", Text),
        filled(4, "denied", Bool),
    ],
);

/// `io.k8s.api.authorization.v1.SubjectRulesReviewStatus`.
pub(super) static SUBJECT_RULES_REVIEW_STATUS: Message = message(
    "io.k8s.api.authorization.v1.SubjectRulesReviewStatus",
    &[
        field(1, "resourceRules", List(&Of(&RESOURCE_RULE))),
        field(2, "nonResourceRules", List(&Of(&NON_RESOURCE_RULE))),
        field(3, "incomplete", Bool),
        filled(4, "evaluationError", Text),
    ],
);

/// `io.k8s.api.batch.v1.CronJob`.
pub(super) static CRON_JOB: Message = message(
    "io.k8s.api.batch.v1.CronJob",
    &[
        filled(1, "metadata", Of(&OBJECT_META)),
        filled(2, "spec", Of(&CRON_JOB_SPEC)),
        filled(3, "status", Of(&CRON_JOB_STATUS)),
    ],
);

/// `io.k8s.api.batch.v1.CronJobSpec`.
pub(super) static CRON_JOB_SPEC: Message = message(
    "io.k8s.api.batch.v1.CronJobSpec",
    &[
        field(1, "schedule", Text),
        field(2, "startingDeadlineSeconds", Int),
        filled(3, "concurrencyPolicy", Text),
        field(4, "suspend", Bool),
        field(5, "jobTemplate", Of(&JOB_TEMPLATE_SPEC)),
        field(6, "successfulJobsHistoryLimit", Int),
        field(7, "failedJobsHistoryLimit", Int),
        field(8, "timeZone", Text),
    ],
);

/// `io.k8s.api.batch.v1.CronJobStatus`.
pub(super) static CRON_JOB_STATUS: Message = message(
    "io.k8s.api.batch.v1.CronJobStatus",
    &[
        field(1, "active", List(&Of(&OBJECT_REFERENCE))),
        field(4, "lastScheduleTime", Time),
        field(5, "lastSuccessfulTime", Time),
    ],
);

/// `io.k8s.api.batch.v1.Job`.
pub(super) static JOB: Message = message(
    "io.k8s.api.batch.v1.Job",
    &[
        filled(1, "metadata", Of(&OBJECT_META)),
        filled(2, "spec", Of(&JOB_SPEC)),
        filled(3, "status", Of(&JOB_STATUS)),
    ],
);

/// `io.k8s.api.batch.v1.JobCondition`.
pub(super) static JOB_CONDITION: Message = message(
    "io.k8s.api.batch.v1.JobCondition",
    &[
        field(1, "type", Text),
        field(2, "status", Text),
        field(3, "lastProbeTime", Time),
        field(4, "lastTransitionTime", Time),
        filled(5, "reason", Text),
        filled(6, "message", Text),
    ],
);

/// `io.k8s.api.batch.v1.JobSchedulingConfiguration`.
pub(super) static JOB_SCHEDULING_CONFIGURATION: Message = message(
    "io.k8s.api.batch.v1.JobSchedulingConfiguration",
    &[
        field(1, "schedulingPolicy", Of(&WORKLOAD_POD_GROUP_SCHEDULING_POLICY)),
        field(2, "schedulingConstraints", Of(&WORKLOAD_POD_GROUP_SCHEDULING_CONSTRAINTS)),
        field(3, "disruptionMode", Of(&WORKLOAD_POD_GROUP_DISRUPTION_MODE)),
        field(4, "resourceClaims", List(&Of(&WORKLOAD_POD_GROUP_RESOURCE_CLAIM))),
    ],
);

/// `io.k8s.api.batch.v1.JobSpec`.
pub(super) static JOB_SPEC: Message = message(
    "io.k8s.api.batch.v1.JobSpec",
    &[
        field(1, "parallelism", Int),
        field(2, "completions", Int),
        field(3, "activeDeadlineSeconds", Int),
        field(4, "selector", Of(&LABEL_SELECTOR)),
        field(5, "manualSelector", Bool),
        field(6, "template", Of(&POD_TEMPLATE_SPEC)),
        field(7, "backoffLimit", Int),
        field(8, "ttlSecondsAfterFinished", Int),
        field(9, "completionMode", Text),
        field(10, "suspend", Bool),
        field(11, "podFailurePolicy", Of(&POD_FAILURE_POLICY)),
        field(12, "backoffLimitPerIndex", Int),
        field(13, "maxFailedIndexes", Int),
        field(14, "podReplacementPolicy", Text),
        field(15, "managedBy", Text),
        field(16, "successPolicy", Of(&SUCCESS_POLICY)),
        field(17, "scheduling", Of(&JOB_SCHEDULING_CONFIGURATION)),
    ],
);

/// `io.k8s.api.batch.v1.JobStatus`.
pub(super) static JOB_STATUS: Message = message(
    "io.k8s.api.batch.v1.JobStatus",
    &[
        field(1, "conditions", List(&Of(&JOB_CONDITION))),
        field(2, "startTime", Time),
        field(3, "completionTime", Time),
        filled(4, "active", Int),
        filled(5, "succeeded", Int),
        filled(6, "failed", Int),
        filled(7, "completedIndexes", Text),
        field(8, "uncountedTerminatedPods", Of(&UNCOUNTED_TERMINATED_PODS)),
        field(9, "ready", Int),
        field(10, "failedIndexes", Text),
        field(11, "terminating", Int),
    ],
);

/// `io.k8s.api.batch.v1.JobTemplateSpec`.
pub(super) static JOB_TEMPLATE_SPEC: Message = message(
    "io.k8s.api.batch.v1.JobTemplateSpec",
    &[filled(1, "metadata", Of(&OBJECT_META)), filled(2, "spec", Of(&JOB_SPEC))],
);

/// `io.k8s.api.batch.v1.PodFailurePolicy`.
pub(super) static POD_FAILURE_POLICY: Message = message(
    "io.k8s.api.batch.v1.PodFailurePolicy",
    &[field(1, "rules", List(&Of(&POD_FAILURE_POLICY_RULE)))],
);

/// `io.k8s.api.batch.v1.PodFailurePolicyOnExitCodesRequirement`.
pub(super) static POD_FAILURE_POLICY_ON_EXIT_CODES_REQUIREMENT: Message = message(
    "io.k8s.api.batch.v1.PodFailurePolicyOnExitCodesRequirement",
    &[field(1, "containerName", Text), field(2, "operator", Text), field(3, "values", List(&Int))],
);

/// `io.k8s.api.batch.v1.PodFailurePolicyOnPodConditionsPattern`.
pub(super) static POD_FAILURE_POLICY_ON_POD_CONDITIONS_PATTERN: Message = message(
    "io.k8s.api.batch.v1.PodFailurePolicyOnPodConditionsPattern",
    &[field(1, "type", Text), field(2, "status", Text)],
);

/// `io.k8s.api.batch.v1.PodFailurePolicyRule`.
pub(super) static POD_FAILURE_POLICY_RULE: Message = message(
    "io.k8s.api.batch.v1.PodFailurePolicyRule",
    &[
        field(1, "action", Text),
        field(2, "onExitCodes", Of(&POD_FAILURE_POLICY_ON_EXIT_CODES_REQUIREMENT)),
        field(3, "onPodConditions", List(&Of(&POD_FAILURE_POLICY_ON_POD_CONDITIONS_PATTERN))),
    ],
);

/// `io.k8s.api.batch.v1.SuccessPolicy`.
pub(super) static SUCCESS_POLICY: Message = message(
    "io.k8s.api.batch.v1.SuccessPolicy",
    &[field(1, "rules", List(&Of(&SUCCESS_POLICY_RULE)))],
);

/// `io.k8s.api.batch.v1.SuccessPolicyRule`.
pub(super) static SUCCESS_POLICY_RULE: Message = message(
    "io.k8s.api.batch.v1.SuccessPolicyRule",
    &[field(1, "succeededIndexes", Text), field(2, "succeededCount", Int)],
);

/// `io.k8s.api.batch.v1.UncountedTerminatedPods`.
pub(super) static UNCOUNTED_TERMINATED_PODS: Message = message(
    "io.k8s.api.batch.v1.UncountedTerminatedPods",
    &[field(1, "succeeded", List(&Text)), field(2, "failed", List(&Text))],
);

/// `io.k8s.api.coordination.v1.Lease`.
pub(super) static LEASE: Message = message(
    "io.k8s.api.coordination.v1.Lease",
    &[filled(1, "metadata", Of(&OBJECT_META)), filled(2, "spec", Of(&LEASE_SPEC))],
);

/// `io.k8s.api.coordination.v1.LeaseSpec`.
pub(super) static LEASE_SPEC: Message = message(
    "io.k8s.api.coordination.v1.LeaseSpec",
    &[
        field(1, "holderIdentity", Text),
        field(2, "leaseDurationSeconds", Int),
        field(3, "acquireTime", MicroTime),
        field(4, "renewTime", MicroTime),
        field(5, "leaseTransitions", Int),
        field(6, "strategy", Text),
        field(7, "preferredHolder", Text),
    ],
);

/// `io.k8s.api.core.v1.AWSElasticBlockStoreVolumeSource`.
pub(super) static AWS_ELASTIC_BLOCK_STORE_VOLUME_SOURCE: Message = message(
    "io.k8s.api.core.v1.AWSElasticBlockStoreVolumeSource",
    &[
        field(1, "volumeID", Text),
        filled(2, "fsType", Text),
        filled(3, "partition", Int),
        filled(4, "readOnly", Bool),
    ],
);

/// `io.k8s.api.core.v1.Affinity`.
pub(super) static AFFINITY: Message = message(
    "io.k8s.api.core.v1.Affinity",
    &[
        field(1, "nodeAffinity", Of(&NODE_AFFINITY)),
        field(2, "podAffinity", Of(&POD_AFFINITY)),
        field(3, "podAntiAffinity", Of(&POD_ANTI_AFFINITY)),
    ],
);

/// `io.k8s.api.core.v1.AppArmorProfile`.
pub(super) static APP_ARMOR_PROFILE: Message = message(
    "io.k8s.api.core.v1.AppArmorProfile",
    &[field(1, "type", Text), field(2, "localhostProfile", Text)],
);

/// `io.k8s.api.core.v1.AzureDiskVolumeSource`.
pub(super) static AZURE_DISK_VOLUME_SOURCE: Message = message(
    "io.k8s.api.core.v1.AzureDiskVolumeSource",
    &[
        field(1, "diskName", Text),
        field(2, "diskURI", Text),
        field(3, "cachingMode", Text),
        field(4, "fsType", Text),
        field(5, "readOnly", Bool),
        field(6, "kind", Text),
    ],
);

/// `io.k8s.api.core.v1.AzureFileVolumeSource`.
pub(super) static AZURE_FILE_VOLUME_SOURCE: Message = message(
    "io.k8s.api.core.v1.AzureFileVolumeSource",
    &[field(1, "secretName", Text), field(2, "shareName", Text), filled(3, "readOnly", Bool)],
);

/// `io.k8s.api.core.v1.CSIVolumeSource`.
pub(super) static CSI_VOLUME_SOURCE: Message = message(
    "io.k8s.api.core.v1.CSIVolumeSource",
    &[
        field(1, "driver", Text),
        field(2, "readOnly", Bool),
        field(3, "fsType", Text),
        field(4, "volumeAttributes", Map(&Text)),
        field(5, "nodePublishSecretRef", Of(&LOCAL_OBJECT_REFERENCE)),
    ],
);

/// `io.k8s.api.core.v1.Capabilities`.
pub(super) static CAPABILITIES: Message = message(
    "io.k8s.api.core.v1.Capabilities",
    &[field(1, "add", List(&Text)), field(2, "drop", List(&Text))],
);

/// `io.k8s.api.core.v1.CephFSVolumeSource`.
pub(super) static CEPH_FS_VOLUME_SOURCE: Message = message(
    "io.k8s.api.core.v1.CephFSVolumeSource",
    &[
        field(1, "monitors", List(&Text)),
        filled(2, "path", Text),
        filled(3, "user", Text),
        filled(4, "secretFile", Text),
        field(5, "secretRef", Of(&LOCAL_OBJECT_REFERENCE)),
        filled(6, "readOnly", Bool),
    ],
);

/// `io.k8s.api.core.v1.CinderVolumeSource`.
pub(super) static CINDER_VOLUME_SOURCE: Message = message(
    "io.k8s.api.core.v1.CinderVolumeSource",
    &[
        field(1, "volumeID", Text),
        filled(2, "fsType", Text),
        filled(3, "readOnly", Bool),
        field(4, "secretRef", Of(&LOCAL_OBJECT_REFERENCE)),
    ],
);

/// `io.k8s.api.core.v1.ClusterTrustBundleProjection`.
pub(super) static CLUSTER_TRUST_BUNDLE_PROJECTION: Message = message(
    "io.k8s.api.core.v1.ClusterTrustBundleProjection",
    &[
        field(1, "name", Text),
        field(2, "signerName", Text),
        field(3, "labelSelector", Of(&LABEL_SELECTOR)),
        field(4, "path", Text),
        field(5, "optional", Bool),
        field(6, "user", Int),
    ],
);

/// `io.k8s.api.core.v1.ConfigMap`.
pub(super) static CONFIG_MAP: Message = message(
    "io.k8s.api.core.v1.ConfigMap",
    &[
        filled(1, "metadata", Of(&OBJECT_META)),
        field(2, "data", Map(&Text)),
        field(3, "binaryData", Map(&Bytes)),
        field(4, "immutable", Bool),
    ],
);

/// `io.k8s.api.core.v1.ConfigMapEnvSource`.
pub(super) static CONFIG_MAP_ENV_SOURCE: Message = message(
    "io.k8s.api.core.v1.ConfigMapEnvSource",
    &[inline(1, &LOCAL_OBJECT_REFERENCE), field(2, "optional", Bool)],
);

/// `io.k8s.api.core.v1.ConfigMapKeySelector`.
pub(super) static CONFIG_MAP_KEY_SELECTOR: Message = message(
    "io.k8s.api.core.v1.ConfigMapKeySelector",
    &[inline(1, &LOCAL_OBJECT_REFERENCE), field(2, "key", Text), field(3, "optional", Bool)],
);

/// `io.k8s.api.core.v1.ConfigMapProjection`.
pub(super) static CONFIG_MAP_PROJECTION: Message = message(
    "io.k8s.api.core.v1.ConfigMapProjection",
    &[
        inline(1, &LOCAL_OBJECT_REFERENCE),
        field(2, "items", List(&Of(&KEY_TO_PATH))),
        field(4, "optional", Bool),
    ],
);

/// `io.k8s.api.core.v1.ConfigMapVolumeSource`.
pub(super) static CONFIG_MAP_VOLUME_SOURCE: Message = message(
    "io.k8s.api.core.v1.ConfigMapVolumeSource",
    &[
        inline(1, &LOCAL_OBJECT_REFERENCE),
        field(2, "items", List(&Of(&KEY_TO_PATH))),
        field(3, "defaultMode", Int),
        field(4, "optional", Bool),
        field(5, "defaultUser", Int),
    ],
);

/// `io.k8s.api.core.v1.Container`.
pub(super) static CONTAINER: Message = message(
    "io.k8s.api.core.v1.Container",
    &[
        field(1, "name", Text),
        filled(2, "image", Text),
        field(3, "command", List(&Text)),
        field(4, "args", List(&Text)),
        filled(5, "workingDir", Text),
        field(6, "ports", List(&Of(&CONTAINER_PORT))),
        field(7, "env", List(&Of(&ENV_VAR))),
        filled(8, "resources", Of(&RESOURCE_REQUIREMENTS)),
        field(9, "volumeMounts", List(&Of(&VOLUME_MOUNT))),
        field(10, "livenessProbe", Of(&PROBE)),
        field(11, "readinessProbe", Of(&PROBE)),
        field(12, "lifecycle", Of(&LIFECYCLE)),
        filled(13, "terminationMessagePath", Text),
        filled(14, "imagePullPolicy", Text),
        field(15, "securityContext", Of(&SECURITY_CONTEXT)),
        filled(16, "stdin", Bool),
        filled(17, "stdinOnce", Bool),
        filled(18, "tty", Bool),
        field(19, "envFrom", List(&Of(&ENV_FROM_SOURCE))),
        filled(20, "terminationMessagePolicy", Text),
        field(21, "volumeDevices", List(&Of(&VOLUME_DEVICE))),
        field(22, "startupProbe", Of(&PROBE)),
        field(23, "resizePolicy", List(&Of(&CONTAINER_RESIZE_POLICY))),
        field(24, "restartPolicy", Text),
        field(25, "restartPolicyRules", List(&Of(&CONTAINER_RESTART_RULE))),
    ],
);

/// `io.k8s.api.core.v1.ContainerExtendedResourceRequest`.
pub(super) static CONTAINER_EXTENDED_RESOURCE_REQUEST: Message = message(
    "io.k8s.api.core.v1.ContainerExtendedResourceRequest",
    &[
        field(1, "containerName", Text),
        field(2, "resourceName", Text),
        field(3, "requestName", Text),
    ],
);

/// `io.k8s.api.core.v1.ContainerPort`.
pub(super) static CONTAINER_PORT: Message = message(
    "io.k8s.api.core.v1.ContainerPort",
    &[
        filled(1, "name", Text),
        filled(2, "hostPort", Int),
        field(3, "containerPort", Int),
        filled(4, "protocol", Text),
        filled(5, "hostIP", Text),
    ],
);

/// `io.k8s.api.core.v1.ContainerResizePolicy`.
pub(super) static CONTAINER_RESIZE_POLICY: Message = message(
    "io.k8s.api.core.v1.ContainerResizePolicy",
    &[field(1, "resourceName", Text), field(2, "restartPolicy", Text)],
);

/// `io.k8s.api.core.v1.ContainerRestartRule`.
pub(super) static CONTAINER_RESTART_RULE: Message = message(
    "io.k8s.api.core.v1.ContainerRestartRule",
    &[filled(1, "action", Text), field(2, "exitCodes", Of(&CONTAINER_RESTART_RULE_ON_EXIT_CODES))],
);

/// `io.k8s.api.core.v1.ContainerRestartRuleOnExitCodes`.
pub(super) static CONTAINER_RESTART_RULE_ON_EXIT_CODES: Message = message(
    "io.k8s.api.core.v1.ContainerRestartRuleOnExitCodes",
    &[filled(1, "operator", Text), field(2, "values", List(&Int))],
);

/// `io.k8s.api.core.v1.ContainerState`.
pub(super) static CONTAINER_STATE: Message = message(
    "io.k8s.api.core.v1.ContainerState",
    &[
        field(1, "waiting", Of(&CONTAINER_STATE_WAITING)),
        field(2, "running", Of(&CONTAINER_STATE_RUNNING)),
        field(3, "terminated", Of(&CONTAINER_STATE_TERMINATED)),
    ],
);

/// `io.k8s.api.core.v1.ContainerStateRunning`.
pub(super) static CONTAINER_STATE_RUNNING: Message =
    message("io.k8s.api.core.v1.ContainerStateRunning", &[field(1, "startedAt", Time)]);

/// `io.k8s.api.core.v1.ContainerStateTerminated`.
pub(super) static CONTAINER_STATE_TERMINATED: Message = message(
    "io.k8s.api.core.v1.ContainerStateTerminated",
    &[
        field(1, "exitCode", Int),
        filled(2, "signal", Int),
        filled(3, "reason", Text),
        filled(4, "message", Text),
        field(5, "startedAt", Time),
        field(6, "finishedAt", Time),
        filled(7, "containerID", Text),
    ],
);

/// `io.k8s.api.core.v1.ContainerStateWaiting`.
pub(super) static CONTAINER_STATE_WAITING: Message = message(
    "io.k8s.api.core.v1.ContainerStateWaiting",
    &[filled(1, "reason", Text), filled(2, "message", Text)],
);

/// `io.k8s.api.core.v1.ContainerStatus`.
pub(super) static CONTAINER_STATUS: Message = message(
    "io.k8s.api.core.v1.ContainerStatus",
    &[
        field(1, "name", Text),
        filled(2, "state", Of(&CONTAINER_STATE)),
        filled(3, "lastState", Of(&CONTAINER_STATE)),
        field(4, "ready", Bool),
        field(5, "restartCount", Int),
        field(6, "image", Text),
        field(7, "imageID", Text),
        filled(8, "containerID", Text),
        field(9, "started", Bool),
        field(10, "allocatedResources", Map(&Quantity)),
        field(11, "resources", Of(&RESOURCE_REQUIREMENTS)),
        field(12, "volumeMounts", List(&Of(&VOLUME_MOUNT_STATUS))),
        field(13, "user", Of(&CONTAINER_USER)),
        field(14, "allocatedResourcesStatus", List(&Of(&RESOURCE_STATUS))),
        field(15, "stopSignal", Text),
    ],
);

/// `io.k8s.api.core.v1.ContainerUser`.
pub(super) static CONTAINER_USER: Message =
    message("io.k8s.api.core.v1.ContainerUser", &[field(1, "linux", Of(&LINUX_CONTAINER_USER))]);

/// `io.k8s.api.core.v1.DownwardAPIProjection`.
pub(super) static DOWNWARD_API_PROJECTION: Message = message(
    "io.k8s.api.core.v1.DownwardAPIProjection",
    &[field(1, "items", List(&Of(&DOWNWARD_API_VOLUME_FILE)))],
);

/// `io.k8s.api.core.v1.DownwardAPIVolumeFile`.
pub(super) static DOWNWARD_API_VOLUME_FILE: Message = message(
    "io.k8s.api.core.v1.DownwardAPIVolumeFile",
    &[
        field(1, "path", Text),
        field(2, "fieldRef", Of(&OBJECT_FIELD_SELECTOR)),
        field(3, "resourceFieldRef", Of(&RESOURCE_FIELD_SELECTOR)),
        field(4, "mode", Int),
        field(5, "user", Int),
    ],
);

/// `io.k8s.api.core.v1.DownwardAPIVolumeSource`.
pub(super) static DOWNWARD_API_VOLUME_SOURCE: Message = message(
    "io.k8s.api.core.v1.DownwardAPIVolumeSource",
    &[
        field(1, "items", List(&Of(&DOWNWARD_API_VOLUME_FILE))),
        field(2, "defaultMode", Int),
        field(3, "defaultUser", Int),
    ],
);

/// `io.k8s.api.core.v1.EmptyDirVolumeSource`.
pub(super) static EMPTY_DIR_VOLUME_SOURCE: Message = message(
    "io.k8s.api.core.v1.EmptyDirVolumeSource",
    &[filled(1, "medium", Text), field(2, "sizeLimit", Quantity), field(3, "mode", Int)],
);

/// `io.k8s.api.core.v1.EnvFromSource`.
pub(super) static ENV_FROM_SOURCE: Message = message(
    "io.k8s.api.core.v1.EnvFromSource",
    &[
        filled(1, "prefix", Text),
        field(2, "configMapRef", Of(&CONFIG_MAP_ENV_SOURCE)),
        field(3, "secretRef", Of(&SECRET_ENV_SOURCE)),
    ],
);

/// `io.k8s.api.core.v1.EnvVar`.
pub(super) static ENV_VAR: Message = message(
    "io.k8s.api.core.v1.EnvVar",
    &[field(1, "name", Text), filled(2, "value", Text), field(3, "valueFrom", Of(&ENV_VAR_SOURCE))],
);

/// `io.k8s.api.core.v1.EnvVarSource`.
pub(super) static ENV_VAR_SOURCE: Message = message(
    "io.k8s.api.core.v1.EnvVarSource",
    &[
        field(1, "fieldRef", Of(&OBJECT_FIELD_SELECTOR)),
        field(2, "resourceFieldRef", Of(&RESOURCE_FIELD_SELECTOR)),
        field(3, "configMapKeyRef", Of(&CONFIG_MAP_KEY_SELECTOR)),
        field(4, "secretKeyRef", Of(&SECRET_KEY_SELECTOR)),
        field(5, "fileKeyRef", Of(&FILE_KEY_SELECTOR)),
    ],
);

/// `io.k8s.api.core.v1.EphemeralContainer`.
pub(super) static EPHEMERAL_CONTAINER: Message = message(
    "io.k8s.api.core.v1.EphemeralContainer",
    &[inline(1, &EPHEMERAL_CONTAINER_COMMON), filled(2, "targetContainerName", Text)],
);

/// `io.k8s.api.core.v1.EphemeralContainerCommon`.
pub(super) static EPHEMERAL_CONTAINER_COMMON: Message = message(
    "io.k8s.api.core.v1.EphemeralContainerCommon",
    &[
        field(1, "name", Text),
        filled(2, "image", Text),
        field(3, "command", List(&Text)),
        field(4, "args", List(&Text)),
        filled(5, "workingDir", Text),
        field(6, "ports", List(&Of(&CONTAINER_PORT))),
        field(7, "env", List(&Of(&ENV_VAR))),
        filled(8, "resources", Of(&RESOURCE_REQUIREMENTS)),
        field(9, "volumeMounts", List(&Of(&VOLUME_MOUNT))),
        field(10, "livenessProbe", Of(&PROBE)),
        field(11, "readinessProbe", Of(&PROBE)),
        field(12, "lifecycle", Of(&LIFECYCLE)),
        filled(13, "terminationMessagePath", Text),
        filled(14, "imagePullPolicy", Text),
        field(15, "securityContext", Of(&SECURITY_CONTEXT)),
        filled(16, "stdin", Bool),
        filled(17, "stdinOnce", Bool),
        filled(18, "tty", Bool),
        field(19, "envFrom", List(&Of(&ENV_FROM_SOURCE))),
        filled(20, "terminationMessagePolicy", Text),
        field(21, "volumeDevices", List(&Of(&VOLUME_DEVICE))),
        field(22, "startupProbe", Of(&PROBE)),
        field(23, "resizePolicy", List(&Of(&CONTAINER_RESIZE_POLICY))),
        field(24, "restartPolicy", Text),
        field(25, "restartPolicyRules", List(&Of(&CONTAINER_RESTART_RULE))),
    ],
);

/// `io.k8s.api.core.v1.EphemeralVolumeSource`.
pub(super) static EPHEMERAL_VOLUME_SOURCE: Message = message(
    "io.k8s.api.core.v1.EphemeralVolumeSource",
    &[field(1, "volumeClaimTemplate", Of(&PERSISTENT_VOLUME_CLAIM_TEMPLATE))],
);

/// `io.k8s.api.core.v1.Event`.
pub(super) static EVENT: Message = message(
    "io.k8s.api.core.v1.Event",
    &[
        field(1, "metadata", Of(&OBJECT_META)),
        field(2, "involvedObject", Of(&OBJECT_REFERENCE)),
        filled(3, "reason", Text),
        filled(4, "message", Text),
        filled(5, "source", Of(&EVENT_SOURCE)),
        field(6, "firstTimestamp", Time),
        field(7, "lastTimestamp", Time),
        filled(8, "count", Int),
        filled(9, "type", Text),
        field(10, "eventTime", MicroTime),
        field(11, "series", Of(&EVENT_SERIES)),
        filled(12, "action", Text),
        field(13, "related", Of(&OBJECT_REFERENCE)),
        field(14, "reportingComponent", Text),
        field(15, "reportingInstance", Text),
    ],
);

/// `io.k8s.api.core.v1.EventSeries`.
pub(super) static EVENT_SERIES: Message = message(
    "io.k8s.api.core.v1.EventSeries",
    &[filled(1, "count", Int), field(2, "lastObservedTime", MicroTime)],
);

/// `io.k8s.api.core.v1.EventSource`.
pub(super) static EVENT_SOURCE: Message = message(
    "io.k8s.api.core.v1.EventSource",
    &[filled(1, "component", Text), filled(2, "host", Text)],
);

/// `io.k8s.api.core.v1.EvictionResponder`.
pub(super) static EVICTION_RESPONDER: Message = message(
    "io.k8s.api.core.v1.EvictionResponder",
    &[field(1, "name", Text), field(2, "priority", Int)],
);

/// `io.k8s.api.core.v1.ExecAction`.
pub(super) static EXEC_ACTION: Message =
    message("io.k8s.api.core.v1.ExecAction", &[field(1, "command", List(&Text))]);

/// `io.k8s.api.core.v1.FCVolumeSource`.
pub(super) static FC_VOLUME_SOURCE: Message = message(
    "io.k8s.api.core.v1.FCVolumeSource",
    &[
        field(1, "targetWWNs", List(&Text)),
        field(2, "lun", Int),
        filled(3, "fsType", Text),
        filled(4, "readOnly", Bool),
        field(5, "wwids", List(&Text)),
    ],
);

/// `io.k8s.api.core.v1.FileKeySelector`.
pub(super) static FILE_KEY_SELECTOR: Message = message(
    "io.k8s.api.core.v1.FileKeySelector",
    &[
        field(1, "volumeName", Text),
        field(2, "path", Text),
        field(3, "key", Text),
        field(4, "optional", Bool),
    ],
);

/// `io.k8s.api.core.v1.FlexVolumeSource`.
pub(super) static FLEX_VOLUME_SOURCE: Message = message(
    "io.k8s.api.core.v1.FlexVolumeSource",
    &[
        field(1, "driver", Text),
        filled(2, "fsType", Text),
        field(3, "secretRef", Of(&LOCAL_OBJECT_REFERENCE)),
        filled(4, "readOnly", Bool),
        field(5, "options", Map(&Text)),
    ],
);

/// `io.k8s.api.core.v1.FlockerVolumeSource`.
pub(super) static FLOCKER_VOLUME_SOURCE: Message = message(
    "io.k8s.api.core.v1.FlockerVolumeSource",
    &[filled(1, "datasetName", Text), filled(2, "datasetUUID", Text)],
);

/// `io.k8s.api.core.v1.GCEPersistentDiskVolumeSource`.
pub(super) static GCE_PERSISTENT_DISK_VOLUME_SOURCE: Message = message(
    "io.k8s.api.core.v1.GCEPersistentDiskVolumeSource",
    &[
        field(1, "pdName", Text),
        filled(2, "fsType", Text),
        filled(3, "partition", Int),
        filled(4, "readOnly", Bool),
    ],
);

/// `io.k8s.api.core.v1.GRPCAction`.
pub(super) static GRPC_ACTION: Message = message(
    "io.k8s.api.core.v1.GRPCAction",
    &[field(1, "port", Int), field(2, "service", Text), field(3, "mode", Text)],
);

/// `io.k8s.api.core.v1.GitRepoVolumeSource`.
pub(super) static GIT_REPO_VOLUME_SOURCE: Message = message(
    "io.k8s.api.core.v1.GitRepoVolumeSource",
    &[field(1, "repository", Text), filled(2, "revision", Text), filled(3, "directory", Text)],
);

/// `io.k8s.api.core.v1.GlusterfsVolumeSource`.
pub(super) static GLUSTERFS_VOLUME_SOURCE: Message = message(
    "io.k8s.api.core.v1.GlusterfsVolumeSource",
    &[field(1, "endpoints", Text), field(2, "path", Text), filled(3, "readOnly", Bool)],
);

/// `io.k8s.api.core.v1.HTTPGetAction`.
pub(super) static HTTP_GET_ACTION: Message = message(
    "io.k8s.api.core.v1.HTTPGetAction",
    &[
        filled(1, "path", Text),
        field(2, "port", IntOrString),
        filled(3, "host", Text),
        filled(4, "scheme", Text),
        field(5, "httpHeaders", List(&Of(&HTTP_HEADER))),
        field(6, "protocol", Text),
    ],
);

/// `io.k8s.api.core.v1.HTTPHeader`.
pub(super) static HTTP_HEADER: Message =
    message("io.k8s.api.core.v1.HTTPHeader", &[field(1, "name", Text), field(2, "value", Text)]);

/// `io.k8s.api.core.v1.HostAlias`.
pub(super) static HOST_ALIAS: Message = message(
    "io.k8s.api.core.v1.HostAlias",
    &[field(1, "ip", Text), field(2, "hostnames", List(&Text))],
);

/// `io.k8s.api.core.v1.HostIP`.
pub(super) static HOST_IP: Message = message("io.k8s.api.core.v1.HostIP", &[field(1, "ip", Text)]);

/// `io.k8s.api.core.v1.HostPathVolumeSource`.
pub(super) static HOST_PATH_VOLUME_SOURCE: Message = message(
    "io.k8s.api.core.v1.HostPathVolumeSource",
    &[field(1, "path", Text), field(2, "type", Text)],
);

/// `io.k8s.api.core.v1.ISCSIVolumeSource`.
pub(super) static ISCSI_VOLUME_SOURCE: Message = message(
    "io.k8s.api.core.v1.ISCSIVolumeSource",
    &[
        field(1, "targetPortal", Text),
        field(2, "iqn", Text),
        field(3, "lun", Int),
        filled(4, "iscsiInterface", Text),
        filled(5, "fsType", Text),
        filled(6, "readOnly", Bool),
        field(7, "portals", List(&Text)),
        filled(8, "chapAuthDiscovery", Bool),
        field(10, "secretRef", Of(&LOCAL_OBJECT_REFERENCE)),
        filled(11, "chapAuthSession", Bool),
        field(12, "initiatorName", Text),
    ],
);

/// `io.k8s.api.core.v1.ImageVolumeSource`.
pub(super) static IMAGE_VOLUME_SOURCE: Message = message(
    "io.k8s.api.core.v1.ImageVolumeSource",
    &[filled(1, "reference", Text), filled(2, "pullPolicy", Text)],
);

/// `io.k8s.api.core.v1.ImageVolumeStatus`.
pub(super) static IMAGE_VOLUME_STATUS: Message =
    message("io.k8s.api.core.v1.ImageVolumeStatus", &[filled(1, "imageRef", Text)]);

/// `io.k8s.api.core.v1.KeyToPath`.
pub(super) static KEY_TO_PATH: Message = message(
    "io.k8s.api.core.v1.KeyToPath",
    &[field(1, "key", Text), field(2, "path", Text), field(3, "mode", Int), field(4, "user", Int)],
);

/// `io.k8s.api.core.v1.Lifecycle`.
pub(super) static LIFECYCLE: Message = message(
    "io.k8s.api.core.v1.Lifecycle",
    &[
        field(1, "postStart", Of(&LIFECYCLE_HANDLER)),
        field(2, "preStop", Of(&LIFECYCLE_HANDLER)),
        field(3, "stopSignal", Text),
    ],
);

/// `io.k8s.api.core.v1.LifecycleHandler`.
pub(super) static LIFECYCLE_HANDLER: Message = message(
    "io.k8s.api.core.v1.LifecycleHandler",
    &[
        field(1, "exec", Of(&EXEC_ACTION)),
        field(2, "httpGet", Of(&HTTP_GET_ACTION)),
        field(3, "tcpSocket", Of(&TCP_SOCKET_ACTION)),
        field(4, "sleep", Of(&SLEEP_ACTION)),
    ],
);

/// `io.k8s.api.core.v1.LinuxContainerUser`.
pub(super) static LINUX_CONTAINER_USER: Message = message(
    "io.k8s.api.core.v1.LinuxContainerUser",
    &[field(1, "uid", Int), field(2, "gid", Int), field(3, "supplementalGroups", List(&Int))],
);

/// `io.k8s.api.core.v1.LocalObjectReference`.
pub(super) static LOCAL_OBJECT_REFERENCE: Message =
    message("io.k8s.api.core.v1.LocalObjectReference", &[filled(1, "name", Text)]);

/// `io.k8s.api.core.v1.ModifyVolumeStatus`.
pub(super) static MODIFY_VOLUME_STATUS: Message = message(
    "io.k8s.api.core.v1.ModifyVolumeStatus",
    &[field(1, "targetVolumeAttributesClassName", Text), filled(2, "status", Text)],
);

/// `io.k8s.api.core.v1.NFSVolumeSource`.
pub(super) static NFS_VOLUME_SOURCE: Message = message(
    "io.k8s.api.core.v1.NFSVolumeSource",
    &[field(1, "server", Text), field(2, "path", Text), filled(3, "readOnly", Bool)],
);

/// `io.k8s.api.core.v1.Namespace`.
pub(super) static NAMESPACE: Message = message(
    "io.k8s.api.core.v1.Namespace",
    &[
        filled(1, "metadata", Of(&OBJECT_META)),
        filled(2, "spec", Of(&NAMESPACE_SPEC)),
        filled(3, "status", Of(&NAMESPACE_STATUS)),
    ],
);

/// `io.k8s.api.core.v1.NamespaceCondition`.
pub(super) static NAMESPACE_CONDITION: Message = message(
    "io.k8s.api.core.v1.NamespaceCondition",
    &[
        field(1, "type", Text),
        field(2, "status", Text),
        field(4, "lastTransitionTime", Time),
        filled(5, "reason", Text),
        filled(6, "message", Text),
    ],
);

/// `io.k8s.api.core.v1.NamespaceSpec`.
pub(super) static NAMESPACE_SPEC: Message =
    message("io.k8s.api.core.v1.NamespaceSpec", &[field(1, "finalizers", List(&Text))]);

/// `io.k8s.api.core.v1.NamespaceStatus`.
pub(super) static NAMESPACE_STATUS: Message = message(
    "io.k8s.api.core.v1.NamespaceStatus",
    &[filled(1, "phase", Text), field(2, "conditions", List(&Of(&NAMESPACE_CONDITION)))],
);

/// `io.k8s.api.core.v1.NodeAffinity`.
pub(super) static NODE_AFFINITY: Message = message(
    "io.k8s.api.core.v1.NodeAffinity",
    &[
        field(1, "requiredDuringSchedulingIgnoredDuringExecution", Of(&NODE_SELECTOR)),
        field(
            2,
            "preferredDuringSchedulingIgnoredDuringExecution",
            List(&Of(&PREFERRED_SCHEDULING_TERM)),
        ),
    ],
);

/// `io.k8s.api.core.v1.NodeAllocatableMappedResources`.
pub(super) static NODE_ALLOCATABLE_MAPPED_RESOURCES: Message = message(
    "io.k8s.api.core.v1.NodeAllocatableMappedResources",
    &[field(1, "name", Text), field(2, "quantity", Quantity)],
);

/// `io.k8s.api.core.v1.NodeAllocatableOverheadResources`.
pub(super) static NODE_ALLOCATABLE_OVERHEAD_RESOURCES: Message = message(
    "io.k8s.api.core.v1.NodeAllocatableOverheadResources",
    &[field(1, "name", Text), field(2, "perPod", Quantity), field(3, "perContainer", Quantity)],
);

/// `io.k8s.api.core.v1.NodeAllocatableResourceClaimStatus`.
pub(super) static NODE_ALLOCATABLE_RESOURCE_CLAIM_STATUS: Message = message(
    "io.k8s.api.core.v1.NodeAllocatableResourceClaimStatus",
    &[
        field(1, "resourceClaimName", Text),
        field(2, "containers", List(&Text)),
        field(4, "mapping", List(&Of(&NODE_ALLOCATABLE_MAPPED_RESOURCES))),
        field(5, "overhead", List(&Of(&NODE_ALLOCATABLE_OVERHEAD_RESOURCES))),
    ],
);

/// `io.k8s.api.core.v1.NodeSelector`.
pub(super) static NODE_SELECTOR: Message = message(
    "io.k8s.api.core.v1.NodeSelector",
    &[field(1, "nodeSelectorTerms", List(&Of(&NODE_SELECTOR_TERM)))],
);

/// `io.k8s.api.core.v1.NodeSelectorRequirement`.
pub(super) static NODE_SELECTOR_REQUIREMENT: Message = message(
    "io.k8s.api.core.v1.NodeSelectorRequirement",
    &[field(1, "key", Text), field(2, "operator", Text), field(3, "values", List(&Text))],
);

/// `io.k8s.api.core.v1.NodeSelectorTerm`.
pub(super) static NODE_SELECTOR_TERM: Message = message(
    "io.k8s.api.core.v1.NodeSelectorTerm",
    &[
        field(1, "matchExpressions", List(&Of(&NODE_SELECTOR_REQUIREMENT))),
        field(2, "matchFields", List(&Of(&NODE_SELECTOR_REQUIREMENT))),
    ],
);

/// `io.k8s.api.core.v1.ObjectFieldSelector`.
pub(super) static OBJECT_FIELD_SELECTOR: Message = message(
    "io.k8s.api.core.v1.ObjectFieldSelector",
    &[filled(1, "apiVersion", Text), field(2, "fieldPath", Text)],
);

/// `io.k8s.api.core.v1.ObjectReference`.
pub(super) static OBJECT_REFERENCE: Message = message(
    "io.k8s.api.core.v1.ObjectReference",
    &[
        filled(1, "kind", Text),
        filled(2, "namespace", Text),
        filled(3, "name", Text),
        filled(4, "uid", Text),
        filled(5, "apiVersion", Text),
        filled(6, "resourceVersion", Text),
        filled(7, "fieldPath", Text),
    ],
);

/// `io.k8s.api.core.v1.PersistentVolumeClaim`.
pub(super) static PERSISTENT_VOLUME_CLAIM: Message = message(
    "io.k8s.api.core.v1.PersistentVolumeClaim",
    &[
        filled(1, "metadata", Of(&OBJECT_META)),
        filled(2, "spec", Of(&PERSISTENT_VOLUME_CLAIM_SPEC)),
        filled(3, "status", Of(&PERSISTENT_VOLUME_CLAIM_STATUS)),
    ],
);

/// `io.k8s.api.core.v1.PersistentVolumeClaimCondition`.
pub(super) static PERSISTENT_VOLUME_CLAIM_CONDITION: Message = message(
    "io.k8s.api.core.v1.PersistentVolumeClaimCondition",
    &[
        filled(1, "type", Text),
        filled(2, "status", Text),
        field(3, "lastProbeTime", Time),
        field(4, "lastTransitionTime", Time),
        filled(5, "reason", Text),
        filled(6, "message", Text),
    ],
);

/// `io.k8s.api.core.v1.PersistentVolumeClaimSpec`.
pub(super) static PERSISTENT_VOLUME_CLAIM_SPEC: Message = message(
    "io.k8s.api.core.v1.PersistentVolumeClaimSpec",
    &[
        field(1, "accessModes", List(&Text)),
        filled(2, "resources", Of(&VOLUME_RESOURCE_REQUIREMENTS)),
        filled(3, "volumeName", Text),
        field(4, "selector", Of(&LABEL_SELECTOR)),
        field(5, "storageClassName", Text),
        field(6, "volumeMode", Text),
        field(7, "dataSource", Of(&TYPED_LOCAL_OBJECT_REFERENCE)),
        field(8, "dataSourceRef", Of(&TYPED_OBJECT_REFERENCE)),
        field(9, "volumeAttributesClassName", Text),
    ],
);

/// `io.k8s.api.core.v1.PersistentVolumeClaimStatus`.
pub(super) static PERSISTENT_VOLUME_CLAIM_STATUS: Message = message(
    "io.k8s.api.core.v1.PersistentVolumeClaimStatus",
    &[
        filled(1, "phase", Text),
        field(2, "accessModes", List(&Text)),
        field(3, "capacity", Map(&Quantity)),
        field(4, "conditions", List(&Of(&PERSISTENT_VOLUME_CLAIM_CONDITION))),
        field(5, "allocatedResources", Map(&Quantity)),
        field(7, "allocatedResourceStatuses", Map(&Text)),
        field(8, "currentVolumeAttributesClassName", Text),
        field(9, "modifyVolumeStatus", Of(&MODIFY_VOLUME_STATUS)),
    ],
);

/// `io.k8s.api.core.v1.PersistentVolumeClaimTemplate`.
pub(super) static PERSISTENT_VOLUME_CLAIM_TEMPLATE: Message = message(
    "io.k8s.api.core.v1.PersistentVolumeClaimTemplate",
    &[filled(1, "metadata", Of(&OBJECT_META)), field(2, "spec", Of(&PERSISTENT_VOLUME_CLAIM_SPEC))],
);

/// `io.k8s.api.core.v1.PersistentVolumeClaimVolumeSource`.
pub(super) static PERSISTENT_VOLUME_CLAIM_VOLUME_SOURCE: Message = message(
    "io.k8s.api.core.v1.PersistentVolumeClaimVolumeSource",
    &[field(1, "claimName", Text), filled(2, "readOnly", Bool)],
);

/// `io.k8s.api.core.v1.PhotonPersistentDiskVolumeSource`.
pub(super) static PHOTON_PERSISTENT_DISK_VOLUME_SOURCE: Message = message(
    "io.k8s.api.core.v1.PhotonPersistentDiskVolumeSource",
    &[field(1, "pdID", Text), filled(2, "fsType", Text)],
);

/// `io.k8s.api.core.v1.Pod`.
pub(super) static POD: Message = message(
    "io.k8s.api.core.v1.Pod",
    &[
        filled(1, "metadata", Of(&OBJECT_META)),
        filled(2, "spec", Of(&POD_SPEC)),
        filled(3, "status", Of(&POD_STATUS)),
    ],
);

/// `io.k8s.api.core.v1.PodAffinity`.
pub(super) static POD_AFFINITY: Message = message(
    "io.k8s.api.core.v1.PodAffinity",
    &[
        field(1, "requiredDuringSchedulingIgnoredDuringExecution", List(&Of(&POD_AFFINITY_TERM))),
        field(
            2,
            "preferredDuringSchedulingIgnoredDuringExecution",
            List(&Of(&WEIGHTED_POD_AFFINITY_TERM)),
        ),
    ],
);

/// `io.k8s.api.core.v1.PodAffinityTerm`.
pub(super) static POD_AFFINITY_TERM: Message = message(
    "io.k8s.api.core.v1.PodAffinityTerm",
    &[
        field(1, "labelSelector", Of(&LABEL_SELECTOR)),
        field(2, "namespaces", List(&Text)),
        field(3, "topologyKey", Text),
        field(4, "namespaceSelector", Of(&LABEL_SELECTOR)),
        field(5, "matchLabelKeys", List(&Text)),
        field(6, "mismatchLabelKeys", List(&Text)),
    ],
);

/// `io.k8s.api.core.v1.PodAntiAffinity`.
pub(super) static POD_ANTI_AFFINITY: Message = message(
    "io.k8s.api.core.v1.PodAntiAffinity",
    &[
        field(1, "requiredDuringSchedulingIgnoredDuringExecution", List(&Of(&POD_AFFINITY_TERM))),
        field(
            2,
            "preferredDuringSchedulingIgnoredDuringExecution",
            List(&Of(&WEIGHTED_POD_AFFINITY_TERM)),
        ),
    ],
);

/// `io.k8s.api.core.v1.PodCertificateProjection`.
pub(super) static POD_CERTIFICATE_PROJECTION: Message = message(
    "io.k8s.api.core.v1.PodCertificateProjection",
    &[
        filled(1, "signerName", Text),
        filled(2, "keyType", Text),
        field(3, "maxExpirationSeconds", Int),
        filled(4, "credentialBundlePath", Text),
        filled(5, "keyPath", Text),
        filled(6, "certificateChainPath", Text),
        field(7, "userAnnotations", Map(&Text)),
        field(8, "user", Int),
    ],
);

/// `io.k8s.api.core.v1.PodCondition`.
pub(super) static POD_CONDITION: Message = message(
    "io.k8s.api.core.v1.PodCondition",
    &[
        field(1, "type", Text),
        field(2, "status", Text),
        field(3, "lastProbeTime", Time),
        field(4, "lastTransitionTime", Time),
        filled(5, "reason", Text),
        filled(6, "message", Text),
        filled(7, "observedGeneration", Int),
    ],
);

/// `io.k8s.api.core.v1.PodDNSConfig`.
pub(super) static POD_DNS_CONFIG: Message = message(
    "io.k8s.api.core.v1.PodDNSConfig",
    &[
        field(1, "nameservers", List(&Text)),
        field(2, "searches", List(&Text)),
        field(3, "options", List(&Of(&POD_DNS_CONFIG_OPTION))),
    ],
);

/// `io.k8s.api.core.v1.PodDNSConfigOption`.
pub(super) static POD_DNS_CONFIG_OPTION: Message = message(
    "io.k8s.api.core.v1.PodDNSConfigOption",
    &[filled(1, "name", Text), field(2, "value", Text)],
);

/// `io.k8s.api.core.v1.PodExtendedResourceClaimStatus`.
pub(super) static POD_EXTENDED_RESOURCE_CLAIM_STATUS: Message = message(
    "io.k8s.api.core.v1.PodExtendedResourceClaimStatus",
    &[
        field(1, "requestMappings", List(&Of(&CONTAINER_EXTENDED_RESOURCE_REQUEST))),
        field(2, "resourceClaimName", Text),
    ],
);

/// `io.k8s.api.core.v1.PodIP`.
pub(super) static POD_IP: Message = message("io.k8s.api.core.v1.PodIP", &[field(1, "ip", Text)]);

/// `io.k8s.api.core.v1.PodOS`.
pub(super) static POD_OS: Message = message("io.k8s.api.core.v1.PodOS", &[field(1, "name", Text)]);

/// `io.k8s.api.core.v1.PodReadinessGate`.
pub(super) static POD_READINESS_GATE: Message =
    message("io.k8s.api.core.v1.PodReadinessGate", &[field(1, "conditionType", Text)]);

/// `io.k8s.api.core.v1.PodResourceClaim`.
pub(super) static POD_RESOURCE_CLAIM: Message = message(
    "io.k8s.api.core.v1.PodResourceClaim",
    &[
        field(1, "name", Text),
        field(3, "resourceClaimName", Text),
        field(4, "resourceClaimTemplateName", Text),
    ],
);

/// `io.k8s.api.core.v1.PodResourceClaimStatus`.
pub(super) static POD_RESOURCE_CLAIM_STATUS: Message = message(
    "io.k8s.api.core.v1.PodResourceClaimStatus",
    &[field(1, "name", Text), field(2, "resourceClaimName", Text)],
);

/// `io.k8s.api.core.v1.PodSchedulingGate`.
pub(super) static POD_SCHEDULING_GATE: Message =
    message("io.k8s.api.core.v1.PodSchedulingGate", &[field(1, "name", Text)]);

/// `io.k8s.api.core.v1.PodSchedulingGroup`.
pub(super) static POD_SCHEDULING_GROUP: Message =
    message("io.k8s.api.core.v1.PodSchedulingGroup", &[field(1, "podGroupName", Text)]);

/// `io.k8s.api.core.v1.PodSecurityContext`.
pub(super) static POD_SECURITY_CONTEXT: Message = message(
    "io.k8s.api.core.v1.PodSecurityContext",
    &[
        field(1, "seLinuxOptions", Of(&SE_LINUX_OPTIONS)),
        field(2, "runAsUser", Int),
        field(3, "runAsNonRoot", Bool),
        field(4, "supplementalGroups", List(&Int)),
        field(5, "fsGroup", Int),
        field(6, "runAsGroup", Int),
        field(7, "sysctls", List(&Of(&SYSCTL))),
        field(8, "windowsOptions", Of(&WINDOWS_SECURITY_CONTEXT_OPTIONS)),
        field(9, "fsGroupChangePolicy", Text),
        field(10, "seccompProfile", Of(&SECCOMP_PROFILE)),
        field(11, "appArmorProfile", Of(&APP_ARMOR_PROFILE)),
        field(12, "supplementalGroupsPolicy", Text),
        field(13, "seLinuxChangePolicy", Text),
    ],
);

/// `io.k8s.api.core.v1.PodSpec`.
pub(super) static POD_SPEC: Message = message(
    "io.k8s.api.core.v1.PodSpec",
    &[
        field(1, "volumes", List(&Of(&VOLUME))),
        field(2, "containers", List(&Of(&CONTAINER))),
        filled(3, "restartPolicy", Text),
        field(4, "terminationGracePeriodSeconds", Int),
        field(5, "activeDeadlineSeconds", Int),
        filled(6, "dnsPolicy", Text),
        field(7, "nodeSelector", Map(&Text)),
        filled(8, "serviceAccountName", Text),
        filled(9, "serviceAccount", Text),
        filled(10, "nodeName", Text),
        filled(11, "hostNetwork", Bool),
        filled(12, "hostPID", Bool),
        filled(13, "hostIPC", Bool),
        field(14, "securityContext", Of(&POD_SECURITY_CONTEXT)),
        field(15, "imagePullSecrets", List(&Of(&LOCAL_OBJECT_REFERENCE))),
        filled(16, "hostname", Text),
        filled(17, "subdomain", Text),
        field(18, "affinity", Of(&AFFINITY)),
        filled(19, "schedulerName", Text),
        field(20, "initContainers", List(&Of(&CONTAINER))),
        field(21, "automountServiceAccountToken", Bool),
        field(22, "tolerations", List(&Of(&TOLERATION))),
        field(23, "hostAliases", List(&Of(&HOST_ALIAS))),
        filled(24, "priorityClassName", Text),
        field(25, "priority", Int),
        field(26, "dnsConfig", Of(&POD_DNS_CONFIG)),
        field(27, "shareProcessNamespace", Bool),
        field(28, "readinessGates", List(&Of(&POD_READINESS_GATE))),
        field(29, "runtimeClassName", Text),
        field(30, "enableServiceLinks", Bool),
        field(31, "preemptionPolicy", Text),
        field(32, "overhead", Map(&Quantity)),
        field(33, "topologySpreadConstraints", List(&Of(&TOPOLOGY_SPREAD_CONSTRAINT))),
        field(34, "ephemeralContainers", List(&Of(&EPHEMERAL_CONTAINER))),
        field(35, "setHostnameAsFQDN", Bool),
        field(36, "os", Of(&POD_OS)),
        field(37, "hostUsers", Bool),
        field(38, "schedulingGates", List(&Of(&POD_SCHEDULING_GATE))),
        field(39, "resourceClaims", List(&Of(&POD_RESOURCE_CLAIM))),
        field(40, "resources", Of(&RESOURCE_REQUIREMENTS)),
        field(41, "hostnameOverride", Text),
        field(43, "schedulingGroup", Of(&POD_SCHEDULING_GROUP)),
        field(44, "evictionResponders", List(&Of(&EVICTION_RESPONDER))),
    ],
);

/// `io.k8s.api.core.v1.PodStatus`.
pub(super) static POD_STATUS: Message = message(
    "io.k8s.api.core.v1.PodStatus",
    &[
        filled(1, "phase", Text),
        field(2, "conditions", List(&Of(&POD_CONDITION))),
        filled(3, "message", Text),
        filled(4, "reason", Text),
        filled(5, "hostIP", Text),
        filled(6, "podIP", Text),
        field(7, "startTime", Time),
        field(8, "containerStatuses", List(&Of(&CONTAINER_STATUS))),
        filled(9, "qosClass", Text),
        field(10, "initContainerStatuses", List(&Of(&CONTAINER_STATUS))),
        filled(11, "nominatedNodeName", Text),
        field(12, "podIPs", List(&Of(&POD_IP))),
        field(13, "ephemeralContainerStatuses", List(&Of(&CONTAINER_STATUS))),
        filled(14, "resize", Text),
        field(15, "resourceClaimStatuses", List(&Of(&POD_RESOURCE_CLAIM_STATUS))),
        field(16, "hostIPs", List(&Of(&HOST_IP))),
        filled(17, "observedGeneration", Int),
        field(18, "extendedResourceClaimStatus", Of(&POD_EXTENDED_RESOURCE_CLAIM_STATUS)),
        field(19, "allocatedResources", Map(&Quantity)),
        field(20, "resources", Of(&RESOURCE_REQUIREMENTS)),
        field(
            21,
            "nodeAllocatableResourceClaimStatuses",
            List(&Of(&NODE_ALLOCATABLE_RESOURCE_CLAIM_STATUS)),
        ),
        field(22, "volumeHealth", List(&Of(&POD_VOLUME_HEALTH))),
    ],
);

/// `io.k8s.api.core.v1.PodTemplateSpec`.
pub(super) static POD_TEMPLATE_SPEC: Message = message(
    "io.k8s.api.core.v1.PodTemplateSpec",
    &[filled(1, "metadata", Of(&OBJECT_META)), filled(2, "spec", Of(&POD_SPEC))],
);

/// `io.k8s.api.core.v1.PodVolumeHealth`.
pub(super) static POD_VOLUME_HEALTH: Message = message(
    "io.k8s.api.core.v1.PodVolumeHealth",
    &[
        field(1, "name", Text),
        field(2, "healthConditions", List(&Of(&VOLUME_HEALTH_CONDITION))),
        field(3, "lastTransitionTime", Time),
    ],
);

/// `io.k8s.api.core.v1.PortworxVolumeSource`.
pub(super) static PORTWORX_VOLUME_SOURCE: Message = message(
    "io.k8s.api.core.v1.PortworxVolumeSource",
    &[field(1, "volumeID", Text), filled(2, "fsType", Text), filled(3, "readOnly", Bool)],
);

/// `io.k8s.api.core.v1.PreferredSchedulingTerm`.
pub(super) static PREFERRED_SCHEDULING_TERM: Message = message(
    "io.k8s.api.core.v1.PreferredSchedulingTerm",
    &[field(1, "weight", Int), field(2, "preference", Of(&NODE_SELECTOR_TERM))],
);

/// `io.k8s.api.core.v1.Probe`.
pub(super) static PROBE: Message = message(
    "io.k8s.api.core.v1.Probe",
    &[
        inline(1, &PROBE_HANDLER),
        filled(2, "initialDelaySeconds", Int),
        filled(3, "timeoutSeconds", Int),
        filled(4, "periodSeconds", Int),
        filled(5, "successThreshold", Int),
        filled(6, "failureThreshold", Int),
        field(7, "terminationGracePeriodSeconds", Int),
    ],
);

/// `io.k8s.api.core.v1.ProbeHandler`.
pub(super) static PROBE_HANDLER: Message = message(
    "io.k8s.api.core.v1.ProbeHandler",
    &[
        field(1, "exec", Of(&EXEC_ACTION)),
        field(2, "httpGet", Of(&HTTP_GET_ACTION)),
        field(3, "tcpSocket", Of(&TCP_SOCKET_ACTION)),
        field(4, "grpc", Of(&GRPC_ACTION)),
    ],
);

/// `io.k8s.api.core.v1.ProjectedVolumeSource`.
pub(super) static PROJECTED_VOLUME_SOURCE: Message = message(
    "io.k8s.api.core.v1.ProjectedVolumeSource",
    &[
        field(1, "sources", List(&Of(&VOLUME_PROJECTION))),
        field(2, "defaultMode", Int),
        field(3, "defaultUser", Int),
    ],
);

/// `io.k8s.api.core.v1.QuobyteVolumeSource`.
pub(super) static QUOBYTE_VOLUME_SOURCE: Message = message(
    "io.k8s.api.core.v1.QuobyteVolumeSource",
    &[
        field(1, "registry", Text),
        field(2, "volume", Text),
        filled(3, "readOnly", Bool),
        filled(4, "user", Text),
        filled(5, "group", Text),
        filled(6, "tenant", Text),
    ],
);

/// `io.k8s.api.core.v1.RBDVolumeSource`.
pub(super) static RBD_VOLUME_SOURCE: Message = message(
    "io.k8s.api.core.v1.RBDVolumeSource",
    &[
        field(1, "monitors", List(&Text)),
        field(2, "image", Text),
        filled(3, "fsType", Text),
        filled(4, "pool", Text),
        filled(5, "user", Text),
        filled(6, "keyring", Text),
        field(7, "secretRef", Of(&LOCAL_OBJECT_REFERENCE)),
        filled(8, "readOnly", Bool),
    ],
);

/// `io.k8s.api.core.v1.ResourceClaim`.
pub(super) static RESOURCE_CLAIM: Message = message(
    "io.k8s.api.core.v1.ResourceClaim",
    &[field(1, "name", Text), filled(2, "request", Text)],
);

/// `io.k8s.api.core.v1.ResourceFieldSelector`.
pub(super) static RESOURCE_FIELD_SELECTOR: Message = message(
    "io.k8s.api.core.v1.ResourceFieldSelector",
    &[filled(1, "containerName", Text), field(2, "resource", Text), field(3, "divisor", Quantity)],
);

/// `io.k8s.api.core.v1.ResourceHealth`.
pub(super) static RESOURCE_HEALTH: Message = message(
    "io.k8s.api.core.v1.ResourceHealth",
    &[field(1, "resourceID", Text), filled(2, "health", Text), field(6, "message", Text)],
);

/// `io.k8s.api.core.v1.ResourceRequirements`.
pub(super) static RESOURCE_REQUIREMENTS: Message = message(
    "io.k8s.api.core.v1.ResourceRequirements",
    &[
        field(1, "limits", Map(&Quantity)),
        field(2, "requests", Map(&Quantity)),
        field(3, "claims", List(&Of(&RESOURCE_CLAIM))),
    ],
);

/// `io.k8s.api.core.v1.ResourceStatus`.
pub(super) static RESOURCE_STATUS: Message = message(
    "io.k8s.api.core.v1.ResourceStatus",
    &[field(1, "name", Text), field(2, "resources", List(&Of(&RESOURCE_HEALTH)))],
);

/// `io.k8s.api.core.v1.SELinuxOptions`.
pub(super) static SE_LINUX_OPTIONS: Message = message(
    "io.k8s.api.core.v1.SELinuxOptions",
    &[
        filled(1, "user", Text),
        filled(2, "role", Text),
        filled(3, "type", Text),
        filled(4, "level", Text),
    ],
);

/// `io.k8s.api.core.v1.ScaleIOVolumeSource`.
pub(super) static SCALE_IO_VOLUME_SOURCE: Message = message(
    "io.k8s.api.core.v1.ScaleIOVolumeSource",
    &[
        field(1, "gateway", Text),
        field(2, "system", Text),
        field(3, "secretRef", Of(&LOCAL_OBJECT_REFERENCE)),
        filled(4, "sslEnabled", Bool),
        filled(5, "protectionDomain", Text),
        filled(6, "storagePool", Text),
        filled(7, "storageMode", Text),
        filled(8, "volumeName", Text),
        filled(9, "fsType", Text),
        filled(10, "readOnly", Bool),
    ],
);

/// `io.k8s.api.core.v1.SeccompProfile`.
pub(super) static SECCOMP_PROFILE: Message = message(
    "io.k8s.api.core.v1.SeccompProfile",
    &[field(1, "type", Text), field(2, "localhostProfile", Text)],
);

/// `io.k8s.api.core.v1.Secret`.
pub(super) static SECRET: Message = message(
    "io.k8s.api.core.v1.Secret",
    &[
        filled(1, "metadata", Of(&OBJECT_META)),
        field(2, "data", Map(&Bytes)),
        filled(3, "type", Text),
        field(4, "stringData", Map(&Text)),
        field(5, "immutable", Bool),
    ],
);

/// `io.k8s.api.core.v1.SecretEnvSource`.
pub(super) static SECRET_ENV_SOURCE: Message = message(
    "io.k8s.api.core.v1.SecretEnvSource",
    &[inline(1, &LOCAL_OBJECT_REFERENCE), field(2, "optional", Bool)],
);

/// `io.k8s.api.core.v1.SecretKeySelector`.
pub(super) static SECRET_KEY_SELECTOR: Message = message(
    "io.k8s.api.core.v1.SecretKeySelector",
    &[inline(1, &LOCAL_OBJECT_REFERENCE), field(2, "key", Text), field(3, "optional", Bool)],
);

/// `io.k8s.api.core.v1.SecretProjection`.
pub(super) static SECRET_PROJECTION: Message = message(
    "io.k8s.api.core.v1.SecretProjection",
    &[
        inline(1, &LOCAL_OBJECT_REFERENCE),
        field(2, "items", List(&Of(&KEY_TO_PATH))),
        field(4, "optional", Bool),
    ],
);

/// `io.k8s.api.core.v1.SecretVolumeSource`.
pub(super) static SECRET_VOLUME_SOURCE: Message = message(
    "io.k8s.api.core.v1.SecretVolumeSource",
    &[
        filled(1, "secretName", Text),
        field(2, "items", List(&Of(&KEY_TO_PATH))),
        field(3, "defaultMode", Int),
        field(4, "optional", Bool),
        field(5, "defaultUser", Int),
    ],
);

/// `io.k8s.api.core.v1.SecurityContext`.
pub(super) static SECURITY_CONTEXT: Message = message(
    "io.k8s.api.core.v1.SecurityContext",
    &[
        field(1, "capabilities", Of(&CAPABILITIES)),
        field(2, "privileged", Bool),
        field(3, "seLinuxOptions", Of(&SE_LINUX_OPTIONS)),
        field(4, "runAsUser", Int),
        field(5, "runAsNonRoot", Bool),
        field(6, "readOnlyRootFilesystem", Bool),
        field(7, "allowPrivilegeEscalation", Bool),
        field(8, "runAsGroup", Int),
        field(9, "procMount", Text),
        field(10, "windowsOptions", Of(&WINDOWS_SECURITY_CONTEXT_OPTIONS)),
        field(11, "seccompProfile", Of(&SECCOMP_PROFILE)),
        field(12, "appArmorProfile", Of(&APP_ARMOR_PROFILE)),
    ],
);

/// `io.k8s.api.core.v1.ServiceAccount`.
pub(super) static SERVICE_ACCOUNT: Message = message(
    "io.k8s.api.core.v1.ServiceAccount",
    &[
        filled(1, "metadata", Of(&OBJECT_META)),
        field(2, "secrets", List(&Of(&OBJECT_REFERENCE))),
        field(3, "imagePullSecrets", List(&Of(&LOCAL_OBJECT_REFERENCE))),
        field(4, "automountServiceAccountToken", Bool),
    ],
);

/// `io.k8s.api.core.v1.ServiceAccountTokenProjection`.
pub(super) static SERVICE_ACCOUNT_TOKEN_PROJECTION: Message = message(
    "io.k8s.api.core.v1.ServiceAccountTokenProjection",
    &[
        filled(1, "audience", Text),
        field(2, "expirationSeconds", Int),
        field(3, "path", Text),
        field(4, "user", Int),
    ],
);

/// `io.k8s.api.core.v1.SleepAction`.
pub(super) static SLEEP_ACTION: Message =
    message("io.k8s.api.core.v1.SleepAction", &[field(1, "seconds", Int)]);

/// `io.k8s.api.core.v1.StorageOSVolumeSource`.
pub(super) static STORAGE_OS_VOLUME_SOURCE: Message = message(
    "io.k8s.api.core.v1.StorageOSVolumeSource",
    &[
        filled(1, "volumeName", Text),
        filled(2, "volumeNamespace", Text),
        filled(3, "fsType", Text),
        filled(4, "readOnly", Bool),
        field(5, "secretRef", Of(&LOCAL_OBJECT_REFERENCE)),
    ],
);

/// `io.k8s.api.core.v1.Sysctl`.
pub(super) static SYSCTL: Message =
    message("io.k8s.api.core.v1.Sysctl", &[field(1, "name", Text), field(2, "value", Text)]);

/// `io.k8s.api.core.v1.TCPSocketAction`.
pub(super) static TCP_SOCKET_ACTION: Message = message(
    "io.k8s.api.core.v1.TCPSocketAction",
    &[field(1, "port", IntOrString), filled(2, "host", Text)],
);

/// `io.k8s.api.core.v1.Toleration`.
pub(super) static TOLERATION: Message = message(
    "io.k8s.api.core.v1.Toleration",
    &[
        filled(1, "key", Text),
        filled(2, "operator", Text),
        filled(3, "value", Text),
        filled(4, "effect", Text),
        field(5, "tolerationSeconds", Int),
    ],
);

/// `io.k8s.api.core.v1.TopologySpreadConstraint`.
pub(super) static TOPOLOGY_SPREAD_CONSTRAINT: Message = message(
    "io.k8s.api.core.v1.TopologySpreadConstraint",
    &[
        field(1, "maxSkew", Int),
        field(2, "topologyKey", Text),
        field(3, "whenUnsatisfiable", Text),
        field(4, "labelSelector", Of(&LABEL_SELECTOR)),
        field(5, "minDomains", Int),
        field(6, "nodeAffinityPolicy", Text),
        field(7, "nodeTaintsPolicy", Text),
        field(8, "matchLabelKeys", List(&Text)),
    ],
);

/// `io.k8s.api.core.v1.TypedLocalObjectReference`.
pub(super) static TYPED_LOCAL_OBJECT_REFERENCE: Message = message(
    "io.k8s.api.core.v1.TypedLocalObjectReference",
    &[field(1, "apiGroup", Text), field(2, "kind", Text), field(3, "name", Text)],
);

/// `io.k8s.api.core.v1.TypedObjectReference`.
pub(super) static TYPED_OBJECT_REFERENCE: Message = message(
    "io.k8s.api.core.v1.TypedObjectReference",
    &[
        field(1, "apiGroup", Text),
        field(2, "kind", Text),
        field(3, "name", Text),
        field(4, "namespace", Text),
    ],
);

/// `io.k8s.api.core.v1.Volume`.
pub(super) static VOLUME: Message =
    message("io.k8s.api.core.v1.Volume", &[field(1, "name", Text), inline(2, &VOLUME_SOURCE)]);

/// `io.k8s.api.core.v1.VolumeDevice`.
pub(super) static VOLUME_DEVICE: Message = message(
    "io.k8s.api.core.v1.VolumeDevice",
    &[field(1, "name", Text), field(2, "devicePath", Text)],
);

/// `io.k8s.api.core.v1.VolumeHealthCondition`.
pub(super) static VOLUME_HEALTH_CONDITION: Message = message(
    "io.k8s.api.core.v1.VolumeHealthCondition",
    &[field(1, "status", Text), field(2, "reason", Text), filled(3, "message", Text)],
);

/// `io.k8s.api.core.v1.VolumeMount`.
pub(super) static VOLUME_MOUNT: Message = message(
    "io.k8s.api.core.v1.VolumeMount",
    &[
        field(1, "name", Text),
        filled(2, "readOnly", Bool),
        field(3, "mountPath", Text),
        filled(4, "subPath", Text),
        field(5, "mountPropagation", Text),
        filled(6, "subPathExpr", Text),
        field(7, "recursiveReadOnly", Text),
        field(8, "bindMountOptions", List(&Text)),
    ],
);

/// `io.k8s.api.core.v1.VolumeMountStatus`.
pub(super) static VOLUME_MOUNT_STATUS: Message = message(
    "io.k8s.api.core.v1.VolumeMountStatus",
    &[
        field(1, "name", Text),
        field(2, "mountPath", Text),
        filled(3, "readOnly", Bool),
        field(4, "recursiveReadOnly", Text),
        field(5, "volumeStatus", Of(&VOLUME_STATUS)),
    ],
);

/// `io.k8s.api.core.v1.VolumeProjection`.
pub(super) static VOLUME_PROJECTION: Message = message(
    "io.k8s.api.core.v1.VolumeProjection",
    &[
        field(1, "secret", Of(&SECRET_PROJECTION)),
        field(2, "downwardAPI", Of(&DOWNWARD_API_PROJECTION)),
        field(3, "configMap", Of(&CONFIG_MAP_PROJECTION)),
        field(4, "serviceAccountToken", Of(&SERVICE_ACCOUNT_TOKEN_PROJECTION)),
        field(5, "clusterTrustBundle", Of(&CLUSTER_TRUST_BUNDLE_PROJECTION)),
        field(6, "podCertificate", Of(&POD_CERTIFICATE_PROJECTION)),
    ],
);

/// `io.k8s.api.core.v1.VolumeResourceRequirements`.
pub(super) static VOLUME_RESOURCE_REQUIREMENTS: Message = message(
    "io.k8s.api.core.v1.VolumeResourceRequirements",
    &[field(1, "limits", Map(&Quantity)), field(2, "requests", Map(&Quantity))],
);

/// `io.k8s.api.core.v1.VolumeSource`.
pub(super) static VOLUME_SOURCE: Message = message(
    "io.k8s.api.core.v1.VolumeSource",
    &[
        field(1, "hostPath", Of(&HOST_PATH_VOLUME_SOURCE)),
        field(2, "emptyDir", Of(&EMPTY_DIR_VOLUME_SOURCE)),
        field(3, "gcePersistentDisk", Of(&GCE_PERSISTENT_DISK_VOLUME_SOURCE)),
        field(4, "awsElasticBlockStore", Of(&AWS_ELASTIC_BLOCK_STORE_VOLUME_SOURCE)),
        field(5, "gitRepo", Of(&GIT_REPO_VOLUME_SOURCE)),
        field(6, "secret", Of(&SECRET_VOLUME_SOURCE)),
        field(7, "nfs", Of(&NFS_VOLUME_SOURCE)),
        field(8, "iscsi", Of(&ISCSI_VOLUME_SOURCE)),
        field(9, "glusterfs", Of(&GLUSTERFS_VOLUME_SOURCE)),
        field(10, "persistentVolumeClaim", Of(&PERSISTENT_VOLUME_CLAIM_VOLUME_SOURCE)),
        field(11, "rbd", Of(&RBD_VOLUME_SOURCE)),
        field(12, "flexVolume", Of(&FLEX_VOLUME_SOURCE)),
        field(13, "cinder", Of(&CINDER_VOLUME_SOURCE)),
        field(14, "cephfs", Of(&CEPH_FS_VOLUME_SOURCE)),
        field(15, "flocker", Of(&FLOCKER_VOLUME_SOURCE)),
        field(16, "downwardAPI", Of(&DOWNWARD_API_VOLUME_SOURCE)),
        field(17, "fc", Of(&FC_VOLUME_SOURCE)),
        field(18, "azureFile", Of(&AZURE_FILE_VOLUME_SOURCE)),
        field(19, "configMap", Of(&CONFIG_MAP_VOLUME_SOURCE)),
        field(20, "vsphereVolume", Of(&VSPHERE_VIRTUAL_DISK_VOLUME_SOURCE)),
        field(21, "quobyte", Of(&QUOBYTE_VOLUME_SOURCE)),
        field(22, "azureDisk", Of(&AZURE_DISK_VOLUME_SOURCE)),
        field(23, "photonPersistentDisk", Of(&PHOTON_PERSISTENT_DISK_VOLUME_SOURCE)),
        field(24, "portworxVolume", Of(&PORTWORX_VOLUME_SOURCE)),
        field(25, "scaleIO", Of(&SCALE_IO_VOLUME_SOURCE)),
        field(26, "projected", Of(&PROJECTED_VOLUME_SOURCE)),
        field(27, "storageos", Of(&STORAGE_OS_VOLUME_SOURCE)),
        field(28, "csi", Of(&CSI_VOLUME_SOURCE)),
        field(29, "ephemeral", Of(&EPHEMERAL_VOLUME_SOURCE)),
        field(30, "image", Of(&IMAGE_VOLUME_SOURCE)),
    ],
);

/// `io.k8s.api.core.v1.VolumeStatus`.
pub(super) static VOLUME_STATUS: Message =
    message("io.k8s.api.core.v1.VolumeStatus", &[field(1, "image", Of(&IMAGE_VOLUME_STATUS))]);

/// `io.k8s.api.core.v1.VsphereVirtualDiskVolumeSource`.
pub(super) static VSPHERE_VIRTUAL_DISK_VOLUME_SOURCE: Message = message(
    "io.k8s.api.core.v1.VsphereVirtualDiskVolumeSource",
    &[
        field(1, "volumePath", Text),
        filled(2, "fsType", Text),
        filled(3, "storagePolicyName", Text),
        filled(4, "storagePolicyID", Text),
    ],
);

/// `io.k8s.api.core.v1.WeightedPodAffinityTerm`.
pub(super) static WEIGHTED_POD_AFFINITY_TERM: Message = message(
    "io.k8s.api.core.v1.WeightedPodAffinityTerm",
    &[field(1, "weight", Int), field(2, "podAffinityTerm", Of(&POD_AFFINITY_TERM))],
);

/// `io.k8s.api.core.v1.WindowsSecurityContextOptions`.
pub(super) static WINDOWS_SECURITY_CONTEXT_OPTIONS: Message = message(
    "io.k8s.api.core.v1.WindowsSecurityContextOptions",
    &[
        field(1, "gmsaCredentialSpecName", Text),
        field(2, "gmsaCredentialSpec", Text),
        field(3, "runAsUserName", Text),
        field(4, "hostProcess", Bool),
    ],
);

/// `io.k8s.api.events.v1.Event`.
pub(super) static EVENTS_EVENT: Message = message(
    "io.k8s.api.events.v1.Event",
    &[
        field(1, "metadata", Of(&OBJECT_META)),
        field(2, "eventTime", MicroTime),
        field(3, "series", Of(&EVENTS_EVENT_SERIES)),
        filled(4, "reportingController", Text),
        filled(5, "reportingInstance", Text),
        filled(6, "action", Text),
        filled(7, "reason", Text),
        filled(8, "regarding", Of(&OBJECT_REFERENCE)),
        field(9, "related", Of(&OBJECT_REFERENCE)),
        filled(10, "note", Text),
        filled(11, "type", Text),
        filled(12, "deprecatedSource", Of(&EVENT_SOURCE)),
        field(13, "deprecatedFirstTimestamp", Time),
        field(14, "deprecatedLastTimestamp", Time),
        filled(15, "deprecatedCount", Int),
    ],
);

/// `io.k8s.api.events.v1.EventSeries`.
pub(super) static EVENTS_EVENT_SERIES: Message = message(
    "io.k8s.api.events.v1.EventSeries",
    &[field(1, "count", Int), field(2, "lastObservedTime", MicroTime)],
);

/// `io.k8s.api.policy.v1.Eviction`.
pub(super) static EVICTION: Message = message(
    "io.k8s.api.policy.v1.Eviction",
    &[filled(1, "metadata", Of(&OBJECT_META)), field(2, "deleteOptions", Of(&DELETE_OPTIONS))],
);

/// `io.k8s.api.scheduling.v1alpha3.TopologyConstraint`.
pub(super) static TOPOLOGY_CONSTRAINT: Message =
    message("io.k8s.api.scheduling.v1alpha3.TopologyConstraint", &[field(1, "key", Text)]);

/// `io.k8s.api.scheduling.v1alpha3.WorkloadPodGroupAllDisruptionMode`.
pub(super) static WORKLOAD_POD_GROUP_ALL_DISRUPTION_MODE: Message =
    message("io.k8s.api.scheduling.v1alpha3.WorkloadPodGroupAllDisruptionMode", &[]);

/// `io.k8s.api.scheduling.v1alpha3.WorkloadPodGroupBasicSchedulingPolicy`.
pub(super) static WORKLOAD_POD_GROUP_BASIC_SCHEDULING_POLICY: Message =
    message("io.k8s.api.scheduling.v1alpha3.WorkloadPodGroupBasicSchedulingPolicy", &[]);

/// `io.k8s.api.scheduling.v1alpha3.WorkloadPodGroupDisruptionMode`.
pub(super) static WORKLOAD_POD_GROUP_DISRUPTION_MODE: Message = message(
    "io.k8s.api.scheduling.v1alpha3.WorkloadPodGroupDisruptionMode",
    &[
        field(1, "single", Of(&WORKLOAD_POD_GROUP_SINGLE_DISRUPTION_MODE)),
        field(2, "all", Of(&WORKLOAD_POD_GROUP_ALL_DISRUPTION_MODE)),
    ],
);

/// `io.k8s.api.scheduling.v1alpha3.WorkloadPodGroupGangSchedulingPolicy`.
pub(super) static WORKLOAD_POD_GROUP_GANG_SCHEDULING_POLICY: Message = message(
    "io.k8s.api.scheduling.v1alpha3.WorkloadPodGroupGangSchedulingPolicy",
    &[field(1, "minCount", Int)],
);

/// `io.k8s.api.scheduling.v1alpha3.WorkloadPodGroupResourceClaim`.
pub(super) static WORKLOAD_POD_GROUP_RESOURCE_CLAIM: Message = message(
    "io.k8s.api.scheduling.v1alpha3.WorkloadPodGroupResourceClaim",
    &[
        field(1, "name", Text),
        field(2, "resourceClaimName", Text),
        field(3, "resourceClaimTemplateName", Text),
    ],
);

/// `io.k8s.api.scheduling.v1alpha3.WorkloadPodGroupSchedulingConstraints`.
pub(super) static WORKLOAD_POD_GROUP_SCHEDULING_CONSTRAINTS: Message = message(
    "io.k8s.api.scheduling.v1alpha3.WorkloadPodGroupSchedulingConstraints",
    &[field(1, "topology", List(&Of(&TOPOLOGY_CONSTRAINT)))],
);

/// `io.k8s.api.scheduling.v1alpha3.WorkloadPodGroupSchedulingPolicy`.
pub(super) static WORKLOAD_POD_GROUP_SCHEDULING_POLICY: Message = message(
    "io.k8s.api.scheduling.v1alpha3.WorkloadPodGroupSchedulingPolicy",
    &[
        field(1, "basic", Of(&WORKLOAD_POD_GROUP_BASIC_SCHEDULING_POLICY)),
        field(2, "gang", Of(&WORKLOAD_POD_GROUP_GANG_SCHEDULING_POLICY)),
    ],
);

/// `io.k8s.api.scheduling.v1alpha3.WorkloadPodGroupSingleDisruptionMode`.
pub(super) static WORKLOAD_POD_GROUP_SINGLE_DISRUPTION_MODE: Message =
    message("io.k8s.api.scheduling.v1alpha3.WorkloadPodGroupSingleDisruptionMode", &[]);

/// `io.k8s.apimachinery.pkg.apis.meta.v1.DeleteOptions`.
pub(super) static DELETE_OPTIONS: Message = message(
    "io.k8s.apimachinery.pkg.apis.meta.v1.DeleteOptions",
    &[
        field(1, "gracePeriodSeconds", Int),
        field(2, "preconditions", Of(&PRECONDITIONS)),
        field(3, "orphanDependents", Bool),
        field(4, "propagationPolicy", Text),
        field(5, "dryRun", List(&Text)),
        field(6, "ignoreStoreReadErrorWithClusterBreakingPotential", Bool),
    ],
);

/// `io.k8s.apimachinery.pkg.apis.meta.v1.FieldSelectorRequirement`.
pub(super) static FIELD_SELECTOR_REQUIREMENT: Message = message(
    "io.k8s.apimachinery.pkg.apis.meta.v1.FieldSelectorRequirement",
    &[field(1, "key", Text), field(2, "operator", Text), field(3, "values", List(&Text))],
);

/// `io.k8s.apimachinery.pkg.apis.meta.v1.LabelSelector`.
pub(super) static LABEL_SELECTOR: Message = message(
    "io.k8s.apimachinery.pkg.apis.meta.v1.LabelSelector",
    &[
        field(1, "matchLabels", Map(&Text)),
        field(2, "matchExpressions", List(&Of(&LABEL_SELECTOR_REQUIREMENT))),
    ],
);

/// `io.k8s.apimachinery.pkg.apis.meta.v1.LabelSelectorRequirement`.
pub(super) static LABEL_SELECTOR_REQUIREMENT: Message = message(
    "io.k8s.apimachinery.pkg.apis.meta.v1.LabelSelectorRequirement",
    &[field(1, "key", Text), field(2, "operator", Text), field(3, "values", List(&Text))],
);

/// `io.k8s.apimachinery.pkg.apis.meta.v1.ManagedFieldsEntry`.
pub(super) static MANAGED_FIELDS_ENTRY: Message = message(
    "io.k8s.apimachinery.pkg.apis.meta.v1.ManagedFieldsEntry",
    &[
        filled(1, "manager", Text),
        filled(2, "operation", Text),
        filled(3, "apiVersion", Text),
        field(4, "time", Time),
        filled(6, "fieldsType", Text),
        field(7, "fieldsV1", Json),
        filled(8, "subresource", Text),
    ],
);

/// `io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta`.
pub(super) static OBJECT_META: Message = message(
    "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta",
    &[
        filled(1, "name", Text),
        filled(2, "generateName", Text),
        filled(3, "namespace", Text),
        filled(4, "selfLink", Text),
        filled(5, "uid", Text),
        filled(6, "resourceVersion", Text),
        filled(7, "generation", Int),
        field(8, "creationTimestamp", Time),
        field(9, "deletionTimestamp", Time),
        field(10, "deletionGracePeriodSeconds", Int),
        field(11, "labels", Map(&Text)),
        field(12, "annotations", Map(&Text)),
        field(13, "ownerReferences", List(&Of(&OWNER_REFERENCE))),
        field(14, "finalizers", List(&Text)),
        field(17, "managedFields", List(&Of(&MANAGED_FIELDS_ENTRY))),
    ],
);

/// `io.k8s.apimachinery.pkg.apis.meta.v1.OwnerReference`.
pub(super) static OWNER_REFERENCE: Message = message(
    "io.k8s.apimachinery.pkg.apis.meta.v1.OwnerReference",
    &[
        field(1, "kind", Text),
        field(3, "name", Text),
        field(4, "uid", Text),
        field(5, "apiVersion", Text),
        field(6, "controller", Bool),
        field(7, "blockOwnerDeletion", Bool),
    ],
);

/// `io.k8s.apimachinery.pkg.apis.meta.v1.Preconditions`.
pub(super) static PRECONDITIONS: Message = message(
    "io.k8s.apimachinery.pkg.apis.meta.v1.Preconditions",
    &[field(1, "uid", Text), field(2, "resourceVersion", Text)],
);
