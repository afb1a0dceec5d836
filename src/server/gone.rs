//! Pods that are gone.
//!
//! Owns: the parameter `gone` of `get` and `list`, and which pod of a name is meant. Must not know: for how
//! long they are kept.

use serde_json::{Value, json};

use super::api::Call;
use super::read::{CHUNK, Filter};
use super::respond::Answer;
use super::shape;
use super::status::Error;
use crate::api::object::Kind;
use crate::api::remains::gone_since;
use crate::store::gone::Which;

/// Whether the client means pods that are gone, of which only kiln has any.
pub(super) fn is_asked_for(call: &Call<'_>, kind: Kind) -> Result<bool, Error> {
    Ok(call.parameters.is_set("gone")? && kind == Kind::Pod)
}

/// The pod of the path that went last.
pub(super) async fn get(call: &Call<'_>) -> Result<Answer, Error> {
    let (namespace, name) = (call.target.namespace.as_deref(), call.target.name.as_deref());
    let name = name.unwrap_or_default();
    let found = last(call, namespace.unwrap_or_default(), name).await?;
    Ok(Answer::ok(call.shown(found.ok_or_else(|| call.not_found(name))?)?))
}

/// What remains of the pod of this name that went last.
pub(super) async fn last(
    call: &Call<'_>,
    namespace: &str,
    name: &str,
) -> Result<Option<Value>, Error> {
    let which = Which { namespace: Some(namespace), name: Some(name) };
    let found = call.api.store.gone_pods(which, None, CHUNK).await?;
    Ok(found.into_iter().map(|(_, pod)| pod).max_by_key(gone_since))
}

pub(super) async fn list(call: &Call<'_>) -> Result<Answer, Error> {
    let form = call.form()?;
    let filter = Filter::of(call)?;
    let store = &call.api.store;
    let which = Which { namespace: call.target.namespace.as_deref(), name: None };
    let revision = store.revision().await?;
    let (mut items, mut after) = (Vec::new(), None);
    loop {
        let page = store.gone_pods(which, after.as_ref(), CHUNK).await?;
        let is_last = page.len() < CHUNK;
        after = page.last().map(|(place, _)| place.clone());
        items.extend(page.into_iter().map(|(_, pod)| pod).filter(|pod| filter.selects(pod)));
        if is_last {
            break;
        }
    }
    let meta = json!({"resourceVersion": revision.to_string()});
    let value = shape::list(form, call.resource, (items, meta), &call.parameters, call.now)?;
    Ok(Answer::ok(value))
}
