//! Events: what is told of Jobs and pods.
//!
//! Owns: the object that a [`Note`] becomes, its name, and that the same thing told again is counted.
//! Must not know: what the notes say.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Event, EventSource, ObjectReference};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use sha2::{Digest, Sha256};

use crate::api::event::{Note, Severity};
use crate::api::names::uuid;
use crate::api::object::Object;

/// How many of the last Events are remembered, to count repetitions without reading the store.
const REMEMBERED: usize = 4096;

/// Who tells something: a component of Kubernetes, for people's filters to match.
#[derive(Debug, Clone, Copy)]
pub(super) struct Teller<'a> {
    pub(super) component: &'static str,
    pub(super) host: Option<&'a str>,
}

/// The Events told last.
#[derive(Debug, Default)]
pub(super) struct Memory(Mutex<Told>);

#[derive(Debug, Default)]
struct Told {
    events: BTreeMap<What, Event>,
    order: VecDeque<What>,
    /// The time in the name of the last Event.
    last: i128,
}

/// What an Event says, and of which object.
type What = [u8; 32];

impl Memory {
    /// The Events to write for these notes about `subject`. One that was told before comes with its
    /// count raised; what was told before this process began is told anew, as a kubelet does.
    pub(super) fn events<O: Object>(
        &self,
        (subject, teller): (&O, Teller<'_>),
        notes: &[Note],
        now: Timestamp,
    ) -> Vec<Event> {
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let tell = |note| {
            let what = what(subject, note);
            let event = match told.events.get(&what) {
                Some(before) => again(before.clone(), now),
                None => render(subject, teller, note, (now, told.next(now))),
            };
            told.remember(what, event.clone());
            event
        };
        notes.iter().map(tell).collect()
    }
}

impl Told {
    /// The time for the name of the next Event: names are in the order in which things were told.
    fn next(&mut self, now: Timestamp) -> i128 {
        self.last = now.as_nanosecond().max(self.last + 1);
        self.last
    }

    fn remember(&mut self, what: What, event: Event) {
        if self.events.insert(what, event).is_none() {
            self.order.push_back(what);
        }
        if self.order.len() > REMEMBERED
            && let Some(oldest) = self.order.pop_front()
        {
            self.events.remove(&oldest);
        }
    }
}

/// <https://kubernetes.io/docs/reference/kubernetes-api/cluster-resources/event-v1/>
fn render<O: Object>(
    subject: &O,
    teller: Teller<'_>,
    note: &Note,
    (now, nanos): (Timestamp, i128),
) -> Event {
    // Clients sort Events by their second; within one, they stay in the order of their names.
    let name = format!("{}.{nanos:x}", subject.name());
    Event {
        metadata: ObjectMeta {
            uid: Some(uid(subject, &name)),
            name: Some(name),
            namespace: Some(subject.namespace().to_owned()),
            creation_timestamp: Some(Time(now)),
            ..ObjectMeta::default()
        },
        involved_object: ObjectReference {
            api_version: Some(O::KIND.api_version().to_owned()),
            kind: Some(O::KIND.as_str().to_owned()),
            namespace: Some(subject.namespace().to_owned()),
            name: Some(subject.name().to_owned()),
            uid: Some(subject.uid().to_owned()),
            field_path: note.field_path.clone(),
            ..ObjectReference::default()
        },
        type_: Some(severity(note.severity).to_owned()),
        reason: Some(note.reason.to_owned()),
        message: Some(note.message.clone()),
        count: Some(1),
        first_timestamp: Some(Time(now)),
        last_timestamp: Some(Time(now)),
        source: Some(EventSource {
            component: Some(teller.component.to_owned()),
            host: teller.host.map(str::to_owned),
        }),
        reporting_component: Some(teller.component.to_owned()),
        ..Event::default()
    }
}

fn again(mut event: Event, now: Timestamp) -> Event {
    event.count = Some(event.count.unwrap_or(1).saturating_add(1));
    event.last_timestamp = Some(Time(now));
    event
}

fn uid<O: Object>(subject: &O, name: &str) -> String {
    let mut hash = Sha256::new();
    hash.update(subject.uid());
    hash.update(name);
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&hash.finalize()[..16]);
    uuid(bytes)
}

fn what<O: Object>(subject: &O, note: &Note) -> What {
    let mut hash = Sha256::new();
    let path = note.field_path.as_deref().unwrap_or_default();
    for part in [subject.uid(), severity(note.severity), note.reason, &note.message, path] {
        hash.update(part);
        hash.update([0]);
    }
    hash.finalize().into()
}

fn severity(severity: Severity) -> &'static str {
    match severity {
        Severity::Normal => "Normal",
        Severity::Warning => "Warning",
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::batch::v1::Job;

    use super::*;

    const T0: Timestamp = Timestamp::UNIX_EPOCH;
    const TELLER: Teller<'_> = Teller { component: "job-controller", host: None };

    fn job() -> Job {
        let mut job = Job::default();
        job.metadata.name = Some("pi".into());
        job.metadata.namespace = Some("default".into());
        job.metadata.uid = Some("u".into());
        job
    }

    #[test]
    fn the_same_thing_told_again_is_counted() {
        let memory = Memory::default();
        let note = [Note::normal("Completed", "Job completed")];
        let first = memory.events((&job(), TELLER), &note, T0);
        let second = memory.events((&job(), TELLER), &note, T0);
        assert_eq!(first[0].metadata.name, second[0].metadata.name);
        assert_eq!((first[0].count, second[0].count), (Some(1), Some(2)));
    }

    #[test]
    fn events_of_one_moment_have_names_in_the_order_in_which_they_are_told() {
        let memory = Memory::default();
        let pulled = Note::normal("Pulled", "ok");
        let notes = [pulled.clone(), Note::normal("Created", "ok"), pulled.about("main")];
        let events = memory.events((&job(), TELLER), &notes, T0 + jiff::ToSpan::seconds(9));
        let names: Vec<_> = events.iter().map(|event| event.metadata.name.as_ref()).collect();
        assert_eq!(names[0].unwrap(), "pi.218711a00");
        assert!(names.is_sorted() && names[0] != names[1] && names[1] != names[2], "{names:?}");
        let uids: Vec<_> = events.iter().map(|event| event.metadata.uid.as_ref()).collect();
        assert!(uids[0] != uids[1] && uids[1] != uids[2] && uids[0].unwrap().len() == 36);
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let memory = Memory::default();
        for n in 0..REMEMBERED + 10 {
            memory.events((&job(), TELLER), &[Note::normal("Created", n.to_string())], T0);
        }
        assert_eq!(memory.0.lock().unwrap().events.len(), REMEMBERED);
    }
}
