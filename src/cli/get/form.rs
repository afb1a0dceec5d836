//! The forms of `-o`.
//!
//! Owns: their names, and objects set in each of them. Must not know: tables, which the server lays out.

use std::fs;

use serde_json::{Value, json};

use crate::cli::remote::Error;
use crate::cli::table::Columns;
use crate::cli::{jsonpath, yaml};

/// How objects are shown.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::cli) enum Form {
    Table {
        wide: bool,
    },
    Yaml,
    Json,
    Name,
    JsonPath(String),
    /// What the path leads to, as a list in JSON.
    JsonPathAsJson(String),
    /// Headers, and the path of each.
    Columns(Vec<(String, String)>),
}

const ALLOWED: &str = "custom-columns, custom-columns-file, json, jsonpath, jsonpath-as-json, \
                       jsonpath-file, name, wide, yaml";

impl Form {
    /// # Errors
    /// There is no such form, or what it needs is missing.
    pub(in crate::cli) fn read(text: Option<&str>) -> Result<Self, Error> {
        let Some(text) = text else { return Ok(Self::Table { wide: false }) };
        let (form, rest) = text.split_once('=').unwrap_or((text, ""));
        let read = |what: &str| {
            fs::read_to_string(rest)
                .map_err(|error| Error::usage(format!("error reading {what} {rest}, {error}")))
        };
        match form {
            "wide" => Ok(Self::Table { wide: true }),
            "yaml" => Ok(Self::Yaml),
            "json" => Ok(Self::Json),
            "name" => Ok(Self::Name),
            "go-template" | "go-template-file" | "template" | "templatefile" => {
                Err(Error::usage(format!(
                    "-o {form}: templates of Go are not rendered; use -o jsonpath=TEMPLATE, or -o json"
                )))
            }
            "jsonpath"
            | "jsonpath-as-json"
            | "jsonpath-file"
            | "custom-columns"
            | "custom-columns-file"
                if rest.is_empty() =>
            {
                Err(Error::usage(format!("-o {form}: expected {form}=...")))
            }
            "jsonpath" => Ok(Self::JsonPath(rest.to_owned())),
            "jsonpath-as-json" => Ok(Self::JsonPathAsJson(rest.to_owned())),
            "jsonpath-file" => read("template").map(Self::JsonPath),
            "custom-columns" => columns(rest),
            "custom-columns-file" => columns_of_file(&read("template")?),
            _ => Err(Error::usage(format!(
                "unable to match a printer suitable for the output format {form:?}, allowed formats \
                 are: {ALLOWED}"
            ))),
        }
    }
}

fn columns(text: &str) -> Result<Form, Error> {
    let column = |column: &str| {
        let (header, path) = column.split_once(':')?;
        Some((header.to_owned(), path.to_owned()))
    };
    let columns = text.split(',').map(column).collect::<Option<_>>();
    columns
        .map(Form::Columns)
        .ok_or_else(|| Error::usage("custom-columns: expected HEADER:.path,HEADER:.path"))
}

/// A line of headers, and a line of paths.
fn columns_of_file(text: &str) -> Result<Form, Error> {
    let wrong = || {
        Error::usage("custom-columns-file: expected a line of headers, and a line of as many paths")
    };
    let mut lines = text.lines().map(|line| line.split_whitespace().map(str::to_owned));
    let (Some(headers), Some(paths)) = (lines.next(), lines.next()) else { return Err(wrong()) };
    let (headers, paths): (Vec<_>, Vec<_>) = (headers.collect(), paths.collect());
    if headers.is_empty() || headers.len() != paths.len() {
        return Err(wrong());
    }
    Ok(Form::Columns(headers.into_iter().zip(paths).collect()))
}

/// Objects, each with the name of its kind. `single`: exactly one was asked for.
pub(in crate::cli) fn render(
    form: &Form,
    objects: Vec<(String, Value)>,
    single: bool,
    no_headers: bool,
) -> Result<String, Error> {
    let lines = |lines: Vec<String>| lines.into_iter().map(|line| line + "\n").collect();
    let name = |object: &Value| jsonpath::text(&object["metadata"]["name"]);
    match form {
        Form::Name => Ok(lines(
            objects.iter().map(|(kind, object)| format!("{kind}/{}", name(object))).collect(),
        )),
        Form::Columns(columns) => {
            let mut rows = Vec::new();
            if !no_headers {
                rows.push(columns.iter().map(|(header, _)| header.clone()).collect());
            }
            for (_, object) in &objects {
                rows.push(
                    columns.iter().map(|(_, path)| cell(path, object)).collect::<Result<_, _>>()?,
                );
            }
            Ok(Columns::default().set(&rows))
        }
        Form::Yaml
        | Form::Json
        | Form::JsonPath(_)
        | Form::JsonPathAsJson(_)
        | Form::Table { .. } => {
            let mut items: Vec<_> = objects.into_iter().map(|(_, object)| object).collect();
            let value = match items.pop() {
                Some(only) if single => only,
                last => {
                    items.extend(last);
                    json!({
                        "apiVersion": "v1", "kind": "List", "items": items,
                        "metadata": {"resourceVersion": ""},
                    })
                }
            };
            document(form, &value)
        }
    }
}

fn document(form: &Form, value: &Value) -> Result<String, Error> {
    let wrong = |template: &str, error: String| {
        Error::usage(format!("error parsing jsonpath {template}, {error}"))
    };
    match form {
        Form::JsonPath(template) => {
            jsonpath::render(template, value).map_err(|error| wrong(template, error))
        }
        Form::JsonPathAsJson(path) => {
            let found = jsonpath::find(path, value).map_err(|error| wrong(path, error))?;
            indented(&json!(found))
        }
        Form::Yaml => yaml::write(value).map_err(|error| Error::failed(error.to_string())),
        Form::Json | Form::Name | Form::Columns(_) | Form::Table { .. } => indented(value),
    }
}

/// JSON as kubectl sets it, by four spaces.
pub(in crate::cli) fn indented(value: &Value) -> Result<String, Error> {
    let mut bytes = Vec::new();
    let indent = serde_json::ser::PrettyFormatter::with_indent(b"    ");
    let mut to = serde_json::Serializer::with_formatter(&mut bytes, indent);
    serde::Serialize::serialize(value, &mut to)
        .map_err(|error| Error::failed(error.to_string()))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned() + "\n")
}

fn cell(path: &str, object: &Value) -> Result<String, Error> {
    let found = jsonpath::find(path, object).map_err(Error::usage)?;
    let texts: Vec<_> = found.into_iter().map(jsonpath::text).collect();
    Ok(if texts.is_empty() { "<none>".to_owned() } else { texts.join(",") })
}

/// Numbers by their value, all else as text.
pub(super) fn sort_key(path: &str, object: &Value) -> (i64, String) {
    let found = jsonpath::find(path, object).unwrap_or_default();
    found.first().map_or_else(Default::default, |value| {
        (value.as_i64().unwrap_or_default(), jsonpath::text(value))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn maps() -> Vec<(String, Value)> {
        let map = |name: &str| json!({"kind": "ConfigMap", "metadata": {"name": name}, "n": 1});
        ["a", "b"].map(|name| ("configmap".to_owned(), map(name))).to_vec()
    }

    #[test]
    fn objects_are_shown_whole_in_each_form() {
        let shown =
            |form: &str| render(&Form::read(Some(form)).unwrap(), maps(), false, false).unwrap();
        assert_eq!(shown("name"), "configmap/a\nconfigmap/b\n");
        assert_eq!(shown("jsonpath={.items[*].metadata.name}"), "a b");
        assert_eq!(shown("jsonpath-as-json={.items[*].n}"), "[\n    1,\n    1\n]\n");
        assert_eq!(
            shown("custom-columns=NAME:.metadata.name,X:.x"),
            "NAME   X\na      <none>\nb      <none>\n"
        );
        assert!(shown("yaml").starts_with("apiVersion: v1\nitems:\n- kind: ConfigMap\n"));
        let one = render(&Form::Json, maps()[..1].to_vec(), true, false).unwrap();
        assert_eq!(
            one,
            "{\n    \"kind\": \"ConfigMap\",\n    \"metadata\": {\n        \"name\": \"a\"\n    },\n    \"n\": 1\n}\n"
        );
    }

    #[test]
    fn a_form_may_stand_in_a_file() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("form");
        let read = |form: &str, text: &str| {
            fs::write(&file, text).unwrap();
            Form::read(Some(&format!("{form}={}", file.display())))
        };
        let columns = vec![("A".to_owned(), ".a".to_owned()), ("B".to_owned(), ".b".to_owned())];
        assert_eq!(read("custom-columns-file", "A  B\n.a .b\n").unwrap(), Form::Columns(columns));
        assert!(read("custom-columns-file", "A B\n.a\n").is_err());
        assert_eq!(read("jsonpath-file", "{.a}").unwrap(), Form::JsonPath("{.a}".to_owned()));
    }

    #[test]
    fn a_form_that_is_not_rendered_is_refused_with_another() {
        for (form, expected) in [
            ("fancy", "allowed formats are: custom-columns"),
            ("go-template={{.a}}", "use -o jsonpath=TEMPLATE"),
            ("jsonpath", "expected jsonpath=..."),
        ] {
            let error = Form::read(Some(form)).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }
}
