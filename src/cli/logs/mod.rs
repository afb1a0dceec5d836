//! `kiln logs`: what containers wrote, of a pod or of a whole Job.
//!
//! Owns: which pods and containers are meant, and what of their logs. Must not know: how logs are kept.

mod follow;
mod lines;

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::time::Duration;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use jiff::Timestamp;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;

use self::lines::Lines;
use super::Exit;
use super::output::Target;
use super::remote::{Error, Remote, Resource, Stream, known, named, query};
use crate::api::object::Object;
use crate::api::pod::{container_statuses, containers, controller_uid};

/// Show what containers wrote
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  kiln logs -f job/pi                  Every attempt of every pod, to the end of the Job
  kiln logs pi-x2x4q -c main --previous
  kiln logs job/pi --tail 20 --timestamps
  kiln logs -l app=math --prefix --all-containers")]
pub(super) struct Args {
    /// job/NAME, pod/NAME, or the NAME of a pod
    #[arg(required_unless_present = "selector", conflicts_with = "selector")]
    what: Option<String>,

    /// Name of the one container, as -c has it
    #[arg(value_name = "CONTAINER", conflicts_with_all = ["container", "all_containers"])]
    of: Option<String>,

    /// Of the pods with these labels
    #[arg(short = 'l', long, value_name = "LABELS")]
    selector: Option<String>,

    /// Go on to the end; of a Job: every attempt of every pod
    #[arg(short, long)]
    follow: bool,

    /// Of the instance before this one
    #[arg(short, long)]
    previous: bool,

    /// Of this container
    #[arg(short, long, value_name = "NAME", conflicts_with = "all_containers")]
    container: Option<String>,

    /// Of all containers
    #[arg(long)]
    all_containers: bool,

    /// Of all pods of the Job, each line with its pod
    #[arg(long)]
    all_pods: bool,

    /// The last lines only; -1: all of them [default: -1, with -l 10]
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = clap::value_parser!(i64).range(-1..))]
    tail: Option<i64>,

    /// Only what is not older
    #[arg(long, value_name = "TIME", value_parser = super::settings::duration, conflicts_with = "since_time")]
    since: Option<Duration>,

    /// Only what is not older, as in 2026-01-31T12:00:00Z
    #[arg(long, value_name = "TIME")]
    since_time: Option<Timestamp>,

    /// No more than this of each container
    #[arg(long, value_name = "BYTES")]
    limit_bytes: Option<u64>,

    /// Show when each line was written
    #[arg(long)]
    timestamps: bool,

    /// Show which pod and container wrote each line
    #[arg(long)]
    prefix: bool,

    /// How many logs are followed at a time, with -l
    #[arg(long, value_name = "N", default_value_t = 5)]
    max_log_requests: usize,
}

/// What every pod of a Job says of it.
/// <https://kubernetes.io/docs/reference/labels-annotations-taints/#batchkubernetesio-controller-uid>
const JOB_UID: &str = "batch.kubernetes.io/controller-uid";
const JOB_NAME: &str = "batch.kubernetes.io/job-name";
/// With -l, unless it is said.
const TAIL_OF_SELECTED: i64 = 10;

pub(super) async fn run(args: &Args, remote: &Remote) -> Result<Exit, Error> {
    let pods = known("pods").expect("pods are known");
    let reader = Reader { args, remote, pods, told: RefCell::default() };
    if let Some(labels) = &args.selector {
        let pods = reader.selected(labels).await?;
        if pods.is_empty() {
            let namespace = &remote.namespace;
            remote.output.say(&format!("No resources found in {namespace} namespace."));
            return Ok(Exit::Done);
        }
        reader.each(&pods).await?;
        return Ok(Exit::Done);
    }
    let what = args.what.as_deref().unwrap_or_default();
    let (kind, name) = what.split_once('/').unwrap_or(("pod", what));
    let resource = named(remote, kind).await?;
    match resource.kind.as_str() {
        "Pod" => {
            let (pod, _) = remote.pod(name).await?;
            reader.each(&[pod]).await?;
        }
        "Job" if args.follow && !args.previous => follow::job(&reader, &resource, name).await?,
        "Job" => reader.job(&resource, name).await?,
        _ => {
            return Err(Error::usage(format!(
                "cannot get the logs from {}/{name}: expected a pod or a job",
                resource.plural
            )));
        }
    }
    Ok(Exit::Done)
}

/// Which instance of a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Attempt {
    Latest,
    Previous,
}

struct Reader<'a> {
    args: &'a Args,
    remote: &'a Remote,
    pods: Resource,
    /// What was said of the choice of a container: once is enough.
    told: RefCell<BTreeSet<String>>,
}

impl Reader<'_> {
    /// One pod of the Job, as kubectl chooses it: the oldest that has begun. Or all of them.
    async fn job(&self, resource: &Resource, name: &str) -> Result<(), Error> {
        let job: Result<Job, _> = self.remote.read(&self.remote.path_of(resource, name)).await;
        let mut pods = match &job {
            Ok(job) => self.selected(&selector(job)).await?,
            Err(_) => Vec::new(),
        };
        if pods.is_empty() {
            pods = self.gone_pods_of(job, name).await?;
        }
        pods.sort_by_key(|pod| {
            let begun = container_statuses(pod)
                .iter()
                .any(|status| status.state.as_ref().is_some_and(|state| state.waiting.is_none()));
            (!begun, pod.metadata.creation_timestamp.clone())
        });
        if pods.is_empty() {
            return Err(Error::failed(format!("job.batch/{name} has no pods")));
        }
        if self.args.all_pods {
            return self.each(&pods).await;
        }
        if pods.len() > 1 {
            let found = format!("Found {} pods, using pod/{}", pods.len(), pods[0].name());
            self.remote.output.say(&found);
        }
        self.each(&pods[..1]).await
    }

    /// What is remembered of the pods of a Job; of one that is gone too, those of the last of its name.
    async fn gone_pods_of(&self, job: Result<Job, Error>, name: &str) -> Result<Vec<Pod>, Error> {
        let label = match &job {
            Ok(job) => format!("{JOB_UID}={}", job.uid()),
            Err(error) if error.is_not_found() => format!("{JOB_NAME}={name}"),
            Err(_) => return job.map(|_| Vec::new()),
        };
        let mut pods = self.remote.gone_pods(&label).await?;
        let newest = pods.iter().max_by_key(|pod| pod.metadata.creation_timestamp.clone());
        match (job, newest.and_then(controller_uid).map(str::to_owned)) {
            (Err(error), None) => Err(error),
            (_, uid) => {
                pods.retain(|pod| controller_uid(pod) == uid.as_deref());
                Ok(pods)
            }
        }
    }

    async fn selected(&self, labels: &str) -> Result<Vec<Pod>, Error> {
        let path = self.pods.path(Some(&self.remote.namespace));
        self.remote.items(&(path + &query(&[("labelSelector", labels)]))).await
    }

    /// One after the other; side by side where they are followed.
    async fn each(&self, pods: &[Pod]) -> Result<(), Error> {
        let attempt = if self.args.previous { Attempt::Previous } else { Attempt::Latest };
        let all: Vec<_> = pods
            .iter()
            .flat_map(|pod| {
                self.chosen(pod).into_iter().map(|container| (pod.name().to_owned(), container))
            })
            .collect();
        let max = self.args.max_log_requests;
        if self.args.follow && all.len() > max {
            return Err(Error::usage(format!(
                "you are attempting to follow {} log streams, but maximum allowed concurrency is {max}, \
                 use --max-log-requests to increase the limit",
                all.len()
            )));
        }
        let shown = async |(pod, container): (String, String)| -> Result<(), Error> {
            let stream = self.open(&pod, &container, attempt).await?;
            self.show(stream, &pod, &container).await;
            Ok(())
        };
        if !self.args.follow {
            for one in all {
                shown(one).await?;
            }
            return Ok(());
        }
        let mut streams: FuturesUnordered<_> = all.into_iter().map(shown).collect();
        while let Some(ended) = streams.next().await {
            ended?;
        }
        Ok(())
    }

    /// The containers whose logs are meant; says so where there was a choice.
    fn chosen(&self, pod: &Pod) -> Vec<String> {
        let init = pod.spec.iter().flat_map(|spec| spec.init_containers.iter().flatten());
        let init: Vec<_> = init.map(|container| container.name.clone()).collect();
        let own: Vec<_> = containers(pod).iter().map(|container| container.name.clone()).collect();
        if let Some(container) = self.args.container.as_ref().or(self.args.of.as_ref()) {
            return vec![container.clone()];
        }
        if self.args.all_containers {
            return init.into_iter().chain(own).collect();
        }
        let annotations = pod.metadata.annotations.as_ref();
        let default =
            annotations.and_then(|all| all.get("kubectl.kubernetes.io/default-container"));
        let Some(chosen) = default.or_else(|| own.first()).cloned() else { return Vec::new() };
        if own.len() + init.len() > 1 {
            let init = init.iter().map(|name| format!("{name} (init)"));
            let all: Vec<_> = own.iter().cloned().chain(init).collect();
            let told = format!("Defaulted container {chosen:?} out of: {}", all.join(", "));
            if self.told.borrow_mut().insert(told.clone()) {
                self.remote.output.say(&told);
            }
        }
        vec![chosen]
    }

    /// Begins to read a log.
    async fn open(&self, pod: &str, container: &str, attempt: Attempt) -> Result<Stream, Error> {
        let args = self.args;
        let flag = |is_set: bool| if is_set { "true" } else { "" };
        let number = |number: Option<u64>| number.map(|n| n.to_string()).unwrap_or_default();
        let tail = args.tail.or_else(|| args.selector.as_ref().map(|_| TAIL_OF_SELECTED));
        // Less than a second is a second.
        let since = args.since.map(|since| since.as_secs().max(1));
        let since_time = args.since_time.map(|time| time.to_string()).unwrap_or_default();
        let asks = query(&[
            ("container", container),
            ("follow", flag(args.follow)),
            ("previous", flag(attempt == Attempt::Previous)),
            ("timestamps", flag(args.timestamps)),
            ("tailLines", &number(tail.and_then(|lines| u64::try_from(lines).ok()))),
            ("sinceSeconds", &number(since)),
            ("sinceTime", &since_time),
            ("limitBytes", &number(args.limit_bytes)),
        ]);
        let path = format!("{}/log{asks}", self.remote.path_of(&self.pods, pod));
        self.remote.stream(&path, "*/*").await
    }

    async fn show(&self, mut stream: Stream, pod: &str, container: &str) {
        let is_marked = self.args.prefix || self.args.all_pods;
        let prefix = if is_marked { format!("[pod/{pod}/{container}] ") } else { String::new() };
        let mut lines = Lines::new(&prefix);
        while let Some(piece) = stream.piece().await {
            let whole = lines.take(&piece);
            if !whole.is_empty() {
                self.remote.output.pass_on(Target::Stdout, whole).await;
            }
        }
        let rest = lines.end();
        if !rest.is_empty() {
            self.remote.output.pass_on(Target::Stdout, rest).await;
        }
    }
}

/// The labels by which a Job knows its pods.
fn selector(job: &Job) -> String {
    let selector = job.spec.as_ref().and_then(|spec| spec.selector.as_ref());
    let labels = selector.and_then(|selector| selector.match_labels.as_ref());
    let labels: Vec<_> =
        labels.into_iter().flatten().map(|(key, value)| format!("{key}={value}")).collect();
    labels.join(",")
}
