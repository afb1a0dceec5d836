//! How running containers are asked things, and stopped.
//!
//! Owns: hooks and probes as they come due, the stop signal, the kill, and the time between them. Must not
//! know: what becomes of a container that has ended.
//! <https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#pod-termination>

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::check::{self, Check, Verdict};
use super::order;
use super::reconcile::Look;
use super::standing::{Member, Role};
use super::timer::later;
use super::{Action, Operation, Signal, storage};
use crate::api::event::Note;
use crate::api::pod::{active_deadline, grace_period};

/// A deletion is stored in whole seconds: its grace may end this much later.
const ROUNDED_OFF: Duration = Duration::from_secs(1);

/// What a container gets between its stop signal and the kill, also when the hook before it, or what had to
/// stop before it, has used up the grace.
const STOP_MIN: Duration = Duration::from_secs(2);

impl Look<'_> {
    /// <https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#termination-with-sidecars>
    pub(super) fn end_of_grace(
        &self,
        members: &[Member<'_>],
        start: Option<&Time>,
    ) -> Option<Timestamp> {
        let asked = self.pod.metadata.deletion_timestamp.as_ref();
        let late =
            || Some(later(start?.0, active_deadline(self.pod)?)).filter(|at| *at <= self.now);
        let decided = || order::decided_at(members).filter(|_| order::is_decided(members));
        let since = || late().into_iter().chain(decided()).min();
        asked
            .map(|time| later(time.0, ROUNDED_OFF))
            .or_else(|| since().map(|at| later(at, grace_period(self.pod))))
    }

    /// A sidecar waits for its turn, for as long as there is time.
    pub(super) fn stop_in_turn(&mut self, members: &[Member<'_>], place: usize) {
        let member = &members[place];
        if !self.has_prepared_to_stop(member, self.grace()) {
            return;
        }
        let waits = !order::is_its_turn_to_stop(members, place, self.observed);
        let time_is_up = self.grace_ends.is_some_and(|at| at <= self.now);
        if waits && !time_is_up && !self.grace().is_zero() {
            self.grace_ends.into_iter().for_each(|at| self.alarm.set(at));
            return;
        }
        let message = format!("Stopping container {}", member.name());
        self.stop(member, self.grace(), message);
    }

    /// How long the containers get to end.
    fn grace(&self) -> Duration {
        let own = grace_period(self.pod);
        if self.is_evicted { own.min(storage::GRACE) } else { own }
    }

    /// Hooks and probes of a container that is to go on.
    pub(super) fn examine(&mut self, member: &Member<'_>) {
        for check in Check::WHILE_RUNNING {
            match check::verdict(member, check, self.observed, self.now) {
                Verdict::Quiet => {}
                Verdict::DueAt(at) => self.alarm.set(at),
                Verdict::Due => self.ask(member, check),
                Verdict::Failed(message) => return self.stop_failed(member, check, &message),
            }
        }
    }

    fn ask(&mut self, member: &Member<'_>, check: Check) {
        let answers = check::checked(member.instance(), check, self.observed);
        if let Some(failed) = answers.filter(|answers| answers.failures > 0) {
            let text = format!("{} probe failed: {}", check.name(), failed.message);
            self.tell(member.note(Note::warning("Unhealthy", text)));
        }
        self.actions.push(Action::Check { instance: member.instance(), check });
    }

    /// <https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#container-probes>
    fn stop_failed(&mut self, member: &Member<'_>, check: Check, message: &str) {
        let is_hook = check == Check::PostStart;
        if !self.is_stopping(member) {
            let note = match is_hook {
                true => {
                    Note::warning("FailedPostStartHook", format!("PostStartHook failed: {message}"))
                }
                false => {
                    let text = format!("{} probe failed: {message}", check.name());
                    Note::warning("Unhealthy", text)
                }
            };
            self.tell(member.note(note));
        }
        let grace = check::grace_after(check, self.pod, member.spec);
        if !self.has_prepared_to_stop(member, grace) {
            return;
        }
        let why = match is_hook {
            true => "FailedPostStartHook".to_owned(),
            false => format!(
                "Container {} failed {} probe, will be restarted",
                member.name(),
                check.name().to_lowercase()
            ),
        };
        self.stop(member, grace, why);
    }

    /// Whether the hook before the stop is done, if there is one. It is begun here.
    fn has_prepared_to_stop(&mut self, member: &Member<'_>, grace: Duration) -> bool {
        let (instance, check) = (member.instance(), Check::PreStop);
        let signalled = member.seen.is_some_and(|seen| seen.signalled.is_some());
        let Some(answers) = check::checked(instance.clone(), check, self.observed) else {
            let wanted = !signalled && !grace.is_zero();
            if !wanted || check.handler(member.spec).is_none() {
                return true;
            }
            let time_is_up = self.grace_ends.is_some_and(|at| at <= self.now);
            if !self.observed.in_flight.contains(&Operation::Check(instance.clone(), check)) {
                self.actions.push(Action::Check { instance, check });
            }
            self.grace_ends.into_iter().for_each(|at| self.alarm.set(at));
            return time_is_up;
        };
        let sent = Operation::Signal(instance, Signal::Stop);
        if answers.failures > 0 && !signalled && !self.observed.in_flight.contains(&sent) {
            let note = Note::warning(
                "FailedPreStopHook",
                format!("PreStopHook failed: {}", answers.message),
            );
            self.tell(member.note(note));
        }
        true
    }

    /// The stop signal, and after the grace period the kill.
    /// <https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#pod-termination>
    fn stop(&mut self, member: &Member<'_>, grace: Duration, why: String) {
        let sent = member.seen.and_then(|seen| seen.signalled);
        let signal = match sent {
            None if grace.is_zero() => Signal::Kill,
            None => Signal::Stop,
            Some((Signal::Kill, _)) => return,
            Some((Signal::Stop, at)) => {
                let own = later(at, grace);
                let shares_its_grace =
                    member.role == Role::Sidecar || Check::PreStop.handler(member.spec).is_some();
                let asked = self.pod.metadata.deletion_timestamp.as_ref().and(self.grace_ends);
                let due = match self.grace_ends {
                    Some(end) if shares_its_grace => {
                        own.min(end).max(later(at, STOP_MIN.min(grace)))
                    }
                    Some(_) | None => asked.map_or(own, |end| own.min(end)),
                };
                if due > self.now {
                    self.alarm.set(due);
                    return;
                }
                Signal::Kill
            }
        };
        let operation = Operation::Signal(member.instance(), signal);
        if self.observed.in_flight.contains(&operation) {
            return;
        }
        self.actions.push(Action::Signal { instance: member.instance(), signal });
        if sent.is_none() {
            self.tell(member.note(Note::normal("Killing", why)));
        }
    }

    /// Whether the container is being stopped already.
    fn is_stopping(&self, member: &Member<'_>) -> bool {
        let (instance, check) = (member.instance(), Check::PreStop);
        member.seen.is_some_and(|seen| seen.signalled.is_some())
            || check::checked(instance.clone(), check, self.observed).is_some()
            || [
                Operation::Signal(instance.clone(), Signal::Stop),
                Operation::Check(instance, check),
            ]
            .iter()
            .any(|operation| self.observed.in_flight.contains(operation))
    }
}
