//! The logs of pods, as the API asks for them.
//!
//! Owns: which instance's log is meant, where reading begins, and when following ends. Must not know:
//! how logs are kept (`runtime::logs`), or how they are asked for.

use std::collections::VecDeque;
use std::io;
use std::path::PathBuf;

use bytes::Bytes;
use futures::{FutureExt, StreamExt, stream};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{ContainerStatus, Pod};

use crate::api::object::{Kind, Object};
use crate::api::pod::{container_status, is_terminal};
use crate::monitor::cri::{Line, Stream};
use crate::monitor::log::rotated;
use crate::pod::Instance;
use crate::runtime::logs::{Follower, path};
use crate::server::logs::{Logs, Missing, Pieces, Request, Streams};
use crate::store::{self, Store, Watch};

/// No more is kept to hand out the last lines of a log; of more, the first ones are left out.
const TAIL_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Reads the logs below a directory.
#[derive(Debug)]
pub(super) struct PodLogs {
    store: Store,
    log_dir: PathBuf,
}

impl PodLogs {
    pub(super) fn new(store: Store, log_dir: PathBuf) -> Self {
        Self { store, log_dir }
    }

    /// Whether nothing more comes from an instance. Nothing comes from a pod that is gone, whatever
    /// remains of it.
    async fn has_ended(&self, pod: &Pod, instance: &Instance) -> bool {
        let now = self.store.get::<Pod>(pod.namespace(), pod.name()).await;
        now.map_or(true, |now| has_ended(now.as_ref(), pod.uid(), instance))
    }
}

#[async_trait::async_trait]
impl Logs for PodLogs {
    async fn read(&self, pod: &Pod, request: Request) -> Result<Pieces, Missing> {
        let instance = instance(pod, &request)?;
        let path = path(&self.log_dir, pod, &instance);
        let is_there = path.exists() || rotated(&path).is_ok_and(|files| !files.is_empty());
        if !is_there && !request.follow {
            return Err(missing(pod, &request));
        }
        let ended = !request.follow || self.has_ended(pod, &instance).await;
        let mut follower = Follower::new(path);
        if ended {
            follower.end();
        }
        let revision = pod.metadata.resource_version.as_deref().and_then(|text| text.parse().ok());
        let changes = self.store.watch_in(Kind::Pod, Some(pod.namespace()), revision.unwrap_or(0));
        let reading = Reading {
            store: self.store.clone(),
            pod: pod.clone(),
            instance,
            changes,
            follower,
            ended,
            lines: Lines::new(request),
        };
        Ok(stream::unfold(reading, Reading::next).boxed())
    }
}

/// Which start of the container is meant.
fn instance(pod: &Pod, request: &Request) -> Result<Instance, Missing> {
    let restarts = status(pod, &request.container).map_or(0, |status| status.restart_count);
    let restarts = u32::try_from(restarts).unwrap_or(0);
    let attempt = if request.previous { restarts.checked_sub(1) } else { Some(restarts) };
    let container = request.container.clone();
    match attempt {
        Some(attempt) => Ok(Instance { container, attempt }),
        None => Err(Missing(format!(
            "previous terminated container {container:?} in pod {:?} not found",
            pod.name()
        ))),
    }
}

fn status<'a>(pod: &'a Pod, container: &str) -> Option<&'a ContainerStatus> {
    let init = pod.status.as_ref().and_then(|status| status.init_container_statuses.as_ref());
    let init = init.into_iter().flatten().find(|status| status.name == container);
    container_status(pod, container).or(init)
}

/// Why there is nothing to read.
fn missing(pod: &Pod, request: &Request) -> Missing {
    let (container, name) = (&request.container, pod.name());
    let state = status(pod, container).and_then(|status| status.state.as_ref());
    let waits = state.and_then(|state| state.waiting.as_ref());
    let begins = state.is_none() && !is_terminal(pod);
    if waits.is_some() || begins {
        let reason = waits.and_then(|waits| waits.reason.as_deref()).unwrap_or("ContainerCreating");
        return Missing(format!(
            "container {container:?} in pod {name:?} is waiting to start: {reason}"
        ));
    }
    Missing(format!("there is no log of container {container:?} in pod {name:?}"))
}

/// Whether nothing more comes from an instance.
fn has_ended(pod: Option<&Pod>, uid: &str, instance: &Instance) -> bool {
    let Some(pod) = pod.filter(|pod| pod.uid() == uid) else { return true };
    let Some(status) = status(pod, &instance.container) else { return is_terminal(pod) };
    let restarts = u32::try_from(status.restart_count).unwrap_or(0);
    let is_over = status.state.as_ref().is_some_and(|state| state.terminated.is_some());
    is_terminal(pod) || restarts > instance.attempt || restarts == instance.attempt && is_over
}

/// A log on its way to a client.
struct Reading {
    store: Store,
    pod: Pod,
    instance: Instance,
    changes: Watch,
    follower: Follower,
    ended: bool,
    lines: Lines,
}

impl Reading {
    async fn next(mut self) -> Option<(io::Result<Bytes>, Self)> {
        let piece = self.piece().await;
        match piece {
            Ok(Some(piece)) => Some((Ok(piece), self)),
            Ok(None) => None,
            Err(error) => Some((Err(error), self)),
        }
    }

    /// The next piece of output; `None`: that was all.
    async fn piece(&mut self) -> io::Result<Option<Bytes>> {
        loop {
            if self.lines.holds_back() {
                match self.read_what_is_there().await? {
                    true => continue,
                    false => self.lines.release(),
                }
            }
            let out = self.lines.take();
            if !out.is_empty() {
                return Ok(Some(out.into()));
            }
            // Both are cancel-safe: lines and changes are taken only when they are answered.
            let changed = tokio::select! {
                biased;
                read = self.follower.next() => {
                    match read? {
                        Some(read) => read.for_each(|line| self.lines.add(line)),
                        None => return Ok(self.lines.last()),
                    }
                    continue;
                }
                changed = self.changes.next(), if !self.ended => changed,
            };
            self.look(changed).await;
        }
    }

    /// Takes in some of what the log has by now. Answers whether there was any.
    async fn read_what_is_there(&mut self) -> io::Result<bool> {
        tokio::task::coop::consume_budget().await;
        // With a budget it could pause before the end.
        let read = tokio::task::coop::unconstrained(self.follower.next()).now_or_never();
        match read.transpose()?.flatten() {
            Some(read) => {
                read.for_each(|line| self.lines.add(line));
                Ok(true)
            }
            None => Ok(false),
        }
    }

    /// Finds out whether more is to come.
    async fn look(&mut self, changed: Result<store::Change, store::Error>) {
        let pod = match changed {
            Ok(change) if change.key != self.pod.key() => return,
            Ok(change) => change.object::<Pod>(),
            // It missed something: what is so now is all that matters.
            Err(_) => {
                let revision = self.store.revision().await.unwrap_or(0);
                let namespace = self.pod.namespace();
                self.changes = self.store.watch_in(Kind::Pod, Some(namespace), revision);
                self.store.get::<Pod>(namespace, self.pod.name()).await
            }
        };
        // A store that cannot be read tells no client anything.
        let ended = pod.map_or(true, |pod| has_ended(pod.as_ref(), self.pod.uid(), &self.instance));
        if ended {
            self.ended = true;
            self.follower.end();
        }
    }
}

/// Lines as a client gets them.
struct Lines {
    request: Request,
    /// Lines that are to be handed out; while the last ones are looked for, no more than these.
    entries: VecDeque<Vec<u8>>,
    bytes: usize,
    tail: Option<usize>,
    /// Whether the last entry goes on: of each stream.
    open: [bool; 2],
    since_passed: bool,
}

impl Lines {
    fn new(request: Request) -> Self {
        let tail = request.tail.map(|tail| usize::try_from(tail).unwrap_or(usize::MAX));
        Self {
            since_passed: request.since.is_none(),
            request,
            entries: VecDeque::new(),
            bytes: 0,
            tail,
            open: [false; 2],
        }
    }

    /// Whether the last lines of what is there are still looked for.
    fn holds_back(&self) -> bool {
        self.tail.is_some()
    }

    /// What is there was read: whatever comes now is handed out.
    fn release(&mut self) {
        self.tail = None;
    }

    fn add(&mut self, line: Line<'_>) {
        let (wanted, which) = match line.stream {
            Stream::Stdout => (self.request.streams != Streams::Stderr, 0),
            Stream::Stderr => (self.request.streams != Streams::Stdout, 1),
        };
        if !wanted {
            return;
        }
        let at = || {
            let nanos = i32::try_from(line.nanos).unwrap_or(0);
            Timestamp::new(line.seconds, nanos).unwrap_or(Timestamp::UNIX_EPOCH)
        };
        if !self.since_passed {
            if self.request.since.is_some_and(|since| at() < since) {
                return;
            }
            self.since_passed = true;
        }
        let goes_on = std::mem::replace(&mut self.open[which], line.partial);
        let mut text = Vec::with_capacity(line.text.len() + 1);
        if self.request.timestamps && !goes_on {
            text.extend(at().strftime("%Y-%m-%dT%H:%M:%S.%9fZ ").to_string().into_bytes());
        }
        text.extend_from_slice(line.text);
        if !line.partial {
            text.push(b'\n');
        }
        self.bytes += text.len();
        match self.entries.back_mut() {
            // Part of a line and the rest of it are one.
            Some(last) if goes_on && !last.ends_with(b"\n") => last.extend(text),
            Some(_) | None => self.entries.push_back(text),
        }
        let Some(tail) = self.tail else { return };
        while self.entries.len() > tail || self.bytes > TAIL_BYTES_MAX {
            let Some(first) = self.entries.pop_front() else { break };
            self.bytes -= first.len();
        }
    }

    fn take(&mut self) -> Vec<u8> {
        self.bytes = 0;
        match self.entries.len() {
            0 => Vec::new(),
            _ => self.entries.drain(..).flatten().collect(),
        }
    }

    /// What is left at the end.
    fn last(&mut self) -> Option<Bytes> {
        let out = self.take();
        (!out.is_empty()).then(|| out.into())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::time::Duration;

    use serde_json::{Value, json};

    use super::*;

    fn pod(statuses: Value) -> Pod {
        serde_json::from_value(json!({
            "metadata": {"name": "p", "namespace": "default", "uid": "u"},
            "status": {"containerStatuses": statuses},
        }))
        .unwrap()
    }

    fn container(restarts: u32, state: Value) -> Value {
        json!([{
            "name": "a", "restartCount": restarts, "state": state, "ready": false, "image": "",
            "imageID": "",
        }])
    }

    fn running() -> Pod {
        pod(container(0, json!({"running": {}})))
    }

    fn over() -> Pod {
        pod(container(0, json!({"terminated": {"exitCode": 0}})))
    }

    fn asked() -> Request {
        Request {
            container: "a".into(),
            previous: false,
            follow: false,
            tail: None,
            since: None,
            timestamps: false,
            streams: Streams::All,
        }
    }

    struct Place {
        dir: tempfile::TempDir,
        store: Store,
    }

    impl Place {
        fn new() -> Self {
            Self { dir: tempfile::tempdir().unwrap(), store: Store::in_memory().unwrap() }
        }

        fn write(&self, attempt: u32, text: &str) {
            let dir = self.dir.path().join("default_p_u/a");
            fs::create_dir_all(&dir).unwrap();
            fs::write(dir.join(format!("{attempt}.log")), text).unwrap();
        }

        async fn begin(&self, pod: &Pod, request: Request) -> Result<Pieces, String> {
            let logs = PodLogs::new(self.store.clone(), self.dir.path().to_owned());
            logs.read(pod, request).await.map_err(|missing| missing.to_string())
        }

        async fn read(&self, pod: &Pod, request: Request) -> Result<String, String> {
            Ok(all(self.begin(pod, request).await?).await)
        }

        async fn put(&self, pod: &Pod) {
            let mut txn = self.store.txn();
            txn.put(pod);
            txn.commit().await.unwrap();
        }
    }

    async fn all(pieces: Pieces) -> String {
        let rest = pieces.map(|piece| piece.unwrap()).collect::<Vec<_>>();
        let rest = tokio::time::timeout(Duration::from_secs(10), rest).await.unwrap();
        String::from_utf8(rest.concat()).unwrap()
    }

    const LOG: &str = "\
2026-01-01T00:00:01.000000000Z stdout F one
2026-01-01T00:00:02.000000000Z stderr F two
2026-01-01T00:00:03.500000000Z stdout P thr
2026-01-01T00:00:03.600000000Z stdout F ee
2026-01-01T00:00:04.000000000Z stdout F four
";

    #[tokio::test]
    async fn the_lines_that_are_asked_for_are_handed_out() {
        let place = Place::new();
        place.write(0, LOG);
        let read = async |request| place.read(&running(), request).await.unwrap();
        assert_eq!(read(asked()).await, "one\ntwo\nthree\nfour\n");
        assert_eq!(read(Request { tail: Some(2), ..asked() }).await, "three\nfour\n");
        assert_eq!(read(Request { tail: Some(0), ..asked() }).await, "");
        assert_eq!(read(Request { streams: Streams::Stderr, ..asked() }).await, "two\n");
        let since = Some("2026-01-01T00:00:03Z".parse().unwrap());
        assert_eq!(read(Request { since, ..asked() }).await, "three\nfour\n");
        let stamped = read(Request { timestamps: true, tail: Some(2), ..asked() }).await;
        assert_eq!(
            stamped,
            "2026-01-01T00:00:03.500000000Z three\n2026-01-01T00:00:04.000000000Z four\n"
        );
    }

    #[tokio::test]
    async fn the_start_before_the_last_one_has_a_log_of_its_own() {
        let place = Place::new();
        place.write(0, LOG);
        place.write(1, "");
        let previous = || Request { previous: true, tail: Some(1), ..asked() };
        let twice = pod(container(1, json!({"running": {}})));
        assert_eq!(place.read(&twice, previous()).await.unwrap(), "four\n");
        let refused = place.read(&running(), previous()).await.unwrap_err();
        assert_eq!(refused, "previous terminated container \"a\" in pod \"p\" not found");
    }

    #[tokio::test]
    async fn a_container_that_waits_has_no_log_yet_but_can_be_followed() {
        let place = Place::new();
        let waiting = pod(container(0, json!({"waiting": {"reason": "ErrImagePull"}})));
        let refused = place.read(&waiting, asked()).await.unwrap_err();
        assert_eq!(refused, "container \"a\" in pod \"p\" is waiting to start: ErrImagePull");
        place.put(&waiting).await;
        let follow = Request { follow: true, ..asked() };
        let mut pieces = place.begin(&waiting, follow).await.unwrap();
        assert!(pieces.next().now_or_never().is_none());
        place.write(0, LOG);
        let first = pieces.next().await.unwrap().unwrap();
        assert_eq!(first, "one\ntwo\nthree\nfour\n");
        place.put(&running()).await;
        assert!(pieces.next().now_or_never().is_none());
        place.put(&over()).await;
        assert_eq!(all(pieces).await, "");
    }

    #[tokio::test]
    async fn following_from_the_last_lines_goes_on_to_the_end() {
        let place = Place::new();
        place.write(0, LOG);
        place.put(&running()).await;
        let request = Request { follow: true, tail: Some(1), ..asked() };
        let mut pieces = place.begin(&running(), request).await.unwrap();
        assert_eq!(pieces.next().await.unwrap().unwrap(), "four\n");
        place.write(0, &format!("{LOG}2026-01-01T00:00:05.000000000Z stdout F five\n"));
        place.put(&over()).await;
        assert_eq!(all(pieces).await, "five\n");
    }

    #[tokio::test]
    async fn what_remains_of_a_pod_is_followed_to_the_end_of_its_log() {
        let place = Place::new();
        place.write(0, LOG);
        let follow = Request { follow: true, ..asked() };
        assert_eq!(place.read(&running(), follow).await.unwrap(), "one\ntwo\nthree\nfour\n");
    }

    #[tokio::test]
    async fn following_ends_when_the_pod_is_gone() {
        let place = Place::new();
        place.write(0, LOG);
        place.put(&running()).await;
        let pod = place.store.get::<Pod>("default", "p").await.unwrap().unwrap();
        let follow = Request { follow: true, ..asked() };
        let mut pieces = place.begin(&pod, follow).await.unwrap();
        pieces.next().await.unwrap().unwrap();
        let mut txn = place.store.txn();
        txn.delete(&pod);
        txn.commit().await.unwrap();
        assert_eq!(all(pieces).await, "");
    }
}
