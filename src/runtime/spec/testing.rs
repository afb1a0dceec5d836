//! Pods, images and hosts for the tests of the spec.

use k8s_openapi::api::core::v1::Pod;
use oci_spec::image::ImageConfiguration;
use oci_spec::runtime::{LinuxSeccomp, Process, Spec};
use serde_json::{Map, Value, json};

use super::{
    Accounts, AppArmor, Cgroups, Host, Inputs, Origin, Refusal, SandboxPaths, VolumeMount, build,
    capabilities, variables,
};
use crate::api::downward::Capacity;
use crate::api::references::Referred;

/// A container of a pod, its image and its host; each part can be told apart.
pub(super) struct Case {
    pod: Value,
    image: Value,
    pub(super) accounts: Accounts,
    pub(super) sandbox: SandboxPaths,
    pub(super) volumes: Vec<VolumeMount>,
    pub(super) referred: Referred,
    /// What is in the file of a `Localhost` profile.
    pub(super) seccomp: Option<LinuxSeccomp>,
    pub(super) host: Host,
}

impl Case {
    /// `/bin/job` on a host with cgroup v1 and nothing special.
    pub(super) fn new() -> Self {
        let path = |name: &str| format!("/pod/{name}").into();
        Self {
            pod: json!({
                "metadata": {"name": "p", "namespace": "default", "uid": "u"},
                "spec": {"containers": [{"name": "main"}]},
            }),
            image: json!({"Cmd": ["/bin/job"]}),
            accounts: Accounts::default(),
            sandbox: SandboxPaths {
                net: Some(path("net")),
                uts: Some(path("uts")),
                ipc: path("ipc"),
                shm: path("shm"),
                hosts: path("hosts"),
                hostname: path("hostname"),
                resolv_conf: path("resolv.conf"),
                termination_log: path("main/termination-log"),
            },
            volumes: Vec::new(),
            referred: Referred::default(),
            seccomp: None,
            host: Host {
                hostname: "node".to_owned(),
                cgroups: Cgroups::V1,
                swap_limit: true,
                oom_group: false,
                capacity: Capacity { processors: 4, memory_bytes: 8 << 30, storage_bytes: 1 << 40 },
                oom_score_adj_min: -1000,
                capabilities: capabilities::of_mask(u64::MAX),
                devices: Vec::new(),
                kernel: (6, 1),
                apparmor: AppArmor::default(),
                huge_pages: Vec::new(),
                seccomp_default: false,
            },
        }
    }

    /// With these fields in the pod's spec.
    pub(super) fn pod(mut self, fields: Value) -> Self {
        merge(&mut self.pod["spec"], fields);
        self
    }

    /// With these fields in the container.
    pub(super) fn container(mut self, fields: Value) -> Self {
        merge(&mut self.pod["spec"]["containers"][0], fields);
        self
    }

    /// With these fields in the container's security context.
    pub(super) fn security(mut self, fields: Value) -> Self {
        merge(&mut self.pod["spec"]["containers"][0]["securityContext"], fields);
        self
    }

    /// With this as the image's `config`.
    pub(super) fn image(mut self, config: Value) -> Self {
        self.image = config;
        self
    }

    pub(super) fn passwd(mut self, text: &str) -> Self {
        self.accounts.passwd = text.to_owned();
        self
    }

    pub(super) fn group(mut self, text: &str) -> Self {
        self.accounts.group = text.to_owned();
        self
    }

    pub(super) fn build(&self) -> Result<Spec, Refusal> {
        let pod: Pod = serde_json::from_value(self.pod.clone()).unwrap();
        let image: ImageConfiguration = serde_json::from_value(json!({
            "architecture": "amd64", "os": "linux", "config": self.image,
            "rootfs": {"type": "layers", "diff_ids": []},
        }))
        .unwrap();
        let container = &pod.spec.as_ref().unwrap().containers[0];
        let origin = Origin { referred: &self.referred, capacity: &self.host.capacity };
        build(&Inputs {
            variables: &variables(&pod, container, origin)?,
            pod: &pod,
            container,
            image: &image,
            accounts: &self.accounts,
            sandbox: &self.sandbox,
            volumes: &self.volumes,
            seccomp: self.seccomp.clone(),
            host: &self.host,
            cgroups_path: "/kiln/podu/c".to_owned(),
        })
    }

    pub(super) fn spec(&self) -> Spec {
        self.build().unwrap()
    }

    pub(super) fn process(&self) -> Process {
        self.spec().process().clone().unwrap()
    }
}

fn merge(into: &mut Value, fields: Value) {
    if into.is_null() {
        *into = Value::Object(Map::new());
    }
    let Value::Object(fields) = fields else { panic!("fields are an object") };
    into.as_object_mut().unwrap().extend(fields);
}
