//! `kiln create`: new objects, from files or from a line.
//!
//! Owns: the objects that a line describes. Must not know: what a server makes of them.

use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clap::Subcommand;
use http::Method;
use serde_json::{Map, Value, json};

use super::Exit;
use super::manifests::{self, Named};
use super::remote::{Error, FIELD_MANAGER, JSON, Remote, of_manifest, query};

/// Create objects from files, or a Job from an image
#[derive(Debug, clap::Args)]
#[command(
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true,
    arg_required_else_help = true
)]
pub(super) struct Args {
    /// File, directory, or `-` for standard input
    #[arg(short, long, value_name = "FILE", required = true)]
    filename: Vec<PathBuf>,

    #[command(subcommand)]
    what: Option<What>,
}

#[derive(Debug, Subcommand)]
enum What {
    /// A Job that runs one container
    Job {
        name: String,
        #[arg(long)]
        image: String,
        /// Instead of the image's own command
        #[arg(last = true)]
        command: Vec<String>,
    },
    /// A ConfigMap
    #[command(visible_alias = "cm")]
    Configmap {
        name: String,
        #[command(flatten)]
        data: Data,
    },
    /// A Secret
    Secret {
        #[command(subcommand)]
        kind: SecretKind,
    },
    /// A Namespace
    #[command(visible_alias = "ns")]
    Namespace { name: String },
}

#[derive(Debug, Subcommand)]
enum SecretKind {
    /// Of keys and values
    Generic {
        name: String,
        #[command(flatten)]
        data: Data,
    },
}

#[derive(Debug, clap::Args)]
struct Data {
    /// KEY=VALUE
    #[arg(long, value_name = "KEY=VALUE")]
    from_literal: Vec<String>,
    /// A file, by its own name or by KEY
    #[arg(long, value_name = "[KEY=]FILE")]
    from_file: Vec<String>,
}

impl Data {
    fn read(&self) -> Result<Vec<(String, Vec<u8>)>, Error> {
        let mut pairs = Vec::new();
        for literal in &self.from_literal {
            let (key, value) = literal.split_once('=').ok_or_else(|| {
                Error::usage(format!("invalid literal source {literal}, expected key=value"))
            })?;
            pairs.push((key.to_owned(), value.as_bytes().to_vec()));
        }
        for file in &self.from_file {
            let own = || file.rsplit('/').next().unwrap_or(file);
            let (key, path) = file.split_once('=').unwrap_or_else(|| (own(), file));
            let bytes = std::fs::read(path)
                .map_err(|error| Error::usage(format!("error reading {path}: {error}")))?;
            pairs.push((key.to_owned(), bytes));
        }
        Ok(pairs)
    }
}

pub(super) async fn run(args: &Args, remote: &Remote) -> Result<Exit, Error> {
    let Some(what) = &args.what else {
        for named in manifests::read(&args.filename)? {
            let during = format!("error when creating {:?}", named.source);
            create(&named, remote).await.map_err(|error| error.during(during))?;
        }
        return Ok(Exit::Done);
    };
    let object = object(what)?;
    let named = Named { source: String::new(), object };
    create(&named, remote)
        .await
        .map_err(|error| error.during(format!("failed to create {}", kind(what))))?;
    Ok(Exit::Done)
}

fn kind(what: &What) -> &'static str {
    match what {
        What::Job { .. } => "job",
        What::Configmap { .. } => "configmap",
        What::Secret { .. } => "secret",
        What::Namespace { .. } => "namespace",
    }
}

pub(super) async fn create(named: &Named, remote: &Remote) -> Result<(), Error> {
    let resource = of_manifest(remote, &named.object).await?;
    let namespace = named.namespace(&remote.namespace);
    let path = resource.path(Some(namespace))
        + &query(&[("fieldManager", FIELD_MANAGER), ("fieldValidation", "Strict")]);
    let made = remote.send(Method::POST, &path, JSON, &named.object).await?;
    let name = made["metadata"]["name"].as_str().unwrap_or_default();
    remote.print(format!("{resource}/{name} created\n"));
    Ok(())
}

fn object(what: &What) -> Result<Value, Error> {
    Ok(match what {
        What::Job { name, image, command } => job(name, image, command),
        What::Configmap { name, data } => config_map(name, data.read()?),
        What::Secret { kind: SecretKind::Generic { name, data } } => secret(name, data.read()?),
        What::Namespace { name } => {
            json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
        }
    })
}

/// <https://kubernetes.io/docs/reference/kubectl/generated/kubectl_create/kubectl_create_job/>
fn job(name: &str, image: &str, command: &[String]) -> Value {
    let mut container = json!({"name": name, "image": image});
    if !command.is_empty() {
        container["command"] = json!(command);
    }
    json!({
        "apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name},
        "spec": {"template": {"spec": {"restartPolicy": "Never", "containers": [container]}}},
    })
}

/// What is not text is kept apart.
fn config_map(name: &str, data: Vec<(String, Vec<u8>)>) -> Value {
    let (mut texts, mut binary) = (Map::new(), Map::new());
    for (key, bytes) in data {
        match String::from_utf8(bytes) {
            Ok(text) => texts.insert(key, text.into()),
            Err(error) => binary.insert(key, STANDARD.encode(error.as_bytes()).into()),
        };
    }
    let mut object = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}});
    for (field, map) in [("data", texts), ("binaryData", binary)] {
        if !map.is_empty() {
            object[field] = map.into();
        }
    }
    object
}

fn secret(name: &str, data: Vec<(String, Vec<u8>)>) -> Value {
    let data: Map<_, _> =
        data.into_iter().map(|(key, bytes)| (key, STANDARD.encode(bytes).into())).collect();
    json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "type": "Opaque",
        "data": data,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_after_the_dashes_are_the_command_of_the_job() {
        let job = job("pi", "perl:5", &["perl".to_owned(), "-v".to_owned()]);
        let container = &job["spec"]["template"]["spec"]["containers"][0];
        assert_eq!(*container, json!({"name": "pi", "image": "perl:5", "command": ["perl", "-v"]}));
    }

    #[test]
    fn bytes_that_are_no_text_are_binary_data() {
        let map = config_map("c", vec![("a".into(), b"x".into()), ("b".into(), vec![255])]);
        assert_eq!((&map["data"], &map["binaryData"]), (&json!({"a": "x"}), &json!({"b": "/w=="})));
    }
}
