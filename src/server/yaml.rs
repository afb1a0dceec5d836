//! Answers in YAML.
//!
//! Owns: writing a document so that every reader of YAML takes it for the same: those of version 1.1, as
//! Go programs have, read `no` and `0o7` as no text. What is not plainly a word is quoted as JSON quotes it.

use std::fmt::Write as _;

use serde_json::Value;

/// Words that some readers take for something else than text.
const TAKEN: [&str; 10] = ["y", "n", "yes", "no", "on", "off", "true", "false", "null", "nil"];

/// A document.
pub(super) fn write(value: &Value) -> String {
    let mut out = String::new();
    block(&mut out, value, 0);
    out
}

/// A value that begins on a line of its own, or behind the dash of a list.
fn block(out: &mut String, value: &Value, depth: usize) {
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            for (index, (name, value)) in fields.iter().enumerate() {
                indent(out, if index == 0 { 0 } else { depth });
                text(out, name);
                out.push(':');
                below(out, value, depth);
            }
        }
        Value::Array(items) if !items.is_empty() => {
            for (index, item) in items.iter().enumerate() {
                indent(out, if index == 0 { 0 } else { depth });
                out.push_str("- ");
                block(out, item, depth + 1);
            }
        }
        Value::String(string) => {
            text(out, string);
            out.push('\n');
        }
        // A number, `true`, `null`, `{}` and `[]` are the same in both.
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) | Value::Array(_) => {
            let _ = writeln!(out, "{value}"); // a String takes everything
        }
    }
}

/// A value behind the name of a field. A list is not indented.
fn below(out: &mut String, value: &Value, depth: usize) {
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            out.push('\n');
            indent(out, depth + 1);
            block(out, value, depth + 1);
        }
        Value::Array(items) if !items.is_empty() => {
            out.push('\n');
            indent(out, depth);
            block(out, value, depth);
        }
        Value::Null
        | Value::Bool(_)
        | Value::Number(_)
        | Value::String(_)
        | Value::Object(_)
        | Value::Array(_) => {
            out.push(' ');
            block(out, value, depth);
        }
    }
}

fn indent(out: &mut String, depth: usize) {
    out.extend(std::iter::repeat_n("  ", depth));
}

fn text(out: &mut String, text: &str) {
    let is_word = text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "_-./".contains(c))
        && !TAKEN.contains(&text.to_ascii_lowercase().as_str());
    if is_word {
        out.push_str(text);
        return;
    }
    for c in Value::from(text).to_string().chars() {
        // YAML wants more escaped than JSON does.
        if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}') {
            let _ = write!(out, "\\u{:04x}", u32::from(c)); // a String takes everything
        } else {
            out.push(c);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn a_document_is_laid_out_as_people_write_it() {
        let value = json!({
            "kind": "List", "items": [{"a": 1, "b": [[], {}, [1, "x"]]}, "no", null],
            "metadata": {"empty": {}, "on": "", "text": "two\nlines: \"quoted\"\u{7f}", "time": "12:30"},
        });
        let expected = r#"items:
- a: 1
  b:
  - []
  - {}
  - - 1
    - x
- "no"
- null
kind: List
metadata:
  empty: {}
  "on": ""
  text: "two\nlines: \"quoted\"\u007f"
  time: "12:30"
"#;
        assert_eq!(write(&value), expected);
        assert_eq!(serde_yaml::from_str::<Value>(expected).unwrap(), value);
    }

    fn anything() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            ".{0,8}".prop_map(Value::from),
            "[-:#&*!|>'\"%@`0-9a-z ~]{0,6}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 32, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map(".{0,6}", inner, 0..4)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_as_it_was(value in anything()) {
            let text = write(&value);
            let read: Value = serde_yaml::from_str(&text).unwrap();
            prop_assert_eq!(read, value, "{}", text);
        }
    }
}
