//! Events: what is told of Jobs and pods.
//!
//! Owns: the object that a [`Note`] becomes, its name, and that the same thing told again is counted.
//! Must not know: what the notes say.

use std::collections::{BTreeMap, VecDeque};
use std::fmt::Write as _;
use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Event, EventSource, ObjectReference};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use sha2::{Digest, Sha256};

use crate::api::event::{Note, Severity};
use crate::api::object::Object;
use crate::store::Store;

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
    events: BTreeMap<(String, String), Event>,
    order: VecDeque<(String, String)>,
}

impl Memory {
    /// The Events to write for these notes about `subject`. One that was told before comes with its
    /// count raised; a store that cannot be read costs no more than that count.
    pub(super) async fn events<O: Object>(
        &self,
        store: &Store,
        (subject, teller): (&O, Teller<'_>),
        notes: &[Note],
        now: Timestamp,
    ) -> Vec<Event> {
        let mut events = Vec::with_capacity(notes.len());
        for note in notes {
            let fresh = render(subject, teller, note, now);
            let before = match self.recall(&fresh) {
                Some(event) => Some(event),
                None => store.get::<Event>(fresh.namespace(), fresh.name()).await.ok().flatten(),
            };
            let event = match before {
                Some(before) => again(before, now),
                None => fresh,
            };
            self.remember(&event);
            events.push(event);
        }
        events
    }

    fn recall(&self, event: &Event) -> Option<Event> {
        let told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        told.events.get(&id(event)).cloned()
    }

    fn remember(&self, event: &Event) {
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if told.events.insert(id(event), event.clone()).is_none() {
            told.order.push_back(id(event));
        }
        if told.order.len() > REMEMBERED
            && let Some(oldest) = told.order.pop_front()
        {
            told.events.remove(&oldest);
        }
    }
}

fn id(event: &Event) -> (String, String) {
    (event.namespace().to_owned(), event.name().to_owned())
}

/// <https://kubernetes.io/docs/reference/kubernetes-api/cluster-resources/event-v1/>
fn render<O: Object>(subject: &O, teller: Teller<'_>, note: &Note, now: Timestamp) -> Event {
    Event {
        metadata: ObjectMeta {
            name: Some(name(subject, note)),
            namespace: Some(subject.namespace().to_owned()),
            uid: Some(format!("{}-{}", subject.uid(), digest(note))),
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

fn name<O: Object>(subject: &O, note: &Note) -> String {
    let mut hash = Sha256::new();
    hash.update(subject.uid());
    hash.update(digest(note));
    format!("{}.{}", subject.name(), short(&hash.finalize()))
}

fn digest(note: &Note) -> String {
    let mut hash = Sha256::new();
    let path = note.field_path.as_deref().unwrap_or_default();
    for part in [severity(note.severity), note.reason, &note.message, path] {
        hash.update(part);
        hash.update([0]);
    }
    short(&hash.finalize())
}

/// 64 bits in hexadecimal: two Events of one object do not meet in that.
fn short(hash: &[u8]) -> String {
    hash.iter().take(8).fold(String::with_capacity(16), |mut text, byte| {
        let _ = write!(text, "{byte:02x}"); // a String takes everything
        text
    })
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

    #[tokio::test]
    async fn the_same_thing_told_again_is_counted() {
        let (store, memory) = (Store::in_memory().unwrap(), Memory::default());
        let note = [Note::normal("Completed", "Job completed")];
        let first = memory.events(&store, (&job(), TELLER), &note, T0).await;
        let second = memory.events(&store, (&job(), TELLER), &note, T0).await;
        assert_eq!(first[0].metadata.name, second[0].metadata.name);
        assert_eq!((first[0].count, second[0].count), (Some(1), Some(2)));
    }

    #[test]
    fn events_that_differ_have_names_that_differ() {
        let pulled = Note::normal("Pulled", "ok");
        assert_ne!(name(&job(), &pulled), name(&job(), &pulled.clone().about("main")));
    }

    #[tokio::test]
    async fn what_is_remembered_is_bounded() {
        let (store, memory) = (Store::in_memory().unwrap(), Memory::default());
        for n in 0..REMEMBERED + 10 {
            let note = [Note::normal("Created", n.to_string())];
            memory.remember(&render(&job(), TELLER, &note[0], T0));
        }
        assert_eq!(memory.0.lock().unwrap().events.len(), REMEMBERED);
        drop(store);
    }
}
