//! Sets of fields: who owns what of an object.
//!
//! Owns: their algebra, and `FieldsV1`, the form in which an object carries them. Must not know: which
//! fields an object has.
//! <https://kubernetes.io/docs/reference/using-api/server-side-apply/#field-management>

use std::collections::BTreeMap;
use std::fmt;

use serde_json::{Map, Value};

/// One step on the way to a field.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Element {
    Field(String),
    /// The keys of an element of a list, as JSON.
    Key(String),
    /// A value in a list that is a set, as JSON.
    Value(String),
    Index(u64),
}

/// Some fields. One may be of the set without what is below it, and the other way round.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Set(BTreeMap<Element, Node>);

#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Node {
    member: bool,
    below: Set,
}

impl Set {
    /// The set of these fields, each a path of names.
    pub fn of(paths: &[&[&str]]) -> Self {
        let mut set = Self::default();
        for path in paths {
            let path: Vec<_> = path.iter().map(|name| Element::Field((*name).to_owned())).collect();
            set.insert(&path);
        }
        set
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn insert(&mut self, path: &[Element]) {
        let Some((last, before)) = path.split_last() else { return };
        let mut set = self;
        for element in before {
            set = &mut set.0.entry(element.clone()).or_default().below;
        }
        set.0.entry(last.clone()).or_default().member = true;
    }

    /// Adds a field with what is below it; what is empty is not added.
    pub(super) fn put(&mut self, element: Element, member: bool, below: Self) {
        if member || !below.is_empty() {
            self.0.insert(element, Node { member, below });
        }
    }

    pub(super) fn has(&self, element: &Element) -> bool {
        self.0.get(element).is_some_and(|node| node.member)
    }

    /// What the set has below this element.
    pub(super) fn below(&self, element: &Element) -> Option<&Self> {
        self.0.get(element).map(|node| &node.below).filter(|below| !below.is_empty())
    }

    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        let mut union = self.clone();
        for (element, node) in &other.0 {
            let own = union.0.entry(element.clone()).or_default();
            own.member |= node.member;
            own.below = own.below.union(&node.below);
        }
        union
    }

    #[must_use]
    pub fn intersection(&self, other: &Self) -> Self {
        let mut both = Self::default();
        for (element, node) in &self.0 {
            if let Some(theirs) = other.0.get(element) {
                let member = node.member && theirs.member;
                both.put(element.clone(), member, node.below.intersection(&theirs.below));
            }
        }
        both
    }

    /// Without the fields of the other set; what is below them stays.
    #[must_use]
    pub fn difference(&self, other: &Self) -> Self {
        let mut rest = Self::default();
        for (element, node) in &self.0 {
            match other.0.get(element) {
                None => rest.put(element.clone(), node.member, node.below.clone()),
                Some(theirs) => {
                    let member = node.member && !theirs.member;
                    rest.put(element.clone(), member, node.below.difference(&theirs.below));
                }
            }
        }
        rest
    }

    /// Without the fields of the other set and all that is below them.
    #[must_use]
    pub fn without(&self, other: &Self) -> Self {
        let mut rest = Self::default();
        for (element, node) in self.0.iter().filter(|(element, _)| !other.has(element)) {
            let below = match other.below(element) {
                None => node.below.clone(),
                Some(theirs) => node.below.without(theirs),
            };
            rest.put(element.clone(), node.member, below);
        }
        rest
    }

    /// With every field that has another one below it.
    #[must_use]
    pub(super) fn with_parents(&self) -> Self {
        let nodes = self.0.iter().map(|(element, node)| {
            let named = matches!(element, Element::Field(_)) && !node.below.is_empty();
            let below = node.below.with_parents();
            (element.clone(), Node { member: node.member || named, below })
        });
        Self(nodes.collect())
    }

    /// The path of every field, as Kubernetes writes it: `.spec.containers[name="a"].image`.
    pub fn paths(&self) -> Vec<String> {
        let mut paths = Vec::new();
        self.collect_paths("", &mut paths);
        paths
    }

    fn collect_paths(&self, prefix: &str, paths: &mut Vec<String>) {
        let members = self.0.iter().filter(|(_, node)| node.member);
        paths.extend(members.map(|(element, _)| format!("{prefix}{element}")));
        for (element, node) in &self.0 {
            node.below.collect_paths(&format!("{prefix}{element}"), paths);
        }
    }

    /// The set as `fieldsV1`.
    pub fn to_json(&self) -> Value {
        Value::Object(self.to_map())
    }

    fn to_map(&self) -> Map<String, Value> {
        let entries = self.0.iter().map(|(element, node)| {
            let mut below = node.below.to_map();
            if node.member && !below.is_empty() {
                below.insert(".".to_owned(), Value::Object(Map::new()));
            }
            (element.key(), Value::Object(below))
        });
        entries.collect()
    }

    /// Reads `fieldsV1`.
    pub fn from_json(value: &Value) -> Option<Self> {
        let mut set = Self::default();
        for (name, below) in value.as_object()?.iter().filter(|(name, _)| *name != ".") {
            let map = below.as_object()?;
            let member = map.is_empty() || map.contains_key(".");
            set.put(Element::parse(name)?, member, Self::from_json(below)?);
        }
        Some(set)
    }
}

impl Element {
    pub(super) fn field(name: &str) -> Self {
        Self::Field(name.to_owned())
    }

    /// How `fieldsV1` spells it.
    fn key(&self) -> String {
        match self {
            Self::Field(name) => format!("f:{name}"),
            Self::Key(keys) => format!("k:{keys}"),
            Self::Value(value) => format!("v:{value}"),
            Self::Index(index) => format!("i:{index}"),
        }
    }

    fn parse(text: &str) -> Option<Self> {
        // Read and written again, so that one thing has one spelling.
        let json = |text: &str| serde_json::from_str::<Value>(text).ok();
        match text.split_once(':')? {
            ("f", name) => Some(Self::Field(name.to_owned())),
            ("k", keys) => json(keys).filter(Value::is_object).map(|k| Self::Key(k.to_string())),
            ("v", value) => json(value).map(|value| Self::Value(value.to_string())),
            ("i", index) => index.parse().ok().map(Self::Index),
            _ => None,
        }
    }
}

impl fmt::Display for Element {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Field(name) => write!(f, ".{name}"),
            Self::Key(keys) => {
                let keys: Map<String, Value> = serde_json::from_str(keys).unwrap_or_default();
                let keys: Vec<_> = keys.iter().map(|(k, v)| format!("{k}={v}")).collect();
                write!(f, "[{}]", keys.join(","))
            }
            Self::Value(value) => write!(f, "[={value}]"),
            Self::Index(index) => write!(f, "[{index}]"),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn set() -> impl Strategy<Value = Set> {
        let element = prop_oneof![
            "[a-c]".prop_map(Element::Field),
            "[a-b]".prop_map(|name| Element::Key(format!("{{\"name\":\"{name}\"}}"))),
        ];
        let path = prop::collection::vec(element, 1..4);
        prop::collection::vec(path, 0..6).prop_map(|paths| {
            let mut set = Set::default();
            paths.iter().for_each(|path| set.insert(path));
            set
        })
    }

    #[test]
    fn a_set_is_carried_as_kubernetes_writes_it() {
        let json = json!({
            "f:metadata": {"f:finalizers": {".": {}, "v:\"a\"": {}}},
            "f:spec": {
                "f:containers": {
                    "k:{\"name\":\"a\"}": {
                        ".": {},
                        "f:ports": {"k:{\"containerPort\":80,\"protocol\":\"TCP\"}": {}},
                    },
                },
                "f:parallelism": {},
            },
        });
        let set = Set::from_json(&json).unwrap();
        assert_eq!(set.to_json(), json);
        assert_eq!(
            set.paths(),
            [
                ".metadata.finalizers",
                ".metadata.finalizers[=\"a\"]",
                ".spec.parallelism",
                ".spec.containers[name=\"a\"]",
                ".spec.containers[name=\"a\"].ports[containerPort=80,protocol=\"TCP\"]",
            ]
        );
        for odd in [json!(1), json!({"a": {}}), json!({"f:a": 1}), json!({"k:x": {}})] {
            assert_eq!(Set::from_json(&odd), None, "{odd}");
        }
    }

    #[test]
    fn a_difference_leaves_what_is_below_and_the_other_takes_it_too() {
        let spec = Set::of(&[&["spec"]]);
        let both = Set::of(&[&["spec"], &["spec", "a"], &["b"]]);
        assert_eq!(both.difference(&spec), Set::of(&[&["spec", "a"], &["b"]]));
        assert_eq!(both.without(&spec), Set::of(&[&["b"]]));
        assert_eq!(
            Set::of(&[&["spec", "a"]]).with_parents(),
            Set::of(&[&["spec"], &["spec", "a"]])
        );
    }

    proptest! {
        #[test]
        fn sets_obey_the_laws_of_sets(a in set(), b in set()) {
            let json = a.to_json();
            prop_assert_eq!(Set::from_json(&json), Some(a.clone()));
            prop_assert_eq!(a.union(&b), b.union(&a));
            prop_assert_eq!(a.intersection(&b), b.intersection(&a));
            prop_assert_eq!(a.difference(&b).union(&a.intersection(&b)), a.clone());
            prop_assert!(a.difference(&b).intersection(&b).is_empty());
            prop_assert_eq!(a.union(&b).difference(&b), a.difference(&b));
        }
    }
}
