//! Shims that containerd does not know.
//!
//! Owns: finding the processes of a shim by its command line, and ending them. Must not know: pods.
//!
//! A task's creation that is cut short leaves a shim which containerd never lists again.

use std::fs;
use std::path::Path;

use rustix::process::{Pid, Signal, kill_process};

use super::containerd::NAMESPACE;

/// Where the runc shim has the OCI runtime keep its state, a directory for each container.
const RUNC_STATE: &str = "/run/containerd/runc";

/// A shim of kiln's namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Shim {
    pub(super) pid: Pid,
    /// Of the container that it was started for.
    pub(super) id: String,
}

/// The shims of containers whose id begins with this. An id begins with the uid of a pod, so that whose
/// containerd it is need not be asked.
pub(super) fn shims(id_prefix: &str) -> Vec<Shim> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter_map(Pid::from_raw)
        .filter_map(|pid| {
            let command = fs::read(format!("/proc/{}/cmdline", pid.as_raw_nonzero())).ok()?;
            let id = shim_of(&command)?;
            id.starts_with(id_prefix).then_some(Shim { pid, id })
        })
        .collect()
}

/// Ends a shim and what runs below it, and takes away what the OCI runtime noted of the container.
pub(super) fn kill(shim: &Shim) {
    // The init of a container dies with its shim only where containerd sees to it.
    for child in children(shim.pid) {
        let _ = kill_process(child, Signal::KILL); // it may be gone by now
    }
    let _ = kill_process(shim.pid, Signal::KILL);
    forget(&shim.id);
}

/// Takes away what the OCI runtime noted of a container that is gone. A shim that ended in order has
/// seen to it.
pub(super) fn forget(id: &str) {
    // Usually it is not there.
    let _ = fs::remove_dir_all(Path::new(RUNC_STATE).join(NAMESPACE).join(id));
}

/// The container of `containerd-shim-runc-v2 -namespace kiln -id ID -address ADDRESS`, in any order.
fn shim_of(command: &[u8]) -> Option<String> {
    let args: Vec<&[u8]> = command.split(|byte| *byte == 0).collect();
    let value = |flag: &[u8]| {
        let at = args.iter().position(|arg| *arg == flag)?;
        args.get(at + 1).copied()
    };
    let name = args.first()?.rsplit(|byte| *byte == b'/').next()?;
    let is_ours =
        name.starts_with(b"containerd-shim") && value(b"-namespace") == Some(NAMESPACE.as_bytes());
    if !is_ours {
        return None;
    }
    String::from_utf8(value(b"-id")?.to_vec()).ok()
}

fn children(pid: Pid) -> Vec<Pid> {
    let pid = pid.as_raw_nonzero();
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let lists = tasks.filter_map(|task| fs::read_to_string(task.path().join("children")).ok());
    let pids: Vec<i32> = lists
        .flat_map(|list| list.split_ascii_whitespace().map(str::to_owned).collect::<Vec<_>>())
        .filter_map(|pid| pid.parse().ok())
        .collect();
    pids.into_iter().filter_map(Pid::from_raw).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command(args: &[&str]) -> Vec<u8> {
        args.iter().flat_map(|arg| [arg.as_bytes(), b"\0"].concat()).collect()
    }

    #[test]
    fn a_shim_is_known_by_its_namespace_and_its_container() {
        let shim = |namespace: &str, address: &str, id: &str| {
            let name = "/usr/bin/containerd-shim-runc-v2";
            let args = [name, "-namespace", namespace, "-id", id, "-address", address];
            shim_of(&command(&args))
        };
        assert_eq!(shim("kiln", "/c.sock", "u1.abcd.0").as_deref(), Some("u1.abcd.0"));
        assert_eq!(shim("k8s.io", "/c.sock", "u1.abcd.0"), None);
        assert_eq!(shim_of(&command(&["sleep", "-id", "u1."])), None);
    }
}
