//! What is asked of a running container: hooks and probes.
//!
//! Owns: what is asked, when, and what the answers amount to. Must not know: how it is asked.
//! <https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#container-probes>

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{
    Container as Wanted, ExecAction, GRPCAction, HTTPGetAction, LifecycleHandler, Pod, Probe,
    TCPSocketAction,
};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::standing::{Member, Standing};
use super::timer::later;
use super::{Instance, Observed, Operation};
use crate::api::pod::grace_period;

/// How long a hook after the start may take; Kubernetes knows no limit.
const POST_START_TIMEOUT: Duration = Duration::from_secs(3600);

/// One thing that is asked of a container while it runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Check {
    /// <https://kubernetes.io/docs/concepts/containers/container-lifecycle-hooks/>
    PostStart,
    PreStop,
    Startup,
    Liveness,
    Readiness,
}

/// What the answers have been so far.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checked {
    /// How often in a row it went well, or did not.
    pub successes: u32,
    pub failures: u32,
    /// When it was asked last.
    pub at: Timestamp,
    /// What the last failure said.
    pub message: String,
}

/// How it is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Handler {
    /// A program in the container that exits with 0.
    Exec(Vec<String>),
    /// An answer with a status from 200 to 399.
    Http(HttpGet),
    /// A connection.
    Tcp { host: Option<String>, port: u16 },
    /// A server that says by gRPC that it serves; it, or one service of it.
    Grpc { port: u16, service: String },
    /// Nothing but time.
    Sleep(Duration),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpGet {
    /// The pod itself, if none is named.
    pub host: Option<String>,
    pub port: u16,
    pub path: String,
    pub headers: Vec<(String, String)>,
    /// Whether it is encrypted. Any certificate will do.
    pub tls: bool,
}

impl Check {
    /// All but `PreStop`, in the order in which they matter.
    pub(super) const WHILE_RUNNING: [Self; 4] =
        [Self::PostStart, Self::Startup, Self::Liveness, Self::Readiness];

    /// How it is asked of this container, if it is.
    #[must_use]
    pub fn handler(self, container: &Wanted) -> Option<Handler> {
        let lifecycle = container.lifecycle.as_ref();
        match self {
            Self::PostStart => hook(container, lifecycle?.post_start.as_ref()?),
            Self::PreStop => hook(container, lifecycle?.pre_stop.as_ref()?),
            Self::Startup | Self::Liveness | Self::Readiness => {
                let probe = self.probe(container)?;
                exec(probe.exec.as_ref())
                    .or_else(|| http(container, probe.http_get.as_ref()?))
                    .or_else(|| tcp(container, probe.tcp_socket.as_ref()?))
                    .or_else(|| grpc(probe.grpc.as_ref()?))
            }
        }
    }

    /// How long an answer may take.
    #[must_use]
    pub fn timeout(self, pod: &Pod, container: &Wanted) -> Duration {
        match self {
            Self::PostStart => POST_START_TIMEOUT,
            Self::PreStop => grace_period(pod),
            Self::Startup | Self::Liveness | Self::Readiness => {
                seconds(self.probe(container).and_then(|probe| probe.timeout_seconds), 1)
            }
        }
    }

    fn probe(self, container: &Wanted) -> Option<&Probe> {
        match self {
            Self::PostStart | Self::PreStop => None,
            Self::Startup => container.startup_probe.as_ref(),
            Self::Liveness => container.liveness_probe.as_ref(),
            Self::Readiness => container.readiness_probe.as_ref(),
        }
    }

    /// How often in a row it must go wrong before that counts.
    fn failures_max(self, container: &Wanted) -> u32 {
        let asked = self.probe(container).map(|probe| probe.failure_threshold.unwrap_or(3));
        asked.map_or(1, |count| u32::try_from(count).unwrap_or(1).max(1))
    }

    fn successes_min(self, container: &Wanted) -> u32 {
        let asked = self.probe(container).and_then(|probe| probe.success_threshold);
        asked.map_or(1, |count| u32::try_from(count).unwrap_or(1).max(1))
    }

    /// As events call it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::PostStart => "PostStartHook",
            Self::PreStop => "PreStopHook",
            Self::Startup => "Startup",
            Self::Liveness => "Liveness",
            Self::Readiness => "Readiness",
        }
    }
}

fn hook(container: &Wanted, hook: &LifecycleHandler) -> Option<Handler> {
    let sleep = || {
        let time = u64::try_from(hook.sleep.as_ref()?.seconds).unwrap_or(0);
        Some(Handler::Sleep(Duration::from_secs(time)))
    };
    exec(hook.exec.as_ref())
        .or_else(|| http(container, hook.http_get.as_ref()?))
        .or_else(|| tcp(container, hook.tcp_socket.as_ref()?))
        .or_else(sleep)
}

fn exec(action: Option<&ExecAction>) -> Option<Handler> {
    Some(Handler::Exec(action?.command.clone().unwrap_or_default()))
}

fn http(container: &Wanted, get: &HTTPGetAction) -> Option<Handler> {
    let path = get.path.as_deref().unwrap_or("/");
    let slash = if path.starts_with('/') { "" } else { "/" };
    let headers = get.http_headers.iter().flatten();
    Some(Handler::Http(HttpGet {
        host: get.host.clone().filter(|host| !host.is_empty()),
        port: port(container, &get.port)?,
        path: format!("{slash}{path}"),
        headers: headers.map(|header| (header.name.clone(), header.value.clone())).collect(),
        tls: get.scheme.as_deref() == Some("HTTPS"),
    }))
}

fn tcp(container: &Wanted, socket: &TCPSocketAction) -> Option<Handler> {
    let host = socket.host.clone().filter(|host| !host.is_empty());
    Some(Handler::Tcp { host, port: port(container, &socket.port)? })
}

fn grpc(action: &GRPCAction) -> Option<Handler> {
    let service = action.service.clone().unwrap_or_default();
    Some(Handler::Grpc { port: u16::try_from(action.port).ok()?, service })
}

/// A port by its number or by its name.
fn port(container: &Wanted, port: &IntOrString) -> Option<u16> {
    match port {
        IntOrString::Int(number) => u16::try_from(*number).ok(),
        IntOrString::String(name) => {
            let mut all = container.ports.iter().flatten();
            let named = all.find(|port| port.name.as_deref() == Some(name));
            named.map_or_else(|| name.parse().ok(), |port| u16::try_from(port.container_port).ok())
        }
    }
}

fn seconds(asked: Option<i32>, default: u64) -> Duration {
    let least = |count| u64::try_from(count).unwrap_or(0).max(1);
    Duration::from_secs(asked.map_or(default, least))
}

/// What follows from the answers so far.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Nothing is asked, or not yet for want of another answer.
    Quiet,
    /// It is asked now.
    Due,
    /// It is asked then.
    DueAt(Timestamp),
    /// The container is to be stopped.
    Failed(String),
}

/// The answers of the member's current attempt.
pub(super) fn checked(instance: Instance, check: Check, observed: &Observed) -> Option<&Checked> {
    observed.checks.get(&(instance, check))
}

/// Whether a container that runs counts as started: its hook is done and its startup probe went well. What
/// was once stored as started is so.
pub(super) fn has_started(member: &Member<'_>, observed: &Observed) -> bool {
    let Some(seen) = member.seen.filter(|_| member.runs()) else { return member.runs() };
    let stored = member.stored.filter(|stored| {
        let id = super::standing::container_id(seen);
        stored.started == Some(true) && stored.container_id.as_deref() == Some(id.as_str())
    });
    stored.is_some()
        || [Check::PostStart, Check::Startup]
            .iter()
            .all(|check| went_well(member, *check, observed))
}

/// Whether a container that has started is ready. Before the first answers of this engine, what is stored
/// holds.
pub(super) fn is_ready(member: &Member<'_>, observed: &Observed) -> bool {
    let check = Check::Readiness;
    if check.handler(member.spec).is_none() {
        return true;
    }
    let before = member.stored.is_some_and(|stored| stored.ready);
    let Some(answers) = checked(member.instance(), check, observed) else { return before };
    match before {
        true => answers.failures < check.failures_max(member.spec),
        false => answers.successes >= check.successes_min(member.spec),
    }
}

fn went_well(member: &Member<'_>, check: Check, observed: &Observed) -> bool {
    check.handler(member.spec).is_none()
        || checked(member.instance(), check, observed)
            .is_some_and(|answers| answers.successes >= check.successes_min(member.spec))
}

/// What is to be done about a check of a container that runs.
pub(super) fn verdict(
    member: &Member<'_>,
    check: Check,
    observed: &Observed,
    now: Timestamp,
) -> Verdict {
    let Standing::Running { started_at } = member.standing else { return Verdict::Quiet };
    let instance = member.instance();
    if check.handler(member.spec).is_none()
        || observed.in_flight.contains(&Operation::Check(instance.clone(), check))
    {
        return Verdict::Quiet;
    }
    let answers = checked(instance, check, observed);
    let deadly = check != Check::Readiness;
    if let Some(answers) = answers
        && deadly
        && answers.failures >= check.failures_max(member.spec)
    {
        return Verdict::Failed(answers.message.clone());
    }
    let is_wanted = match check {
        Check::PostStart | Check::Startup => !member.up && !went_well(member, check, observed),
        Check::Liveness | Check::Readiness => member.up,
        Check::PreStop => answers.is_none(),
    };
    if !is_wanted {
        return Verdict::Quiet;
    }
    let probe = check.probe(member.spec);
    let delay = probe.and_then(|probe| probe.initial_delay_seconds).unwrap_or(0);
    let delay = Duration::from_secs(u64::try_from(delay).unwrap_or(0));
    let period = seconds(probe.and_then(|probe| probe.period_seconds), 10);
    let due = answers.map_or_else(|| later(started_at, delay), |last| later(last.at, period));
    if due <= now { Verdict::Due } else { Verdict::DueAt(due) }
}

/// How long a container that failed a check has to stop.
/// <https://kubernetes.io/docs/tasks/configure-pod-container/configure-liveness-readiness-startup-probes/#probe-level-terminationgraceperiodseconds>
pub(super) fn grace_after(check: Check, pod: &Pod, container: &Wanted) -> Duration {
    let own = check.probe(container).and_then(|probe| probe.termination_grace_period_seconds);
    let own = own.and_then(|seconds| u64::try_from(seconds).ok()).map(Duration::from_secs);
    own.unwrap_or_else(|| grace_period(pod))
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::Pod;
    use serde_json::{Value, json};

    use super::*;
    use crate::pod::cases::{after, at, does, instance, look, pod, put, ready, running};
    use crate::pod::{Action, Plan, Signal};

    /// A pod whose container has these fields, and that runs since second 0.
    fn case(fields: Value) -> (Pod, Observed) {
        let mut pod = pod("OnFailure", &["main"]);
        let spec = pod.spec.as_mut().unwrap();
        let mut container = serde_json::to_value(&spec.containers[0]).unwrap();
        let Value::Object(fields) = fields else { panic!("fields are an object") };
        container.as_object_mut().unwrap().extend(fields);
        spec.containers[0] = serde_json::from_value(container).unwrap();
        let mut observed = ready();
        put(&mut observed, instance("main", 0), running(0));
        (pod, observed)
    }

    fn next(pod: &mut Pod, observed: &Observed, second: i64) -> Plan {
        *pod = after(pod, &look(pod, observed, second));
        look(pod, observed, second)
    }

    fn asks(plan: &Plan, check: Check) -> bool {
        does(plan, &Action::Check { instance: instance("main", 0), check })
    }

    fn signals(plan: &Plan, signal: Signal) -> bool {
        does(plan, &Action::Signal { instance: instance("main", 0), signal })
    }

    fn answer(observed: &mut Observed, check: Check, second: i64, failures: u32) {
        let successes = u32::from(failures == 0);
        let answers = Checked { successes, failures, at: at(second), message: "why".into() };
        observed.checks.insert((instance("main", 0), check), answers);
    }

    /// Whether the container is started, and ready.
    fn state(plan: &Plan) -> (bool, bool) {
        let status = &plan.record.status.container_statuses.as_ref().unwrap()[0];
        (status.started == Some(true), status.ready)
    }

    #[test]
    fn a_probe_is_asked_after_its_delay_and_then_in_its_period() {
        let probe =
            json!({"exec": {"command": ["a"]}, "initialDelaySeconds": 5, "periodSeconds": 3});
        let (mut pod, mut observed) = case(json!({"livenessProbe": probe}));
        let plan = next(&mut pod, &observed, 4);
        assert_eq!((asks(&plan, Check::Liveness), plan.wake_at), (false, Some(at(5))));
        assert!(asks(&next(&mut pod, &observed, 5), Check::Liveness));
        answer(&mut observed, Check::Liveness, 5, 0);
        let plan = next(&mut pod, &observed, 7);
        assert_eq!((asks(&plan, Check::Liveness), plan.wake_at), (false, Some(at(8))));
        assert!(asks(&next(&mut pod, &observed, 8), Check::Liveness));
    }

    #[test]
    fn a_container_that_is_not_alive_any_more_is_stopped_and_then_killed() {
        let probe = json!({"exec": {"command": ["a"]}, "failureThreshold": 2,
            "terminationGracePeriodSeconds": 4});
        let (mut pod, mut observed) = case(json!({"livenessProbe": probe}));
        answer(&mut observed, Check::Liveness, 10, 1);
        let plan = next(&mut pod, &observed, 20);
        assert_eq!((asks(&plan, Check::Liveness), signals(&plan, Signal::Stop)), (true, false));
        answer(&mut observed, Check::Liveness, 20, 2);
        assert!(signals(&next(&mut pod, &observed, 20), Signal::Stop));
        let known = observed.containers.get_mut(&instance("main", 0)).unwrap();
        known.signalled = Some((Signal::Stop, at(20)));
        assert_eq!(next(&mut pod, &observed, 21).wake_at, Some(at(24)));
        assert!(signals(&next(&mut pod, &observed, 24), Signal::Kill));
    }

    #[test]
    fn other_probes_wait_for_the_one_of_the_start() {
        let probe = || json!({"tcpSocket": {"port": 1}});
        let (mut pod, mut observed) = case(
            json!({"livenessProbe": probe(), "startupProbe": probe(), "readinessProbe": probe()}),
        );
        let plan = next(&mut pod, &observed, 1);
        assert!(asks(&plan, Check::Startup) && !asks(&plan, Check::Liveness));
        assert_eq!(state(&plan), (false, false));
        answer(&mut observed, Check::Startup, 1, 0);
        let plan = next(&mut pod, &observed, 2);
        assert!(!asks(&plan, Check::Startup) && asks(&plan, Check::Readiness));
        assert!(asks(&plan, Check::Liveness));
        assert_eq!(state(&plan), (true, false));
    }

    #[test]
    fn readiness_only_changes_whether_the_pod_is_ready() {
        let (mut pod, mut observed) = case(json!({"readinessProbe": {"tcpSocket": {"port": 1}}}));
        assert_eq!(state(&next(&mut pod, &observed, 1)), (true, false));
        answer(&mut observed, Check::Readiness, 1, 0);
        assert_eq!(state(&next(&mut pod, &observed, 2)), (true, true));
        // Two failures are not enough, three are; nothing is stopped.
        for (failures, is_ready) in [(2, true), (3, false), (30, false)] {
            answer(&mut observed, Check::Readiness, 10, failures);
            let plan = next(&mut pod, &observed, 20);
            assert_eq!((state(&plan), signals(&plan, Signal::Stop)), ((true, is_ready), false));
        }
    }

    #[test]
    fn a_hook_after_the_start_is_waited_for_and_its_failure_stops_the_container() {
        let hook = json!({"postStart": {"exec": {"command": ["a"]}}});
        let (mut pod, mut observed) = case(json!({"lifecycle": hook}));
        let plan = next(&mut pod, &observed, 0);
        assert_eq!((asks(&plan, Check::PostStart), state(&plan)), (true, (false, false)));
        answer(&mut observed, Check::PostStart, 1, 0);
        let plan = next(&mut pod, &observed, 1);
        assert_eq!((asks(&plan, Check::PostStart), state(&plan)), (false, (true, true)));
        // Another engine takes what is stored for it.
        observed.checks.clear();
        assert!(!asks(&next(&mut pod, &observed, 2), Check::PostStart));

        let (mut pod, mut observed) = case(json!({"lifecycle": hook}));
        answer(&mut observed, Check::PostStart, 1, 1);
        assert!(signals(&next(&mut pod, &observed, 1), Signal::Stop));
    }

    #[test]
    fn a_hook_before_the_stop_comes_before_the_signal_within_the_grace_period() {
        use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
        let hook = json!({"preStop": {"exec": {"command": ["a"]}}});
        let (mut pod, mut observed) = case(json!({"lifecycle": hook}));
        next(&mut pod, &observed, 0);
        pod.metadata.deletion_timestamp = Some(Time(at(40)));
        pod.metadata.deletion_grace_period_seconds = Some(30);
        let plan = next(&mut pod, &observed, 10);
        assert!(asks(&plan, Check::PreStop) && !signals(&plan, Signal::Stop));
        let late = next(&mut pod, &observed, 41);
        assert!(signals(&late, Signal::Stop));
        answer(&mut observed, Check::PreStop, 12, 0);
        let plan = next(&mut pod, &observed, 12);
        assert!(!asks(&plan, Check::PreStop) && signals(&plan, Signal::Stop));
        pod.metadata.deletion_grace_period_seconds = Some(0);
        observed.checks.clear();
        let plan = next(&mut pod, &observed, 13);
        assert!(!asks(&plan, Check::PreStop) && signals(&plan, Signal::Kill));
    }

    #[test]
    fn a_port_is_found_by_its_name() {
        let (pod, _) = case(json!({
            "ports": [{"name": "web", "containerPort": 8080}],
            "livenessProbe": {"httpGet": {"port": "web", "path": "healthz"}},
        }));
        let container = &pod.spec.as_ref().unwrap().containers[0];
        let get = HttpGet {
            host: None,
            port: 8080,
            path: "/healthz".into(),
            headers: Vec::new(),
            tls: false,
        };
        assert_eq!(Check::Liveness.handler(container), Some(Handler::Http(get)));
        assert_eq!(Check::Readiness.handler(container), None);
    }
}
