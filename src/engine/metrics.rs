//! What is measured of the engine.
//!
//! Owns: the metrics, under the names that Kubernetes gives them, and what each looks at. Must not know: who
//! reads them. <https://kubernetes.io/docs/reference/instrumentation/metrics/>

use std::fmt::Debug;
use std::hash::Hash;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode_registry;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

use crate::api::job::{is_finished, true_condition};
use crate::api::object::Object;
use crate::api::pod::{Phase, is_terminal, phase};
use crate::job::{self, Action, TRACKING_FINALIZER};
use crate::pod::{Container, Observed, Operation, Sandbox, State};
use crate::runtime::{PullError, Pulled};

/// When a CronJob's Job was to be made.
/// <https://kubernetes.io/docs/reference/labels-annotations-taints/#batch-kubernetes-io-cronjob-scheduled-timestamp>
const SCHEDULED: &str = "batch.kubernetes.io/cronjob-scheduled-timestamp";

/// A look at a Job, as the Job controller of Kubernetes counts it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Sync {
    completion_mode: String,
    result: &'static str,
    action: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Finished {
    completion_mode: String,
    result: &'static str,
    reason: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PodFinished {
    completion_mode: String,
    result: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Tracked {
    event: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Judged {
    action: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfSize {
    image_size_in_bytes: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Ended {
    result: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Performed {
    operation_type: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Queued {
    name: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct InState {
    container_state: &'static str,
}

type Histograms<S> = Family<S, Histogram, fn() -> Histogram>;

/// The metrics of one engine.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    sync_duration: Histograms<Sync>,
    syncs: Family<Sync, Counter>,
    jobs_finished: Family<Finished, Counter>,
    pods_finished: Family<PodFinished, Counter>,
    tracking: Family<Tracked, Counter>,
    failures_judged: Family<Judged, Counter>,
    cron_skew: Histogram,
    pod_start: Histogram,
    pull_duration: Histograms<OfSize>,
    pulls: Family<Ended, Counter>,
    operations: Family<Performed, Counter>,
    operation_errors: Family<Performed, Counter>,
    operation_duration: Histograms<Performed>,
    running_pods: Gauge,
    running_containers: Gauge,
    queues: Family<Queued, Gauge>,
}

/// Seconds of what ought to be quick: 1 ms to 16 s.
fn quick() -> Histogram {
    Histogram::new(exponential_buckets(0.001, 2.0, 15))
}

/// Seconds of what may take its time: as the kubelet and the CronJob controller sort it.
fn slow() -> Histogram {
    Histogram::new([0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 900.0])
}

/// Registers metrics.
struct Register(Registry);

impl Register {
    fn counters<S>(&mut self, name: &str, help: &str) -> Family<S, Counter>
    where
        S: Clone + Hash + Eq + EncodeLabelSet + Debug + Send + std::marker::Sync + 'static,
    {
        let family = Family::default();
        // The encoder adds `_total`.
        self.0.register(name, help, Family::clone(&family));
        family
    }

    fn histograms<S>(&mut self, name: &str, help: &str, kind: fn() -> Histogram) -> Histograms<S>
    where
        S: Clone + Hash + Eq + EncodeLabelSet + Debug + Send + std::marker::Sync + 'static,
    {
        let family = Histograms::new_with_constructor(kind);
        self.0.register(name, help, Family::clone(&family));
        family
    }

    fn histogram(&mut self, name: &str, help: &str, kind: fn() -> Histogram) -> Histogram {
        let histogram = kind();
        self.0.register(name, help, histogram.clone());
        histogram
    }
}

impl Metrics {
    pub(super) fn new() -> Self {
        let mut to = Register(Registry::default());
        let help = "How long a look at a Job took, in seconds";
        let sync_duration = to.histograms("job_controller_job_sync_duration_seconds", help, quick);
        let syncs = to.counters("job_controller_job_syncs", "Looks at Jobs");
        let help = "Jobs that are over, by how they ended";
        let jobs_finished = to.counters("job_controller_jobs_finished", help);
        let help = "Pods that were counted in the status of their Job";
        let pods_finished = to.counters("job_controller_job_pods_finished", help);
        let help = "Pods that ended with the finalizer that has them counted (add), and that lost it (delete)";
        let tracking = to.counters("job_controller_terminated_pods_tracking_finalizer", help);
        let help = "Failed pods that a rule of their Job's pod failure policy was about";
        let failures_judged =
            to.counters("job_controller_pod_failures_handled_by_failure_policy", help);
        let help = "How long after its time a CronJob's Job was made, in seconds";
        let cron_skew =
            to.histogram("cronjob_controller_job_creation_skew_duration_seconds", help, slow);
        let help = "From the first sight of a pod to the start of its first container, in seconds";
        let pod_start = to.histogram("kubelet_pod_start_duration_seconds", help, slow);
        let help = "How long the transfer of an image took, in seconds";
        let pull_duration = to.histograms("kubelet_image_pull_duration_seconds", help, slow);
        let pulls = to.counters("kiln_image_pulls", "Images that were asked for, by the outcome");
        let help = "Operations on containers, sandboxes and images";
        let operations = to.counters("kubelet_runtime_operations", help);
        let help = "Operations that failed";
        let operation_errors = to.counters("kubelet_runtime_operations_errors", help);
        let help = "How long operations took, in seconds; waits for a turn included";
        let operation_duration =
            to.histograms("kubelet_runtime_operations_duration_seconds", help, slow);
        let (running_pods, queues) = (Gauge::default(), Family::default());
        to.0.register(
            "kubelet_running_pods",
            "Pods with a container that runs",
            running_pods.clone(),
        );
        let containers = Family::<InState, Gauge>::default();
        let help = "Containers that run";
        to.0.register("kubelet_running_containers", help, containers.clone());
        let running_containers =
            containers.get_or_create_owned(&InState { container_state: "running" });
        let help = "Objects that wait to be looked at";
        to.0.register("workqueue_depth", help, Family::clone(&queues));
        Self {
            registry: to.0,
            sync_duration,
            syncs,
            jobs_finished,
            pods_finished,
            tracking,
            failures_judged,
            cron_skew,
            pod_start,
            pull_duration,
            pulls,
            operations,
            operation_errors,
            operation_duration,
            running_pods,
            running_containers,
            queues,
        }
    }

    /// All of them in OpenMetrics, without the mark of its end.
    pub fn write(&self, out: &mut String) {
        // A String takes everything.
        let _ = encode_registry(out, &self.registry);
    }

    /// A look at a Job has ended.
    pub(super) fn synced(&self, job: &Job, action: Look, is_done: bool, took: SignedDuration) {
        let result = if is_done { "success" } else { "error" };
        let label = Sync { completion_mode: mode(job), result, action: action.as_str() };
        self.syncs.get_or_create(&label).inc();
        self.sync_duration.get_or_create(&label).observe(took.as_secs_f64());
    }

    /// A Job and some of its pods were changed together: `before` and after.
    pub(super) fn job_changed(&self, (before, after): (&Job, &Job), pods: &[(&Pod, &Pod)]) {
        let counts = |job: &Job| {
            let status = job.status.as_ref();
            let count = |number: Option<i32>| u64::try_from(number.unwrap_or(0)).unwrap_or(0);
            [status.and_then(|s| s.succeeded), status.and_then(|s| s.failed)].map(count)
        };
        let (old, new) = (counts(before), counts(after));
        for (result, (old, new)) in
            ["succeeded", "failed"].into_iter().zip(old.into_iter().zip(new))
        {
            if new > old {
                let label = PodFinished { completion_mode: mode(after), result };
                self.pods_finished.get_or_create(&label).inc_by(new - old);
            }
        }
        if is_finished(before).is_none() && is_finished(after).is_some() {
            let (result, condition) = match true_condition(after, "Complete") {
                Some(condition) => ("succeeded", Some(condition)),
                None => ("failed", true_condition(after, "Failed")),
            };
            let reason = condition.and_then(|condition| condition.reason.clone());
            let reason = reason.unwrap_or_default();
            let label = Finished { completion_mode: mode(after), result, reason };
            self.jobs_finished.get_or_create(&label).inc();
        }
        let counted = |pod: &Pod| pod.has_finalizer(TRACKING_FINALIZER);
        for (pod, _) in pods.iter().filter(|(old, new)| counted(old) && !counted(new)) {
            if is_terminal(pod) {
                self.tracking.get_or_create(&Tracked { event: "delete" }).inc();
            }
            if phase(pod) == Phase::Failed
                && let Some(action) = job::failure_rule(before, pod)
            {
                self.failures_judged.get_or_create(&Judged { action }).inc();
            }
        }
    }

    /// A pod's status was stored: before and after.
    pub(super) fn pod_changed(&self, before: &Pod, after: &Pod) {
        if !is_terminal(before) && is_terminal(after) && after.has_finalizer(TRACKING_FINALIZER) {
            self.tracking.get_or_create(&Tracked { event: "add" }).inc();
        }
    }

    /// A CronJob's Job was made.
    pub(super) fn cron_created(&self, job: &Job, now: Timestamp) {
        let annotations = job.metadata.annotations.as_ref();
        let due = annotations.and_then(|all| all.get(SCHEDULED)?.parse::<Timestamp>().ok());
        if let Some(due) = due {
            self.cron_skew.observe(now.duration_since(due).as_secs_f64().max(0.0));
        }
    }

    pub(super) fn pulled(&self, result: &Result<Pulled, PullError>) {
        let outcome = match result {
            Ok(Pulled { transfer: Some(transfer), .. }) => {
                let label = OfSize { image_size_in_bytes: size_class(transfer.bytes) };
                let took = transfer.took.as_secs_f64();
                self.pull_duration.get_or_create(&label).observe(took);
                "pulled"
            }
            Ok(Pulled { transfer: None, .. }) => "present",
            Err(PullError::Image(_)) => "failed",
            Err(PullError::Retry { .. }) => "interrupted",
        };
        self.pulls.get_or_create(&Ended { result: outcome }).inc();
    }

    /// An operation has ended.
    pub(super) fn performed(&self, operation: &Operation, is_done: bool, took: SignedDuration) {
        let label = Performed { operation_type: operation_type(operation) };
        self.operations.get_or_create(&label).inc();
        self.operation_duration.get_or_create(&label).observe(took.as_secs_f64());
        if !is_done {
            self.operation_errors.get_or_create(&label).inc();
        }
    }

    /// How many objects wait in a queue.
    pub(super) fn waiting(&self, queue: &'static str, count: usize) {
        let count = i64::try_from(count).unwrap_or(i64::MAX);
        self.queues.get_or_create(&Queued { name: queue }).set(count);
    }
}

/// How far a pod has come: its containers that run are counted for as long as this is held.
#[derive(Debug)]
pub(super) struct Progress {
    metrics: Arc<Metrics>,
    /// When the pod was first seen; `None` once a container of it ran.
    unstarted_since: Option<Timestamp>,
    running: i64,
}

impl Progress {
    pub(super) fn new(metrics: &Arc<Metrics>, observed: &Observed, now: Timestamp) -> Self {
        // What another engine began took its own time.
        let begun = !matches!(observed.sandbox, Sandbox::Absent) || !observed.containers.is_empty();
        let unstarted_since = (!begun).then_some(now);
        Self { metrics: Arc::clone(metrics), unstarted_since, running: 0 }
    }

    /// Takes in what is known of the pod now.
    pub(super) fn look(&mut self, observed: &Observed, now: Timestamp) {
        let runs = |known: &&Container| matches!(known.state, State::Running { .. });
        self.set(observed.containers.values().filter(runs).count());
        if self.running > 0
            && let Some(since) = self.unstarted_since.take()
        {
            self.metrics.pod_start.observe(took(since, now).as_secs_f64());
        }
    }

    fn set(&mut self, count: usize) {
        let count = i64::try_from(count).unwrap_or(i64::MAX);
        let pods = i64::from(count > 0) - i64::from(self.running > 0);
        self.metrics.running_containers.inc_by(count - self.running);
        self.metrics.running_pods.inc_by(pods);
        self.running = count;
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.set(0);
    }
}

/// What a look at a Job was for, in the words of Kubernetes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Look {
    Reconciling,
    /// A pod was counted.
    Tracking,
    PodsCreated,
    PodsDeleted,
}

impl Look {
    /// Of several the one that tells most.
    pub(super) fn of(actions: &[Action]) -> Self {
        let is_any = |what: fn(&Action) -> bool| actions.iter().any(what);
        if is_any(|action| matches!(action, Action::CreatePod(_))) {
            Self::PodsCreated
        } else if is_any(|action| matches!(action, Action::DeletePod { .. })) {
            Self::PodsDeleted
        } else if is_any(|action| matches!(action, Action::ReleasePod { .. })) {
            Self::Tracking
        } else {
            Self::Reconciling
        }
    }

    fn as_str(self) -> &'static str {
        match self {
            Self::Reconciling => "reconciling",
            Self::Tracking => "tracking",
            Self::PodsCreated => "pods_created",
            Self::PodsDeleted => "pods_deleted",
        }
    }
}

fn mode(job: &Job) -> String {
    let mode = job.spec.as_ref().and_then(|spec| spec.completion_mode.clone());
    mode.unwrap_or_else(|| "NonIndexed".to_owned())
}

/// As the container runtime interface calls it.
fn operation_type(operation: &Operation) -> &'static str {
    match operation {
        Operation::Pull(_) => "pull_image",
        Operation::CreateSandbox => "run_podsandbox",
        Operation::UpdateVolumes => "update_volumes",
        Operation::Measure => "container_stats",
        Operation::Start(_) => "start_container",
        Operation::Check(..) => "exec_sync",
        Operation::Signal(..) => "stop_container",
        Operation::Remove(_) => "remove_container",
        Operation::RemoveSandbox => "remove_podsandbox",
    }
}

/// The classes of the kubelet.
fn size_class(bytes: u64) -> &'static str {
    const MB: u64 = 1024 * 1024;
    const CLASSES: [(u64, &str); 11] = [
        (10 * MB, "0-10MB"),
        (100 * MB, "10MB-100MB"),
        (500 * MB, "100MB-500MB"),
        (1024 * MB, "500MB-1GB"),
        (5 * 1024 * MB, "1GB-5GB"),
        (10 * 1024 * MB, "5GB-10GB"),
        (20 * 1024 * MB, "10GB-20GB"),
        (30 * 1024 * MB, "20GB-30GB"),
        (40 * 1024 * MB, "30GB-40GB"),
        (60 * 1024 * MB, "40GB-60GB"),
        (100 * 1024 * MB, "60GB-100GB"),
    ];
    CLASSES.iter().find(|(end, _)| bytes < *end).map_or("GT100GB", |(_, name)| name)
}

/// How long something took, whatever the clock did meanwhile.
pub(super) fn took(begun: Timestamp, ended: Timestamp) -> SignedDuration {
    ended.duration_since(begun).max(SignedDuration::ZERO)
}

#[cfg(test)]
pub(crate) mod tests {
    use serde_json::json;

    use super::*;
    use crate::pod::Instance;
    use crate::runtime::Transfer;

    /// What is told when each metric has something to tell.
    pub(crate) fn all() -> String {
        let metrics = exercised();
        metrics.performed(&Operation::CreateSandbox, false, SignedDuration::ZERO);
        let took = std::time::Duration::ZERO;
        let transfer = Some(Transfer { bytes: 1, took, took_with_wait: took });
        metrics.pulled(&Ok(Pulled { id: String::new(), transfer }));
        metrics.waiting("job", 1);
        text(&metrics)
    }

    fn text(metrics: &Metrics) -> String {
        let mut text = String::new();
        metrics.write(&mut text);
        text
    }

    fn exercised() -> Metrics {
        let metrics = Metrics::new();
        let job = |status: serde_json::Value| -> Job {
            let policy = json!({"rules": [{
                "action": "Ignore", "onExitCodes": {"operator": "In", "values": [42]},
            }]});
            let spec = json!({
                "completionMode": "Indexed", "podFailurePolicy": policy, "template": {},
            });
            serde_json::from_value(json!({"metadata": {}, "spec": spec, "status": status})).unwrap()
        };
        let pod = |finalizers: &[&str]| -> Pod {
            let ended = json!([{
                "name": "a", "restartCount": 0, "ready": false, "image": "", "imageID": "",
                "state": {"terminated": {"exitCode": 42}},
            }]);
            serde_json::from_value(json!({
                "metadata": {"finalizers": finalizers},
                "status": {"phase": "Failed", "containerStatuses": ended},
            }))
            .unwrap()
        };
        let (before, after) = (
            job(json!({"succeeded": 1})),
            job(json!({
                "succeeded": 3, "failed": 1,
                "conditions": [{"type": "Failed", "status": "True", "reason": "FailedIndexes"}],
            })),
        );
        let (held, free) = (pod(&[TRACKING_FINALIZER]), pod(&[]));
        metrics.pod_changed(&Pod::default(), &held);
        metrics.job_changed((&before, &after), &[(&held, &free), (&free, &free)]);
        metrics.synced(&after, Look::Tracking, true, SignedDuration::from_millis(3));
        metrics
    }

    #[test]
    fn what_a_job_and_its_pods_come_to_is_counted() {
        let text = text(&exercised());
        for line in [
            "job_controller_job_pods_finished_total{completion_mode=\"Indexed\",result=\"succeeded\"} 2",
            "job_controller_job_pods_finished_total{completion_mode=\"Indexed\",result=\"failed\"} 1",
            "job_controller_jobs_finished_total{completion_mode=\"Indexed\",result=\"failed\",reason=\"FailedIndexes\"} 1",
            "job_controller_terminated_pods_tracking_finalizer_total{event=\"add\"} 1",
            "job_controller_terminated_pods_tracking_finalizer_total{event=\"delete\"} 1",
            "job_controller_pod_failures_handled_by_failure_policy_total{action=\"Ignore\"} 1",
            "job_controller_job_syncs_total{completion_mode=\"Indexed\",result=\"success\",action=\"tracking\"} 1",
        ] {
            assert!(text.lines().any(|found| found == line), "{line}\n--- is not in ---\n{text}");
        }
    }

    /// A pod with one container that runs.
    fn running() -> Observed {
        let container = Container {
            id: String::new(),
            image_id: String::new(),
            state: State::Running { started_at: Timestamp::UNIX_EPOCH },
            signalled: None,
        };
        let instance = Instance { container: "a".to_owned(), attempt: 0 };
        Observed { containers: [(instance, container)].into(), ..Observed::default() }
    }

    #[test]
    fn what_runs_is_counted_for_as_long_as_it_does() {
        let metrics = Arc::new(Metrics::new());
        let nothing = Observed::default();
        let mut one = Progress::new(&metrics, &nothing, Timestamp::UNIX_EPOCH);
        let mut other = Progress::new(&metrics, &nothing, Timestamp::UNIX_EPOCH);
        one.set(2);
        other.set(1);
        one.set(1);
        one.look(&running(), Timestamp::from_second(3).unwrap());
        other.look(&running(), Timestamp::from_second(1).unwrap());
        other.look(&running(), Timestamp::from_second(9).unwrap());
        let text = text(&metrics);
        assert!(text.contains("kubelet_pod_start_duration_seconds_count 2\n"), "{text}");
        assert!(text.contains("kubelet_pod_start_duration_seconds_sum 4.0\n"), "{text}");
        let counts =
            |metrics: &Metrics| (metrics.running_pods.get(), metrics.running_containers.get());
        assert_eq!(counts(&metrics), (2, 2));
        drop(one);
        other.look(&nothing, Timestamp::UNIX_EPOCH);
        assert_eq!(counts(&metrics), (0, 0));
    }

    #[test]
    fn images_are_sorted_by_their_size() {
        assert_eq!(size_class(0), "0-10MB");
        assert_eq!(size_class(10 << 20), "10MB-100MB");
        assert_eq!(size_class(u64::MAX), "GT100GB");
    }
}
