//! One look at a Job.
//!
//! Owns: the order in which the rules apply. Must not know: how a rule decides.
//! <https://kubernetes.io/docs/concepts/workloads/controllers/job/>

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::batch::v1::{Job, JobStatus, UncountedTerminatedPods};
use k8s_openapi::api::core::v1::Pod;

use super::after::Wait;
use super::backoff::later;
use super::claim::claim;
use super::conditions::{Patience, Verdict, pull_deadline_at, whole};
use super::failure_policy::{Judgement, judge};
use super::indexes::Indexes;
use super::manage::{CHANGES_MAX, busy, surplus, wanted};
use super::success_policy::success;
use super::tally::Tally;
use super::template::{self, Birth};
use super::{Action, Ledger, Plan, Record, Rules, TRACKING_FINALIZER, suspend};
use crate::api::event::Note;
use crate::api::extensions::pull_deadline;
use crate::api::job::{self, Completion};
use crate::api::object::Object;
use crate::api::pod::{is_controlled_by, is_ready};

/// What should happen to the Job now. `pods`: its pods that have not ended or are not counted yet, and
/// the pods of its namespace that nobody controls. `earlier`: the Jobs that it awaits, as far as there are
/// any.
/// <https://kubernetes.io/docs/concepts/workloads/controllers/job/>
#[must_use]
pub fn reconcile(job: &Job, pods: &[&Pod], earlier: &[Job], rules: &Rules, now: Timestamp) -> Plan {
    if job::is_managed_elsewhere(job) {
        return unchanged(job, Vec::new());
    }
    if job::is_finished(job).is_some() {
        return leave(job, pods);
    }
    let (mine, claims) = claim(job, pods);
    let mut look = Look::new(job, &mine, earlier, (rules, now));
    look.actions = claims;
    look.count();
    let verdict = match look.verdict() {
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
            match verdict {
                Some(_) => look.release_leaving(),
                None => look.tell_suspension(),
            }
            verdict
        }
    };
    look.finish(verdict)
}

/// A Job that is over changes nothing any more; it only holds no pod back.
/// <https://kubernetes.io/docs/concepts/workloads/controllers/job/#terminal-job-conditions>
fn leave(job: &Job, pods: &[&Pod]) -> Plan {
    let held = pods
        .iter()
        .filter(|pod| is_controlled_by(pod, job.uid()) && pod.has_finalizer(TRACKING_FINALIZER));
    unchanged(job, held.map(|pod| release(pod)).collect())
}

fn unchanged(job: &Job, actions: Vec<Action>) -> Plan {
    let status = job.status.clone().unwrap_or_default();
    let record = Record { status, ledger: Ledger::of(job) };
    Plan { actions, record, wake_at: None }
}

fn release(pod: &Pod) -> Action {
    Action::ReleasePod { name: pod.name().to_owned() }
}

/// The numbers while a look goes on.
struct Look<'a> {
    /// With its start time set.
    job: Job,
    rules: &'a Rules,
    now: Timestamp,
    tally: Tally<'a>,
    /// What became of the indexes, of a Job that has them.
    indexes: Option<Indexes>,
    ledger: Ledger,
    /// The Jobs that it comes after.
    wait: Wait,
    /// What the pod failure policy says of a failure that fails the Job.
    fatal: Option<String>,
    actions: Vec<Action>,
    wake_at: Option<Timestamp>,
    succeeded: u32,
    failed: u32,
    active: usize,
    ready: usize,
    terminating: usize,
}

impl<'a> Look<'a> {
    fn new(
        job: &Job,
        pods: &[&'a Pod],
        earlier: &[Job],
        (rules, now): (&'a Rules, Timestamp),
    ) -> Self {
        let tally = Tally::of(pods, job::replaces_only_ended(job));
        let (mut job, mut ledger) = (job.clone(), Ledger::of(job));
        let wait = Wait::of(&job, earlier, &mut ledger);
        let held = job::is_suspended(&job) || !wait.is_over();
        let status = job.status.get_or_insert_default();
        if status.start_time.is_none() && !held {
            status.start_time = Some(whole(now));
        }
        Self {
            rules,
            now,
            indexes: Indexes::of(&job),
            ledger,
            wait,
            fatal: None,
            actions: Vec::new(),
            wake_at: None,
            succeeded: job::succeeded(&job),
            failed: job::failed(&job),
            active: tally.active.len(),
            ready: tally.ready(),
            terminating: tally.terminating.len(),
            tally,
            job,
        }
    }

    /// Counts what has ended, and lets those pods go in the same transaction.
    /// <https://kubernetes.io/docs/concepts/workloads/controllers/job/#job-tracking-with-finalizers>
    fn count(&mut self) {
        let (mut won, mut lost) = (self.tally.succeeded.clone(), self.tally.failed.clone());
        self.actions.extend(won.iter().chain(&lost).map(|pod| release(pod)));
        // A pod whose index there is not counts for nothing.
        won.retain(|pod| self.is_counted(pod));
        lost.retain(|pod| self.is_counted(pod));
        match &mut self.indexes {
            None => self.succeeded = self.succeeded.saturating_add(amount(won.len())),
            Some(indexes) => {
                for index in won.iter().filter_map(|pod| indexes.index(pod)).collect::<Vec<_>>() {
                    if !indexes.failed.contains(index) {
                        indexes.completed.insert(index);
                    }
                }
                self.succeeded = indexes.completed.len();
            }
        }
        lost.iter().for_each(|pod| self.count_failure(pod));
        let per_index = self.indexes.as_ref().filter(|indexes| indexes.limit.is_some());
        match per_index {
            Some(indexes) => {
                let open = |index: u32| index < indexes.completions && !indexes.is_over(index);
                self.ledger.indexes.retain(|index, _| open(*index));
            }
            None => self.ledger.count(&won, &lost, self.now),
        }
    }

    fn is_counted(&self, pod: &Pod) -> bool {
        self.indexes.as_ref().is_none_or(|indexes| indexes.index(pod).is_some())
    }

    /// <https://kubernetes.io/docs/concepts/workloads/controllers/job/#handling-pod-and-container-failures>
    fn count_failure(&mut self, pod: &Pod) {
        let judgement = judge(&self.job, pod);
        let ignored = judgement == Judgement::Ignore;
        if !ignored {
            self.failed = self.failed.saturating_add(1);
        }
        let fails_index = judgement == Judgement::FailIndex;
        if let Judgement::FailJob { message } = judgement {
            self.fatal.get_or_insert(message);
        }
        let Some(indexes) = &mut self.indexes else { return };
        let (Some(limit), Some(index)) = (indexes.limit, indexes.index(pod)) else { return };
        if indexes.is_over(index) {
            return;
        }
        self.ledger.count_index(index, pod, ignored, self.now);
        let failures = self.ledger.indexes.get(&index).map_or(0, |held| held.failures);
        if fails_index || (!ignored && failures > limit) {
            indexes.failed.insert(index);
        }
    }

    /// Whether and how the Job ends now, whatever still runs: the first that is met.
    fn verdict(&self) -> Option<Verdict> {
        let indexes = self.indexes.as_ref();
        let fatal = self.fatal.as_ref();
        Verdict::stored(&self.job)
            .or_else(|| self.wait.failure())
            .or_else(|| fatal.map(|message| Verdict::failure("PodFailurePolicy", message)))
            .or_else(|| Verdict::too_many_failures(&self.job, &self.tally, self.failed))
            .or_else(|| Verdict::too_long(&self.job, self.now))
            .or_else(|| indexes?.failure(&self.job))
            .or_else(|| success(&self.job, indexes?))
            .or_else(|| Verdict::no_image(&self.tally, self.patience(), self.now))
    }

    /// How long a pod of this Job may be without its image.
    fn patience(&self) -> Patience {
        pull_deadline(&self.job, self.rules.pull_deadline)
    }

    /// Deletes what still runs. Where the Job fails, that counts as failed.
    /// <https://kubernetes.io/docs/concepts/workloads/controllers/job/#job-termination-and-cleanup>
    fn stop_all(&mut self, verdict: &Verdict) {
        let active = std::mem::take(&mut self.tally.active);
        let leaving: Vec<&Pod> = self.held_while_they_end().collect();
        if !verdict.success {
            let held = active.iter().filter(|pod| pod.has_finalizer(TRACKING_FINALIZER));
            let counted = held.chain(&leaving).filter(|pod| self.is_counted(pod)).count();
            self.failed = self.failed.saturating_add(amount(counted));
        }
        active.into_iter().for_each(|pod| self.delete(pod));
        self.release_leaving();
    }

    /// The Job ends: how those pods end changes nothing any more.
    fn release_leaving(&mut self) {
        let released: Vec<Action> = self.held_while_they_end().map(release).collect();
        self.actions.extend(released);
    }

    /// The deleted pods that were not counted, because how they end is awaited.
    fn held_while_they_end(&self) -> impl Iterator<Item = &'a Pod> {
        let waits = job::replaces_only_ended(&self.job);
        let held = move |pod: &&Pod| waits && pod.has_finalizer(TRACKING_FINALIZER);
        self.tally.terminating.clone().into_iter().filter(held)
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
    /// <https://kubernetes.io/docs/concepts/architecture/garbage-collection/#foreground-deletion>
    fn let_go(&mut self) {
        let active = self.tally.active.iter().copied();
        let held = active.filter(|pod| pod.has_finalizer(TRACKING_FINALIZER));
        let held: Vec<Action> = held.chain(self.held_while_they_end()).map(release).collect();
        self.actions.extend(held);
    }

    /// Makes the pods that are missing, or deletes those that are too many; never both at once.
    /// <https://kubernetes.io/docs/concepts/workloads/controllers/job/#controlling-parallelism>
    fn manage(&mut self) {
        if job::is_suspended(&self.job) {
            self.tally.active.clone().into_iter().for_each(|pod| self.delete(pod));
            return;
        }
        if !self.wait.is_over() {
            return;
        }
        let wanted = wanted(&self.job, self.succeeded, self.active);
        let surplus = surplus(&self.tally.active, wanted, self.indexes.as_ref());
        if !surplus.is_empty() {
            surplus.into_iter().for_each(|pod| self.delete(pod));
            return;
        }
        let only_ended = job::replaces_only_ended(&self.job);
        let leaving = if only_ended { self.terminating } else { 0 };
        let missing = wanted.saturating_sub(self.active + leaving).min(CHANGES_MAX);
        let per_index = self.indexes.as_ref().is_some_and(|indexes| indexes.limit.is_some());
        let hold = self.ledger.holds_until(self.rules).filter(|until| *until > self.now);
        match hold {
            _ if missing == 0 => {}
            Some(until) if !per_index => self.wake(until),
            Some(_) | None => self.make(missing, only_ended),
        }
    }

    /// Makes so many pods; of an Indexed Job for the lowest indexes, but for those whose back-off lasts.
    fn make(&mut self, missing: usize, only_ended: bool) {
        if let Some(why) = &self.rules.refusal {
            let note = Note::warning("FailedCreate", format!("Error creating: {why}"));
            self.actions.push(Action::Tell(note));
            self.wake(later(self.now, CREATE_RETRY));
            return;
        }
        let Some(indexes) = &self.indexes else {
            (0..missing).for_each(|_| self.create(None));
            return;
        };
        let mut taken = busy(&self.tally.active, indexes);
        if only_ended {
            taken.extend(busy(&self.tally.terminating, indexes));
        }
        for index in indexes.next(missing, &taken) {
            let until = self.ledger.index_holds_until(index, self.rules);
            match until.filter(|until| *until > self.now) {
                Some(until) => self.wake(until),
                None => self.create(Some(index)),
            }
        }
    }

    fn create(&mut self, index: Option<u32>) {
        let limited = self.indexes.as_ref().is_some_and(|indexes| indexes.limit.is_some());
        let failures = index.filter(|_| limited).map(|index| {
            let held = self.ledger.indexes.remove(&index);
            held.map_or((0, 0), |held| (held.failures, held.ignored))
        });
        let birth = Birth { attempt: self.ledger.pods_created, index, failures };
        let pod = template::pod(&self.job, birth, self.now);
        self.ledger.pods_created += 1;
        let message = format!("Created pod: {}", pod.name());
        self.actions.push(Action::CreatePod(Box::new(pod)));
        self.actions.push(Action::Tell(Note::normal("SuccessfulCreate", message)));
        self.active += 1;
    }

    /// A suspended Job says so once its pods were told to stop.
    fn tell_suspension(&mut self) {
        let suspended = job::is_suspended(&self.job);
        let status = self.job.status.get_or_insert_default();
        let news = suspend::record(status, suspended, self.now);
        self.actions.extend(news.map(Action::Tell));
        if !self.wait.is_over() {
            status.start_time = None;
        }
    }

    /// <https://kubernetes.io/docs/concepts/workloads/controllers/job/#parallel-jobs>
    fn is_complete(&self) -> bool {
        let enough = match Completion::of(&self.job) {
            Completion::AnyOne => self.succeeded > 0,
            Completion::Count(n) | Completion::Indexed(n) => self.succeeded >= n,
        };
        enough && self.active == 0 && self.wait.is_over() && !self.job.is_deleting()
    }

    /// The verdict shows at once; the final condition only after the last pod has ended.
    /// <https://kubernetes.io/docs/concepts/workloads/controllers/job/#termination-of-job-pods>
    fn finish(mut self, verdict: Option<Verdict>) -> Plan {
        let news = self.wait.record(self.job.status.get_or_insert_default(), self.now);
        self.actions.extend(news.map(Action::Tell));
        if let Some(verdict) = verdict {
            let mut status = self.job.status.take().unwrap_or_default();
            verdict.add_to(&mut status, verdict.interim(), self.now);
            if self.terminating == 0 {
                verdict.add_to(&mut status, verdict.last(), self.now);
                self.tell_end(&verdict);
                if verdict.success {
                    status.completion_time = Some(whole(self.now));
                }
            }
            return self.write(status);
        }
        let patience = self.patience();
        let pulls =
            self.tally.active.iter().filter_map(|pod| pull_deadline_at(pod, patience)).min();
        pulls.into_iter().chain(job::deadline_at(&self.job)).for_each(|at| self.wake(at));
        let status = self.job.status.take().unwrap_or_default();
        self.write(status)
    }

    fn tell_end(&mut self, verdict: &Verdict) {
        if !verdict.success {
            let note = Note::warning(verdict.event_reason(), verdict.message.clone());
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
        let mut status = JobStatus {
            active: some(self.active),
            ready: Some(number(self.ready)),
            terminating: Some(number(self.terminating)),
            succeeded: some(self.succeeded),
            failed: some(self.failed),
            uncounted_terminated_pods: Some(UncountedTerminatedPods::default()),
            ..status
        };
        if let Some(indexes) = &self.indexes {
            indexes.write(&mut status);
        }
        let record = Record { status, ledger: self.ledger };
        Plan { actions: self.actions, record, wake_at: self.wake_at }
    }

    fn wake(&mut self, at: Timestamp) {
        self.wake_at = Some(self.wake_at.map_or(at, |before| before.min(at)));
    }
}

/// How long a Job waits before it tries again to make a pod that was refused.
const CREATE_RETRY: Duration = Duration::from_secs(10);

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
