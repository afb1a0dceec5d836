//! The fields of a Job: which kiln supports, and which are legal in Kubernetes but not built yet.
//!
//! Owns: the table. A feature that is built becomes visible here by a changed line.
//! Must not know: how a document is walked, what the values mean.
//! <https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/job-v1/>

use serde_json::Value;

use super::schema::Type::{
    Bool, Int32, Int64, IntOrText, List, Object, Quantity, Resources, Text, Texts,
};
use super::schema::{self, Field, Finding, Places, Rule, Schema, Type};

/// Holds a document against the fields of a Job.
pub(super) fn check_job(value: Value) -> (Value, Vec<Finding>) {
    schema::check(value, &JOB, PLACES)
}

/// Holds a document against the fields of a pod that belongs to nobody.
pub(super) fn check_pod(value: Value) -> (Value, Vec<Finding>) {
    schema::check(value, &POD, POD_PLACES)
}

/// Holds a document against the fields of a `List`; its items stay as they are.
pub(super) fn check_list(value: Value) -> Vec<Finding> {
    schema::check(value, &LIST, &[]).1
}

const PLACES: &Places = &[
    ("spec", &JOB_SPEC),
    ("spec.template.spec", &POD_SPEC),
    ("spec.podFailurePolicy", &FAILURE_POLICY),
    ("spec.podFailurePolicy.rules[*]", &FAILURE_RULE),
    ("spec.podFailurePolicy.rules[*].onExitCodes", &ON_EXIT_CODES),
    ("spec.successPolicy.rules[*]", &SUCCESS_RULE),
    ("spec.template.spec.containers[*]", &CONTAINER),
    ("spec.template.spec.containers[*].securityContext", &SECURITY),
    ("spec.template.spec.initContainers[*]", &CONTAINER),
    ("metadata", &META),
];

const POD_PLACES: &Places = &[
    ("spec", &POD_SPEC),
    ("spec.containers[*]", &CONTAINER),
    ("spec.containers[*].securityContext", &SECURITY),
    ("metadata", &META),
];

const fn take(name: &'static str, kind: Type) -> Field {
    Field { name, rule: Rule::Take(kind) }
}

const fn only(name: &'static str, kind: Type, values: &'static [&'static str]) -> Field {
    Field { name, rule: Rule::Only(kind, values) }
}

const fn except(name: &'static str, kind: Type, values: &'static [&'static str]) -> Field {
    Field { name, rule: Rule::Except(kind, values) }
}

const fn not_yet(name: &'static str) -> Field {
    Field { name, rule: Rule::NotYet }
}

const fn not_yet_unless_empty(name: &'static str) -> Field {
    Field { name, rule: Rule::NotYetUnlessEmpty }
}

const fn discard(name: &'static str) -> Field {
    Field { name, rule: Rule::Discard }
}

static LIST: Schema = Schema {
    fields: &[
        take("apiVersion", Text),
        take("kind", Text),
        discard("metadata"),
        discard("items"), // each is held against the fields of its own kind
    ],
};

static JOB: Schema = Schema {
    fields: &[
        take("apiVersion", Text),
        take("kind", Text),
        take("metadata", Object(&META)),
        take("spec", Object(&JOB_SPEC)),
        discard("status"),
    ],
};

static POD: Schema = Schema {
    fields: &[
        take("apiVersion", Text),
        take("kind", Text),
        take("metadata", Object(&META)),
        take("spec", Object(&POD_SPEC)),
        discard("status"),
    ],
};

static META: Schema = Schema {
    fields: &[
        take("name", Text),
        take("generateName", Text),
        take("namespace", Text),
        take("labels", Texts),
        take("annotations", Texts),
        discard("uid"),
        discard("resourceVersion"),
        discard("generation"),
        discard("creationTimestamp"),
        discard("deletionTimestamp"),
        discard("deletionGracePeriodSeconds"),
        discard("managedFields"),
        discard("selfLink"),
        discard("ownerReferences"),
        discard("finalizers"),
    ],
};

/// The pods get names, a namespace and an owner of their own, in Kubernetes as here.
static TEMPLATE_META: Schema = Schema {
    fields: &[
        discard("name"),
        discard("generateName"),
        discard("namespace"),
        take("labels", Texts),
        take("annotations", Texts),
        discard("uid"),
        discard("resourceVersion"),
        discard("generation"),
        discard("creationTimestamp"),
        discard("deletionTimestamp"),
        discard("deletionGracePeriodSeconds"),
        discard("managedFields"),
        discard("selfLink"),
        discard("ownerReferences"),
        take("finalizers", List(&Text)),
    ],
};

static JOB_SPEC: Schema = Schema {
    fields: &[
        take("parallelism", Int32),
        take("completions", Int32),
        take("completionMode", Text),
        take("activeDeadlineSeconds", Int64),
        take("backoffLimit", Int32),
        take("backoffLimitPerIndex", Int32),
        take("maxFailedIndexes", Int32),
        take("podFailurePolicy", Object(&FAILURE_POLICY)),
        take("successPolicy", Object(&SUCCESS_POLICY)),
        take("podReplacementPolicy", Text),
        take("suspend", Bool),
        take("ttlSecondsAfterFinished", Int32),
        take("manualSelector", Bool),
        take("selector", Object(&SELECTOR)),
        take("template", Object(&TEMPLATE)),
        take("managedBy", Text),
        take("scheduling", Object(&SCHEDULING)),
    ],
};

static FAILURE_POLICY: Schema = Schema { fields: &[take("rules", List(&Object(&FAILURE_RULE)))] };

static FAILURE_RULE: Schema = Schema {
    fields: &[
        take("action", Text),
        take("onExitCodes", Object(&ON_EXIT_CODES)),
        take("onPodConditions", List(&Object(&ON_POD_CONDITION))),
    ],
};

static ON_EXIT_CODES: Schema = Schema {
    fields: &[take("containerName", Text), take("operator", Text), take("values", List(&Int32))],
};

static ON_POD_CONDITION: Schema = Schema { fields: &[take("type", Text), take("status", Text)] };

static SUCCESS_POLICY: Schema = Schema { fields: &[take("rules", List(&Object(&SUCCESS_RULE)))] };

static SUCCESS_RULE: Schema =
    Schema { fields: &[take("succeededIndexes", Text), take("succeededCount", Int32)] };

/// How several hosts would place the pods together. One host has them together anyhow.
static SCHEDULING: Schema = Schema {
    fields: &[
        take("schedulingPolicy", Object(&SCHEDULING_POLICY)),
        take("disruptionMode", Object(&DISRUPTION_MODE)),
        take("schedulingConstraints", Object(&SCHEDULING_CONSTRAINTS)),
        take("resourceClaims", List(&Object(&GROUP_CLAIM))),
    ],
};

/// A device that the pods share: it is theirs only where they ask for it themselves.
static GROUP_CLAIM: Schema = Schema {
    fields: &[
        take("name", Text),
        take("resourceClaimName", Text),
        take("resourceClaimTemplateName", Text),
    ],
};

static NOTHING: Schema = Schema { fields: &[] };

static SCHEDULING_POLICY: Schema =
    Schema { fields: &[take("basic", Object(&NOTHING)), take("gang", Object(&GANG))] };

static GANG: Schema = Schema { fields: &[take("minCount", Int32)] };

static DISRUPTION_MODE: Schema =
    Schema { fields: &[take("all", Object(&NOTHING)), take("single", Object(&NOTHING))] };

static SCHEDULING_CONSTRAINTS: Schema =
    Schema { fields: &[take("topology", List(&Object(&TOPOLOGY)))] };

static TOPOLOGY: Schema = Schema { fields: &[take("key", Text)] };

static SELECTOR: Schema = Schema {
    fields: &[take("matchLabels", Texts), take("matchExpressions", List(&Object(&REQUIREMENT)))],
};

static REQUIREMENT: Schema =
    Schema { fields: &[take("key", Text), take("operator", Text), take("values", List(&Text))] };

static TEMPLATE: Schema =
    Schema { fields: &[take("metadata", Object(&TEMPLATE_META)), take("spec", Object(&POD_SPEC))] };

static POD_SPEC: Schema = Schema {
    fields: &[
        take("containers", List(&Object(&CONTAINER))),
        take("initContainers", List(&Object(&CONTAINER))),
        not_yet("ephemeralContainers"),
        take("restartPolicy", Text),
        take("terminationGracePeriodSeconds", Int64),
        take("activeDeadlineSeconds", Int64),
        take("securityContext", Object(&POD_SECURITY)),
        take("hostname", Text),
        take("hostNetwork", Bool),
        take("enableServiceLinks", Bool),
        take("dnsPolicy", Text),
        take("dnsConfig", Object(&DNS_CONFIG)),
        take("hostAliases", List(&Object(&HOST_ALIAS))),
        take("hostIPC", Bool),
        take("hostPID", Bool),
        only("hostUsers", Bool, &["true"]),
        only("shareProcessNamespace", Bool, &["false"]),
        take("setHostnameAsFQDN", Bool),
        take("subdomain", Text),
        not_yet("hostnameOverride"),
        take("volumes", List(&Object(&VOLUME))),
        take("affinity", Object(&AFFINITY)),
        take("tolerations", List(&Object(&TOLERATION))),
        not_yet_unless_empty("nodeSelector"),
        only("nodeName", Text, &[]),
        only("schedulerName", Text, &["default-scheduler"]),
        take("topologySpreadConstraints", List(&Object(&SPREAD))),
        only("priorityClassName", Text, &[]),
        only("priority", Int32, &["0"]),
        only("preemptionPolicy", Text, &["PreemptLowerPriority"]),
        not_yet("schedulingGates"),
        not_yet("schedulingGroup"),
        not_yet("workloadRef"),
        not_yet("readinessGates"),
        not_yet("evictionResponders"),
        only("serviceAccountName", Text, &["default"]),
        only("serviceAccount", Text, &["default"]),
        only("automountServiceAccountToken", Bool, &["false"]),
        take("imagePullSecrets", List(&Object(&LOCAL_REF))),
        not_yet_unless_empty("overhead"),
        take("resources", Object(&REQUIREMENTS)),
        not_yet("resourceClaims"),
        not_yet("runtimeClassName"),
        take("os", Object(&OS)),
    ],
};

static LOCAL_REF: Schema = Schema { fields: &[take("name", Text)] };

/// What a pod prefers changes nothing where there is one host; what it requires would have to be judged.
static AFFINITY: Schema = Schema {
    fields: &[
        take("nodeAffinity", Object(&NODE_AFFINITY)),
        take("podAffinity", Object(&POD_AFFINITY)),
        take("podAntiAffinity", Object(&POD_AFFINITY)),
    ],
};

static NODE_AFFINITY: Schema = Schema {
    fields: &[
        not_yet("requiredDuringSchedulingIgnoredDuringExecution"),
        take("preferredDuringSchedulingIgnoredDuringExecution", List(&Object(&PREFERRED_NODE))),
    ],
};

static PREFERRED_NODE: Schema =
    Schema { fields: &[take("weight", Int32), take("preference", Object(&NODE_TERM))] };

static NODE_TERM: Schema = Schema {
    fields: &[
        take("matchExpressions", List(&Object(&REQUIREMENT))),
        take("matchFields", List(&Object(&REQUIREMENT))),
    ],
};

static POD_AFFINITY: Schema = Schema {
    fields: &[
        not_yet("requiredDuringSchedulingIgnoredDuringExecution"),
        take("preferredDuringSchedulingIgnoredDuringExecution", List(&Object(&PREFERRED_POD))),
    ],
};

static PREFERRED_POD: Schema =
    Schema { fields: &[take("weight", Int32), take("podAffinityTerm", Object(&POD_TERM))] };

static POD_TERM: Schema = Schema {
    fields: &[
        take("labelSelector", Object(&SELECTOR)),
        take("namespaceSelector", Object(&SELECTOR)),
        take("namespaces", List(&Text)),
        take("topologyKey", Text),
        take("matchLabelKeys", List(&Text)),
        take("mismatchLabelKeys", List(&Text)),
    ],
};

/// This host has no taints: whatever is tolerated, it is taken on.
static TOLERATION: Schema = Schema {
    fields: &[
        take("key", Text),
        take("operator", Text),
        take("value", Text),
        take("effect", Text),
        take("tolerationSeconds", Int64),
    ],
};

static SPREAD: Schema = Schema {
    fields: &[
        take("maxSkew", Int32),
        take("topologyKey", Text),
        only("whenUnsatisfiable", Text, &["ScheduleAnyway"]),
        take("labelSelector", Object(&SELECTOR)),
        take("minDomains", Int32),
        take("nodeAffinityPolicy", Text),
        take("nodeTaintsPolicy", Text),
        take("matchLabelKeys", List(&Text)),
    ],
};

static DNS_CONFIG: Schema = Schema {
    fields: &[
        take("nameservers", List(&Text)),
        take("searches", List(&Text)),
        take("options", List(&Object(&DNS_OPTION))),
    ],
};

static DNS_OPTION: Schema = Schema { fields: &[take("name", Text), take("value", Text)] };

static HOST_ALIAS: Schema = Schema { fields: &[take("ip", Text), take("hostnames", List(&Text))] };

static OS: Schema = Schema { fields: &[only("name", Text, &["linux"])] };

static POD_SECURITY: Schema = Schema {
    fields: &[
        take("runAsUser", Int64),
        take("runAsGroup", Int64),
        take("runAsNonRoot", Bool),
        take("supplementalGroups", List(&Int64)),
        take("supplementalGroupsPolicy", Text),
        take("fsGroup", Int64),
        take("fsGroupChangePolicy", Text),
        take("seccompProfile", Object(&SECCOMP)),
        take("sysctls", List(&Object(&SYSCTL))),
        not_yet_unless_empty("seLinuxOptions"),
        not_yet("seLinuxChangePolicy"),
        take("appArmorProfile", Object(&APPARMOR)),
        not_yet_unless_empty("windowsOptions"),
    ],
};

static SYSCTL: Schema = Schema { fields: &[take("name", Text), take("value", Text)] };

static SECCOMP: Schema = Schema { fields: &[take("type", Text), take("localhostProfile", Text)] };

static APPARMOR: Schema = Schema { fields: &[take("type", Text), take("localhostProfile", Text)] };

const ENVS: &Type = &Object(&ENV);
const ENV_SOURCES: &Type = &Object(&ENV_FROM);
const PORTS: &Type = &Object(&PORT);
const VOLUME_MOUNTS: &Type = &Object(&VOLUME_MOUNT);

/// A container. `Always` as the restart policy of its own makes an init container a sidecar.
static CONTAINER: Schema = Schema {
    fields: &[
        take("name", Text),
        take("image", Text),
        take("imagePullPolicy", Text),
        take("command", List(&Text)),
        take("args", List(&Text)),
        take("workingDir", Text),
        take("env", List(ENVS)),
        take("envFrom", List(ENV_SOURCES)),
        take("ports", List(PORTS)),
        take("resources", Object(&REQUIREMENTS)),
        not_yet("resizePolicy"),
        take("restartPolicy", Text),
        take("restartPolicyRules", List(&Object(&RESTART_RULE))),
        take("securityContext", Object(&SECURITY)),
        take("lifecycle", Object(&LIFECYCLE)),
        take("livenessProbe", Object(&PROBE)),
        take("readinessProbe", Object(&PROBE)),
        take("startupProbe", Object(&PROBE)),
        take("stdin", Bool), // nobody can attach: it is empty
        take("stdinOnce", Bool),
        take("tty", Bool),
        take("terminationMessagePath", Text),
        take("terminationMessagePolicy", Text),
        not_yet("volumeDevices"),
        take("volumeMounts", List(VOLUME_MOUNTS)),
    ],
};

static RESTART_RULE: Schema = Schema {
    fields: &[
        except("action", Text, &["RestartAllContainers"]),
        take("exitCodes", Object(&RESTART_EXIT_CODES)),
    ],
};

static RESTART_EXIT_CODES: Schema =
    Schema { fields: &[take("operator", Text), take("values", List(&Int32))] };

static VOLUME: Schema = Schema {
    fields: &[
        take("name", Text),
        take("emptyDir", Object(&EMPTY_DIR)),
        take("hostPath", Object(&HOST_PATH)),
        not_yet("awsElasticBlockStore"),
        not_yet("azureDisk"),
        not_yet("azureFile"),
        not_yet("cephfs"),
        not_yet("cinder"),
        take("configMap", Object(&CONFIG_MAP_VOLUME)),
        not_yet("csi"),
        take("downwardAPI", Object(&DOWNWARD_VOLUME)),
        not_yet("ephemeral"),
        not_yet("fc"),
        not_yet("flexVolume"),
        not_yet("flocker"),
        not_yet("gcePersistentDisk"),
        not_yet("gitRepo"),
        not_yet("glusterfs"),
        not_yet("image"),
        not_yet("iscsi"),
        not_yet("nfs"),
        take("persistentVolumeClaim", Object(&CLAIM_VOLUME)),
        not_yet("photonPersistentDisk"),
        not_yet("portworxVolume"),
        take("projected", Object(&PROJECTED)),
        not_yet("quobyte"),
        not_yet("rbd"),
        not_yet("scaleIO"),
        take("secret", Object(&SECRET_VOLUME)),
        not_yet("storageos"),
        not_yet("vsphereVolume"),
    ],
};

static EMPTY_DIR: Schema = Schema {
    fields: &[only("medium", Text, &["Memory"]), take("sizeLimit", Quantity), not_yet("mode")],
};

static CLAIM_VOLUME: Schema = Schema { fields: &[take("claimName", Text), take("readOnly", Bool)] };

static CONFIG_MAP_VOLUME: Schema = Schema {
    fields: &[
        take("name", Text),
        take("items", List(&Object(&KEY_TO_PATH))),
        take("defaultMode", Int32),
        take("optional", Bool),
        not_yet("defaultUser"),
    ],
};

static SECRET_VOLUME: Schema = Schema {
    fields: &[
        take("secretName", Text),
        take("items", List(&Object(&KEY_TO_PATH))),
        take("defaultMode", Int32),
        take("optional", Bool),
        not_yet("defaultUser"),
    ],
};

static KEY_TO_PATH: Schema = Schema {
    fields: &[take("key", Text), take("path", Text), take("mode", Int32), not_yet("user")],
};

static DOWNWARD_VOLUME: Schema = Schema {
    fields: &[
        take("items", List(&Object(&DOWNWARD_FILE))),
        take("defaultMode", Int32),
        not_yet("defaultUser"),
    ],
};

static DOWNWARD_FILE: Schema = Schema {
    fields: &[
        take("path", Text),
        take("fieldRef", Object(&FIELD_REF)),
        take("resourceFieldRef", Object(&RESOURCE_FIELD_REF)),
        take("mode", Int32),
        not_yet("user"),
    ],
};

static PROJECTED: Schema = Schema {
    fields: &[
        take("sources", List(&Object(&PROJECTION))),
        take("defaultMode", Int32),
        not_yet("defaultUser"),
    ],
};

static PROJECTION: Schema = Schema {
    fields: &[
        take("configMap", Object(&OBJECT_PROJECTION)),
        take("secret", Object(&OBJECT_PROJECTION)),
        take("downwardAPI", Object(&DOWNWARD_PROJECTION)),
        not_yet("serviceAccountToken"),
        not_yet("clusterTrustBundle"),
        not_yet("podCertificate"),
    ],
};

static OBJECT_PROJECTION: Schema = Schema {
    fields: &[
        take("name", Text),
        take("items", List(&Object(&KEY_TO_PATH))),
        take("optional", Bool),
    ],
};

static DOWNWARD_PROJECTION: Schema =
    Schema { fields: &[take("items", List(&Object(&DOWNWARD_FILE)))] };

static HOST_PATH: Schema = Schema { fields: &[take("path", Text), take("type", Text)] };

static VOLUME_MOUNT: Schema = Schema {
    fields: &[
        take("name", Text),
        take("mountPath", Text),
        take("readOnly", Bool),
        take("subPath", Text),
        take("subPathExpr", Text),
        take("mountPropagation", Text),
        only("recursiveReadOnly", Text, &["Disabled"]),
        not_yet("bindMountOptions"),
    ],
};

static LIFECYCLE: Schema = Schema {
    fields: &[
        take("postStart", Object(&HOOK)),
        take("preStop", Object(&HOOK)),
        take("stopSignal", Text),
    ],
};

static HOOK: Schema = Schema {
    fields: &[
        take("exec", Object(&EXEC)),
        take("httpGet", Object(&HTTP_GET)),
        take("tcpSocket", Object(&TCP_SOCKET)),
        take("sleep", Object(&SLEEP)),
    ],
};

static SLEEP: Schema = Schema { fields: &[take("seconds", Int64)] };

static PROBE: Schema = Schema {
    fields: &[
        take("exec", Object(&EXEC)),
        take("httpGet", Object(&HTTP_GET)),
        take("tcpSocket", Object(&TCP_SOCKET)),
        take("grpc", Object(&GRPC)),
        take("initialDelaySeconds", Int32),
        take("periodSeconds", Int32),
        take("timeoutSeconds", Int32),
        take("successThreshold", Int32),
        take("failureThreshold", Int32),
        take("terminationGracePeriodSeconds", Int64),
    ],
};

static EXEC: Schema = Schema { fields: &[take("command", List(&Text))] };

static HTTP_GET: Schema = Schema {
    fields: &[
        take("host", Text),
        take("path", Text),
        take("port", IntOrText),
        take("scheme", Text),
        take("httpHeaders", List(&Object(&HTTP_HEADER))),
        not_yet("protocol"),
    ],
};

static HTTP_HEADER: Schema = Schema { fields: &[take("name", Text), take("value", Text)] };

static GRPC: Schema = Schema { fields: &[take("port", Int32), take("service", Text)] };

static TCP_SOCKET: Schema = Schema { fields: &[take("host", Text), take("port", IntOrText)] };

static ENV: Schema = Schema {
    fields: &[take("name", Text), take("value", Text), take("valueFrom", Object(&ENV_SOURCE))],
};

static ENV_SOURCE: Schema = Schema {
    fields: &[
        take("fieldRef", Object(&FIELD_REF)),
        take("resourceFieldRef", Object(&RESOURCE_FIELD_REF)),
        take("configMapKeyRef", Object(&KEY_REF)),
        take("secretKeyRef", Object(&KEY_REF)),
        not_yet("fileKeyRef"),
    ],
};

static FIELD_REF: Schema = Schema { fields: &[take("apiVersion", Text), take("fieldPath", Text)] };

static RESOURCE_FIELD_REF: Schema = Schema {
    fields: &[take("containerName", Text), take("resource", Text), take("divisor", Quantity)],
};

static KEY_REF: Schema =
    Schema { fields: &[take("name", Text), take("key", Text), take("optional", Bool)] };

static ENV_FROM: Schema = Schema {
    fields: &[
        take("prefix", Text),
        take("configMapRef", Object(&OBJECT_REF)),
        take("secretRef", Object(&OBJECT_REF)),
    ],
};

static OBJECT_REF: Schema = Schema { fields: &[take("name", Text), take("optional", Bool)] };

static PORT: Schema = Schema {
    fields: &[
        take("name", Text),
        take("containerPort", Int32),
        take("protocol", Text),
        take("hostIP", Text),
        take("hostPort", Int32),
    ],
};

static REQUIREMENTS: Schema =
    Schema { fields: &[take("limits", Resources), take("requests", Resources), not_yet("claims")] };

static SECURITY: Schema = Schema {
    fields: &[
        take("runAsUser", Int64),
        take("runAsGroup", Int64),
        take("runAsNonRoot", Bool),
        take("readOnlyRootFilesystem", Bool),
        take("privileged", Bool),
        take("allowPrivilegeEscalation", Bool),
        take("capabilities", Object(&CAPABILITIES)),
        take("seccompProfile", Object(&SECCOMP)),
        not_yet_unless_empty("seLinuxOptions"),
        take("appArmorProfile", Object(&APPARMOR)),
        only("procMount", Text, &["Default"]),
        not_yet_unless_empty("windowsOptions"),
    ],
};

static CAPABILITIES: Schema =
    Schema { fields: &[take("add", List(&Text)), take("drop", List(&Text))] };

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use k8s_openapi::api::batch::v1::Job;
    use serde_json::json;

    use super::*;

    fn refused(value: Value) -> Vec<String> {
        check_job(value).1.iter().map(|f| format!("{}: {}", f.path, f.problem)).collect()
    }

    #[test]
    fn a_field_that_is_not_built_yet_is_refused_by_name() {
        for (field, value) in
            [("nodeSelector", json!({"a": "b"})), ("runtimeClassName", json!("gvisor"))]
        {
            let expected = format!("spec.template.spec.{field}: not supported yet");
            let spec = json!({"spec": {"template": {"spec": {(field): value}}}});
            assert_eq!(refused(spec), [expected]);
        }
        for (field, value) in [
            ("resizePolicy", json!([{"resourceName": "cpu"}])),
            ("volumeDevices", json!([{"name": "a", "devicePath": "/a"}])),
        ] {
            let expected = format!("spec.template.spec.containers[0].{field}: not supported yet");
            let spec = json!({"spec": {"template": {"spec": {"containers": [{(field): value}]}}}});
            assert_eq!(refused(spec), [expected]);
        }
    }

    #[test]
    fn what_a_pod_prefers_is_taken_and_what_it_requires_is_not_yet() {
        let of = |affinity: Value| refused(json!({"spec": {"template": {"spec": affinity}}}));
        let term =
            json!({"weight": 1, "podAffinityTerm": {"topologyKey": "a", "labelSelector": {}}});
        let preferred = json!({"preferredDuringSchedulingIgnoredDuringExecution": [term]});
        assert_eq!(of(json!({"affinity": {"podAntiAffinity": preferred}})), [""; 0]);
        assert_eq!(of(json!({"tolerations": [{"operator": "Exists"}]})), [""; 0]);
        let required = json!({"requiredDuringSchedulingIgnoredDuringExecution": [{}]});
        assert_eq!(
            of(json!({"affinity": {"podAffinity": required}})),
            [
                "spec.template.spec.affinity.podAffinity.requiredDuringSchedulingIgnoredDuringExecution: \
              not supported yet"
            ]
        );
        let spread = |when: &str| {
            of(json!({"topologySpreadConstraints": [{"maxSkew": 1, "whenUnsatisfiable": when}]}))
        };
        assert_eq!(spread("ScheduleAnyway"), [""; 0]);
        assert_eq!(spread("DoNotSchedule").len(), 1);
    }

    #[test]
    fn a_container_may_say_when_it_runs_again_but_not_yet_that_all_do() {
        let refused = |list: &str, action: &str| {
            let rule = json!({"action": action, "exitCodes": {"operator": "In", "values": [1]}});
            let container =
                json!([{"name": "a", "restartPolicy": "Never", "restartPolicyRules": [rule]}]);
            refused(json!({"spec": {"template": {"spec": {(list): container}}}}))
        };
        for list in ["containers", "initContainers"] {
            assert_eq!(refused(list, "Restart"), [""; 0]);
            let path = format!("spec.template.spec.{list}[0].restartPolicyRules[0].action");
            let expected = format!("{path}: not supported yet: \"RestartAllContainers\"");
            assert_eq!(refused(list, "RestartAllContainers"), [expected]);
        }
    }

    #[test]
    fn a_value_that_is_not_built_yet_is_refused_by_name() {
        for (spec, expected) in [
            (
                json!({"template": {"spec": {"schedulerName": "mine"}}}),
                "template.spec.schedulerName: not supported yet: \"mine\" \
                 (only \"default-scheduler\" is)",
            ),
            (
                json!({"template": {"spec": {"os": {"name": "windows"}}}}),
                "template.spec.os.name: not supported yet: \"windows\" (only \"linux\" is)",
            ),
        ] {
            assert_eq!(refused(json!({"spec": spec})), [format!("spec.{expected}")]);
        }
    }

    #[test]
    fn no_field_of_a_jobs_spec_is_refused() {
        let spec = json!({
            "completionMode": "Indexed", "suspend": true, "ttlSecondsAfterFinished": 0,
            "backoffLimitPerIndex": 1, "maxFailedIndexes": 1, "podReplacementPolicy": "Failed",
            "managedBy": "example.com/mine",
            "podFailurePolicy": {"rules": [
                {"action": "Ignore", "onPodConditions": [{"type": "A", "status": "True"}]},
                {"action": "FailJob", "onExitCodes":
                    {"containerName": "a", "operator": "In", "values": [1]}},
            ]},
            "successPolicy": {"rules": [{"succeededIndexes": "0-2", "succeededCount": 1}]},
            "scheduling": {
                "schedulingPolicy": {"gang": {"minCount": 2}}, "disruptionMode": {"all": {}},
                "schedulingConstraints": {"topology": [{"key": "rack"}]},
                "resourceClaims": [{"name": "a", "resourceClaimName": "b"}],
            },
        });
        assert_eq!(refused(json!({"spec": spec})), [""; 0]);
        let kept = |schema: &Schema| {
            let refuses = |rule: &Rule| matches!(rule, Rule::NotYet | Rule::NotYetUnlessEmpty);
            schema.fields.iter().all(|field| !refuses(&field.rule))
        };
        for schema in [
            &JOB_SPEC,
            &FAILURE_POLICY,
            &FAILURE_RULE,
            &ON_EXIT_CODES,
            &ON_POD_CONDITION,
            &SUCCESS_POLICY,
            &SUCCESS_RULE,
            &SELECTOR,
            &REQUIREMENT,
            &SCHEDULING,
            &SCHEDULING_POLICY,
            &SCHEDULING_CONSTRAINTS,
            &DISRUPTION_MODE,
            &GROUP_CLAIM,
            &TEMPLATE,
            &TEMPLATE_META,
        ] {
            assert!(kept(schema), "{:?}", schema.fields.first().map(|field| field.name));
        }
    }

    #[test]
    fn what_says_the_same_as_nothing_is_accepted() {
        let spec = json!({
            "suspend": false, "completionMode": "NonIndexed",
            "template": {"metadata": {"creationTimestamp": null}, "spec": {
                "volumes": [], "affinity": {}, "nodeSelector": null, "subdomain": "",
                "serviceAccountName": "default", "hostPID": false, "dnsPolicy": "ClusterFirst",
                "schedulerName": "default-scheduler",
                "containers": [{"resources": {}, "tty": false, "terminationMessagePolicy": "File"}],
            }},
        });
        let meta = json!({"uid": "u", "managedFields": [{}], "ownerReferences": [{"a": 1}]});
        assert_eq!(refused(json!({"metadata": meta, "spec": spec, "status": {}})), [""; 0]);
    }

    /// Every field that the generated types have is in the table, so that none is called unknown.
    #[test]
    fn the_table_names_each_field_only_once() {
        for (place, schema) in PLACES {
            let names: BTreeSet<_> = schema.fields.iter().map(|f| f.name).collect();
            assert_eq!(names.len(), schema.fields.len(), "{place}");
        }
    }

    #[test]
    fn what_a_typed_job_says_is_what_the_table_takes() {
        let job: Job = serde_json::from_value(json!({
            "apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "a", "uid": "b"},
            "spec": {"template": {"spec": {"containers": [{"name": "c", "image": "d"}]}}},
        }))
        .expect("a Job");
        assert_eq!(refused(serde_json::to_value(job).expect("JSON")), [""; 0]);
    }
}
