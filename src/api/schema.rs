//! Strictness: which fields an object may have, and of which types.
//!
//! Owns: the language in which the table of fields is written, and the walk that holds a document
//! against it. The generated types ignore what they do not know; this walk is why nothing is ignored.
//! Must not know: which fields there are, files, lines.

use std::fmt;

use serde_json::{Map, Value};

use super::path::Path;
use super::quantity::{HUGE_PAGES, Malformed, Quantity};

/// The fields of one type of object.
#[derive(Debug)]
pub(super) struct Schema {
    pub(super) fields: &'static [Field],
}

/// One field, and what is done with it.
#[derive(Debug)]
pub(super) struct Field {
    pub(super) name: &'static str,
    pub(super) rule: Rule,
}

/// What is done with a field.
#[derive(Debug, Clone, Copy)]
pub(super) enum Rule {
    /// Supported.
    Take(Type),
    /// Supported with these values; others are legal, but not built yet.
    Only(Type, &'static [&'static str]),
    /// Supported but for these values, which are legal, but not built yet.
    Except(Type, &'static [&'static str]),
    /// Legal, but not built yet. An empty list is as good as none.
    NotYet,
    /// Legal, but not built yet. An empty list or object is as good as none.
    NotYetUnlessEmpty,
    /// Set by the server: legal in a manifest, and without effect there.
    Discard,
}

/// The type of a field.
#[derive(Debug, Clone, Copy)]
pub(super) enum Type {
    Text,
    Int32,
    Int64,
    Bool,
    /// A number or a name, of a port.
    IntOrText,
    Object(&'static Schema),
    List(&'static Type),
    Quantity,
    /// A map from text to text.
    Texts,
    /// Quantities of the resources that kiln knows.
    Resources,
}

/// Where fields are at home, to tell the user of a misplaced one.
pub(super) type Places = [(&'static str, &'static Schema)];

/// What is wrong with one field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Finding {
    pub(super) path: Path,
    pub(super) problem: Problem,
}

/// What can be wrong with a field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Problem {
    /// No such field.
    Unknown { hint: Option<String> },
    /// A value of another type.
    Mismatch { expected: &'static str, found: String },
    /// Not a quantity.
    Quantity { found: String, why: Malformed },
    /// Legal in Kubernetes, not built here. The value, if another one would do.
    NotYet { value: Option<String> },
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown { hint: None } => f.write_str("unknown field"),
            Self::Unknown { hint: Some(hint) } => write!(f, "unknown field; {hint}"),
            Self::Mismatch { expected, found } => write!(f, "expected {expected}, found {found}"),
            Self::Quantity { found, why } => write!(f, "invalid quantity {found:?}: {why}"),
            Self::NotYet { value: None } => f.write_str("not supported yet"),
            Self::NotYet { value: Some(value) } => write!(f, "not supported yet: {value}"),
        }
    }
}

/// Holds a document against a schema. Answers with what is left of it: without nulls and without
/// what the server sets, numbers in quantities as text; and with all that is wrong.
pub(super) fn check(value: Value, schema: &Schema, places: &Places) -> (Value, Vec<Finding>) {
    let mut walk = Walk { places, findings: Vec::new() };
    let kept = walk.object(value, schema, &Path::default());
    (kept.unwrap_or_default(), walk.findings)
}

/// The resources that a container may have limits and requests of, besides huge pages of any size.
const RESOURCES: [&str; 3] = ["cpu", "memory", "ephemeral-storage"];

struct Walk<'a> {
    places: &'a Places,
    findings: Vec<Finding>,
}

impl Walk<'_> {
    fn object(&mut self, value: Value, schema: &Schema, path: &Path) -> Option<Value> {
        let Value::Object(map) = value else { return self.mismatch("a map", &value, path) };
        let mut kept = Map::new();
        for (name, value) in map {
            let at = path.field(&name);
            let Some(field) = schema.fields.iter().find(|f| f.name == name) else {
                let hint = hint(&name, schema, self.places);
                self.report(&at, Problem::Unknown { hint });
                continue;
            };
            if value.is_null() {
                continue;
            }
            if let Some(value) = self.field(value, field.rule, &at) {
                kept.insert(name, value);
            }
        }
        Some(Value::Object(kept))
    }

    fn field(&mut self, value: Value, rule: Rule, path: &Path) -> Option<Value> {
        match rule {
            Rule::Take(kind) => self.typed(value, kind, path),
            Rule::Only(kind, values) => {
                let value = self.typed(value, kind, path)?;
                let text = plain(&value);
                // An empty string says no more than a field that is not there.
                if text.is_empty() {
                    return None;
                }
                if values.contains(&text.as_str()) {
                    return Some(value);
                }
                let only = values.iter().map(|v| spelled(kind, v)).collect::<Vec<_>>().join(", ");
                self.not_yet(path, Some(format!("{value} (only {only} is)")))
            }
            Rule::Except(kind, values) => {
                let value = self.typed(value, kind, path)?;
                if values.contains(&plain(&value).as_str()) {
                    return self.not_yet(path, Some(value.to_string()));
                }
                Some(value)
            }
            Rule::NotYet if is_empty_list(&value) => None,
            Rule::NotYetUnlessEmpty if is_empty_list(&value) || is_empty_map(&value) => None,
            Rule::NotYet | Rule::NotYetUnlessEmpty => self.not_yet(path, None),
            Rule::Discard => None,
        }
    }

    fn typed(&mut self, value: Value, kind: Type, path: &Path) -> Option<Value> {
        match kind {
            Type::Text if !value.is_string() => self.mismatch("a string", &value, path),
            Type::Bool if !value.is_boolean() => self.mismatch("true or false", &value, path),
            Type::Int32 | Type::Int64 if !(value.is_i64() || value.is_u64()) => {
                self.mismatch("an integer", &value, path)
            }
            Type::Int32 if value.as_i64().is_none_or(|n| i32::try_from(n).is_err()) => {
                self.mismatch("an integer of 32 bits", &value, path)
            }
            Type::Int64 if value.as_i64().is_none() => {
                self.mismatch("an integer of 64 bits", &value, path)
            }
            Type::IntOrText if !value.is_string() => self.typed(value, Type::Int32, path),
            Type::Text | Type::Bool | Type::Int32 | Type::Int64 | Type::IntOrText => Some(value),
            Type::Quantity => self.quantity(value, path),
            Type::Object(schema) => self.object(value, schema, path),
            Type::List(element) => {
                let Value::Array(list) = value else {
                    return self.mismatch("a list", &value, path);
                };
                let kept = list.into_iter().enumerate();
                let kept = kept.filter_map(|(i, v)| self.typed(v, *element, &path.index(i)));
                Some(Value::Array(kept.collect()))
            }
            Type::Texts => self.map(value, path, |walk, _, value, at| match value {
                Value::Null => Some(Value::String(String::new())),
                value @ (Value::Bool(_)
                | Value::Number(_)
                | Value::String(_)
                | Value::Array(_)
                | Value::Object(_)) => walk.typed(value, Type::Text, at),
            }),
            Type::Resources => self.map(value, path, |walk, name, value, at| {
                if RESOURCES.contains(&name) || name.starts_with(HUGE_PAGES) {
                    walk.quantity(value, at)
                } else {
                    walk.not_yet(at, None)
                }
            }),
        }
    }

    fn map(
        &mut self,
        value: Value,
        path: &Path,
        entry: impl Fn(&mut Self, &str, Value, &Path) -> Option<Value>,
    ) -> Option<Value> {
        let Value::Object(map) = value else { return self.mismatch("a map", &value, path) };
        let mut kept = Map::new();
        for (key, value) in map {
            if let Some(value) = entry(self, &key, value, &path.key(&key)) {
                kept.insert(key, value);
            }
        }
        Some(Value::Object(kept))
    }

    fn quantity(&mut self, value: Value, path: &Path) -> Option<Value> {
        let found = match value {
            Value::String(text) => text,
            Value::Number(number) => number.to_string(),
            Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => {
                return self.mismatch("a quantity", &value, path);
            }
        };
        match Quantity::parse(&found) {
            Ok(_) => Some(Value::String(found)),
            Err(why) => {
                self.report(path, Problem::Quantity { found, why });
                None
            }
        }
    }

    fn mismatch<T>(&mut self, expected: &'static str, value: &Value, path: &Path) -> Option<T> {
        let mut found = describe(value);
        let scalar = value.is_number() || value.is_boolean();
        if expected == "a string" && scalar {
            found = format!("{found}; put it in quotes: \"{value}\"");
        }
        self.report(path, Problem::Mismatch { expected, found });
        None
    }

    fn not_yet<T>(&mut self, path: &Path, value: Option<String>) -> Option<T> {
        self.report(path, Problem::NotYet { value });
        None
    }

    fn report(&mut self, path: &Path, problem: Problem) {
        self.findings.push(Finding { path: path.clone(), problem });
    }
}

fn is_empty_list(value: &Value) -> bool {
    value.as_array().is_some_and(Vec::is_empty)
}

fn is_empty_map(value: &Value) -> bool {
    value.as_object().is_some_and(Map::is_empty)
}

/// A scalar without quotes.
fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// A value of the table as a user would write it.
fn spelled(kind: Type, value: &str) -> String {
    if matches!(kind, Type::Text) { format!("{value:?}") } else { value.to_owned() }
}

fn describe(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(b) => b.to_string(),
        Value::Number(n) if n.is_f64() => format!("the number {n}"),
        Value::Number(n) => format!("the integer {n}"),
        Value::String(s) => format!("the string {s:?}"),
        Value::Array(_) => "a list".to_owned(),
        Value::Object(_) => "a map".to_owned(),
    }
}

/// What the user may have meant: the same name elsewhere, or a similar one here.
fn hint(name: &str, schema: &Schema, places: &Places) -> Option<String> {
    let known = |s: &Schema| s.fields.iter().any(|f| f.name == name);
    if let Some((place, _)) = places.iter().find(|(_, s)| known(s)) {
        return Some(format!("it belongs to {place}"));
    }
    let near = schema.fields.iter().map(|f| (distance(name, f.name), f.name)).min()?;
    (near.0 <= 2 && near.0 * 2 < name.len()).then(|| format!("did you mean {:?}?", near.1))
}

/// How many letters must be changed, added or left off, whatever their case.
fn distance(a: &str, b: &str) -> usize {
    let (a, b) = (a.to_ascii_lowercase().into_bytes(), b.to_ascii_lowercase().into_bytes());
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let changed = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = changed.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    static INNER: Schema = Schema {
        fields: &[
            Field { name: "image", rule: Rule::Take(Type::Text) },
            Field { name: "limits", rule: Rule::Take(Type::Resources) },
        ],
    };
    static OUTER: Schema = Schema {
        fields: &[
            Field { name: "count", rule: Rule::Take(Type::Int32) },
            Field { name: "items", rule: Rule::Take(Type::List(&Type::Object(&INNER))) },
            Field { name: "labels", rule: Rule::Take(Type::Texts) },
            Field { name: "mode", rule: Rule::Except(Type::Text, &["Odd"]) },
            Field { name: "paused", rule: Rule::Only(Type::Bool, &["false"]) },
            Field { name: "later", rule: Rule::NotYet },
            Field { name: "hooks", rule: Rule::NotYetUnlessEmpty },
            Field { name: "status", rule: Rule::Discard },
        ],
    };
    const PLACES: &Places = &[("items[*]", &INNER)];

    fn complaints(value: Value) -> Vec<String> {
        let (_, findings) = check(value, &OUTER, PLACES);
        findings.iter().map(|f| format!("{}: {}", f.path, f.problem)).collect()
    }

    #[test]
    fn whatever_the_table_does_not_take_is_refused() {
        for (value, expected) in [
            (json!([]), ": expected a map, found a list"),
            (json!({"count": "two"}), "count: expected an integer, found the string \"two\""),
            (json!({"count": 1.5}), "count: expected an integer, found the number 1.5"),
            (
                json!({"count": 3_000_000_000_u64}),
                "count: expected an integer of 32 bits, found the integer 3000000000",
            ),
            (json!({"cuont": 1}), "cuont: unknown field; did you mean \"count\"?"),
            (json!({"Count": 1}), "Count: unknown field; did you mean \"count\"?"),
            (json!({"other": 1}), "other: unknown field"),
            (json!({"image": "a"}), "image: unknown field; it belongs to items[*]"),
            (
                json!({"items": [{}, {"imagee": 1}]}),
                "items[1].imagee: unknown field; did you mean \"image\"?",
            ),
            (
                json!({"labels": {"a": 5}}),
                "labels[a]: expected a string, found the integer 5; put it in quotes: \"5\"",
            ),
            (json!({"mode": "Odd"}), "mode: not supported yet: \"Odd\""),
            (json!({"paused": true}), "paused: not supported yet: true (only false is)"),
            (json!({"later": {}}), "later: not supported yet"),
            (json!({"hooks": {"a": 1}}), "hooks: not supported yet"),
            (
                json!({"items": [{"limits": {"example.com/gpu": 1}}]}),
                "items[0].limits[example.com/gpu]: not supported yet",
            ),
            (
                json!({"items": [{"limits": {"cpu": true}}]}),
                "items[0].limits[cpu]: expected a quantity, found true",
            ),
        ] {
            assert_eq!(complaints(value.clone()), [expected], "{value}");
        }
    }

    #[test]
    fn what_is_taken_comes_out_clean() {
        let given = json!({
            "count": 3, "labels": {"a": null}, "mode": "Even", "paused": false, "later": [],
            "hooks": {}, "status": {"any": ["thing"]}, "items": [{"image": null, "limits": {"cpu": 2}}],
        });
        let (kept, findings) = check(given, &OUTER, PLACES);
        assert_eq!(findings, []);
        let expected = json!({
            "count": 3, "labels": {"a": ""}, "mode": "Even", "paused": false,
            "items": [{"limits": {"cpu": "2"}}],
        });
        assert_eq!(kept, expected);
    }

    #[test]
    fn all_that_is_wrong_is_told_at_once() {
        assert_eq!(complaints(json!({"count": "a", "later": {"b": 1}, "x": 1})).len(), 3);
    }
}
