//! Jobs that wait for each other, on their way into the store.
//!
//! Owns: that no circle of them is stored. Must not know: when a Job begins.

use std::collections::VecDeque;

use k8s_openapi::api::batch::v1::Job;
use serde_json::Value;
use tokio::sync::MutexGuard;

use super::api::Call;
use super::status::{Cause, Error};
use super::write::text;
use crate::api::after::{Waits, circle};
use crate::api::extensions::{AFTER, after};
use crate::api::job::is_finished;
use crate::api::object::{Kind, Object};
use crate::store::{self, Store};

/// Looks at what a Job waits for. While the answer is held, no other Job begins to wait: two that are
/// written at once do not close a circle that neither of them has seen.
pub(super) async fn hold<'a>(
    call: &Call<'a>,
    kind: Kind,
    new: &Value,
    old: Option<&Value>,
) -> Result<Option<MutexGuard<'a, ()>>, Error> {
    let said = |object: &Value| object["metadata"]["annotations"].get(AFTER).cloned();
    if kind != Kind::Job || said(new).is_none() || old.is_some_and(|old| said(old) == said(new)) {
        return Ok(None);
    }
    let turn = call.api.waits.lock().await;
    let job: Job = serde_json::from_value(new.clone())
        .map_err(|error| Error::Internal { message: error.to_string() })?;
    let waits = waits(&call.api.store, &job).await?;
    match circle(&waits, job.name()) {
        None => Ok(Some(turn)),
        Some(why) => {
            let value = serde_json::to_string(&after(&job).join(",")).unwrap_or_default();
            let cause = Cause {
                reason: "FieldValueInvalid",
                message: format!("Invalid value: {value}: {why}"),
                field: format!("metadata.annotations[{AFTER}]"),
            };
            let name = text(new, "/metadata/name");
            Err(Error::Invalid { resource: call.resource, name, causes: vec![cause] })
        }
    }
}

/// What this Job waits for, and what those wait for, and so on. One that is over waits for nothing.
async fn waits(store: &Store, job: &Job) -> Result<Waits, store::Error> {
    let names = |job: &Job| after(job).into_iter().map(str::to_owned).collect::<Vec<_>>();
    let mut found = Waits::from([(job.name().to_owned(), names(job))]);
    let mut due = VecDeque::from(names(job));
    while let Some(name) = due.pop_front() {
        if found.contains_key(&name) {
            continue;
        }
        let next = store.get::<Job>(job.namespace(), &name).await?;
        let next = next.filter(|next| is_finished(next).is_none());
        let waits = next.as_ref().map(names).unwrap_or_default();
        due.extend(waits.iter().cloned());
        found.insert(name, waits);
    }
    Ok(found)
}
