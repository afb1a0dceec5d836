//! What this host can do, as far as containers are concerned.
//!
//! Owns: looking it up, once. Must not know: what is made of it.

use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use oci_spec::runtime::{LinuxDevice, LinuxDeviceBuilder, LinuxDeviceType};

use super::cgroups::Cgroups;
use super::spec::{self, AppArmor, Host, capabilities_of_mask};
use crate::api::downward::Capacity;

/// The bit of `CAP_SYS_RESOURCE`, which lowering an OOM score takes.
const SYS_RESOURCE: u32 = 24;
const OOM_SCORE_ADJ_MIN: i32 = -1000;
/// The profile that containerd's own interface for Kubernetes loads.
const APPARMOR_PROFILE: &str = "cri-containerd.apparmor.d";
/// What below `/dev` is the container's own, or no device.
const NO_DEVICES: [&str; 6] = ["pts", "shm", "fd", "mqueue", "console", "net"];

/// The facts that a container's spec depends on. containerd is taken to be on the same host, with the
/// same rights.
pub(super) fn facts(cgroups: &Cgroups, root: &Path, seccomp_default: bool) -> Host {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let mask = capabilities(&read("/proc/self/status"));
    let own_score = read("/proc/self/oom_score_adj").trim().parse().unwrap_or(0);
    let may_lower = mask >> SYS_RESOURCE & 1 == 1;
    let uname = rustix::system::uname();
    Host {
        hostname: uname.nodename().to_string_lossy().into_owned(),
        cgroups: if cgroups.is_v2() { spec::Cgroups::V2 } else { spec::Cgroups::V1 },
        swap_limit: cgroups.limits_swap(),
        oom_group: cgroups.is_v2(),
        capacity: Capacity {
            processors: std::thread::available_parallelism().map_or(1, |n| n.get() as u64),
            memory_bytes: memory_bytes(&read("/proc/meminfo")),
            storage_bytes: storage_bytes(root),
        },
        oom_score_adj_min: if may_lower { OOM_SCORE_ADJ_MIN } else { own_score },
        capabilities: capabilities_of_mask(mask),
        devices: devices(Path::new("/dev")),
        kernel: version(&uname.release().to_string_lossy()),
        apparmor: apparmor(&read("/sys/kernel/security/apparmor/profiles")),
        huge_pages: huge_pages(cgroups, Path::new("/sys/kernel/mm/hugepages")),
        seccomp_default,
    }
}

/// All of the disk that this directory is on.
fn storage_bytes(dir: &Path) -> u64 {
    rustix::fs::statvfs(dir).map_or(0, |disk| disk.f_blocks.saturating_mul(disk.f_frsize))
}

/// Whether AppArmor is on.
pub fn has_apparmor() -> bool {
    let on = fs::read_to_string("/sys/module/apparmor/parameters/enabled").unwrap_or_default();
    on.starts_with('Y')
}

/// From lines like `cri-containerd.apparmor.d (enforce)`.
fn apparmor(profiles: &str) -> AppArmor {
    let name = |line: &str| line.rsplit_once(" (").map_or(line, |(name, _)| name).to_owned();
    let loaded: Vec<String> = profiles.lines().map(name).collect();
    let default = loaded.iter().find(|name| *name == APPARMOR_PROFILE).cloned();
    AppArmor { default, loaded }
}

/// The sizes of huge pages, where they can be limited: `hugepages-2048kB`.
fn huge_pages(cgroups: &Cgroups, dir: &Path) -> Vec<u64> {
    if !cgroups.has("hugetlb") {
        return Vec::new();
    }
    let size = |entry: fs::DirEntry| -> Option<u64> {
        let name = entry.file_name().into_string().ok()?;
        let kib: u64 = name.strip_prefix("hugepages-")?.strip_suffix("kB")?.parse().ok()?;
        Some(kib * 1024)
    };
    let mut sizes: Vec<u64> =
        fs::read_dir(dir).into_iter().flatten().flatten().filter_map(size).collect();
    sizes.sort_unstable();
    sizes
}

fn capabilities(status: &str) -> u64 {
    let effective = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    effective.and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok()).unwrap_or(0)
}

fn memory_bytes(meminfo: &str) -> u64 {
    let total = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"));
    let kib = total.and_then(|text| text.trim().trim_end_matches(" kB").parse::<u64>().ok());
    kib.unwrap_or(0).saturating_mul(1024)
}

/// `6.18.44-fc` is (6, 18).
fn version(release: &str) -> (u32, u32) {
    let mut parts =
        release.split(|c: char| !c.is_ascii_digit()).map(|part| part.parse().unwrap_or(0));
    (parts.next().unwrap_or(0), parts.next().unwrap_or(0))
}

/// The devices below a directory.
fn devices(dir: &Path) -> Vec<LinuxDevice> {
    let mut found = Vec::new();
    let mut open = vec![dir.to_owned()];
    while let Some(dir) = open.pop() {
        for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
            let skipped = NO_DEVICES.iter().any(|name| entry.file_name() == *name);
            let Ok(meta) = fs::symlink_metadata(entry.path()) else { continue };
            if skipped {
                continue;
            }
            if meta.is_dir() {
                open.push(entry.path());
            } else {
                found.extend(device(entry.path(), &meta));
            }
        }
    }
    found
}

fn device(path: PathBuf, meta: &fs::Metadata) -> Option<LinuxDevice> {
    let kind = if meta.file_type().is_char_device() {
        LinuxDeviceType::C
    } else if meta.file_type().is_block_device() {
        LinuxDeviceType::B
    } else {
        return None;
    };
    let number = |n: u32| i64::from(n);
    LinuxDeviceBuilder::default()
        .path(path)
        .typ(kind)
        .major(number(rustix::fs::major(meta.rdev())))
        .minor(number(rustix::fs::minor(meta.rdev())))
        .file_mode(meta.permissions().mode() & 0o7777)
        .uid(meta.uid())
        .gid(meta.gid())
        .build()
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facts_are_read_from_proc() {
        assert_eq!(memory_bytes("MemTotal:       24663148 kB\nMemFree: 1 kB\n"), 25_255_063_552);
        let caps = |hex: &str| capabilities(&format!("Name:\tx\nCapEff:\t{hex}\n"));
        assert_eq!(caps("000001fffeffffff") >> SYS_RESOURCE & 1, 0);
        assert_eq!(caps("000001ffffffffff") >> SYS_RESOURCE & 1, 1);
        assert_eq!(version("6.18.44-fc-v669"), (6, 18));
    }

    #[test]
    fn profiles_are_known_by_their_names() {
        let found = apparmor(
            "docker-default (enforce)\ncri-containerd.apparmor.d (enforce)\na b (complain)\n",
        );
        assert_eq!(found.default.as_deref(), Some(APPARMOR_PROFILE));
        assert_eq!(found.loaded, ["docker-default", APPARMOR_PROFILE, "a b"]);
        assert_eq!(apparmor("").default, None);
    }

    #[test]
    fn the_devices_that_every_host_has_are_found() {
        let found = devices(Path::new("/dev"));
        let null = found.iter().find(|device| device.path() == Path::new("/dev/null")).unwrap();
        assert_eq!((null.major(), null.minor()), (1, 3));
        assert!(!found.iter().any(|device| device.path().starts_with("/dev/pts")));
    }
}
