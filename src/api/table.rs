//! Tables: the form in which `kubectl get` asks for objects, so that the server says what is shown.
//!
//! Owns: the columns of each kind and the cells of its rows. Must not know: how they are printed.
//! <https://kubernetes.io/docs/reference/using-api/api-concepts/#receiving-resources-as-tables>

use jiff::Timestamp;
use k8s_openapi::api::batch::v1::{CronJob, Job};
use k8s_openapi::api::core::v1::{Event, Node, Pod, PodTemplateSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::columns::{NONE, job_row, job_wide, pod_row, pod_wide, template_cells};
use super::duration::{UNKNOWN, since};

/// What a row carries beside its cells: `includeObject`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Include {
    None,
    #[default]
    Metadata,
    Object,
}

/// One column.
#[derive(Debug, PartialEq, Eq)]
pub struct Column {
    pub name: &'static str,
    /// Of its cells, in JSON.
    pub kind: &'static str,
    pub description: &'static str,
    /// Shown only to who asks for wide output.
    pub wide: bool,
}

/// The columns of a kind; what is not known has a name and an age, as all have.
pub fn columns(kind: &str) -> &'static [Column] {
    match kind {
        "Job" => JOB,
        "Pod" => POD,
        "CronJob" => CRON_JOB,
        "Event" => EVENT,
        "Namespace" => NAMESPACE,
        "Node" => NODE,
        "ConfigMap" => CONFIG_MAP,
        "Secret" => SECRET,
        "ServiceAccount" => SERVICE_ACCOUNT,
        "Lease" => LEASE,
        "PersistentVolumeClaim" => CLAIM,
        _ => OTHER,
    }
}

/// A table of objects of one kind; `meta` is that of the list.
pub fn table(
    kind: &str,
    objects: Vec<Value>,
    meta: Value,
    include: Include,
    now: Timestamp,
) -> Value {
    let rows: Vec<Value> =
        objects.into_iter().map(|object| row(kind, object, include, now)).collect();
    json!({
        "kind": "Table",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": meta,
        "columnDefinitions": definitions(kind),
        "rows": rows,
    })
}

/// The columns as a table tells them.
pub fn definitions(kind: &str) -> Value {
    let definition = |column: &Column| {
        json!({
            "name": column.name,
            "type": column.kind,
            "format": if column.name == "Name" { "name" } else { "" },
            "description": column.description,
            "priority": i32::from(column.wide),
        })
    };
    columns(kind).iter().map(definition).collect()
}

/// The row of one object.
pub fn row(kind: &str, object: Value, include: Include, now: Timestamp) -> Value {
    let mut row = json!({"cells": cells(kind, &object, now)});
    if kind == "Pod"
        && let Some(condition) = completed(&object)
    {
        row["conditions"] = json!([condition]);
    }
    match include {
        Include::None => {}
        Include::Metadata => row["object"] = partial(object),
        Include::Object => row["object"] = object,
    }
    row
}

/// The metadata of an object, and nothing else of it.
/// <https://kubernetes.io/docs/reference/using-api/api-concepts/#metadata-only-fetches>
pub fn partial(mut object: Value) -> Value {
    json!({
        "kind": "PartialObjectMetadata",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": object["metadata"].take(),
    })
}

/// Clients grey out what is over.
fn completed(pod: &Value) -> Option<Value> {
    let (reason, message) = match pod["status"]["phase"].as_str()? {
        "Succeeded" => ("Succeeded", "The pod has completed successfully."),
        "Failed" => ("Failed", "The pod failed."),
        _ => return None,
    };
    let condition =
        json!({"type": "Completed", "status": "True", "reason": reason, "message": message});
    Some(condition)
}

/// One cell for each column of the kind.
pub fn cells(kind: &str, object: &Value, now: Timestamp) -> Vec<Value> {
    typed_cells(kind, object, now).unwrap_or_else(|| {
        // An object that is not of its type still has a row.
        let mut cells = vec![json!(""); columns(kind).len()];
        let name = columns(kind).iter().position(|column| column.name == "Name");
        cells[name.unwrap_or(0)] = object["metadata"]["name"].clone();
        cells
    })
}

fn typed_cells(kind: &str, object: &Value, now: Timestamp) -> Option<Vec<Value>> {
    let name = object["metadata"]["name"].clone();
    let age = json!(since(time(&object["metadata"]["creationTimestamp"]), now));
    Some(match kind {
        "Job" => {
            let job = Job::deserialize(object).ok()?;
            texts(job_row(&job, now).into_iter().chain(job_wide(&job)))
        }
        "Pod" => {
            let pod = Pod::deserialize(object).ok()?;
            texts(pod_row(&pod, now).into_iter().chain(pod_wide(&pod)))
        }
        "CronJob" => cron_job(&CronJob::deserialize(object).ok()?, name, age, now),
        "Event" => event(&Event::deserialize(object).ok()?, now),
        "Node" => node(&Node::deserialize(object).ok()?, name, age),
        "Namespace" => vec![name, text(&object["status"]["phase"]), age],
        "ConfigMap" => {
            let entries = count(&object["data"]) + count(&object["binaryData"]);
            vec![name, json!(entries), age]
        }
        "Secret" => vec![name, text(&object["type"]), json!(count(&object["data"])), age],
        "ServiceAccount" => vec![name, json!(count(&object["secrets"])), age],
        "PersistentVolumeClaim" => claim(object, name, age),
        "Lease" => vec![name, text(&object["spec"]["holderIdentity"]), age],
        _ => vec![name, object["metadata"]["creationTimestamp"].clone()],
    })
}

fn claim(claim: &Value, name: Value, age: Value) -> Vec<Value> {
    let (spec, status) = (&claim["spec"], &claim["status"]);
    let modes = status["accessModes"].as_array().into_iter().flatten();
    let modes = modes.filter_map(|mode| match mode.as_str()? {
        "ReadWriteOnce" => Some("RWO"),
        "ReadOnlyMany" => Some("ROX"),
        "ReadWriteMany" => Some("RWX"),
        _ => None,
    });
    let is_going = claim["metadata"]["deletionTimestamp"].is_string();
    vec![
        name,
        if is_going { json!("Terminating") } else { text(&status["phase"]) },
        text(&spec["volumeName"]),
        text(&status["capacity"]["storage"]),
        json!(modes.collect::<Vec<_>>().join(",")),
        text(&spec["storageClassName"]),
        json!(spec["volumeAttributesClassName"].as_str().unwrap_or("<unset>")),
        age,
        text(&spec["volumeMode"]),
    ]
}

fn cron_job(cron_job: &CronJob, name: Value, age: Value, now: Timestamp) -> Vec<Value> {
    let spec = &cron_job.spec;
    let status = cron_job.status.as_ref();
    let last = status.and_then(|status| status.last_schedule_time.as_ref());
    let suspend = match spec.suspend {
        None => "<unset>",
        Some(true) => "True",
        Some(false) => "False",
    };
    let job = spec.job_template.spec.as_ref();
    let nothing = PodTemplateSpec::default();
    let template = job.map_or(&nothing, |job| &job.template);
    let mut cells = vec![
        name,
        json!(spec.schedule),
        json!(spec.time_zone.as_deref().unwrap_or(NONE)),
        json!(suspend),
        json!(status.and_then(|status| status.active.as_ref()).map_or(0, Vec::len)),
        json!(last.map_or_else(|| NONE.to_owned(), |last| since(Some(last.0), now))),
        age,
    ];
    let selector: Option<&LabelSelector> = job.and_then(|job| job.selector.as_ref());
    cells.extend(texts(template_cells(template, selector)));
    cells
}

/// <https://kubernetes.io/docs/reference/kubernetes-api/cluster-resources/event-v1/>
fn event(event: &Event, now: Timestamp) -> Vec<Value> {
    let micro = event.event_time.as_ref().map(|time| time.0);
    let first = event.first_timestamp.as_ref().map(|time| time.0).or(micro);
    let last = event.last_timestamp.as_ref().map(|time| time.0).or(first);
    let series = event.series.as_ref();
    let last = series.map_or(last, |series| series.last_observed_time.as_ref().map(|t| t.0));
    let count = series.map_or(event.count, |series| series.count);
    let about = &event.involved_object;
    let kind = about.kind.as_deref().unwrap_or_default().to_lowercase();
    let target = match about.name.as_deref() {
        None | Some("") => kind,
        Some(name) => format!("{kind}/{name}"),
    };
    let or_empty = |text: &Option<String>| text.clone().unwrap_or_default();
    vec![
        json!(since(last, now)),
        json!(or_empty(&event.type_)),
        json!(or_empty(&event.reason)),
        json!(target),
        json!(or_empty(&about.field_path)),
        json!(source(event)),
        json!(event.message.as_deref().unwrap_or_default().trim()),
        json!(since(first, now)),
        json!(count.filter(|count| *count > 0).unwrap_or(1)),
        json!(or_empty(&event.metadata.name)),
    ]
}

/// Who saw it, and where.
fn source(event: &Event) -> String {
    let own = event.source.as_ref();
    let filled = |text: Option<&String>| text.filter(|text| !text.is_empty()).cloned();
    let component = filled(own.and_then(|source| source.component.as_ref()));
    let host = filled(own.and_then(|source| source.host.as_ref()));
    let component = component.or_else(|| filled(event.reporting_component.as_ref()));
    let host = host.or_else(|| filled(event.reporting_instance.as_ref()));
    component.into_iter().chain(host).collect::<Vec<_>>().join(", ")
}

fn node(node: &Node, name: Value, age: Value) -> Vec<Value> {
    let status = node.status.as_ref();
    let mut conditions = status.iter().flat_map(|status| status.conditions.iter().flatten());
    let mut shown = match conditions.find(|condition| condition.type_ == "Ready") {
        Some(ready) if ready.status == "True" => "Ready".to_owned(),
        Some(_) => "NotReady".to_owned(),
        None => "Unknown".to_owned(),
    };
    if node.spec.as_ref().and_then(|spec| spec.unschedulable) == Some(true) {
        shown.push_str(",SchedulingDisabled");
    }
    let address = |kind: &str| {
        let mut all = status.iter().flat_map(|status| status.addresses.iter().flatten());
        let found = all.find(|address| address.type_ == kind);
        json!(found.map_or(NONE, |address| address.address.as_str()))
    };
    let info = status.and_then(|status| status.node_info.as_ref());
    let known = |text: Option<&str>| json!(text.filter(|t| !t.is_empty()).unwrap_or(UNKNOWN));
    vec![
        name,
        json!(shown),
        json!(roles(node)),
        age,
        json!(info.map_or("", |info| info.kubelet_version.as_str())),
        address("InternalIP"),
        address("ExternalIP"),
        known(info.map(|info| info.os_image.as_str())),
        known(info.map(|info| info.kernel_version.as_str())),
        known(info.map(|info| info.container_runtime_version.as_str())),
    ]
}

/// <https://kubernetes.io/docs/reference/labels-annotations-taints/#node-role-kubernetes-io>
fn roles(node: &Node) -> String {
    let mut roles: Vec<&str> = node
        .metadata
        .labels
        .iter()
        .flatten()
        .filter_map(|(key, value)| match key.strip_prefix("node-role.kubernetes.io/") {
            Some(role) => Some(role),
            None => (key == "kubernetes.io/role").then_some(value.as_str()),
        })
        .filter(|role| !role.is_empty())
        .collect();
    roles.sort_unstable();
    if roles.is_empty() { NONE.to_owned() } else { roles.join(",") }
}

fn texts(cells: impl IntoIterator<Item = String>) -> Vec<Value> {
    cells.into_iter().map(Value::String).collect()
}

fn text(value: &Value) -> Value {
    json!(value.as_str().unwrap_or_default())
}

fn count(value: &Value) -> usize {
    value.as_object().map_or_else(|| value.as_array().map_or(0, Vec::len), Map::len)
}

fn time(value: &Value) -> Option<Timestamp> {
    value.as_str()?.parse().ok()
}

const fn column(name: &'static str, kind: &'static str, description: &'static str) -> Column {
    Column { name, kind, description, wide: false }
}

const fn wide(name: &'static str, kind: &'static str, description: &'static str) -> Column {
    Column { name, kind, description, wide: true }
}

const NAME: Column = column("Name", "string", "The name of the object, unique in its namespace.");
const AGE: Column = column("Age", "string", "How long ago the object was created.");
const CONTAINERS: Column = wide("Containers", "string", "The names of the template's containers.");
const IMAGES: Column = wide("Images", "string", "The images of the template's containers.");
const SELECTOR: Column = wide("Selector", "string", "Which pods belong to the Job.");

const JOB: &[Column] = &[
    NAME,
    column("Status", "string", "How the Job stands."),
    column("Completions", "string", "How many pods succeeded, of those that have to."),
    column("Duration", "string", "How long the Job took, or has taken so far."),
    AGE,
    CONTAINERS,
    IMAGES,
    SELECTOR,
];
const POD: &[Column] = &[
    NAME,
    column("Ready", "string", "How many containers are ready, of all."),
    column("Status", "string", "What the containers have to say."),
    column("Restarts", "string", "How often containers were restarted, and when last."),
    AGE,
    wide("IP", "string", "The address of the pod."),
    wide("Node", "string", "The host that the pod runs on."),
    wide("Nominated Node", "string", "The host that the pod waits for."),
    wide("Readiness Gates", "string", "How many of its conditions to be ready hold, of all."),
];
const CRON_JOB: &[Column] = &[
    NAME,
    column("Schedule", "string", "When Jobs are created, in the format of cron."),
    column("Timezone", "string", "Where the clock hangs that the schedule goes by."),
    column("Suspend", "boolean", "Whether no Jobs are created for now."),
    column("Active", "integer", "How many of its Jobs run."),
    column("Last Schedule", "string", "How long ago the last Job was created."),
    AGE,
    CONTAINERS,
    IMAGES,
    SELECTOR,
];
const EVENT: &[Column] = &[
    column("Last Seen", "string", "How long ago it happened last."),
    column("Type", "string", "Normal or Warning."),
    column("Reason", "string", "Why, in a word for machines."),
    column("Object", "string", "What it happened to."),
    wide("Subobject", "string", "The part of the object that it happened to."),
    wide("Source", "string", "Who says so."),
    column("Message", "string", "What happened."),
    wide("First Seen", "string", "How long ago it happened first."),
    wide("Count", "string", "How often it happened."),
    Column { wide: true, ..NAME },
];
const NAMESPACE: &[Column] =
    &[NAME, column("Status", "string", "Whether the namespace is active or going."), AGE];
const NODE: &[Column] = &[
    NAME,
    column("Status", "string", "Whether the node is ready."),
    column("Roles", "string", "What the node is for."),
    AGE,
    column("Version", "string", "The version of what runs pods on the node."),
    wide("Internal-IP", "string", "The address inside the cluster."),
    wide("External-IP", "string", "The address outside the cluster."),
    wide("OS-Image", "string", "The operating system."),
    wide("Kernel-Version", "string", "The version of its kernel."),
    wide("Container-Runtime", "string", "The container runtime and its version."),
];
const CONFIG_MAP: &[Column] = &[NAME, column("Data", "integer", "How many entries it has."), AGE];
const SECRET: &[Column] = &[
    NAME,
    column("Type", "string", "What the entries are for."),
    column("Data", "integer", "How many entries it has."),
    AGE,
];
const SERVICE_ACCOUNT: &[Column] =
    &[NAME, column("Secrets", "integer", "How many Secrets it may use."), AGE];
const CLAIM: &[Column] = &[
    NAME,
    column("Status", "string", "Whether it has its storage."),
    column("Volume", "string", "What it is bound to."),
    column("Capacity", "string", "How much it asked for."),
    column("Access Modes", "string", "How it may be used."),
    column("StorageClass", "string", "The class of its storage."),
    column("VolumeAttributesClass", "string", "What further is said of its storage."),
    AGE,
    wide("VolumeMode", "string", "Whether it is used by files or as a device."),
];
const LEASE: &[Column] = &[NAME, column("Holder", "string", "Who holds the lease."), AGE];
const OTHER: &[Column] = &[NAME, column("Created At", "date", "When the object was created.")];

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn shown(kind: &str, object: &Value) -> Vec<Value> {
        cells(kind, object, at(60))
    }

    fn meta(name: &str) -> Value {
        json!({"name": name, "creationTimestamp": "1970-01-01T00:00:00Z"})
    }

    #[test]
    fn a_job_shows_what_its_template_runs_to_who_asks_for_more() {
        let job = json!({
            "metadata": meta("pi"),
            "spec": {
                "completions": 2,
                "selector": {"matchLabels": {"batch.kubernetes.io/controller-uid": "u"}},
                "template": {"spec": {"containers": [
                    {"name": "a", "image": "x:1"}, {"name": "b", "image": "y:2"},
                ]}},
            },
            "status": {"startTime": "1970-01-01T00:00:30Z"},
        });
        let expected = json!([
            "pi",
            "Running",
            "0/2",
            "30s",
            "60s",
            "a,b",
            "x:1,y:2",
            "batch.kubernetes.io/controller-uid=u",
        ]);
        assert_eq!(Value::from(shown("Job", &job)), expected);
        let bare = json!({"metadata": meta("pi"), "spec": {"template": {}}});
        assert_eq!(Value::from(&shown("Job", &bare)[5..]), json!(["", "", "<none>"]));
    }

    #[test]
    fn a_pod_shows_where_it_is_to_who_asks_for_more() {
        let pod = json!({
            "metadata": meta("p"),
            "spec": {
                "nodeName": "host", "containers": [{"name": "a"}],
                "readinessGates": [{"conditionType": "g"}, {"conditionType": "h"}],
            },
            "status": {
                "phase": "Running", "podIP": "10.0.0.1",
                "conditions": [{"type": "g", "status": "True"}],
            },
        });
        let expected =
            json!(["p", "0/1", "Running", "0", "60s", "10.0.0.1", "host", "<none>", "1/2"]);
        assert_eq!(Value::from(shown("Pod", &pod)), expected);
        let bare = json!({"metadata": meta("p")});
        let none = json!(["<none>", "<none>", "<none>", "<none>"]);
        assert_eq!(Value::from(&shown("Pod", &bare)[5..]), none);
    }

    #[test]
    fn a_cron_job_shows_its_schedule() {
        let cron_job = json!({
            "metadata": meta("c"),
            "spec": {"schedule": "* * * * *", "suspend": false, "jobTemplate": {"spec": {
                "template": {"spec": {"containers": [{"name": "a", "image": "x"}]}},
            }}},
            "status": {"active": [{}], "lastScheduleTime": "1970-01-01T00:00:50Z"},
        });
        let expected =
            json!(["c", "* * * * *", "<none>", "False", 1, "10s", "60s", "a", "x", "<none>",]);
        assert_eq!(Value::from(shown("CronJob", &cron_job)), expected);
    }

    #[test]
    fn an_event_shows_what_happened_to_what() {
        let event = json!({
            "metadata": meta("pi.1"),
            "involvedObject": {"kind": "Pod", "name": "pi-x", "fieldPath": "spec.containers{a}"},
            "type": "Normal", "reason": "Started", "message": " Started it\n",
            "source": {"component": "kubelet", "host": "h"},
            "firstTimestamp": "1970-01-01T00:00:10Z", "lastTimestamp": "1970-01-01T00:00:50Z",
            "count": 3,
        });
        let expected = json!([
            "10s",
            "Normal",
            "Started",
            "pod/pi-x",
            "spec.containers{a}",
            "kubelet, h",
            "Started it",
            "50s",
            3,
            "pi.1",
        ]);
        assert_eq!(Value::from(shown("Event", &event)), expected);
        let newer = json!({
            "metadata": meta("e"), "involvedObject": {"kind": "Node"},
            "eventTime": "1970-01-01T00:00:20.000000Z", "reportingComponent": "kiln",
        });
        let expected = json!(["40s", "", "", "node", "", "kiln", "", "40s", 1, "e"]);
        assert_eq!(Value::from(shown("Event", &newer)), expected);
    }

    #[test]
    fn a_node_shows_whether_it_is_ready_and_what_it_is() {
        let node = json!({
            "metadata": {
                "name": "n", "creationTimestamp": "1970-01-01T00:00:00Z",
                "labels": {"node-role.kubernetes.io/worker": "", "kubernetes.io/role": "extra"},
            },
            "spec": {"unschedulable": true},
            "status": {
                "conditions": [{"type": "Ready", "status": "True"}],
                "addresses": [{"type": "InternalIP", "address": "10.0.0.1"}],
                "nodeInfo": {
                    "kubeletVersion": "v1", "osImage": "Debian", "kernelVersion": "6.1",
                    "containerRuntimeVersion": "containerd://2", "architecture": "", "bootID": "",
                    "kubeProxyVersion": "", "machineID": "", "operatingSystem": "", "systemUUID": "",
                },
            },
        });
        let expected = json!([
            "n",
            "Ready,SchedulingDisabled",
            "extra,worker",
            "60s",
            "v1",
            "10.0.0.1",
            "<none>",
            "Debian",
            "6.1",
            "containerd://2",
        ]);
        assert_eq!(Value::from(shown("Node", &node)), expected);
        let bare = shown("Node", &json!({"metadata": {"name": "n"}}));
        assert_eq!(bare[1..4], ["Unknown", "<none>", "<unknown>"]);
    }

    #[test]
    fn small_kinds_show_how_much_they_hold() {
        for (kind, object, expected) in [
            ("Namespace", json!({"status": {"phase": "Active"}}), json!(["x", "Active", "60s"])),
            (
                "ConfigMap",
                json!({"data": {"a": "", "b": ""}, "binaryData": {"c": ""}}),
                json!(["x", 3, "60s"]),
            ),
            (
                "Secret",
                json!({"type": "Opaque", "data": {"a": ""}}),
                json!(["x", "Opaque", 1, "60s"]),
            ),
            ("ServiceAccount", json!({"secrets": [{}]}), json!(["x", 1, "60s"])),
            ("Lease", json!({"spec": {"holderIdentity": "me"}}), json!(["x", "me", "60s"])),
            (
                "PersistentVolumeClaim",
                json!({
                    "spec": {"volumeName": "pvc-u", "storageClassName": "local",
                        "volumeMode": "Filesystem"},
                    "status": {"phase": "Bound", "capacity": {"storage": "1Gi"},
                        "accessModes": ["ReadWriteOnce", "ReadWriteMany"]},
                }),
                json!([
                    "x",
                    "Bound",
                    "pvc-u",
                    "1Gi",
                    "RWO,RWX",
                    "local",
                    "<unset>",
                    "60s",
                    "Filesystem"
                ]),
            ),
            ("Widget", json!({}), json!(["x", "1970-01-01T00:00:00Z"])),
        ] {
            let mut object = object;
            object["metadata"] = meta("x");
            assert_eq!(Value::from(shown(kind, &object)), expected, "{kind}");
        }
    }

    #[test]
    fn every_row_has_a_cell_for_each_column_also_of_what_is_not_of_its_type() {
        let kinds = ["Job", "Pod", "CronJob", "Event", "Node", "Namespace", "ConfigMap"];
        for kind in kinds.into_iter().chain([
            "Secret",
            "ServiceAccount",
            "Lease",
            "PersistentVolumeClaim",
            "Widget",
        ]) {
            for object in [
                json!({"metadata": {"name": "x"}}),
                json!({"metadata": {"name": "x"}, "spec": 1, "status": "odd", "involvedObject": 2}),
            ] {
                let cells = shown(kind, &object);
                assert_eq!(cells.len(), columns(kind).len(), "{kind}");
                assert!(cells.contains(&json!("x")), "{kind}: {cells:?}");
            }
        }
    }

    #[test]
    fn a_row_carries_as_much_of_the_object_as_is_asked_for() {
        let pod = json!({
            "kind": "Pod", "metadata": {"name": "p"}, "status": {"phase": "Succeeded"},
        });
        let carried = |include| {
            let meta = json!({"resourceVersion": "7"});
            let table = table("Pod", vec![pod.clone()], meta, include, at(0));
            assert_eq!(table["metadata"]["resourceVersion"], "7");
            assert_eq!(table["rows"][0]["conditions"][0]["reason"], "Succeeded");
            let first = &table["columnDefinitions"][0];
            assert_eq!((&first["format"], &first["priority"]), (&json!("name"), &json!(0)));
            assert_eq!(table["columnDefinitions"][5]["priority"], 1);
            table["rows"][0].get("object").cloned()
        };
        assert_eq!(carried(Include::None), None);
        assert_eq!(carried(Include::Object), Some(pod.clone()));
        let metadata = json!({
            "kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1",
            "metadata": {"name": "p"},
        });
        assert_eq!(carried(Include::Metadata), Some(metadata));
    }
}
