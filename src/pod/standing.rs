//! Where each container of a pod stands.
//!
//! Owns: bringing together what the stored status tells of a container and what is observed of it.
//! Must not know: what is to be done about it.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{
    Container as Wanted, ContainerStateTerminated, ContainerStatus, Pod, PodStatus,
};

use super::check::has_started;
use super::restart::restarts;
use super::timer::whole;
use super::{Cause, Container, Exit, Instance, Observed, Operation, RefusedReason, State};
use crate::api::event::Note;
use crate::api::extensions::decides;
use crate::api::pod::{
    RestartPolicy, container_policy, containers, init_containers, is_sidecar, restart_policy,
};

/// What the kubelet says of a container that it cannot find any more.
const LOST: &str = "The container could not be located when the pod was terminated";

/// What is told of a container that outlived one of its processes.
const CHILD_OOM: &str = "the kernel killed a process of the container for want of memory";

/// A container of the pod, and where its current attempt stands.
#[derive(Debug)]
pub(super) struct Member<'a> {
    pub(super) spec: &'a Wanted,
    pub(super) role: Role,
    /// Whether it runs again when it ends.
    pub(super) policy: RestartPolicy,
    /// What it waits for before it first runs, in one word.
    pub(super) creating: &'static str,
    /// Whether its end takes part in deciding how the pod ends.
    pub(super) decides: bool,
    /// Whether it runs and counts as started.
    pub(super) up: bool,
    pub(super) stored: Option<&'a ContainerStatus>,
    /// The current attempt: the restart count.
    pub(super) attempt: u32,
    pub(super) standing: Standing,
    /// The current attempt, as far as it is observed.
    pub(super) seen: Option<&'a Container>,
}

/// What a container is to its pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// It runs to its end before the next one starts.
    /// <https://kubernetes.io/docs/concepts/workloads/pods/init-containers/>
    Init,
    /// It starts in the order of the init containers and then runs beside the others.
    /// <https://kubernetes.io/docs/concepts/workloads/pods/sidecar-containers/>
    Sidecar,
    /// What the pod is there for.
    App,
}

/// Where an attempt stands.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Standing {
    /// Not started yet.
    Waiting,
    /// It could not be created; may be tried again.
    Refused {
        reason: RefusedReason,
        message: String,
        at: Timestamp,
        failures: u32,
    },
    Running {
        started_at: Timestamp,
    },
    Ended(ContainerStateTerminated),
}

impl<'a> Member<'a> {
    fn new(
        (spec, role): (&'a Wanted, Role),
        policy: RestartPolicy,
        stored: Option<&'a ContainerStatus>,
        observed: &'a Observed,
        now: Timestamp,
    ) -> Self {
        let attempts = observed.containers.keys().filter(|known| known.container == spec.name);
        let highest = attempts.map(|instance| instance.attempt).max().unwrap_or_default();
        let attempt = stored.map_or(0, restart_count).max(highest);
        let instance = Instance { container: spec.name.clone(), attempt };
        let seen = observed.containers.get(&instance);
        let starting = observed.in_flight.contains(&Operation::Start(instance));
        let told = stored.filter(|status| restart_count(status) == attempt);
        let standing = told
            .and_then(told_end)
            .map(|end| Standing::Ended(end.clone()))
            .or_else(|| seen.map(observed_standing))
            .or_else(|| {
                let lost = told.filter(|_| !starting).and_then(|status| lost(status, now));
                lost.map(Standing::Ended)
            })
            .unwrap_or(Standing::Waiting);
        let creating = "ContainerCreating";
        let (decides, up) = (true, false);
        Self { spec, role, policy, creating, decides, up, stored, attempt, standing, seen }
    }

    pub(super) fn name(&self) -> &'a str {
        &self.spec.name
    }

    pub(super) fn instance(&self) -> Instance {
        Instance { container: self.spec.name.clone(), attempt: self.attempt }
    }

    /// Says of a note that it is about this container.
    pub(super) fn note(&self, note: Note) -> Note {
        match self.role {
            Role::Init | Role::Sidecar => note.about_init(self.name()),
            Role::App => note.about(self.name()),
        }
    }

    /// Whether it runs again after it has ended like this.
    pub(super) fn restarts(&self, end: &ContainerStateTerminated) -> bool {
        restarts(self.spec, self.policy, end)
    }

    pub(super) fn runs(&self) -> bool {
        matches!(self.standing, Standing::Running { .. })
    }

    /// Whether any attempt of it has been begun.
    pub(super) fn has_started(&self) -> bool {
        match self.standing {
            Standing::Running { .. } | Standing::Ended(_) => true,
            Standing::Waiting | Standing::Refused { .. } => self.attempt > 0,
        }
    }

    pub(super) fn image(&self) -> &'a str {
        self.spec.image.as_deref().unwrap_or_default()
    }

    /// How the current attempt ended.
    pub(super) fn end(&self) -> Option<&ContainerStateTerminated> {
        match &self.standing {
            Standing::Ended(end) => Some(end),
            Standing::Waiting | Standing::Refused { .. } | Standing::Running { .. } => None,
        }
    }

    /// How the attempt before the current one ended.
    pub(super) fn last_end(&self) -> Option<&'a ContainerStateTerminated> {
        let stored = self.stored?;
        let last = last_end(stored)?;
        // While a restart is put off, the last state is the end of the current attempt.
        (self.end().is_none() || stored.container_id != last.container_id).then_some(last)
    }

    /// When the current attempt ended, as precisely as that is known.
    pub(super) fn finished_at(&self) -> Option<Timestamp> {
        let end = self.end()?;
        if let Some(State::Exited(exit)) = self.seen.map(|seen| &seen.state) {
            return Some(exit.finished_at);
        }
        end.finished_at.as_ref().map(|time| time.0)
    }
}

/// The containers of a pod in the order of their start: init containers, then the others.
pub(super) fn members<'a>(
    pod: &'a Pod,
    stored: &'a PodStatus,
    observed: &'a Observed,
    now: Timestamp,
) -> Vec<Member<'a>> {
    let own = restart_policy(pod);
    let some_init = !init_containers(pod).is_empty();
    let creating = if some_init { "PodInitializing" } else { "ContainerCreating" };
    let init = init_containers(pod).iter().map(|container| {
        let status = status_of(&container.name, stored.init_container_statuses.as_deref());
        let (role, policy) = match (is_sidecar(container), container_policy(container, own)) {
            (true, _) => (Role::Sidecar, RestartPolicy::Always),
            (false, RestartPolicy::Never) => (Role::Init, RestartPolicy::Never),
            (false, RestartPolicy::OnFailure | RestartPolicy::Always) => {
                (Role::Init, RestartPolicy::OnFailure)
            }
        };
        Member::new((container, role), policy, status, observed, now)
    });
    let apps = containers(pod).iter().map(|container| {
        let status = status_of(&container.name, stored.container_statuses.as_deref());
        let policy = container_policy(container, own);
        Member::new((container, Role::App), policy, status, observed, now)
    });
    let all = init.chain(apps);
    all.map(|member| Member {
        creating,
        decides: member.role != Role::App || decides(&pod.metadata, member.name()),
        up: has_started(&member, observed),
        ..member
    })
    .collect()
}

fn status_of<'a>(name: &str, all: Option<&'a [ContainerStatus]>) -> Option<&'a ContainerStatus> {
    all?.iter().find(|status| status.name == name)
}

/// The id as a status spells it.
pub(super) fn container_id(seen: &Container) -> String {
    format!("containerd://{}", seen.id)
}

pub(super) fn restart_count(status: &ContainerStatus) -> u32 {
    u32::try_from(status.restart_count).unwrap_or_default()
}

fn current_end(status: &ContainerStatus) -> Option<&ContainerStateTerminated> {
    status.state.as_ref()?.terminated.as_ref()
}

fn last_end(status: &ContainerStatus) -> Option<&ContainerStateTerminated> {
    status.last_state.as_ref()?.terminated.as_ref()
}

/// Whether a status tells how the container with this id ended.
pub(super) fn tells_end_of(status: &ContainerStatus, id: &str) -> bool {
    let mut ends = current_end(status).into_iter().chain(last_end(status));
    ends.any(|end| end.container_id.as_deref() == Some(id))
}

/// The end of the current attempt, where the stored status tells it. A container that waits for its
/// restart has moved the end to its last state, and keeps the id until the restart is granted.
fn told_end(status: &ContainerStatus) -> Option<&ContainerStateTerminated> {
    current_end(status).or_else(|| {
        let last = last_end(status)?;
        let waits = status.state.as_ref()?.waiting.is_some();
        (waits && status.container_id.is_some() && status.container_id == last.container_id)
            .then_some(last)
    })
}

fn observed_standing(seen: &Container) -> Standing {
    match &seen.state {
        State::Refused { reason, message, at, failures } => Standing::Refused {
            reason: *reason,
            message: message.clone(),
            at: *at,
            failures: *failures,
        },
        State::Running { started_at } => Standing::Running { started_at: *started_at },
        State::Exited(exit) => Standing::Ended(terminated(seen, exit)),
    }
}

/// The end of a container that ran when the status was stored, and that nobody knows any more.
fn lost(stored: &ContainerStatus, now: Timestamp) -> Option<ContainerStateTerminated> {
    let running = stored.state.as_ref()?.running.as_ref()?;
    Some(ContainerStateTerminated {
        container_id: stored.container_id.clone(),
        exit_code: 137,
        reason: Some("ContainerStatusUnknown".to_owned()),
        message: Some(LOST.to_owned()),
        started_at: running.started_at.clone(),
        finished_at: Some(whole(now)),
        ..ContainerStateTerminated::default()
    })
}

/// An end, as a status tells it.
/// <https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#container-state-terminated>
fn terminated(seen: &Container, exit: &Exit) -> ContainerStateTerminated {
    let (reason, message) = match &exit.cause {
        Cause::Program if exit.code == 0 => ("Completed", None),
        Cause::Program => ("Error", None),
        Cause::OomKilled => ("OOMKilled", None),
        Cause::ChildOomKilled if exit.code == 0 => ("Completed", Some(CHILD_OOM.to_owned())),
        Cause::ChildOomKilled => ("Error", Some(CHILD_OOM.to_owned())),
        Cause::StartError { message } => ("StartError", Some(message.clone())),
        Cause::Lost => ("ContainerStatusUnknown", Some(LOST.to_owned())),
    };
    let message = match (message, exit.message.clone()) {
        (Some(own), Some(said)) => Some(format!("{own}: {said}")),
        (own, said) => own.or(said),
    };
    // The runtime interface of Kubernetes tells a start that never was as the time zero.
    let never_started = matches!(exit.cause, Cause::StartError { .. });
    let started_at = exit.started_at.or_else(|| never_started.then_some(Timestamp::UNIX_EPOCH));
    ContainerStateTerminated {
        container_id: Some(container_id(seen)),
        exit_code: exit.code,
        reason: Some(reason.to_owned()),
        message,
        started_at: started_at.map(whole),
        finished_at: Some(whole(exit.finished_at)),
        ..ContainerStateTerminated::default()
    }
}
