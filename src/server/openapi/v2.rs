//! OpenAPI v2: one document for everything.
//!
//! Owns: the form of v2. Must not know: which schemas and operations there are.

use serde_json::{Value, json};

use super::paths::{self, Form};
use super::schemas::{self, INT_OR_STRING, QUANTITY};
use super::{Resource, info};

/// The document of all resources.
pub(super) fn document(resources: &[&Resource]) -> Value {
    let mut definitions = schemas::definitions(resources);
    for (name, format) in [(INT_OR_STRING, Some("int-or-string")), (QUANTITY, None)] {
        if let Some(Value::Object(schema)) = definitions.get_mut(name) {
            schema.remove("x-kubernetes-int-or-string");
            schema.insert("type".to_owned(), "string".into());
            schema.extend(format.map(|format| ("format".to_owned(), format.into())));
        }
    }
    json!({
        "swagger": "2.0",
        "info": info(),
        "paths": paths::of(resources, Form::V2),
        "definitions": definitions,
    })
}
