//! Following a Job to its end: every attempt of every container of every pod, from its first line to its
//! last.
//!
//! Owns: which attempts there are, and that none is left out or shown twice. Must not know: how logs are
//! read, or printed.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use futures::stream::{self, FuturesUnordered, LocalBoxStream};
use futures::{StreamExt, future};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use tokio::sync::watch;

use super::{Attempt, JOB_UID, Reader, selector};
use crate::api::job::is_finished;
use crate::api::object::Object;
use crate::api::pod::{container_status, is_terminal};
use crate::cli::remote::{Error, Event, Lister, Observer, Resource, typed};

/// What is known of a pod; `None`: it is gone.
type Known = watch::Sender<Option<Pod>>;

/// Shows all of a Job until it is over.
pub(super) async fn job(reader: &Reader<'_>, resource: &Resource, name: &str) -> Result<(), Error> {
    let remote = reader.remote;
    let first: Job = match remote.read(&remote.path_of(resource, name)).await {
        // There is nothing to follow, but there may be something to read.
        Err(error) if error.is_not_found() => return reader.job(resource, name).await,
        read => read?,
    };
    let list = reader.pods.path(Some(&remote.namespace));
    let mut changes = listed(Lister::new(remote, list.clone(), selector(&first)));
    let mut ends = ends(Observer::new(remote, resource, name));
    let mut pods = BTreeMap::<String, Known>::new();
    let mut streams = FuturesUnordered::new();
    let mut is_over = false;
    loop {
        // What is not ready stays where it is: each is a stream of its own.
        tokio::select! {
            Some(change) = changes.next() => {
                if let Some(pod) = note(&mut pods, change?)? {
                    streams.extend(attempts(reader, &pods, &pod));
                }
            }
            Some(end) = ends.next(), if !is_over => {
                end?;
                is_over = true;
                // When it is over, all its pods are in lists that are read after that.
                let there = reader.selected(&selector(&first)).await?;
                let gone = remote.gone_pods(&format!("{JOB_UID}={}", first.uid())).await?;
                let there = there.into_iter().map(|pod| (pod.clone(), Some(pod)));
                for (pod, now) in there.chain(gone.into_iter().map(|pod| (pod, None))) {
                    if !pods.contains_key(pod.uid()) {
                        pods.insert(pod.uid().to_owned(), watch::Sender::new(now));
                        streams.extend(attempts(reader, &pods, &pod));
                    }
                }
            }
            Some(ended) = streams.next(), if !streams.is_empty() => ended?,
        }
        if is_over && streams.is_empty() {
            return Ok(());
        }
    }
}

fn listed<'a>(lister: Lister<'a>) -> LocalBoxStream<'a, Result<Event, Error>> {
    let next = async |mut lister: Lister<'a>| Some((lister.next().await, lister));
    stream::unfold(lister, next).boxed_local()
}

/// Once, when the Job is over or gone.
fn ends<'a>(mut observer: Observer<'a>) -> LocalBoxStream<'a, Result<(), Error>> {
    let end = async move {
        loop {
            let Some(object) = observer.next().await? else { return Ok(()) };
            let job: Job = typed(object)?;
            if is_finished(&job).is_some() {
                return Ok(());
            }
        }
    };
    stream::once(end).boxed_local()
}

/// The pod, if it is new.
fn note(pods: &mut BTreeMap<String, Known>, change: Event) -> Result<Option<Pod>, Error> {
    let (object, is_there) = match change {
        Event::Is(object) => (object, true),
        Event::Gone(object) => (object, false),
        Event::Listed => return Ok(None),
    };
    let pod: Pod = typed(object)?;
    if let Some(known) = pods.get(pod.uid()) {
        known.send_replace(is_there.then_some(pod));
        return Ok(None);
    }
    if !is_there {
        return Ok(None);
    }
    pods.insert(pod.uid().to_owned(), watch::Sender::new(Some(pod.clone())));
    Ok(Some(pod))
}

/// All that is to be shown of a pod.
fn attempts<'a>(
    reader: &'a Reader<'_>,
    pods: &BTreeMap<String, Known>,
    pod: &Pod,
) -> Vec<future::LocalBoxFuture<'a, Result<(), Error>>> {
    let Some(known) = pods.get(pod.uid()) else { return Vec::new() };
    let of = |container: String| -> future::LocalBoxFuture<'a, Result<(), Error>> {
        Box::pin(container_of(reader, pod.name().to_owned(), container, known.subscribe()))
    };
    reader.chosen(pod).into_iter().map(of).collect()
}

/// One container, as often as it is started.
async fn container_of(
    reader: &Reader<'_>,
    pod: String,
    container: String,
    mut known: watch::Receiver<Option<Pod>>,
) -> Result<(), Error> {
    let mut next = 0;
    loop {
        let now = known.borrow_and_update().clone();
        let is_last = now.as_ref().is_none_or(is_terminal);
        let now = match now {
            Some(now) => now,
            None => match reader.remote.pod(&pod).await {
                Ok((gone, _)) => gone,
                Err(error) if error.is_not_found() => return Ok(()),
                Err(error) => return Err(error),
            },
        };
        let latest = begun(&now, &container);
        match latest {
            Some(latest) if latest >= next => {
                match attempt(reader, (&pod, &container), next, latest).await? {
                    ControlFlow::Continue(after) => next = after,
                    ControlFlow::Break(()) => return Ok(()),
                }
            }
            Some(_) | None if is_last => return Ok(()),
            Some(_) | None => {
                if known.changed().await.is_err() {
                    return Ok(());
                }
            }
        }
    }
}

/// Shows the attempt that is next, and says which one is after it. Only the latest attempt and the one
/// before it can be asked for.
async fn attempt(
    reader: &Reader<'_>,
    (pod, container): (&str, &str),
    next: i32,
    latest: i32,
) -> Result<ControlFlow<(), i32>, Error> {
    let mut latest = latest;
    loop {
        let wanted = next.max(latest - 1);
        let attempt = if wanted == latest { Attempt::Latest } else { Attempt::Previous };
        let opened = reader.open(pod, container, attempt).await;
        // Which attempt a log is of is known if the same one is the latest before and after.
        let after = match reader.remote.pod(pod).await {
            Ok((pod, _)) => begun(&pod, container),
            Err(error) if error.is_not_found() => None,
            Err(error) => return Err(error),
        };
        if let Some(after) = after.filter(|after| *after != latest) {
            latest = after;
            continue;
        }
        if wanted > next {
            reader.remote.output.say(&format!(
                "pod/{pod}: the logs of {} restarts of {container} are gone already",
                wanted - next
            ));
        }
        match opened {
            Ok(stream) => reader.show(stream, pod, container).await,
            // The pod went before its log was asked for.
            Err(error) if error.is_not_found() => return Ok(ControlFlow::Break(())),
            Err(error) if attempt == Attempt::Previous => {
                reader.remote.output.say(&error.to_string());
            }
            Err(error) => return Err(error),
        }
        return Ok(ControlFlow::Continue(wanted + 1));
    }
}

/// The latest attempt of a container that has begun, counted from zero.
fn begun(pod: &Pod, container: &str) -> Option<i32> {
    let status = container_status(pod, container)?;
    let state = status.state.as_ref();
    let has_begun =
        state.is_some_and(|state| state.running.is_some() || state.terminated.is_some());
    // One that waits to be started again has ended as often as it was started.
    let waits = state.and_then(|state| state.waiting.as_ref());
    let ended = status.last_state.as_ref().is_some_and(|state| state.terminated.is_some());
    let is_held_up =
        ended && waits.is_some_and(|w| w.reason.as_deref() == Some("CrashLoopBackOff"));
    if has_begun || is_held_up {
        return Some(status.restart_count);
    }
    (ended && status.restart_count > 0).then(|| status.restart_count - 1)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_latest_attempt_is_the_one_that_has_begun() {
        let pod = |status: serde_json::Value| -> Pod {
            let mut status = status;
            for (field, value) in [
                ("name", json!("c")),
                ("image", json!("")),
                ("imageID", json!("")),
                ("ready", json!(false)),
            ] {
                status[field] = value;
            }
            serde_json::from_value(json!({"status": {"containerStatuses": [status]}})).unwrap()
        };
        let ended = json!({"terminated": {"exitCode": 1}});
        for (status, expected) in [
            (
                json!({"restartCount": 0, "state": {"waiting": {"reason": "ContainerCreating"}}}),
                None,
            ),
            (json!({"restartCount": 0, "state": {"running": {}}}), Some(0)),
            (json!({"restartCount": 2, "state": ended}), Some(2)),
            (
                json!({"restartCount": 1, "lastState": ended,
                       "state": {"waiting": {"reason": "CrashLoopBackOff"}}}),
                Some(1),
            ),
            (
                json!({"restartCount": 1, "lastState": ended,
                       "state": {"waiting": {"reason": "ContainerCreating"}}}),
                Some(0),
            ),
        ] {
            assert_eq!(begun(&pod(status.clone()), "c"), expected, "{status}");
        }
        assert_eq!(begun(&Pod::default(), "c"), None);
    }
}
