//! containerd's content store: blobs by their digest.
//!
//! Owns: the protocol of writing, resuming and verifying a blob, reading one, and labels.
//! Must not know: registries, what a blob is for, or what a failure means to a pull.
//!
//! A write is a stream of messages, each with an answer. It is named by a reference, which one writer
//! has at a time and which outlives a writer: whoever opens it next goes on where it ended.

use std::collections::HashMap;

use bytes::Bytes;
use containerd_client::services::v1 as services;
use containerd_client::services::v1::{
    InfoRequest, ReadContentRequest, UpdateRequest, WriteAction, WriteContentRequest,
    WriteContentResponse,
};
use futures::channel::mpsc;
use oci_client::manifest::OciDescriptor;
use tonic::{Code, Status, Streaming};

use super::super::containerd::{Client, already_exists, call, is_not_found, leased};
use crate::runtime::pause::pause;

/// A message of containerd's is at most 16 MiB; this is large enough to make messages rare.
pub(super) const CHUNK_BYTES: usize = 256 << 10;

/// containerd waits for half a second for another writer; then it is asked again, up to here.
const LOCKED_TRIES: u32 = 600;
const LOCKED_PAUSE: std::time::Duration = std::time::Duration::from_millis(500);

/// The longest label, with its key.
const LABEL_BYTES_MAX: usize = 4096;

pub(super) type Labels = HashMap<String, String>;

/// The store, as seen by whoever holds a lease.
#[derive(Debug, Clone, Copy)]
pub(super) struct Store<'a> {
    pub(super) client: &'a Client,
    pub(super) lease: &'a str,
}

#[derive(Debug)]
pub(super) enum Opened {
    /// The blob is there, and the lease holds it.
    Exists,
    Writing(Box<Ingest>),
}

/// A blob that is being written.
#[derive(Debug)]
pub(super) struct Ingest {
    requests: mpsc::Sender<WriteContentRequest>,
    answers: Streaming<WriteContentResponse>,
    reference: String,
    digest: String,
    offset: u64,
    total: u64,
}

impl Store<'_> {
    /// Opens a blob for writing, and finds out how much of it is there. `kind` is part of its name, so
    /// that kiln and other programs go on with what the other began.
    pub(super) async fn open(&self, kind: &str, blob: &OciDescriptor) -> Result<Opened, Status> {
        let mut tries = 0;
        loop {
            match self.try_open(kind, blob).await {
                Ok(ingest) => return Ok(Opened::Writing(Box::new(ingest))),
                Err(status) if already_exists(&status) => return Ok(Opened::Exists),
                Err(status) if is_locked(&status) && tries < LOCKED_TRIES => {
                    tries += 1;
                    pause(LOCKED_PAUSE).await;
                }
                Err(status) => return Err(status),
            }
        }
    }

    async fn try_open(&self, kind: &str, blob: &OciDescriptor) -> Result<Ingest, Status> {
        // Each message has its answer before the next is sent, so there is always room for one.
        let (mut requests, queue) = mpsc::channel(1);
        let reference = format!("{kind}-{}", blob.digest);
        let stat = WriteContentRequest {
            action: WriteAction::Stat.into(),
            r#ref: reference.clone(),
            total: blob.size,
            expected: blob.digest.clone(),
            ..WriteContentRequest::default()
        };
        requests.try_send(stat).expect("a new queue has room for one");
        let request = leased(queue, self.lease);
        let mut answers = self.client.content().write(request).await?.into_inner();
        let answer = answers.message().await?.ok_or_else(cut_short)?;
        let offset = u64::try_from(answer.offset).unwrap_or_default();
        let total = u64::try_from(blob.size).unwrap_or_default();
        Ok(Ingest { requests, answers, reference, digest: blob.digest.clone(), offset, total })
    }

    /// Throws away what was written under a name. Nothing there is success.
    pub(super) async fn abort(&self, kind: &str, digest: &str) -> Result<(), Status> {
        let request = services::AbortRequest { r#ref: format!("{kind}-{digest}") };
        match self.client.content().abort(leased(request, self.lease)).await {
            Ok(_) => Ok(()),
            Err(status) if is_not_found(&status) => Ok(()),
            Err(status) => Err(status),
        }
    }

    /// Adds labels to a blob; a list of sources grows.
    pub(super) async fn label(&self, digest: &str, labels: &Labels) -> Result<(), Status> {
        let request = InfoRequest { digest: digest.to_owned() };
        let info = self.client.content().info(call(request)).await?.into_inner().info;
        let known = info.unwrap_or_default().labels;
        let mut missing = Labels::new();
        for (key, value) in labels {
            let value = merged(known.get(key), key, value);
            if known.get(key) != Some(&value) {
                missing.insert(key.clone(), value);
            }
        }
        if missing.is_empty() {
            return Ok(());
        }
        let paths = missing.keys().map(|key| format!("labels.{key}")).collect();
        let info =
            services::Info { digest: digest.to_owned(), labels: missing, ..Default::default() };
        let request =
            UpdateRequest { info: Some(info), update_mask: Some(prost_types::FieldMask { paths }) };
        self.client.content().update(leased(request, self.lease)).await?;
        Ok(())
    }
}

/// A whole blob; nothing where there is none, or where it is larger than it may be.
pub(super) async fn read(
    client: &Client,
    digest: &str,
    bytes_max: usize,
) -> Result<Option<Bytes>, Status> {
    let request = ReadContentRequest { digest: digest.to_owned(), offset: 0, size: 0 };
    let mut parts = match client.content().read(call(request)).await {
        Ok(answer) => answer.into_inner(),
        Err(status) if is_not_found(&status) => return Ok(None),
        Err(status) => return Err(status),
    };
    let mut bytes = Vec::new();
    loop {
        match parts.message().await {
            Ok(Some(part)) if bytes.len() + part.data.len() > bytes_max => return Ok(None),
            Ok(Some(part)) => bytes.extend_from_slice(&part.data),
            Ok(None) => return Ok(Some(bytes.into())),
            Err(status) if is_not_found(&status) => return Ok(None),
            Err(status) => return Err(status),
        }
    }
}

/// Whether a blob is there.
pub(super) async fn exists(client: &Client, digest: &str) -> Result<bool, Status> {
    match client.content().info(call(InfoRequest { digest: digest.to_owned() })).await {
        Ok(_) => Ok(true),
        Err(status) if is_not_found(&status) => Ok(false),
        Err(status) => Err(status),
    }
}

impl Ingest {
    pub(super) fn offset(&self) -> u64 {
        self.offset
    }

    pub(super) fn total(&self) -> u64 {
        self.total
    }

    /// Writes on where the last write ended.
    pub(super) async fn write(&mut self, data: Bytes) -> Result<(), Status> {
        let length = data.len() as u64;
        let request = self.request(WriteAction::Write, data, Labels::new());
        self.send(request).await?;
        let answer = self.answers.message().await?.ok_or_else(cut_short)?;
        self.offset += length;
        if u64::try_from(answer.offset) != Ok(self.offset) {
            let (wanted, found) = (self.offset, answer.offset);
            return Err(Status::data_loss(format!("it is at byte {found} instead of {wanted}")));
        }
        Ok(())
    }

    /// Ends the write with what is left. containerd verifies the digest; see [`is_mismatch`].
    pub(super) async fn commit(&mut self, data: Bytes, labels: Labels) -> Result<(), Status> {
        let request = self.request(WriteAction::Commit, data, labels);
        self.send(request).await?;
        loop {
            match self.answers.message().await {
                Ok(Some(_)) => {}
                Ok(None) => return Ok(()),
                // Another writer was faster.
                Err(status) if already_exists(&status) => return Ok(()),
                Err(status) => return Err(status),
            }
        }
    }

    /// Also a commit has to name the offset: without one, containerd throws away what it has.
    fn request(&self, action: WriteAction, data: Bytes, labels: Labels) -> WriteContentRequest {
        WriteContentRequest {
            action: action.into(),
            r#ref: self.reference.clone(),
            total: i64::try_from(self.total).unwrap_or(i64::MAX),
            expected: self.digest.clone(),
            offset: i64::try_from(self.offset).unwrap_or(i64::MAX),
            data: data.into(),
            labels,
        }
    }

    async fn send(&mut self, request: WriteContentRequest) -> Result<(), Status> {
        if self.requests.try_send(request).is_ok() {
            return Ok(());
        }
        // The stream has ended; its last word says why.
        match self.answers.message().await {
            Err(status) => Err(status),
            Ok(_) => Err(cut_short()),
        }
    }
}

/// Whether what was written is not what was announced.
pub(super) fn is_mismatch(status: &Status) -> bool {
    status.code() == Code::FailedPrecondition
        && (status.message().contains("unexpected commit")
            || status.message().contains("failed size validation"))
}

fn is_locked(status: &Status) -> bool {
    status.code() == Code::Unavailable && status.message().contains("locked")
}

fn cut_short() -> Status {
    Status::unavailable("containerd ended the write")
}

/// Sources are a list; every other label is replaced.
fn merged(known: Option<&String>, key: &str, value: &str) -> String {
    let Some(known) = known.filter(|_| key.starts_with(SOURCE)) else { return value.to_owned() };
    let is_there = known.split(',').any(|source| source == value);
    if is_there || key.len() + known.len() + 1 + value.len() > LABEL_BYTES_MAX {
        return known.clone();
    }
    format!("{known},{value}")
}

const SOURCE: &str = "containerd.io/distribution.source.";

/// Where a blob came from.
pub(super) fn source(registry: &str, repository: &str) -> (String, String) {
    let host = registry.split(':').next().unwrap_or(registry);
    (format!("{SOURCE}{host}"), repository.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_gather_and_other_labels_are_replaced() {
        let (key, value) = source("localhost:5000", "a/b");
        assert_eq!(key, "containerd.io/distribution.source.localhost");
        assert_eq!(merged(None, &key, &value), "a/b");
        assert_eq!(merged(Some(&"c".to_owned()), &key, &value), "c,a/b");
        assert_eq!(merged(Some(&"c,a/b".to_owned()), &key, &value), "c,a/b");
        assert_eq!(merged(Some(&"x".repeat(4090)), &key, &value), "x".repeat(4090));
        assert_eq!(merged(Some(&"c".to_owned()), "containerd.io/gc.ref.content.config", "d"), "d");
    }

    #[test]
    fn a_wrong_digest_is_told_from_other_failures() {
        let status = Status::failed_precondition("unexpected commit digest sha256:0, expected ..");
        assert!(is_mismatch(&status));
        assert!(!is_mismatch(&Status::failed_precondition("namespace is required")));
        assert!(is_locked(&Status::unavailable("ref kiln/1/layer-x locked for 1s")));
    }
}
