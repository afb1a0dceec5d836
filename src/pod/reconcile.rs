//! One look at a pod.
//!
//! Owns: what each container does next, and the order at the end of the pod. Must not know: how a
//! status is worded, or how back-offs are computed.
//! <https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/>

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{ContainerStateTerminated, ContainerStatus, Pod, PodStatus};

use super::admission::{self, Refusal};
use super::images::{self, Fetch, fetch};
use super::order;
use super::standing::{Member, Role, Standing, members, restart_count, tells_end_of};
use super::status::{self, Shown, Statuses};
use super::storage::EVICTED;
use super::timer::{Alarm, backoff, later, whole};
use super::{
    Action, Image, Lack, Ledger, Observed, Operation, Plan, PullPolicy, Record, RefusedReason,
    Rules, Sandbox, Signal, State,
};
use crate::api::event::Note;
use crate::api::extensions::decides;
use crate::api::object::Object;
use crate::api::pod::{Phase, active_deadline, is_terminal, phase, qos_class};

/// How often to look whether a port of the host is free.
const PORTS_RETRY: Duration = Duration::from_secs(1);

const DEADLINE_REASON: &str = "DeadlineExceeded";
const DEADLINE_MESSAGE: &str = "Pod was active on the node longer than the specified deadline";

/// What should happen to the pod now.
/// <https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/>
#[must_use]
pub fn reconcile(pod: &Pod, observed: &Observed, rules: &Rules, now: Timestamp) -> Plan {
    let stored = pod.status.clone().unwrap_or_default();
    let look = Look {
        pod,
        observed,
        rules,
        now,
        actions: Vec::new(),
        alarm: Alarm::new(now),
        ledger: Ledger::of(pod),
        is_evicted: false,
        grace_ends: None,
    };
    if is_terminal(pod) { look.clear(&stored) } else { look.work(stored) }
}

pub(super) struct Look<'a> {
    pub(super) pod: &'a Pod,
    pub(super) observed: &'a Observed,
    pub(super) rules: &'a Rules,
    pub(super) now: Timestamp,
    pub(super) actions: Vec<Action>,
    pub(super) alarm: Alarm,
    pub(super) ledger: Ledger,
    /// Whether the pod has taken more than it may.
    pub(super) is_evicted: bool,
    /// When the time is up that all containers together have to stop, if they are to.
    pub(super) grace_ends: Option<Timestamp>,
}

impl Look<'_> {
    /// The pod has ended and its status tells how: nothing of it stays.
    fn clear(mut self, stored: &PodStatus) -> Plan {
        self.forget(stored, true);
        let nothing_left = self.observed.containers.is_empty()
            && self.observed.in_flight.iter().all(|op| matches!(op, Operation::RemoveSandbox));
        if nothing_left {
            if self.observed.sandbox != Sandbox::Absent {
                self.actions.push(Action::RemoveSandbox);
            } else if self.pod.is_deleting() {
                self.actions.push(Action::ReleasePod);
            }
        }
        self.plan(stored.clone())
    }

    fn work(mut self, mut stored: PodStatus) -> Plan {
        stored.qos_class.get_or_insert_with(|| qos_class(self.pod).as_str().to_owned());
        if let Some(refusal) = admission::refusal(self.pod, &stored, self.observed, self.rules) {
            return self.refuse(stored, &refusal);
        }
        self.check_deadline(&mut stored);
        self.check_storage(&mut stored);
        self.is_evicted = stored.reason.as_deref() == Some(EVICTED);
        let late = stored.reason.as_deref() == Some(DEADLINE_REASON) || self.is_evicted;
        let stopping = late || self.pod.is_deleting();
        let members = members(self.pod, &stored, self.observed, self.now);
        self.grace_ends = self.end_of_grace(&members, stored.start_time.as_ref());
        let ending = stopping || order::is_decided(&members);
        let shown: Vec<Shown> =
            (0..members.len()).map(|place| self.next_of(&members, place, ending)).collect();
        let statuses: Statuses = members
            .iter()
            .zip(&shown)
            .map(|(member, shown)| (member.role, status::container(member, shown, self.observed)))
            .collect();
        for (member, (_, next)) in members.iter().zip(&statuses) {
            self.tell_progress(member, next);
        }
        self.forget(&stored, ending);
        if !ending {
            self.update_volumes();
        }
        let active = order::is_active(&members, self.observed);
        let found = status::phase(self.pod, &statuses);
        let phase = if stopping && !active {
            ended_phase(self.pod, &statuses, late)
        } else if found.is_terminal() && active {
            // A pod is not over while anything of it runs.
            phase(self.pod)
        } else {
            found
        };
        let mut status = status::assemble(&stored, statuses, phase, self.observed, self.now);
        status::place(&mut status, &self.rules.host_ips);
        self.plan(status)
    }

    /// The pod is over before it has begun.
    fn refuse(mut self, mut stored: PodStatus, refusal: &Refusal) -> Plan {
        self.tell(Note::warning(refusal.reason, refusal.message));
        stored.phase = Some(Phase::Failed.as_str().to_owned());
        stored.reason = Some(refusal.reason.to_owned());
        stored.message = Some(format!("Pod was rejected: {}", refusal.message));
        stored.start_time.get_or_insert_with(|| whole(self.now));
        self.plan(stored)
    }

    /// <https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#pod-termination>
    fn check_deadline(&mut self, stored: &mut PodStatus) {
        let Some(limit) = active_deadline(self.pod) else { return };
        let since = stored.start_time.as_ref().map_or(self.now, |time| time.0);
        let at = later(since, limit);
        if at > self.now {
            self.alarm.set(at);
        } else if stored.reason.is_none() {
            stored.reason = Some(DEADLINE_REASON.to_owned());
            stored.message = Some(DEADLINE_MESSAGE.to_owned());
            self.tell(Note::normal(DEADLINE_REASON, DEADLINE_MESSAGE));
        }
    }

    /// What a container does next, and how it shows.
    fn next_of(&mut self, members: &[Member<'_>], place: usize, stopping: bool) -> Shown {
        let member = &members[place];
        match &member.standing {
            Standing::Running { started_at } => {
                if stopping {
                    self.stop_in_turn(members, place);
                } else {
                    self.examine(member);
                }
                Shown::Running { started_at: *started_at }
            }
            Standing::Ended(end) => self.after(member, end, stopping),
            Standing::Waiting if stopping || !order::may_start(members, place) => {
                shown_before(member)
            }
            Standing::Waiting => self.start(member),
            Standing::Refused { reason, message, at, failures } => {
                let first = self.rules.restart_backoff_first;
                let delay = backoff(*failures, first, self.rules.restart_backoff_max);
                let due = if self.needs_changed_since(*at) { self.now } else { later(*at, delay) };
                if waiting_message(member) != Some(message) {
                    self.tell(member.note(Note::warning("Failed", format!("Error: {message}"))));
                }
                if due > self.now {
                    self.alarm.set(due);
                } else if !stopping {
                    self.begin_start(member);
                }
                Shown::Waiting { reason: refused(*reason), message: Some(message.clone()) }
            }
        }
    }

    /// <https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#restart-policy>
    fn after(
        &mut self,
        member: &Member<'_>,
        end: &ContainerStateTerminated,
        stopping: bool,
    ) -> Shown {
        if stopping || !member.restarts(end) {
            return Shown::Ended(end.clone());
        }
        let finished = member.finished_at().unwrap_or(self.now);
        let delay = self.ledger.delay(member.name(), finished, self.rules);
        let due = later(finished, delay);
        if due <= self.now {
            self.ledger.advance(member.name(), finished, self.rules, self.now);
            return Shown::Again { end: end.clone() };
        }
        self.alarm.set(due);
        let (pod, namespace, uid) = (self.pod.name(), self.pod.namespace(), self.pod.uid());
        let name = member.name();
        let message = format!(
            "back-off {} restarting failed container={name} pod={pod}_{namespace}({uid})",
            go_duration(delay)
        );
        if waiting_reason(member) != Some("CrashLoopBackOff") {
            let text = format!(
                "Back-off restarting failed container {name} in pod {pod}_{namespace}({uid})"
            );
            self.tell(member.note(Note::warning("BackOff", text)));
        }
        Shown::BackOff { end: end.clone(), message }
    }

    /// Image, sandbox, container: whatever is missing first.
    fn start(&mut self, member: &Member<'_>) -> Shown {
        let creating = shown_before(member);
        match fetch(member.image(), self.observed, self.rules, self.now) {
            Fetch::Pulling { begin, failed } => {
                if begin {
                    self.pull(member);
                }
                match failed {
                    Some(error) => waiting(images::reason(error), &error.message),
                    None => creating,
                }
            }
            Fetch::Failed { error, until } => {
                until.into_iter().for_each(|at| self.alarm.set(at));
                self.tell_failed_pull(member, images::reason(error), &error.message);
                waiting(images::reason(error), &error.message)
            }
            Fetch::BackOff { error, until } => {
                self.alarm.set(until);
                let image = member.image();
                let message = format!("Back-off pulling image \"{image}\": {}", error.message);
                if waiting_reason(member) != Some("ImagePullBackOff") {
                    let note =
                        Note::normal("BackOff", format!("Back-off pulling image \"{image}\""));
                    self.tell(member.note(note));
                    let note = Note::warning("Failed", "Error: ImagePullBackOff");
                    self.tell(member.note(note));
                }
                Shown::Waiting { reason: "ImagePullBackOff", message: Some(message) }
            }
            Fetch::Present { .. } => {
                if self.sandbox_is_ready() {
                    self.begin_start(member);
                }
                self.lacking(member).unwrap_or(creating)
            }
        }
    }

    fn pull(&mut self, member: &Member<'_>) {
        let (image, policy) = (member.image().to_owned(), images::policy(member.spec));
        let action = Action::Pull { image: image.clone(), policy };
        if self.actions.contains(&action) {
            return;
        }
        self.actions.push(action);
        if policy != PullPolicy::Never {
            let note = Note::normal("Pulling", format!("Pulling image \"{image}\""));
            self.tell(member.note(note));
        }
        self.sandbox_is_ready();
    }

    fn tell_failed_pull(&mut self, member: &Member<'_>, reason: &'static str, message: &str) {
        if waiting_reason(member) == Some(reason) {
            return;
        }
        let text = format!("Failed to pull image \"{}\": {message}", member.image());
        self.tell(member.note(Note::warning("Failed", text)));
        self.tell(member.note(Note::warning("Failed", format!("Error: {reason}"))));
    }

    /// How a container shows whose pod has no sandbox because that could not be made.
    fn lacking(&mut self, member: &Member<'_>) -> Option<Shown> {
        let Sandbox::Failed { lack, message, .. } = &self.observed.sandbox else { return None };
        if waiting_message(member) != Some(message) {
            self.tell(Note::warning(lack.event(), message.clone()));
        }
        Some(waiting(member.creating, message))
    }

    /// Asks for the sandbox where there is none.
    fn sandbox_is_ready(&mut self) -> bool {
        match &self.observed.sandbox {
            Sandbox::Ready { .. } => return true,
            Sandbox::Absent => {}
            Sandbox::Failed { lack: Lack::Ports, at, .. } => {
                // It is told already, and free as soon as the other pod is gone.
                let due = later(*at, PORTS_RETRY);
                if due > self.now {
                    self.alarm.set(due);
                    return false;
                }
            }
            Sandbox::Failed { lack, at, failures, message } => {
                let first = self.rules.restart_backoff_first;
                let delay = backoff(*failures, first, self.rules.restart_backoff_max);
                let due = later(*at, delay);
                if due > self.now && !self.needs_changed_since(*at) {
                    self.alarm.set(due);
                    return false;
                }
                self.tell(Note::warning(lack.event(), message.clone()));
            }
        }
        let begun = self.observed.in_flight.contains(&Operation::CreateSandbox);
        if !begun && !self.actions.contains(&Action::CreateSandbox) {
            self.actions.push(Action::CreateSandbox);
        }
        false
    }

    /// Whether what could not be made then may be made now.
    fn needs_changed_since(&self, at: Timestamp) -> bool {
        self.observed.needs.changed_at.is_some_and(|changed| changed > at)
    }

    /// <https://kubernetes.io/docs/concepts/configuration/configmap/#mounted-configmaps-are-updated-automatically>
    fn update_volumes(&mut self) {
        let begun = self.observed.in_flight.contains(&Operation::UpdateVolumes);
        let stands = matches!(self.observed.sandbox, Sandbox::Ready { .. });
        if self.observed.needs.are_stale && stands && !begun {
            self.actions.push(Action::UpdateVolumes);
        }
    }

    /// An attempt starts only after the store tells of it; the first one needs no telling.
    fn begin_start(&mut self, member: &Member<'_>) {
        let instance = member.instance();
        let stored = member.stored.map_or(0, restart_count);
        if stored != member.attempt
            || self.observed.in_flight.contains(&Operation::Start(instance.clone()))
        {
            return;
        }
        if let Some(Image::Present { note: Some(note), .. }) =
            self.observed.images.get(member.image())
        {
            self.tell(member.note(Note::normal("Pulled", note.clone())));
        }
        self.actions.push(Action::Start(instance));
    }

    /// Removes the instances whose end the stored status tells; `all`: also those that never ran.
    fn forget(&mut self, stored: &PodStatus, all: bool) {
        for (instance, known) in &self.observed.containers {
            let told = stored
                .init_container_statuses
                .iter()
                .chain(&stored.container_statuses)
                .flatten()
                .filter(|status| status.name == instance.container)
                .any(|status| tells_end_of(status, &super::standing::container_id(known)));
            let over = match &known.state {
                State::Exited(_) => told || is_terminal(self.pod),
                State::Refused { .. } => all,
                State::Running { .. } => false,
            };
            if over && !self.observed.in_flight.contains(&Operation::Remove(instance.clone())) {
                self.actions.push(Action::Remove(instance.clone()));
            }
            if is_terminal(self.pod) && matches!(known.state, State::Running { .. }) {
                let signal = Signal::Kill;
                self.actions.push(Action::Signal { instance: instance.clone(), signal });
            }
        }
    }

    fn tell_progress(&mut self, member: &Member<'_>, next: &ContainerStatus) {
        let runs = |status: &ContainerStatus| {
            status.state.as_ref().is_some_and(|state| state.running.is_some())
        };
        let told = member.stored.is_some_and(|stored| stored.container_id == next.container_id);
        if told || next.container_id.is_none() {
            return;
        }
        let name = member.name();
        self.tell(member.note(Note::normal("Created", format!("Created container: {name}"))));
        let start_error = match &member.standing {
            Standing::Ended(end) => end.reason.as_deref() == Some("StartError"),
            Standing::Waiting | Standing::Refused { .. } | Standing::Running { .. } => false,
        };
        if runs(next) || !start_error {
            self.tell(member.note(Note::normal("Started", format!("Started container {name}"))));
        } else if let Some(message) = member.end().and_then(|end| end.message.clone()) {
            self.tell(member.note(Note::warning("Failed", format!("Error: {message}"))));
        }
    }

    pub(super) fn tell(&mut self, note: Note) {
        self.actions.push(Action::Tell(note));
    }

    fn plan(self, status: PodStatus) -> Plan {
        let record = Record { status, ledger: self.ledger };
        Plan { actions: self.actions, record, wake_at: self.alarm.next() }
    }
}

/// A pod that was told to stop succeeded only if every container did that decides; one that was late
/// failed.
fn ended_phase(pod: &Pod, statuses: &Statuses, late: bool) -> Phase {
    let succeeded = |(role, status): &(Role, ContainerStatus)| {
        let end = status.state.as_ref().and_then(|state| state.terminated.as_ref());
        *role != Role::App
            || !decides(&pod.metadata, &status.name)
            || end.is_some_and(|end| end.exit_code == 0)
    };
    if !late && statuses.iter().all(succeeded) { Phase::Succeeded } else { Phase::Failed }
}

/// A container that has nothing new to say.
fn shown_before(member: &Member<'_>) -> Shown {
    let stored = member.stored.and_then(|status| status.state.as_ref()?.waiting.clone());
    let message = stored.as_ref().and_then(|waiting| waiting.message.clone());
    let reason = stored.and_then(|waiting| waiting.reason);
    match reason.as_deref() {
        Some("RunContainerError") => Shown::Waiting { reason: "RunContainerError", message },
        Some(_) | None => Shown::Waiting { reason: member.creating, message: None },
    }
}

fn waiting(reason: &'static str, message: &str) -> Shown {
    Shown::Waiting { reason, message: Some(message.to_owned()) }
}

fn waiting_reason<'a>(member: &Member<'a>) -> Option<&'a str> {
    member.stored?.state.as_ref()?.waiting.as_ref()?.reason.as_deref()
}

fn waiting_message<'a>(member: &Member<'a>) -> Option<&'a String> {
    member.stored?.state.as_ref()?.waiting.as_ref()?.message.as_ref()
}

fn refused(reason: RefusedReason) -> &'static str {
    match reason {
        RefusedReason::CreateContainerConfigError => "CreateContainerConfigError",
        RefusedReason::CreateContainerError => "CreateContainerError",
    }
}

/// `1m20s`, as the kubelet words it.
fn go_duration(time: Duration) -> String {
    let (minutes, seconds) = (time.as_secs() / 60, time.as_secs() % 60);
    match (minutes, time.subsec_millis()) {
        (0, 0) => format!("{seconds}s"),
        (0, _) => format!("{}s", time.as_secs_f64()),
        (_, _) => format!("{minutes}m{seconds}s"),
    }
}
