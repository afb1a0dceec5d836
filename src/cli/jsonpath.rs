//! Paths into objects, as `-o jsonpath`, `-o custom-columns` and `--for=jsonpath` name them.
//!
//! Owns: fields, indexes, `[*]`, `..` being refused, `[?(@.a=="b")]`, and texts around braces.
//! Must not know: what is looked for.
//! <https://kubernetes.io/docs/reference/kubectl/jsonpath/>

use serde_json::Value;

#[derive(Debug, Clone, PartialEq)]
enum Step {
    Field(String),
    Index(i64),
    All,
    /// Those items of which a field is this.
    Where(Vec<String>, String),
}

/// All that a path leads to: `.a.b[0]`, with or without braces around it.
///
/// # Errors
/// It is no path.
pub(super) fn find<'a>(path: &str, object: &'a Value) -> Result<Vec<&'a Value>, String> {
    let path = path.trim();
    let path = path.strip_prefix('{').and_then(|p| p.strip_suffix('}')).unwrap_or(path).trim();
    let mut found = vec![object];
    for step in steps(path.strip_prefix('$').unwrap_or(path))? {
        found = found.into_iter().flat_map(|value| take(value, &step)).collect();
    }
    Ok(found)
}

/// A template: texts, and paths in braces; `{"\n"}` is a text too.
///
/// # Errors
/// It is no template.
pub(super) fn render(template: &str, object: &Value) -> Result<String, String> {
    let (mut rendered, mut rest) = (String::new(), template);
    while let Some(start) = rest.find('{') {
        let end = rest[start..].find('}').ok_or("unclosed action")? + start;
        rendered += &rest[..start];
        let inner = rest[start + 1..end].trim();
        if inner.starts_with("range") || inner == "end" {
            return Err("`range` is not supported; use `[*]`".to_owned());
        }
        match inner.strip_prefix(['"', '\'']) {
            Some(text) => {
                let text = text.trim_end_matches(['"', '\'']);
                rendered += &text.replace("\\n", "\n").replace("\\t", "\t");
            }
            None => {
                let texts: Vec<_> = find(inner, object)?.into_iter().map(text).collect();
                rendered += &texts.join(" ");
            }
        }
        rest = &rest[end + 1..];
    }
    Ok(rendered + rest)
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

fn steps(path: &str) -> Result<Vec<Step>, String> {
    let (mut steps, mut rest) = (Vec::new(), path);
    while !rest.is_empty() {
        if rest.starts_with("..") {
            return Err(format!("`{path}`: `..` is not supported"));
        } else if let Some(inner) = rest.strip_prefix('[') {
            let end = inner.find(']').ok_or_else(|| format!("`{path}`: `[` without `]`"))?;
            steps.push(
                bracket(inner[..end].trim())
                    .ok_or_else(|| format!("`{path}`: `[{}]` is not supported", &inner[..end]))?,
            );
            rest = &inner[end + 1..];
        } else {
            let after = rest.strip_prefix('.').unwrap_or(rest);
            let (name, tail) = field(after);
            match name.as_str() {
                "" => {}
                "*" => steps.push(Step::All),
                _ => steps.push(Step::Field(name)),
            }
            rest = tail;
        }
    }
    Ok(steps)
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

fn bracket(inner: &str) -> Option<Step> {
    let unquoted = |text: &str| text.trim().trim_matches(['"', '\'']).to_owned();
    if inner == "*" {
        return Some(Step::All);
    }
    if let Ok(index) = inner.parse() {
        return Some(Step::Index(index));
    }
    if let Some(filter) = inner.strip_prefix("?(").and_then(|inner| inner.strip_suffix(')')) {
        let (field, value) = filter.split_once("==")?;
        let names = field.trim().strip_prefix("@.")?.split('.').map(str::to_owned).collect();
        return Some(Step::Where(names, unquoted(value)));
    }
    inner.starts_with(['"', '\'']).then(|| Step::Field(unquoted(inner)))
}

fn take<'a>(value: &'a Value, step: &Step) -> Vec<&'a Value> {
    match step {
        Step::Field(name) => value.get(name).into_iter().collect(),
        Step::Index(index) => {
            let items = value.as_array().map(Vec::as_slice).unwrap_or_default();
            let from_end = usize::try_from(index.unsigned_abs()).unwrap_or(usize::MAX);
            let at = if *index < 0 { items.len().checked_sub(from_end) } else { Some(from_end) };
            at.and_then(|at| items.get(at)).into_iter().collect()
        }
        Step::All => match value {
            Value::Array(items) => items.iter().collect(),
            Value::Object(fields) => fields.values().collect(),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Vec::new(),
        },
        Step::Where(names, wanted) => {
            let is_so = |item: &&Value| {
                let found = names.iter().try_fold(*item, |value, name| value.get(name));
                found.is_some_and(|found| text(found) == *wanted)
            };
            value.as_array().into_iter().flatten().filter(is_so).collect()
        }
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
            "items": [{"n": 1, "type": "A"}, {"n": 2, "type": "B"}], "none": null,
        });
        for (template, expected) in [
            ("{.metadata.name}", "a"),
            ("name={.metadata.name}{\"\\n\"}", "name=a\n"),
            ("{.items[*].n}", "1 2"),
            ("{.items[-1].n}", "2"),
            ("{.items[?(@.type==\"B\")].n}", "2"),
            ("{.metadata.labels.x/y\\.z}", "l"),
            ("{.metadata.labels['x/y.z']}", "l"),
            ("{.missing}", ""),
            ("{$.items[0]}", "{\"n\":1,\"type\":\"A\"}"),
        ] {
            assert_eq!(render(template, &object), Ok(expected.to_owned()), "{template}");
        }
        for template in ["{.a", "{..a}", "{.a[1:2]}", "{range .items[*]}{end}"] {
            assert!(render(template, &object).is_err(), "{template}");
        }
    }
}
