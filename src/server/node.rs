//! The one host that there is, as an object.
//!
//! Owns: what is told of it. Must not know: what runs on it.
//! <https://kubernetes.io/docs/concepts/architecture/nodes/>

use std::fs;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::Listen;
use super::metadata::seconds;
use super::objects::Seed;
use super::status::Error;
use crate::api::amounts::{Amounts, Resource};
use crate::api::names;
use crate::api::object::{Key, Kind};
use crate::store::Store;

/// Tells of this host what is so now.
pub(super) async fn prepare(store: &Store, host: &Listen, now: Timestamp) -> Result<(), Error> {
    let name = host.host.as_str();
    let key = Key::new(Kind::Node, "", name);
    let old = store.read(&key).await?;
    let seed = Seed::random().map_err(|error| Error::Internal { message: error.to_string() })?;
    let kept = |pointer: &str, new: String| match old.as_ref().and_then(|o| o.pointer(pointer)) {
        Some(value) => value.clone(),
        None => Value::String(new),
    };
    let uid = kept("/metadata/uid", names::uuid(seed.uid));
    let created = kept("/metadata/creationTimestamp", seconds(now));
    let mut node = render(host, now);
    node["metadata"]["uid"] = uid;
    node["metadata"]["creationTimestamp"] = created;
    let mut txn = store.txn();
    match old {
        Some(old) => {
            node["metadata"]["resourceVersion"] = old["metadata"]["resourceVersion"].clone();
            txn.update_value(&key, &node);
        }
        None => drop(txn.create_value(&key, &node)),
    }
    txn.commit().await?;
    Ok(())
}

fn render(host: &Listen, now: Timestamp) -> Value {
    let name = host.host.as_str();
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default().trim().to_owned();
    let arch = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    let amounts = |all: Amounts| {
        json!({
            "cpu": Resource::Cpu.shown(all.cpu_millis),
            "memory": format!("{}Ki", all.memory_bytes / 1024),
            "pods": all.pods.to_string(),
        })
    };
    let os_image = fs::read_to_string("/etc/os-release").unwrap_or_default();
    let os_image = os_image.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="));
    let condition = |kind: &str, status: &str, reason: &str| {
        json!({
            "type": kind, "status": status, "reason": reason, "message": "",
            "lastHeartbeatTime": seconds(now), "lastTransitionTime": seconds(now),
        })
    };
    let internal = host.host_ips.iter().map(|ip| json!({"type": "InternalIP", "address": ip}));
    let own_name = json!({"type": "Hostname", "address": name});
    let addresses: Vec<Value> = internal.chain([own_name]).collect();
    json!({
        "apiVersion": "v1", "kind": "Node",
        "metadata": {
            "name": name,
            "labels": {
                "kubernetes.io/arch": arch, "kubernetes.io/hostname": name,
                "kubernetes.io/os": "linux",
            },
        },
        "spec": {},
        "status": {
            "capacity": amounts(host.capacity), "allocatable": amounts(host.allocatable),
            "addresses": addresses,
            "conditions": [condition("Ready", "True", "KubeletReady")],
            "nodeInfo": {
                "architecture": arch, "operatingSystem": "linux",
                "kernelVersion": read("/proc/sys/kernel/osrelease"),
                "bootID": read("/proc/sys/kernel/random/boot_id"),
                "machineID": read("/etc/machine-id"), "systemUUID": read("/etc/machine-id"),
                "osImage": os_image.unwrap_or("Linux").trim_matches('"'),
                "containerRuntimeVersion": host.container_runtime,
                "kubeletVersion": format!("kiln-{}", env!("CARGO_PKG_VERSION")),
                "kubeProxyVersion": "",
            },
        },
    })
}
