//! Paths into objects, as `-o jsonpath`, `-o custom-columns` and `--for=jsonpath` name them.
//!
//! Owns: fields, indexes, slices, unions, `..`, filters, `range`, and texts around braces. Must not know:
//! what is looked for.
//! <https://kubernetes.io/docs/reference/kubectl/jsonpath/>

mod template;

use serde_json::Value;

pub(super) use self::template::render;

#[derive(Debug, Clone, PartialEq)]
enum Step {
    /// From the whole object on, wherever one is.
    Root,
    Field(String),
    /// Each of several indexes or names.
    Union(Vec<Self>),
    Index(i64),
    /// From, to, and how far each time.
    Slice(Option<i64>, Option<i64>, i64),
    All,
    /// The value, and all that is below it.
    Deep,
    Where(Filter),
}

/// What holds of the items that are meant.
#[derive(Debug, Clone, PartialEq)]
struct Filter {
    left: Operand,
    /// Without: that there is something.
    test: Option<(Operator, Operand)>,
}

#[derive(Debug, Clone, PartialEq)]
enum Operand {
    Path(Vec<Step>),
    Literal(Value),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operator {
    Equal,
    NotEqual,
    AtMost,
    AtLeast,
    Less,
    Greater,
}

/// Longer ones first, since they begin with shorter ones.
const OPERATORS: [(&str, Operator); 6] = [
    ("==", Operator::Equal),
    ("!=", Operator::NotEqual),
    ("<=", Operator::AtMost),
    (">=", Operator::AtLeast),
    ("<", Operator::Less),
    (">", Operator::Greater),
];

/// All that a path leads to: `.a.b[0]`, with or without braces around it.
///
/// # Errors
/// It is no path.
pub(super) fn find<'a>(path: &str, object: &'a Value) -> Result<Vec<&'a Value>, String> {
    let path = path.trim();
    let path = path.strip_prefix('{').and_then(|p| p.strip_suffix('}')).unwrap_or(path).trim();
    Ok(follow(&steps(path)?, object, object))
}

/// A value as kubectl prints it.
pub(super) fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other @ (Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_)) => {
            other.to_string()
        }
    }
}

fn follow<'a>(steps: &[Step], from: &'a Value, root: &'a Value) -> Vec<&'a Value> {
    let mut found = vec![from];
    for step in steps {
        found = found.into_iter().flat_map(|value| take(value, step, root)).collect();
    }
    found
}

fn steps(path: &str) -> Result<Vec<Step>, String> {
    let (mut steps, mut rest) = (Vec::new(), path.trim());
    if let Some(after) = rest.strip_prefix('$') {
        steps.push(Step::Root);
        rest = after;
    } else if let Some(after) = rest.strip_prefix('@') {
        rest = after;
    }
    while !rest.is_empty() {
        if let Some(inner) = rest.strip_prefix('[') {
            let end = close(inner, '[', ']').ok_or_else(|| format!("`{path}`: `[` without `]`"))?;
            steps.push(bracket(inner[..end].trim()).map_err(|why| format!("`{path}`: {why}"))?);
            rest = &inner[end + 1..];
            continue;
        }
        if let Some(after) = rest.strip_prefix("..") {
            steps.push(Step::Deep);
            rest = after;
        }
        let (name, tail) = field(rest.strip_prefix('.').unwrap_or(rest));
        match name.as_str() {
            "" => {}
            "*" => steps.push(Step::All),
            _ => steps.push(Step::Field(name)),
        }
        rest = tail;
    }
    Ok(steps)
}

/// Where a bracket that is open is closed; those within quotes do not count.
fn close(text: &str, open: char, end: char) -> Option<usize> {
    let (mut depth, mut quote, mut escaped) = (0_usize, None, false);
    for (at, char) in text.char_indices() {
        match (quote, char) {
            _ if escaped => escaped = false,
            (_, '\\') => escaped = true,
            (Some(open), _) if char == open => quote = None,
            (Some(_), _) => {}
            (None, '"' | '\'') => quote = Some(char),
            (None, _) if char == open => depth += 1,
            (None, _) if char == end && depth == 0 => return Some(at),
            (None, _) if char == end => depth -= 1,
            (None, _) => {}
        }
    }
    None
}

/// A name up to the next step; `\.` is a dot within it.
fn field(text: &str) -> (String, &str) {
    let (mut name, mut escaped) = (String::new(), false);
    for (at, char) in text.char_indices() {
        match char {
            '\\' if !escaped => {
                escaped = true;
                continue;
            }
            '.' | '[' if !escaped => return (name, &text[at..]),
            _ => name.push(char),
        }
        escaped = false;
    }
    (name, "")
}

fn bracket(inner: &str) -> Result<Step, String> {
    if let Some(filter) = inner.strip_prefix("?(").and_then(|inner| inner.strip_suffix(')')) {
        return filter_of(filter).map(Step::Where);
    }
    let parts: Vec<&str> = split(inner, ',');
    if parts.len() > 1 {
        let parts = parts.into_iter().map(|part| bracket(part.trim()));
        return parts.collect::<Result<_, _>>().map(Step::Union);
    }
    if inner == "*" {
        return Ok(Step::All);
    }
    if let Some(name) = unquoted(inner) {
        return Ok(Step::Field(name));
    }
    if let Ok(index) = inner.parse() {
        return Ok(Step::Index(index));
    }
    let wrong = || format!("invalid array index `[{inner}]`");
    let numbers: Vec<Option<i64>> = inner
        .split(':')
        .map(|part| match part.trim() {
            "" => Ok(None),
            part => part.parse().map(Some).map_err(|_| wrong()),
        })
        .collect::<Result<_, _>>()?;
    match numbers.as_slice() {
        [from, to] => Ok(Step::Slice(*from, *to, 1)),
        [from, to, by] if by.is_none_or(|by| by > 0) => {
            Ok(Step::Slice(*from, *to, by.unwrap_or(1)))
        }
        _ => Err(wrong()),
    }
}

/// Parts between separators that are not within quotes or brackets.
fn split(text: &str, separator: char) -> Vec<&str> {
    let (mut parts, mut from, mut quote) = (Vec::new(), 0, None);
    for (at, char) in text.char_indices() {
        match quote {
            Some(open) if char == open => quote = None,
            Some(_) => {}
            None if matches!(char, '"' | '\'') => quote = Some(char),
            None if char == separator => {
                parts.push(&text[from..at]);
                from = at + separator.len_utf8();
            }
            None => {}
        }
    }
    parts.push(&text[from..]);
    parts
}

fn unquoted(text: &str) -> Option<String> {
    let quote = text.chars().next().filter(|char| matches!(char, '"' | '\''))?;
    let inner = text.strip_prefix(quote)?.strip_suffix(quote)?;
    Some(
        inner
            .replace("\\n", "\n")
            .replace("\\t", "\t")
            .replace(&format!("\\{quote}"), &quote.to_string()),
    )
}

fn filter_of(text: &str) -> Result<Filter, String> {
    let mut quote = None;
    for (at, char) in text.char_indices() {
        match quote {
            Some(open) if char == open => quote = None,
            Some(_) => {}
            None if matches!(char, '"' | '\'') => quote = Some(char),
            None => {
                let operator = OPERATORS.iter().find(|(sign, _)| text[at..].starts_with(sign));
                if let Some((sign, operator)) = operator {
                    let (left, right) = (operand(&text[..at])?, operand(&text[at + sign.len()..])?);
                    return Ok(Filter { left, test: Some((*operator, right)) });
                }
            }
        }
    }
    Ok(Filter { left: operand(text)?, test: None })
}

fn operand(text: &str) -> Result<Operand, String> {
    let text = text.trim();
    if text.starts_with(['@', '$', '.']) {
        return steps(text).map(Operand::Path);
    }
    if let Some(text) = unquoted(text) {
        return Ok(Operand::Literal(text.into()));
    }
    match serde_json::from_str(text) {
        Ok(value @ (Value::Bool(_) | Value::Number(_))) => Ok(Operand::Literal(value)),
        _ if text.is_empty() => Err("a filter without a value".to_owned()),
        _ => Ok(Operand::Literal(text.into())),
    }
}

impl Filter {
    fn holds(&self, item: &Value, root: &Value) -> bool {
        let values = |operand: &Operand| -> Vec<Value> {
            match operand {
                Operand::Path(steps) => follow(steps, item, root).into_iter().cloned().collect(),
                Operand::Literal(value) => vec![value.clone()],
            }
        };
        let left = values(&self.left);
        let Some((operator, right)) = &self.test else { return !left.is_empty() };
        let (Some(left), Some(right)) = (left.first(), values(right).into_iter().next()) else {
            return false;
        };
        let order = match (left.as_f64(), right.as_f64()) {
            (Some(left), Some(right)) => left.partial_cmp(&right),
            (Some(_) | None, _) => Some(text(left).cmp(&text(&right))),
        };
        order.is_some_and(|order| match operator {
            Operator::Equal => order.is_eq(),
            Operator::NotEqual => order.is_ne(),
            Operator::AtMost => order.is_le(),
            Operator::AtLeast => order.is_ge(),
            Operator::Less => order.is_lt(),
            Operator::Greater => order.is_gt(),
        })
    }
}

fn take<'a>(value: &'a Value, step: &Step, root: &'a Value) -> Vec<&'a Value> {
    match step {
        Step::Root => vec![root],
        Step::Field(name) => value.get(name).into_iter().collect(),
        Step::Union(parts) => parts.iter().flat_map(|part| take(value, part, root)).collect(),
        Step::Index(index) => {
            let items = value.as_array().map(Vec::as_slice).unwrap_or_default();
            place(*index, items.len()).and_then(|at| items.get(at)).into_iter().collect()
        }
        Step::Slice(from, to, by) => {
            let items = value.as_array().map(Vec::as_slice).unwrap_or_default();
            let at = |index: Option<i64>, other: usize| match index {
                Some(index) => place(index, items.len()).unwrap_or(0).min(items.len()),
                None => other,
            };
            let (from, to) = (at(*from, 0), at(*to, items.len()));
            let by = usize::try_from(*by).unwrap_or(1).max(1);
            items.get(from..to).unwrap_or_default().iter().step_by(by).collect()
        }
        Step::All => below(value),
        Step::Deep => {
            let mut all = vec![value];
            for inner in below(value) {
                all.extend(take(inner, &Step::Deep, root));
            }
            all
        }
        Step::Where(filter) => below(value).into_iter().filter(|i| filter.holds(i, root)).collect(),
    }
}

/// Counted from the end if it is negative.
fn place(index: i64, length: usize) -> Option<usize> {
    let size = usize::try_from(index.unsigned_abs()).unwrap_or(usize::MAX);
    if index < 0 { length.checked_sub(size) } else { Some(size) }
}

fn below(value: &Value) -> Vec<&Value> {
    match value {
        Value::Array(items) => items.iter().collect(),
        Value::Object(fields) => fields.values().collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_template_is_filled_in() {
        let object = json!({
            "metadata": {"name": "a", "labels": {"x/y.z": "l"}},
            "items": [{"n": 1, "type": "A"}, {"n": 2, "type": "B"}, {"n": 3, "type": "C", "x": 0}],
            "none": null,
        });
        for (template, expected) in [
            ("{.metadata.name}", "a"),
            ("name={.metadata.name}{\"\\n\"}", "name=a\n"),
            ("{.items[*].n}", "1 2 3"),
            ("{.items[-1].n}", "3"),
            ("{.items[0:2].n}", "1 2"),
            ("{.items[1:].n}", "2 3"),
            ("{.items[::2].n}", "1 3"),
            ("{.items[0,2].n}", "1 3"),
            ("{.items[0]['n','type']}", "1 A"),
            ("{.items[?(@.type==\"B\")].n}", "2"),
            ("{.items[?(@.n>=2)].type}", "B C"),
            ("{.items[?(@.type!='B')].n}", "1 3"),
            ("{.items[?(@.x)].n}", "3"),
            ("{.metadata.labels.x/y\\.z}", "l"),
            ("{.metadata.labels['x/y.z']}", "l"),
            ("{..type}", "A B C"),
            ("{.missing}", ""),
            ("{$.items[0]}", "{\"n\":1,\"type\":\"A\"}"),
            ("{range .items[*]}{.n}={.type}{\"\\n\"}{end}", "1=A\n2=B\n3=C\n"),
            ("{range .items[0:2]}{@.n}{$.metadata.name} {end}.", "1a 2a ."),
        ] {
            assert_eq!(render(template, &object), Ok(expected.to_owned()), "{template}");
        }
        for template in ["{.a", "{.a[x]}", "{.a[1:2:0]}", "{range .items[*]}", "{end}", "{.a[?()]}"]
        {
            assert!(render(template, &object).is_err(), "{template}");
        }
    }
}
