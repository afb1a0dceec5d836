//! The API: one request in, one answer out.
//!
//! Owns: what every request goes through, and who is asked to answer it. Must not know: sockets, or
//! how any kind of object is handled.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use jiff::Timestamp;
use serde_json::Value;
use tokio::sync::{Mutex, OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::discovery::Documents;
use super::identity::{Access, Caller};
use super::logs::Logs;
use super::metrics::{Measures, Metrics};
use super::request::{Form, Parameters, Target, form, target};
use super::resources::{Behind, Resource, Subresource, Verb};
use super::respond::{Answer, Response, failure, text};
use super::status::Error;
use super::{body, discovery, logs, patch, read, remove, reviews, watch, write};
use crate::api::object::{Key, Kind};
use crate::store::Store;

/// No body may be longer, as with an API server.
pub(super) const BODY_BYTES_MAX: usize = 3 * 1024 * 1024;
/// How long a client has to send one.
const BODY_TIME: Duration = Duration::from_mins(1);
/// Requests that are worked on at once, those that read and those that may write; more are told to come
/// again. Clients that are slow to send what they write keep nobody from reading.
const READS_MAX: usize = 400;
const WRITES_MAX: usize = 200;
/// Answers that go on until their client has enough: watches and logs.
const STREAMS_MAX: usize = 4096;

/// The time, from whoever reads the clock.
pub type Now = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// What all requests work with.
pub struct Api {
    pub(super) store: Store,
    pub(super) now: Now,
    pub(super) logs: Arc<dyn Logs>,
    pub(super) metrics: Metrics,
    pub(super) measures: Option<Arc<dyn Measures>>,
    pub(super) documents: Documents,
    /// Held while a Job begins to wait for others.
    pub(super) waits: Mutex<()>,
    /// No more streams, and those that there are end.
    pub(super) stop: CancellationToken,
    reads: Arc<Semaphore>,
    writes: Arc<Semaphore>,
    streams: Arc<Semaphore>,
}

impl std::fmt::Debug for Api {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Api")
    }
}

/// A request that has been understood as far as its path and its head.
pub(super) struct Call<'a> {
    pub(super) api: &'a Arc<Api>,
    pub(super) caller: &'a Caller,
    pub(super) resource: &'static Resource,
    pub(super) target: Target,
    pub(super) parameters: Parameters,
    pub(super) headers: HeaderMap,
    pub(super) now: Timestamp,
}

impl Call<'_> {
    pub(super) fn form(&self) -> Result<Form, Error> {
        form(&self.headers)
    }

    /// The key of the object that the path names.
    pub(super) fn key(&self, kind: Kind) -> Key {
        let (namespace, name) = (self.target.namespace.clone(), self.target.name.clone());
        Key::new(kind, namespace.unwrap_or_default(), name.unwrap_or_default())
    }

    pub(super) fn not_found(&self, name: &str) -> Error {
        Error::NotFound { resource: self.resource, name: name.to_owned() }
    }

    pub(super) fn subresource(&self) -> Option<&'static str> {
        self.target.subresource.map(Subresource::as_str)
    }

    /// Who changes something, for the record of who owns which field.
    pub(super) fn manager(&self) -> String {
        if let Some(name) = self.parameters.get("fieldManager") {
            return name.to_owned();
        }
        let agent = self.headers.get(http::header::USER_AGENT).and_then(|v| v.to_str().ok());
        agent.and_then(|agent| agent.split('/').next()).unwrap_or("unknown").to_owned()
    }
}

impl Api {
    pub fn new(store: Store, now: Now, logs: Arc<dyn Logs>) -> Self {
        Self {
            store,
            now,
            logs,
            metrics: Metrics::new(),
            measures: None,
            documents: Documents::new(),
            waits: Mutex::new(()),
            stop: CancellationToken::new(),
            reads: Arc::new(Semaphore::new(READS_MAX)),
            writes: Arc::new(Semaphore::new(WRITES_MAX)),
            streams: Arc::new(Semaphore::new(STREAMS_MAX)),
        }
    }

    /// The same; its metrics are told with those of others.
    pub fn with_measures(self, others: Arc<dyn Measures>) -> Self {
        Self { measures: Some(others), ..self }
    }

    /// Answers a request, whatever happens.
    pub async fn answer<B>(
        self: &Arc<Self>,
        caller: Option<Caller>,
        request: Request<B>,
    ) -> Response
    where
        B: http_body::Body<Data = Bytes>,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let begun = (self.now)();
        let (head, body) = request.into_parts();
        let label = Label::of(&head.method, head.uri.path(), head.uri.query());
        let answered = self.dispatch(caller, &head, body, &label).await;
        let response = answered.unwrap_or_else(|error| {
            tracing::debug!(method = %head.method, path = head.uri.path(), %error, "refused");
            failure(&error, &head.headers)
        });
        let took = (self.now)().duration_since(begun);
        self.metrics.answered(&label, response.status(), took.unsigned_abs());
        response
    }

    async fn dispatch<B>(
        self: &Arc<Self>,
        caller: Option<Caller>,
        head: &http::request::Parts,
        body: B,
        label: &Label,
    ) -> Result<Response, Error>
    where
        B: http_body::Body<Data = Bytes>,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let path = head.uri.path();
        if matches!(path, "/livez" | "/healthz") {
            return Ok(text(StatusCode::OK, "ok"));
        }
        if path == "/readyz" {
            // Nothing can be done without the store.
            self.store.revision().await?;
            return Ok(text(StatusCode::OK, "ok"));
        }
        let caller = caller.ok_or(Error::Unauthorized)?;
        let only_reads = label.verb.is_none_or(Verb::only_reads);
        let _turn = self.turn(only_reads)?;
        if let Some(response) = discovery::answer(self, head).await? {
            return Ok(response);
        }
        let target = target(path)?;
        let call = Call {
            api: self,
            caller: &caller,
            resource: target.resource,
            target,
            parameters: Parameters::read(head.uri.query()),
            headers: head.headers.clone(),
            now: (self.now)(),
        };
        let Some(verb) = label.verb else { return Err(Error::MethodNotAllowed) };
        let allowed = match call.target.subresource {
            Some(subresource) => subresource.verbs(),
            None => call.resource.verbs,
        };
        if !allowed.contains(&verb) {
            return Err(Error::MethodNotAllowed);
        }
        call.permit(verb)?;
        let bytes = if only_reads {
            // Whatever is sent along with a question is not read.
            Bytes::new()
        } else {
            timeout(BODY_TIME, collect(body)).await.map_err(|_| Error::CutShort)??
        };
        call.carry_out(verb, bytes).await
    }

    fn turn(&self, only_reads: bool) -> Result<OwnedSemaphorePermit, Error> {
        let turns = if only_reads { &self.reads } else { &self.writes };
        Arc::clone(turns).try_acquire_owned().map_err(|_| Error::TooManyRequests)
    }

    /// A place for an answer that goes on; it is held as long as the answer does.
    pub(super) fn stream(&self) -> Result<OwnedSemaphorePermit, Error> {
        Arc::clone(&self.streams).try_acquire_owned().map_err(|_| Error::TooManyRequests)
    }
}

impl Call<'_> {
    /// Whoever may only read asks questions and changes nothing.
    fn permit(&self, verb: Verb) -> Result<(), Error> {
        let asks = matches!(self.resource.behind, Behind::Asked(_));
        match self.caller.access {
            Access::Full => Ok(()),
            Access::ReadOnly if asks => Ok(()),
            // Secrets are for those who could make the containers that read them.
            Access::ReadOnly if verb.only_reads() && self.resource.kind != "Secret" => Ok(()),
            Access::ReadOnly => Err(Error::Forbidden {
                resource: self.resource,
                name: self.target.name.clone().unwrap_or_default(),
                why: format!(
                    "User {:?} cannot {} resource {:?} in API group {:?}: the token is for reading",
                    self.caller.name,
                    verb.as_str(),
                    self.resource.plural,
                    self.resource.group
                ),
            }),
        }
    }

    async fn carry_out(&self, verb: Verb, bytes: Bytes) -> Result<Response, Error> {
        let kind = match self.resource.behind {
            Behind::Stored(kind) => kind,
            Behind::Asked(review) => {
                let answer = reviews::answer(self, review, body::decode(self, &bytes)?.value)?;
                return Ok(answer.into_response(&self.headers));
            }
        };
        if self.target.subresource == Some(Subresource::Log) {
            return logs::answer(self).await;
        }
        let answer: Answer = match verb {
            Verb::Watch => return watch::answer(self, kind).await,
            Verb::Get => read::get(self, kind).await?,
            Verb::List => read::list(self, kind).await?,
            Verb::Create => write::create(self, kind, &bytes).await?,
            Verb::Update => write::update(self, kind, &bytes).await?,
            Verb::Patch => patch::answer(self, kind, &bytes).await?,
            Verb::Delete => remove::delete(self, kind, &bytes).await?,
            Verb::DeleteCollection => remove::delete_collection(self, kind, &bytes).await?,
        };
        Ok(answer.into_response(&self.headers))
    }

    /// An object in the form that the client asked for.
    pub(super) fn shown(&self, value: Value) -> Result<Value, Error> {
        let form = self.form()?;
        super::shape::object(form, self.resource, value, &self.parameters, self.now)
    }
}

/// What a request is counted as.
#[derive(Debug, Clone)]
pub(super) struct Label {
    pub(super) verb: Option<Verb>,
    pub(super) resource: Option<&'static Resource>,
    pub(super) subresource: Option<Subresource>,
    /// `resource`, `namespace` or `cluster`.
    pub(super) scope: &'static str,
}

impl Label {
    fn of(method: &Method, path: &str, query: Option<&str>) -> Self {
        let Ok(target) = target(path) else {
            return Self { verb: None, resource: None, subresource: None, scope: "" };
        };
        let watches = Parameters::read(query).is_set("watch").unwrap_or(false);
        let named = target.name.is_some();
        let verb = match *method {
            Method::GET | Method::HEAD if named => Some(Verb::Get),
            Method::GET | Method::HEAD if watches => Some(Verb::Watch),
            Method::GET | Method::HEAD => Some(Verb::List),
            Method::POST if !named => Some(Verb::Create),
            Method::PUT if named => Some(Verb::Update),
            Method::PATCH if named => Some(Verb::Patch),
            Method::DELETE if named => Some(Verb::Delete),
            Method::DELETE => Some(Verb::DeleteCollection),
            _ => None,
        };
        let scope = match (&target.namespace, named) {
            (_, true) => "resource",
            (Some(_), false) => "namespace",
            (None, false) => "cluster",
        };
        let resource = Some(target.resource);
        Self { verb, resource, subresource: target.subresource, scope }
    }
}

async fn collect<B>(body: B) -> Result<Bytes, Error>
where
    B: http_body::Body<Data = Bytes>,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    match Limited::new(body, BODY_BYTES_MAX).collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => {
            Err(Error::TooLarge { limit: BODY_BYTES_MAX })
        }
        Err(_) => Err(Error::CutShort),
    }
}
