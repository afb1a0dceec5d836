//! Directories that outlive pods.
//!
//! Owns: making one for a claim, whom it belongs to, and taking it away. Must not know: which claims there
//! are. A pod has a link to it among its volumes, so that its containers find it by the volume's name.
//! <https://kubernetes.io/docs/concepts/storage/persistent-volumes/>

use std::collections::BTreeSet;
use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt, lchown, symlink};
use std::path::{Path, PathBuf};

use k8s_openapi::api::core::v1::{Pod, Volume};

use super::{OPEN, group, told};
use crate::api::object::Object;
use crate::api::references::{Referred, volumes};
use crate::runtime::layout::Layout;

/// What a group may do with files that are its own; and what is made in its directories is its own, too.
const FILES_OF_GROUP: u32 = 0o660;
const DIRS_OF_GROUP: u32 = 0o2770;

/// Makes the directories of the claims that a pod names, unless they are there. Blocks.
pub(super) fn make(layout: &Layout, pod: &Pod, referred: &Referred) -> io::Result<()> {
    for volume in volumes(pod) {
        let Some(source) = &volume.persistent_volume_claim else { continue };
        let name = &source.claim_name;
        let missing = || io::Error::other(format!("persistentvolumeclaim \"{name}\" not found"));
        let claim = referred.claims.get(name).ok_or_else(missing);
        let link = layout.volume(pod.uid(), &volume.name);
        let made = claim.and_then(|claim| make_one(&layout.claim(claim.uid()), &link, pod));
        made.map_err(|error| told(volume, error))?;
    }
    Ok(())
}

fn make_one(dir: &Path, link: &Path, pod: &Pod) -> io::Result<()> {
    if !dir.exists() {
        fs::create_dir_all(dir)?;
        fs::set_permissions(dir, Permissions::from_mode(OPEN))?;
    }
    if let Some(group) = group(pod) {
        let only_once = policy(pod) == Some("OnRootMismatch");
        if !(only_once && is_of_group(dir, group)?) {
            give(dir, group)?;
        }
    }
    if link.is_symlink() {
        return Ok(());
    }
    if let Some(parent) = link.parent() {
        fs::create_dir_all(parent)?;
    }
    symlink(dir, link)
}

/// <https://kubernetes.io/docs/tasks/configure-pod-container/security-context/#configure-volume-permission-and-ownership-change-policy-for-pods>
fn policy(pod: &Pod) -> Option<&str> {
    let security = pod.spec.as_ref()?.security_context.as_ref()?;
    security.fs_group_change_policy.as_deref()
}

fn is_of_group(dir: &Path, group: u32) -> io::Result<bool> {
    let meta = fs::metadata(dir)?;
    Ok(meta.gid() == group && meta.mode() & DIRS_OF_GROUP == DIRS_OF_GROUP)
}

/// Gives all below a directory to a group; the directory itself last, so that one that was left half done
/// is seen.
fn give(dir: &Path, group: u32) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let (path, kind) = entry.and_then(|entry| Ok((entry.path(), entry.file_type()?)))?;
        if kind.is_dir() {
            give(&path, group)?;
            continue;
        }
        lchown(&path, None, Some(group))?;
        if kind.is_file() {
            allow(&path, FILES_OF_GROUP)?;
        }
    }
    lchown(dir, None, Some(group))?;
    allow(dir, DIRS_OF_GROUP)
}

fn allow(path: &Path, mode: u32) -> io::Result<()> {
    let before = fs::symlink_metadata(path)?.mode() & 0o7777;
    fs::set_permissions(path, Permissions::from_mode(before | mode))
}

/// Where a volume really is.
pub(super) fn resolved(path: PathBuf) -> io::Result<PathBuf> {
    if path.is_symlink() { fs::read_link(path) } else { Ok(path) }
}

/// Whether no container may write to it.
pub(super) fn is_read_only(volume: &Volume) -> bool {
    volume.persistent_volume_claim.as_ref().is_some_and(|source| source.read_only == Some(true))
}

/// The claims that have a directory. Blocks.
pub(in crate::runtime) fn of_host(layout: &Layout) -> io::Result<BTreeSet<String>> {
    let entries = match fs::read_dir(layout.claims()) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(BTreeSet::new()),
        Err(error) => return Err(error),
    };
    let names = entries.map(|entry| entry.map(|entry| entry.file_name().into_string().ok()));
    Ok(names.collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect())
}

/// Takes a directory away. Blocks.
pub(in crate::runtime) fn remove(dir: &Path) -> io::Result<()> {
    match fs::remove_dir_all(dir) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_directory_is_made_once_given_to_the_group_and_taken_away() {
        let root = tempfile::tempdir().unwrap();
        let layout = Layout::new(root.path(), &root.path().join("logs"));
        let group = rustix::process::getgid().as_raw();
        let volume = json!({"name": "v", "persistentVolumeClaim": {"claimName": "c"}});
        let pod: Pod = serde_json::from_value(json!({
            "metadata": {"uid": "p"},
            "spec": {"containers": [], "volumes": [volume], "securityContext": {"fsGroup": group}},
        }))
        .unwrap();
        let missing = make(&layout, &pod, &Referred::default()).unwrap_err().to_string();
        assert!(missing.ends_with("persistentvolumeclaim \"c\" not found"), "{missing}");
        let claim = serde_json::from_value(json!({"metadata": {"uid": "u"}})).unwrap();
        let referred = Referred { claims: [("c".to_owned(), claim)].into(), ..Referred::default() };
        make(&layout, &pod, &referred).unwrap();
        let dir = layout.claim("u");
        fs::create_dir(dir.join("sub")).unwrap();
        fs::write(dir.join("sub/file"), "").unwrap();
        fs::set_permissions(dir.join("sub/file"), Permissions::from_mode(0o400)).unwrap();
        make(&layout, &pod, &referred).unwrap();
        let mode = |path: &str| fs::metadata(dir.join(path)).unwrap().mode() & 0o7777;
        assert_eq!((mode("sub/file"), mode("sub") & 0o2070), (0o660, 0o2070));
        assert_eq!(resolved(layout.volume("p", "v")).unwrap(), dir);
        assert_eq!(of_host(&layout).unwrap(), ["u".to_owned()].into());
        for _ in 0..2 {
            remove(&dir).unwrap();
        }
        assert!(of_host(&layout).unwrap().is_empty());
    }
}
