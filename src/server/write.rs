//! Writing: new objects and changed ones.
//!
//! Owns: what every write goes through, whatever its kind: strictness, namespaces, optimistic locking,
//! dry runs. Must not know: any kind's own rules.

use bytes::Bytes;
use http::StatusCode;
use serde_json::{Map, Value};

use super::api::Call;
use super::objects::Seed;
use super::request::Strictness;
use super::resources::Subresource;
use super::respond::Answer;
use super::status::{Cause, Error};
use super::{after, body, kinds, metadata, namespaces, pod_security, read};
use crate::api::apply::{self, Manager};
use crate::api::object::{Key, Kind};
use crate::api::strict::{Checked, NotBuilt, without_nulls};
use crate::api::validation::object;
use crate::api::versions;

/// How often a generated name is tried, and how often a change that names no resource version is made
/// again on what somebody else wrote meanwhile.
pub(super) const TRIES_MAX: u32 = 8;

pub(super) async fn create(call: &Call<'_>, kind: Kind, bytes: &Bytes) -> Result<Answer, Error> {
    let decoded = body::decode(call, bytes)?;
    let (mut value, mut warnings) = wish(call, kind, decoded)?;
    // Who owns the fields of a new object is not for its maker to say.
    meta_of(&mut value)?.remove("managedFields");
    let (created, more) = create_value(call, kind, &value, Change::Update).await?;
    warnings.extend(more);
    Ok(Answer::with(StatusCode::CREATED, call.shown(created)?, warnings))
}

/// A new object as its client means it: of the right kind, with fields that there are.
pub(super) fn wish(
    call: &Call<'_>,
    kind: Kind,
    decoded: body::Decoded,
) -> Result<(Value, Vec<String>), Error> {
    let mut value = decoded.value;
    metadata::expect_kind(call, &mut value)?;
    let version = call.resource.group_version();
    let value = versions::stored(&version, value);
    if version == versions::EVENTS && !value["eventTime"].is_string() {
        let (name, causes) = (text(&value, "/metadata/name"), vec![kinds::required("eventTime")]);
        return Err(Error::Invalid { resource: call.resource, name, causes });
    }
    let checked = kinds::check_new(kind, &value);
    judge(call, checked, decoded.doubtful, |_| false)
}

/// Stores a new object whose fields were looked at. Answers it, and what its client should know.
pub(super) async fn create_value(
    call: &Call<'_>,
    kind: Kind,
    value: &Value,
    how: Change,
) -> Result<(Value, Vec<String>), Error> {
    let mut tries = TRIES_MAX;
    loop {
        tries -= 1;
        let seed = Seed::random().map_err(|e| Error::Internal { message: e.to_string() })?;
        let mut object = value.clone();
        let meta = meta_of(&mut object)?;
        metadata::place(call, meta)?;
        metadata::create(meta, &seed, call.now)?;
        let name = text(&object, "/metadata/name");
        let generated = text(value, "/metadata/name").is_empty();
        let mut object = admit(call, kind, object)?;
        how.record(call, None, &mut object);
        match store_new(call, kind, &object).await {
            Err(Error::AlreadyExists { .. }) if generated && tries > 0 => {}
            Err(Error::Conflict { .. }) if tries > 0 => {}
            Err(other) => return Err(other),
            Ok((revision, warnings)) => {
                if revision > 0 {
                    object["metadata"]["resourceVersion"] = revision.to_string().into();
                }
                tracing::debug!(kind = call.resource.kind, name, by = call.caller.name, "created");
                return Ok((object, warnings));
            }
        }
    }
}

/// Looks at the metadata and at the kind's own rules.
fn admit(call: &Call<'_>, kind: Kind, object: Value) -> Result<Value, Error> {
    let name = text(&object, "/metadata/name");
    let meta = serde_json::from_value(object["metadata"].clone())
        .map_err(|error| Error::bad(format!("metadata: {error}")))?;
    let mut causes: Vec<Cause> = object::metadata(kind, &meta).iter().map(Cause::from).collect();
    let admitted = kinds::create(kind, object);
    match admitted {
        Ok(admitted) if causes.is_empty() => Ok(admitted),
        Ok(_) => Err(Error::Invalid { resource: call.resource, name, causes }),
        Err(more) => {
            for cause in more {
                if !causes.contains(&cause) {
                    causes.push(cause);
                }
            }
            Err(Error::Invalid { resource: call.resource, name, causes })
        }
    }
}

/// Writes a new object where its namespace is there, lets it in, and stays. Answers with the revision what
/// the client should know.
async fn store_new(
    call: &Call<'_>,
    kind: Kind,
    object: &Value,
) -> Result<(u64, Vec<String>), Error> {
    let name = text(object, "/metadata/name");
    let key = Key::new(kind, text(object, "/metadata/namespace"), name.clone());
    let _turn = after::hold(call, kind, object, None).await?;
    let mut txn = call.api.store.txn();
    let mut warnings = Vec::new();
    if kind.is_namespaced() {
        let namespace = namespaces::living(call, &key).await?;
        warnings = pod_security::admit(call, kind, object, &namespace)?;
        txn.guard_value(&Key::new(Kind::Namespace, "", key.namespace.clone()), &namespace);
    }
    if call.parameters.dry_run()? {
        return match call.api.store.read(&key).await? {
            Some(_) => Err(Error::AlreadyExists { resource: call.resource, name }),
            None => Ok((0, warnings)),
        };
    }
    txn.create_value(&key, object);
    if kind == Kind::Namespace {
        namespaces::furnish(&mut txn, &name, call.now)?;
    }
    let committed = txn.commit().await;
    let written = committed.map_err(|error| Error::store(call.resource, &name, error))?;
    Ok((written.first(), warnings))
}

pub(super) async fn update(call: &Call<'_>, kind: Kind, bytes: &Bytes) -> Result<Answer, Error> {
    let decoded = body::decode(call, bytes)?;
    let mut value = decoded.value;
    metadata::expect_kind(call, &mut value)?;
    let value = versions::stored(&call.resource.group_version(), value);
    let doubtful = decoded.doubtful;
    let (changed, warnings) = change(call, kind, Change::Update, |_| {
        Ok(Made { value: value.clone(), doubtful: doubtful.clone() })
    })
    .await?;
    Ok(Answer::with(StatusCode::OK, call.shown(changed)?, warnings))
}

/// How a change comes about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    Update,
    /// Who owns what has been noted already.
    Apply,
}

impl Change {
    /// Notes who changed what.
    fn record(self, call: &Call<'_>, before: Option<&Value>, after: &mut Value) {
        if self == Self::Update {
            let name = call.manager();
            let manager = Manager { name: &name, subresource: call.subresource() };
            apply::record_update(before, after, manager, call.now);
        }
    }
}

/// An object that is to stand in another's place.
#[derive(Debug)]
pub(super) struct Made {
    pub(super) value: Value,
    /// What of it a strict reader minds.
    pub(super) doubtful: Vec<String>,
}

/// Makes a change: of an object that is read, of which a new one is made, which is stored if the
/// other is still the same. A change that names no resource version is made until it is.
pub(super) async fn change(
    call: &Call<'_>,
    kind: Kind,
    how: Change,
    make: impl Fn(&Value) -> Result<Made, Error>,
) -> Result<(Value, Vec<String>), Error> {
    let mut tries = TRIES_MAX;
    loop {
        tries -= 1;
        let old = read::one(call, kind).await?;
        let Made { value: new, doubtful } = make(&old)?;
        let given = text(&new, "/metadata/resourceVersion");
        // One that was taken over from the object itself pins nothing.
        let pinned = !given.is_empty() && given != text(&old, "/metadata/resourceVersion");
        if pinned {
            return Err(Error::modified(call.resource, &text(&old, "/metadata/name")));
        }
        let (mut next, mut warnings) = changed(call, kind, (new, &old), doubtful)?;
        if matches!(kind, Kind::Job | Kind::CronJob) && call.target.subresource.is_none() {
            let name = text(&old, "/metadata/namespace");
            let namespace = call.api.store.read(&Key::new(Kind::Namespace, "", name)).await?;
            warnings.extend(pod_security::admit(
                call,
                kind,
                &next,
                &namespace.unwrap_or_default(),
            )?);
        }
        how.record(call, Some(&old), &mut next);
        match store_change(call, kind, &next, &old).await {
            Err(Error::Conflict { .. }) if tries > 0 => {}
            stored => return stored.map(|stored| (stored, warnings)),
        }
    }
}

/// What becomes of an object by a change.
fn changed(
    call: &Call<'_>,
    kind: Kind,
    (mut new, old): (Value, &Value),
    doubtful: Vec<String>,
) -> Result<(Value, Vec<String>), Error> {
    let name = text(old, "/metadata/name");
    identity(call, &new, old)?;
    without_nulls(&mut new);
    if call.target.subresource == Some(Subresource::Status) {
        let (kept, warnings) = judge(call, kinds::check_typed(kind, &new), doubtful, |_| false)?;
        return Ok((kinds::update_status(kind, &kept, old), warnings));
    }
    let checked = kinds::check_change(kind, &new);
    // What it says already, it may go on saying.
    let (mut kept, warnings) = judge(call, checked, doubtful, |found| {
        let pointer = pointer(found);
        old.pointer(&pointer).is_some_and(|before| Some(before) == new.pointer(&pointer))
    })?;
    let none = Map::new();
    metadata::update(meta_of(&mut kept)?, old["metadata"].as_object().unwrap_or(&none));
    let meta = serde_json::from_value(kept["metadata"].clone())
        .map_err(|error| Error::bad(format!("metadata: {error}")))?;
    let invalid = |causes| Error::Invalid { resource: call.resource, name: name.clone(), causes };
    let causes: Vec<Cause> = object::metadata(kind, &meta).iter().map(Cause::from).collect();
    if !causes.is_empty() {
        return Err(invalid(causes));
    }
    Ok((kinds::update(kind, kept, old).map_err(invalid)?, warnings))
}

/// An object keeps its name, its namespace and its uid.
fn identity(call: &Call<'_>, new: &Value, old: &Value) -> Result<(), Error> {
    let (name, given) = (text(old, "/metadata/name"), text(new, "/metadata/name"));
    if !given.is_empty() && given != name {
        return Err(Error::bad(format!(
            "the name of the object ({given}) does not match the name on the URL ({name})"
        )));
    }
    let namespace = text(new, "/metadata/namespace");
    if !namespace.is_empty() && namespace != text(old, "/metadata/namespace") {
        return Err(Error::bad(
            "the namespace of the provided object does not match the namespace sent on the request",
        ));
    }
    let (uid, is) = (text(new, "/metadata/uid"), text(old, "/metadata/uid"));
    if !uid.is_empty() && uid != is {
        return Err(Error::Conflict {
            resource: call.resource,
            name,
            why: format!(
                "Precondition failed: UID in precondition: {uid}, UID in object meta: {is}"
            ),
        });
    }
    Ok(())
}

async fn store_change(
    call: &Call<'_>,
    kind: Kind,
    next: &Value,
    old: &Value,
) -> Result<Value, Error> {
    let name = text(old, "/metadata/name");
    let key = Key::new(kind, text(old, "/metadata/namespace"), name.clone());
    let _turn = after::hold(call, kind, next, Some(old)).await?;
    // A change that changes nothing is no change.
    if next == old || call.parameters.dry_run()? {
        return Ok(next.clone());
    }
    let mut next = next.clone();
    next["metadata"]["resourceVersion"] = old["metadata"]["resourceVersion"].clone();
    let mut txn = call.api.store.txn();
    txn.update_value(&key, &next);
    // One that is gone is told of as one that was changed, and not found when it is read again.
    let committed = txn.commit().await;
    let written = committed.map_err(|error| Error::store(call.resource, &name, error))?;
    next["metadata"]["resourceVersion"] = written.last.to_string().into();
    Ok(next)
}

/// What is done about the fields of an object that are no fields, are not built, or are of another
/// type. Answers the object, and what its client should know.
fn judge(
    call: &Call<'_>,
    checked: Checked,
    mut doubtful: Vec<String>,
    excused: impl Fn(&NotBuilt) -> bool,
) -> Result<(Value, Vec<String>), Error> {
    let kind = call.resource.kind;
    let refuse = |why: String| {
        Error::bad(format!(
            "{kind} in version {:?} cannot be handled as a {kind}: {why}",
            call.resource.version
        ))
    };
    if !checked.mistyped.is_empty() {
        return Err(refuse(checked.mistyped.join(", ")));
    }
    let not_built: Vec<Cause> =
        checked.not_built.iter().filter(|found| !excused(found)).map(Cause::from).collect();
    if !not_built.is_empty() {
        let name = text(&checked.kept, "/metadata/name");
        return Err(Error::Invalid { resource: call.resource, name, causes: not_built });
    }
    doubtful.extend(checked.unknown);
    match call.parameters.strictness()? {
        Strictness::Strict if !doubtful.is_empty() => {
            Err(refuse(format!("strict decoding error: {}", doubtful.join(", "))))
        }
        Strictness::Strict | Strictness::Ignore => Ok((checked.kept, Vec::new())),
        Strictness::Warn => Ok((checked.kept, doubtful)),
    }
}

fn pointer(found: &NotBuilt) -> String {
    use crate::api::path::Segment;
    let mut pointer = String::new();
    for segment in found.path.segments() {
        pointer.push('/');
        match segment {
            Segment::Field(name) | Segment::Key(name) => {
                pointer.push_str(&name.replace('~', "~0").replace('/', "~1"));
            }
            Segment::Index(index) => pointer.push_str(&index.to_string()),
        }
    }
    pointer
}

pub(super) fn text(value: &Value, pointer: &str) -> String {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned()
}

fn meta_of(value: &mut Value) -> Result<&mut Map<String, Value>, Error> {
    match value.get_mut("metadata") {
        Some(Value::Object(meta)) => Ok(meta),
        Some(_) | None => Err(Error::bad("the object has no metadata")),
    }
}
