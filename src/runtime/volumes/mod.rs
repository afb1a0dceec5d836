//! The volumes of a pod on this host.
//!
//! Owns: making what is the pod's own, finding what is the host's, what of it a container gets, and taking
//! it away. Must not know: containerd, the OCI spec.
//! <https://kubernetes.io/docs/concepts/storage/volumes/>

mod atomic;
mod claims;
mod files;
mod host_path;
mod sub_path;

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Container, EmptyDirVolumeSource, Pod, Volume};
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};

pub(super) use self::claims::{of_host as claims, remove as remove_claim};
use super::layout::Layout;
use super::spec::{Origin, Refusal, Variables, VolumeMount};
use crate::api::object::Object;
use crate::api::quantity::Quantity;
use crate::api::references::{is_live, volumes};

/// Everybody may write in it.
const OPEN: u32 = 0o777;
/// So may the group, to which all that is made in it belongs.
const OF_GROUP: u32 = 0o2777;

/// Makes the volumes, unless they are there, and looks whether the host has those that are its own. Blocks.
///
/// # Errors
/// What a volume is made from is missing; the host has no such path, or not of this type; or a directory
/// cannot be made.
pub(super) fn make(
    layout: &Layout,
    pod: &Pod,
    origin: Origin<'_>,
    now: Timestamp,
) -> io::Result<()> {
    for volume in volumes(pod) {
        if let Some(source) = &volume.host_path {
            host_path::check(source).map_err(|error| told(volume, error))?;
        } else if let Some(source) = &volume.empty_dir {
            let dir = layout.volume(pod.uid(), &volume.name);
            make_empty_dir(&dir, source, group(pod)).map_err(|error| told(volume, error))?;
        }
    }
    claims::make(layout, pod, origin.referred)?;
    update(layout, pod, origin, now)
}

/// Makes the files of volumes say what they are made from now. Blocks.
///
/// # Errors
/// What a volume is made from is missing; or a file cannot be written. The other volumes are made all the
/// same.
pub(super) fn update(
    layout: &Layout,
    pod: &Pod,
    origin: Origin<'_>,
    now: Timestamp,
) -> io::Result<()> {
    let mut failed = None;
    for volume in volumes(pod) {
        let Some(content) = files::of(volume, pod, origin) else { continue };
        let dir = layout.volume(pod.uid(), &volume.name);
        // Secrets and what is of the pod itself are not for a disk to keep.
        let medium = volume.config_map.is_none().then(|| "Memory".to_owned());
        let base = EmptyDirVolumeSource { medium, ..EmptyDirVolumeSource::default() };
        let written = content.map_err(io::Error::other).and_then(|content| {
            make_empty_dir(&dir, &base, group(pod))?;
            atomic::write(&dir, &content, group(pod), now)
        });
        if let Err(error) = written {
            failed.get_or_insert_with(|| told(volume, error));
        }
    }
    failed.map_or(Ok(()), Err)
}

/// As the kubelet words it.
fn told(volume: &Volume, error: io::Error) -> io::Error {
    let name = &volume.name;
    io::Error::other(format!("MountVolume.SetUp failed for volume \"{name}\" : {error}"))
}

/// To whom the volumes belong, besides root.
/// <https://kubernetes.io/docs/tasks/configure-pod-container/security-context/#configure-volume-permission-and-ownership-change-policy-for-pods>
fn group(pod: &Pod) -> Option<u32> {
    let security = pod.spec.as_ref()?.security_context.as_ref()?;
    u32::try_from(security.fs_group?).ok()
}

/// <https://kubernetes.io/docs/concepts/storage/volumes/#emptydir>
fn make_empty_dir(dir: &Path, source: &EmptyDirVolumeSource, group: Option<u32>) -> io::Result<()> {
    let in_memory = source.medium.as_deref() == Some("Memory");
    if dir.exists() && (!in_memory || is_mounted(dir)) {
        return Ok(()); // a container may have written to it
    }
    fs::create_dir_all(dir)?;
    if in_memory {
        let limit = source.size_limit.as_ref().and_then(|limit| Quantity::parse(&limit.0).ok());
        let size = limit.map(|limit| format!(",size={}", limit.value().max(1)));
        let options = format!("mode=0777{}", size.unwrap_or_default());
        let options = std::ffi::CString::new(options).map_err(io::Error::other)?;
        let flags = MountFlags::NOSUID | MountFlags::NODEV;
        mount("tmpfs", dir, "tmpfs", flags, options.as_c_str())?;
    }
    if let Some(group) = group {
        std::os::unix::fs::chown(dir, None, Some(group))?;
        return fs::set_permissions(dir, Permissions::from_mode(OF_GROUP));
    }
    fs::set_permissions(dir, Permissions::from_mode(OPEN))
}

/// What a container gets of the pod's volumes. Blocks.
///
/// # Errors
/// A mount names what is not there, or leads out of its volume.
pub(super) fn mounts(
    layout: &Layout,
    pod: &Pod,
    container: &Container,
    variables: &Variables,
) -> Result<Vec<VolumeMount>, Refusal> {
    let mut mounts = Vec::new();
    for (index, wanted) in container.volume_mounts.iter().flatten().enumerate() {
        let refused = |why: String| {
            Refusal::config(format!("cannot mount volume \"{}\": {why}", wanted.name))
        };
        let volume = volumes(pod).iter().find(|volume| volume.name == wanted.name);
        let volume = volume.ok_or_else(|| refused("the pod has none of this name".to_owned()))?;
        let root = match &volume.host_path {
            Some(source) => {
                host_path::make(source).map_err(|error| refused(error.to_string()))?;
                host_path::of(source)
            }
            None => claims::resolved(layout.volume(pod.uid(), &volume.name))
                .map_err(|error| refused(error.to_string()))?,
        };
        let source = match sub_path::of(wanted, variables).map_err(refused)? {
            Some(path) => {
                let pin = layout.sub_path(pod.uid(), &container.name, index);
                sub_path::pin(&root, &path, &pin)
                    .map_err(|error| refused(format!("subPath \"{path}\": {error}")))?;
                pin
            }
            None => root,
        };
        mounts.push(VolumeMount {
            source,
            destination: PathBuf::from("/").join(&wanted.mount_path),
            // What is made of something else is not for containers to change.
            read_only: wanted.read_only == Some(true)
                || is_live(volume)
                || claims::is_read_only(volume),
            propagation: propagation(wanted.mount_propagation.as_deref()),
        });
    }
    Ok(mounts)
}

/// <https://kubernetes.io/docs/concepts/storage/volumes/#mount-propagation>
fn propagation(asked: Option<&str>) -> &'static str {
    match asked {
        Some("HostToContainer") => "rslave",
        Some("Bidirectional") => "rshared",
        Some(_) | None => "rprivate",
    }
}

/// Takes away what is mounted below the pod's directory: whoever removes the directory must not reach what
/// is not the pod's own. Blocks.
pub(super) fn release(layout: &Layout, uid: &str) -> io::Result<()> {
    let dirs = [layout.sub_paths(uid), layout.volumes(uid)];
    for dir in dirs.iter().filter(|dir| dir.exists()) {
        let mut left = mounted_below(dir)?;
        while let Some(mount) = left.pop() {
            unmount(&mount, UnmountFlags::DETACH)?;
        }
        if let Some(mount) = mounted_below(dir)?.pop() {
            let text = format!("`{}` is still mounted", mount.display());
            return Err(io::Error::other(text));
        }
    }
    Ok(())
}

/// The mount points below a directory, in the order in which they were mounted.
pub(super) fn mounted_below(dir: &Path) -> io::Result<Vec<PathBuf>> {
    // The kernel tells them without symbolic links.
    let dir = dir.canonicalize()?;
    let mounts = fs::read_to_string("/proc/self/mountinfo")?;
    let points = mounts.lines().filter_map(|line| line.split(' ').nth(4));
    Ok(points.map(unescaped).filter(|point| point.starts_with(&dir)).collect())
}

/// A path as the kernel spells it: `\040` is a space.
fn unescaped(text: &str) -> PathBuf {
    use std::os::unix::ffi::OsStringExt;
    let (mut bytes, mut rest) = (Vec::new(), text.as_bytes());
    while let Some((first, after)) = rest.split_first() {
        let code = after.get(..3).filter(|_| *first == b'\\');
        let code = code.and_then(|code| std::str::from_utf8(code).ok());
        match code.and_then(|code| u8::from_str_radix(code, 8).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = &after[3..];
            }
            None => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    PathBuf::from(std::ffi::OsString::from_vec(bytes))
}

fn is_mounted(dir: &Path) -> bool {
    mounted_below(dir).is_ok_and(|points| points.iter().any(|point| point == dir))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_read_as_the_kernel_spells_it() {
        assert_eq!(unescaped("/a\\040b/c"), PathBuf::from("/a b/c"));
        assert_eq!(unescaped("/a\\134040"), PathBuf::from("/a\\040"));
    }

    #[test]
    fn an_empty_directory_is_for_everybody_or_for_the_group() {
        let dir = tempfile::tempdir().unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o7777;
        let (open, grouped) = (dir.path().join("open"), dir.path().join("grouped"));
        make_empty_dir(&open, &EmptyDirVolumeSource::default(), None).unwrap();
        assert_eq!(mode(&open), OPEN);
        let group = rustix::process::getgid().as_raw();
        make_empty_dir(&grouped, &EmptyDirVolumeSource::default(), Some(group)).unwrap();
        assert_eq!(mode(&grouped), OF_GROUP);
    }
}
