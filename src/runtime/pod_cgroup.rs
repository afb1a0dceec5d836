//! The cgroup around all containers of a pod.
//!
//! Owns: making it, with its limits, on both versions. Must not know: what a pod is; the OCI runtime makes
//! the containers' own cgroups below it.
//! <https://kubernetes.io/docs/concepts/workloads/pods/pod-qos/#memory-qos-with-cgroup-v2>

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::spec::PodLimits;

/// One file of a cgroup, and what is written to it.
type Setting = (&'static str, String);

/// Makes the cgroup in the hierarchies of version 1 that limit something.
///
/// # Errors
/// What the kernel refused.
pub(super) fn make_v1(
    hierarchy: impl Fn(&str) -> Option<PathBuf>,
    below: &str,
    limits: &PodLimits,
    swap: bool,
) -> io::Result<()> {
    for (controller, settings) in v1(limits, swap) {
        let Some(mount) = hierarchy(controller) else {
            if settings.is_empty() || controller == "cpu" {
                continue;
            }
            let message = format!("this host has no cgroup controller `{controller}`");
            return Err(io::Error::new(io::ErrorKind::Unsupported, message));
        };
        if !settings.is_empty() {
            write(&mount.join(below.trim_start_matches('/')), settings)?;
        }
    }
    Ok(())
}

/// Makes the cgroup in the one hierarchy of version 2, and lets its parents pass the controllers on.
///
/// # Errors
/// What the kernel refused.
pub(super) fn make_v2(mount: &Path, below: &str, limits: &PodLimits, swap: bool) -> io::Result<()> {
    let mut dir = mount.to_owned();
    for part in Path::new(below.trim_start_matches('/')) {
        let has = fs::read_to_string(dir.join("cgroup.controllers")).unwrap_or_default();
        for controller in ["cpu", "memory", "pids"] {
            if has.split_whitespace().any(|known| known == controller) {
                // What is passed on already may be said again.
                fs::write(dir.join("cgroup.subtree_control"), format!("+{controller}"))?;
            }
        }
        dir.push(part);
        make_dir(&dir)?;
    }
    write(&dir, v2(limits, swap))
}

fn v1(limits: &PodLimits, swap: bool) -> [(&'static str, Vec<Setting>); 3] {
    let mut cpu = vec![("cpu.shares", limits.cpu_shares.to_string())];
    if let Some(quota) = limits.cpu_quota {
        cpu.push(("cpu.cfs_period_us", limits.cpu_period.to_string()));
        cpu.push(("cpu.cfs_quota_us", quota.to_string()));
    }
    let mut memory = Vec::new();
    if let Some(bytes) = limits.memory_bytes {
        memory.push(("memory.limit_in_bytes", bytes.to_string()));
        if swap {
            memory.push(("memory.memsw.limit_in_bytes", bytes.to_string()));
        }
    }
    let pids = limits.pids.map(|most| ("pids.max", most.to_string()));
    [("cpu", cpu), ("memory", memory), ("pids", pids.into_iter().collect())]
}

fn v2(limits: &PodLimits, swap: bool) -> Vec<Setting> {
    let mut all = vec![("cpu.weight", weight(limits.cpu_shares).to_string())];
    if let Some(quota) = limits.cpu_quota {
        all.push(("cpu.max", format!("{quota} {}", limits.cpu_period)));
    }
    if let Some(bytes) = limits.memory_bytes {
        all.push(("memory.max", bytes.to_string()));
        // What is beyond the limit must not go to disk instead.
        if swap {
            all.push(("memory.swap.max", "0".to_owned()));
        }
    }
    if let Some(most) = limits.pids {
        all.push(("pids.max", most.to_string()));
    }
    all
}

/// Shares from 2 to 262144 as a weight from 1 to 10000, as the OCI runtime converts them.
/// <https://github.com/opencontainers/cgroups/blob/main/utils.go>
fn weight(shares: u64) -> u64 {
    1 + shares.saturating_sub(2) * 9999 / 262_142
}

fn write(dir: &Path, settings: Vec<Setting>) -> io::Result<()> {
    make_dir(dir)?;
    for (file, value) in settings {
        let path = dir.join(file);
        fs::write(&path, &value).map_err(|error| {
            let message = format!("cannot write {value} to `{}`: {error}", path.display());
            io::Error::new(error.kind(), message)
        })?;
    }
    Ok(())
}

fn make_dir(dir: &Path) -> io::Result<()> {
    fs::create_dir_all(dir).map_err(|error| {
        io::Error::new(error.kind(), format!("cannot make the cgroup `{}`: {error}", dir.display()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: PodLimits = PodLimits {
        cpu_shares: 1024,
        cpu_quota: Some(150_000),
        cpu_period: 100_000,
        memory_bytes: Some(1 << 30),
        pids: Some(64),
    };
    const FREE: PodLimits = PodLimits {
        cpu_shares: 2,
        cpu_quota: None,
        cpu_period: 100_000,
        memory_bytes: None,
        pids: None,
    };

    fn read(dir: &Path) -> Vec<String> {
        let mut all: Vec<String> = fs::read_dir(dir)
            .unwrap()
            .flatten()
            .filter(|entry| entry.path().is_file())
            .map(|entry| {
                let value = fs::read_to_string(entry.path()).unwrap();
                format!("{}={value}", entry.file_name().to_string_lossy())
            })
            .collect();
        all.sort();
        all
    }

    #[test]
    fn on_version_1_each_controller_has_a_hierarchy_of_its_own() {
        let dir = tempfile::tempdir().unwrap();
        let hierarchy = |controller: &str| Some(dir.path().join(controller));
        make_v1(hierarchy, "/kiln/podu", &LIMITS, true).unwrap();
        let of = |controller: &str| read(&dir.path().join(controller).join("kiln/podu"));
        assert_eq!(
            of("cpu"),
            ["cpu.cfs_period_us=100000", "cpu.cfs_quota_us=150000", "cpu.shares=1024"]
        );
        assert_eq!(
            of("memory"),
            ["memory.limit_in_bytes=1073741824", "memory.memsw.limit_in_bytes=1073741824"]
        );
        assert_eq!(of("pids"), ["pids.max=64"]);
    }

    #[test]
    fn a_limit_without_its_controller_is_refused_and_none_needs_none() {
        let refused = make_v1(|_| None, "/k/p", &LIMITS, false).unwrap_err();
        assert_eq!(refused.to_string(), "this host has no cgroup controller `memory`");
        make_v1(|_| None, "/k/p", &FREE, false).unwrap();
    }

    #[test]
    fn on_version_2_the_parents_pass_the_controllers_on() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("cgroup.controllers"), "cpu memory pids hugetlb").unwrap();
        make_v2(dir.path(), "/kiln/podu", &LIMITS, true).unwrap();
        assert_eq!(fs::read_to_string(dir.path().join("cgroup.subtree_control")).unwrap(), "+pids");
        assert_eq!(
            read(&dir.path().join("kiln/podu")),
            [
                "cpu.max=150000 100000",
                "cpu.weight=39",
                "memory.max=1073741824",
                "memory.swap.max=0",
                "pids.max=64"
            ]
        );
        make_v2(dir.path(), "/kiln/free", &FREE, true).unwrap();
        assert_eq!(read(&dir.path().join("kiln/free")), ["cpu.weight=1"]);
    }
}
