//! `kiln logs`: what containers wrote, of a pod or of a whole Job.
//!
//! Owns: which pods and containers are meant, and following a Job to its end. Must not know: how logs
//! are kept.

use std::collections::BTreeSet;
use std::time::Duration;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;

use super::Exit;
use super::output::Target;
use super::remote::{Error, Remote, Resource, known, query};
use crate::api::job::is_finished;
use crate::api::object::Object;
use crate::api::pod::{
    container_status, container_statuses, containers, controller_uid, is_terminal,
};

/// What every pod of a Job says of it.
/// <https://kubernetes.io/docs/reference/labels-annotations-taints/#batchkubernetesio-controller-uid>
const JOB_UID: &str = "batch.kubernetes.io/controller-uid";
const JOB_NAME: &str = "batch.kubernetes.io/job-name";
/// How often a Job that is followed is looked at for further pods.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Show what containers wrote
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// job/NAME, pod/NAME, or the NAME of a pod
    what: String,

    /// Go on to the end; of a Job: every attempt of every pod
    #[arg(short, long)]
    follow: bool,

    /// Of the instance before this one
    #[arg(short, long)]
    previous: bool,

    /// Of this container
    #[arg(short, long, value_name = "NAME", conflicts_with = "all_containers")]
    container: Option<String>,

    /// The last lines only
    #[arg(long, value_name = "N")]
    tail: Option<u32>,

    /// Only what is not older
    #[arg(long, value_name = "TIME", value_parser = super::settings::duration)]
    since: Option<Duration>,

    /// Show when each line was written
    #[arg(long)]
    timestamps: bool,

    /// Show which pod and container wrote each line
    #[arg(long)]
    prefix: bool,

    /// Of all containers
    #[arg(long)]
    all_containers: bool,
}

pub(super) async fn run(args: &Args, remote: &Remote) -> Result<Exit, Error> {
    let (kind, name) = args.what.split_once('/').unwrap_or(("pod", &args.what));
    let resource = super::remote::named(remote, kind).await?;
    let reader = Reader { args, remote, pods: known("pods").expect("pods are known") };
    match resource.kind.as_str() {
        "Pod" => {
            let (pod, _) = remote.pod(name).await?;
            reader.pod(&pod).await?;
        }
        "Job" if args.follow => reader.follow_job(&resource, name).await?,
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

struct Reader<'a> {
    args: &'a Args,
    remote: &'a Remote,
    pods: Resource,
}

impl Reader<'_> {
    async fn pod(&self, pod: &Pod) -> Result<(), Error> {
        for container in self.chosen(pod) {
            let prefix = self.args.prefix.then(|| format!("[pod/{}/{container}] ", pod.name()));
            self.stream(pod.name(), &container, prefix.as_deref()).await?;
        }
        Ok(())
    }

    /// One pod of the Job, as kubectl chooses it: the oldest that has begun.
    async fn job(&self, resource: &Resource, name: &str) -> Result<(), Error> {
        let job: Result<Job, _> = self.remote.read(&self.remote.path_of(resource, name)).await;
        let mut pods = match &job {
            Ok(job) => self.pods_of(job).await?,
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
        let Some(pod) = pods.first() else {
            return Err(Error::failed(format!("job.batch/{name} has no pods")));
        };
        if pods.len() > 1 {
            let found = format!("Found {} pods, using pod/{}", pods.len(), pod.name());
            self.remote.output.say(&found);
        }
        self.pod(pod).await
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

    async fn pods_of(&self, job: &Job) -> Result<Vec<Pod>, Error> {
        let selector = job.spec.as_ref().and_then(|spec| spec.selector.as_ref());
        let labels = selector.and_then(|selector| selector.match_labels.as_ref());
        let labels: Vec<_> =
            labels.into_iter().flatten().map(|(key, value)| format!("{key}={value}")).collect();
        let path = self.pods.path(Some(&self.remote.namespace));
        self.remote.items(&(path + &query(&[("labelSelector", &labels.join(","))]))).await
    }

    /// Every attempt of every pod, to the end of the Job.
    async fn follow_job(&self, resource: &Resource, name: &str) -> Result<(), Error> {
        let path = self.remote.path_of(resource, name);
        let (mut known, mut uid) = (BTreeSet::new(), None);
        let mut streams = FuturesUnordered::new();
        loop {
            // The Job first: when it is over, all its pods are in the list that is read after it.
            let job: Option<Job> = match self.remote.read(&path).await {
                Ok(job) => Some(job),
                Err(error) if error.is_not_found() && uid.is_some() => None,
                // There is nothing to follow, but there may be something to read.
                Err(error) if error.is_not_found() => return self.job(resource, name).await,
                Err(error) => return Err(error),
            };
            let mut pods = Vec::new();
            if let Some(job) = &job {
                uid = Some(job.uid().to_owned());
                pods = self.pods_of(job).await?;
            }
            let is_over = job.as_ref().is_none_or(|job| is_finished(job).is_some());
            if is_over && let Some(uid) = &uid {
                // Some went between two looks.
                pods.extend(self.remote.gone_pods(&format!("{JOB_UID}={uid}")).await?);
            }
            for pod in pods {
                if known.insert(pod.metadata.uid.clone()) {
                    for container in self.chosen(&pod) {
                        streams.push(self.attempts(pod.clone(), container));
                    }
                }
            }
            if is_over {
                break;
            }
            self.pump(&mut streams).await?;
        }
        while let Some(ended) = streams.next().await {
            ended?;
        }
        Ok(())
    }

    /// Goes on with what is followed until it is time to look again.
    async fn pump<F>(&self, streams: &mut FuturesUnordered<F>) -> Result<(), Error>
    where
        F: Future<Output = Result<(), Error>>,
    {
        let pause = self.remote.clock.sleep(LOOK_EVERY);
        let mut pause = std::pin::pin!(pause);
        loop {
            // Streams that are not done stay in the set.
            tokio::select! {
                () = &mut pause => return Ok(()),
                Some(ended) = streams.next(), if !streams.is_empty() => ended?,
            }
        }
    }

    /// One container, as often as it is started.
    async fn attempts(&self, pod: Pod, container: String) -> Result<(), Error> {
        let name = pod.name().to_owned();
        let prefix = self.args.prefix.then(|| format!("[pod/{name}/{container}] "));
        let mut read = None;
        loop {
            let (pod, is_gone) = match self.remote.pod(&name).await {
                Ok(found) => found,
                Err(error) if error.is_not_found() => return Ok(()),
                Err(error) => return Err(error),
            };
            let status = container_status(&pod, &container);
            let begun = status.filter(|status| {
                status.state.as_ref().is_some_and(|s| s.running.is_some() || s.terminated.is_some())
            });
            let attempt = begun.map(|status| status.restart_count);
            if attempt.is_some() && attempt > read {
                match self.stream(&name, &container, prefix.as_deref()).await {
                    // The pod went before its log was asked for.
                    Err(error) if error.is_not_found() => return Ok(()),
                    streamed => streamed?,
                }
                read = attempt;
            } else if is_gone || is_terminal(&pod) {
                return Ok(());
            } else {
                self.remote.clock.sleep(LOOK_EVERY).await;
            }
        }
    }

    /// The containers whose logs are meant; says so where there was a choice.
    fn chosen(&self, pod: &Pod) -> Vec<String> {
        let init = pod.spec.iter().flat_map(|spec| spec.init_containers.iter().flatten());
        let init: Vec<_> = init.map(|container| container.name.clone()).collect();
        let own: Vec<_> = containers(pod).iter().map(|container| container.name.clone()).collect();
        if let Some(container) = &self.args.container {
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
            self.remote.output.say(&told);
        }
        vec![chosen]
    }

    async fn stream(&self, pod: &str, container: &str, prefix: Option<&str>) -> Result<(), Error> {
        let args = self.args;
        let flag = |is_set: bool| if is_set { "true" } else { "" };
        let tail = args.tail.map(|lines| lines.to_string()).unwrap_or_default();
        // Less than a second is a second.
        let since = args.since.map(|since| since.as_secs().max(1).to_string()).unwrap_or_default();
        let asks = query(&[
            ("container", container),
            ("follow", flag(args.follow)),
            ("previous", flag(args.previous)),
            ("timestamps", flag(args.timestamps)),
            ("tailLines", &tail),
            ("sinceSeconds", &since),
        ]);
        let path = format!("{}/log{asks}", self.remote.path_of(&self.pods, pod));
        let mut stream = self.remote.stream(&path, "*/*").await?;
        let mut lines = Lines { prefix: prefix.unwrap_or_default(), rest: Vec::new() };
        while let Some(piece) = stream.piece().await {
            let whole = lines.take(&piece);
            if !whole.is_empty() {
                self.remote.output.pass_on(Target::Stdout, whole).await;
            }
        }
        if !lines.rest.is_empty() {
            let rest = lines.take(b"\n");
            self.remote.output.pass_on(Target::Stdout, rest).await;
        }
        Ok(())
    }
}

/// Whole lines, each with a prefix: lines of several containers do not mix.
struct Lines<'a> {
    prefix: &'a str,
    rest: Vec<u8>,
}

impl Lines<'_> {
    fn take(&mut self, piece: &[u8]) -> Vec<u8> {
        self.rest.extend_from_slice(piece);
        let Some(end) = self.rest.iter().rposition(|byte| *byte == b'\n') else {
            return Vec::new();
        };
        let whole: Vec<u8> = self.rest.drain(..=end).collect();
        if self.prefix.is_empty() {
            return whole;
        }
        let lines = whole.split_inclusive(|byte| *byte == b'\n');
        lines.flat_map(|line| [self.prefix.as_bytes(), line].concat()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_passed_on_whole_and_with_their_prefix() {
        let mut lines = Lines { prefix: "[p] ", rest: Vec::new() };
        assert_eq!(lines.take(b"a\nb"), b"[p] a\n");
        assert_eq!(lines.take(b"c"), b"");
        assert_eq!(lines.take(b"\nd\n"), b"[p] bc\n[p] d\n");
    }
}
