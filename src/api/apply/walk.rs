//! Walks over objects along their types.
//!
//! Owns: which fields an object has, in which it differs from another, how two are merged, and what is
//! left without some. Must not know: who owns a field.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use serde_json::{Map, Value};

use super::fields::{Element, Set};
use crate::api::topology::{Field, List, PLAIN, Type};

/// In which fields two objects differ.
#[derive(Debug, Default)]
pub(super) struct Comparison {
    pub(super) removed: Set,
    pub(super) modified: Set,
    pub(super) added: Set,
}

/// What the table says of a place.
#[derive(Debug, Clone, Copy)]
struct At {
    list: List,
    of: &'static Type,
    always: bool,
}

impl At {
    fn root(of: &'static Type) -> Self {
        Self { list: List::Atomic, of, always: true }
    }

    fn field(self, name: &str) -> Self {
        let of =
            |field: &'static Field| Self { list: field.list, of: field.of, always: field.always };
        let plain = Self { list: List::Atomic, of: &PLAIN, always: false };
        self.of.field(name).map_or(plain, of)
    }

    fn element(self) -> Self {
        Self { list: List::Atomic, of: self.of, always: false }
    }
}

/// The fields that an object has.
pub(super) fn fields(object: &Value, of: &'static Type) -> Set {
    fields_below(object, At::root(of))
}

/// In which fields `after` differs from `before`.
pub(super) fn compare(before: &Value, after: &Value, of: &'static Type) -> Comparison {
    let mut comparison = Comparison::default();
    comparison.compare(Some(before), Some(after), At::root(of), &mut Vec::new());
    comparison
}

/// What applying the configuration makes of the object, while nothing is taken away.
pub(super) fn merge(object: &Value, configuration: &Value, of: &'static Type) -> Value {
    merged(Some(object), Some(configuration), At::root(of)).unwrap_or_default()
}

/// What is left of an object without some fields.
pub(super) fn without(object: &Value, gone: &Set, of: &'static Type) -> Value {
    let left = remaining(object, gone, At::root(of));
    left.unwrap_or_else(|| Value::Object(Map::new()))
}

/// Refuses lists of which an element cannot be told from the others.
pub(super) fn check(object: &Value, of: &'static Type) -> Result<(), String> {
    check_below(object, At::root(of), "")
}

fn check_below(value: &Value, at: At, path: &str) -> Result<(), String> {
    match value {
        Value::Object(map) if !at.of.atomic => map.iter().try_for_each(|(name, value)| {
            check_below(value, at.field(name), &format!("{path}.{name}"))
        }),
        Value::Array(list) if at.list != List::Atomic => {
            let mut seen = BTreeSet::new();
            for (index, value) in list.iter().enumerate() {
                let element =
                    key(value, at.list).map_err(|why| format!("{path}: element {index}: {why}"))?;
                check_below(value, at.element(), &format!("{path}{element}"))?;
                let shown = element.to_string();
                if !seen.insert(element) {
                    return Err(format!("{path}: duplicate entries for key {shown}"));
                }
            }
            Ok(())
        }
        Value::Null
        | Value::Bool(_)
        | Value::Number(_)
        | Value::String(_)
        | Value::Array(_)
        | Value::Object(_) => Ok(()),
    }
}

/// By what an element of a list is told from the others.
fn key(value: &Value, list: List) -> Result<Element, String> {
    let keys = match list {
        List::Set | List::Atomic if value.is_object() => {
            let why = "associative list without keys has an element that's a map type";
            return Err(why.to_owned());
        }
        List::Set | List::Atomic => return Ok(Element::Value(value.to_string())),
        List::Map(keys) => keys,
    };
    if value.is_null() {
        return Err("associative list with keys may not have a null element".to_owned());
    }
    let Value::Object(map) = value else {
        return Err("associative list with keys may not have non-map elements".to_owned());
    };
    let found: Map<String, Value> = keys
        .iter()
        .filter_map(|key| {
            let default = key.default.map(Value::from);
            Some((key.name.to_owned(), map.get(key.name).cloned().or(default)?))
        })
        .collect();
    if found.is_empty() {
        let names: Vec<_> = keys.iter().map(|key| key.name).collect();
        return Err(format!(
            "associative list with keys has an element that omits all key fields {names:?} (and \
             doesn't have default values for any key fields)"
        ));
    }
    Ok(Element::Key(Value::Object(found).to_string()))
}

/// As [`key`], also for what no list should have: it is told by all that it is.
fn element(value: &Value, list: List) -> Element {
    key(value, list).unwrap_or_else(|_| Element::Value(value.to_string()))
}

fn fields_below(value: &Value, at: At) -> Set {
    let mut set = Set::default();
    match value {
        Value::Object(map) => {
            for (name, value) in map {
                let at = at.field(name);
                let empty = value.is_null() || value.as_object().is_some_and(Map::is_empty);
                let leaf = empty || is_leaf(value, at);
                let below = if leaf { Set::default() } else { fields_below(value, at) };
                set.put(Element::field(name), leaf, below);
            }
        }
        Value::Array(list) => {
            for value in list {
                let leaf = is_leaf(value, at.element());
                let below = if leaf { Set::default() } else { fields_below(value, at.element()) };
                set.put(element(value, at.list), true, below);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
    set
}

/// Whether a value is owned as a whole.
fn is_leaf(value: &Value, at: At) -> bool {
    match value {
        Value::Object(_) => at.of.atomic,
        Value::Array(_) => at.list == List::Atomic,
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => true,
    }
}

/// Two values of the same place, as they are compared and merged.
enum Pair<'a> {
    /// As wholes.
    Leaf,
    Maps(&'a Map<String, Value>, &'a Map<String, Value>),
    Lists(&'a [Value], &'a [Value]),
}

static NO_FIELDS: LazyLock<Map<String, Value>> = LazyLock::new(Map::new);
static EMPTY_MAP: LazyLock<Value> = LazyLock::new(|| Value::Object(Map::new()));
static EMPTY_LIST: Value = Value::Array(Vec::new());

fn pair<'a>(left: Option<&'a Value>, right: Option<&'a Value>, at: At) -> Pair<'a> {
    let there = |value: Option<&'a Value>| value.filter(|value| !value.is_null());
    let (left, right) = (there(left), there(right));
    let of_map = |value: Option<&'a Value>| value.is_none_or(Value::is_object);
    let of_list = |value: Option<&'a Value>| value.is_none_or(Value::is_array);
    if of_map(left) && of_map(right) && !at.of.atomic {
        let map = |value: Option<&'a Value>| value.and_then(Value::as_object).unwrap_or(&NO_FIELDS);
        let (left, right) = (map(left), map(right));
        if left.is_empty() && right.is_empty() { Pair::Leaf } else { Pair::Maps(left, right) }
    } else if of_list(left) && of_list(right) && at.list != List::Atomic {
        let list = |value: Option<&'a Value>| value.and_then(Value::as_array);
        let (left, right) = (list(left), list(right));
        let list = |list: Option<&'a Vec<Value>>| list.map_or(&[][..], Vec::as_slice);
        let (left, right) = (list(left), list(right));
        if left.is_empty() && right.is_empty() { Pair::Leaf } else { Pair::Lists(left, right) }
    } else {
        Pair::Leaf
    }
}

/// The value, or the empty one of a field that every object has.
fn given<'a>(value: Option<&'a Value>, other: Option<&Value>, at: At) -> Option<&'a Value> {
    let other = other.filter(|_| at.always);
    value.or_else(|| match other {
        Some(Value::Object(_)) => Some(&*EMPTY_MAP),
        Some(Value::Array(_)) => Some(&EMPTY_LIST),
        Some(Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_)) | None => None,
    })
}

impl Comparison {
    fn compare(
        &mut self,
        before: Option<&Value>,
        after: Option<&Value>,
        at: At,
        path: &mut Vec<Element>,
    ) {
        match pair(before, after, at) {
            Pair::Leaf => {
                if let (Some(before), Some(after)) = (before, after) {
                    if before != after {
                        self.modified.insert(path);
                    }
                    return;
                }
            }
            Pair::Maps(before, after) => {
                let names: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
                for name in names {
                    let at = at.field(name);
                    let (old, new) = (before.get(name), after.get(name));
                    path.push(Element::field(name));
                    self.compare(given(old, new, at), given(new, old, at), at, path);
                    path.pop();
                }
            }
            Pair::Lists(before, after) => self.compare_lists(before, after, at, path),
        }
        if before.is_none() {
            self.added.insert(path);
        } else if after.is_none() {
            self.removed.insert(path);
        }
    }

    fn compare_lists(
        &mut self,
        before: &[Value],
        after: &[Value],
        at: At,
        path: &mut Vec<Element>,
    ) {
        let mut found: BTreeMap<Element, [Vec<&Value>; 2]> = BTreeMap::new();
        for (side, list) in [before, after].into_iter().enumerate() {
            for value in list {
                found.entry(element(value, at.list)).or_default()[side].push(value);
            }
        }
        for (element, [before, after]) in found {
            path.push(element);
            match (before.as_slice(), after.as_slice()) {
                // An element that is there more than once is compared as a whole.
                (before @ [_, _, ..], after @ [_, _, ..]) => {
                    if before != after {
                        self.modified.insert(path);
                    }
                }
                ([_, _, ..], after) => {
                    if let Some(after) = after.first() {
                        self.compare(None, Some(after), at.element(), path);
                    }
                    self.removed.insert(path);
                }
                (before, [_, _, ..]) => {
                    if let Some(before) = before.first() {
                        self.compare(Some(before), None, at.element(), path);
                    }
                    self.added.insert(path);
                }
                (before, after) => {
                    let (before, after) = (before.first().copied(), after.first().copied());
                    self.compare(before, after, at.element(), path);
                }
            }
            path.pop();
        }
    }
}

fn merged(left: Option<&Value>, right: Option<&Value>, at: At) -> Option<Value> {
    match pair(left, right, at) {
        Pair::Leaf => right.or(left).cloned(),
        Pair::Maps(left, right) => {
            let names: BTreeSet<&String> = left.keys().chain(right.keys()).collect();
            let fields = names.into_iter().filter_map(|name| {
                let value = merged(left.get(name), right.get(name), at.field(name))?;
                Some((name.clone(), value))
            });
            Some(Value::Object(fields.collect()))
        }
        Pair::Lists(left, right) => Some(Value::Array(merged_lists(left, right, at))),
    }
}

/// Elements of both lists come in the order of the right one; others of the left one stay before the
/// next that both have.
fn merged_lists(left: &[Value], right: &[Value], at: At) -> Vec<Value> {
    let keys = |list: &[Value]| list.iter().map(|v| element(v, at.list)).collect::<Vec<_>>();
    let (left_keys, right_keys) = (keys(left), keys(right));
    let mut of_left: BTreeMap<&Element, Option<&Value>> = BTreeMap::new();
    for (key, value) in left_keys.iter().zip(left) {
        // Which of two is meant cannot be told: neither is merged.
        of_left.entry(key).and_modify(|known| *known = None).or_insert(Some(value));
    }
    let of_right: BTreeSet<&Element> = right_keys.iter().collect();
    let mut shared = right_keys.iter().filter(|key| of_left.contains_key(key));
    let mut next_shared = shared.next();

    let mut out = Vec::with_capacity(left.len().max(right.len()));
    let mut done = BTreeSet::new();
    let (mut l, mut r) = (0, 0);
    while l < left.len() || r < right.len() {
        if let Some(key) = left_keys.get(l) {
            let equal = right_keys.get(r) == Some(key);
            if !equal && !of_right.contains(key) {
                out.push(left[l].clone());
                l += 1;
                continue;
            }
            if !equal && (done.contains(key) || next_shared.is_some_and(|next| next != key)) {
                l += 1;
                continue;
            }
            l += usize::from(equal);
        }
        let Some(key) = right_keys.get(r) else { continue };
        out.extend(merged(of_left.get(key).copied().flatten(), Some(&right[r]), at.element()));
        done.insert(key);
        if next_shared == Some(key) {
            next_shared = shared.next();
        }
        r += 1;
    }
    out
}

fn remaining(value: &Value, gone: &Set, at: At) -> Option<Value> {
    let below = |element: &Element, value: &Value, at: At| match gone.below(element) {
        _ if gone.has(element) => None,
        None => Some(value.clone()),
        Some(gone) => remaining(value, gone, at),
    };
    match value {
        Value::Object(map) if !at.of.atomic => {
            let fields = map.iter().filter_map(|(name, value)| {
                Some((name.clone(), below(&Element::field(name), value, at.field(name))?))
            });
            let left: Map<_, _> = fields.collect();
            (!left.is_empty()).then_some(Value::Object(left))
        }
        Value::Array(list) if at.list != List::Atomic => {
            let elements = list
                .iter()
                .filter_map(|value| below(&element(value, at.list), value, at.element()));
            let left: Vec<_> = elements.collect();
            (!left.is_empty()).then_some(Value::Array(left))
        }
        Value::Null
        | Value::Bool(_)
        | Value::Number(_)
        | Value::String(_)
        | Value::Array(_)
        | Value::Object(_) => Some(value.clone()),
    }
}
