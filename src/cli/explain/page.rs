//! The page of a field, as kubectl lays it out.
//!
//! Owns: headings, types, and text broken into lines. Must not know: where schemas come from.

use serde_json::Value;

use super::Schemas;
use crate::cli::jsonpath::text;
use crate::cli::remote::Resource;

/// Where descriptions are broken.
const WIDTH: usize = 76;
/// How deep `--recursive` goes where a type has itself as a field.
const DEPTH_MAX: usize = 24;

pub(super) struct Page<'a> {
    pub(super) schemas: Schemas<'a>,
    pub(super) resource: &'a Resource,
    pub(super) recursive: bool,
}

impl<'a> Page<'a> {
    /// # Errors
    /// There is no such field.
    pub(super) fn render(&self, root: &'a Value, path: &[&str]) -> Result<String, String> {
        let mut schema = root;
        for name in path {
            let field = &self.schemas.inner(schema)["properties"][*name];
            if field.is_null() {
                return Err(format!("field {name:?} does not exist"));
            }
            schema = field;
        }
        let mut page = self.head();
        if let Some(name) = path.last() {
            page += &format!("FIELD: {name} <{}>\n\n", self.kind(schema));
            page += &values_of("ENUM", schema, self.schemas.inner(schema));
            page += "\n";
        }
        page += "DESCRIPTION:\n";
        page += &indented(&self.descriptions(schema).join("\n"), 4);
        page += "    \n";
        let fields = self.schemas.fields(schema);
        if !fields.is_empty() {
            page += "FIELDS:\n";
            if self.recursive {
                self.names(schema, 2, &mut Vec::new(), &mut page);
            } else {
                let inner = self.schemas.inner(schema);
                for (name, field) in fields {
                    page += &self.field(name, field, inner);
                }
            }
        }
        Ok(page + "\n")
    }

    fn head(&self) -> String {
        let Resource { group, kind, version, .. } = self.resource;
        let group = if group.is_empty() { String::new() } else { format!("GROUP:      {group}\n") };
        format!("{group}KIND:       {kind}\nVERSION:    {version}\n\n")
    }

    fn field(&self, name: &str, field: &'a Value, of: &Value) -> String {
        let required = if is_required(name, of) { " -required-" } else { "" };
        let mut lines = format!("  {name}\t<{}>{required}\n", self.kind(field));
        let values = values(field);
        if !values.is_empty() {
            lines += &format!("  enum: {}\n", values.join(", "));
        }
        lines + &indented(&self.descriptions(field)[0], 4) + "\n"
    }

    /// What is said of a field, then of its type, and of what a list or a map of it holds; one at least.
    fn descriptions(&self, schema: &'a Value) -> Vec<String> {
        let (mut all, mut next) = (Vec::new(), Some(schema));
        while let Some(schema) = next {
            all.push(text(&schema["description"]));
            next = self.schemas.within(schema);
        }
        all.retain(|text| !text.is_empty());
        if all.is_empty() {
            all.push("<empty>".to_owned());
        }
        all
    }

    /// The names of all fields below, each further in than what it is of.
    fn names(
        &self,
        schema: &'a Value,
        indent: usize,
        within: &mut Vec<*const Value>,
        page: &mut String,
    ) {
        let inner = self.schemas.inner(schema);
        // A type that has itself as a field has no end.
        if within.len() >= DEPTH_MAX || within.contains(&std::ptr::from_ref(inner)) {
            return;
        }
        within.push(inner);
        for (name, field) in self.schemas.fields(schema) {
            let required = if is_required(name, inner) { " -required-" } else { "" };
            let space = " ".repeat(indent);
            *page += &format!("{space}{name}\t<{}>{required}\n", self.kind(field));
            let values = values(field);
            if !values.is_empty() {
                *page += &format!("{space}enum: {}\n", values.join(", "));
            }
            self.names(field, indent + 2, within, page);
        }
        within.pop();
    }

    fn kind(&self, schema: &'a Value) -> String {
        if schema["items"].is_object() {
            return format!("[]{}", self.kind(&schema["items"]));
        }
        if schema["additionalProperties"].is_object() {
            return format!("map[string]{}", self.kind(&schema["additionalProperties"]));
        }
        if let Some((name, there)) = self.schemas.reference(schema) {
            let plain = there["type"].as_str().filter(|kind| *kind != "object");
            let short = name.rsplit('.').next().unwrap_or(name);
            return match plain {
                Some(kind) if there["oneOf"].is_null() => kind.to_owned(),
                Some(_) | None => short.to_owned(),
            };
        }
        match schema["type"].as_str() {
            Some("object") | None => "Object".to_owned(),
            Some(kind) => kind.to_owned(),
        }
    }
}

fn is_required(name: &str, of: &Value) -> bool {
    of["required"].as_array().into_iter().flatten().any(|required| required == name)
}

fn values(schema: &Value) -> Vec<String> {
    schema["enum"].as_array().into_iter().flatten().map(text).collect()
}

fn values_of(title: &str, schema: &Value, inner: &Value) -> String {
    let mut all = values(schema);
    if all.is_empty() {
        all = values(inner);
    }
    if all.is_empty() {
        return String::new();
    }
    let lines: String = all.iter().map(|value| format!("    {value}\n")).collect();
    format!("{title}:\n{lines}\n")
}

fn indented(text: &str, by: usize) -> String {
    let space = " ".repeat(by);
    wrapped(text).iter().map(|line| format!("{space}{line}\n")).collect()
}

/// Lines of words, none longer than it has to be. The text's own line breaks stay, and so do its spaces
/// within a line.
fn wrapped(text: &str) -> Vec<String> {
    let mut lines = Vec::new();
    for paragraph in text.lines() {
        let mut words = paragraph.split(' ');
        let mut line = words.next().unwrap_or_default().to_owned();
        let mut is_broken = false;
        for word in words {
            if is_broken && line.is_empty() {
                line.push_str(word);
            } else if line.chars().count() + 1 + word.chars().count() > WIDTH {
                lines.push(std::mem::replace(&mut line, word.to_owned()));
                is_broken = true;
            } else {
                line = line + " " + word;
            }
        }
        lines.push(line);
    }
    lines
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::cli::remote::known;

    fn document() -> Value {
        json!({"components": {"schemas": {
            "x.Job": {
                "description": "A Job.", "type": "object", "required": ["spec"],
                "properties": {
                    "spec": {
                        "description": "What is wanted.",
                        "allOf": [{"$ref": "#/components/schemas/x.Spec"}],
                    },
                    "kind": {"type": "string", "enum": ["A", "B"], "description": "Its kind."},
                },
            },
            "x.Spec": {"description": "The spec.", "type": "object", "properties": {
                "at": {"$ref": "#/components/schemas/x.Time"},
                "list": {"type": "array", "items": {"$ref": "#/components/schemas/x.Spec"}},
                "map": {"type": "object", "additionalProperties": {"type": "string"}},
            }},
            "x.Time": {"type": "string", "format": "date-time"},
        }}})
    }

    fn shown(path: &[&str], recursive: bool) -> Result<String, String> {
        let document = document();
        let resource = known("jobs").unwrap();
        let schemas = Schemas { document: &document };
        let page = Page { schemas, resource: &resource, recursive };
        page.render(&document["components"]["schemas"]["x.Job"], path)
    }

    const HEAD: &str = "GROUP:      batch\nKIND:       Job\nVERSION:    v1\n\n";

    #[test]
    fn a_kind_is_shown_with_its_fields() {
        let expected = "DESCRIPTION:\n    A Job.\n    \nFIELDS:\n  kind\t<string>\n  enum: A, B\n    \
                        Its kind.\n\n  spec\t<Spec> -required-\n    What is wanted.\n\n\n";
        assert_eq!(shown(&[], false).unwrap(), HEAD.to_owned() + expected);
    }

    #[test]
    fn a_field_is_found_through_references_and_lists() {
        let page = shown(&["spec", "list", "map"], false).unwrap();
        assert_eq!(
            page,
            HEAD.to_owned()
                + "FIELD: map <map[string]string>\n\n\nDESCRIPTION:\n    <empty>\n    \n\n"
        );
        let page = shown(&["spec", "list"], false).unwrap();
        assert!(page.contains("DESCRIPTION:\n    The spec.\n    \nFIELDS:\n"), "{page}");
        assert_eq!(shown(&["spec", "no"], false).unwrap_err(), "field \"no\" does not exist");
    }

    #[test]
    fn all_names_are_shown_though_a_type_is_within_itself() {
        let page = shown(&["spec"], true).unwrap();
        let fields = page.split("FIELDS:\n").nth(1).unwrap();
        assert_eq!(fields, "  at\t<string>\n  list\t<[]Spec>\n  map\t<map[string]string>\n\n");
    }

    #[test]
    fn a_text_is_broken_between_words() {
        let words = "word ".repeat(20);
        let lines = wrapped(&format!("{words}\n\nend"));
        assert_eq!(lines[0].len(), 74);
        assert_eq!(lines[2..], ["", "end"]);
        assert_eq!(wrapped("- a.  b\n  c"), ["- a.  b", "  c"]);
    }
}
