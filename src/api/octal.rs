//! Modes of files as people write them in YAML: `0400`.
//!
//! Owns: reading them as kubectl does. The YAML of today knows no such numbers, and takes them for text.
//! Must not know: which modes there may be.
//! <https://kubernetes.io/docs/concepts/storage/volumes/#secret>

use serde_json::{Map, Value};

/// Reads the modes in all volumes of a document.
pub(super) fn read_modes(document: &mut Value) {
    match document {
        Value::Object(map) => {
            for (name, value) in map.iter_mut() {
                if name == "volumes" && value.is_array() {
                    of_volume(value);
                } else {
                    read_modes(value);
                }
            }
        }
        Value::Array(list) => list.iter_mut().for_each(read_modes),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn of_volume(value: &mut Value) {
    match value {
        Value::Object(map) => {
            of_field(map, "defaultMode");
            of_field(map, "mode");
            map.values_mut().for_each(of_volume);
        }
        Value::Array(list) => list.iter_mut().for_each(of_volume),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn of_field(map: &mut Map<String, Value>, name: &str) {
    if let Some(value) = map.get_mut(name)
        && let Some(digits) = value.as_str().filter(|text| text.starts_with('0'))
        && let Ok(mode) = i32::from_str_radix(digits, 8)
    {
        *value = mode.into();
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_mode_with_a_zero_before_it_is_octal_in_a_volume_and_nowhere_else() {
        let mut document = json!({"spec": {"volumes": [
            {"secret": {"defaultMode": "0400", "items": [{"mode": "0644", "key": "0644"}]}},
            {"projected": {"defaultMode": 256, "sources": [{"secret": {"items": [{"mode": "0888"}]}}]}},
        ], "data": {"mode": "0400"}}});
        read_modes(&mut document);
        let expected = json!({"spec": {"volumes": [
            {"secret": {"defaultMode": 256, "items": [{"mode": 420, "key": "0644"}]}},
            {"projected": {"defaultMode": 256, "sources": [{"secret": {"items": [{"mode": "0888"}]}}]}},
        ], "data": {"mode": "0400"}}});
        assert_eq!(document, expected);
    }
}
