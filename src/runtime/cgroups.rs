//! The cgroups of this host.
//!
//! Owns: which version it has, and making and removing the cgroups of pods. Must not know: containers;
//! the OCI runtime makes their cgroups and removes no more than those.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use rustix::process::{Pid, Signal, kill_process};

use super::pod_cgroup;
use super::spec::PodLimits;

/// How often a cgroup that is still in use is tried again.
const TRIES: u32 = 10;

/// The mount points of all hierarchies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Cgroups {
    mounts: Vec<PathBuf>,
    /// The controllers of version 1, each with its hierarchy.
    controllers: Vec<(String, PathBuf)>,
    /// Where memory is accounted, and whether that is version 2.
    memory: Option<(PathBuf, bool)>,
}

impl Cgroups {
    /// As this host has them now.
    pub(super) fn of_host() -> Self {
        Self::parse(&fs::read_to_string("/proc/self/mountinfo").unwrap_or_default())
    }

    fn parse(mountinfo: &str) -> Self {
        let (mut mounts, mut controllers, mut memory) = (Vec::new(), Vec::new(), None);
        for line in mountinfo.lines() {
            let Some((left, right)) = line.split_once(" - ") else { continue };
            let mut right = right.split(' ');
            let Some(mount) = left.split(' ').nth(4).map(PathBuf::from) else { continue };
            match (right.next(), right.nth(1)) {
                (Some("cgroup2"), _) => {
                    memory.get_or_insert_with(|| (mount.clone(), true));
                    mounts.push(mount);
                }
                (Some("cgroup"), Some(options)) => {
                    // On a host with both, version 1 has the controllers.
                    if options.split(',').any(|option| option == "memory") {
                        memory = Some((mount.clone(), false));
                    }
                    let named = options.split(',').map(|option| (option.to_owned(), mount.clone()));
                    controllers.extend(named);
                    mounts.push(mount);
                }
                (Some(_) | None, _) => {}
            }
        }
        Self { mounts, controllers, memory }
    }

    /// Whether memory and processor are limited by version 2.
    pub(super) fn is_v2(&self) -> bool {
        self.memory.as_ref().is_none_or(|(_, v2)| *v2)
    }

    /// Whether something can be limited by this controller.
    pub(super) fn has_controller(&self, name: &str) -> bool {
        self.mounts.iter().any(|mount| {
            let listed = fs::read_to_string(mount.join("cgroup.controllers"));
            let of_v2 = listed.is_ok_and(|all| all.split_whitespace().any(|one| one == name));
            let own = mount.file_name().and_then(|own| own.to_str()).unwrap_or_default();
            let of_v1 = own.split(',').any(|one| one == name);
            (of_v2 || of_v1) && rustix::fs::access(mount, rustix::fs::Access::WRITE_OK).is_ok()
        })
    }

    /// Whether a limit can be set on memory and swap together.
    pub(super) fn limits_swap(&self) -> bool {
        match &self.memory {
            Some((mount, false)) => mount.join("memory.memsw.limit_in_bytes").exists(),
            // The root has no such file; a kernel that counts swap tells it in any child.
            Some((mount, true)) => fs::read_dir(mount).is_ok_and(|entries| {
                entries.flatten().any(|entry| entry.path().join("memory.swap.max").exists())
            }),
            None => false,
        }
    }

    /// Whether the host can limit by this controller.
    pub(super) fn has(&self, controller: &str) -> bool {
        match &self.memory {
            Some((mount, true)) => {
                let known = fs::read_to_string(mount.join("cgroup.controllers"));
                known.is_ok_and(|known| known.split_whitespace().any(|known| known == controller))
            }
            Some((_, false)) | None => self.hierarchy(controller).is_some(),
        }
    }

    /// The hierarchy of a controller of version 1.
    fn hierarchy(&self, controller: &str) -> Option<PathBuf> {
        self.controllers.iter().find(|(known, _)| known == controller).map(|(_, m)| m.clone())
    }

    /// Makes the cgroup of a pod, with its limits.
    ///
    /// # Errors
    /// What the kernel refused.
    pub(super) fn make_pod(&self, below: &str, limits: &PodLimits) -> io::Result<()> {
        match &self.memory {
            Some((mount, true)) => pod_cgroup::make_v2(mount, below, limits, self.limits_swap()),
            Some((_, false)) | None => {
                let hierarchy = |controller: &str| self.hierarchy(controller);
                pod_cgroup::make_v1(hierarchy, below, limits, self.limits_swap())
            }
        }
    }

    /// Removes the cgroups of a pod that has no process left.
    ///
    /// # Errors
    /// When one is still in use.
    pub(super) fn remove_pod(&self, below: &str) -> io::Result<()> {
        self.mounts.iter().try_for_each(|mount| remove(&mount.join(below.trim_start_matches('/'))))
    }

    /// Removes the parent of an engine's pods, if none is left.
    pub(super) fn remove_parent(&self, parent: &str) {
        for mount in &self.mounts {
            // Fails where it is in use, or was never made.
            let _ = fs::remove_dir(mount.join(parent.trim_start_matches('/')));
        }
    }
}

/// Ends what is left in a cgroup that is to go: the init of a container whose shim was killed while it was
/// being made is nobody's child.
fn kill_all(dir: &Path) {
    let processes = fs::read_to_string(dir.join("cgroup.procs")).unwrap_or_default();
    let pids = processes.lines().filter_map(|pid| Pid::from_raw(pid.parse().ok()?));
    for pid in pids {
        let _ = kill_process(pid, Signal::KILL); // it may be gone by now
    }
}

fn remove(dir: &Path) -> io::Result<()> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    for entry in entries {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            remove(&entry.path())?;
        }
    }
    kill_all(dir);
    for _ in 1..TRIES {
        match fs::remove_dir(dir) {
            // Processes that have just ended leave a little later.
            Err(error) if error.kind() == io::ErrorKind::ResourceBusy => {
                std::thread::sleep(std::time::Duration::from_millis(10));
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            other => return other,
        }
    }
    fs::remove_dir(dir)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HYBRID: &str = "\
31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
39 31 0:36 / /sys/fs/cgroup/pids rw,relatime - cgroup cgroup rw,pids
41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw";

    #[test]
    fn a_host_with_both_versions_is_limited_by_version_1() {
        let cgroups = Cgroups::parse(HYBRID);
        assert_eq!(cgroups.mounts.len(), 3);
        assert!(!cgroups.is_v2());
        assert_eq!(cgroups.hierarchy("pids"), Some("/sys/fs/cgroup/pids".into()));
        assert!(cgroups.has("memory") && !cgroups.has("hugetlb"));
        assert!(Cgroups::parse("41 31 0:38 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw").is_v2());
    }

    #[test]
    fn what_is_gone_is_removed_already() {
        let dir = tempfile::tempdir().unwrap();
        remove(&dir.path().join("gone")).unwrap();
        fs::create_dir_all(dir.path().join("pod/leaf")).unwrap();
        remove(&dir.path().join("pod")).unwrap();
        assert!(!dir.path().join("pod").exists());
    }
}
