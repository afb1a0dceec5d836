//! Jobs that are told to wait.
//!
//! Owns: the `Suspended` condition, and what suspension does to the start time. Must not know: which
//! pods go, and how.
//! <https://kubernetes.io/docs/concepts/workloads/controllers/job/#suspending-a-job>

use jiff::Timestamp;
use k8s_openapi::api::batch::v1::{JobCondition, JobStatus};

use super::conditions::whole;
use crate::api::event::Note;

const KIND: &str = "Suspended";

/// Lets the status tell whether the Job waits, and answers what is news of it. A Job that never waited
/// says nothing; the clock of the deadline starts anew when it goes on.
/// <https://kubernetes.io/docs/concepts/workloads/controllers/job/#suspending-a-job>
pub(super) fn record(status: &mut JobStatus, suspended: bool, now: Timestamp) -> Option<Note> {
    let (wanted, reason, message) = match suspended {
        true => ("True", "JobSuspended", "Job suspended"),
        false => ("False", "JobResumed", "Job resumed"),
    };
    if suspended {
        status.start_time = None;
    }
    let time = Some(whole(now));
    let next = JobCondition {
        type_: KIND.to_owned(),
        status: wanted.to_owned(),
        reason: Some(reason.to_owned()),
        message: Some(message.to_owned()),
        last_probe_time: time.clone(),
        last_transition_time: time.clone(),
    };
    let same = |held: &JobCondition| {
        (&held.status, &held.reason, &held.message) == (&next.status, &next.reason, &next.message)
    };
    let held = status.conditions.iter_mut().flatten().find(|condition| condition.type_ == KIND);
    match held {
        Some(held) if same(held) => return None,
        Some(held) => *held = next,
        None if suspended => status.conditions.get_or_insert_default().push(next),
        None => return None,
    }
    if suspended {
        return Some(Note::normal("Suspended", message));
    }
    status.start_time = time;
    Some(Note::normal("Resumed", message))
}
