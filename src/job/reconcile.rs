//! One look at a Job.
//!
//! Owns: the order in which the rules apply. Must not know: how a rule decides.
//! <https://kubernetes.io/docs/concepts/workloads/controllers/job/>

use jiff::Timestamp;
use k8s_openapi::api::batch::v1::{Job, JobStatus, UncountedTerminatedPods};
use k8s_openapi::api::core::v1::Pod;

use super::conditions::{Verdict, pull_deadline_at, whole};
use super::manage::{CHANGES_MAX, surplus, wanted};
use super::tally::Tally;
use super::{Action, Ledger, Plan, Record, Rules, TRACKING_FINALIZER, suspend, template};
use crate::api::event::Note;
use crate::api::job::{self, Completion};
use crate::api::object::Object;
use crate::api::pod::{is_controlled_by, is_ready};

/// What should happen to the Job now. `pods`: its pods that have not ended or are not counted yet.
/// <https://kubernetes.io/docs/concepts/workloads/controllers/job/>
#[must_use]
pub fn reconcile(job: &Job, pods: &[&Pod], rules: &Rules, now: Timestamp) -> Plan {
    let mine: Vec<&Pod> =
        pods.iter().copied().filter(|pod| is_controlled_by(pod, job.uid())).collect();
    if job::is_finished(job).is_some() {
        return Look::new(job, &mine, rules, now).leave();
    }
    let mut look = Look::new(job, &mine, rules, now);
    look.count();
    let verdict = Verdict::stored(&look.job)
        .or_else(|| Verdict::failed(&look.job, &look.tally, look.failed, rules, now));
    let verdict = match verdict {
        Some(verdict) => {
            look.stop_all(&verdict);
            Some(verdict)
        }
        None if job.is_deleting() => {
            look.let_go();
            None
        }
        None => {
            look.manage();
            let verdict = look.is_complete().then(Verdict::completions_reached);
            if verdict.is_none() {
                look.tell_suspension();
            }
            verdict
        }
    };
    look.finish(verdict)
}

/// The numbers while a look goes on.
struct Look<'a> {
    /// With its start time set.
    job: Job,
    rules: &'a Rules,
    now: Timestamp,
    pods: &'a [&'a Pod],
    tally: Tally<'a>,
    ledger: Ledger,
    actions: Vec<Action>,
    wake_at: Option<Timestamp>,
    succeeded: u32,
    failed: u32,
    active: usize,
    ready: usize,
    terminating: usize,
}

impl<'a> Look<'a> {
    fn new(job: &Job, pods: &'a [&'a Pod], rules: &'a Rules, now: Timestamp) -> Self {
        let tally = Tally::of(pods);
        let mut job = job.clone();
        let suspended = job::is_suspended(&job);
        let status = job.status.get_or_insert_default();
        if status.start_time.is_none() && !suspended {
            status.start_time = Some(whole(now));
        }
        Self {
            rules,
            now,
            pods,
            ledger: Ledger::of(&job),
            actions: Vec::new(),
            wake_at: None,
            succeeded: job::succeeded(&job),
            failed: job::failed(&job),
            active: tally.active.len(),
            ready: tally.ready(),
            terminating: tally.terminating,
            tally,
            job,
        }
    }

    /// Counts what has ended, and lets those pods go in the same transaction.
    fn count(&mut self) {
        self.succeeded = self.succeeded.saturating_add(amount(self.tally.succeeded.len()));
        self.failed = self.failed.saturating_add(amount(self.tally.failed.len()));
        self.ledger.count(&self.tally.succeeded, &self.tally.failed, self.now);
        let counted = self.tally.succeeded.iter().chain(&self.tally.failed);
        let released = counted.map(|pod| Action::ReleasePod { name: pod.name().to_owned() });
        self.actions.extend(released.collect::<Vec<_>>());
    }

    /// Deletes what still runs. Where the Job fails, that counts as failed.
    fn stop_all(&mut self, verdict: &Verdict) {
        let active = std::mem::take(&mut self.tally.active);
        if !verdict.success {
            let counted = active.iter().filter(|pod| pod.has_finalizer(TRACKING_FINALIZER)).count();
            self.failed = self.failed.saturating_add(amount(counted));
        }
        active.into_iter().for_each(|pod| self.delete(pod));
    }

    fn delete(&mut self, pod: &Pod) {
        self.actions.push(Action::DeletePod { name: pod.name().to_owned(), uncounted: true });
        let message = format!("Deleted pod: {}", pod.name());
        self.actions.push(Action::Tell(Note::normal("SuccessfulDelete", message)));
        self.active -= 1;
        self.terminating += 1;
        self.ready -= usize::from(is_ready(pod));
    }

    /// A deleted Job makes and deletes nothing, and holds nothing back.
    fn let_go(&mut self) {
        for pod in &self.tally.active {
            if pod.has_finalizer(TRACKING_FINALIZER) {
                self.actions.push(Action::ReleasePod { name: pod.name().to_owned() });
            }
        }
    }

    /// Makes the pods that are missing, or deletes those that are too many; never both at once.
    fn manage(&mut self) {
        if job::is_suspended(&self.job) {
            self.tally.active.clone().into_iter().for_each(|pod| self.delete(pod));
            return;
        }
        let wanted = wanted(&self.job, self.succeeded, self.active);
        if self.active > wanted {
            let surplus = surplus(&self.tally.active, wanted);
            surplus.into_iter().for_each(|pod| self.delete(pod));
            return;
        }
        let missing = (wanted - self.active).min(CHANGES_MAX);
        if missing == 0 {
            return;
        }
        if let Some(until) = self.ledger.holds_until(self.rules).filter(|until| *until > self.now) {
            self.wake(until);
            return;
        }
        for _ in 0..missing {
            let pod = template::pod(&self.job, self.ledger.pods_created, self.now);
            self.ledger.pods_created += 1;
            let message = format!("Created pod: {}", pod.name());
            self.actions.push(Action::CreatePod(Box::new(pod)));
            self.actions.push(Action::Tell(Note::normal("SuccessfulCreate", message)));
            self.active += 1;
        }
    }

    /// A suspended Job says so once its pods were told to stop.
    fn tell_suspension(&mut self) {
        let suspended = job::is_suspended(&self.job);
        let status = self.job.status.get_or_insert_default();
        let news = suspend::record(status, suspended, self.now);
        self.actions.extend(news.map(Action::Tell));
    }

    fn is_complete(&self) -> bool {
        let enough = match Completion::of(&self.job) {
            Completion::AnyOne => self.succeeded > 0,
            Completion::Count(n) | Completion::Indexed(n) => self.succeeded >= n,
        };
        enough && self.active == 0 && !self.job.is_deleting()
    }

    /// The verdict shows at once; the final condition only after the last pod has ended.
    fn finish(mut self, verdict: Option<Verdict>) -> Plan {
        let mut status = self.job.status.take().unwrap_or_default();
        if let Some(verdict) = verdict {
            verdict.add_to(&mut status, verdict.interim(), self.now);
            if self.terminating == 0 {
                verdict.add_to(&mut status, verdict.last(), self.now);
                self.tell_end(&verdict);
                if verdict.success {
                    status.completion_time = Some(whole(self.now));
                }
            }
        } else {
            self.job.status = Some(status);
            let deadlines = self.tally.active.iter();
            let pulls = deadlines.filter_map(|pod| pull_deadline_at(pod, self.rules)).min();
            let deadline = job::deadline_at(&self.job);
            pulls.into_iter().chain(deadline).for_each(|at| self.wake(at));
            status = self.job.status.take().unwrap_or_default();
        }
        self.write(status)
    }

    fn tell_end(&mut self, verdict: &Verdict) {
        if !verdict.success {
            let reason = match verdict.reason.as_str() {
                "BackoffLimitExceeded" => "BackoffLimitExceeded",
                "DeadlineExceeded" => "DeadlineExceeded",
                "ImagePullDeadlineExceeded" => "ImagePullDeadlineExceeded",
                _ => "Failed",
            };
            let note = Note::warning(reason, verdict.message.clone());
            self.actions.push(Action::Tell(note));
            return;
        }
        if let Completion::Count(n) = Completion::of(&self.job)
            && self.succeeded > n
        {
            let message = "Too many succeeded pods running after completion count reached";
            self.actions.push(Action::Tell(Note::warning("TooManySucceededPods", message)));
        }
        self.actions.push(Action::Tell(Note::normal("Completed", "Job completed")));
    }

    fn write(self, status: JobStatus) -> Plan {
        let status = JobStatus {
            active: some(self.active),
            ready: Some(number(self.ready)),
            terminating: Some(number(self.terminating)),
            succeeded: some(self.succeeded),
            failed: some(self.failed),
            uncounted_terminated_pods: Some(UncountedTerminatedPods::default()),
            ..status
        };
        let record = Record { status, ledger: self.ledger };
        Plan { actions: self.actions, record, wake_at: self.wake_at }
    }

    /// A Job that is over changes nothing any more; it only holds no pod back.
    fn leave(mut self) -> Plan {
        for pod in self.pods.iter().filter(|pod| pod.has_finalizer(TRACKING_FINALIZER)) {
            self.actions.push(Action::ReleasePod { name: pod.name().to_owned() });
        }
        let status = self.job.status.unwrap_or_default();
        let record = Record { status, ledger: self.ledger };
        Plan { actions: self.actions, record, wake_at: None }
    }

    fn wake(&mut self, at: Timestamp) {
        self.wake_at = Some(self.wake_at.map_or(at, |before| before.min(at)));
    }
}

/// Counts that are zero are left out, as Kubernetes does.
fn some<N: TryInto<i32> + PartialEq + Default>(count: N) -> Option<i32> {
    (count != N::default()).then(|| number(count))
}

fn number<N: TryInto<i32>>(count: N) -> i32 {
    count.try_into().unwrap_or(i32::MAX)
}

fn amount(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}
