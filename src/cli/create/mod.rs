//! `kiln create`: new objects, from files or from a line.
//!
//! Owns: the objects that a line describes. Must not know: what a server makes of them.

mod data;
mod login;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clap::Subcommand;
use http::Method;
use serde_json::{Map, Value, json};

use self::data::Data;
pub(super) use self::data::{literal, of_env_file, of_file, unique};
use self::login::{Login, Pair};
use super::Exit;
use super::manifests::{Files, Named};
use super::remote::{Error, JSON, Remote, known, named};
use super::targets::{Target, type_and_name};
use super::written::{Report, Writing};

/// Create objects from files, or one from a line
#[derive(Debug, clap::Args)]
#[command(
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true,
    arg_required_else_help = true,
    after_help = EXAMPLES
)]
pub(super) struct Args {
    #[command(flatten)]
    files: Files,

    #[command(flatten)]
    writing: Writing,

    #[command(subcommand)]
    what: Option<What>,
}

const EXAMPLES: &str = "\
Examples:
  kiln create -f job.yaml
  kiln create job hello --image=busybox -- echo hello
  kiln create job now --from=cronjob/nightly
  kiln create cronjob nightly --image=busybox --schedule='0 3 * * *' -- date
  kiln create configmap settings --from-literal=level=debug --from-file=app.conf
  kiln create secret generic login --from-literal=user=me --dry-run=client -o yaml
  kiln create secret docker-registry pull --docker-server=r.example --docker-username=me \
    --docker-password=secret";

#[derive(Debug, Subcommand)]
enum What {
    /// A Job that runs one container
    #[command(group = clap::ArgGroup::new("source").required(true))]
    Job {
        name: String,
        #[arg(long, group = "source")]
        image: Option<String>,
        /// cronjob/NAME, whose Job it is, now
        #[arg(long, group = "source", value_name = "CRONJOB", conflicts_with = "command")]
        from: Option<String>,
        /// Instead of the image's own command
        #[arg(last = true)]
        command: Vec<String>,
        #[command(flatten)]
        writing: Writing,
    },
    /// A CronJob whose Jobs run one container
    #[command(visible_alias = "cj")]
    Cronjob {
        name: String,
        #[arg(long)]
        image: String,
        /// As in `0 3 * * *`
        #[arg(long, value_name = "TIMES")]
        schedule: String,
        /// OnFailure or Never
        #[arg(long, value_name = "POLICY", default_value = "OnFailure")]
        restart: String,
        /// Instead of the image's own command
        #[arg(last = true)]
        command: Vec<String>,
        #[command(flatten)]
        writing: Writing,
    },
    /// A ConfigMap
    #[command(visible_alias = "cm")]
    Configmap {
        name: String,
        #[command(flatten)]
        data: Data,
        #[command(flatten)]
        writing: Writing,
    },
    /// A Secret
    Secret {
        #[command(subcommand)]
        kind: SecretKind,
    },
    /// A Namespace
    #[command(visible_alias = "ns")]
    Namespace {
        name: String,
        #[command(flatten)]
        writing: Writing,
    },
    /// A ServiceAccount
    #[command(visible_alias = "sa")]
    Serviceaccount {
        name: String,
        #[command(flatten)]
        writing: Writing,
    },
}

#[derive(Debug, Subcommand)]
enum SecretKind {
    /// Of keys and values
    Generic {
        name: String,
        /// What it is for
        #[arg(long = "type", value_name = "TYPE", default_value = "Opaque")]
        kind: String,
        #[command(flatten)]
        data: Data,
        #[command(flatten)]
        writing: Writing,
    },
    /// A certificate and its key
    Tls {
        name: String,
        #[command(flatten)]
        pair: Pair,
        #[command(flatten)]
        writing: Writing,
    },
    /// A login at a registry, for imagePullSecrets
    DockerRegistry {
        name: String,
        #[command(flatten)]
        login: Login,
        #[command(flatten)]
        writing: Writing,
    },
}

impl SecretKind {
    fn writing(&self) -> &Writing {
        match self {
            Self::Generic { writing, .. }
            | Self::Tls { writing, .. }
            | Self::DockerRegistry { writing, .. } => writing,
        }
    }

    fn object(&self) -> Result<Value, Error> {
        match self {
            Self::Generic { name, kind, data, .. } => Ok(secret(name, kind, data.read()?)),
            Self::Tls { name, pair, .. } => Ok(secret(name, "kubernetes.io/tls", pair.read()?)),
            Self::DockerRegistry { name, login, .. } => {
                Ok(secret(name, "kubernetes.io/dockerconfigjson", login.read()?))
            }
        }
    }
}

impl What {
    fn writing(&self) -> &Writing {
        match self {
            Self::Job { writing, .. }
            | Self::Cronjob { writing, .. }
            | Self::Configmap { writing, .. }
            | Self::Namespace { writing, .. }
            | Self::Serviceaccount { writing, .. } => writing,
            Self::Secret { kind } => kind.writing(),
        }
    }

    fn kind(&self) -> &'static str {
        match self {
            Self::Job { .. } => "job",
            Self::Cronjob { .. } => "cronjob",
            Self::Configmap { .. } => "configmap",
            Self::Secret { .. } => "secret",
            Self::Namespace { .. } => "namespace",
            Self::Serviceaccount { .. } => "serviceaccount",
        }
    }
}

pub(super) async fn run(args: &Args, remote: &Remote) -> Result<Exit, Error> {
    let Some(what) = &args.what else {
        let mut report = args.writing.report(remote)?;
        for (manifest, target) in Target::of_all(args.files.read()?, remote).await? {
            let during = format!("error when creating {:?}", manifest.source);
            create(&target, &manifest.object, &args.writing, &mut report, remote)
                .await
                .map_err(|error| error.during(during))?;
        }
        return Ok(Exit::Done);
    };
    let writing = what.writing();
    let mut report = writing.report(remote)?;
    let manifest = Named { source: String::new(), object: object(what, remote).await? };
    let target = Target::of(&manifest, remote).await?;
    create(&target, &manifest.object, writing, &mut report, remote)
        .await
        .map_err(|error| error.during(format!("failed to create {}", what.kind())))?;
    Ok(Exit::Done)
}

async fn create(
    target: &Target,
    object: &Value,
    writing: &Writing,
    report: &mut Report<'_>,
    remote: &Remote,
) -> Result<(), Error> {
    if writing.is_local() {
        return report.tell(&target.resource, object, "created");
    }
    let made = make(target, object, &writing.query(&[STRICTLY]), remote).await?;
    report.tell(&target.resource, &made, "created")
}

/// Nothing that is written is ignored.
pub(super) const STRICTLY: (&str, &str) = ("fieldValidation", "Strict");

/// Creates one object. `asked`: what is asked of the server with it.
pub(super) async fn make(
    target: &Target,
    object: &Value,
    asked: &str,
    remote: &Remote,
) -> Result<Value, Error> {
    remote.send(Method::POST, &(target.list() + asked), JSON, object).await
}

async fn object(what: &What, remote: &Remote) -> Result<Value, Error> {
    let plain = |kind: &str, name: &str| json!({"apiVersion": "v1", "kind": kind, "metadata": {"name": name}});
    Ok(match what {
        What::Job { name, from: Some(from), .. } => of_cron_job(name, from, remote).await?,
        What::Job { name, image, command, .. } => {
            let template = template(name, image.as_deref().unwrap_or_default(), command, "Never");
            json!({
                "apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name},
                "spec": {"template": template},
            })
        }
        What::Cronjob { name, image, schedule, restart, command, .. } => json!({
            "apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": name},
            "spec": {"schedule": schedule, "jobTemplate": {
                "metadata": {"name": name},
                "spec": {"template": template(name, image, command, restart)},
            }},
        }),
        What::Configmap { name, data, .. } => config_map(name, data.read()?),
        What::Secret { kind } => kind.object()?,
        What::Namespace { name, .. } => plain("Namespace", name),
        What::Serviceaccount { name, .. } => plain("ServiceAccount", name),
    })
}

/// The pod of one container.
/// <https://kubernetes.io/docs/reference/kubectl/generated/kubectl_create/kubectl_create_job/>
fn template(name: &str, image: &str, command: &[String], restart: &str) -> Value {
    let mut container = json!({"name": name, "image": image});
    if !command.is_empty() {
        container["command"] = json!(command);
    }
    json!({"spec": {"restartPolicy": restart, "containers": [container]}})
}

/// The Job that a CronJob would make, marked as made by hand.
async fn of_cron_job(name: &str, from: &str, remote: &Remote) -> Result<Value, Error> {
    let (kind, cron_job) = type_and_name(from)?;
    if !named(remote, kind).await?.is("CronJob") {
        return Err(Error::usage(format!("--from={from}: expected cronjob/NAME")));
    }
    let resource = known("cronjobs").expect("CronJobs are known");
    let cron_job = remote.get(&remote.path_of(&resource, cron_job)).await?;
    Ok(job_of(&cron_job, name))
}

/// The owner does not hold up its own deletion for it.
fn job_of(cron_job: &Value, name: &str) -> Value {
    let template = &cron_job["spec"]["jobTemplate"];
    let mut annotations =
        template["metadata"]["annotations"].as_object().cloned().unwrap_or_default();
    annotations.insert("cronjob.kubernetes.io/instantiate".to_owned(), "manual".into());
    let mut metadata = json!({
        "name": name, "annotations": annotations,
        "ownerReferences": [{
            "apiVersion": "batch/v1", "kind": "CronJob", "controller": true,
            "name": cron_job["metadata"]["name"], "uid": cron_job["metadata"]["uid"],
        }],
    });
    if template["metadata"]["labels"].is_object() {
        metadata["labels"] = template["metadata"]["labels"].clone();
    }
    json!({
        "apiVersion": "batch/v1", "kind": "Job", "metadata": metadata,
        "spec": template["spec"],
    })
}

/// What is not text is kept apart.
pub(super) fn config_map(name: &str, data: Vec<(String, Vec<u8>)>) -> Value {
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

pub(super) fn secret(name: &str, kind: &str, data: Vec<(String, Vec<u8>)>) -> Value {
    let data: Map<_, _> =
        data.into_iter().map(|(key, bytes)| (key, STANDARD.encode(bytes).into())).collect();
    json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "type": kind,
        "data": data,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_after_the_dashes_are_the_command_of_the_job() {
        let template = template("pi", "perl:5", &["perl".to_owned(), "-v".to_owned()], "Never");
        let container = &template["spec"]["containers"][0];
        assert_eq!(*container, json!({"name": "pi", "image": "perl:5", "command": ["perl", "-v"]}));
    }

    #[test]
    fn a_job_of_a_cron_job_is_marked_as_made_by_hand() {
        let cron_job = json!({
            "metadata": {"name": "c", "uid": "u"},
            "spec": {"schedule": "@daily", "jobTemplate": {
                "metadata": {"labels": {"l": "1"}, "annotations": {"a": "1"}},
                "spec": {"parallelism": 2},
            }},
        });
        let expected = json!({
            "apiVersion": "batch/v1", "kind": "Job",
            "metadata": {
                "name": "now", "labels": {"l": "1"},
                "annotations": {"a": "1", "cronjob.kubernetes.io/instantiate": "manual"},
                "ownerReferences": [{
                    "apiVersion": "batch/v1", "kind": "CronJob", "name": "c", "uid": "u",
                    "controller": true,
                }],
            },
            "spec": {"parallelism": 2},
        });
        assert_eq!(job_of(&cron_job, "now"), expected);
    }

    #[test]
    fn bytes_that_are_no_text_are_binary_data() {
        let map = config_map("c", vec![("a".into(), b"x".into()), ("b".into(), vec![255])]);
        assert_eq!((&map["data"], &map["binaryData"]), (&json!({"a": "x"}), &json!({"b": "/w=="})));
    }
}
