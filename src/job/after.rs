//! Jobs that begin after others.
//!
//! Owns: which of them are still awaited, what becomes of a Job when one of them fails, and the condition
//! that tells of the wait. Must not know: where the other Jobs are found.
//!
//! Kubernetes has no such rule, and leaves the order of Jobs to whoever makes them:
//! <https://kubernetes.io/docs/concepts/workloads/controllers/job/#alternatives>

use jiff::Timestamp;
use k8s_openapi::api::batch::v1::{Job, JobCondition, JobStatus};

use super::Ledger;
use super::conditions::{Verdict, whole};
use crate::api::event::Note;
use crate::api::extensions::after;
use crate::api::job::{Finished, WAITING, is_finished, is_managed_elsewhere, true_condition};
use crate::api::object::Object;

/// The Jobs that this one comes after and that were not seen to be complete yet.
pub fn awaits(job: &Job) -> Vec<&str> {
    let names = after(job);
    if names.is_empty() || is_finished(job).is_some() || is_managed_elsewhere(job) {
        return Vec::new();
    }
    let complete = Ledger::of(job).complete;
    names.into_iter().filter(|name| !complete.contains(*name)).collect()
}

/// What a Job waits for.
#[derive(Debug, Default)]
pub(super) struct Wait {
    /// Each with what is to be said of it.
    awaited: Vec<String>,
    /// What is told of the first that failed.
    failed: Option<String>,
}

impl Wait {
    /// `earlier`: those of the awaited Jobs that there are. Notes in the ledger which are complete.
    pub(super) fn of(job: &Job, earlier: &[Job], ledger: &mut Ledger) -> Self {
        let mut wait = Self::default();
        for name in awaits(job) {
            let found = earlier.iter().find(|earlier| earlier.name() == name);
            match found.map(is_finished) {
                None => wait.awaited.push(format!("{name} (there is none)")),
                Some(None) => wait.awaited.push(name.to_owned()),
                Some(Some(Finished::Complete)) => drop(ledger.complete.insert(name.to_owned())),
                Some(Some(Finished::Failed)) => {
                    let why = found.and_then(|earlier| true_condition(earlier, "Failed"));
                    let reason = why.and_then(|why| why.reason.as_deref()).unwrap_or("Failed");
                    wait.failed.get_or_insert_with(|| format!("Job {name} failed: {reason}"));
                }
            }
        }
        wait
    }

    pub(super) fn is_over(&self) -> bool {
        self.awaited.is_empty() && self.failed.is_none()
    }

    pub(super) fn failure(&self) -> Option<Verdict> {
        let message = self.failed.as_ref()?;
        Some(Verdict::failure("DependencyFailed", message))
    }

    /// Lets the status tell whether the Job waits, and answers what is news of it. A Job that never
    /// waited says nothing.
    pub(super) fn record(&self, status: &mut JobStatus, now: Timestamp) -> Option<Note> {
        let waits = self.failed.is_none() && !self.awaited.is_empty();
        let (value, reason, message) = match &self.failed {
            Some(message) => ("False", "DependencyFailed", message.clone()),
            None if waits => (
                "True",
                "DependenciesPending",
                format!("Waits for Job {}", self.awaited.join(", ")),
            ),
            None => ("False", "DependenciesComplete", "All Jobs before it are complete".to_owned()),
        };
        let all = status.conditions.get_or_insert_default();
        let held = all.iter().position(|condition| condition.type_ == WAITING);
        let before = held.map(|place| &all[place]);
        let same = before.is_some_and(|held| {
            (held.status.as_str(), held.message.as_deref()) == (value, Some(&message))
        });
        if same || (before.is_none() && !waits) {
            if all.is_empty() {
                status.conditions = None;
            }
            return None;
        }
        let since = before.filter(|held| held.status == value);
        let since = since.and_then(|held| held.last_transition_time.clone());
        let next = JobCondition {
            type_: WAITING.to_owned(),
            status: value.to_owned(),
            reason: Some(reason.to_owned()),
            message: Some(message.clone()),
            last_probe_time: Some(whole(now)),
            last_transition_time: since.or_else(|| Some(whole(now))),
        };
        match held {
            Some(place) => all[place] = next,
            None => all.push(next),
        }
        match (waits, &self.failed) {
            (true, _) => Some(Note::normal("WaitingForJobs", message)),
            (false, None) => Some(Note::normal("DependenciesComplete", message)),
            // Told of with the end of the Job.
            (false, Some(_)) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::Pod;

    use crate::api::columns::job_row;
    use crate::api::job::{WAITING, condition, is_suspended, start_time, true_condition};
    use crate::job::testing::{at, job};
    use crate::job::{Action, Plan, Rules, reconcile};

    use super::*;

    /// A Job `j` after these.
    fn waiting(names: &str) -> Job {
        let mut job = job(1, Some(1));
        let annotations = job.metadata.annotations.get_or_insert_default();
        annotations.insert("kiln/after".to_owned(), names.to_owned());
        job
    }

    /// Another one, over or not.
    fn other(name: &str, condition: Option<&str>) -> Job {
        let mut job = job(1, Some(1));
        job.metadata.name = Some(name.to_owned());
        let condition = condition.map(|kind| JobCondition {
            type_: kind.to_owned(),
            status: "True".to_owned(),
            reason: Some("BackoffLimitExceeded".to_owned()),
            ..JobCondition::default()
        });
        job.status.get_or_insert_default().conditions = condition.map(|condition| vec![condition]);
        job
    }

    fn step(job: &mut Job, earlier: &[Job], second: i64) -> Plan {
        let plan = reconcile(job, &[], earlier, &Rules::default(), at(second));
        job.status = Some(plan.record.status.clone());
        plan.record.ledger.write(job);
        plan
    }

    fn created(plan: &Plan) -> usize {
        plan.actions.iter().filter(|action| matches!(action, Action::CreatePod(_))).count()
    }

    fn told(plan: &Plan) -> Vec<&str> {
        let notes = plan.actions.iter().filter_map(|action| {
            if let Action::Tell(note) = action { Some(note.message.as_str()) } else { None }
        });
        notes.collect()
    }

    #[test]
    fn a_job_has_no_pods_until_all_jobs_before_it_are_complete() {
        let mut job = waiting("a,b");
        let plan = step(&mut job, &[other("a", None)], 1);
        assert_eq!(told(&plan), ["Waits for Job a, b (there is none)"]);
        assert_eq!((created(&plan), start_time(&job)), (0, None));
        assert_eq!(job_row(&job, at(1))[1], "Waiting");
        assert_eq!(told(&step(&mut job, &[other("a", None)], 2)), [""; 0]);

        // One that was complete may go.
        step(&mut job, &[other("a", Some("Complete"))], 3);
        assert_eq!(awaits(&job), ["b"]);
        assert_eq!(condition(&job, WAITING).unwrap().last_transition_time, Some(whole(at(1))));
        let plan = step(&mut job, &[other("b", Some("Complete"))], 4);
        assert_eq!((created(&plan), start_time(&job)), (1, Some(at(4))));
        assert_eq!(told(&plan)[1], "All Jobs before it are complete");
        assert_eq!((awaits(&job), job_row(&job, at(4))[1].as_str()), (vec![], "Running"));
    }

    #[test]
    fn a_job_fails_with_a_job_before_it() {
        let mut job = waiting("a,b");
        let plan = step(&mut job, &[other("a", Some("Failed"))], 1);
        let failed = true_condition(&job, "Failed").unwrap();
        assert_eq!(failed.reason.as_deref(), Some("DependencyFailed"));
        assert_eq!(told(&plan), ["Job a failed: BackoffLimitExceeded"]);
        assert_eq!((created(&plan), start_time(&job)), (0, None));
        assert!(condition(&job, WAITING).is_none());
    }

    #[test]
    fn the_deadline_of_a_job_that_waits_does_not_run() {
        let mut job = waiting("a");
        job.spec.as_mut().unwrap().active_deadline_seconds = Some(10);
        assert_eq!(step(&mut job, &[], 0).wake_at, None);
        step(&mut job, &[], 100);
        assert_eq!(is_finished(&job), None);
        job.spec.as_mut().unwrap().suspend = Some(true);
        step(&mut job, &[], 101);
        assert!(is_suspended(&job) && job_row(&job, at(101))[1] == "Suspended");
        job.spec.as_mut().unwrap().suspend = Some(false);
        step(&mut job, &[], 102);
        assert_eq!((start_time(&job), job_row(&job, at(102))[1].as_str()), (None, "Waiting"));
    }

    #[test]
    fn without_anything_to_do_a_job_waits_all_the_same() {
        let mut job = waiting("a");
        job.spec.as_mut().unwrap().completions = Some(0);
        let pods: [&Pod; 0] = [];
        let plan = reconcile(&job, &pods, &[], &Rules::default(), at(1));
        assert!(plan.record.status.conditions.unwrap().iter().all(|c| c.type_ == WAITING));
        step(&mut job, &[other("a", Some("Complete"))], 2);
        assert_eq!(is_finished(&job), Some(Finished::Complete));
    }
}
