//! What holds for every Job, whatever its pods do and whenever the engine is interrupted: random
//! histories, against the promises of <https://kubernetes.io/docs/concepts/workloads/controllers/job/>.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::batch::v1::{Job, JobStatus, SuccessPolicy, SuccessPolicyRule};
use k8s_openapi::api::core::v1::{ContainerStatus, Pod};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use super::indexes::Indexes;
use super::testing::{at, index_of, job};
use super::{Action, Plan, Rules, TRACKING_FINALIZER, reconcile};
use crate::api::deletion::mark_pod;
use crate::api::job::{
    is_finished, is_suspended, parallelism, replaces_only_ended, succeeded, true_condition,
};
use crate::api::object::Object;
use crate::api::pod::{Phase, is_terminal, phase};

/// What may happen between two looks. A number chooses one of the pods that it can happen to.
#[derive(Debug, Clone)]
enum Step {
    Look,
    /// A plan is made, and the engine ends before it is written.
    LookInVain,
    Run(usize),
    Restart(usize),
    End(usize, bool),
    /// Somebody deletes a pod.
    Delete(usize),
    Wait(i64),
    Scale(i32),
    Suspend(bool),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => Just(Step::Look),
        1 => Just(Step::LookInVain),
        4 => any::<usize>().prop_map(Step::Run),
        1 => any::<usize>().prop_map(Step::Restart),
        6 => (any::<usize>(), any::<bool>()).prop_map(|(pod, well)| Step::End(pod, well)),
        1 => any::<usize>().prop_map(Step::Delete),
        3 => (0_i64..60).prop_map(Step::Wait),
        1 => (0..6).prop_map(Step::Scale),
        1 => any::<bool>().prop_map(Step::Suspend),
    ];
    vec(step, 0..80)
}

fn jobs() -> impl Strategy<Value = Job> {
    let numbers = (0..6, option::of(0..8), 0..6, option::of(0_i64..300), any::<bool>());
    let indexes = (any::<bool>(), option::of(0..3), option::of(0..3), option::of(1..4));
    let choices = (numbers, indexes, any::<bool>());
    choices.prop_map(
        |((parallelism, completions, limit, deadline, in_place), indexes, only_ended)| {
            let mut job = job(parallelism, completions);
            let spec = job.spec.as_mut().unwrap();
            spec.backoff_limit = Some(limit);
            spec.active_deadline_seconds = deadline;
            spec.pod_replacement_policy = only_ended.then(|| "Failed".into());
            let policy = if in_place { "OnFailure" } else { "Never" };
            spec.template.spec.as_mut().unwrap().restart_policy = Some(policy.into());
            let (indexed, per_index, most, enough) = indexes;
            if indexed && completions.is_some() {
                spec.completion_mode = Some("Indexed".into());
                spec.backoff_limit_per_index = per_index;
                spec.max_failed_indexes = most.filter(|_| per_index.is_some());
                let rule = |succeeded_count| SuccessPolicyRule {
                    succeeded_count,
                    succeeded_indexes: None,
                };
                spec.success_policy = enough.map(|n| SuccessPolicy { rules: vec![rule(Some(n))] });
            }
            job
        },
    )
}

/// A Job and its pods, as a store would have them.
#[derive(Debug)]
struct World {
    job: Job,
    pods: Vec<Pod>,
    now: Timestamp,
    made: usize,
    /// Pods that went because fewer were wanted.
    dismissed: usize,
}

impl World {
    fn new(job: Job) -> Self {
        Self { job, pods: Vec::new(), now: at(1000), made: 0, dismissed: 0 }
    }

    fn plan(&self) -> Plan {
        let pods: Vec<&Pod> = self.pods.iter().collect();
        reconcile(&self.job, &pods, &[], &Rules::default(), self.now)
    }

    fn step(&mut self, step: &Step) {
        match step {
            Step::Look => self.look(),
            Step::LookInVain => drop(self.plan()),
            Step::Run(n) => self.change(*n, |_, pod| set_phase(pod, "Running")),
            Step::Restart(n) => self.change(*n, |_, pod| restart(pod)),
            Step::End(n, well) => self.change(*n, |_, pod| {
                set_phase(pod, if *well { "Succeeded" } else { "Failed" });
            }),
            Step::Delete(n) => self.change(*n, |now, pod| mark_pod(pod, None, now)),
            Step::Wait(seconds) => self.now += SignedDuration::from_secs(*seconds),
            Step::Scale(n) => self.job.spec.as_mut().unwrap().parallelism = Some(*n),
            Step::Suspend(so) => self.job.spec.as_mut().unwrap().suspend = Some(*so),
        }
        // What was let go and has ended leaves the store.
        let gone = |pod: &Pod| {
            pod.is_deleting() && is_terminal(pod) && !pod.has_finalizer(TRACKING_FINALIZER)
        };
        self.pods.retain(|pod| !gone(pod));
    }

    fn change(&mut self, n: usize, change: impl FnOnce(Timestamp, &mut Pod)) {
        let mut alive: Vec<_> = self.pods.iter_mut().filter(|pod| !is_terminal(pod)).collect();
        if !alive.is_empty() {
            let chosen = n % alive.len();
            change(self.now, alive[chosen]);
        }
    }

    /// A look whose plan is written, and what must be true of it.
    fn look(&mut self) {
        let before = self.job.clone();
        let uncounted = |wanted: fn(&Pod) -> bool| {
            let held = self.pods.iter().filter(|pod| pod.has_finalizer(TRACKING_FINALIZER));
            held.filter(|pod| wanted(pod)).count()
        };
        let won = self.won();
        let waits = replaces_only_ended(&self.job);
        let lost = match waits {
            true => uncounted(|pod| phase(pod) == Phase::Failed),
            false => uncounted(|pod| {
                phase(pod) == Phase::Failed || (pod.is_deleting() && !is_terminal(pod))
            }),
        };
        let running = match waits {
            true => uncounted(|pod| !is_terminal(pod)),
            false => uncounted(|pod| !is_terminal(pod) && !pod.is_deleting()),
        };
        let plan = self.plan();
        self.write(&plan);
        if is_finished(&before).is_some() {
            assert_eq!(self.job.status, before.status, "a finished Job changed");
            assert_eq!(self.active(), 0, "a finished Job has pods that run");
            return;
        }
        let fails = true_condition(&self.job, "FailureTarget").is_some();
        let stopped = if fails { running } else { 0 };
        let (was, is) = (status(&before), status(&self.job));
        assert_eq!(is.succeeded.unwrap_or(0) - was.succeeded.unwrap_or(0), number(won));
        assert_eq!(is.failed.unwrap_or(0) - was.failed.unwrap_or(0), number(lost + stopped));
        self.check_bounds();
        let again = self.plan();
        let acts = again.actions.iter().any(|action| !matches!(action, Action::Tell(_)));
        assert!(!acts, "done twice, it does more: {:?}", again.actions);
        assert_eq!(again.record, plan.record, "done twice, it says something else");
    }

    /// How many successes are to be counted: of an Indexed Job, indexes that had none.
    fn won(&self) -> usize {
        let held = self.pods.iter().filter(|pod| pod.has_finalizer(TRACKING_FINALIZER));
        let won = held.filter(|pod| phase(pod) == Phase::Succeeded);
        let Some(indexes) = Indexes::of(&self.job) else { return won.count() };
        let new = won.map(index_of).filter(|index| !indexes.is_over(*index));
        new.collect::<BTreeSet<u32>>().len()
    }

    fn write(&mut self, plan: &Plan) {
        self.job.status = Some(plan.record.status.clone());
        plan.record.ledger.write(&mut self.job);
        let fails = true_condition(&self.job, "FailureTarget").is_some();
        for action in &plan.actions {
            match action {
                Action::CreatePod(pod) => {
                    let taken = self.pods.iter().any(|other| other.name() == pod.name());
                    assert!(!taken, "two pods are called {}", pod.name());
                    self.made += 1;
                    self.pods.push(Pod::clone(pod));
                }
                Action::DeletePod { name, uncounted } => {
                    self.dismissed += usize::from(!fails);
                    let now = self.now;
                    let pod = self.named(name);
                    mark_pod(pod, None, now);
                    if *uncounted {
                        pod.remove_finalizer(TRACKING_FINALIZER);
                    }
                }
                Action::ReleasePod { name } => {
                    let waits = replaces_only_ended(&self.job);
                    let pod = self.named(name);
                    pod.remove_finalizer(TRACKING_FINALIZER);
                    // The end of this one is awaited no more: the Job has succeeded without it.
                    let uncounted = waits && !is_terminal(pod);
                    self.dismissed += usize::from(uncounted && !fails);
                }
                Action::AdoptPod { .. } | Action::DisownPod { .. } | Action::Tell(_) => {}
            }
        }
    }

    fn named(&mut self, name: &str) -> &mut Pod {
        self.pods
            .iter_mut()
            .find(|pod| pod.name() == name)
            .expect("a plan names pods that are there")
    }

    fn active(&self) -> usize {
        self.pods.iter().filter(|pod| !is_terminal(pod) && !pod.is_deleting()).count()
    }

    fn check_bounds(&self) {
        let active = u32::try_from(self.active()).unwrap();
        assert!(active <= parallelism(&self.job), "{active} pods run");
        if let Some(completions) = self.job.spec.as_ref().unwrap().completions {
            let missing = u32::try_from(completions).unwrap().saturating_sub(succeeded(&self.job));
            assert!(active <= missing, "{active} pods run for {missing} completions");
        }
        let status = status(&self.job);
        assert_eq!(status.active.unwrap_or(0), number(self.active()));
        assert!(active == 0 || !is_suspended(&self.job), "{active} pods run while the Job waits");
        self.check_indexes();
    }

    /// An index has one pod at most, and is complete or failed, and stays so.
    fn check_indexes(&self) {
        let Some(indexes) = Indexes::of(&self.job) else { return };
        let waits = replaces_only_ended(&self.job);
        let live = |pod: &&Pod| !is_terminal(pod) && (waits || !pod.is_deleting());
        let mut seen = BTreeSet::new();
        for pod in self.pods.iter().filter(live) {
            assert!(seen.insert(index_of(pod)), "two pods have index {}", index_of(pod));
        }
        assert_eq!(indexes.completed.shared(&indexes.failed), 0, "an index is both");
        assert_eq!(indexes.completed.len(), succeeded(&self.job));
        let waiting = self.job.metadata.annotations.iter().flatten().map(|(_, text)| text.len());
        assert!(waiting.sum::<usize>() < 1000, "the ledger grows");
    }

    /// Lets everything end well and time go by, until the Job has ended too.
    fn finish(&mut self) {
        let idle = parallelism(&self.job) == 0;
        self.step(&Step::Suspend(false));
        for _ in 0..60 {
            self.step(&Step::Look);
            self.step(&Step::End(0, true));
            self.step(&Step::Wait(600));
        }
        let finished = is_finished(&self.job).is_some();
        assert!(finished || idle, "it does not end: {:?}", self.job.status);
        if finished {
            let status = status(&self.job);
            let counted = status.succeeded.unwrap_or(0) + status.failed.unwrap_or(0);
            assert_eq!(counted, number(self.made - self.dismissed), "every pod counts once");
            let held = self.pods.iter().filter(|pod| pod.has_finalizer(TRACKING_FINALIZER)).count();
            assert_eq!(held, 0, "pods are held back");
        }
    }
}

fn status(job: &Job) -> JobStatus {
    job.status.clone().unwrap_or_default()
}

fn number(n: usize) -> i32 {
    i32::try_from(n).unwrap()
}

fn set_phase(pod: &mut Pod, phase: &str) {
    pod.status.get_or_insert_default().phase = Some(phase.to_owned());
}

fn restart(pod: &mut Pod) {
    let statuses = pod.status.get_or_insert_default().container_statuses.get_or_insert_default();
    match statuses.first_mut() {
        Some(status) => status.restart_count += 1,
        None => statuses.push(ContainerStatus { restart_count: 1, ..ContainerStatus::default() }),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_a_job_keeps_its_bounds_and_counts_every_pod_once(
        job in jobs(), steps in steps(),
    ) {
        let mut world = World::new(job);
        for step in &steps {
            world.step(step);
        }
        world.finish();
    }

    #[test]
    fn a_plan_wakes_only_later(job in jobs(), steps in steps()) {
        let mut world = World::new(job);
        for step in &steps {
            world.step(step);
            let plan = world.plan();
            prop_assert!(plan.wake_at.is_none_or(|at| at > world.now), "{:?}", plan.wake_at);
        }
    }
}
