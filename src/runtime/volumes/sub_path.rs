//! A part of a volume.
//!
//! Owns: finding it without leaving the volume, and holding on to it. Must not know: what volumes there are.
//!
//! Whoever writes to the volume may put a symbolic link in the way at any time. So the path is walked by the
//! kernel, which refuses to leave the volume, and what is found is bound by its descriptor, not by its name.
//! <https://kubernetes.io/docs/concepts/storage/volumes/#using-subpath>

use std::fs::{self, File};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Component, Path, PathBuf};

use k8s_openapi::api::core::v1::VolumeMount;
use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, mkdirat, openat2};
use rustix::io::Errno;
use rustix::mount::mount_bind_recursive;

use crate::runtime::spec::{Variables, expand, names};

/// The part of a volume that is wanted, with the container's variables in the place of `$(NAME)`; `None`:
/// all of it.
///
/// # Errors
/// A variable is not there.
/// <https://kubernetes.io/docs/concepts/storage/volumes/#using-subpath-expanded-environment>
pub(super) fn of(mount: &VolumeMount, variables: &Variables) -> Result<Option<String>, String> {
    let said = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
    let Some(expression) = said(&mount.sub_path_expr) else { return Ok(said(&mount.sub_path)) };
    let missing = names(&expression).into_iter().find(|name| !variables.contains_key(*name));
    match missing {
        Some(name) => Err(format!("subPathExpr \"{expression}\": missing value for \"{name}\"")),
        None => Ok(Some(expand(&expression, variables))),
    }
}

/// Binds a part of a volume to a path of the pod's own, unless it is bound already.
///
/// # Errors
/// The part lies outside the volume, or cannot be reached.
pub(super) fn pin(root: &Path, path: &str, pin: &Path) -> io::Result<()> {
    if super::is_mounted(pin) {
        return Ok(());
    }
    let part = open(root, Path::new(path))?;
    if let Some(parent) = pin.parent() {
        fs::create_dir_all(parent)?;
    }
    let held = format!("/proc/self/fd/{}", part.as_raw_fd());
    if fs::metadata(&held)?.is_dir() {
        fs::create_dir_all(pin)?;
    } else {
        File::create(pin)?;
    }
    mount_bind_recursive(held.as_str(), pin).map_err(io::Error::from)
}

/// Opens a part of the volume; directories that are not there are made, as the volume's own is.
fn open(root: &Path, path: &Path) -> io::Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    let volume = openat2(CWD, root, flags, Mode::empty(), ResolveFlags::empty())?;
    let below = |path: &Path| openat2(&volume, path, flags, Mode::empty(), ResolveFlags::BENEATH);
    let outside = |error: Errno| match error {
        Errno::XDEV => io::Error::other("it leads out of the volume"),
        error => error.into(),
    };
    let mode = Mode::from_raw_mode(rustix::fs::fstat(&volume)?.st_mode & 0o7777);
    let mut walked = PathBuf::new();
    let mut parent = None;
    for part in path.components() {
        let name = match part {
            Component::Normal(name) => name,
            Component::CurDir => continue,
            Component::ParentDir | Component::RootDir | Component::Prefix(_) => {
                return Err(io::Error::other("it leads out of the volume"));
            }
        };
        walked.push(name);
        let found = match below(&walked) {
            Err(Errno::NOENT) => {
                match mkdirat(parent.as_ref().unwrap_or(&volume), name, mode) {
                    Ok(()) | Err(Errno::EXIST) => {}
                    Err(error) => return Err(error.into()),
                }
                below(&walked)
            }
            found => found,
        };
        parent = Some(found.map_err(outside)?);
    }
    Ok(parent.unwrap_or(volume))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_part_may_be_named_by_variables_that_are_there() {
        let variables = Variables::from([("POD".to_owned(), "p-1".to_owned())]);
        let of = |path: Option<&str>, expression: Option<&str>| {
            let owned = |text: Option<&str>| text.map(str::to_owned);
            let mount = VolumeMount {
                sub_path: owned(path),
                sub_path_expr: owned(expression),
                ..VolumeMount::default()
            };
            super::of(&mount, &variables)
        };
        assert_eq!(of(None, Some("logs/$(POD)")), Ok(Some("logs/p-1".to_owned())));
        assert_eq!(of(None, Some("$$(POD)")), Ok(Some("$(POD)".to_owned())));
        assert_eq!(of(Some("$(POD)"), Some("")), Ok(Some("$(POD)".to_owned())));
        assert_eq!(of(Some(""), None), Ok(None));
        assert!(of(None, Some("a/$(NONE)")).unwrap_err().contains("missing value for \"NONE\""));
    }

    #[test]
    fn no_link_leads_out_of_the_volume() {
        let dir = tempfile::tempdir().unwrap();
        let (volume, outside) = (dir.path().join("volume"), dir.path().join("outside"));
        fs::create_dir_all(volume.join("in")).unwrap();
        fs::create_dir_all(&outside).unwrap();
        symlink("../outside", volume.join("relative")).unwrap();
        symlink(&outside, volume.join("absolute")).unwrap();
        symlink("in", volume.join("inner")).unwrap();
        symlink("/proc/self/root", volume.join("magic")).unwrap();
        for (path, well) in [
            ("in", true),
            ("inner", true),
            ("./in", true),
            ("new/and/deep", true),
            ("relative", false),
            ("absolute", false),
            ("relative/made", false),
            ("magic/etc", false),
            ("in/../../outside", false),
            ("/etc", false),
        ] {
            let found = open(&volume, Path::new(path));
            assert_eq!(found.is_ok(), well, "{path}");
        }
        assert!(volume.join("new/and/deep").is_dir());
        assert_eq!(fs::read_dir(&outside).unwrap().count(), 0);
    }
}
