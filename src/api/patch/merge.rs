//! JSON merge patch: an object that says what is different; null removes.
//! <https://www.rfc-editor.org/rfc/rfc7386>
//!
//! Owns: both directions. Must not know: which fields there are.

use serde_json::{Map, Value};

/// What the patch makes of the document.
#[must_use]
pub fn apply(document: Value, patch: &Value) -> Value {
    let Value::Object(patch) = patch else { return patch.clone() };
    let mut merged = match document {
        Value::Object(map) => map,
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            Map::new()
        }
    };
    for (name, change) in patch {
        if change.is_null() {
            merged.remove(name);
        } else {
            let before = merged.remove(name).unwrap_or_default();
            merged.insert(name.clone(), apply(before, change));
        }
    }
    Value::Object(merged)
}

/// The patch that makes `after` of `before`. What is null in `after` cannot be said.
#[must_use]
pub fn between(before: &Value, after: &Value) -> Value {
    let (Value::Object(before), Value::Object(after)) = (before, after) else {
        return after.clone();
    };
    let removed = before.keys().filter(|name| !after.contains_key(*name));
    let mut patch: Map<String, Value> = removed.map(|name| (name.clone(), Value::Null)).collect();
    for (name, new) in after {
        match before.get(name) {
            Some(old) if old == new => {}
            Some(old) if old.is_object() => {
                patch.insert(name.clone(), between(old, new));
            }
            Some(_) | None => {
                patch.insert(name.clone(), new.clone());
            }
        }
    }
    Value::Object(patch)
}

#[cfg(test)]
pub(in crate::api) mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    /// Objects without nulls.
    pub(in crate::api) fn document() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![any::<bool>().prop_map(Value::from), (0..4).prop_map(Value::from)];
        let tree = leaf.prop_recursive(3, 24, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
                prop::collection::btree_map("[a-c]", inner, 0..4)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        });
        prop::collection::btree_map("[a-c]", tree, 0..4)
            .prop_map(|map| Value::Object(map.into_iter().collect()))
    }

    #[test]
    fn a_patch_merges_as_the_rfc_says() {
        for (document, patch, expected) in [
            (json!({"a": "b"}), json!({"a": "c"}), json!({"a": "c"})),
            (json!({"a": "b"}), json!({"b": "c"}), json!({"a": "b", "b": "c"})),
            (json!({"a": "b", "b": "c"}), json!({"a": null}), json!({"b": "c"})),
            (json!({"a": ["b"]}), json!({"a": "c"}), json!({"a": "c"})),
            (json!({"a": "c"}), json!({"a": ["b"]}), json!({"a": ["b"]})),
            (
                json!({"a": {"b": "c"}}),
                json!({"a": {"b": "d", "c": null}}),
                json!({"a": {"b": "d"}}),
            ),
            (json!({"a": [{"b": "c"}]}), json!({"a": [1]}), json!({"a": [1]})),
            (json!({"e": null}), json!({"a": 1}), json!({"e": null, "a": 1})),
            (json!([1, 2]), json!({"a": "b", "c": null}), json!({"a": "b"})),
            (json!({}), json!({"a": {"bb": {"ccc": null}}}), json!({"a": {"bb": {}}})),
        ] {
            assert_eq!(apply(document, &patch), expected, "{patch}");
        }
    }

    proptest! {
        #[test]
        fn the_patch_between_two_documents_gets_from_one_to_the_other(
            before in document(), after in document(),
        ) {
            let patch = between(&before, &after);
            prop_assert_eq!(&apply(before, &patch), &after);
            prop_assert_eq!(&apply(after.clone(), &patch), &after);
        }
    }
}
