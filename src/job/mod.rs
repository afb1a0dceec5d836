//! The Job controller's rules.
//!
//! Owns: how many pods a Job should have now, which of them count, and when the Job is over.
//! Must not know: the store, containerd, tokio, the clock. `now` is an argument; what is to be done
//! is a [`Plan`]. The rules are those of <https://kubernetes.io/docs/concepts/workloads/controllers/job/>.

mod after;
mod backoff;
#[cfg(test)]
mod cases;
mod claim;
mod conditions;
mod failure_policy;
mod indexes;
mod manage;
#[cfg(test)]
mod properties;
mod reconcile;
mod success_policy;
mod suspend;
mod tally;
mod template;
#[cfg(test)]
mod testing;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::batch::v1::JobStatus;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;

use crate::api::event::Note;

pub use after::awaits;
pub use claim::Claims;
pub use failure_policy::failure_rule;
pub use reconcile::reconcile;

pub use crate::api::deletion::TRACKING_FINALIZER;

/// What should happen to a Job and its pods next.
pub type Plan = crate::plan::Plan<Action, Record>;

/// What the Job says of itself from now on.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    pub status: JobStatus,
    pub ledger: Ledger,
}

/// What a Job has to remember beside its status. Kept as annotations of the Job.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ledger {
    /// How many pods were ever made for the Job; the next pod's attempt.
    pub pods_created: u64,
    /// Failures since the last success.
    pub failures: u32,
    /// When the last of them finished.
    pub last_failure: Option<Timestamp>,
    /// The indexes that failed and wait for their next pod, where each has a limit of its own. There
    /// are no more of them than pods may run at once.
    pub indexes: BTreeMap<u32, IndexFailures>,
    /// Of the Jobs that it comes after, those that were seen to be complete: they may be gone since.
    pub complete: BTreeSet<String>,
}

/// How the pods of an index failed so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IndexFailures {
    pub failures: u32,
    /// Those that the pod failure policy ignores. They delay the next pod, and count for nothing else.
    pub ignored: u32,
    /// When the last pod finished.
    pub last: Timestamp,
}

/// One step of a plan.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// Write this pod. Its name and uid are derived from the Job's uid and the attempt.
    CreatePod(Box<Pod>),
    /// Mark the pod as deleted. `uncounted`: take the tracking finalizer off with it.
    DeletePod { name: String, uncounted: bool },
    /// The pod is counted in this plan's status: take its tracking finalizer off.
    ReleasePod { name: String },
    /// The pod is the Job's from now on; count it.
    AdoptPod { name: String, owner: Box<OwnerReference> },
    /// The pod is not the Job's any more: take the owner with this uid off, and the tracking finalizer.
    DisownPod { name: String, owner: String },
    /// Tell what happened to the Job.
    Tell(Note),
}

/// The numbers that an operator may change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rules {
    /// How long the first pod after a failure waits; doubles with each further failure.
    pub backoff_first: Duration,
    /// Where the doubling ends.
    pub backoff_max: Duration,
    /// Fail a Job whose pods cannot get an image for this long; `None`: wait forever.
    pub pull_deadline: Option<Duration>,
    /// Why no pod of the Job can be made now, if none can: what its namespace says.
    pub refusal: Option<String>,
}

impl Default for Rules {
    /// <https://kubernetes.io/docs/concepts/workloads/controllers/job/#pod-backoff-failure-policy>
    fn default() -> Self {
        Self {
            backoff_first: Duration::from_secs(10),
            backoff_max: Duration::from_secs(600),
            pull_deadline: None,
            refusal: None,
        }
    }
}
