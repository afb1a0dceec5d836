//! What is written down of a pod's network.
//!
//! Owns: the record, which is written before the first plugin is called, so that whoever comes after a crash
//! knows what to take away, and the lock of its plugins. Must not know: what the plugins do.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use k8s_openapi::api::core::v1::Pod;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::plugin::PLUGIN_TIMEOUT;
use crate::api::object::Object;
use crate::api::pod::all_containers;
use crate::runtime::pause::pause;
use crate::runtime::spec;

/// How often to look whether a plugin that outlived its engine has ended.
const LOOK_EVERY: std::time::Duration = std::time::Duration::from_millis(20);

/// What a pod has of the network.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(in crate::runtime) struct Record {
    pub(super) ips: Vec<String>,
    /// The names by which the pods of its subdomain know it.
    pub(super) names: Option<[String; 4]>,
    /// The ports of the host that are the pod's.
    pub(super) ports: Vec<PortMapping>,
    /// What was asked of plugins.
    pub(super) attachment: Option<Attachment>,
    /// Whether the whole sandbox stands.
    pub(super) ready: bool,
}

/// A port of the host that leads to one of the pod, as plugins are told of it.
/// <https://www.cni.dev/docs/conventions/#dynamic-plugin-specific-fields-capabilities--runtime-configuration>
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct PortMapping {
    pub(super) host_port: i32,
    pub(super) container_port: i32,
    /// `tcp`, `udp` or `sctp`.
    pub(super) protocol: String,
    /// The host's address that it is on; empty for all.
    #[serde(rename = "hostIP")]
    pub(super) host_ip: String,
}

impl PortMapping {
    /// Whether both cannot be at once.
    pub(super) fn collides(&self, other: &Self) -> bool {
        let any = |port: &Self| matches!(port.host_ip.as_str(), "" | "0.0.0.0" | "::");
        self.host_port == other.host_port
            && self.protocol == other.protocol
            && (any(self) || any(other) || self.host_ip == other.host_ip)
    }
}

/// What was asked of plugins, and what came of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Attachment {
    pub(super) bin_dirs: Vec<PathBuf>,
    pub(super) list: Value,
    pub(super) args: String,
    /// `None`: an addition has begun, and nobody knows how far it came.
    pub(super) result: Option<Value>,
}

impl Record {
    /// What a pod asks for.
    pub(super) fn of(pod: &Pod) -> Self {
        let ports = all_containers(pod).flat_map(|container| container.ports.iter().flatten());
        let on_host = pod.spec.as_ref().and_then(|spec| spec.host_network) == Some(true);
        let ports = ports.filter_map(|port| {
            let asked = port.host_port.filter(|number| *number != 0);
            Some(PortMapping {
                host_port: asked.or_else(|| on_host.then_some(port.container_port))?,
                container_port: port.container_port,
                protocol: port.protocol.as_deref().unwrap_or("TCP").to_ascii_lowercase(),
                host_ip: port.host_ip.clone().unwrap_or_default(),
            })
        });
        Self {
            ips: Vec::new(),
            names: spec::peer_names(pod),
            ports: ports.collect(),
            attachment: None,
            ready: false,
        }
    }

    /// Whether the pod has what it asked for.
    pub(super) fn is_attached(&self) -> bool {
        self.attachment.as_ref().is_none_or(|attachment| attachment.result.is_some())
    }

    /// The subdomain that it is in, with its namespace.
    pub(super) fn subdomain(&self) -> Option<&str> {
        Some(self.names.as_ref()?[0].split_once('.')?.1)
    }

    /// `None`: there is none that can be read.
    pub(super) fn read(dir: &Path) -> Option<Self> {
        serde_json::from_slice(&fs::read(dir.join(FILE)).ok()?).ok()
    }

    /// In one step: a crash leaves the old one or the new one.
    pub(super) fn write(&self, dir: &Path) -> io::Result<()> {
        let new = dir.join(FILE_NEW);
        fs::write(&new, serde_json::to_vec(self)?)?;
        fs::rename(new, dir.join(FILE))
    }

    /// One that is gone is success.
    pub(super) fn remove(dir: &Path) -> io::Result<()> {
        match fs::remove_file(dir.join(FILE)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            Ok(()) | Err(_) => Ok(()),
        }
    }
}

const FILE: &str = "network.json";
const FILE_NEW: &str = "network.json.new";
const LOCK: &str = "network.log";

/// What plugins said, to be added to. While it is open here, or in a plugin, nobody else has it: an engine that
/// was killed may have left one that runs.
pub(super) async fn turn(dir: &Path) -> io::Result<File> {
    let file = File::options().read(true).append(true).create(true).open(dir.join(LOCK))?;
    let mut waited = std::time::Duration::ZERO;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(fs::TryLockError::Error(error)) => return Err(error),
            Err(fs::TryLockError::WouldBlock) if waited < PLUGIN_TIMEOUT => {
                pause(LOOK_EVERY).await;
                waited += LOOK_EVERY;
            }
            Err(fs::TryLockError::WouldBlock) => {
                return Err(io::Error::other("a plugin that was called before has not ended yet"));
            }
        }
    }
}

/// By what plugins know a pod besides.
pub(super) fn args(pod: &Pod) -> String {
    let (namespace, name, uid) = (pod.namespace(), pod.name(), pod.uid());
    format!(
        "IgnoreUnknown=1;K8S_POD_NAMESPACE={namespace};K8S_POD_NAME={name};\
         K8S_POD_INFRA_CONTAINER_ID={uid};K8S_POD_UID={uid}"
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn port(host_port: i32, protocol: &str, host_ip: &str) -> PortMapping {
        let (protocol, host_ip) = (protocol.to_owned(), host_ip.to_owned());
        PortMapping { host_port, container_port: 1, protocol, host_ip }
    }

    #[test]
    fn ports_of_the_host_collide_on_the_same_address_only() {
        let one = port(80, "tcp", "10.0.0.1");
        assert!(one.collides(&port(80, "tcp", "10.0.0.1")));
        assert!(one.collides(&port(80, "tcp", "")) && port(80, "tcp", "0.0.0.0").collides(&one));
        for other in [port(81, "tcp", ""), port(80, "udp", ""), port(80, "tcp", "10.0.0.2")] {
            assert!(!one.collides(&other), "{other:?}");
        }
    }

    #[test]
    fn a_record_is_read_as_it_was_written() {
        let pod: Pod = serde_json::from_value(json!({"spec": {"containers": [{"name": "a",
            "ports": [{"containerPort": 1}, {"containerPort": 2, "hostPort": 3}]}]}}))
        .unwrap();
        let mut record = Record::of(&pod);
        assert_eq!(record.ports.len(), 1);
        assert!(record.is_attached());
        let list = json!({"name": "n"});
        let bin_dirs = vec!["/bin".into()];
        let attachment = Attachment { bin_dirs, list, args: args(&pod), result: None };
        record.attachment = Some(attachment);
        assert!(!record.is_attached());
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(Record::read(dir.path()), None);
        record.write(dir.path()).unwrap();
        assert_eq!(Record::read(dir.path()), Some(record));
    }
}
