//! What the engine holds of a Job.
//!
//! Owns: that it is little, for there may be very many: whoever looks at a Job reads it from the store.
//! Must not know: who looks, or when.

use jiff::Timestamp;
use k8s_openapi::api::batch::v1::Job;

use super::cache::revision;
use crate::api::job::deadline_at;
use crate::api::object::Object;
use crate::job::{Claims, awaits};

#[derive(Debug)]
pub(super) struct Held {
    pub(super) uid: String,
    pub(super) revision: u64,
    pub(super) deadline: Option<Timestamp>,
    /// The Jobs that it waits for.
    pub(super) awaits: Vec<String>,
    pub(super) claims: Claims,
}

impl Held {
    pub(super) fn of(job: &Job) -> Self {
        Self {
            uid: job.uid().to_owned(),
            revision: revision(job),
            deadline: deadline_at(job),
            awaits: awaits(job).into_iter().map(str::to_owned).collect(),
            claims: Claims::of(job),
        }
    }
}
