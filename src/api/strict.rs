//! What is wrong with the fields of an object that somebody sends, whatever its kind.
//!
//! Owns: telling apart what is no field at all, what is of another type, and what is legal in
//! Kubernetes but not built here. Must not know: what is done about it.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::fields;
use super::path::Path;
use super::schema::{Finding, Problem};

/// An object, and what is wrong with its fields.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Checked {
    /// What is left of the object: nothing but fields that there are, without nulls.
    pub kept: Value,
    /// `unknown field "spec.parallel"`
    pub unknown: Vec<String>,
    /// Of another type than the field: the object cannot be read.
    pub mistyped: Vec<String>,
    /// Legal in Kubernetes, not built here.
    pub not_built: Vec<NotBuilt>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct NotBuilt {
    pub path: Path,
    pub problem: String,
}

/// Holds a document against the fields of a Job. What the server sets is not looked at, and not kept.
pub fn job(value: Value) -> Checked {
    sorted(fields::check_job(value))
}

/// The same for a pod that belongs to nobody.
pub fn pod(value: Value) -> Checked {
    sorted(fields::check_pod(value))
}

fn sorted((kept, findings): (Value, Vec<Finding>)) -> Checked {
    let mut checked = Checked { kept, ..Checked::default() };
    for Finding { path, problem } in findings {
        match problem {
            Problem::Unknown { hint: None } => {
                checked.unknown.push(format!("unknown field \"{path}\""));
            }
            Problem::Unknown { hint: Some(hint) } => {
                checked.unknown.push(format!("unknown field \"{path}\" ({hint})"));
            }
            problem @ (Problem::Mismatch { .. } | Problem::Quantity { .. }) => {
                checked.mistyped.push(format!("{path}: {problem}"));
            }
            problem @ Problem::NotYet { .. } => {
                checked.not_built.push(NotBuilt { path, problem: problem.to_string() });
            }
        }
    }
    checked
}

/// Holds a document against a type all of whose fields are built: what does not come back from the
/// type is no field.
pub fn typed<T: Serialize + DeserializeOwned>(value: &Value) -> Checked {
    let read: T = match serde_json::from_value(value.clone()) {
        Ok(read) => read,
        Err(error) => {
            return Checked { mistyped: vec![error.to_string()], ..Checked::default() };
        }
    };
    match serde_json::to_value(read) {
        Ok(kept) => {
            let mut unknown = Vec::new();
            lost(value, &kept, &mut String::new(), &mut unknown);
            Checked { kept, unknown, ..Checked::default() }
        }
        Err(error) => Checked { mistyped: vec![error.to_string()], ..Checked::default() },
    }
}

/// Finds the fields that are in the first document and not in the second.
fn lost(given: &Value, kept: &Value, path: &mut String, found: &mut Vec<String>) {
    let length = path.len();
    match (given, kept) {
        (Value::Object(given), Value::Object(kept)) => {
            for (name, value) in given.iter().filter(|(_, value)| !value.is_null()) {
                if !path.is_empty() {
                    path.push('.');
                }
                path.push_str(name);
                match kept.get(name) {
                    Some(kept) => lost(value, kept, path, found),
                    None => found.push(format!("unknown field \"{path}\"")),
                }
                path.truncate(length);
            }
        }
        (Value::Array(given), Value::Array(kept)) => {
            for (index, (given, kept)) in given.iter().zip(kept).enumerate() {
                path.push_str(&format!("[{index}]"));
                lost(given, kept, path, found);
                path.truncate(length);
            }
        }
        // What a type read is of its kind; that it may be spelled otherwise is no loss.
        (Value::Object(_) | Value::Array(_), _)
        | (Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_), _) => {}
    }
}

/// Takes out what is null: a field that is null is a field that is not there.
pub fn without_nulls(value: &mut Value) {
    match value {
        Value::Object(map) => {
            let kept = std::mem::take(map).into_iter().filter(|(_, value)| !value.is_null());
            *map = kept.collect::<Map<_, _>>();
            map.values_mut().for_each(without_nulls);
        }
        Value::Array(list) => list.iter_mut().for_each(without_nulls),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::{ConfigMap, Secret};
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_no_field_is_told_with_its_path() {
        let value = json!({
            "apiVersion": "v1", "kind": "ConfigMap", "dat": {"a": "b"}, "data": {"a": "b"},
            "metadata": {"name": "x", "lables": {}, "ownerReferences": [{"name": "y", "no": 1,
                "apiVersion": "v1", "kind": "Pod", "uid": "z"}]},
        });
        let checked = typed::<ConfigMap>(&value);
        let expected = [
            "unknown field \"dat\"",
            "unknown field \"metadata.lables\"",
            "unknown field \"metadata.ownerReferences[0].no\"",
        ];
        assert_eq!(checked.unknown, expected);
        assert_eq!(checked.kept["data"], json!({"a": "b"}));
    }

    #[test]
    fn a_value_of_another_type_is_told() {
        let checked = typed::<Secret>(&json!({"metadata": {"name": 1}}));
        assert!(checked.mistyped[0].contains("expected"), "{checked:?}");
        let pod = json!({"spec": {"readinessGates": [{}]}});
        let checked = job(json!({"spec": {"parallelism": "one", "template": pod, "x": 1}}));
        assert!(checked.mistyped[0].starts_with("spec.parallelism: expected an integer"));
        let not_built = checked.not_built[0].path.to_string();
        assert_eq!(not_built, "spec.template.spec.readinessGates");
        assert_eq!(checked.unknown, ["unknown field \"spec.x\""]);
    }
}
