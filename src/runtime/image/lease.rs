//! What a pull holds on to.
//!
//! Owns: the lease that keeps the parts of an image from the garbage collector until the image has its
//! name, and what becomes of it when that does not happen.
//! Must not know: what the parts are.

use containerd_client::services::v1 as services;
use jiff::{SignedDuration, Timestamp};
use tonic::Status;

use super::super::PullError;
use super::super::containerd::{call, is_not_found};
use super::{Inner, lock};

/// A pull that nobody ended keeps what it has for so long.
const LEASE_LIFE: SignedDuration = SignedDuration::from_hours(24);
/// The next pull takes over a lease that is younger than this.
const LEASE_AGE_MAX: SignedDuration = SignedDuration::from_hours(12);

/// The label that says whose pull a lease is of.
const OWNER: &str = "kiln/root";

/// Keeps what a pull makes from the garbage collector until the image has its name. That of a pull
/// which did not get so far stays, for the next pull of the same image.
#[derive(Debug)]
pub(super) struct Lease<'a> {
    inner: &'a Inner,
    name: String,
    left: Left,
}

/// The lease of a pull that did not get to its end.
#[derive(Debug)]
pub(super) struct Left {
    id: String,
    since: Timestamp,
}

impl<'a> Lease<'a> {
    pub(super) async fn new(inner: &'a Inner, name: String) -> Result<Self, PullError> {
        let since = inner.now.read();
        let left = lock(&inner.leases).remove(&name);
        if let Some(left) = left
            && since.duration_since(left.since) < LEASE_AGE_MAX
        {
            return Ok(Self { inner, name, left });
        }
        let end = since + LEASE_LIFE;
        let labels = [
            ("containerd.io/gc.expire".to_owned(), end.to_string()),
            (OWNER.to_owned(), inner.settings.owner.clone()),
        ]
        .into();
        let request = services::CreateRequest { id: String::new(), labels };
        let answer = inner.client.leases().create(call(request)).await;
        let answer = answer.map_err(|s| inner.failed("make a lease", &s))?;
        let id = answer.into_inner().lease.map(|lease| lease.id).unwrap_or_default();
        Ok(Self { inner, name, left: Left { id, since } })
    }

    pub(super) fn id(&self) -> &str {
        &self.left.id
    }

    /// The image stands by itself. A lease that cannot be deleted now is deleted later.
    pub(super) async fn end(mut self) {
        if delete_lease(self.inner, self.left.id.clone()).await.is_ok() {
            self.left.id.clear();
        }
    }
}

impl Drop for Lease<'_> {
    fn drop(&mut self) {
        if !self.left.id.is_empty() {
            let left = Left { id: std::mem::take(&mut self.left.id), since: self.left.since };
            lock(&self.inner.leases).insert(std::mem::take(&mut self.name), left);
        }
    }
}

async fn delete_lease(inner: &Inner, id: String) -> Result<(), Status> {
    let request = services::DeleteRequest { id, sync: false };
    match inner.client.leases().delete(call(request)).await {
        Ok(_) => Ok(()),
        Err(status) if is_not_found(&status) => Ok(()),
        Err(status) => Err(status),
    }
}

impl Inner {
    /// Deletes all leases of this owner: no pull goes on any more, here or in a process that was killed.
    pub(super) async fn release(&self) -> Result<(), Status> {
        lock(&self.leases).clear();
        let filter = format!("labels.\"{OWNER}\"=={:?}", self.settings.owner);
        let request = services::ListRequest { filters: vec![filter] };
        let leases = self.client.leases().list(call(request)).await?.into_inner().leases;
        for lease in leases {
            delete_lease(self, lease.id).await?;
        }
        Ok(())
    }

    /// Deletes the leases of pulls that were given up.
    pub(super) async fn sweep(&self) -> Result<(), Status> {
        loop {
            let Some((name, left)) = lock(&self.leases).pop_first() else { return Ok(()) };
            if let Err(status) = delete_lease(self, left.id.clone()).await {
                lock(&self.leases).insert(name, left);
                return Err(status);
            }
        }
    }
}
