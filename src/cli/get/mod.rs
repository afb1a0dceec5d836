//! `kiln get`: objects in a line each, or whole.
//!
//! Owns: which objects are read, and following what changes. Must not know: the kinds, which the server
//! lays out itself.

mod form;
mod sheet;
mod waiting;

use std::collections::BTreeMap;

use futures::StreamExt;
use futures::stream::{self, LocalBoxStream, SelectAll};
use k8s_openapi::api::core::v1::Pod;
use serde_json::Value;

use self::form::sort_key;
pub(super) use self::form::{Form, indented, render};
use self::sheet::Sheet;
pub(super) use self::waiting::waits_for;
use super::Exit;
use super::manifests::Files;
use super::remote::{
    Error, JSON, Remote, Resource, Stream, TABLE, escape, known, named, named_all, query,
};
use super::targets::{Target, type_and_name};

/// Show objects
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  kiln get jobs                          Jobs, a line each
  kiln get jobs,pods -o wide             With what each Job waits for
  kiln get job/pi pod/pi-x2x4q -o yaml   Two objects whole
  kiln get pods -w -l job-name=pi        And go on to show what changes
  kiln get jobs -o custom-columns=NAME:.metadata.name,DONE:.status.succeeded")]
pub(super) struct Args {
    /// `TYPE[,TYPE...] [NAME...]`, `TYPE/NAME...`, or `all`
    #[arg(
        required_unless_present_any = ["filename", "kustomize"],
        conflicts_with_all = ["filename", "kustomize"]
    )]
    what: Vec<String>,

    #[command(flatten)]
    files: Files,

    /// wide, yaml, json, name, jsonpath=TEMPLATE, custom-columns=HEADER:.path,... and more
    #[arg(short, long, value_name = "FORM")]
    output: Option<String>,

    /// Go on to show what changes
    #[arg(short, long)]
    watch: bool,

    /// Show only what changes
    #[arg(long)]
    watch_only: bool,

    /// With -w: show whether it is new, changed or gone
    #[arg(long)]
    output_watch_events: bool,

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

    /// A column for each of these labels
    #[arg(short = 'L', long, value_name = "LABEL", value_delimiter = ',')]
    label_columns: Vec<String>,

    /// Show the kind with each name
    #[arg(long)]
    show_kind: bool,

    /// Show no headers
    #[arg(long)]
    no_headers: bool,

    /// Order by the value at this path
    #[arg(long, value_name = "PATH")]
    sort_by: Option<String>,

    /// What is not there is fine
    #[arg(long)]
    ignore_not_found: bool,

    /// With -o yaml or json: who owns which field, too
    #[arg(long)]
    show_managed_fields: bool,

    /// How many objects are asked for at a time; 0: all at once
    #[arg(long, value_name = "N", default_value_t = 500)]
    chunk_size: u32,
}

impl Args {
    fn watches(&self) -> bool {
        self.watch || self.watch_only
    }
}

/// What is asked for: all of a kind, or some by their names.
struct Asked {
    resource: Resource,
    /// `None`: all of them.
    namespace: Option<String>,
    names: Vec<String>,
}

impl Asked {
    fn path(&self) -> String {
        self.resource.path(self.namespace.as_deref())
    }
}

pub(super) async fn run(args: &Args, remote: &Remote) -> Result<Exit, Error> {
    let form = Form::read(args.output.as_deref())?;
    let asked = asked(args, remote).await?;
    let by_name = asked.iter().any(|asked| !asked.names.is_empty());
    if by_name && !(args.selector.is_empty() && args.field_selector.is_empty()) {
        return Err(Error::usage("name cannot be provided when a selector is specified"));
    }
    if args.watches() && asked.iter().any(|asked| asked.names.len() > 1) {
        return Err(Error::usage("only one object of a kind may be named where changes are shown"));
    }
    match form {
        Form::Table { wide } => tables(args, &asked, wide, remote).await,
        Form::Yaml
        | Form::Json
        | Form::Name
        | Form::JsonPath(_)
        | Form::JsonPathAsJson(_)
        | Form::Columns(_) => whole(args, &asked, &form, remote).await,
    }
}

async fn asked(args: &Args, remote: &Remote) -> Result<Vec<Asked>, Error> {
    let mut all = Vec::new();
    let own = || (!args.all_namespaces).then(|| remote.namespace.clone());
    let Some((first, names)) = args.what.split_first() else {
        for manifest in args.files.read()? {
            let Target { resource, namespace, name } = Target::of(&manifest, remote).await?;
            all.push(Asked { resource, namespace: Some(namespace), names: vec![name] });
        }
        return Ok(all);
    };
    if args.all_namespaces && (first.contains('/') || !names.is_empty()) {
        return Err(Error::usage("a resource cannot be retrieved by name across all namespaces"));
    }
    if first.contains('/') {
        for word in &args.what {
            let (kind, name) = type_and_name(word)?;
            let resource = named(remote, kind).await?;
            all.push(Asked { resource, namespace: own(), names: vec![name.to_owned()] });
        }
        return Ok(all);
    }
    for resource in named_all(remote, first).await? {
        all.push(Asked { resource, namespace: own(), names: names.to_vec() });
    }
    Ok(all)
}

/// Reads the list, or each object of it, as pieces of the answer. What is not there is told.
async fn read(
    args: &Args,
    asked: &Asked,
    (parameter, accept): (&str, &str),
    remote: &Remote,
) -> Result<(Vec<Value>, Exit), Error> {
    let (mut answers, mut exit) = (Vec::new(), Exit::Done);
    for name in &asked.names {
        let path = with(&format!("{}/{}", asked.path(), escape(name)), parameter);
        match remote.get_as(&path, accept).await {
            Ok(answer) => answers.push(answer),
            Err(error) if error.is_not_found() => {
                if !args.ignore_not_found {
                    remote.output.say(&error.to_string());
                    exit = Exit::Failed;
                }
            }
            Err(error) => return Err(error),
        }
    }
    if !asked.names.is_empty() {
        return Ok((answers, exit));
    }
    let limit = if args.chunk_size == 0 { String::new() } else { args.chunk_size.to_string() };
    let mut rest = String::new();
    loop {
        let chosen = query(&[
            ("labelSelector", &args.selector),
            ("fieldSelector", &args.field_selector),
            ("limit", &limit),
            ("continue", &rest),
        ]);
        let page = remote.get_as(&with(&(asked.path() + &chosen), parameter), accept).await?;
        rest = page["metadata"]["continue"].as_str().unwrap_or_default().to_owned();
        answers.push(page);
        if rest.is_empty() {
            return Ok((answers, exit));
        }
    }
}

fn with(path: &str, parameter: &str) -> String {
    match parameter {
        "" => path.to_owned(),
        _ if path.contains('?') => format!("{path}&{parameter}"),
        _ => format!("{path}?{parameter}"),
    }
}

async fn whole(args: &Args, asked: &[Asked], form: &Form, remote: &Remote) -> Result<Exit, Error> {
    let (mut objects, mut exit, mut versions) = (Vec::new(), Exit::Done, Vec::new());
    for asked in asked {
        let (answers, ended) = read(args, asked, ("", JSON), remote).await?;
        if ended != Exit::Done {
            exit = ended;
        }
        versions.push(answers.first().map(version).unwrap_or_default());
        for mut answer in answers {
            if asked.names.is_empty() {
                let items = answer["items"].as_array_mut().map(std::mem::take);
                for mut item in items.into_iter().flatten() {
                    item["apiVersion"] = asked.resource.api_version().into();
                    item["kind"] = asked.resource.kind.clone().into();
                    objects.push((asked.resource.to_string(), item));
                }
            } else {
                objects.push((asked.resource.to_string(), answer));
            }
        }
    }
    if let Some(path) = &args.sort_by {
        objects.sort_by_cached_key(|(_, object)| sort_key(path, object));
    }
    if !args.show_managed_fields {
        objects.iter_mut().for_each(|(_, object)| without_managed_fields(object));
    }
    let single = matches!(asked, [one] if one.names.len() == 1);
    if args.watches() {
        if !args.watch_only {
            for object in objects {
                remote.print(render(form, vec![object], true, args.no_headers)?);
            }
        }
        let mut changes = SelectAll::new();
        for (asked, version) in asked.iter().enumerate().zip(&versions) {
            changes.push(watch(args, asked, version, ("", JSON), remote).await?);
        }
        return follow(changes, |place, _, mut object| {
            without_managed_fields(&mut object);
            let kind = asked[place].resource.to_string();
            remote.print(render(form, vec![(kind, object)], true, true)?);
            Ok(())
        })
        .await;
    }
    if objects.is_empty() && single {
        return Ok(exit);
    }
    if exit == Exit::Done || !objects.is_empty() {
        remote.print(render(form, objects, single, args.no_headers)?);
    }
    Ok(exit)
}

pub(super) fn without_managed_fields(object: &mut Value) {
    if let Some(Value::Object(metadata)) = object.get_mut("metadata") {
        metadata.remove("managedFields");
    }
}

fn version(answer: &Value) -> String {
    answer["metadata"]["resourceVersion"].as_str().unwrap_or_default().to_owned()
}

async fn tables(args: &Args, asked: &[Asked], wide: bool, remote: &Remote) -> Result<Exit, Error> {
    let several = asked.len() > 1 || args.show_kind;
    let (mut shown, mut exit) = (false, Exit::Done);
    let mut sheets = Vec::new();
    for asked in asked {
        let jobs = wide && asked.resource.is("Job");
        let mut sheet = Sheet {
            wide,
            jobs,
            sorted: args.sort_by.is_some(),
            namespaces: args.all_namespaces && asked.resource.namespaced,
            labels: args.show_labels,
            label_columns: args.label_columns.clone(),
            events: args.output_watch_events && args.watches(),
            prefix: several.then(|| asked.resource.to_string()),
            headed: args.no_headers,
            pods: if jobs { pods(args, remote).await? } else { BTreeMap::new() },
            now: remote.clock.now(),
            ..Sheet::default()
        };
        let (tables, ended) = read(args, asked, (sheet.include(), TABLE), remote).await?;
        if ended != Exit::Done {
            exit = ended;
        }
        let mut rows = Vec::new();
        for mut table in tables {
            rows.extend(table["rows"].as_array_mut().map(std::mem::take).into_iter().flatten());
            if sheet.head.is_null() {
                sheet.head = table;
            }
        }
        if let Some(path) = &args.sort_by {
            rows.sort_by_cached_key(|row| sort_key(path, &row["object"]));
        }
        if !rows.is_empty() && !args.watch_only {
            let gap = if shown && !args.watches() { "\n" } else { "" };
            remote.print(gap.to_owned() + &sheet.set(&rows, "ADDED"));
            shown = true;
        }
        sheets.push(sheet);
    }
    if args.watches() {
        let media = TABLE.strip_suffix(",application/json").unwrap_or(JSON);
        let mut changes = SelectAll::new();
        for (asked, sheet) in asked.iter().enumerate().zip(&sheets) {
            let version = version(&sheet.head);
            changes.push(watch(args, asked, &version, (sheet.include(), media), remote).await?);
        }
        return follow(changes, |place, event, table| {
            let sheet = &mut sheets[place];
            let rows = table["rows"].as_array().cloned().unwrap_or_default();
            // Only the first table of a watch tells its columns.
            if table["columnDefinitions"].as_array().is_some_and(|columns| !columns.is_empty()) {
                sheet.head = table;
            }
            sheet.now = remote.clock.now();
            remote.print(sheet.set(&rows, event));
            Ok(())
        })
        .await;
    }
    if !shown && exit == Exit::Done && !args.ignore_not_found {
        remote.output.say(&nothing(args, asked, remote));
    }
    Ok(exit)
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
    let pods = known("pods").expect("pods are known");
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

/// The events of a watch, each with the place of its kind among those asked for.
type Changes = LocalBoxStream<'static, (usize, Value)>;

/// Begins to watch a kind, or one object of it.
async fn watch(
    args: &Args,
    (place, asked): (usize, &Asked),
    version: &str,
    (parameter, media): (&str, &str),
    remote: &Remote,
) -> Result<Changes, Error> {
    let name = asked.names.first().map(|name| format!("metadata.name={name}"));
    // An object's own version is no place in the history of its kind to begin with, but a list's is.
    let version = if name.is_some() && version.is_empty() { "0" } else { version };
    let asks = query(&[
        ("labelSelector", args.selector.as_str()),
        ("fieldSelector", name.as_deref().unwrap_or(&args.field_selector)),
        ("watch", "true"),
        ("resourceVersion", version),
    ]);
    let path = with(&(asked.path() + &asks), parameter);
    let stream = remote.stream(&path, media).await?;
    let events = stream::unfold(stream, move |mut stream: Stream| async move {
        let event = stream.event().await?;
        Some(((place, event), stream))
    });
    Ok(events.boxed_local())
}

/// Hands on each change, until the server or the reader ends it.
async fn follow(
    mut changes: SelectAll<Changes>,
    mut show: impl FnMut(usize, &str, Value) -> Result<(), Error>,
) -> Result<Exit, Error> {
    while let Some((place, mut event)) = changes.next().await {
        let object = event["object"].take();
        match event["type"].as_str().unwrap_or_default() {
            told @ ("ADDED" | "MODIFIED" | "DELETED") => show(place, told, object)?,
            "ERROR" => {
                let message = object["message"].as_str().unwrap_or("the watch broke").to_owned();
                return Err(Error::failed(message));
            }
            _ => {}
        }
    }
    Ok(Exit::Done)
}
