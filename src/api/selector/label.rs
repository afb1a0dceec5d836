//! Selectors over labels: `app=web,tier in (a, b),!canary`.
//!
//! Owns: the grammar, and what each operator asks of an object's labels. Must not know: fields.
//! <https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#label-selectors>

use std::collections::BTreeSet;
use std::fmt;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, LabelSelectorRequirement};
use serde_json::Value;

use super::Malformed;
use super::lexer::{Kind, Token, tokens};
use crate::api::validation::names;

/// All of these must hold; where there are none, every object is selected.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selector {
    /// By key.
    requirements: Vec<Requirement>,
}

/// What is asked of one label.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Requirement {
    pub key: String,
    pub operator: Operator,
    pub values: BTreeSet<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operator {
    In,
    NotIn,
    Equals,
    DoubleEquals,
    NotEquals,
    Exists,
    DoesNotExist,
    GreaterThan,
    LessThan,
}

impl Selector {
    /// Reads the `labelSelector` of a query.
    pub fn parse(text: &str) -> Result<Self, Malformed> {
        let mut parser = Parser { tokens: tokens(text), next: 0 };
        Ok(Self::all_of(parser.requirements()?))
    }

    /// Reads a selector object; one without any requirement selects everything.
    /// <https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#resources-that-support-set-based-requirements>
    pub fn of(selector: &LabelSelector) -> Result<Self, Malformed> {
        let equal = selector.match_labels.iter().flatten().map(|(key, value)| {
            Requirement::new(key, Operator::Equals, BTreeSet::from([value.clone()]))
        });
        let expressions = selector.match_expressions.iter().flatten().map(Requirement::of);
        Ok(Self::all_of(equal.chain(expressions).collect::<Result<_, _>>()?))
    }

    pub fn requirements(&self) -> &[Requirement] {
        &self.requirements
    }

    /// Whether every object is selected.
    pub fn is_everything(&self) -> bool {
        self.requirements.is_empty()
    }

    /// Whether the labels that `get` looks up are such as are asked for.
    pub fn matches<'a>(&self, get: impl Fn(&str) -> Option<&'a str>) -> bool {
        self.requirements.iter().all(|wanted| wanted.holds(get(&wanted.key)))
    }

    /// Whether the object has labels such as are asked for.
    pub fn selects(&self, object: &Value) -> bool {
        let labels = &object["metadata"]["labels"];
        self.matches(|key| labels.get(key).and_then(Value::as_str))
    }

    fn all_of(mut requirements: Vec<Requirement>) -> Self {
        requirements.sort_by(|a, b| a.key.cmp(&b.key));
        Self { requirements }
    }
}

impl Requirement {
    fn new(key: &str, operator: Operator, values: BTreeSet<String>) -> Result<Self, Malformed> {
        let mut wrong = invalid("key", key, &names::qualified(key));
        let shown = || format!("{:?}", values.iter().collect::<Vec<_>>());
        match operator {
            Operator::In | Operator::NotIn if values.is_empty() => wrong.push(
                "values: Invalid value: []: for 'in', 'notin' operators, values set can't be empty"
                    .to_owned(),
            ),
            Operator::Exists | Operator::DoesNotExist if !values.is_empty() => {
                let detail = "values set must be empty for exists and does not exist";
                wrong.push(format!("values: Invalid value: {}: {detail}", shown()));
            }
            Operator::GreaterThan | Operator::LessThan => {
                let bad = values.iter().filter(|value| value.parse::<i64>().is_err());
                let detail = "for 'Gt', 'Lt' operators, the value must be an integer";
                wrong.extend(bad.map(|v| format!("values[0]: Invalid value: {v:?}: {detail}")));
            }
            Operator::In
            | Operator::NotIn
            | Operator::Equals
            | Operator::DoubleEquals
            | Operator::NotEquals
            | Operator::Exists
            | Operator::DoesNotExist => {}
        }
        for (index, value) in values.iter().enumerate() {
            let path = format!("values[{index}][{key}]");
            wrong.extend(invalid(&path, value, &names::label_value(value)));
        }
        match wrong.as_slice() {
            [] => Ok(Self { key: key.to_owned(), operator, values }),
            [one] => Err(Malformed(one.clone())),
            many => Err(Malformed(format!("[{}]", many.join(", ")))),
        }
    }

    fn of(wanted: &LabelSelectorRequirement) -> Result<Self, Malformed> {
        let operator = match wanted.operator.as_str() {
            "In" => Operator::In,
            "NotIn" => Operator::NotIn,
            "Exists" => Operator::Exists,
            "DoesNotExist" => Operator::DoesNotExist,
            other => {
                let why = format!("{other:?} is not a valid label selector operator");
                return Err(Malformed(why));
            }
        };
        Self::new(&wanted.key, operator, wanted.values.iter().flatten().cloned().collect())
    }

    fn holds(&self, label: Option<&str>) -> bool {
        match self.operator {
            Operator::In | Operator::Equals | Operator::DoubleEquals => {
                label.is_some_and(|label| self.values.contains(label))
            }
            Operator::NotIn | Operator::NotEquals => {
                label.is_none_or(|label| !self.values.contains(label))
            }
            Operator::Exists => label.is_some(),
            Operator::DoesNotExist => label.is_none(),
            Operator::GreaterThan => self.compares(label, |label, bound| label > bound),
            Operator::LessThan => self.compares(label, |label, bound| label < bound),
        }
    }

    fn compares(&self, label: Option<&str>, holds: fn(i64, i64) -> bool) -> bool {
        let label = label.and_then(|label| label.parse().ok());
        let bound = self.values.first().and_then(|bound| bound.parse().ok());
        label.zip(bound).is_some_and(|(label, bound)| holds(label, bound))
    }
}

fn invalid(path: &str, value: &str, wrong: &[String]) -> Vec<String> {
    if wrong.is_empty() {
        return Vec::new();
    }
    vec![format!("{path}: Invalid value: {value:?}: {}", wrong.join("; "))]
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, requirement) in self.requirements.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            write!(f, "{comma}{requirement}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Requirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = &self.key;
        let values = self.values.iter().map(String::as_str).collect::<Vec<_>>().join(",");
        match self.operator {
            Operator::In => write!(f, "{key} in ({values})"),
            Operator::NotIn => write!(f, "{key} notin ({values})"),
            Operator::Equals => write!(f, "{key}={values}"),
            Operator::DoubleEquals => write!(f, "{key}=={values}"),
            Operator::NotEquals => write!(f, "{key}!={values}"),
            Operator::Exists => f.write_str(key),
            Operator::DoesNotExist => write!(f, "!{key}"),
            Operator::GreaterThan => write!(f, "{key}>{values}"),
            Operator::LessThan => write!(f, "{key}<{values}"),
        }
    }
}

struct Parser {
    /// The last one is the end.
    tokens: Vec<Token>,
    next: usize,
}

impl Parser {
    fn requirements(&mut self) -> Result<Vec<Requirement>, Malformed> {
        let mut found = Vec::new();
        loop {
            match self.peek() {
                (Kind::End, _) => return Ok(found),
                (Kind::Word | Kind::Not, _) => {
                    let requirement = self.requirement();
                    found.push(requirement.map_err(|Malformed(why)| {
                        Malformed(format!("unable to parse requirement: {why}"))
                    })?);
                }
                (_, text) => return expected(&text, ": !, identifier, or 'end of string'"),
            }
            match self.take() {
                (Kind::End, _) => return Ok(found),
                (Kind::Comma, _) => {}
                (_, text) => return expected(&text, ": ',' or 'end of string'"),
            }
            match self.peek() {
                (Kind::Word | Kind::Not, _) => {}
                (_, text) => return expected(&text, ": identifier after ','"),
            }
        }
    }

    fn requirement(&mut self) -> Result<Requirement, Malformed> {
        let (mut kind, mut key) = self.take();
        let denied = kind == Kind::Not;
        if denied {
            (kind, key) = self.take();
        }
        if kind != Kind::Word {
            return expected(&key, ": identifier");
        }
        // Kubernetes has no path for the field here, and says so.
        if let Some(why) = invalid("<nil>", &key, &names::qualified(&key)).pop() {
            return Err(Malformed(why));
        }
        if denied {
            return Requirement::new(&key, Operator::DoesNotExist, BTreeSet::new());
        }
        if matches!(self.peek().0, Kind::End | Kind::Comma) {
            return Requirement::new(&key, Operator::Exists, BTreeSet::new());
        }
        let operator = self.operator()?;
        let values = match operator {
            Operator::In | Operator::NotIn => self.values()?,
            Operator::Equals
            | Operator::DoubleEquals
            | Operator::NotEquals
            | Operator::Exists
            | Operator::DoesNotExist
            | Operator::GreaterThan
            | Operator::LessThan => BTreeSet::from([self.value()?]),
        };
        Requirement::new(&key, operator, values)
    }

    fn operator(&mut self) -> Result<Operator, Malformed> {
        let (kind, text) = self.take_operator();
        match kind {
            Kind::In => Ok(Operator::In),
            Kind::NotIn => Ok(Operator::NotIn),
            Kind::Equals => Ok(Operator::Equals),
            Kind::DoubleEquals => Ok(Operator::DoubleEquals),
            Kind::NotEquals => Ok(Operator::NotEquals),
            Kind::Greater => Ok(Operator::GreaterThan),
            Kind::Less => Ok(Operator::LessThan),
            Kind::End
            | Kind::Close
            | Kind::Comma
            | Kind::Not
            | Kind::Word
            | Kind::Open
            | Kind::Unknown => expected(&text, ": in, notin, =, ==, !=, gt, lt"),
        }
    }

    fn value(&mut self) -> Result<String, Malformed> {
        if matches!(self.peek().0, Kind::End | Kind::Comma) {
            return Ok(String::new());
        }
        match self.take() {
            (Kind::Word, text) => Ok(text),
            (_, text) => expected(&text, ": identifier"),
        }
    }

    /// A list in parentheses; what is left out is the empty value.
    fn values(&mut self) -> Result<BTreeSet<String>, Malformed> {
        let (kind, text) = self.take();
        if kind != Kind::Open {
            return Err(Malformed(format!("found '{text}' expected: '('")));
        }
        let mut values = BTreeSet::new();
        loop {
            let value = match self.peek() {
                (Kind::Word, text) => {
                    self.take();
                    text
                }
                (Kind::Comma | Kind::Close, _) => String::new(),
                (_, text) if values.is_empty() => {
                    return expected(&text, ": ',', ')' or identifier");
                }
                (_, text) => return expected(&text, ": ',', or identifier"),
            };
            values.insert(value);
            match self.take() {
                (Kind::Close, _) => return Ok(values),
                (Kind::Comma, _) => {}
                (_, text) => return expected(&text, ": ',' or ')'"),
            }
        }
    }

    /// The next token, where `in` and `notin` are words like others.
    fn peek(&self) -> Token {
        let end = self.tokens.len() - 1;
        let (kind, text) = self.tokens[self.next.min(end)].clone();
        (if matches!(kind, Kind::In | Kind::NotIn) { Kind::Word } else { kind }, text)
    }

    fn take(&mut self) -> Token {
        let token = self.peek();
        self.next += 1;
        token
    }

    fn take_operator(&mut self) -> Token {
        let end = self.tokens.len() - 1;
        let token = self.tokens[self.next.min(end)].clone();
        self.next += 1;
        token
    }
}

fn expected<T>(found: &str, what: &str) -> Result<T, Malformed> {
    Err(Malformed(format!("found '{found}', expected{what}")))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn refusal(text: &str) -> String {
        Selector::parse(text).unwrap_err().to_string()
    }

    #[test]
    fn every_form_of_requirement_reads_back_in_the_order_of_its_keys() {
        for (text, expected) in [
            ("", ""),
            ("x", "x"),
            ("!x", "!x"),
            ("x=a", "x=a"),
            ("x==a", "x==a"),
            ("x != a", "x!=a"),
            ("x=", "x="),
            ("x>1,y<9", "x>1,y<9"),
            ("z=1,a=2", "a=2,z=1"),
            ("x in (b,a,b)", "x in (a,b)"),
            ("x in (a,)", "x in (,a)"),
            ("x in ()", "x in ()"),
            ("x in (foo,,baz),y,z notin ()", "x in (,baz,foo),y,z notin ()"),
            ("in in (in,notin)", "in in (in,notin)"),
            ("example.com/app notin (a)", "example.com/app notin (a)"),
        ] {
            assert_eq!(Selector::parse(text).unwrap().to_string(), expected, "{text}");
        }
    }

    #[test]
    fn a_selector_selects_by_what_it_asks_of_labels() {
        let object = json!({"metadata": {"labels": {"app": "web", "n": "5"}}});
        for (text, selected) in [
            ("", true),
            ("app", true),
            ("!app", false),
            ("tier", false),
            ("!tier", true),
            ("app=web,n=5", true),
            ("app=web,n=6", false),
            ("app!=web", false),
            ("tier!=a", true),
            ("app in (db,web)", true),
            ("app notin (db,web)", false),
            ("tier notin (a)", true),
            ("tier in (a)", false),
            ("n>4,n<6", true),
            ("n>5", false),
            ("app>1", false),
            ("tier<1", false),
        ] {
            assert_eq!(Selector::parse(text).unwrap().selects(&object), selected, "{text}");
        }
        assert!(Selector::parse("!a").unwrap().selects(&json!({})));
    }

    #[test]
    fn a_bad_selector_is_refused_in_the_words_of_kubernetes() {
        for (text, expected) in [
            ("=a", "found '=', expected: !, identifier, or 'end of string'"),
            ("x,", "found '', expected: identifier after ','"),
            ("x=a=b", "found '=', expected: ',' or 'end of string'"),
            (
                "x a",
                "unable to parse requirement: found 'a', expected: in, notin, =, ==, !=, gt, lt",
            ),
            ("x=(", "unable to parse requirement: found '(', expected: identifier"),
            ("!", "unable to parse requirement: found '', expected: identifier"),
            ("x in a", "unable to parse requirement: found 'a' expected: '('"),
            ("x in (a", "unable to parse requirement: found '', expected: ',' or ')'"),
            ("x in (a b)", "unable to parse requirement: found 'b', expected: ',' or ')'"),
            ("x in (", "unable to parse requirement: found '', expected: ',', ')' or identifier"),
            (
                "x>a",
                "unable to parse requirement: values[0]: Invalid value: \"a\": for 'Gt', 'Lt' \
                 operators, the value must be an integer",
            ),
        ] {
            assert_eq!(refusal(text), expected, "{text}");
        }
        let bad_key = "unable to parse requirement: <nil>: Invalid value: \"-x\": name part must";
        assert!(refusal("-x=a").starts_with(bad_key), "{}", refusal("-x=a"));
        let bad_value = "unable to parse requirement: values[0][x]: Invalid value: \"-a\": a valid";
        assert!(refusal("x=-a").starts_with(bad_value), "{}", refusal("x=-a"));
    }

    #[test]
    fn a_selector_object_says_the_same_in_other_words() {
        let of = |value| Selector::of(&serde_json::from_value(value).unwrap());
        let both = of(json!({
            "matchLabels": {"b": "1"},
            "matchExpressions": [
                {"key": "a", "operator": "In", "values": ["y", "x"]},
                {"key": "c", "operator": "DoesNotExist"},
            ],
        }));
        assert_eq!(both.unwrap().to_string(), "a in (x,y),b=1,!c");
        assert!(of(json!({})).unwrap().is_everything());
        let odd =
            of(json!({"matchExpressions": [{"key": "a", "operator": "Gt", "values": ["1"]}]}));
        assert_eq!(odd.unwrap_err().to_string(), "\"Gt\" is not a valid label selector operator");
        let none = of(json!({"matchExpressions": [{"key": "a", "operator": "In"}]}));
        assert_eq!(
            none.unwrap_err().to_string(),
            "values: Invalid value: []: for 'in', 'notin' operators, values set can't be empty"
        );
    }

    proptest! {
        #[test]
        fn no_text_breaks_the_parser_and_what_it_takes_reads_back(text in "[a-z!=,()<> in]{0,24}|\\PC{0,12}") {
            if let Ok(selector) = Selector::parse(&text) {
                let again = Selector::parse(&selector.to_string());
                prop_assert_eq!(again.as_ref(), Ok(&selector));
            }
        }
    }
}
