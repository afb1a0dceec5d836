//! Shims that containerd does not know.
//!
//! Owns: finding the processes of a shim by its command line, and ending them. Must not know: pods.
//!
//! A task's creation that is cut short leaves a shim which containerd never lists again.

use std::fs;
use std::path::Path;

use rustix::process::{Pid, Signal, kill_process};

use super::containerd::NAMESPACE;

/// A shim of kiln's namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Shim {
    pub(super) pid: Pid,
}

/// The shims of containers whose id begins with this.
pub(super) fn shims(address: &Path, id_prefix: &str) -> Vec<Shim> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter_map(Pid::from_raw)
        .filter(|pid| {
            let command = fs::read(format!("/proc/{}/cmdline", pid.as_raw_nonzero()));
            command.is_ok_and(|command| is_shim_of(&command, address, id_prefix))
        })
        .map(|pid| Shim { pid })
        .collect()
}

/// Ends a shim and what runs below it.
pub(super) fn kill(shim: Shim) {
    // The init of a container dies with its shim only where containerd sees to it.
    for child in children(shim.pid) {
        let _ = kill_process(child, Signal::KILL); // it may be gone by now
    }
    let _ = kill_process(shim.pid, Signal::KILL);
}

/// `containerd-shim-runc-v2 -namespace kiln -id ID -address ADDRESS`, in any order.
fn is_shim_of(command: &[u8], address: &Path, id_prefix: &str) -> bool {
    let args: Vec<&[u8]> = command.split(|byte| *byte == 0).collect();
    let value = |flag: &[u8]| {
        let at = args.iter().position(|arg| *arg == flag)?;
        args.get(at + 1).copied()
    };
    let name = args.first().and_then(|path| path.rsplit(|byte| *byte == b'/').next());
    name.is_some_and(|name| name.starts_with(b"containerd-shim"))
        && value(b"-namespace") == Some(NAMESPACE.as_bytes())
        && value(b"-address").is_none_or(|found| found == address.as_os_str().as_encoded_bytes())
        && value(b"-id").is_some_and(|id| id.starts_with(id_prefix.as_bytes()))
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
    fn a_shim_is_known_by_its_namespace_its_containerd_and_its_container() {
        let shim = |namespace: &str, address: &str, id: &str| {
            let name = "/usr/bin/containerd-shim-runc-v2";
            let args = [name, "-namespace", namespace, "-id", id, "-address", address];
            is_shim_of(&command(&args), Path::new("/c.sock"), "u1.")
        };
        assert!(shim("kiln", "/c.sock", "u1.abcd.0"));
        assert!(!shim("k8s.io", "/c.sock", "u1.abcd.0"));
        assert!(!shim("kiln", "/other.sock", "u1.abcd.0"));
        assert!(!shim("kiln", "/c.sock", "u2.abcd.0"));
        assert!(!is_shim_of(&command(&["sleep", "-id", "u1."]), Path::new("/c.sock"), "u1."));
    }
}
