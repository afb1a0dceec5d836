//! `kiln describe`: all that is to be known of a Job or a pod, for people.
//!
//! Owns: what is read for it. Must not know: how it is laid out, which is of the files below.

mod containers;
mod job;
mod pod;
mod sheet;

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{Event, Pod};
use serde_json::Value;

use super::Exit;
use super::remote::{Error, Remote, known, named, query};
use super::targets::type_and_name;

/// Show all that is to be known of a Job or a pod
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// `job NAME`, `pod NAME`, `job/NAME`
    #[arg(required = true, num_args = 1..)]
    what: Vec<String>,
}

pub(super) async fn run(args: &Args, remote: &Remote) -> Result<Exit, Error> {
    let mut shown = false;
    for (kind, name) in objects(&args.what)? {
        let resource = named(remote, &kind).await?;
        let names = match name {
            Some(name) => vec![name],
            None => {
                let items: Vec<Value> =
                    remote.items(&resource.path(Some(&remote.namespace))).await?;
                let name = |item: &Value| item["metadata"]["name"].as_str().map(str::to_owned);
                items.iter().filter_map(name).collect()
            }
        };
        for name in names {
            let gap = if shown { "\n\n" } else { "" };
            let text = match resource.kind.as_str() {
                "Job" => {
                    of_job(remote.read(&remote.path_of(&resource, &name)).await?, remote).await?
                }
                "Pod" => of_pod(&remote.pod(&name).await?.0, remote).await?,
                _ => {
                    let what = &resource.plural;
                    return Err(Error::usage(format!(
                        "{what} are not described; use `kiln get {what} {name} -o yaml`"
                    )));
                }
            };
            remote.print(gap.to_owned() + &text);
            shown = true;
        }
    }
    if !shown {
        remote.output.say(&format!("No resources found in {} namespace.", remote.namespace));
    }
    Ok(Exit::Done)
}

/// Kinds and names; all of a kind where there is no name.
fn objects(words: &[String]) -> Result<Vec<(String, Option<String>)>, Error> {
    let (first, rest) = words.split_first().expect("one is required");
    if !first.contains('/') {
        if rest.is_empty() {
            return Ok(vec![(first.clone(), None)]);
        }
        return Ok(rest.iter().map(|name| (first.clone(), Some(name.clone()))).collect());
    }
    let pair = |word: &String| {
        let (kind, name) = type_and_name(word)?;
        Ok((kind.to_owned(), Some(name.to_owned())))
    };
    words.iter().map(pair).collect()
}

async fn of_job(job: Job, remote: &Remote) -> Result<String, Error> {
    let uid = job.metadata.uid.clone().unwrap_or_default();
    let pods = known("pods").expect("pods are known");
    let label = format!("batch.kubernetes.io/controller-uid={uid}");
    let path = pods.path(Some(&remote.namespace)) + &query(&[("labelSelector", &label)]);
    let pods: Vec<Pod> = remote.items(&path).await?;
    let gone = remote.gone_pods(&label).await?;
    let events = events(&uid, remote).await?;
    Ok(job::render(&job, (&pods, &gone), &events, remote.clock.now()))
}

async fn of_pod(pod: &Pod, remote: &Remote) -> Result<String, Error> {
    let uid = pod.metadata.uid.clone().unwrap_or_default();
    let events = events(&uid, remote).await?;
    Ok(pod::render(pod, &events, remote.clock.now()))
}

async fn events(uid: &str, remote: &Remote) -> Result<Vec<Event>, Error> {
    let events = known("events").expect("events are known");
    let field = format!("involvedObject.uid={uid}");
    let path = events.path(Some(&remote.namespace)) + &query(&[("fieldSelector", &field)]);
    remote.items(&path).await
}
