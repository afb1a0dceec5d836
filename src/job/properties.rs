//! What holds for every Job, whatever its pods do and whenever the engine is interrupted: random
//! histories, against the promises of <https://kubernetes.io/docs/concepts/workloads/controllers/job/>.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::batch::v1::{
    Job, JobStatus, PodFailurePolicy, PodFailurePolicyOnExitCodesRequirement, PodFailurePolicyRule,
    SuccessPolicy, SuccessPolicyRule,
};
use k8s_openapi::api::core::v1::{ContainerStatus, Pod};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use super::indexes::Indexes;
use super::testing::{at, exited, index_of, job};
use super::{Action, Plan, Rules, TRACKING_FINALIZER, reconcile};
use crate::api::deletion::mark_pod;
use crate::api::job::{
    is_finished, is_suspended, parallelism, replaces_only_ended, succeeded, true_condition,
};
use crate::api::object::Object;
use crate::api::pod::{Phase, container_statuses, is_terminal, phase};

/// What may happen between two looks. A number chooses one of the pods that it can happen to.
#[derive(Debug, Clone)]
enum Step {
    Look,
    /// A plan is made, and the engine ends before it is written.
    LookInVain,
    Run(usize),
    Restart(usize),
    /// With this exit code.
    End(usize, i32),
    /// Somebody deletes a pod.
    Delete(usize),
    Wait(i64),
    Scale(i32),
    /// The same for the indexes, if there are any: so many, and so many at once.
    Resize(i32),
    Suspend(bool),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => Just(Step::Look),
        1 => Just(Step::LookInVain),
        4 => any::<usize>().prop_map(Step::Run),
        1 => any::<usize>().prop_map(Step::Restart),
        3 => any::<usize>().prop_map(|pod| Step::End(pod, 0)),
        3 => (any::<usize>(), 1..5).prop_map(|(pod, code)| Step::End(pod, code)),
        1 => any::<usize>().prop_map(Step::Delete),
        3 => (0_i64..60).prop_map(Step::Wait),
        1 => (0..6).prop_map(Step::Scale),
        1 => any::<bool>().prop_map(Step::Suspend),
    ];
    vec(step, 0..80)
}

/// The same with changes of how many indexes there are.
fn steps_and_sizes() -> impl Strategy<Value = Vec<Step>> {
    let sizes = vec((any::<usize>(), (0..8).prop_map(Step::Resize)), 1..6);
    (steps(), sizes).prop_map(|(mut steps, sizes)| {
        for (place, size) in sizes {
            steps.insert(place % (steps.len() + 1), size);
        }
        steps
    })
}

/// Rules about exit codes, in any order.
fn failure_policies() -> impl Strategy<Value = Option<PodFailurePolicy>> {
    let action = prop_oneof![Just("Ignore"), Just("Count"), Just("FailIndex"), Just("FailJob")];
    let rule = (action, 1..5).prop_map(|(action, code)| PodFailurePolicyRule {
        action: action.to_owned(),
        on_exit_codes: Some(PodFailurePolicyOnExitCodesRequirement {
            operator: "In".to_owned(),
            values: vec![code],
            ..Default::default()
        }),
        ..PodFailurePolicyRule::default()
    });
    option::weighted(0.3, vec(rule, 0..4).prop_map(|rules| PodFailurePolicy { rules }))
}

fn jobs() -> impl Strategy<Value = Job> {
    let numbers = (0..6, option::of(0..8), 0..6, option::of(0_i64..300), any::<bool>());
    let indexes = (any::<bool>(), option::of(0..3), option::of(0..3), option::of(1..4));
    let choices = (numbers, indexes, any::<bool>(), failure_policies());
    choices.prop_map(
        |((parallelism, completions, limit, deadline, in_place), indexes, only_ended, policy)| {
            let mut job = job(parallelism, completions);
            let spec = job.spec.as_mut().unwrap();
            spec.backoff_limit = Some(limit);
            spec.active_deadline_seconds = deadline;
            spec.pod_replacement_policy = only_ended.then(|| "Failed".into());
            let restart = if in_place && policy.is_none() { "OnFailure" } else { "Never" };
            spec.template.spec.as_mut().unwrap().restart_policy = Some(restart.into());
            spec.pod_failure_policy = policy;
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
            if spec.backoff_limit_per_index.is_none()
                && let Some(policy) = &mut spec.pod_failure_policy
            {
                policy.rules.retain(|rule| rule.action != "FailIndex");
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
    /// Pods whose failure is ignored.
    ignored: usize,
    /// Whether there were ever more or fewer indexes.
    resized: bool,
}

impl World {
    fn new(job: Job) -> Self {
        let (made, dismissed, ignored) = (0, 0, 0);
        let pods = Vec::new();
        Self { job, pods, now: at(1000), made, dismissed, ignored, resized: false }
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
            Step::End(n, code) => self.change(*n, |now, pod| exited(pod, *code, now)),
            Step::Delete(n) => self.change(*n, |now, pod| mark_pod(pod, None, now)),
            Step::Wait(seconds) => self.now += SignedDuration::from_secs(*seconds),
            Step::Scale(n) => self.job.spec.as_mut().unwrap().parallelism = Some(*n),
            Step::Resize(n) if Indexes::of(&self.job).is_some() => {
                let spec = self.job.spec.as_mut().unwrap();
                (spec.completions, spec.parallelism) = (Some(*n), Some(*n));
                self.resized = true;
            }
            Step::Resize(_) => {}
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
        let indexes = Indexes::of(&self.job);
        // A pod whose index there is no more counts for nothing.
        let exists = |pod: &Pod| indexes.as_ref().is_none_or(|all| all.index(pod).is_some());
        let uncounted = |wanted: fn(&Pod) -> bool| {
            let held = self.pods.iter().filter(|pod| pod.has_finalizer(TRACKING_FINALIZER));
            held.filter(|pod| exists(pod) && wanted(pod)).count()
        };
        let held = self.pods.iter().filter(|pod| pod.has_finalizer(TRACKING_FINALIZER));
        let ignored = held.filter(|pod| exists(pod) && is_ignored(&before, pod)).count();
        let done = indexes.as_ref().map(|indexes| number_of(indexes.completed.len()));
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
        let [before, now] = [&was, &is].map(|status| status.succeeded.unwrap_or(0));
        assert_eq!(now, done.unwrap_or(before) + number(won));
        assert!(now >= before || self.resized, "successes are forgotten");
        let failed = number(lost - ignored + stopped);
        assert_eq!(is.failed.unwrap_or(0) - was.failed.unwrap_or(0), failed);
        self.ignored += ignored;
        self.check_bounds();
        let again = self.plan();
        // What was deleted for its index makes room for another one, with the next look.
        let deletes = plan.actions.iter().any(|a| matches!(a, Action::DeletePod { .. }));
        if !(self.resized && deletes) {
            let acts = again.actions.iter().any(|action| !matches!(action, Action::Tell(_)));
            assert!(!acts, "done twice, it does more: {:?}", again.actions);
            assert_eq!(again.record, plan.record, "done twice, it says something else");
        }
    }

    /// How many successes are to be counted: of an Indexed Job, indexes that had none.
    fn won(&self) -> usize {
        let held = self.pods.iter().filter(|pod| pod.has_finalizer(TRACKING_FINALIZER));
        let won = held.filter(|pod| phase(pod) == Phase::Succeeded);
        let Some(indexes) = Indexes::of(&self.job) else { return won.count() };
        let new = won.filter_map(|pod| indexes.index(pod)).filter(|index| !indexes.is_over(*index));
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
            self.step(&Step::End(0, 0));
            self.step(&Step::Wait(600));
        }
        let finished = is_finished(&self.job).is_some();
        assert!(finished || idle, "it does not end: {:?}", self.job.status);
        if finished {
            let status = status(&self.job);
            let counted = status.succeeded.unwrap_or(0) + status.failed.unwrap_or(0);
            let all = number(self.made - self.dismissed - self.ignored);
            assert!(counted == all || self.resized, "every pod counts once: {counted} of {all}");
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

fn number_of(n: u32) -> i32 {
    i32::try_from(n).unwrap()
}

/// Whether the first rule about the pod's exit code says that its failure counts for nothing.
fn is_ignored(job: &Job, pod: &Pod) -> bool {
    let policy = job.spec.as_ref().and_then(|spec| spec.pod_failure_policy.as_ref());
    let ended = container_statuses(pod).first().and_then(|s| s.state.as_ref()?.terminated.as_ref());
    let (Some(policy), Some(ended)) = (policy, ended) else { return false };
    let about = |rule: &&PodFailurePolicyRule| {
        rule.on_exit_codes.as_ref().is_some_and(|codes| codes.values.contains(&ended.exit_code))
    };
    policy.rules.iter().find(about).is_some_and(|rule| rule.action == "Ignore")
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
    fn whatever_becomes_of_its_indexes_a_job_counts_those_that_there_are(
        job in jobs(), steps in steps_and_sizes(),
    ) {
        let mut world = World::new(job);
        for step in &steps {
            world.step(step);
        }
        world.finish();
    }

    #[test]
    fn a_plan_wakes_only_later(job in jobs(), steps in steps_and_sizes()) {
        let mut world = World::new(job);
        for step in &steps {
            world.step(step);
            let plan = world.plan();
            prop_assert!(plan.wake_at.is_none_or(|at| at > world.now), "{:?}", plan.wake_at);
        }
    }
}
