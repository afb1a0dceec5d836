//! The logs of pods.
//!
//! Owns: what `pods/log` may be asked, and the lines as they are answered. Must not know: where logs
//! are: that is behind [`Logs`].
//! <https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/pod-v1/#get-read-log-of-the-specified-pod>

use std::pin::Pin;

use bytes::Bytes;
use futures::stream::{self, Stream, StreamExt};
use http::header;
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Pod;

use super::api::Call;
use super::gone;
use super::respond::{Response, whole};
use super::status::Error;
use crate::api::pod::containers;

/// Which lines are asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    pub container: String,
    /// Of the instance before the last one.
    pub previous: bool,
    /// Until the container has ended; one that has not begun is waited for.
    pub follow: bool,
    /// Only the last so many, of those after `since`.
    pub tail: Option<u64>,
    pub since: Option<Timestamp>,
    /// Each line begins with the time at which it was written.
    pub timestamps: bool,
    pub streams: Streams,
}

/// Which of a container's streams are meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Streams {
    All,
    Stdout,
    Stderr,
}

/// Pieces of a log as a client gets them, in order.
pub type Pieces = Pin<Box<dyn Stream<Item = std::io::Result<Bytes>> + Send>>;

/// Whoever can read what containers wrote.
#[async_trait::async_trait]
pub trait Logs: Send + Sync + 'static {
    /// Begins to read. The pieces are read only as fast as they are taken; dropping them ends it.
    ///
    /// # Errors
    /// [`Missing`]: there is no such log.
    async fn read(&self, pod: &Pod, request: Request) -> Result<Pieces, Missing>;
}

/// There is no such log; says why.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Missing(pub String);

/// Nobody reads logs: for servers without containers.
#[derive(Debug)]
pub struct NoLogs;

#[async_trait::async_trait]
impl Logs for NoLogs {
    async fn read(&self, _: &Pod, _: Request) -> Result<Pieces, Missing> {
        Err(Missing("this server reads no logs".to_owned()))
    }
}

pub(super) async fn answer(call: &Call<'_>) -> Result<Response, Error> {
    let name = call.target.name.as_deref().unwrap_or_default();
    let namespace = call.target.namespace.as_deref().unwrap_or_default();
    let pod = match call.api.store.get::<Pod>(namespace, name).await? {
        Some(pod) => pod,
        // Its logs may outlive it.
        None => {
            let remains = gone::last(call, namespace, name).await?;
            let remains = remains.ok_or_else(|| call.not_found(name))?;
            serde_json::from_value(remains)
                .map_err(|error| Error::Internal { message: error.to_string() })?
        }
    };
    let request = request(call, &pod)?;
    let limit = call.parameters.number::<u64>("limitBytes")?.filter(|limit| *limit > 0);
    let place = call.api.stream()?;
    let pieces = call.api.logs.read(&pod, request).await;
    let pieces = pieces.map_err(|missing| Error::bad(missing.to_string()))?;
    let stop = call.api.stop.clone();
    let state = (pieces, limit.unwrap_or(u64::MAX), place);
    let body = stream::unfold(state, |(mut pieces, left, place)| async move {
        if left == 0 {
            return None;
        }
        // A log that can no longer be read ends there: the client has what was read.
        let mut piece = pieces.next().await?.ok()?;
        let length = u64::try_from(piece.len()).unwrap_or(u64::MAX);
        if length > left {
            piece.truncate(usize::try_from(left).unwrap_or(usize::MAX));
        }
        Some((Ok(Frame::data(piece)), (pieces, left.saturating_sub(length), place)))
    });
    let body = body.take_until(stop.cancelled_owned());
    let mut response = whole(Bytes::new(), "text/plain");
    response.headers_mut().remove(header::CONTENT_LENGTH);
    *response.body_mut() = StreamBody::new(body.boxed()).boxed_unsync();
    Ok(response)
}

fn request(call: &Call<'_>, pod: &Pod) -> Result<Request, Error> {
    let parameters = &call.parameters;
    let since = match (parameters.number::<i64>("sinceSeconds")?, parameters.get("sinceTime")) {
        (Some(_), Some(_)) => {
            return Err(Error::bad(
                "at most one of `sinceTime` or `sinceSeconds` may be specified",
            ));
        }
        (Some(seconds), None) if seconds > 0 => {
            let at = call.now.checked_sub(SignedDuration::from_secs(seconds));
            Some(at.unwrap_or(Timestamp::MIN))
        }
        (Some(_), None) => return Err(Error::bad("sinceSeconds: must be greater than 0")),
        (None, Some(text)) => {
            let at = text.parse();
            Some(at.map_err(|_| Error::bad(format!("sinceTime: invalid time {text:?}")))?)
        }
        (None, None) => None,
    };
    let streams = match parameters.get("stream") {
        None | Some("All") => Streams::All,
        Some("Stdout") => Streams::Stdout,
        Some("Stderr") => Streams::Stderr,
        Some(other) => return Err(Error::bad(format!("stream: unsupported value {other:?}"))),
    };
    Ok(Request {
        container: container(call, pod)?,
        previous: parameters.is_set("previous")?,
        follow: parameters.is_set("follow")?,
        tail: parameters.number("tailLines")?,
        since,
        timestamps: parameters.is_set("timestamps")?,
        streams,
    })
}

/// The container that is meant: the one that there is, or the one that is named.
fn container(call: &Call<'_>, pod: &Pod) -> Result<String, Error> {
    let name = call.target.name.as_deref().unwrap_or_default();
    let init = pod.spec.iter().flat_map(|spec| spec.init_containers.iter().flatten());
    let (own, init): (Vec<&str>, Vec<&str>) = (
        containers(pod).iter().map(|container| container.name.as_str()).collect(),
        init.map(|container| container.name.as_str()).collect(),
    );
    match (call.parameters.get("container"), own.as_slice()) {
        (Some(asked), _) if own.contains(&asked) || init.contains(&asked) => Ok(asked.to_owned()),
        (Some(asked), _) => {
            Err(Error::bad(format!("container {asked} is not valid for pod {name}")))
        }
        (None, [only]) => Ok((*only).to_owned()),
        (None, _) => Err(Error::bad(format!(
            "a container name must be specified for pod {name}, choose one of: [{}]",
            own.iter().chain(&init).copied().collect::<Vec<_>>().join(" ")
        ))),
    }
}
