//! Selectors over fields: `metadata.name=pi,status.phase!=Running`.
//!
//! Owns: the grammar, and by which fields objects of each kind can be selected. Must not know: labels.
//! <https://kubernetes.io/docs/concepts/overview/working-with-objects/field-selectors/>

use std::borrow::Cow;
use std::fmt;

use serde_json::Value;

use super::Malformed;

/// All of these must hold; where there are none, every object is selected.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selector {
    terms: Vec<Term>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Term {
    field: String,
    equal: bool,
    value: String,
}

/// Events of the group `events.k8s.io`, whose fields have names of their own.
pub const EVENTS: &str = "Event.events.k8s.io";

/// By which fields objects of one kind can be selected.
#[derive(Debug)]
pub struct Selectable {
    pub kind: &'static str,
    pub fields: &'static [&'static str],
}

/// What every namespaced kind has that is not in the table.
pub const DEFAULT: [&str; 2] = ["metadata.name", "metadata.namespace"];

pub const SELECTABLE: [Selectable; 7] = [
    Selectable {
        kind: "Pod",
        fields: &[
            "metadata.name",
            "metadata.namespace",
            "spec.nodeName",
            "spec.restartPolicy",
            "spec.schedulerName",
            "spec.serviceAccountName",
            "spec.hostNetwork",
            "status.phase",
            "status.podIP",
            "status.podIPs",
            "status.nominatedNodeName",
        ],
    },
    Selectable {
        kind: "Job",
        fields: &["metadata.name", "metadata.namespace", "status.successful"],
    },
    Selectable {
        kind: "Event",
        fields: &[
            "involvedObject.kind",
            "involvedObject.namespace",
            "involvedObject.name",
            "involvedObject.uid",
            "involvedObject.apiVersion",
            "involvedObject.resourceVersion",
            "involvedObject.fieldPath",
            "reason",
            "reportingComponent",
            "source",
            "type",
            "metadata.namespace",
            "metadata.name",
        ],
    },
    Selectable {
        kind: EVENTS,
        fields: &[
            "regarding.kind",
            "regarding.namespace",
            "regarding.name",
            "regarding.uid",
            "regarding.apiVersion",
            "regarding.resourceVersion",
            "regarding.fieldPath",
            "reason",
            "reportingController",
            "type",
            "metadata.namespace",
            "metadata.name",
        ],
    },
    Selectable { kind: "Secret", fields: &["type", "metadata.namespace", "metadata.name"] },
    Selectable { kind: "Namespace", fields: &["metadata.name", "status.phase"] },
    Selectable { kind: "Node", fields: &["metadata.name", "spec.unschedulable"] },
];

/// By which fields objects of this kind can be selected.
pub fn selectable(kind: &str) -> &'static [&'static str] {
    SELECTABLE.iter().find(|entry| entry.kind == kind).map_or(&DEFAULT, |entry| entry.fields)
}

impl Selector {
    /// Reads the `fieldSelector` of a query for objects of this kind.
    pub fn parse(text: &str, kind: &str) -> Result<Self, Malformed> {
        let mut terms = Vec::new();
        for part in split_terms(text).into_iter().filter(|part| !part.is_empty()) {
            let Some((field, equal, value)) = split_term(part) else {
                let why = format!("invalid selector: '{text}'; can't understand '{part}'");
                return Err(Malformed(why));
            };
            // A term that asks for nothing of nothing is left out, as Kubernetes leaves it out.
            let value = unescape(value)?;
            if field.is_empty() && value.is_empty() {
                continue;
            }
            if !selectable(kind).contains(&field) {
                return Err(unsupported(kind, field));
            }
            terms.push(Term { field: field.to_owned(), equal, value });
        }
        terms.sort_by(|a, b| (&a.field, &a.value).cmp(&(&b.field, &b.value)));
        Ok(Self { terms })
    }

    /// Whether every object is selected.
    pub fn is_everything(&self) -> bool {
        self.terms.is_empty()
    }

    /// The one value that the field must have, if one is asked for.
    pub fn exactly(&self, field: &str) -> Option<&str> {
        let wanted = |term: &&Term| term.equal && term.field == field;
        self.terms.iter().find(wanted).map(|term| term.value.as_str())
    }

    /// Whether the object has fields such as are asked for.
    pub fn selects(&self, object: &Value) -> bool {
        self.terms.iter().all(|term| (read(object, &term.field) == term.value) == term.equal)
    }
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, term) in self.terms.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            let operator = if term.equal { "=" } else { "!=" };
            let value = term.value.replace('\\', "\\\\").replace(',', "\\,").replace('=', "\\=");
            write!(f, "{comma}{}{operator}{value}", term.field)?;
        }
        Ok(())
    }
}

fn unsupported(kind: &str, field: &str) -> Malformed {
    Malformed(match kind {
        "Job" => format!("field label {field:?} not supported for batchv1.Job"),
        "Pod" | "Event" | EVENTS | "Secret" | "Namespace" | "Node" => {
            format!("field label not supported: {field}")
        }
        _ => {
            let [name, namespace] = DEFAULT;
            format!("{field:?} is not a known field selector: only {name:?}, {namespace:?}")
        }
    })
}

/// What a selector sees of a field; a field that is not there is as good as an empty one.
fn read<'a>(object: &'a Value, field: &str) -> Cow<'a, str> {
    let at = |path: &str| path.split('.').fold(object, |value, name| &value[name]);
    let value = match field {
        _ if let Some(part) = field.strip_prefix("regarding.") => &object["involvedObject"][part],
        "status.successful" => at("status.succeeded"),
        "status.podIP" | "status.podIPs" => {
            either(&at("status.podIPs")[0]["ip"], at("status.podIP"))
        }
        "source" => either(at("source.component"), at("reportingComponent")),
        "reportingController" => at("reportingComponent"),
        _ => at(field),
    };
    match (value, field) {
        (Value::String(text), _) => Cow::Borrowed(text),
        (Value::Null, "status.successful") => Cow::Borrowed("0"),
        (Value::Null, "spec.hostNetwork" | "spec.unschedulable") => Cow::Borrowed("false"),
        (Value::Null, _) => Cow::Borrowed(""),
        (other, _) => Cow::Owned(other.to_string()),
    }
}

fn either<'a>(first: &'a Value, second: &'a Value) -> &'a Value {
    if first.is_null() { second } else { first }
}

/// A comma behind a backslash is of the value.
fn split_terms(text: &str) -> Vec<&str> {
    let mut escaped = false;
    text.split(|c| {
        let comma = c == ',' && !escaped;
        escaped = c == '\\' && !escaped;
        comma
    })
    .collect()
}

/// The first operator is the one that counts.
fn split_term(term: &str) -> Option<(&str, bool, &str)> {
    let operators = [("!=", false), ("==", true), ("=", true)];
    term.char_indices().find_map(|(at, _)| {
        let rest = &term[at..];
        operators
            .iter()
            .find_map(|(operator, equal)| Some((&term[..at], *equal, rest.strip_prefix(operator)?)))
    })
}

fn unescape(text: &str) -> Result<String, Malformed> {
    let mut value = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => match chars.next() {
                Some(c @ ('\\' | ',' | '=')) => value.push(c),
                other => {
                    let sequence: String = std::iter::once('\\').chain(other).collect();
                    let why = "invalid field selector: invalid escape sequence";
                    return Err(Malformed(format!("{why}: {sequence}")));
                }
            },
            // Kubernetes prints the character's number.
            ',' | '=' => {
                let why = "invalid field selector: unescaped character in value";
                return Err(Malformed(format!("{why}: {}", u32::from(c))));
            }
            c => value.push(c),
        }
    }
    Ok(value)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn selects(text: &str, kind: &str, object: &Value) -> bool {
        Selector::parse(text, kind).unwrap().selects(object)
    }

    #[test]
    fn pods_are_selected_by_what_their_spec_and_status_say() {
        let pod = json!({
            "metadata": {"name": "p", "namespace": "d"},
            "spec": {"nodeName": "host", "restartPolicy": "Never", "hostNetwork": true},
            "status": {"phase": "Running", "podIP": "10.0.0.1", "podIPs": [{"ip": "10.0.0.1"}]},
        });
        for (text, selected) in [
            ("", true),
            (",", true),
            ("metadata.name=p", true),
            ("metadata.name==p,metadata.namespace=d", true),
            ("metadata.name!=p", false),
            ("status.phase!=Pending,spec.restartPolicy=Never", true),
            ("spec.hostNetwork=true", true),
            ("spec.hostNetwork=false", false),
            ("spec.nodeName=", false),
            ("status.nominatedNodeName=", true),
            ("status.podIP=10.0.0.1", true),
            ("status.phase=Running,status.phase!=Running", false),
        ] {
            assert_eq!(selects(text, "Pod", &pod), selected, "{text}");
        }
        assert!(selects("spec.hostNetwork=false", "Pod", &json!({})));
    }

    #[test]
    fn jobs_are_selected_by_the_pods_that_succeeded() {
        assert!(selects("status.successful=2", "Job", &json!({"status": {"succeeded": 2}})));
        assert!(selects("status.successful=0", "Job", &json!({})));
        assert!(!selects("status.successful=1", "Job", &json!({})));
    }

    #[test]
    fn events_are_selected_by_what_they_are_about() {
        let event = json!({
            "involvedObject": {"kind": "Job", "name": "pi", "uid": "u"},
            "reason": "Completed", "type": "Normal", "source": {"component": "job-controller"},
        });
        let text = "involvedObject.kind=Job,involvedObject.name=pi,reason=Completed,type=Normal";
        assert!(selects(text, "Event", &event));
        assert!(selects("source=job-controller", "Event", &event));
        assert!(selects("source=kiln", "Event", &json!({"reportingComponent": "kiln"})));
        assert!(!selects("involvedObject.uid=v", "Event", &event));
    }

    #[test]
    fn a_value_may_hold_what_the_grammar_holds_if_it_is_escaped() {
        let text = r"reason=a\,b\=c\\d";
        let selector = Selector::parse(text, "Event").unwrap();
        assert!(selector.selects(&json!({"reason": r"a,b=c\d"})));
        assert_eq!(selector.to_string(), text);
        assert_eq!(selector.exactly("reason"), Some(r"a,b=c\d"));
        assert_eq!(selector.exactly("type"), None);
    }

    #[test]
    fn a_bad_selector_is_refused_in_the_words_of_kubernetes() {
        for (kind, text, expected) in [
            ("Pod", "spec.foo=1", "field label not supported: spec.foo"),
            ("Job", "spec.foo=1", "field label \"spec.foo\" not supported for batchv1.Job"),
            (
                "ConfigMap",
                "data.a=1",
                "\"data.a\" is not a known field selector: only \"metadata.name\", \"metadata.namespace\"",
            ),
            (
                "Pod",
                "abc,metadata.name=x",
                "invalid selector: 'abc,metadata.name=x'; can't understand 'abc'",
            ),
            ("Pod", r"metadata.name=a\b", r"invalid field selector: invalid escape sequence: \b"),
            (
                "Pod",
                "metadata.name=a=b",
                "invalid field selector: unescaped character in value: 61",
            ),
        ] {
            assert_eq!(Selector::parse(text, kind).unwrap_err().to_string(), expected, "{text}");
        }
    }
}
