//! What a pod's status says.
//!
//! Owns: the phase, the conditions and the status of each container. Must not know: what is to be
//! done next.
//! <https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/>

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{
    ContainerState, ContainerStateRunning, ContainerStateTerminated, ContainerStateWaiting,
    ContainerStatus, HostIP, Pod, PodCondition, PodIP, PodStatus,
};

use super::check::is_ready;
use super::standing::{Member, Role, container_id};
use super::timer::whole;
use super::{Image, Observed, Sandbox};
use crate::api::extensions::decides;
use crate::api::pod::Phase;

/// The status of each container with what it is to its pod, in the order of their start.
pub(super) type Statuses = Vec<(Role, ContainerStatus)>;

/// What a container says of itself from now on.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Shown {
    Waiting {
        reason: &'static str,
        message: Option<String>,
    },
    Running {
        started_at: Timestamp,
    },
    Ended(ContainerStateTerminated),
    /// It ended and runs again later: the end is its last state.
    BackOff {
        end: ContainerStateTerminated,
        message: String,
    },
    /// It ended and runs again now, as the next attempt.
    Again {
        end: ContainerStateTerminated,
    },
}

/// The status of a container that is shown like this.
pub(super) fn container(
    member: &Member<'_>,
    shown: &Shown,
    observed: &Observed,
) -> ContainerStatus {
    let stored = member.stored.cloned().unwrap_or_default();
    let mut state = ContainerState::default();
    let mut last = member.last_end().cloned();
    let mut count = member.attempt;
    let mut id = member.seen.filter(|seen| !seen.id.is_empty()).map(container_id);
    if id.is_none() && count == super::standing::restart_count(&stored) {
        id = stored.container_id.clone();
    }
    let mut waits = |reason: &str, message| {
        state.waiting = Some(ContainerStateWaiting { reason: Some(reason.to_owned()), message });
    };
    match shown {
        Shown::Waiting { reason, message } => waits(reason, message.clone()),
        Shown::BackOff { end, message } => {
            waits("CrashLoopBackOff", Some(message.clone()));
            last = Some(end.clone());
            id = end.container_id.clone();
        }
        Shown::Again { end } => {
            let start_error = end.reason.as_deref() == Some("StartError");
            let reason = if start_error { "RunContainerError" } else { member.creating };
            waits(reason, end.message.clone().filter(|_| start_error));
            last = Some(end.clone());
            count += 1;
            id = None;
        }
        Shown::Running { started_at } => {
            state.running = Some(ContainerStateRunning { started_at: Some(whole(*started_at)) });
        }
        Shown::Ended(end) => {
            id = end.container_id.clone();
            state.terminated = Some(end.clone());
        }
    }
    let running = state.running.is_some();
    let ready = match member.role {
        Role::Init => state.terminated.as_ref().is_some_and(|end| end.exit_code == 0),
        Role::Sidecar | Role::App => running && member.up && is_ready(member, observed),
    };
    let image = member.image().to_owned();
    let seen_id = member.seen.map(|seen| seen.image_id.clone()).filter(|id| !id.is_empty());
    let known_id = match observed.images.get(&image) {
        Some(Image::Present { id, .. }) => Some(id.clone()),
        Some(Image::Failed { .. }) | None => None,
    };
    ContainerStatus {
        name: member.name().to_owned(),
        image_id: seen_id.or(known_id).unwrap_or(stored.image_id),
        image,
        container_id: id,
        ready,
        started: Some(running && member.up),
        restart_count: i32::try_from(count).unwrap_or(i32::MAX),
        state: Some(state),
        last_state: Some(ContainerState { terminated: last, ..ContainerState::default() }),
        ..ContainerStatus::default()
    }
}

/// How far the init containers are, and how many sidecars run or are yet to.
#[derive(Debug, Default)]
struct Beginning {
    pending: usize,
    failed: usize,
    waiting: usize,
    running: usize,
}

impl Beginning {
    fn of(statuses: &Statuses) -> Self {
        let mut all = Self::default();
        for (role, status) in statuses {
            let state = status.state.clone().unwrap_or_default();
            let last = status.last_state.as_ref().and_then(|last| last.terminated.as_ref());
            let end = state.terminated.as_ref().or(last);
            match role {
                Role::App => {}
                Role::Init => match &state.terminated {
                    Some(end) if end.exit_code != 0 => all.failed += 1,
                    Some(_) => {}
                    None => all.pending += 1,
                },
                Role::Sidecar if state.running.is_some() => all.running += 1,
                Role::Sidecar if end.is_none() => {
                    all.pending += 1;
                    all.waiting += 1;
                }
                Role::Sidecar => {}
            }
        }
        all
    }
}

/// Containers that do not decide how the pod ends have no say in whether it has.
pub(super) fn phase(pod: &Pod, statuses: &Statuses) -> Phase {
    let counts = |(role, status): &&(Role, ContainerStatus)| {
        *role != Role::App || decides(&pod.metadata, &status.name)
    };
    if statuses.iter().all(|status| counts(&status)) {
        return phase_by(statuses);
    }
    let deciding = phase_by(&statuses.iter().filter(counts).cloned().collect());
    if deciding.is_terminal() { deciding } else { phase_by(statuses) }
}

/// <https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#pod-phase>
fn phase_by(statuses: &Statuses) -> Phase {
    let beginning = Beginning::of(statuses);
    let (mut waiting, mut running) = (beginning.waiting, beginning.running);
    let (mut started, mut restarting, mut ended, mut succeeded) = (0, 0, 0, 0);
    for status in own(statuses) {
        let state = status.state.clone().unwrap_or_default();
        let last = status.last_state.as_ref().is_some_and(|last| last.terminated.is_some());
        started += usize::from(state.waiting.is_none() || last);
        match (state.running, state.terminated) {
            (Some(_), _) => running += 1,
            (None, Some(end)) => {
                ended += 1;
                succeeded += usize::from(end.exit_code == 0);
            }
            (None, None) if last => restarting += 1,
            (None, None) => waiting += 1,
        }
    }
    // A container that ended and is shown as ended does not run again; one that waits for its restart does.
    if beginning.failed > 0 {
        Phase::Failed
    } else if waiting > 0 || statuses.is_empty() || (beginning.pending > 0 && started == 0) {
        Phase::Pending
    } else if running > 0 || restarting > 0 {
        Phase::Running
    } else if succeeded == ended {
        Phase::Succeeded
    } else {
        Phase::Failed
    }
}

fn own(statuses: &Statuses) -> impl Iterator<Item = &ContainerStatus> {
    statuses.iter().filter(|(role, _)| *role == Role::App).map(|(_, status)| status)
}

/// The status around those of the containers.
pub(super) fn assemble(
    stored: &PodStatus,
    statuses: Statuses,
    phase: Phase,
    observed: &Observed,
    now: Timestamp,
) -> PodStatus {
    let mut status = stored.clone();
    status.phase = Some(phase.as_str().to_owned());
    status.start_time.get_or_insert_with(|| whole(now));
    let conditions = conditions(&status, &statuses, phase, (observed, now));
    let (own, init): (Vec<_>, Vec<_>) =
        statuses.into_iter().partition(|(role, _)| *role == Role::App);
    let plain = |all: Statuses| all.into_iter().map(|(_, status)| status).collect::<Vec<_>>();
    status.container_statuses = Some(plain(own));
    status.init_container_statuses = Some(plain(init)).filter(|init| !init.is_empty());
    status.conditions = Some(conditions);
    if let Sandbox::Ready { ips } = &observed.sandbox
        && let Some(first) = ips.first()
    {
        status.pod_ip = Some(first.clone());
        status.pod_ips = Some(ips.iter().map(|ip| PodIP { ip: ip.clone() }).collect());
    }
    status
}

/// Where the pod is. It stays there.
pub(super) fn place(status: &mut PodStatus, host_ips: &[String]) {
    if let Some(first) = host_ips.first()
        && status.host_ip.is_none()
    {
        status.host_ip = Some(first.clone());
        status.host_ips = Some(host_ips.iter().map(|ip| HostIP { ip: ip.clone() }).collect());
    }
}

/// What a condition says: whether it is true, and why.
type Verdict = (bool, Option<&'static str>, Option<String>);

/// <https://kubernetes.io/docs/concepts/workloads/pods/init-containers/#detailed-behavior>
fn initialized(statuses: &Statuses, phase: Phase) -> Verdict {
    let begun = |status: &ContainerStatus| {
        let ended = |state: &ContainerState| state.terminated.is_some();
        let state = status.state.as_ref();
        state.is_some_and(|state| state.running.is_some() || ended(state))
            || status.last_state.as_ref().is_some_and(ended)
    };
    let incomplete: Vec<&str> = statuses
        .iter()
        .filter(|(role, status)| match role {
            Role::Init => !status.ready,
            Role::Sidecar => status.started != Some(true),
            Role::App => false,
        })
        .map(|(_, status)| status.name.as_str())
        .collect();
    if phase == Phase::Succeeded {
        (true, Some("PodCompleted"), None)
    } else if incomplete.is_empty() || own(statuses).any(begun) {
        (true, None, None)
    } else {
        let message = format!("containers with incomplete status: [{}]", incomplete.join(" "));
        (false, Some("ContainersNotInitialized"), Some(message))
    }
}

/// <https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#pod-conditions>
fn conditions(
    status: &PodStatus,
    statuses: &Statuses,
    phase: Phase,
    (observed, now): (&Observed, Timestamp),
) -> Vec<PodCondition> {
    let lasting = statuses.iter().filter(|(role, _)| *role != Role::Init);
    let unready: Vec<&str> = lasting
        .filter(|(_, container)| !container.ready)
        .map(|(_, container)| container.name.as_str())
        .collect();
    let ready = match (phase, unready.is_empty()) {
        (Phase::Succeeded, _) => (false, Some("PodCompleted"), None),
        (Phase::Failed, _) => (false, Some("PodFailed"), None),
        (_, true) => (true, None, None),
        (_, false) => {
            let message = format!("containers with unready status: [{}]", unready.join(" "));
            (false, Some("ContainersNotReady"), Some(message))
        }
    };
    let sandbox = matches!(observed.sandbox, Sandbox::Ready { .. }) && !phase.is_terminal();
    let all = [
        ("PodReadyToStartContainers", (sandbox, None, None)),
        ("Initialized", initialized(statuses, phase)),
        ("Ready", ready.clone()),
        ("ContainersReady", ready),
        ("PodScheduled", (true, None, None)),
    ];
    let stored = status.conditions.clone().unwrap_or_default();
    let mut conditions: Vec<PodCondition> = stored
        .iter()
        .filter(|condition| all.iter().all(|(kind, _)| condition.type_ != *kind))
        .cloned()
        .collect();
    conditions.extend(all.into_iter().map(|(kind, (is_true, reason, message))| {
        let is = if is_true { "True" } else { "False" };
        let before = stored.iter().find(|c| c.type_ == kind && c.status == is);
        PodCondition {
            type_: kind.to_owned(),
            status: is.to_owned(),
            reason: reason.map(str::to_owned),
            message,
            last_transition_time: before
                .map_or_else(|| Some(whole(now)), |c| c.last_transition_time.clone()),
            ..PodCondition::default()
        }
    }));
    conditions
}
