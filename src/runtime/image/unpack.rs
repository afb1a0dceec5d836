//! Layers become snapshots.
//!
//! Owns: unpacking one layer on top of another, and finding that it is unpacked already.
//! Must not know: registries, or where the layers come from.

use std::sync::atomic::{AtomicU64, Ordering};

use containerd_client::services::v1::ApplyRequest;
use containerd_client::services::v1::snapshots::{
    CommitSnapshotRequest, PrepareSnapshotRequest, RemoveSnapshotRequest, StatSnapshotRequest,
};
use containerd_client::types::{Descriptor, Mount};
use jiff::Timestamp;
use oci_client::manifest::OciDescriptor;
use tonic::Status;

use super::super::containerd::{Client, already_exists, call, is_not_found, leased};

/// By this label a snapshotter knows what is about to be made.
const TARGET: &str = "containerd.io/snapshot.ref";

/// Tells two unpackings of one layer apart that begin at the same time.
static SERIAL: AtomicU64 = AtomicU64::new(0);

/// Where layers are unpacked.
#[derive(Debug, Clone, Copy)]
pub(super) struct Snapshots<'a> {
    pub(super) client: &'a Client,
    pub(super) snapshotter: &'a str,
    pub(super) lease: &'a str,
}

/// One layer and its place.
#[derive(Debug, Clone, Copy)]
pub(super) struct Layer<'a> {
    pub(super) blob: &'a OciDescriptor,
    /// The digest of what is in it.
    pub(super) diff_id: &'a str,
    /// The snapshot below; empty at the bottom.
    pub(super) parent: &'a str,
    /// The snapshot that it becomes.
    pub(super) chain_id: &'a str,
}

#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    #[error("cannot {attempt}")]
    Containerd { attempt: &'static str, source: Status },
    #[error("layer {digest} holds {found}, and its image says {wanted}")]
    Content { digest: String, wanted: String, found: String },
}

fn at(attempt: &'static str) -> impl FnOnce(Status) -> Error {
    move |source| Error::Containerd { attempt, source }
}

/// Whether a snapshot is there, committed.
pub(super) async fn is_unpacked(
    client: &Client,
    snapshotter: &str,
    chain_id: &str,
) -> Result<bool, Status> {
    let request =
        StatSnapshotRequest { snapshotter: snapshotter.to_owned(), key: chain_id.to_owned() };
    match client.snapshots().stat(call(request)).await {
        Ok(_) => Ok(true),
        Err(status) if is_not_found(&status) => Ok(false),
        Err(status) => Err(status),
    }
}

impl Snapshots<'_> {
    /// Unpacks a layer that is in the content store, unless that was done before.
    pub(super) async fn unpack(&self, layer: Layer<'_>, now: Timestamp) -> Result<(), Error> {
        let serial = SERIAL.fetch_add(1, Ordering::Relaxed);
        let nanos = now.as_nanosecond();
        let pid = std::process::id();
        let key = format!("extract-{nanos}-{pid}.{serial} {}", layer.chain_id);
        // Preparing is the question whether it is there, too, and puts what is there under the lease.
        let Some(mounts) = self.prepare(&key, layer).await? else { return Ok(()) };
        let unpacked = self.fill(&key, mounts, layer).await;
        if unpacked.is_err() {
            // What is left goes with the lease; sooner is better on a disk that is full.
            let _ = self.remove(&key).await;
        }
        unpacked
    }

    async fn prepare(&self, key: &str, layer: Layer<'_>) -> Result<Option<Vec<Mount>>, Error> {
        let request = PrepareSnapshotRequest {
            snapshotter: self.snapshotter.to_owned(),
            key: key.to_owned(),
            parent: layer.parent.to_owned(),
            labels: [(TARGET.to_owned(), layer.chain_id.to_owned())].into(),
        };
        match self.client.snapshots().prepare(leased(request, self.lease)).await {
            Ok(answer) => Ok(Some(answer.into_inner().mounts)),
            Err(status) if already_exists(&status) => Ok(None),
            Err(source) => Err(Error::Containerd { attempt: "prepare a snapshot", source }),
        }
    }

    async fn fill(&self, key: &str, mounts: Vec<Mount>, layer: Layer<'_>) -> Result<(), Error> {
        let diff = Descriptor {
            media_type: layer.blob.media_type.clone(),
            digest: layer.blob.digest.clone(),
            size: layer.blob.size,
            annotations: Default::default(),
        };
        let request = ApplyRequest { diff: Some(diff), mounts, ..ApplyRequest::default() };
        let answer = self.client.diffs().apply(leased(request, self.lease)).await;
        let applied = answer.map_err(at("unpack a layer"))?.into_inner().applied;
        let found = applied.unwrap_or_default().digest;
        if found != layer.diff_id {
            let (digest, wanted) = (layer.blob.digest.clone(), layer.diff_id.to_owned());
            return Err(Error::Content { digest, wanted, found });
        }
        let request = CommitSnapshotRequest {
            snapshotter: self.snapshotter.to_owned(),
            name: layer.chain_id.to_owned(),
            key: key.to_owned(),
            labels: [(TARGET.to_owned(), layer.chain_id.to_owned())].into(),
        };
        match self.client.snapshots().commit(leased(request, self.lease)).await {
            Ok(_) => Ok(()),
            Err(status) if already_exists(&status) => {
                self.remove(key).await.map_err(at("remove a snapshot"))
            }
            Err(source) => Err(Error::Containerd { attempt: "commit a snapshot", source }),
        }
    }

    async fn remove(&self, key: &str) -> Result<(), Status> {
        let request =
            RemoveSnapshotRequest { snapshotter: self.snapshotter.to_owned(), key: key.to_owned() };
        match self.client.snapshots().remove(leased(request, self.lease)).await {
            Ok(_) => Ok(()),
            Err(status) if is_not_found(&status) => Ok(()),
            Err(status) => Err(status),
        }
    }
}
