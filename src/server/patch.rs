//! Patches.
//!
//! Owns: which kind of patch a body is, and what it is made on. Must not know: how patches work.
//! <https://kubernetes.io/docs/reference/using-api/api-concepts/#patch-and-apply>

use bytes::Bytes;
use http::StatusCode;
use serde_json::Value;

use super::api::Call;
use super::respond::Answer;
use super::status::{Cause, Error};
use super::write::{self, Change, Made};
use super::{body, metadata};
use crate::api::apply::{self, Manager, Refused};
use crate::api::object::Kind;
use crate::api::patch::{self, json, merge, strategic};
use crate::api::topology;
use crate::api::versions;

const ACCEPTED: &str = "application/json-patch+json, application/merge-patch+json, \
                        application/strategic-merge-patch+json, application/apply-patch+yaml";

/// Every kind can be patched in these languages, as OpenAPI tells it.
#[derive(Debug, Clone, Copy)]
enum Language {
    Json,
    Merge,
    Strategic,
}

pub(super) async fn answer(call: &Call<'_>, kind: Kind, bytes: &Bytes) -> Result<Answer, Error> {
    let language = match body::media(&call.headers) {
        "application/json-patch+json" => Language::Json,
        "application/merge-patch+json" => Language::Merge,
        "application/strategic-merge-patch+json" => Language::Strategic,
        "application/apply-patch+yaml" => return apply(call, kind, bytes).await,
        _ => return Err(Error::UnsupportedMediaType { accepted: ACCEPTED }),
    };
    let patch = body::json(bytes)?;
    let version = call.resource.group_version();
    let make = |old: &Value| {
        // A patch is made on what its client sees.
        let old = versions::served(&version, old.clone());
        let made = match language {
            Language::Json => json::apply(&old, &patch.value),
            Language::Merge => Ok(merge::apply(old, &patch.value)),
            Language::Strategic => {
                strategic::apply(&old, &patch.value, topology::of(call.resource.kind))
            }
        };
        let value = versions::stored(&version, made.map_err(|error| refusal(call, error))?);
        Ok(Made { value, doubtful: patch.doubtful.clone() })
    };
    let (changed, warnings) = write::change(call, kind, Change::Update, make).await?;
    Ok(Answer::with(StatusCode::OK, call.shown(changed)?, warnings))
}

fn refusal(call: &Call<'_>, error: patch::Error) -> Error {
    match error {
        patch::Error::Malformed(message) => Error::bad(message),
        patch::Error::DoesNotApply(message) => Error::Invalid {
            resource: call.resource,
            name: call.target.name.clone().unwrap_or_default(),
            causes: vec![Cause { reason: "FieldValueInvalid", message, field: String::new() }],
        },
        patch::Error::TooLarge(_) => Error::TooLarge { limit: super::api::BODY_BYTES_MAX },
    }
}

/// Applies a configuration to an object, or makes one of it.
/// <https://kubernetes.io/docs/reference/using-api/server-side-apply/>
async fn apply(call: &Call<'_>, kind: Kind, bytes: &Bytes) -> Result<Answer, Error> {
    let Some(name) = call.parameters.get("fieldManager") else {
        return Err(Error::bad("fieldManager is required for apply patch"));
    };
    let manager = Manager { name, subresource: call.subresource() };
    let force = call.parameters.is_set("force")?;
    let mut wanted = body::yaml(bytes)?;
    metadata::expect_kind(call, &mut wanted.value)?;
    wanted.value = versions::stored(&call.resource.group_version(), wanted.value);
    let make = |live: Option<&Value>| {
        let applied = apply::apply(live, &wanted.value, manager, force, call.now);
        applied.map_err(unapplied)
    };
    let key = call.key(kind);
    if call.api.store.read(&key).await?.is_none() {
        if call.target.subresource.is_some() {
            return Err(call.not_found(&key.name));
        }
        match create(call, kind, make(None)?, &wanted).await {
            // Somebody was faster: now there is something to apply it to.
            Err(Error::AlreadyExists { .. }) => {}
            other => return other,
        }
    }
    let (changed, warnings) = write::change(call, kind, Change::Apply, |old| {
        Ok(Made { value: make(Some(old))?, doubtful: wanted.doubtful.clone() })
    })
    .await?;
    Ok(Answer::with(StatusCode::OK, call.shown(changed)?, warnings))
}

async fn create(
    call: &Call<'_>,
    kind: Kind,
    mut value: Value,
    wanted: &body::Decoded,
) -> Result<Answer, Error> {
    let given = write::text(&value, "/metadata/name");
    let name = call.target.name.clone().unwrap_or_default();
    if !given.is_empty() && given != name {
        return Err(Error::bad(format!(
            "the name of the object ({given}) does not match the name on the URL ({name})"
        )));
    }
    value["metadata"]["name"] = name.into();
    // It was read already; from here on it goes the way of any new object.
    let value = versions::served(&call.resource.group_version(), value);
    let doubtful = wanted.doubtful.clone();
    let (value, mut warnings) = write::wish(call, kind, body::Decoded { value, doubtful })?;
    let (created, more) = write::create_value(call, kind, &value, Change::Apply).await?;
    warnings.extend(more);
    Ok(Answer::with(StatusCode::CREATED, call.shown(created)?, warnings))
}

fn unapplied(refused: Refused) -> Error {
    match refused {
        Refused::Malformed(message) => Error::bad(message),
        Refused::Conflicts(conflicts) => {
            let message = conflicts.to_string();
            let causes = conflicts.0.into_iter().map(|conflict| Cause {
                reason: apply::CAUSE,
                message: conflict.message,
                field: conflict.field,
            });
            Error::Apply { message, causes: causes.collect() }
        }
    }
}
