//! `kiln rerun`: the same Job once more, under another name.
//!
//! Owns: what of the old Job the new one must not have. Must not know: how either fares.

use http::Method;
use serde_json::{Value, json};

use super::Exit;
use super::create::{STRICTLY, make};
use super::remote::{Error, FIELD_MANAGER, MERGE_PATCH, Remote, known, query};
use super::scale::job_names;
use super::targets::Target;
use crate::api::extensions::{AFTER, RERUN_AS, RERUN_OF};

/// What the server adds to each Job so that no two Jobs share pods.
const GENERATED: [&str; 4] = [
    "controller-uid",
    "batch.kubernetes.io/controller-uid",
    "job-name",
    "batch.kubernetes.io/job-name",
];
/// Neither vowels nor what looks alike, as in the names that Kubernetes makes.
const LETTERS: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
const SUFFIX: usize = 5;

/// Run a Job once more, as a new Job
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// `job NAME` or `job/NAME`
    #[arg(required = true, num_args = 1..=2)]
    job: Vec<String>,

    /// Name of the new Job [default: NAME-rerun-<5 letters>]
    #[arg(long)]
    name: Option<String>,
}

pub(super) async fn run(args: &Args, remote: &Remote) -> Result<Exit, Error> {
    let [old] = job_names(&args.job)?.try_into().map_err(|_| Error::usage("expected one Job"))?;
    let resource = known("jobs").expect("Jobs are known");
    let job = remote.get(&remote.path_of(&resource, &old)).await?;
    let name = match &args.name {
        Some(name) => name.clone(),
        None => format!("{old}-rerun-{}", letters()?),
    };
    let object = again(&job, &name);
    let namespace = remote.namespace.clone();
    let target = Target { resource, namespace, name };
    make(&target, &object, &query(&[("fieldManager", FIELD_MANAGER), STRICTLY]), remote).await?;
    remote.print(format!("{target} created\n"));
    // The new one tells of the old one; and the old one of the new one, if it is still there.
    let link = json!({"metadata": {"annotations": {RERUN_AS: target.name}}});
    let path = remote.path_of(&target.resource, &old);
    match remote.send(Method::PATCH, &path, MERGE_PATCH, &link).await {
        Err(error) if !error.is_not_found() => Err(error),
        Ok(_) | Err(_) => Ok(Exit::Done),
    }
}

fn again(job: &Value, name: &str) -> Value {
    let mut spec = job["spec"].clone();
    if let Some(fields) = spec.as_object_mut() {
        fields.remove("selector");
        fields.remove("manualSelector");
    }
    let mut metadata = json!({"name": name});
    for field in ["namespace", "labels", "annotations"] {
        if let Some(value) = job["metadata"].get(field) {
            metadata[field] = value.clone();
        }
    }
    if let Some(labels) = metadata.pointer_mut("/labels").and_then(Value::as_object_mut) {
        labels.retain(|label, _| !GENERATED.contains(&label.as_str()));
    }
    if let Some(annotations) = metadata.pointer_mut("/annotations").and_then(Value::as_object_mut) {
        // What it came after is over, and may be gone.
        let old = [AFTER, RERUN_AS];
        annotations.retain(|name, _| {
            !name.starts_with("kubectl.kubernetes.io/") && !old.contains(&name.as_str())
        });
    }
    metadata["annotations"][RERUN_OF] = job["metadata"]["name"].clone();
    if let Some(labels) =
        spec.pointer_mut("/template/metadata/labels").and_then(Value::as_object_mut)
    {
        labels.retain(|label, _| !GENERATED.contains(&label.as_str()));
    }
    json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": spec})
}

pub(super) fn letters() -> Result<String, Error> {
    let mut bytes = [0; SUFFIX];
    let got = rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty());
    got.map_err(|error| Error::failed(format!("cannot make a name: {error}")))?;
    Ok(bytes.map(|byte| char::from(LETTERS[usize::from(byte) % LETTERS.len()])).iter().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_new_job_shares_neither_selector_nor_generated_labels() {
        let job = json!({
            "metadata": {
                "name": "a", "namespace": "n", "uid": "u", "resourceVersion": "7",
                "labels": {"app": "x", "job-name": "a"},
                "annotations": {"kiln/after": "y", "kiln/rerun-as": "z", "kiln/rerun-of": "w"},
            },
            "spec": {
                "parallelism": 2, "selector": {"matchLabels": {}},
                "template": {"metadata": {"labels": {
                    "app": "x", "batch.kubernetes.io/controller-uid": "u", "controller-uid": "u",
                    "batch.kubernetes.io/job-name": "a", "job-name": "a",
                }}},
            },
            "status": {"succeeded": 1},
        });
        let expected = json!({
            "apiVersion": "batch/v1", "kind": "Job",
            "metadata": {"name": "b", "namespace": "n", "labels": {"app": "x"},
                "annotations": {"kiln/rerun-of": "a"}},
            "spec": {"parallelism": 2, "template": {"metadata": {"labels": {"app": "x"}}}},
        });
        assert_eq!(again(&job, "b"), expected);
    }

    #[test]
    fn a_name_has_five_letters() {
        assert_eq!(letters().unwrap().len(), SUFFIX);
    }
}
