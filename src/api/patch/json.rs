//! JSON patch: a list of operations on paths.
//! <https://www.rfc-editor.org/rfc/rfc6902>
//!
//! Owns: its bounds, and the words of a failure. Must not know: what the paths mean.

use json_patch::{Patch, PatchErrorKind, PatchOperation};
use serde_json::Value;

use super::Error;

/// One patch has no more operations.
pub const OPERATIONS_MAX: usize = 10_000;
/// All `copy` operations of a patch together add no more bytes: each could double the document.
pub const COPIED_BYTES_MAX: usize = 3 * 1024 * 1024;

/// What the operations, one after the other, make of the document; all of them or none.
pub fn apply(document: &Value, patch: &Value) -> Result<Value, Error> {
    let patch: Patch = serde_json::from_value(patch.clone())
        .map_err(|error| Error::Malformed(format!("error decoding patch: {error}")))?;
    if patch.0.len() > OPERATIONS_MAX {
        return Err(Error::TooLarge(format!(
            "The allowed maximum operations in a JSON patch is {OPERATIONS_MAX}, got {}",
            patch.0.len()
        )));
    }
    let mut patched = document.clone();
    let mut copied = 0;
    for operation in &patch.0 {
        if let PatchOperation::Copy(copy) = operation {
            let source = patched.pointer(copy.from.as_str());
            copied += source.map_or(0, |source| source.to_string().len());
            if copied > COPIED_BYTES_MAX {
                return Err(Error::TooLarge(format!(
                    "Unable to complete the copy, the accumulated size increase of copy operation \
                     is {copied}, exceeding the limit {COPIED_BYTES_MAX}"
                )));
            }
        }
        json_patch::patch(&mut patched, std::slice::from_ref(operation))
            .map_err(|error| Error::DoesNotApply(failure(operation, &error.kind)))?;
    }
    Ok(patched)
}

/// The words of the library that the API server of Kubernetes uses.
fn failure(operation: &PatchOperation, why: &PatchErrorKind) -> String {
    let path = operation.path();
    match operation {
        PatchOperation::Test(_) => format!("testing value {path} failed: test failed"),
        PatchOperation::Replace(_) => {
            format!("replace operation does not apply: doc is missing key: {path}: missing value")
        }
        PatchOperation::Remove(_) => {
            format!(
                "remove operation does not apply: doc is missing path: \"{path}\": missing value"
            )
        }
        PatchOperation::Add(_) => {
            format!("add operation does not apply: doc is missing path: \"{path}\": missing value")
        }
        PatchOperation::Move(_) if matches!(why, PatchErrorKind::CannotMoveInsideItself) => {
            format!("error in move for path: '{path}': {why}")
        }
        PatchOperation::Move(op) => moved("move", op.from.as_str(), path.as_str(), why),
        PatchOperation::Copy(op) => moved("copy", op.from.as_str(), path.as_str(), why),
    }
}

fn moved(verb: &str, from: &str, path: &str, why: &PatchErrorKind) -> String {
    if matches!(why, PatchErrorKind::InvalidFromPointer) {
        format!("{verb} operation does not apply: doc is missing from path: {from}: missing value")
    } else {
        format!(
            "{verb} operation does not apply: doc is missing destination path: {path}: missing value"
        )
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn refused(document: &Value, patch: &Value) -> String {
        apply(document, patch).unwrap_err().to_string()
    }

    #[test]
    fn every_operation_does_what_it_says() {
        let patched = apply(
            &json!({"a": 1, "list": [1, 2], "m/n": {"x": 1}}),
            &json!([
                {"op": "test", "path": "/a", "value": 1},
                {"op": "replace", "path": "/a", "value": 2},
                {"op": "add", "path": "/list/1", "value": 9},
                {"op": "add", "path": "/list/-", "value": 3},
                {"op": "remove", "path": "/list/0"},
                {"op": "copy", "from": "/list", "path": "/copy"},
                {"op": "move", "from": "/m~1n/x", "path": "/y"},
            ]),
        );
        let expected = json!({"a": 2, "list": [9, 2, 3], "copy": [9, 2, 3], "m/n": {}, "y": 1});
        assert_eq!(patched.unwrap(), expected);
    }

    #[test]
    fn a_patch_that_does_not_apply_is_refused_in_the_words_of_kubernetes() {
        let document = json!({"a": {"b": 1}, "list": [1]});
        for (operation, expected) in [
            (
                json!({"op": "test", "path": "/a/b", "value": 2}),
                "testing value /a/b failed: test failed",
            ),
            (
                json!({"op": "replace", "path": "/x", "value": 2}),
                "replace operation does not apply: doc is missing key: /x: missing value",
            ),
            (
                json!({"op": "remove", "path": "/x"}),
                "remove operation does not apply: doc is missing path: \"/x\": missing value",
            ),
            (
                json!({"op": "add", "path": "/x/y", "value": 2}),
                "add operation does not apply: doc is missing path: \"/x/y\": missing value",
            ),
            (
                json!({"op": "move", "from": "/x", "path": "/y"}),
                "move operation does not apply: doc is missing from path: /x: missing value",
            ),
            (
                json!({"op": "copy", "from": "/a", "path": "/x/y"}),
                "copy operation does not apply: doc is missing destination path: /x/y: missing value",
            ),
        ] {
            assert_eq!(refused(&document, &json!([operation])), expected);
        }
        assert!(apply(&document, &json!([{"op": "move", "from": "/a", "path": "/a/b"}])).is_err());
        for malformed in [json!({"a": 1}), json!([{"op": "shift", "path": "/a"}]), json!([{}])] {
            assert!(
                matches!(apply(&document, &malformed), Err(Error::Malformed(_))),
                "{malformed}"
            );
        }
    }

    #[test]
    fn a_patch_is_bounded_in_operations_and_in_what_it_copies() {
        let test = json!({"op": "test", "path": "/a", "value": 1});
        let many = Value::Array(vec![test; OPERATIONS_MAX + 1]);
        let expected = "The allowed maximum operations in a JSON patch is 10000, got 10001";
        assert_eq!(refused(&json!({"a": 1}), &many), expected);

        let double = json!({"op": "copy", "from": "/a", "path": "/a/-"});
        let doubling = Value::Array(vec![double; 64]);
        let refusal = apply(&json!({"a": ["xxxx"]}), &doubling).unwrap_err();
        assert!(matches!(refusal, Error::TooLarge(_)), "{refusal}");
    }
}
