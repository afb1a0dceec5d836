//! Which pods may start on a host that has only so much.
//!
//! Owns: the line in which pods wait, and who may pass whom. Must not know: the store, the clock, what a
//! pod does once it has started.
//!
//! Pods start by priority, and those of one priority in the order in which they came, as soon as what they
//! ask for fits beside what the others have asked for:
//! <https://kubernetes.io/docs/concepts/configuration/manage-resources-containers/#how-pods-with-resource-requests-are-scheduled>
//!
//! Where the first in the line does not fit, others may pass it, if that cannot keep it waiting:
//!
//! * If all that has to end before the first can start has a deadline, the first is sure to start by a
//!   certain time. Whoever passes ends before that time by a deadline of its own, or takes only what is
//!   not needed then.
//! * Otherwise the first may start at any moment. Whoever passes takes nothing of what the first lacks,
//!   and of the rest only what the first leaves.
//!
//! A pod that asks for more than the whole host has never starts, and holds up nobody.

mod line;
#[cfg(test)]
mod properties;

use std::time::Duration;

use jiff::Timestamp;

pub use self::line::Line;
use crate::api::amounts::{Amounts, Resource};

/// A pod that would like to start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    pub asks: Amounts,
    /// Higher goes first.
    /// <https://kubernetes.io/docs/concepts/scheduling-eviction/pod-priority-preemption/>
    pub priority: i32,
    /// When it came.
    pub since: Timestamp,
    /// For how long it runs at most, once it has started.
    pub lasts: Option<Duration>,
}

/// Why a pod does not start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// What it asks for is more than all that there is.
    Never { lacking: Resource, asks: u64, all: u64 },
    Waits {
        /// Counted from one, among those that can start at some time.
        place: usize,
        of: usize,
        /// What there is not enough of now; nothing, where it would fit and others come first.
        lacking: Vec<Resource>,
    },
}

impl Standing {
    /// As a scheduler words it, without what changes from one moment to the next.
    pub fn reason(&self) -> String {
        let short = |resource: Resource| match resource {
            Resource::Pods => "1 Too many pods".to_owned(),
            Resource::Cpu | Resource::Memory => format!("1 Insufficient {resource}"),
        };
        let why = match self {
            Self::Never { lacking, asks, all } => format!(
                "{}: it asks for {} and the host has {} in all, so it can never start here",
                short(*lacking),
                lacking.shown(*asks),
                lacking.shown(*all)
            ),
            Self::Waits { lacking, .. } if lacking.is_empty() => {
                "1 held for pods that come first".to_owned()
            }
            Self::Waits { lacking, .. } => {
                lacking.iter().copied().map(short).collect::<Vec<_>>().join(", ")
            }
        };
        format!("0/1 nodes are available: {why}.")
    }

    /// The same with the place in the line.
    pub fn message(&self) -> String {
        match self {
            Self::Never { .. } => self.reason(),
            Self::Waits { place, of, .. } => {
                format!("{} Queue position {place} of {of}.", self.reason())
            }
        }
    }
}
