//! `kiln explain`: what the fields of a kind mean, as the server's OpenAPI tells it.
//!
//! Owns: finding the kind's schema, and the field in it. Must not know: how it is laid out, which is of
//! `page`, nor any kind.

mod page;

use serde_json::Value;

use self::page::Page;
use super::Exit;
use super::remote::{Error, Remote, Resource, named};

/// Show what the fields of a kind mean
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  kiln explain jobs
  kiln explain job.spec.podFailurePolicy
  kiln explain cronjobs.spec --recursive")]
pub(super) struct Args {
    /// TYPE[.FIELD...]
    what: String,

    /// Show the names of all fields below, too
    #[arg(long)]
    recursive: bool,

    /// In this version: `batch/v1`
    #[arg(long, value_name = "GROUP/VERSION")]
    api_version: Option<String>,
}

pub(super) async fn run(args: &Args, remote: &Remote) -> Result<Exit, Error> {
    let (kind, fields) = args.what.split_once('.').unwrap_or((&args.what, ""));
    let mut resource = named(remote, kind).await?;
    if let Some(version) = &args.api_version {
        let (group, version) = version.split_once('/').unwrap_or(("", version));
        (resource.group, resource.version) = (group.to_owned(), version.to_owned());
    }
    let document = document(&resource, remote).await?;
    let schemas = Schemas { document: &document };
    let root = schemas.of(&resource).ok_or_else(|| {
        Error::failed(format!(
            "couldn't find resource for {}, {}",
            resource.api_version(),
            resource.kind
        ))
    })?;
    let path: Vec<&str> = fields.split('.').filter(|field| !field.is_empty()).collect();
    let page = Page { schemas, resource: &resource, recursive: args.recursive };
    remote.print(page.render(root, &path).map_err(Error::failed)?);
    Ok(Exit::Done)
}

async fn document(resource: &Resource, remote: &Remote) -> Result<Value, Error> {
    let root = if resource.group.is_empty() { "api" } else { "apis" };
    let name = format!("{root}/{}", resource.api_version());
    let index = remote.get("/openapi/v3").await?;
    match index["paths"][&name]["serverRelativeURL"].as_str() {
        Some(path) => remote.get(path).await,
        None => Err(Error::failed(format!(
            "couldn't find resource for {}, {}",
            resource.api_version(),
            resource.kind
        ))),
    }
}

/// The schemas of a document.
#[derive(Clone, Copy)]
struct Schemas<'a> {
    document: &'a Value,
}

const SCHEMAS: &str = "#/components/schemas/";

impl<'a> Schemas<'a> {
    fn of(self, resource: &Resource) -> Option<&'a Value> {
        let all = self.document["components"]["schemas"].as_object()?;
        all.values().find(|schema| {
            let kinds = schema["x-kubernetes-group-version-kind"].as_array();
            kinds.into_iter().flatten().any(|kind| {
                kind["group"] == resource.group.as_str()
                    && kind["version"] == resource.version.as_str()
                    && kind["kind"] == resource.kind.as_str()
            })
        })
    }

    /// What a schema refers to, by its name, and what is there.
    fn reference(self, schema: &'a Value) -> Option<(&'a str, &'a Value)> {
        let only = match schema["allOf"].as_array().map(Vec::as_slice) {
            Some([only]) => only,
            Some(_) | None => schema,
        };
        let name = only["$ref"].as_str()?.strip_prefix(SCHEMAS)?;
        Some((name, &self.document["components"]["schemas"][name]))
    }

    /// Through references, lists and maps to what has fields.
    fn inner(self, schema: &'a Value) -> &'a Value {
        let mut inner = schema;
        while let Some(within) = self.within(inner) {
            inner = within;
        }
        inner
    }

    /// One step of these.
    fn within(self, schema: &'a Value) -> Option<&'a Value> {
        let below = ["items", "additionalProperties"];
        let below = || below.iter().map(|name| &schema[*name]).find(|below| below.is_object());
        self.reference(schema).map(|(_, there)| there).or_else(below)
    }

    fn fields(self, schema: &'a Value) -> Vec<(&'a String, &'a Value)> {
        let mut fields: Vec<_> =
            self.inner(schema)["properties"].as_object().into_iter().flatten().collect();
        fields.sort_by_key(|(name, _)| *name);
        fields
    }
}
