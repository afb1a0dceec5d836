//! Writing YAML, as kubectl lays it out.

use serde_json::Value;

/// A document, with a newline at its end.
pub(super) fn write(value: &Value) -> Result<String, serde_yaml::Error> {
    serde_yaml::to_string(value)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_list_is_not_indented_below_its_key() {
        let value = json!({"kind": "Job", "spec": {"list": [{"name": "a", "n": 1}], "on": "true"}});
        assert_eq!(
            write(&value).unwrap(),
            "kind: Job\nspec:\n  list:\n  - n: 1\n    name: a\n  on: 'true'\n"
        );
    }
}
