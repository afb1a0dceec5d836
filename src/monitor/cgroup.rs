//! What the kernel counted in a container's cgroup.
//!
//! Owns: whether a process was killed for want of memory, on both versions of cgroups.
//! Must not know: how cgroups are made, or who wants to know.

use std::fs;
use std::path::{Path, PathBuf};

/// Whether the kernel killed a process of this cgroup. The counters stand until the task is deleted.
/// <https://docs.kernel.org/admin-guide/cgroup-v2.html#memory-interface-files>
pub(super) fn oom_killed(cgroup: &Path) -> bool {
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let below = cgroup.strip_prefix("/").unwrap_or(cgroup);
    counters(&mounts).into_iter().any(|(root, file)| {
        fs::read_to_string(root.join(below).join(file)).is_ok_and(|text| kills(&text) > 0)
    })
}

/// Where memory is accounted, and the file that counts: a host may have both versions.
fn counters(mountinfo: &str) -> Vec<(PathBuf, &'static str)> {
    let mount = |line: &str| {
        let (left, right) = line.split_once(" - ")?;
        let root = PathBuf::from(left.split(' ').nth(4)?);
        let mut right = right.split(' ');
        match (right.next()?, right.nth(1)?) {
            ("cgroup2", _) => Some((root, "memory.events")),
            ("cgroup", options) if options.split(',').any(|option| option == "memory") => {
                Some((root, "memory.oom_control"))
            }
            _ => None,
        }
    };
    mountinfo.lines().filter_map(mount).collect()
}

fn kills(counters: &str) -> u64 {
    let count = counters.lines().find_map(|line| line.strip_prefix("oom_kill "));
    count.and_then(|count| count.trim().parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_accounted_by_version_1_or_2() {
        let hybrid = "\
30 24 0:26 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
35 30 0:31 / /sys/fs/cgroup/memory rw shared:9 - cgroup cgroup rw,memory
36 30 0:32 / /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids
40 30 0:36 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw";
        let found = counters(hybrid);
        let expected = [
            (PathBuf::from("/sys/fs/cgroup/memory"), "memory.oom_control"),
            (PathBuf::from("/sys/fs/cgroup/unified"), "memory.events"),
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn kills_are_counted_in_either_format() {
        assert_eq!(kills("oom_kill_disable 0\nunder_oom 0\noom_kill 2\n"), 2);
        assert_eq!(kills("low 0\nhigh 0\nmax 5\noom 1\noom_kill 1\noom_group_kill 0\n"), 1);
        assert_eq!(kills("low 0\noom 3\noom_kill 0\n"), 0);
        assert_eq!(kills(""), 0);
    }

    #[test]
    fn a_cgroup_that_is_gone_has_killed_nothing() {
        assert!(!oom_killed(Path::new("/kiln/there/is/no/such")));
    }
}
