//! The OCI runtime spec of a container.
//!
//! Owns: what a pod, its image and the host's abilities amount to in the words of the OCI, as a
//! kubelet with containerd would have it. Must not know: containerd, files, the clock. What the host
//! can do and where the pod's files are is told by the caller.

mod apparmor;
mod capabilities;
mod env;
mod files;
mod mounts;
mod peers;
mod pod_limits;
mod process;
mod resources;
mod seccomp;
mod user;

#[cfg(test)]
mod testing;

use std::collections::HashMap;
use std::path::PathBuf;

use k8s_openapi::api::core::v1::{
    Container, Pod, PodSecurityContext, PodSpec, SecurityContext, Sysctl,
};
use oci_spec::image::{Config, ImageConfiguration};
use oci_spec::runtime::{
    Capabilities, Linux, LinuxDevice, LinuxNamespace, LinuxNamespaceType, LinuxSeccomp, Root, Spec,
};

use crate::api::downward::Capacity;
use crate::pod::RefusedReason;

pub use apparmor::AppArmor;
pub use capabilities::of_mask as capabilities_of_mask;
pub use env::{Origin, Variables, expand, names, variables};
pub use files::{hostname, hosts_file, resolv_conf};
pub use peers::{peer_names, with_peers};
pub use pod_limits::{PodLimits, pod_limits};
pub use process::stop_signal;
pub use seccomp::local_profile;

/// The version of the OCI runtime spec that is written.
const OCI_VERSION: &str = "1.0.2";

/// All that the spec of a container depends on.
#[derive(Debug, Clone)]
pub struct Inputs<'a> {
    pub pod: &'a Pod,
    pub container: &'a Container,
    pub image: &'a ImageConfiguration,
    pub accounts: &'a Accounts,
    pub sandbox: &'a SandboxPaths,
    /// What the container gets of the pod's volumes.
    pub volumes: &'a [VolumeMount],
    /// What the pod defines for it.
    pub variables: &'a Variables,
    /// The profile in the file that [`local_profile`] names, if it names one.
    pub seccomp: Option<LinuxSeccomp>,
    pub host: &'a Host,
    /// `/kiln/pod<uid>/<id>`.
    pub cgroups_path: String,
}

/// A volume, or a part of one, in a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VolumeMount {
    /// On the host.
    pub source: PathBuf,
    /// In the container.
    pub destination: PathBuf,
    pub read_only: bool,
    /// `rprivate`, `rslave` or `rshared`: whether later mounts show on the other side.
    pub propagation: &'static str,
}

/// Who the image knows, as its files say; empty where it has none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Accounts {
    /// The text of `/etc/passwd`.
    pub passwd: String,
    /// The text of `/etc/group`.
    pub group: String,
}

/// Where on the host the things are that the containers of a pod share.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SandboxPaths {
    /// The pod's network namespace; `None` for the host's own.
    pub net: Option<PathBuf>,
    /// The pod's UTS namespace, in which its hostname is set; `None` for the host's own.
    pub uts: Option<PathBuf>,
    pub ipc: PathBuf,
    /// What becomes `/dev/shm`.
    pub shm: PathBuf,
    pub hosts: PathBuf,
    pub hostname: PathBuf,
    pub resolv_conf: PathBuf,
    /// A file of this one container instance, writable for everybody: its user may not be root.
    pub termination_log: PathBuf,
}

/// What the host is able to do: as containerd, which starts the containers, sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Host {
    pub hostname: String,
    pub cgroups: Cgroups,
    /// Whether a limit of memory and swap together can be set: `memory.memsw.limit_in_bytes`, or
    /// `memory.swap.max`.
    pub swap_limit: bool,
    /// Whether `memory.oom.group` can be set: cgroup v2 with its memory controller.
    pub oom_group: bool,
    /// What there is: for `oom_score_adj`, and for containers without limits.
    pub capacity: Capacity,
    /// The lowest `oom_score_adj` that may be set: -1000 with CAP_SYS_RESOURCE, else containerd's own.
    pub oom_score_adj_min: i32,
    /// What containerd itself may do: a container is refused more by the kernel.
    pub capabilities: Capabilities,
    /// What is in `/dev`, for privileged containers.
    pub devices: Vec<LinuxDevice>,
    /// The version of the kernel.
    pub kernel: (u32, u32),
    pub apparmor: AppArmor,
    /// The sizes of huge pages that can be limited, in bytes.
    pub huge_pages: Vec<u64>,
    /// Whether a container that asks for no seccomp profile gets the default one.
    pub seccomp_default: bool,
}

/// Which hierarchy the controllers are in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cgroups {
    V1,
    V2,
}

/// Why there can be no such container.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Refusal {
    pub reason: RefusedReason,
    pub message: String,
}

impl Refusal {
    /// The container cannot be made.
    pub(super) fn create(message: impl Into<String>) -> Self {
        Self { reason: RefusedReason::CreateContainerError, message: message.into() }
    }

    /// What is asked for contradicts itself, or the image.
    pub(super) fn config(message: impl Into<String>) -> Self {
        Self { reason: RefusedReason::CreateContainerConfigError, message: message.into() }
    }
}

/// What is to be run, and how it is shut in.
///
/// # Errors
/// When the image and the pod contradict each other: no command, an unknown user, root where root is
/// forbidden.
pub fn build(inputs: &Inputs<'_>) -> Result<Spec, Refusal> {
    let capabilities = capabilities::of(inputs)?;
    let seccomp = seccomp::of(inputs, &capabilities)?;
    let process = process::of(inputs, capabilities)?;
    let privileged = inputs.is_privileged();
    let paths = |paths: &[&str]| paths.iter().map(|path| (*path).to_owned()).collect::<Vec<_>>();

    let mut linux = Linux::default();
    linux
        .set_namespaces(Some(namespaces(inputs)))
        .set_resources(Some(resources::of(inputs)?))
        .set_cgroups_path(Some(PathBuf::from(&inputs.cgroups_path)))
        .set_sysctl(sysctls(inputs))
        .set_rootfs_propagation(mounts::propagation(inputs))
        .set_devices(privileged.then(|| inputs.host.devices.clone()))
        .set_seccomp(seccomp)
        .set_masked_paths((!privileged).then(|| paths(&mounts::MASKED)))
        .set_readonly_paths((!privileged).then(|| paths(&mounts::READ_ONLY)));

    let mut root = Root::default();
    root.set_path("rootfs".into()).set_readonly(Some(inputs.has_read_only_root()));

    let mut spec = Spec::default();
    spec.set_version(OCI_VERSION.to_owned())
        .set_root(Some(root))
        .set_process(Some(process))
        .set_mounts(Some(mounts::of(inputs)))
        .set_linux(Some(linux))
        // The sandbox has set it in the UTS namespace.
        .set_hostname(None)
        .set_annotations(None);
    Ok(spec)
}

impl<'a> Inputs<'a> {
    fn security(&self) -> Option<&'a SecurityContext> {
        self.container.security_context.as_ref()
    }

    fn pod_security(&self) -> Option<&'a PodSecurityContext> {
        self.pod.spec.as_ref()?.security_context.as_ref()
    }

    fn is_privileged(&self) -> bool {
        self.security().and_then(|security| security.privileged) == Some(true)
    }

    fn has_read_only_root(&self) -> bool {
        self.security().and_then(|security| security.read_only_root_filesystem) == Some(true)
    }

    fn image_config(&self) -> Option<&'a Config> {
        self.image.config().as_ref()
    }

    /// Whether the pod asks for this.
    fn asks(&self, field: impl Fn(&PodSpec) -> Option<bool>) -> bool {
        self.pod.spec.as_ref().and_then(field) == Some(true)
    }

    fn shares_host_network(&self) -> bool {
        let asked = self.pod.spec.as_ref().and_then(|spec| spec.host_network) == Some(true);
        asked || self.sandbox.net.is_none()
    }

    /// The pod's UTS namespace, unless it is the host's.
    fn uts(&self) -> Option<&'a PathBuf> {
        self.sandbox.uts.as_ref().filter(|_| !self.shares_host_network())
    }
}

/// What the pod wants its part of the kernel to be like. Each container of the pod says it again.
/// <https://kubernetes.io/docs/tasks/administer-cluster/sysctl-cluster/>
fn sysctls(inputs: &Inputs<'_>) -> Option<HashMap<String, String>> {
    let wanted = inputs.pod_security()?.sysctls.as_ref()?;
    // Older manifests have slashes in the names.
    let entry = |sysctl: &Sysctl| (sysctl.name.replace('/', "."), sysctl.value.clone());
    Some(wanted.iter().map(entry).collect())
}

/// Processes and mounts are the container's own, the rest is the pod's.
/// <https://kubernetes.io/docs/concepts/workloads/pods/#pod-networking>
fn namespaces(inputs: &Inputs<'_>) -> Vec<LinuxNamespace> {
    let namespace = |kind, path: Option<&PathBuf>| {
        let mut namespace = LinuxNamespace::default();
        namespace.set_typ(kind).set_path(path.cloned());
        namespace
    };
    let mut all = vec![namespace(LinuxNamespaceType::Mount, None)];
    if !inputs.asks(|spec| spec.host_pid) {
        all.push(namespace(LinuxNamespaceType::Pid, None));
    }
    if !inputs.asks(|spec| spec.host_ipc) {
        all.push(namespace(LinuxNamespaceType::Ipc, Some(&inputs.sandbox.ipc)));
    }
    if let Some(net) = inputs.sandbox.net.as_ref().filter(|_| !inputs.shares_host_network()) {
        all.push(namespace(LinuxNamespaceType::Network, Some(net)));
    }
    if let Some(uts) = inputs.uts() {
        all.push(namespace(LinuxNamespaceType::Uts, Some(uts)));
    }
    if inputs.host.cgroups == Cgroups::V2 && !inputs.is_privileged() {
        all.push(namespace(LinuxNamespaceType::Cgroup, None));
    }
    all
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::testing::Case;
    use super::*;

    fn kinds(case: &Case) -> Vec<(LinuxNamespaceType, Option<String>)> {
        let spec = case.spec();
        let all = spec.linux().as_ref().unwrap().namespaces().clone().unwrap();
        let path = |namespace: &LinuxNamespace| {
            namespace.path().as_ref().map(|path| path.display().to_string())
        };
        all.iter().map(|namespace| (namespace.typ(), path(namespace))).collect()
    }

    #[test]
    fn a_container_has_its_own_processes_and_mounts_and_shares_the_rest_with_its_pod() {
        let expected = [
            (LinuxNamespaceType::Mount, None),
            (LinuxNamespaceType::Pid, None),
            (LinuxNamespaceType::Ipc, Some("/pod/ipc".to_owned())),
            (LinuxNamespaceType::Network, Some("/pod/net".to_owned())),
            (LinuxNamespaceType::Uts, Some("/pod/uts".to_owned())),
        ];
        assert_eq!(kinds(&Case::new()), expected);
        assert_eq!(kinds(&Case::new().pod(json!({"hostNetwork": true}))), expected[..3]);
    }

    #[test]
    fn a_sandbox_without_a_network_of_its_own_is_on_the_hosts() {
        let mut case = Case::new();
        case.sandbox.net = None;
        let kinds = kinds(&case);
        assert!(kinds.iter().all(|(kind, _)| {
            ![LinuxNamespaceType::Network, LinuxNamespaceType::Uts].contains(kind)
        }));
    }

    #[test]
    fn a_pod_may_ask_for_the_hosts_processes_and_its_ipc() {
        let case = Case::new().pod(json!({"hostPID": true, "hostIPC": true}));
        assert!(kinds(&case).iter().all(|(kind, _)| {
            ![LinuxNamespaceType::Pid, LinuxNamespaceType::Ipc].contains(kind)
        }));
        let spec = case.spec();
        let mounts = spec.mounts().as_ref().unwrap();
        let shm = mounts.iter().find(|m| m.destination().as_os_str() == "/dev/shm").unwrap();
        assert_eq!(shm.source().as_deref(), Some(std::path::Path::new("/dev/shm")));
    }

    #[test]
    fn the_pods_sysctls_are_set_for_each_container() {
        let sysctls = json!([{"name": "net.ipv4.tcp_syncookies", "value": "0"}]);
        let spec = Case::new().pod(json!({"securityContext": {"sysctls": sysctls}})).spec();
        let set = spec.linux().as_ref().unwrap().sysctl().clone().unwrap();
        assert_eq!(set["net.ipv4.tcp_syncookies"], "0");
        assert_eq!(Case::new().spec().linux().as_ref().unwrap().sysctl(), &None);
    }

    #[test]
    fn only_on_cgroup_v2_a_container_that_is_not_privileged_has_a_cgroup_namespace() {
        let has =
            |case: &Case| kinds(case).iter().any(|(kind, _)| *kind == LinuxNamespaceType::Cgroup);
        let mut case = Case::new();
        assert!(!has(&case));
        case.host.cgroups = Cgroups::V2;
        assert!(has(&case));
        assert!(!has(&case.security(json!({"privileged": true}))));
    }

    #[test]
    fn what_could_reveal_or_change_the_host_is_hidden_unless_the_container_is_privileged() {
        let spec = Case::new().spec();
        let linux = spec.linux().as_ref().unwrap();
        let masked = linux.masked_paths().as_ref().unwrap();
        assert!(masked.iter().any(|path| path == "/proc/kcore"));
        let read_only = linux.readonly_paths().as_ref().unwrap();
        assert!(read_only.iter().any(|path| path == "/proc/sys"));

        let mut case = Case::new().security(json!({"privileged": true}));
        let mut device = LinuxDevice::default();
        device.set_path("/dev/fuse".into());
        case.host.devices = vec![device.clone()];
        let spec = case.spec();
        let linux = spec.linux().as_ref().unwrap();
        assert_eq!((linux.masked_paths(), linux.readonly_paths()), (&None, &None));
        assert_eq!((linux.devices(), linux.seccomp()), (&Some(vec![device]), &None));
    }

    #[test]
    fn the_root_is_writable_unless_the_container_says_otherwise() {
        let read_only = |case: Case| case.spec().root().as_ref().unwrap().readonly();
        assert_eq!(read_only(Case::new()), Some(false));
        let case = Case::new().security(json!({"readOnlyRootFilesystem": true}));
        assert_eq!(read_only(case), Some(true));
    }

    #[test]
    fn nothing_of_the_librarys_defaults_is_left_in_the_spec() {
        let spec = serde_json::to_value(Case::new().spec()).unwrap();
        let text = spec.to_string();
        assert!(!text.contains("youki") && !text.contains("RLIMIT") && !text.contains("TERM="));
        assert_eq!(spec["linux"]["cgroupsPath"], "/kiln/podu/c");
        assert_eq!(
            (&spec["ociVersion"], &spec["root"]["path"]),
            (&json!("1.0.2"), &json!("rootfs"))
        );
        assert_eq!(spec["process"]["terminal"], json!(false));
        let absent = ["hostname", "annotations", "hooks"];
        assert!(absent.iter().all(|field| spec.get(field).is_none()), "{text}");
    }
}
