//! What the containers of a pod share: directories, namespaces, `/dev/shm`, three files of `/etc`.
//!
//! Owns: making it, finding it again, and taking it away with the pod's cgroup. Must not know:
//! containers, images.

use std::fs;
use std::io;
use std::path::Path;

use k8s_openapi::api::core::v1::Pod;
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};

use super::cgroups::Cgroups;
use super::layout::Layout;
use super::namespaces;
use super::spec;
use super::volumes;
use crate::api::object::Object;

/// `/dev/shm` as containerd makes it.
const SHM_OPTIONS: &std::ffi::CStr = c"mode=1777,size=65536k";

/// Makes directories and namespaces, unless they are there. Blocks.
pub(super) fn create(layout: &Layout, pod: &Pod, on_host: bool) -> io::Result<()> {
    let uid = pod.uid();
    fs::create_dir_all(layout.pod(uid))?;
    make_shm(&layout.shm(uid))?;
    let hostname = (!on_host).then(|| spec::hostname(pod));
    let wanted = namespaces::Wanted { network: !on_host, hostname };
    namespaces::pin(&layout.namespaces(uid), &wanted)
}

/// Whether the namespaces of this pod stand.
pub(super) fn stands(layout: &Layout, uid: &str) -> bool {
    namespaces::is_pinned(&namespaces::ipc(&layout.namespaces(uid)))
}

/// Takes everything away, the directory last. Blocks. The pod's containers are gone before.
pub(super) fn remove(layout: &Layout, cgroups: &Cgroups, uid: &str) -> io::Result<()> {
    namespaces::unpin(&layout.namespaces(uid))?;
    volumes::release(layout, uid)?;
    let shm = layout.shm(uid);
    while is_mounted(&shm) {
        unmount(&shm, UnmountFlags::DETACH)?;
    }
    cgroups.remove_pod(&layout.pod_cgroup(uid))?;
    let dir = layout.pod(uid);
    if !dir.exists() {
        return Ok(());
    }
    // Whatever is still mounted there belongs to the host, and must not be removed with the directory.
    if let Some(mount) = volumes::mounted_below(&dir)?.pop() {
        return Err(io::Error::other(format!("`{}` is still mounted", mount.display())));
    }
    fs::remove_dir_all(dir)
}

/// Writes the files of `/etc`, for a pod with these addresses. Blocks. No container of the pod has them yet.
pub(super) fn write_files(
    layout: &Layout,
    pod: &Pod,
    ips: &[String],
    on_host: bool,
) -> io::Result<()> {
    let uid = pod.uid();
    let host = |file: &str| fs::read_to_string(Path::new("/etc").join(file));
    let hosts = if on_host { host("hosts").ok() } else { None };
    let resolv_conf = host("resolv.conf").unwrap_or_default();
    let hostname = if on_host {
        host("hostname").unwrap_or_default().trim().to_owned()
    } else {
        spec::hostname(pod)
    };
    for (file, text) in [
        ("hosts", spec::hosts_file(pod, ips.first().map(String::as_str), hosts.as_deref())),
        ("hostname", format!("{hostname}\n")),
        ("resolv.conf", spec::resolv_conf(pod, &resolv_conf)),
    ] {
        let path = layout.etc(uid, file);
        fs::create_dir_all(path.parent().unwrap_or(&path))?;
        fs::write(path, text)?;
    }
    Ok(())
}

fn make_shm(dir: &Path) -> io::Result<()> {
    fs::create_dir_all(dir)?;
    if is_mounted(dir) {
        return Ok(());
    }
    let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    mount("shm", dir, "tmpfs", flags, SHM_OPTIONS).map_err(io::Error::from)
}

/// Whether a directory is the root of a file system of its own.
fn is_mounted(dir: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let device = |path: &Path| fs::symlink_metadata(path).map(|meta| meta.dev()).ok();
    let own = device(dir);
    own.is_some() && own != dir.parent().and_then(device)
}
