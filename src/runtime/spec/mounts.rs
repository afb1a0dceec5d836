//! The mounts of a container.
//!
//! Owns: what is mounted where, and which paths are masked or read-only. Must not know: who makes the
//! files of the pod.

use std::path::Path;

use oci_spec::runtime::Mount;

use super::Inputs;

/// Paths that show too much of the host. What a kernel lacks is passed over.
pub(super) const MASKED: [&str; 11] = [
    "/proc/acpi",
    "/proc/asound",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/sys/firmware",
    "/sys/devices/virtual/powercap",
];

/// Paths through which the host could be changed.
pub(super) const READ_ONLY: [&str; 5] =
    ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

/// Where a container writes why it ended.
/// <https://kubernetes.io/docs/tasks/debug/debug-application/determine-reason-pod-failure/>
const TERMINATION_LOG: &str = "/dev/termination-log";

/// The kernel's file systems, what the pod shares, and its volumes, which may stand in for either. What is
/// mounted in a directory comes after the directory.
pub(super) fn of(inputs: &Inputs<'_>) -> Vec<Mount> {
    let kernel = if inputs.is_privileged() { "rw" } else { "ro" };
    let sandbox = inputs.sandbox;
    // Files that belong to the root file system, wherever they are kept.
    let etc = if inputs.has_read_only_root() { "ro" } else { "rw" };
    let shm: &Path =
        if inputs.asks(|spec| spec.host_ipc) { Path::new("/dev/shm") } else { &sandbox.shm };
    let own_log = inputs.container.termination_message_path.as_deref();
    let log = own_log.filter(|path| !path.is_empty()).unwrap_or(TERMINATION_LOG);
    let mut all = vec![
        mount("/proc", "proc", "proc", &["nosuid", "noexec", "nodev"]),
        mount("/dev", "tmpfs", "tmpfs", &["nosuid", "strictatime", "mode=755", "size=65536k"]),
        mount(
            "/dev/pts",
            "devpts",
            "devpts",
            &["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"],
        ),
        mount("/dev/mqueue", "mqueue", "mqueue", &["nosuid", "noexec", "nodev"]),
        mount("/sys", "sysfs", "sysfs", &["nosuid", "noexec", "nodev", kernel]),
        mount(
            "/sys/fs/cgroup",
            "cgroup",
            "cgroup",
            &["nosuid", "noexec", "nodev", "relatime", kernel],
        ),
        bind("/dev/shm", shm, "rw"),
        bind("/etc/hosts", &sandbox.hosts, "rw"),
        bind("/etc/hostname", &sandbox.hostname, etc),
        bind("/etc/resolv.conf", &sandbox.resolv_conf, etc),
        bind(log, &sandbox.termination_log, "rw"),
    ];
    for volume in inputs.volumes {
        all.retain(|known| *known.destination() != volume.destination);
        let access = if volume.read_only { "ro" } else { "rw" };
        let options = ["rbind", volume.propagation, access];
        let destination = volume.destination.to_string_lossy();
        all.push(mount(&destination, "bind", &volume.source, &options));
    }
    all.sort_by_key(|mount| mount.destination().components().count());
    all
}

/// What the root must let through, so that mounts can show on the other side.
pub(super) fn propagation(inputs: &Inputs<'_>) -> Option<String> {
    let asked = |kind| inputs.volumes.iter().any(|volume| volume.propagation == kind);
    let strongest = ["rshared", "rslave"].into_iter().find(|kind| asked(*kind));
    strongest.map(str::to_owned)
}

fn bind(destination: &str, source: &Path, access: &str) -> Mount {
    mount(destination, "bind", source, &["rbind", "rprivate", access])
}

fn mount(destination: &str, kind: &str, source: impl AsRef<Path>, options: &[&str]) -> Mount {
    let mut mount = Mount::default();
    mount
        .set_destination(destination.into())
        .set_typ(Some(kind.to_owned()))
        .set_source(Some(source.as_ref().to_owned()))
        .set_options(Some(options.iter().map(|option| (*option).to_owned()).collect()));
    mount
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::VolumeMount;
    use super::super::testing::Case;

    /// `source on destination (options)`, by destination.
    fn mounted(case: &Case, destination: &str) -> Option<String> {
        let spec = case.spec();
        let mounts = spec.mounts().as_ref().unwrap();
        let mount = mounts.iter().find(|m| m.destination().as_os_str() == destination)?;
        let source = mount.source().as_ref().unwrap().display();
        Some(format!("{source} ({})", mount.options().as_ref().unwrap().join(",")))
    }

    #[test]
    fn what_the_pod_shares_is_bound_into_the_container() {
        let case = Case::new();
        for (destination, source) in [
            ("/dev/shm", "/pod/shm"),
            ("/etc/hosts", "/pod/hosts"),
            ("/etc/hostname", "/pod/hostname"),
            ("/etc/resolv.conf", "/pod/resolv.conf"),
            ("/dev/termination-log", "/pod/main/termination-log"),
        ] {
            let expected = format!("{source} (rbind,rprivate,rw)");
            assert_eq!(mounted(&case, destination).as_deref(), Some(expected.as_str()));
        }
        assert_eq!(mounted(&case, "/run"), None);
    }

    #[test]
    fn a_read_only_root_also_means_its_name_and_its_name_servers() {
        let case = Case::new().security(json!({"readOnlyRootFilesystem": true}));
        let access = |destination| mounted(&case, destination).unwrap();
        assert!(access("/etc/hostname").ends_with(",ro)"));
        assert!(access("/etc/resolv.conf").ends_with(",ro)"));
        assert!(access("/etc/hosts").ends_with(",rw)"));
        assert!(access("/dev/termination-log").ends_with(",rw)"));
    }

    #[test]
    fn only_a_privileged_container_may_write_what_the_kernel_shows() {
        let privileged = Case::new().security(json!({"privileged": true}));
        for (case, end) in [(Case::new(), ",ro)"), (privileged, ",rw)")] {
            assert!(mounted(&case, "/sys").unwrap().ends_with(end));
            assert!(mounted(&case, "/sys/fs/cgroup").unwrap().ends_with(end));
        }
    }

    #[test]
    fn the_termination_log_is_where_the_container_wants_it() {
        let case = Case::new().container(json!({"terminationMessagePath": "/out/why"}));
        assert!(mounted(&case, "/out/why").is_some());
        assert_eq!(mounted(&case, "/dev/termination-log"), None);
    }

    #[test]
    fn a_volume_is_bound_where_the_container_wants_it_and_may_stand_in_for_what_all_have() {
        let volume = |destination: &str, propagation, read_only| VolumeMount {
            source: "/pod/volumes/v".into(),
            destination: destination.into(),
            read_only,
            propagation,
        };
        let mut case = Case::new();
        case.volumes = vec![
            volume("/data/in", "rprivate", true),
            volume("/data", "rslave", false),
            volume("/dev/shm", "rprivate", false),
        ];
        let expected = |options| Some(format!("/pod/volumes/v (rbind,{options})"));
        assert_eq!(mounted(&case, "/data/in"), expected("rprivate,ro"));
        assert_eq!(mounted(&case, "/data"), expected("rslave,rw"));
        assert_eq!(mounted(&case, "/dev/shm"), expected("rprivate,rw"));
        let spec = case.spec();
        let linux = spec.linux().as_ref().unwrap();
        assert_eq!(linux.rootfs_propagation().as_deref(), Some("rslave"));
        let mounts = spec.mounts().as_ref().unwrap();
        let place = |path: &str| mounts.iter().position(|m| m.destination().as_os_str() == path);
        assert!(place("/data") < place("/data/in"));
    }

    #[test]
    fn a_directory_is_mounted_before_what_is_in_it() {
        let spec = Case::new().spec();
        let mounts = spec.mounts().as_ref().unwrap();
        for (at, mount) in mounts.iter().enumerate() {
            let inside = |other: &oci_spec::runtime::Mount| {
                other.destination() != mount.destination()
                    && other.destination().starts_with(mount.destination())
            };
            assert!(!mounts[..at].iter().any(inside), "{}", mount.destination().display());
        }
    }
}
