//! The CronJob controller's rules.
//!
//! Owns: which start is due, what becomes of the Jobs of before, and what the status says. Must not
//! know: the store, the clock, what a Job does. `now` is an argument; what is to be done is a [`Plan`].
//! <https://kubernetes.io/docs/concepts/workloads/controllers/cron-jobs/>

mod history;
#[cfg(test)]
mod tests;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::batch::v1::{CronJob, CronJobStatus, Job};
use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{OwnerReference, Time};
use sha2::{Digest, Sha256};

use crate::api::cron::{Concurrency, Unscheduled, concurrency, is_suspended, schedule, seen_until};
use crate::api::event::Note;
use crate::api::object::Object;
use crate::api::schedule::Schedule;
use crate::api::{self, names};

/// What should happen to a CronJob and its Jobs next.
pub type Plan = crate::plan::Plan<Action, CronJobStatus>;

/// One step of a plan.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// Write this Job. Its name is derived from the minute for which it is started.
    CreateJob(Box<Job>),
    /// Delete the Job; its pods go after it.
    DeleteJob { name: String },
    /// Tell what happened to the CronJob.
    Tell(Note),
}

/// The annotation of a Job that tells for when it was started.
const SCHEDULED: &str = "batch.kubernetes.io/cronjob-scheduled-timestamp";
/// How many starts may be missed before that is told.
const MISSED_MAX: i64 = 100;

/// What should happen to the CronJob now. `jobs`: those of its namespace that it controls.
/// <https://kubernetes.io/docs/concepts/workloads/controllers/cron-jobs/#cron-job-limitations>
#[must_use]
pub fn reconcile(cron: &CronJob, jobs: &[&Job], now: Timestamp) -> Plan {
    let mut look = Look {
        cron,
        now,
        status: cron.status.clone().unwrap_or_default(),
        actions: Vec::new(),
        wake_at: None,
    };
    look.follow(jobs);
    let gone = history::surplus(cron, jobs);
    gone.into_iter().for_each(|job| look.delete(job));
    if !cron.is_deleting() && !is_suspended(cron) {
        match schedule(cron) {
            Ok(schedule) => look.start(&schedule, jobs),
            Err(Unscheduled::Zone(name)) => {
                let message = format!("invalid timeZone: {name:?}: unknown time zone {name}");
                look.tell(Note::warning("UnknownTimeZone", message));
            }
            Err(Unscheduled::Schedule(why)) => {
                let message = format!("unparseable schedule: {why}");
                look.tell(Note::warning("UnparseableSchedule", message));
            }
        }
    }
    Plan { actions: look.actions, record: look.status, wake_at: look.wake_at }
}

struct Look<'a> {
    cron: &'a CronJob,
    now: Timestamp,
    status: CronJobStatus,
    actions: Vec<Action>,
    wake_at: Option<Timestamp>,
}

impl Look<'_> {
    fn tell(&mut self, note: Note) {
        self.actions.push(Action::Tell(note));
    }

    fn active(&self) -> usize {
        self.status.active.as_ref().map_or(0, Vec::len)
    }

    fn delete(&mut self, job: &Job) {
        self.actions.push(Action::DeleteJob { name: job.name().to_owned() });
        self.forget(job.uid());
        let message = format!("Deleted job {}", job.name());
        self.tell(Note::normal("SuccessfulDelete", message));
    }

    fn forget(&mut self, uid: &str) {
        if let Some(active) = &mut self.status.active {
            active.retain(|held| held.uid.as_deref() != Some(uid));
        }
        self.status.active = self.status.active.take().filter(|active| !active.is_empty());
    }

    /// Takes in what became of the Jobs that run.
    /// <https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/cron-job-v1/#CronJobStatus>
    fn follow(&mut self, jobs: &[&Job]) {
        let known = |active: &ObjectReference, job: &Job| active.uid.as_deref() == Some(job.uid());
        for held in self.status.active.clone().unwrap_or_default() {
            let job = jobs.iter().find(|job| known(&held, job));
            let finished = job.and_then(|job| api::job::is_finished(job));
            let name = held.name.clone().unwrap_or_default();
            match (job, finished) {
                (Some(_), None) => continue,
                (Some(_), Some(end)) => {
                    let message = format!("Saw completed job: {name}, condition: {end:?}");
                    self.tell(Note::normal("SawCompletedJob", message));
                }
                (None, _) => {
                    let message = format!("Active job went missing: {name}");
                    self.tell(Note::normal("MissingJob", message));
                }
            }
            self.forget(held.uid.as_deref().unwrap_or_default());
        }
        let ends = jobs.iter().filter_map(|job| api::job::completion_time(job)).max();
        let told = self.status.last_successful_time.as_ref().map(|time| time.0);
        self.status.last_successful_time = ends.max(told).map(Time);
    }

    /// Starts the latest of the Jobs that are due. Those before it are missed, however many they are.
    /// <https://kubernetes.io/docs/concepts/workloads/controllers/cron-jobs/#cron-job-limitations>
    fn start(&mut self, schedule: &Schedule, jobs: &[&Job]) {
        self.wake_at = schedule.after(self.now);
        let since = seen_until(self.cron);
        let Some(due) = schedule.latest(since, self.now) else { return };
        self.tell_missed(schedule, since, due);
        if self.is_too_late(due) {
            let message = format!("Missed scheduled time to start a job: {}", schedule.shown(due));
            return self.tell(Note::warning("MissSchedule", message));
        }
        match concurrency(self.cron) {
            Concurrency::Forbid if self.active() > 0 => {
                let message = "Not starting job because prior execution is running and concurrency \
                    policy is Forbid";
                return self.tell(Note::normal("JobAlreadyActive", message));
            }
            Concurrency::Replace => {
                let active = self.status.active.clone().unwrap_or_default();
                let is_active =
                    |job: &&&Job| active.iter().any(|held| held.uid.as_deref() == Some(job.uid()));
                jobs.iter().filter(is_active).for_each(|job| self.delete(job));
            }
            Concurrency::Allow | Concurrency::Forbid => {}
        }
        self.create(schedule, due, jobs);
    }

    /// Tells that there are many; of those only that the deadline still allowed, where there is one.
    /// <https://kubernetes.io/docs/concepts/workloads/controllers/cron-jobs/#cron-job-limitations>
    fn tell_missed(&mut self, schedule: &Schedule, since: Timestamp, due: Timestamp) {
        let allowed = self
            .cron
            .spec
            .starting_deadline_seconds
            .and_then(|seconds| self.now.checked_sub(SignedDuration::from_secs(seconds)).ok());
        let first = schedule.after(allowed.map_or(since, |allowed| allowed.max(since)));
        let second = first.and_then(|first| schedule.after(first));
        let (Some(first), Some(second)) = (first, second) else { return };
        let gap = (second.as_second() - first.as_second()).max(1);
        let missed = (due.as_second() - first.as_second()) / gap;
        if missed > MISSED_MAX {
            let message = format!(
                "too many missed start times: {missed}. Set or decrease \
                 .spec.startingDeadlineSeconds or check clock skew; the latest one is started"
            );
            self.tell(Note::warning("TooManyMissedTimes", message));
        }
    }

    /// <https://kubernetes.io/docs/concepts/workloads/controllers/cron-jobs/#starting-deadline>
    fn is_too_late(&self, due: Timestamp) -> bool {
        let seconds = self.cron.spec.starting_deadline_seconds;
        let end = |seconds| due.checked_add(SignedDuration::from_secs(seconds));
        seconds.is_some_and(|seconds| end(seconds).is_ok_and(|end| end < self.now))
    }

    fn create(&mut self, schedule: &Schedule, due: Timestamp, jobs: &[&Job]) {
        let job = job(self.cron, schedule, due, self.now);
        self.status.last_schedule_time = Some(Time(due));
        // It was made before the status could say so.
        let there = jobs.iter().any(|other| other.name() == job.name());
        let active = self.status.active.get_or_insert_default();
        if !there || active.iter().all(|held| held.uid.as_deref() != Some(job.uid())) {
            active.push(reference(&job));
        }
        if there {
            return;
        }
        let message = format!("Created job {}", job.name());
        self.actions.push(Action::CreateJob(Box::new(job)));
        self.tell(Note::normal("SuccessfulCreate", message));
    }
}

/// The Job for this minute. Its name and uid follow from the minute, so that it is never made twice.
/// <https://kubernetes.io/docs/concepts/workloads/controllers/cron-jobs/#job-creation>
fn job(cron: &CronJob, schedule: &Schedule, due: Timestamp, now: Timestamp) -> Job {
    let name = format!("{}-{}", cron.name(), due.as_second() / 60);
    let digest = Sha256::digest(format!("{}/{name}", cron.uid()));
    let mut uid = [0; 16];
    uid.copy_from_slice(&digest[..16]);
    let mut job = api::cron::job(cron, &name, &names::uuid(uid));
    let made = Timestamp::from_second(now.as_second()).unwrap_or(now);
    job.metadata.creation_timestamp = Some(Time(made));
    let annotations = job.metadata.annotations.get_or_insert_default();
    annotations.insert(SCHEDULED.to_owned(), schedule.shown(due));
    job.metadata.owner_references = Some(vec![OwnerReference {
        api_version: "batch/v1".to_owned(),
        kind: "CronJob".to_owned(),
        name: cron.name().to_owned(),
        uid: cron.uid().to_owned(),
        controller: Some(true),
        block_owner_deletion: Some(true),
    }]);
    job
}

fn reference(job: &Job) -> ObjectReference {
    ObjectReference {
        api_version: Some("batch/v1".to_owned()),
        kind: Some("Job".to_owned()),
        namespace: job.metadata.namespace.clone(),
        name: job.metadata.name.clone(),
        uid: job.metadata.uid.clone(),
        ..ObjectReference::default()
    }
}
