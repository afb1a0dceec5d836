//! OpenAPI v3: one document for a group version.
//!
//! Owns: the form of v3. Must not know: which schemas and operations there are.

use serde_json::{Map, Value, json};

use super::paths::{self, Form};
use super::schemas::{self, DEFINITIONS, INT_OR_STRING, QUANTITY};
use super::{Resource, info};

const SCHEMAS: &str = "#/components/schemas/";

/// The document of a group version.
pub(super) fn document(resources: &[&Resource]) -> Value {
    let mut schemas = schemas::definitions(resources);
    if let Some(schema) = schemas.get_mut(INT_OR_STRING) {
        schema["oneOf"] = json!([{"type": "integer"}, {"type": "string"}]);
        schema["format"] = "int-or-string".into();
    }
    if let Some(schema) = schemas.get_mut(QUANTITY) {
        schema["oneOf"] = json!([{"type": "string"}, {"type": "number"}]);
    }
    let mut schemas = Value::Object(schemas);
    let mut paths = Value::Object(paths::of(resources, Form::V3));
    convert(&mut schemas);
    convert(&mut paths);
    json!({
        "openapi": "3.0.0",
        "info": info(),
        "paths": paths,
        "components": {"schemas": schemas},
    })
}

/// References lead elsewhere than in v2, and nothing may stand beside one.
fn convert(value: &mut Value) {
    match value {
        Value::Object(object) => {
            object.remove("x-kubernetes-int-or-string");
            if let Some(Value::String(reference)) = object.get_mut("$ref") {
                *reference = reference.replacen(DEFINITIONS, SCHEMAS, 1);
                wrap(object);
            }
            object.values_mut().for_each(convert);
        }
        Value::Array(list) => list.iter_mut().for_each(convert),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// `{$ref, description}` becomes `{allOf: [{$ref}], description}`.
fn wrap(object: &mut Map<String, Value>) {
    if object.len() > 1
        && let Some(reference) = object.remove("$ref")
    {
        object.insert("allOf".to_owned(), json!([{"$ref": reference}]));
    }
}
