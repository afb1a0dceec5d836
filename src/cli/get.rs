//! `kiln get`: objects in a line each, or whole.
//!
//! Owns: which columns are shown, and the forms of `-o`. Must not know: the kinds, which the server
//! lays out itself.

mod waiting;

pub(super) use self::waiting::waits_for;
use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Pod;
use serde_json::{Value, json};

use super::remote::{Error, JSON, Remote, Resource, TABLE, escape, named, query};
use super::table::Columns;
use super::{Exit, jsonpath, yaml};

/// Show objects
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// `TYPE[,TYPE...] [NAME...]` or `TYPE/NAME...`
    #[arg(required = true)]
    what: Vec<String>,

    /// wide, yaml, json, name, jsonpath=TEMPLATE, custom-columns=HEADER:.path,...
    #[arg(short, long, value_name = "FORM")]
    output: Option<String>,

    /// Go on to show what changes
    #[arg(short, long)]
    watch: bool,

    /// Show only what changes
    #[arg(long)]
    watch_only: bool,

    /// Those with these labels
    #[arg(short = 'l', long, value_name = "LABELS", default_value = "")]
    selector: String,

    /// Those with these fields
    #[arg(long, value_name = "FIELDS", default_value = "")]
    field_selector: String,

    /// Of all namespaces
    #[arg(short = 'A', long)]
    all_namespaces: bool,

    /// Show the labels, too
    #[arg(long)]
    show_labels: bool,

    /// Show no headers
    #[arg(long)]
    no_headers: bool,

    /// Order by the value at this path
    #[arg(long, value_name = "PATH")]
    sort_by: Option<String>,
}

/// How objects are shown.
#[derive(Debug, Clone, PartialEq)]
enum Form {
    Table {
        wide: bool,
    },
    Yaml,
    Json,
    Name,
    JsonPath(String),
    /// Headers, and the path of each.
    Columns(Vec<(String, String)>),
}

impl Form {
    fn read(text: Option<&str>) -> Result<Self, Error> {
        let Some(text) = text else { return Ok(Self::Table { wide: false }) };
        let (form, rest) = text.split_once('=').unwrap_or((text, ""));
        match form {
            "wide" => Ok(Self::Table { wide: true }),
            "yaml" => Ok(Self::Yaml),
            "json" => Ok(Self::Json),
            "name" => Ok(Self::Name),
            "jsonpath" if !rest.is_empty() => Ok(Self::JsonPath(rest.to_owned())),
            "custom-columns" if !rest.is_empty() => {
                let column = |column: &str| {
                    let (header, path) = column.split_once(':')?;
                    Some((header.to_owned(), path.to_owned()))
                };
                rest.split(',').map(column).collect::<Option<_>>().map(Self::Columns).ok_or_else(
                    || Error::usage("custom-columns: expected HEADER:.path,HEADER:.path"),
                )
            }
            _ => Err(Error::usage(format!(
                "unable to match a printer suitable for the output format {text:?}, allowed formats \
                 are: custom-columns=,json,jsonpath=,name,wide,yaml"
            ))),
        }
    }
}

/// What is asked for: all of a kind, or some by their names.
struct Asked {
    resource: Resource,
    names: Vec<String>,
}

pub(super) async fn run(args: &Args, remote: &Remote) -> Result<Exit, Error> {
    let form = Form::read(args.output.as_deref())?;
    let asked = asked(args, remote).await?;
    match form {
        Form::Table { wide } => tables(args, &asked, wide, remote).await,
        _ if args.watch || args.watch_only => {
            Err(Error::usage("-w shows tables only: leave out -o, or use -o wide"))
        }
        Form::Yaml | Form::Json | Form::Name | Form::JsonPath(_) | Form::Columns(_) => {
            whole(args, &asked, &form, remote).await
        }
    }
}

async fn asked(args: &Args, remote: &Remote) -> Result<Vec<Asked>, Error> {
    let (first, names) = args.what.split_first().expect("one is required");
    let mut all = Vec::new();
    if first.contains('/') {
        for word in &args.what {
            let (kind, name) = word.split_once('/').ok_or_else(|| {
                Error::usage("there is no need to specify a resource type as a separate argument")
            })?;
            all.push(Asked { resource: named(remote, kind).await?, names: vec![name.to_owned()] });
        }
        return Ok(all);
    }
    for kind in first.split(',') {
        all.push(Asked { resource: named(remote, kind).await?, names: names.to_vec() });
    }
    Ok(all)
}

/// The paths to read for it: of the list, or of each object.
fn paths(args: &Args, asked: &Asked, remote: &Remote) -> Vec<String> {
    let namespace = (!args.all_namespaces).then_some(remote.namespace.as_str());
    let list = asked.resource.path(namespace);
    if !asked.names.is_empty() {
        return asked.names.iter().map(|name| format!("{list}/{}", escape(name))).collect();
    }
    vec![
        list + &query(&[
            ("labelSelector", &args.selector),
            ("fieldSelector", &args.field_selector),
        ]),
    ]
}

async fn whole(args: &Args, asked: &[Asked], form: &Form, remote: &Remote) -> Result<Exit, Error> {
    let (mut objects, mut exit, mut single) = (Vec::new(), Exit::Done, true);
    for asked in asked {
        single &= asked.names.len() == 1;
        for path in paths(args, asked, remote) {
            match remote.get(&path).await {
                Ok(mut answer) if asked.names.is_empty() => {
                    for mut item in
                        answer["items"].as_array_mut().map(std::mem::take).into_iter().flatten()
                    {
                        item["apiVersion"] = asked.resource.api_version().into();
                        item["kind"] = asked.resource.kind.clone().into();
                        objects.push((asked.resource.to_string(), item));
                    }
                }
                Ok(answer) => objects.push((asked.resource.to_string(), answer)),
                Err(error) if error.is_not_found() => {
                    remote.output.say(&error.to_string());
                    exit = Exit::Failed;
                }
                Err(error) => return Err(error),
            }
        }
    }
    if let Some(path) = &args.sort_by {
        objects.sort_by_cached_key(|(_, object)| sort_key(path, object));
    }
    for (_, object) in &mut objects {
        if let Some(metadata) = object["metadata"].as_object_mut() {
            metadata.remove("managedFields");
        }
    }
    if exit == Exit::Done || !objects.is_empty() {
        remote.print(render(form, objects, single && asked.len() == 1, args.no_headers)?);
    }
    Ok(exit)
}

fn render(
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
        Form::Yaml | Form::Json | Form::JsonPath(_) | Form::Table { .. } => {
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
    match form {
        Form::JsonPath(template) => jsonpath::render(template, value)
            .map_err(|error| Error::usage(format!("error parsing jsonpath {template}, {error}"))),
        Form::Yaml => yaml::write(value).map_err(|error| Error::failed(error.to_string())),
        Form::Json | Form::Name | Form::Columns(_) | Form::Table { .. } => {
            let mut bytes = Vec::new();
            let indent = serde_json::ser::PrettyFormatter::with_indent(b"    ");
            let mut to = serde_json::Serializer::with_formatter(&mut bytes, indent);
            serde::Serialize::serialize(value, &mut to)
                .map_err(|error| Error::failed(error.to_string()))?;
            Ok(String::from_utf8_lossy(&bytes).into_owned() + "\n")
        }
    }
}

fn cell(path: &str, object: &Value) -> Result<String, Error> {
    let found = jsonpath::find(path, object).map_err(Error::usage)?;
    let texts: Vec<_> = found.into_iter().map(jsonpath::text).collect();
    Ok(if texts.is_empty() { "<none>".to_owned() } else { texts.join(",") })
}

/// Numbers by their value, all else as text.
fn sort_key(path: &str, object: &Value) -> (i64, String) {
    let found = jsonpath::find(path, object).unwrap_or_default();
    found.first().map_or_else(Default::default, |value| {
        (value.as_i64().unwrap_or_default(), jsonpath::text(value))
    })
}

async fn tables(args: &Args, asked: &[Asked], wide: bool, remote: &Remote) -> Result<Exit, Error> {
    let several = asked.len() > 1;
    let (mut shown, mut exit) = (false, Exit::Done);
    for asked in asked {
        let jobs = wide && asked.resource.is("Job");
        let mut sheet = Sheet {
            wide,
            jobs,
            namespaces: args.all_namespaces && asked.resource.namespaced,
            labels: args.show_labels,
            prefix: several.then(|| asked.resource.to_string()),
            columns: Columns::default(),
            headed: args.no_headers,
            pods: if jobs { pods(args, remote).await? } else { BTreeMap::new() },
            now: remote.clock.now(),
        };
        let mut rows = Vec::new();
        let mut head = Value::Null;
        for path in paths(args, asked, remote) {
            match remote.get_as(&with(&path, sheet.include()), TABLE).await {
                Ok(mut table) => {
                    rows.extend(
                        table["rows"].as_array_mut().map(std::mem::take).into_iter().flatten(),
                    );
                    head = table;
                }
                Err(error) if error.is_not_found() && !asked.names.is_empty() => {
                    remote.output.say(&error.to_string());
                    exit = Exit::Failed;
                }
                Err(error) => return Err(error),
            }
        }
        if let Some(path) = &args.sort_by {
            rows.sort_by_cached_key(|row| sort_key(path, &row["object"]));
        }
        if !rows.is_empty() && !args.watch_only {
            let gap = if shown { "\n" } else { "" };
            remote.print(gap.to_owned() + &sheet.set(&head, &rows));
            shown = true;
        }
        if args.watch || args.watch_only {
            return follow(args, asked, sheet, &head, remote).await;
        }
    }
    if !shown && exit == Exit::Done {
        remote.output.say(&nothing(args, asked, remote));
    }
    Ok(exit)
}

fn with(path: &str, parameter: &str) -> String {
    let sign = if path.contains('?') { '&' } else { '?' };
    format!("{path}{sign}{parameter}")
}

fn nothing(args: &Args, asked: &[Asked], remote: &Remote) -> String {
    if args.all_namespaces || asked.iter().all(|asked| !asked.resource.namespaced) {
        "No resources found".to_owned()
    } else {
        format!("No resources found in {} namespace.", remote.namespace)
    }
}

/// The pods of each Job, by the Job's uid.
async fn pods(args: &Args, remote: &Remote) -> Result<BTreeMap<String, Vec<Pod>>, Error> {
    let pods = super::remote::known("pods").expect("pods are known");
    let namespace = (!args.all_namespaces).then_some(remote.namespace.as_str());
    let label = query(&[("labelSelector", "batch.kubernetes.io/job-name")]);
    let all: Vec<Pod> = remote.items(&(pods.path(namespace) + &label)).await?;
    let mut by_job = BTreeMap::<_, Vec<_>>::new();
    for pod in all {
        if let Some(uid) = crate::api::pod::controller_uid(&pod) {
            by_job.entry(uid.to_owned()).or_default().push(pod);
        }
    }
    Ok(by_job)
}

/// Shows each change, until the server or the reader ends it.
async fn follow(
    args: &Args,
    asked: &Asked,
    mut sheet: Sheet,
    head: &Value,
    remote: &Remote,
) -> Result<Exit, Error> {
    if asked.names.len() > 1 {
        return Err(Error::usage("you may only specify a single resource type and name to watch"));
    }
    let namespace = (!args.all_namespaces).then_some(remote.namespace.as_str());
    let name = asked.names.first().map(|name| format!("metadata.name={name}"));
    let version = head["metadata"]["resourceVersion"].as_str().unwrap_or_default();
    let asks = query(&[
        ("labelSelector", args.selector.as_str()),
        ("fieldSelector", name.as_deref().unwrap_or(&args.field_selector)),
        ("watch", "true"),
        ("resourceVersion", version),
    ]);
    let path = with(&(asked.resource.path(namespace) + &asks), sheet.include());
    let media = TABLE.strip_suffix(",application/json").unwrap_or(JSON);
    let mut head = head.clone();
    let mut stream = remote.stream(&path, media).await?;
    while let Some(mut event) = stream.event().await {
        let table = event["object"].take();
        if !matches!(event["type"].as_str(), Some("ADDED" | "MODIFIED" | "DELETED")) {
            continue;
        }
        // Only the first table of a watch tells its columns.
        if table["columnDefinitions"].as_array().is_some_and(|columns| !columns.is_empty()) {
            head = table.clone();
        }
        sheet.now = remote.clock.now();
        let rows = table["rows"].as_array().map(Vec::as_slice).unwrap_or_default();
        remote.print(sheet.set(&head, rows));
    }
    Ok(Exit::Done)
}

/// How the rows of one kind are laid out.
struct Sheet {
    wide: bool,
    /// With what each Job waits for.
    jobs: bool,
    namespaces: bool,
    labels: bool,
    prefix: Option<String>,
    columns: Columns,
    /// The headers were shown, or are not to be.
    headed: bool,
    pods: BTreeMap<String, Vec<Pod>>,
    now: jiff::Timestamp,
}

impl Sheet {
    fn include(&self) -> &'static str {
        if self.jobs { "includeObject=Object" } else { "includeObject=Metadata" }
    }

    fn set(&mut self, head: &Value, rows: &[Value]) -> String {
        let definitions =
            head["columnDefinitions"].as_array().map(Vec::as_slice).unwrap_or_default();
        let shown: Vec<_> = definitions
            .iter()
            .enumerate()
            .filter(|(_, column)| self.wide || column["priority"].as_i64().unwrap_or(0) == 0)
            .collect();
        let mut lines = Vec::new();
        if !self.headed {
            let names =
                shown.iter().map(|(_, column)| jsonpath::text(&column["name"]).to_uppercase());
            let before = self.namespaces.then(|| "NAMESPACE".to_owned());
            let waiting = self.jobs.then(|| "WAITING FOR".to_owned());
            let labels = self.labels.then(|| "LABELS".to_owned());
            lines.push(before.into_iter().chain(names).chain(waiting).chain(labels).collect());
            self.headed = true;
        }
        for row in rows {
            let indexes: Vec<usize> = shown.iter().map(|(index, _)| *index).collect();
            lines.push(self.row(row, &indexes));
        }
        self.columns.set(&lines)
    }

    fn row(&self, row: &Value, shown: &[usize]) -> Vec<String> {
        let metadata = &row["object"]["metadata"];
        let mut line = Vec::new();
        if self.namespaces {
            line.push(jsonpath::text(&metadata["namespace"]));
        }
        for (place, index) in shown.iter().enumerate() {
            let cell = jsonpath::text(&row["cells"][*index]);
            line.push(match &self.prefix {
                Some(prefix) if place == 0 => format!("{prefix}/{cell}"),
                Some(_) | None => cell,
            });
        }
        if self.jobs {
            let job = serde_json::from_value(row["object"].clone()).unwrap_or_default();
            let uid = metadata["uid"].as_str().unwrap_or_default();
            let pods = self.pods.get(uid).map(Vec::as_slice).unwrap_or_default();
            let waits = waits_for(&job, pods, self.now);
            line.push(waits.unwrap_or_else(|| "<none>".to_owned()));
        }
        if self.labels {
            let labels = metadata["labels"].as_object();
            let pair = |(key, value): (&String, &Value)| format!("{key}={}", jsonpath::text(value));
            let all: Vec<_> = labels.into_iter().flatten().map(pair).collect();
            line.push(if all.is_empty() { "<none>".to_owned() } else { all.join(",") });
        }
        line
    }
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
        assert!(Form::read(Some("fancy")).is_err());
    }

    #[test]
    fn a_table_has_the_columns_that_are_asked_for() {
        let head = json!({"columnDefinitions": [
            {"name": "Name", "priority": 0}, {"name": "Age", "priority": 0},
            {"name": "Images", "priority": 1},
        ]});
        let rows = [json!({
            "cells": ["a", "5s", "busybox"],
            "object": {"metadata": {"namespace": "n", "labels": {"x": "y"}}},
        })];
        let set = |wide, namespaces, labels, prefix: Option<&str>| {
            let mut sheet = Sheet {
                wide,
                jobs: false,
                namespaces,
                labels,
                prefix: prefix.map(str::to_owned),
                columns: Columns::default(),
                headed: false,
                pods: BTreeMap::new(),
                now: jiff::Timestamp::UNIX_EPOCH,
            };
            sheet.set(&head, &rows)
        };
        assert_eq!(set(false, false, false, None), "NAME   AGE\na      5s\n");
        assert_eq!(
            set(true, true, true, Some("pod")),
            "NAMESPACE   NAME    AGE   IMAGES    LABELS\nn           pod/a   5s    busybox   x=y\n"
        );
    }
}
