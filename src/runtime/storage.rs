//! How much a pod has written to this host's disk.
//!
//! Owns: counting it: directories of volumes, what containers have changed of their images, logs. Must not
//! know: how much is too much.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use containerd_client::services::v1::snapshots::UsageRequest;
use k8s_openapi::api::core::v1::Pod;

use super::adaptor::{Shared, blocking};
use super::containerd::{call, is_not_found};
use super::layout::{Layout, container_id};
use super::{Error, inventory};
use crate::api::object::Object;
use crate::api::references::volumes;
use crate::pod::{Instance, Usage};

/// What `stat` counts in.
const BLOCK_BYTES: u64 = 512;

impl Shared {
    pub(super) async fn usage(&self, pod: &Pod) -> Result<Usage, Error> {
        let uid = pod.uid();
        let known = inventory::containers_of_pod(&self.client, self.layout.root(), uid).await?;
        let mut usage = Usage::default();
        let mut logs = Vec::new();
        for known in known {
            let bytes = self.changed_of_image(uid, &known.instance).await?;
            *usage.containers.entry(known.instance.container.clone()).or_default() += bytes;
            logs.push((
                known.instance.container.clone(),
                log_dir(&self.layout, pod, &known.instance),
            ));
        }
        logs.sort();
        logs.dedup();
        let dirs = volumes(pod).iter().filter(|volume| {
            let dir = volume.empty_dir.as_ref();
            dir.is_some_and(|dir| dir.medium.as_deref() != Some("Memory"))
        });
        let dirs: Vec<(String, PathBuf)> = dirs
            .map(|volume| (volume.name.clone(), self.layout.volume(uid, &volume.name)))
            .collect();
        blocking("measure what the pod has written", move || {
            for (name, dir) in dirs {
                usage.volumes.insert(name, bytes_below(&dir)?);
            }
            for (container, dir) in logs {
                *usage.containers.entry(container).or_default() += bytes_below(&dir)?;
            }
            Ok(usage)
        })
        .await
    }

    async fn changed_of_image(&self, uid: &str, instance: &Instance) -> Result<u64, Error> {
        let request = UsageRequest {
            snapshotter: self.shim.snapshotter.clone(),
            key: container_id(uid, instance),
        };
        match self.client.snapshots().usage(call(request)).await {
            Ok(usage) => Ok(u64::try_from(usage.into_inner().size).unwrap_or_default()),
            Err(status) if is_not_found(&status) => Ok(0),
            Err(status) => Err(self.client.error("measure a snapshot", &status)),
        }
    }
}

fn log_dir(layout: &Layout, pod: &Pod, instance: &Instance) -> PathBuf {
    let log = layout.log(pod, instance);
    log.parent().map_or_else(PathBuf::new, Path::to_owned)
}

/// What is on the disk below a directory, as `du` counts it: a file of several names once, and nothing of
/// other file systems. What goes while it is counted counts as nothing.
fn bytes_below(dir: &Path) -> io::Result<u64> {
    let Some(root) = present(fs::symlink_metadata(dir))? else { return Ok(0) };
    let (mut bytes, mut seen) = (0, BTreeSet::new());
    let mut open = vec![dir.to_owned()];
    while let Some(dir) = open.pop() {
        let Some(entries) = present(fs::read_dir(&dir))? else { continue };
        for entry in entries {
            let Some(entry) = present(entry)? else { continue };
            let Some(meta) = present(entry.metadata())? else { continue };
            if meta.dev() != root.dev() || (meta.nlink() > 1 && !seen.insert(meta.ino())) {
                continue;
            }
            bytes += meta.blocks() * BLOCK_BYTES;
            if meta.is_dir() {
                open.push(entry.path());
            }
        }
    }
    Ok(bytes)
}

fn present<T>(found: io::Result<T>) -> io::Result<Option<T>> {
    match found {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_file_counts_once_and_what_it_points_to_not_at_all() {
        let dir = tempfile::tempdir().unwrap();
        let (volume, outside) = (dir.path().join("volume"), dir.path().join("outside"));
        assert_eq!(bytes_below(&volume).unwrap(), 0);
        fs::create_dir_all(volume.join("in")).unwrap();
        fs::write(&outside, vec![1; 1 << 20]).unwrap();
        let empty = bytes_below(&volume).unwrap();
        fs::write(volume.join("in/file"), vec![1; 64 << 10]).unwrap();
        fs::hard_link(volume.join("in/file"), volume.join("again")).unwrap();
        symlink(&outside, volume.join("link")).unwrap();
        let grown = bytes_below(&volume).unwrap() - empty;
        assert!((64 << 10..80 << 10).contains(&grown), "{grown}");
    }
}
