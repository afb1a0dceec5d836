//! Where everything of a pod lies on this host, and what it is called.
//!
//! Owns: the paths below the engine's root and the log directory, and the ids in containerd. All are
//! derived from the pod's uid, the container and the attempt, so that after a crash what is found can be
//! told apart. Must not know: what the files hold.

use std::path::{Path, PathBuf};

use k8s_openapi::api::core::v1::Pod;
use sha2::{Digest, Sha256};

use super::logs;
use crate::pod::Instance;

/// The directories of one engine.
#[derive(Debug, Clone)]
pub(super) struct Layout {
    root: PathBuf,
    log_dir: PathBuf,
}

impl Layout {
    pub(super) fn new(root: &Path, log_dir: &Path) -> Self {
        Self { root: resolved(root), log_dir: resolved(log_dir) }
    }

    /// The engine's root: the owner of all that bears its name.
    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    /// One directory for each pod that has anything on this host: it is made first and removed last.
    pub(super) fn pods(&self) -> PathBuf {
        self.root.join("pods")
    }

    pub(super) fn pod(&self, uid: &str) -> PathBuf {
        self.pods().join(uid)
    }

    pub(super) fn namespaces(&self, uid: &str) -> PathBuf {
        self.pod(uid).join("ns")
    }

    /// What is mounted at `/dev/shm` in every container.
    pub(super) fn shm(&self, uid: &str) -> PathBuf {
        self.pod(uid).join("shm")
    }

    /// The volumes that are the pod's own.
    pub(super) fn volumes(&self, uid: &str) -> PathBuf {
        self.pod(uid).join("volumes")
    }

    pub(super) fn volume(&self, uid: &str, name: &str) -> PathBuf {
        self.volumes(uid).join(name)
    }

    /// The directories of claims, which outlive the pods.
    pub(super) fn claims(&self) -> PathBuf {
        self.root.join("volumes")
    }

    pub(super) fn claim(&self, uid: &str) -> PathBuf {
        self.claims().join(uid)
    }

    /// Where parts of volumes are bound.
    pub(super) fn sub_paths(&self, uid: &str) -> PathBuf {
        self.pod(uid).join("sub-paths")
    }

    /// The part that a container gets by the mount of this index.
    pub(super) fn sub_path(&self, uid: &str, container: &str, index: usize) -> PathBuf {
        self.sub_paths(uid).join(container).join(index.to_string())
    }

    /// `hosts`, `hostname`, `resolv.conf`.
    pub(super) fn etc(&self, uid: &str, file: &str) -> PathBuf {
        self.pod(uid).join("etc").join(file)
    }

    /// The exit record and what else one instance leaves.
    pub(super) fn instance(&self, uid: &str, instance: &Instance) -> PathBuf {
        let attempt = instance.attempt.to_string();
        self.pod(uid).join("containers").join(&instance.container).join(attempt)
    }

    /// The parent of all cgroups of this engine, below the mount points, as the OCI spec names it. No other
    /// engine makes its cgroups there, so that it can be removed when the last pod is gone.
    pub(super) fn cgroup_parent(&self) -> String {
        format!("/kiln-{}", self.digest())
    }

    /// Stands for the root in names that are to be short.
    fn digest(&self) -> String {
        let digest = Sha256::digest(self.root.as_os_str().as_encoded_bytes());
        hex::encode(&digest[..4])
    }

    /// What is written down of the network that is the engine's own.
    pub(super) fn network(&self) -> PathBuf {
        self.root.join("network")
    }

    /// The name of that network's bridge, which no other engine has.
    pub(super) fn bridge(&self) -> String {
        format!("kiln-{}", self.digest())
    }

    /// The cgroup of a pod.
    pub(super) fn pod_cgroup(&self, uid: &str) -> String {
        format!("{}/pod{uid}", self.cgroup_parent())
    }

    /// The cgroup of an instance.
    pub(super) fn cgroup(&self, uid: &str, id: &str) -> String {
        format!("{}/{id}", self.pod_cgroup(uid))
    }

    pub(super) fn log(&self, pod: &Pod, instance: &Instance) -> PathBuf {
        logs::path(&self.log_dir, pod, instance)
    }

    /// The directory of all logs of a pod.
    pub(super) fn logs(&self, pod: &Pod) -> PathBuf {
        logs::dir(&self.log_dir, pod)
    }
}

/// The path as the kernel and containerd know it: absolute, and without symbolic links. What is mounted
/// below it is only found under that name.
fn resolved(dir: &Path) -> PathBuf {
    // Where it cannot be made, whoever writes to it says so.
    let _ = std::fs::create_dir_all(dir);
    dir.canonicalize().or_else(|_| std::path::absolute(dir)).unwrap_or_else(|_| dir.to_owned())
}

/// The id of an instance in containerd, which takes 76 characters, and fewer kinds of them than
/// Kubernetes does in a name.
pub(super) fn container_id(uid: &str, instance: &Instance) -> String {
    let digest = Sha256::digest(&instance.container);
    format!("{uid}.{}.{}", hex::encode(&digest[..4]), instance.attempt)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_fits_what_containerd_takes() {
        let instance = Instance { container: "a--b".repeat(15), attempt: u32::MAX };
        let id = container_id("0f6a8f5e-3c1b-4f5e-9f6a-8f5e3c1b4f5e", &instance);
        assert!(id.len() <= 76, "{id}");
        assert!(id.split(['.', '-']).all(|part| {
            !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric())
        }));
    }

    #[test]
    fn a_root_behind_a_link_is_known_by_its_own_name() {
        let dir = tempfile::tempdir().unwrap();
        let own = dir.path().canonicalize().unwrap().join("own");
        std::fs::create_dir(&own).unwrap();
        std::os::unix::fs::symlink(&own, dir.path().join("link")).unwrap();
        let layout = Layout::new(&dir.path().join("link"), &dir.path().join("logs"));
        assert_eq!((layout.root(), layout.pods()), (&*own, own.join("pods")));
    }

    #[test]
    fn each_instance_has_an_id_of_its_own() {
        let id = |container: &str, attempt| {
            container_id("u", &Instance { container: container.to_owned(), attempt })
        };
        let ids = [id("a", 0), id("a", 1), id("b", 0), id("b", 1)];
        let distinct: std::collections::BTreeSet<_> = ids.iter().collect();
        assert_eq!(distinct.len(), ids.len());
    }
}
