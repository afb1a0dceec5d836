//! Paths of the host.
//!
//! Owns: what must be there, and what is made where it is not. Must not know: who mounts it.
//! <https://kubernetes.io/docs/concepts/storage/volumes/#hostpath-volume-types>

use std::fs::{self, DirBuilder, FileType, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use k8s_openapi::api::core::v1::HostPathVolumeSource;

const DIR_MODE: u32 = 0o755;
const FILE_MODE: u32 = 0o644;

/// Where it is.
pub(super) fn of(source: &HostPathVolumeSource) -> PathBuf {
    Path::new("/").join(&source.path)
}

/// Looks whether it is there and of its type; makes what is to be made.
pub(super) fn check(source: &HostPathVolumeSource) -> io::Result<()> {
    let path = of(source);
    let kind = source.type_.as_deref().unwrap_or_default();
    let is = |what: &str, fits: fn(&FileType) -> bool| match fs::metadata(&path) {
        Ok(meta) if fits(&meta.file_type()) => Ok(()),
        Ok(_) | Err(_) => Err(io::Error::other(format!(
            "hostPath type check failed: {} is not a {what}",
            path.display()
        ))),
    };
    match kind {
        "DirectoryOrCreate" => {
            make_dir(&path)?;
            is("directory", FileType::is_dir)
        }
        "Directory" => is("directory", FileType::is_dir),
        "FileOrCreate" => {
            make_file(&path)?;
            is("file", FileType::is_file)
        }
        "File" => is("file", FileType::is_file),
        "Socket" => is("socket", FileType::is_socket),
        "CharDevice" => is("character device", FileType::is_char_device),
        "BlockDevice" => is("block device", FileType::is_block_device),
        _ => Ok(()),
    }
}

/// A path of no type is made a directory, if there is nothing.
pub(super) fn make(source: &HostPathVolumeSource) -> io::Result<()> {
    if source.type_.as_deref().unwrap_or_default().is_empty() {
        return make_dir(&of(source));
    }
    check(source)
}

fn make_dir(path: &Path) -> io::Result<()> {
    if path.exists() {
        return Ok(());
    }
    DirBuilder::new().recursive(true).mode(DIR_MODE).create(path)
}

fn make_file(path: &Path) -> io::Result<()> {
    if path.exists() {
        return Ok(());
    }
    OpenOptions::new().write(true).create(true).truncate(false).mode(FILE_MODE).open(path).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_of_the_host_is_of_its_type_or_is_made() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("file"), "").unwrap();
        let checked = |name: &str, kind: &str| {
            let path = dir.path().join(name).display().to_string();
            check(&HostPathVolumeSource { path, type_: Some(kind.to_owned()) }).map_err(|error| {
                error.to_string().rsplit('/').next().unwrap_or_default().to_owned()
            })
        };
        for (name, kind, expected) in [
            ("file", "", Ok(())),
            ("nothing", "", Ok(())),
            ("file", "File", Ok(())),
            ("file", "Directory", Err("file is not a directory")),
            ("nothing", "Directory", Err("nothing is not a directory")),
            ("nothing", "File", Err("nothing is not a file")),
            ("file", "Socket", Err("file is not a socket")),
            ("file", "CharDevice", Err("file is not a character device")),
            ("file", "BlockDevice", Err("file is not a block device")),
            ("a/b", "DirectoryOrCreate", Ok(())),
            ("a/b", "Directory", Ok(())),
            ("a/c", "FileOrCreate", Ok(())),
            ("a/c", "File", Ok(())),
            ("file", "DirectoryOrCreate", Err("file is not a directory")),
        ] {
            assert_eq!(checked(name, kind), expected.map_err(str::to_owned), "{name} {kind}");
        }
    }
}
