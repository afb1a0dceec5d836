//! A pod, described.
//!
//! Owns: which fields are shown, in which order. Must not know: where the pod is from.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Event, Pod, PodSpec, PodStatus};

use super::containers::{containers, volumes};
use super::sheet::{NONE, Sheet, between, rfc1123};
use crate::api::object::Object;
use crate::api::pod::{controller, is_terminal, phase, qos_class};

/// <https://kubernetes.io/docs/reference/kubectl/generated/kubectl_describe/>
pub(super) fn render(pod: &Pod, events: &[Event], now: Timestamp) -> String {
    let mut sheet = Sheet::default();
    let empty = (PodSpec::default(), PodStatus::default());
    let spec = pod.spec.as_ref().unwrap_or(&empty.0);
    let status = pod.status.as_ref().unwrap_or(&empty.1);
    head(&mut sheet, pod, spec, status);
    standing(&mut sheet, pod, status, now);
    if let Some(init) = spec.init_containers.as_ref().filter(|init| !init.is_empty()) {
        let statuses = status.init_container_statuses.as_deref().unwrap_or_default();
        containers(&mut sheet, "Init Containers", "  ", init, Some(statuses));
    }
    let statuses = status.container_statuses.as_deref().unwrap_or_default();
    containers(&mut sheet, "Containers", "  ", &spec.containers, Some(statuses));
    let conditions = status.conditions.as_deref().unwrap_or_default();
    if !conditions.is_empty() {
        sheet.line("Conditions:");
        sheet.line("  Type\tStatus");
        for condition in conditions {
            sheet.line(format!("  {} \t{} ", condition.type_, condition.status));
        }
    }
    volumes(&mut sheet, "", spec.volumes.as_ref());
    let qos = status.qos_class.as_deref().unwrap_or_else(|| qos_class(pod).as_str());
    sheet.field("QoS Class", qos);
    sheet.labels("Node-Selectors", spec.node_selector.as_ref());
    sheet.tolerations("Tolerations", spec.tolerations.as_ref());
    sheet.events(events, now);
    sheet.finish()
}

fn head(sheet: &mut Sheet, pod: &Pod, spec: &PodSpec, status: &PodStatus) {
    sheet.field("Name", pod.name());
    sheet.field("Namespace", pod.metadata.namespace.as_deref().unwrap_or_default());
    if let Some(priority) = spec.priority {
        sheet.field("Priority", priority);
    }
    if let Some(class) = spec.priority_class_name.as_ref().filter(|class| !class.is_empty()) {
        sheet.field("Priority Class Name", class);
    }
    if let Some(class) = spec.runtime_class_name.as_ref().filter(|class| !class.is_empty()) {
        sheet.field("Runtime Class Name", class);
    }
    sheet.field("Service Account", spec.service_account_name.as_deref().unwrap_or_default());
    match spec.node_name.as_ref().filter(|name| !name.is_empty()) {
        Some(node) => {
            let address = status.host_ip.as_deref().unwrap_or_default();
            sheet.field("Node", format!("{node}/{address}"));
        }
        None => sheet.field("Node", NONE),
    }
    if let Some(start) = &status.start_time {
        sheet.field("Start Time", rfc1123(start.0));
    }
    sheet.labels("Labels", pod.metadata.labels.as_ref());
    sheet.annotations("Annotations", pod.metadata.annotations.as_ref());
}

fn standing(sheet: &mut Sheet, pod: &Pod, status: &PodStatus, now: Timestamp) {
    match &pod.metadata.deletion_timestamp {
        Some(at) if !is_terminal(pod) => {
            sheet.field("Status", format!("Terminating (lasts {})", between(at.0, now)));
            let grace = pod.metadata.deletion_grace_period_seconds.unwrap_or(0);
            sheet.field("Termination Grace Period", format!("{grace}s"));
        }
        Some(_) | None => sheet.field("Status", phase(pod).as_str()),
    }
    for (name, text) in [("Reason", &status.reason), ("Message", &status.message)] {
        if let Some(text) = text.as_ref().filter(|text| !text.is_empty()) {
            sheet.field(name, text);
        }
    }
    sheet.field("IP", status.pod_ip.as_deref().unwrap_or_default());
    let ips = status.pod_ips.as_deref().unwrap_or_default();
    if ips.is_empty() {
        sheet.field("IPs", NONE);
    } else {
        sheet.line("IPs:");
        for ip in ips {
            sheet.field("  IP", &ip.ip);
        }
    }
    if let Some(owner) = controller(pod) {
        sheet.field("Controlled By", format!("{}/{}", owner.kind, owner.name));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const EXPECTED: &str = "\
Name:             pi-x
Namespace:        default
Service Account:  default
Node:             here/10.0.0.1
Labels:           <none>
Annotations:      <none>
Status:           Failed
IP:               
IPs:              <none>
Controlled By:    Job/pi
Containers:
  pi:
    Container ID:  containerd://c
    Image:         perl:5
    Image ID:      perl@sha256:1
    Port:          80/TCP
    Host Port:     0/TCP
    State:         Terminated
      Reason:      Error
      Exit Code:   1
      Started:     Fri, 02 Jan 2026 15:04:05 +0000
      Finished:    Fri, 02 Jan 2026 15:04:15 +0000
    Ready:         False
    Restart Count:  0
    Environment:
      N:     (v1:metadata.name)
    Mounts:
      /data from data (ro)
Conditions:
  Type    Status
  Ready   False 
Volumes:
  data:
    Type:       EmptyDir (a temporary directory that shares a pod's lifetime)
    Medium:     
    SizeLimit:  <unset>
QoS Class:       BestEffort
Node-Selectors:  <none>
Tolerations:     <none>
Events:          <none>
";

    #[test]
    fn a_pod_is_described_as_kubectl_does() {
        let pod: Pod = serde_json::from_value(json!({
            "metadata": {"name": "pi-x", "namespace": "default", "ownerReferences": [{
                "apiVersion": "batch/v1", "kind": "Job", "name": "pi", "uid": "u", "controller": true,
            }]},
            "spec": {
                "serviceAccountName": "default", "nodeName": "here",
                "containers": [{
                    "name": "pi", "image": "perl:5", "ports": [{"containerPort": 80}],
                    "env": [{"name": "N", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}],
                    "volumeMounts": [{"name": "data", "mountPath": "/data", "readOnly": true}],
                }],
                "volumes": [{"name": "data", "emptyDir": {}}],
            },
            "status": {
                "phase": "Failed", "hostIP": "10.0.0.1", "qosClass": "BestEffort",
                "conditions": [{"type": "Ready", "status": "False"}],
                "containerStatuses": [{
                    "name": "pi", "image": "perl:5", "imageID": "perl@sha256:1",
                    "containerID": "containerd://c", "ready": false, "restartCount": 0,
                    "state": {"terminated": {
                        "exitCode": 1, "reason": "Error", "startedAt": "2026-01-02T15:04:05Z",
                        "finishedAt": "2026-01-02T15:04:15Z",
                    }},
                }],
            },
        }))
        .unwrap();
        let expected = EXPECTED.replace("Restart Count:  0", "Restart Count: 0");
        let shown = render(&pod, &[], Timestamp::UNIX_EPOCH);
        let tight = |text: &str| {
            let lines =
                text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "));
            lines.collect::<Vec<_>>()
        };
        assert_eq!(tight(&shown), tight(&expected));
    }
}
