//! Watching: a list that goes on.
//!
//! Owns: which changes a watcher sees as what, bookmarks, and when a watch ends. It is read from the
//! store only as fast as its client reads: a client that does not read costs nothing but its place.
//! Must not know: how changes come about.
//! <https://kubernetes.io/docs/reference/using-api/api-concepts/#efficient-detection-of-changes>

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::{FutureExt, StreamExt, stream};
use http::header;
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use serde_json::{Value, json};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, timeout_at};

use super::api::{Api, Call};
use super::read::{CHUNK, Filter, not_of_the_future, revision};
use super::request::{Form, Parameters, form_of_stream};
use super::resources::Resource;
use super::respond::{Response, whole};
use super::shape;
use super::status::{Cause, Error};
use crate::api::object::{Key, Kind};
use crate::store::untyped::Query;
use crate::store::{self, Change};

/// How long a watch lasts that does not say; the client comes back then.
const LASTS: Duration = Duration::from_mins(45);
/// How often a watcher who sees no change is told up to where it is complete.
const BOOKMARK_EVERY: Duration = Duration::from_mins(1);
/// Changes that are handed out in one piece at most.
const BURST_MAX: usize = 256;
/// Marks the end of what was there before.
const INITIAL_EVENTS_END: &str = "k8s.io/initial-events-end";

pub(super) async fn answer(call: &Call<'_>, kind: Kind) -> Result<Response, Error> {
    let form = form_of_stream(&call.headers)?;
    let filter = Filter::of(call)?;
    let begin = Begin::of(call).await?;
    let lasts = call.parameters.number::<u64>("timeoutSeconds")?.filter(|seconds| *seconds > 0);
    let lasts = lasts.map_or(LASTS, Duration::from_secs);
    let place = call.api.stream()?;
    let namespace = call.target.namespace.clone();
    let store = &call.api.store;
    if let Some(from) = begin.after {
        // Whoever asks for what is no longer kept is told at once.
        let query = Query {
            kind,
            namespace: None,
            name: None,
            after: None,
            limit: Some(0),
            at: Some(from),
        };
        store.page(query).await?;
    }
    let from = match begin.after {
        Some(from) => from,
        None => store.revision().await?,
    };
    let watcher = Watcher {
        api: Arc::clone(call.api),
        kind,
        resource: call.resource,
        changes: store.watch_in(kind, namespace.as_deref(), from),
        namespace,
        filter,
        form,
        parameters: call.parameters.clone(),
        bookmarks: call.parameters.is_set("allowWatchBookmarks")?,
        columns_told: false,
        stage: match begin.after {
            Some(_) => Stage::Changes,
            None => Stage::Initial { after: None, at: from, marked: begin.marked },
        },
        until: Instant::now() + lasts,
        bookmark_at: Instant::now() + BOOKMARK_EVERY,
        _watching: call.api.metrics.watching(call.resource),
        _place: place,
    };
    let events = stream::unfold(watcher, |mut watcher| async {
        let bytes = watcher.next().await?;
        Some((Ok(Frame::data(bytes)), watcher))
    });
    let mut response = whole(Bytes::new(), "application/json");
    response.headers_mut().remove(header::CONTENT_LENGTH);
    *response.body_mut() = StreamBody::new(events.boxed()).boxed_unsync();
    Ok(response)
}

/// Where a watch begins.
struct Begin {
    /// With the changes after this revision; `None`: with all that there is.
    after: Option<u64>,
    /// Whether the end of what there was is marked.
    marked: bool,
}

impl Begin {
    async fn of(call: &Call<'_>) -> Result<Self, Error> {
        let version = call.parameters.get("resourceVersion").map(revision).transpose()?;
        let how = call.parameters.get("resourceVersionMatch");
        let initial = match call.parameters.get("sendInitialEvents") {
            None if how.is_some() => {
                return Err(invalid(
                    "resourceVersionMatch",
                    "Forbidden: resourceVersionMatch is \
                     forbidden for watch unless sendInitialEvents is provided",
                    call,
                ));
            }
            None => None,
            Some(_) => Some(call.parameters.is_set("sendInitialEvents")?),
        };
        if initial.is_some() && how != Some("NotOlderThan") {
            return Err(invalid(
                "resourceVersionMatch",
                "Forbidden: sendInitialEvents requires \
                 setting resourceVersionMatch to NotOlderThan",
                call,
            ));
        }
        if let Some(version) = version {
            not_of_the_future(call, version).await?;
        }
        let version = version.filter(|version| *version > 0);
        Ok(match (initial, version) {
            (Some(true), _) => Self { after: None, marked: true },
            (Some(false), None) => {
                Self { after: Some(call.api.store.revision().await?), marked: false }
            }
            (Some(false) | None, Some(version)) => Self { after: Some(version), marked: false },
            (None, None) => Self { after: None, marked: false },
        })
    }
}

fn invalid(field: &str, message: &str, call: &Call<'_>) -> Error {
    let cause = Cause {
        reason: "FieldValueForbidden",
        message: message.to_owned(),
        field: field.to_owned(),
    };
    Error::Invalid { resource: call.resource, name: String::new(), causes: vec![cause] }
}

/// What a watch does next.
enum Stage {
    /// It tells what there is, from here on, as of one revision.
    Initial {
        after: Option<Key>,
        at: u64,
        marked: bool,
    },
    /// It says that it has told all that there was.
    Mark(u64),
    Changes,
    Over,
}

struct Watcher {
    api: Arc<Api>,
    kind: Kind,
    resource: &'static Resource,
    namespace: Option<String>,
    filter: Filter,
    form: Form,
    parameters: Parameters,
    bookmarks: bool,
    columns_told: bool,
    changes: store::Watch,
    stage: Stage,
    until: Instant,
    bookmark_at: Instant,
    _watching: super::metrics::Watching,
    _place: OwnedSemaphorePermit,
}

impl Watcher {
    /// The next events; `None`: the watch is over.
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            let mut out = Vec::new();
            match self.advance(&mut out).await {
                Ok(()) => {}
                Err(error) => {
                    event(&mut out, "ERROR", &error.status());
                    self.stage = Stage::Over;
                }
            }
            if !out.is_empty() {
                return Some(out.into());
            }
            if matches!(self.stage, Stage::Over) {
                return None;
            }
        }
    }

    async fn advance(&mut self, out: &mut Vec<u8>) -> Result<(), Error> {
        match std::mem::replace(&mut self.stage, Stage::Over) {
            Stage::Initial { after, at, marked } => self.initial(out, after, (at, marked)).await,
            Stage::Mark(revision) => {
                if self.bookmarks {
                    let annotations = json!({INITIAL_EVENTS_END: "true"});
                    self.bookmark(out, revision, annotations)?;
                }
                self.stage = Stage::Changes;
                Ok(())
            }
            Stage::Changes => self.follow(out).await,
            Stage::Over => Ok(()),
        }
    }

    async fn initial(
        &mut self,
        out: &mut Vec<u8>,
        after: Option<Key>,
        (at, marked): (u64, bool),
    ) -> Result<(), Error> {
        let query = Query {
            kind: self.kind,
            namespace: self.namespace.as_deref(),
            name: self.filter.fields.exactly("metadata.name"),
            after: after.as_ref(),
            limit: Some(CHUNK),
            at: Some(at),
        };
        let page = self.api.store.page(query).await?;
        let last = page.items.last().map(|(key, _)| key.clone());
        for (_, value) in page.items {
            if self.filter.selects(&value) {
                self.tell(out, "ADDED", value)?;
            }
        }
        self.stage = match last {
            Some(last) if page.remaining > 0 => Stage::Initial { after: Some(last), at, marked },
            Some(_) | None if marked => Stage::Mark(at),
            Some(_) | None => Stage::Changes,
        };
        Ok(())
    }

    /// Waits for changes; takes along those that are there already.
    async fn follow(&mut self, out: &mut Vec<u8>) -> Result<(), Error> {
        let wake_at = if self.bookmarks { self.until.min(self.bookmark_at) } else { self.until };
        // Cancel-safe: a change is taken out of the watch only when it is answered.
        let change = tokio::select! {
            biased;
            () = self.api.stop.cancelled() => return Ok(()),
            change = timeout_at(wake_at, self.changes.next()) => change,
        };
        let Ok(change) = change else {
            if Instant::now() < self.until {
                self.bookmark_at = Instant::now() + BOOKMARK_EVERY;
                self.bookmark(out, self.changes.passed(), json!({}))?;
                self.stage = Stage::Changes;
            }
            return Ok(());
        };
        self.change(out, &change?)?;
        for _ in 1..BURST_MAX {
            let Some(change) = self.changes.next().now_or_never() else { break };
            self.change(out, &change?)?;
        }
        self.stage = Stage::Changes;
        Ok(())
    }

    /// An object that comes to be selected is new to the watcher; one that is no longer is gone.
    fn change(&mut self, out: &mut Vec<u8>, change: &Change) -> Result<(), Error> {
        let selected = |value: Option<Value>| value.filter(|value| self.filter.selects(value));
        let (now, before) = (selected(change.value()?), selected(change.previous_value()?));
        match (now, before) {
            (Some(now), None) => self.tell(out, "ADDED", now),
            (Some(now), Some(_)) => self.tell(out, "MODIFIED", now),
            (None, Some(before)) => self.tell(out, "DELETED", before),
            (None, None) => Ok(()),
        }
    }

    fn tell(&mut self, out: &mut Vec<u8>, kind: &str, value: Value) -> Result<(), Error> {
        let now = (self.api.now)();
        let mut shown = shape::object(self.form, self.resource, value, &self.parameters, now)?;
        // A client keeps the columns that it was told first.
        if self.form == Form::Table && std::mem::replace(&mut self.columns_told, true) {
            shown["columnDefinitions"] = Value::Null;
        }
        event(out, kind, &shown);
        Ok(())
    }

    fn bookmark(&self, out: &mut Vec<u8>, at: u64, annotations: Value) -> Result<(), Error> {
        let mut meta = json!({"resourceVersion": at.to_string(), "creationTimestamp": null});
        if annotations.as_object().is_some_and(|map| !map.is_empty()) {
            meta["annotations"] = annotations;
        }
        let value = match self.form {
            Form::Whole => json!({
                "kind": self.resource.kind, "apiVersion": self.resource.group_version(),
                "metadata": meta,
            }),
            Form::Metadata => json!({
                "kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": meta,
            }),
            Form::Table => json!({
                "kind": "Table", "apiVersion": "meta.k8s.io/v1", "metadata": meta,
                "columnDefinitions": null, "rows": [],
            }),
        };
        event(out, "BOOKMARK", &value);
        Ok(())
    }
}

fn event(out: &mut Vec<u8>, kind: &str, object: &Value) {
    // A vector takes everything.
    let _ = serde_json::to_writer(&mut *out, &json!({"type": kind, "object": object}));
    out.push(b'\n');
}
