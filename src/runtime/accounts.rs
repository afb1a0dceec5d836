//! The users and groups that an image knows.
//!
//! Owns: reading `/etc/passwd` and `/etc/group` of an unpacked image, once per image. Must not know:
//! which user a container runs as.

use std::collections::HashMap;
use std::fs;
use std::io::{self, Read};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use containerd_client::services::v1::snapshots as services;
use containerd_client::types::Mount;
use tokio::sync::Mutex;

use super::Error;
use super::containerd::{Client, already_exists, call};
use super::spec::Accounts;

/// No image has larger files; what is longer is cut off.
const FILE_BYTES_MAX: u64 = 4 << 20;
/// The accounts of so many images are remembered before all are forgotten.
const KNOWN_MAX: usize = 256;
/// How many symbolic links are followed within an image.
const LINKS_MAX: u32 = 16;

/// The accounts of each image that was asked for.
#[derive(Debug)]
pub(super) struct AccountsOf {
    client: Client,
    snapshotter: &'static str,
    /// Locked while one is looked up, so that it is looked up once.
    known: Mutex<HashMap<String, Arc<Accounts>>>,
}

impl AccountsOf {
    pub(super) fn new(client: Client, snapshotter: &'static str) -> Self {
        Self { client, snapshotter, known: Mutex::default() }
    }

    /// The accounts of the image with this top layer.
    pub(super) async fn of(&self, chain_id: &str) -> Result<Arc<Accounts>, Error> {
        let mut known = self.known.lock().await;
        if let Some(accounts) = known.get(chain_id) {
            return Ok(Arc::clone(accounts));
        }
        let layers = layers(&self.view(chain_id).await?);
        let file = |path: &str| read(&layers, path).unwrap_or_default();
        let accounts = Arc::new(Accounts { passwd: file("etc/passwd"), group: file("etc/group") });
        if known.len() >= KNOWN_MAX {
            known.clear();
        }
        known.insert(chain_id.to_owned(), Arc::clone(&accounts));
        Ok(accounts)
    }

    /// Where the layers are: told by a view that is taken away again at once. The image keeps them.
    async fn view(&self, chain_id: &str) -> Result<Vec<Mount>, Error> {
        let failed = |status: tonic::Status| self.client.error("look into the image", &status);
        let key = format!("accounts-{chain_id}");
        let request = services::ViewSnapshotRequest {
            snapshotter: self.snapshotter.to_owned(),
            key: key.clone(),
            parent: chain_id.to_owned(),
            ..services::ViewSnapshotRequest::default()
        };
        let mounts = match self.client.snapshots().view(call(request)).await {
            Ok(answer) => answer.into_inner().mounts,
            // Another engine looks at it too, or one was killed while it did.
            Err(status) if already_exists(&status) => {
                let snapshotter = self.snapshotter.to_owned();
                let request = services::MountsRequest { snapshotter, key: key.clone() };
                let answer = self.client.snapshots().mounts(call(request)).await;
                answer.map_err(failed)?.into_inner().mounts
            }
            Err(status) => return Err(failed(status)),
        };
        let request =
            services::RemoveSnapshotRequest { snapshotter: self.snapshotter.to_owned(), key };
        // What stays is taken away by containerd's garbage collector.
        let _ = self.client.snapshots().remove(call(request)).await;
        Ok(mounts)
    }
}

/// The directories of the layers, the top one first.
fn layers(mounts: &[Mount]) -> Vec<PathBuf> {
    let mut layers = Vec::new();
    for mount in mounts {
        if mount.r#type == "overlay" {
            let lower = mount.options.iter().find_map(|option| option.strip_prefix("lowerdir="));
            layers.extend(lower.into_iter().flat_map(|dirs| dirs.split(':')).map(PathBuf::from));
        } else {
            layers.push(PathBuf::from(&mount.source));
        }
    }
    layers
}

/// A file as the image has it, `None` where it has none.
fn read(layers: &[PathBuf], path: &str) -> Option<String> {
    let mut path = PathBuf::from(path);
    for _ in 0..LINKS_MAX {
        match find(layers, &path)? {
            Entry::File(file) => {
                let mut bytes = Vec::new();
                let file = fs::File::open(file).ok()?;
                file.take(FILE_BYTES_MAX).read_to_end(&mut bytes).ok()?;
                return Some(String::from_utf8_lossy(&bytes).into_owned());
            }
            Entry::Link(to) => path = to,
        }
    }
    None
}

enum Entry {
    File(PathBuf),
    /// The path goes on there, seen from the image's root.
    Link(PathBuf),
}

/// Walks down from the image's root, so that no link leads out of it.
fn find(layers: &[PathBuf], path: &Path) -> Option<Entry> {
    let mut at = PathBuf::new();
    let mut parts = path.components().peekable();
    while let Some(part) = parts.next() {
        let Component::Normal(name) = part else { continue };
        at.push(name);
        let found = top(layers, &at)?;
        let kind = fs::symlink_metadata(&found).ok()?.file_type();
        if kind.is_symlink() {
            let target = fs::read_link(&found).ok()?;
            let from = if target.is_absolute() { PathBuf::new() } else { at.parent()?.to_owned() };
            return Some(Entry::Link(within_root(
                &from.join(target).join(parts.collect::<PathBuf>()),
            )));
        }
        if parts.peek().is_none() {
            return kind.is_file().then_some(Entry::File(found));
        }
    }
    None
}

/// Without `..`, and without a way above the root.
fn within_root(path: &Path) -> PathBuf {
    path.components().fold(PathBuf::new(), |mut clean, part| {
        match part {
            Component::Normal(name) => clean.push(name),
            Component::ParentDir => drop(clean.pop()),
            Component::Prefix(_) | Component::RootDir | Component::CurDir => {}
        }
        clean
    })
}

/// The uppermost layer's entry of this path; a whiteout says that there is none.
fn top(layers: &[PathBuf], path: &Path) -> Option<PathBuf> {
    use std::os::unix::fs::{FileTypeExt, MetadataExt};
    for layer in layers {
        let here = layer.join(path);
        match fs::symlink_metadata(&here) {
            Ok(meta) if meta.file_type().is_char_device() && meta.rdev() == 0 => return None,
            Ok(_) => return Some(here),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(_) => return None,
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image() -> (tempfile::TempDir, Vec<PathBuf>) {
        let dir = tempfile::tempdir().unwrap();
        let layers = ["upper", "lower"].map(|name| dir.path().join(name));
        layers.iter().for_each(|layer| fs::create_dir_all(layer.join("etc")).unwrap());
        (dir, layers.into())
    }

    #[test]
    fn the_uppermost_layer_rules() {
        let (_dir, layers) = image();
        fs::write(layers[1].join("etc/passwd"), "lower").unwrap();
        assert_eq!(read(&layers, "etc/passwd").as_deref(), Some("lower"));
        fs::write(layers[0].join("etc/passwd"), "upper").unwrap();
        assert_eq!(read(&layers, "etc/passwd").as_deref(), Some("upper"));
        assert_eq!(read(&layers, "etc/group"), None);
    }

    #[test]
    fn a_link_is_followed_within_the_image_only() {
        let (dir, layers) = image();
        fs::write(dir.path().join("secret"), "of the host").unwrap();
        fs::write(layers[1].join("etc/real"), "of the image").unwrap();
        std::os::unix::fs::symlink("/etc/real", layers[1].join("etc/passwd")).unwrap();
        std::os::unix::fs::symlink("../../../secret", layers[1].join("etc/group")).unwrap();
        assert_eq!(read(&layers, "etc/passwd").as_deref(), Some("of the image"));
        assert_eq!(read(&layers, "etc/group"), None);
        std::os::unix::fs::symlink("/etc/loop", layers[1].join("etc/loop")).unwrap();
        assert_eq!(read(&layers, "etc/loop"), None);
    }

    #[test]
    fn layers_are_read_from_what_the_snapshotter_would_mount() {
        let overlay = Mount {
            r#type: "overlay".to_owned(),
            source: "overlay".to_owned(),
            options: vec!["index=off".to_owned(), "lowerdir=/b:/a".to_owned()],
            ..Mount::default()
        };
        assert_eq!(layers(&[overlay]), [PathBuf::from("/b"), PathBuf::from("/a")]);
        let bind = Mount { r#type: "bind".to_owned(), source: "/c".to_owned(), ..Mount::default() };
        assert_eq!(layers(&[bind]), [PathBuf::from("/c")]);
    }
}
