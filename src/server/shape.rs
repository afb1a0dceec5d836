//! The forms in which objects are shown.
//!
//! Owns: whole objects, tables and metadata alone, of one object and of many. Must not know: the rows
//! of a table.
//! <https://kubernetes.io/docs/reference/using-api/api-concepts/#alternate-representations-of-resources>

use jiff::Timestamp;
use serde_json::{Value, json};

use super::request::{Form, Parameters};
use super::resources::Resource;
use super::status::Error;
use crate::api::table::{self, Include};
use crate::api::versions::served;

/// One object.
pub(super) fn object(
    form: Form,
    resource: &Resource,
    value: Value,
    parameters: &Parameters,
    now: Timestamp,
) -> Result<Value, Error> {
    match form {
        Form::Whole => Ok(served(&resource.group_version(), value)),
        Form::Metadata => Ok(table::partial(served(&resource.group_version(), value))),
        Form::Table => {
            let version = value["metadata"]["resourceVersion"].clone();
            let meta = json!({"resourceVersion": version});
            table(resource, vec![value], meta, parameters, now)
        }
    }
}

/// A list; `meta` is that of the list.
pub(super) fn list(
    form: Form,
    resource: &Resource,
    (items, meta): (Vec<Value>, Value),
    parameters: &Parameters,
    now: Timestamp,
) -> Result<Value, Error> {
    let version = resource.group_version();
    match form {
        Form::Whole => Ok(json!({
            "kind": format!("{}List", resource.kind), "apiVersion": version, "metadata": meta,
            "items": items.into_iter().map(|item| served(&version, item)).collect::<Vec<_>>(),
        })),
        Form::Metadata => Ok(json!({
            "kind": "PartialObjectMetadataList", "apiVersion": "meta.k8s.io/v1", "metadata": meta,
            "items": items
                .into_iter()
                .map(|item| table::partial(served(&version, item)))
                .collect::<Vec<_>>(),
        })),
        Form::Table => table(resource, items, meta, parameters, now),
    }
}

fn table(
    resource: &Resource,
    items: Vec<Value>,
    meta: Value,
    parameters: &Parameters,
    now: Timestamp,
) -> Result<Value, Error> {
    let include = match parameters.get("includeObject") {
        None | Some("Metadata") => Include::Metadata,
        Some("Object") => Include::Object,
        Some("None") => Include::None,
        Some(other) => {
            return Err(Error::bad(format!("unrecognized includeObject value: {other:?}")));
        }
    };
    let mut table = table::table(resource.kind, items, meta, include, now);
    if include == Include::Object
        && let Some(Value::Array(rows)) = table.get_mut("rows")
    {
        for row in rows {
            row["object"] = served(&resource.group_version(), row["object"].take());
        }
    }
    Ok(table)
}
