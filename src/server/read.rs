//! Reading: one object, or many.
//!
//! Owns: `get` and `list`, selectors, pages, and what a resource version asks for. Must not know:
//! changes. <https://kubernetes.io/docs/reference/using-api/api-concepts/#retrieving-large-results-sets-in-chunks>

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::api::Call;
use super::gone;
use super::respond::Answer;
use super::shape;
use super::status::Error;
use crate::api::object::{Key, Kind};
use crate::api::selector::{field, label};
use crate::api::versions::EVENTS;
use crate::store;
use crate::store::untyped::{Page, Query};

/// How many objects are read from the store at once.
pub(super) const CHUNK: usize = 500;

pub(super) async fn get(call: &Call<'_>, kind: Kind) -> Result<Answer, Error> {
    if gone::is_asked_for(call, kind)? {
        return gone::get(call).await;
    }
    let value = one(call, kind).await?;
    Ok(Answer::ok(call.shown(value)?))
}

/// The object that the path names.
pub(super) async fn one(call: &Call<'_>, kind: Kind) -> Result<Value, Error> {
    let key = call.key(kind);
    let found = call.api.store.read(&key).await?;
    found.ok_or_else(|| call.not_found(&key.name))
}

/// Which objects a list or a watch is about.
#[derive(Debug, Clone)]
pub(super) struct Filter {
    pub(super) labels: label::Selector,
    pub(super) fields: field::Selector,
}

impl Filter {
    pub(super) fn of(call: &Call<'_>) -> Result<Self, Error> {
        let parameter = |name| call.parameters.get(name).unwrap_or_default();
        let malformed = |error: crate::api::selector::Malformed| Error::bad(error.to_string());
        let labels = label::Selector::parse(parameter("labelSelector")).map_err(malformed)?;
        let kind = match call.resource.group_version().as_str() {
            EVENTS => field::EVENTS,
            _ => call.resource.kind,
        };
        let fields = field::Selector::parse(parameter("fieldSelector"), kind).map_err(malformed)?;
        Ok(Self { labels, fields })
    }

    pub(super) fn selects(&self, value: &Value) -> bool {
        self.labels.selects(value) && self.fields.selects(value)
    }

    fn is_everything(&self) -> bool {
        self.labels.is_everything() && self.fields.is_everything()
    }
}

pub(super) async fn list(call: &Call<'_>, kind: Kind) -> Result<Answer, Error> {
    if gone::is_asked_for(call, kind)? {
        return gone::list(call).await;
    }
    let form = call.form()?;
    let filter = Filter::of(call)?;
    let asked = Asked::of(call, kind).await?;
    let found = select(call, kind, &filter, &asked).await?;
    let mut meta = json!({"resourceVersion": found.revision.to_string()});
    if let Some(last) = found.goes_on_after {
        meta["continue"] = Token::new(found.revision, &last).encode().into();
        if filter.is_everything() {
            meta["remainingItemCount"] = found.remaining.into();
        }
    }
    let values = found.items.into_iter().map(|(_, value)| value).collect();
    let value = shape::list(form, call.resource, (values, meta), &call.parameters, call.now)?;
    Ok(Answer::ok(value))
}

/// What a list is to begin with, and how long it may be.
#[derive(Debug, Default)]
pub(super) struct Asked {
    limit: Option<usize>,
    after: Option<Key>,
    at: Option<u64>,
}

impl Asked {
    /// Reads `limit`, `continue`, `resourceVersion` and `resourceVersionMatch`.
    /// <https://kubernetes.io/docs/reference/using-api/api-concepts/#resource-versions>
    async fn of(call: &Call<'_>, kind: Kind) -> Result<Self, Error> {
        let limit = call.parameters.number::<usize>("limit")?.filter(|limit| *limit > 0);
        let version = call.parameters.get("resourceVersion");
        let how = call.parameters.get("resourceVersionMatch");
        if let Some(token) = call.parameters.get("continue") {
            if version.is_some_and(|version| version != "0") {
                let why = "specifying resource version is not allowed when using continue";
                return Err(Error::bad(why));
            }
            let token = Token::decode(token)?;
            let after = Some(Key::new(kind, token.namespace, token.name));
            return Ok(Self { limit, after, at: Some(token.revision) });
        }
        let Some(version) = version else {
            if let Some(how) = how {
                let why = "resourceVersionMatch is forbidden unless resourceVersion is provided";
                return Err(Error::bad(format!("{why} (found {how:?})")));
            }
            return Ok(Self { limit, ..Self::default() });
        };
        let revision = revision(version)?;
        let exact = match how {
            Some("Exact") if revision == 0 => {
                let why = "resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\"";
                return Err(Error::bad(why));
            }
            Some("Exact") => true,
            None | Some("NotOlderThan") => false,
            Some(other) => {
                return Err(Error::bad(format!("unsupported resourceVersionMatch {other:?}")));
            }
        };
        not_of_the_future(call, revision).await?;
        Ok(Self { limit, after: None, at: exact.then_some(revision) })
    }
}

pub(super) fn revision(text: &str) -> Result<u64, Error> {
    text.parse().map_err(|_| Error::bad(format!("invalid resource version {text:?}")))
}

/// What is not written yet cannot be read; a client that asks for it spoke with another store.
pub(super) async fn not_of_the_future(call: &Call<'_>, asked: u64) -> Result<(), Error> {
    let current = call.api.store.revision().await?;
    if asked > current {
        return Err(Error::RevisionTooLarge { asked, current });
    }
    Ok(())
}

/// What a list found.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) items: Vec<(Key, Value)>,
    pub(super) revision: u64,
    goes_on_after: Option<Key>,
    remaining: usize,
}

/// All objects of the path that are selected.
pub(super) async fn all(call: &Call<'_>, kind: Kind, filter: &Filter) -> Result<Found, Error> {
    select(call, kind, filter, &Asked::default()).await
}

/// Reads page after page until as many were selected as are asked for.
async fn select(
    call: &Call<'_>,
    kind: Kind,
    filter: &Filter,
    asked: &Asked,
) -> Result<Found, Error> {
    let namespace = call.target.namespace.as_deref();
    let (mut after, mut at) = (asked.after.clone(), asked.at);
    let mut items = Vec::new();
    loop {
        let chunk = match asked.limit {
            Some(limit) if filter.is_everything() => Some(limit - items.len()),
            Some(_) => Some(CHUNK),
            None => None,
        };
        let name = filter.fields.exactly("metadata.name");
        let query = Query { kind, namespace, name, after: after.as_ref(), limit: chunk, at };
        let page = call.api.store.page(query).await.map_err(|error| too_old(asked, error))?;
        let Page { items: read, revision, remaining } = page;
        let count = read.len();
        at = Some(revision);
        for (index, (key, value)) in read.into_iter().enumerate() {
            let left = remaining + (count - index - 1);
            after = Some(key.clone());
            if filter.selects(&value) {
                items.push((key, value));
            }
            if asked.limit == Some(items.len()) && left > 0 {
                return Ok(Found { items, revision, goes_on_after: after, remaining: left });
            }
        }
        if remaining == 0 || count == 0 || asked.limit == Some(items.len()) {
            return Ok(Found { items, revision, goes_on_after: None, remaining: 0 });
        }
    }
}

fn too_old(asked: &Asked, error: store::Error) -> Error {
    if asked.after.is_some() && matches!(error, store::Error::Compacted { .. }) {
        let message = "The provided continue parameter is too old to display a consistent list \
                       result. You must start a new list without the continue parameter.";
        return Error::Expired { message: message.to_owned() };
    }
    Error::from(error)
}

/// Where a list goes on. Clients do not look into it.
#[derive(Debug, Serialize, Deserialize)]
struct Token {
    #[serde(rename = "rv")]
    revision: u64,
    #[serde(rename = "ns")]
    namespace: String,
    #[serde(rename = "start")]
    name: String,
}

impl Token {
    fn new(revision: u64, last: &Key) -> Self {
        Self { revision, namespace: last.namespace.clone(), name: last.name.clone() }
    }

    fn encode(&self) -> String {
        BASE64_URL_SAFE_NO_PAD.encode(json!(self).to_string())
    }

    fn decode(text: &str) -> Result<Self, Error> {
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(text).ok();
        let token = bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok());
        token.ok_or_else(|| Error::bad("continue key is not valid"))
    }
}
