//! The containers' output, as it comes.
//!
//! Owns: which logs are read and for how long, prefixes, and that no line of one container is torn by
//! another's. Must not know: why a container ended.

use std::collections::BTreeMap;
use std::path::PathBuf;

use k8s_openapi::api::core::v1::{ContainerStatus, Pod};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::api::object::Object;
use crate::api::pod::{all_container_statuses, all_containers};
use crate::cli::output::{Output, Target};
use crate::monitor::cri::{Line, Stream};
use crate::pod::Instance;
use crate::runtime::logs::{self, Follower};

/// A longer line is passed on in pieces.
const LINE_BYTES_MAX: usize = 64 * 1024;

/// How output is shown.
#[derive(Debug, Clone)]
pub(super) struct Style {
    /// Whether each line says whose it is.
    pub(super) prefix: bool,
    /// Where the containers' standard output goes.
    pub(super) stdout: Target,
}

/// Follows every instance of every container.
#[derive(Debug)]
pub(super) struct Followers {
    log_dir: PathBuf,
    style: Style,
    output: Output,
    tasks: JoinSet<()>,
    /// By the pod's uid.
    instances: BTreeMap<String, BTreeMap<Instance, Followed>>,
}

#[derive(Debug)]
struct Followed {
    /// Tells the task that the instance has ended.
    end: CancellationToken,
    /// Tells the next attempt's task that all of this one is printed.
    printed: CancellationToken,
}

impl Followers {
    pub(super) fn new(log_dir: PathBuf, style: Style, output: Output) -> Self {
        Self { log_dir, style, output, tasks: JoinSet::new(), instances: BTreeMap::new() }
    }

    /// Follows what the pod says has started, and lets the logs end of what it says has ended.
    pub(super) fn observe(&mut self, pod: &Pod) {
        for status in all_container_statuses(pod) {
            let count = u32::try_from(status.restart_count).unwrap_or(0);
            for attempt in 0..=count {
                let ended = attempt < count || has_ended(status);
                if ended || has_started(status) {
                    let instance = Instance { container: status.name.clone(), attempt };
                    self.follow(pod, instance, ended);
                }
            }
        }
    }

    /// Nothing of the pod runs any more.
    pub(super) fn gone(&mut self, uid: &str) {
        if let Some(instances) = self.instances.remove(uid) {
            instances.values().for_each(|followed| followed.end.cancel());
        }
    }

    /// Whether all output is out.
    pub(super) fn is_idle(&self) -> bool {
        self.tasks.is_empty()
    }

    /// Waits until one more log is at its end; for ever where none is followed. Cancel-safe.
    pub(super) async fn ended(&mut self) {
        if self.tasks.join_next().await.is_none() {
            std::future::pending().await
        }
    }

    fn follow(&mut self, pod: &Pod, instance: Instance, ended: bool) {
        let instances = self.instances.entry(pod.uid().to_owned()).or_default();
        if !instances.contains_key(&instance) {
            let before = instance.attempt.checked_sub(1).and_then(|attempt| {
                let before = Instance { attempt, ..instance.clone() };
                Some(instances.get(&before)?.printed.clone())
            });
            let (end, printed) = (CancellationToken::new(), CancellationToken::new());
            let log = Log {
                path: logs::path(&self.log_dir, pod, &instance),
                before,
                end: end.clone(),
                printed: printed.clone(),
            };
            let prefix = if self.style.prefix { prefix(pod, &instance) } else { String::new() };
            let lines = Printed::new(prefix, self.style.stdout);
            self.tasks.spawn(print(log, lines, self.output.clone()));
            instances.insert(instance.clone(), Followed { end, printed });
        }
        if ended && let Some(followed) = instances.get(&instance) {
            followed.end.cancel();
        }
    }
}

/// One log to print.
struct Log {
    path: PathBuf,
    /// The attempt before is printed first.
    before: Option<CancellationToken>,
    end: CancellationToken,
    printed: CancellationToken,
}

fn has_started(status: &ContainerStatus) -> bool {
    status.state.as_ref().is_some_and(|state| state.running.is_some())
}

/// Whether the attempt of this count is over: a container that waits to be restarted still bears the id
/// of what has ended.
fn has_ended(status: &ContainerStatus) -> bool {
    let Some(state) = &status.state else { return false };
    let last = status.last_state.as_ref().and_then(|last| last.terminated.as_ref());
    let ended_before = last.is_some_and(|end| end.container_id == status.container_id);
    state.terminated.is_some()
        || (state.waiting.is_some() && status.container_id.is_some() && ended_before)
}

fn prefix(pod: &Pod, instance: &Instance) -> String {
    match all_containers(pod).count() {
        0 | 1 => format!("[{}] ", pod.name()),
        2.. => format!("[{}/{}] ", pod.name(), instance.container),
    }
}

/// Prints one log until its instance has ended and everything is out.
async fn print(log: Log, mut printed: Printed, output: Output) {
    let Log { path, before, end, printed: done } = log;
    let _done = done.drop_guard();
    if let Some(before) = before {
        before.cancelled().await;
    }
    let mut follower = Follower::new(path.clone());
    let mut ending = false;
    loop {
        if ending {
            follower.end();
        }
        // Both branches are cancel-safe.
        let more = tokio::select! {
            next = follower.next() => match next {
                Ok(Some(lines)) => {
                    lines.for_each(|line| printed.push(&line));
                    true
                }
                Ok(None) => false,
                Err(error) => {
                    output.say(&format!("error: cannot read {}: {error}", path.display()));
                    false
                }
            },
            () = end.cancelled(), if !ending => {
                ending = true;
                continue;
            }
        };
        if !more {
            printed.finish();
        }
        for (target, bytes) in printed.take() {
            // Both branches are cancel-safe: what the follower holds it keeps.
            tokio::select! {
                biased;
                () = output.pass_on(target, bytes) => {}
                Err(error) = follower.keep_up() => {
                    output.say(&format!("error: cannot read {}: {error}", path.display()));
                    return;
                }
            }
        }
        if !more {
            return;
        }
    }
}

/// What is ready to be printed of one log.
#[derive(Debug)]
struct Printed {
    prefix: Vec<u8>,
    stdout: Target,
    /// Of standard output and standard error: a line whose end has not come yet.
    pending: [Pending; 2],
    ready: Vec<(Target, Vec<u8>)>,
}

#[derive(Debug, Default)]
struct Pending {
    bytes: Vec<u8>,
    /// Whether the line's beginning was printed.
    begun: bool,
}

impl Printed {
    fn new(prefix: String, stdout: Target) -> Self {
        let prefix = prefix.into_bytes();
        Self { prefix, stdout, pending: Default::default(), ready: Vec::new() }
    }

    fn push(&mut self, line: &Line<'_>) {
        let which = match line.stream {
            Stream::Stdout => 0,
            Stream::Stderr => 1,
        };
        let pending = &mut self.pending[which];
        if pending.bytes.is_empty() && !pending.begun {
            pending.bytes.extend_from_slice(&self.prefix);
        }
        pending.bytes.extend_from_slice(line.text);
        if !line.partial {
            pending.bytes.push(b'\n');
            pending.begun = false;
        } else if pending.bytes.len() > LINE_BYTES_MAX {
            pending.begun = true;
        } else {
            return;
        }
        self.print(which);
    }

    /// A line that never ended is one all the same.
    fn finish(&mut self) {
        for which in 0..self.pending.len() {
            let pending = &mut self.pending[which];
            if pending.begun || !pending.bytes.is_empty() {
                pending.bytes.push(b'\n');
                pending.begun = false;
                self.print(which);
            }
        }
    }

    fn print(&mut self, which: usize) {
        let target = if which == 0 { self.stdout } else { Target::Stderr };
        let bytes = &mut self.pending[which].bytes;
        match self.ready.last_mut() {
            Some((last, ready)) if *last == target => ready.append(bytes),
            Some(_) | None => self.ready.push((target, std::mem::take(bytes))),
        }
    }

    fn take(&mut self) -> Vec<(Target, Vec<u8>)> {
        std::mem::take(&mut self.ready)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pod(statuses: serde_json::Value) -> Pod {
        serde_json::from_value(json!({
            "metadata": {"name": "p", "namespace": "default", "uid": "u"},
            "spec": {"containers": [{"name": "main"}]},
            "status": {"containerStatuses": statuses},
        }))
        .unwrap()
    }

    fn status(count: i32, rest: serde_json::Value) -> serde_json::Value {
        let mut status = json!({"name": "main", "image": "", "imageID": "", "ready": false});
        status["restartCount"] = count.into();
        for (key, value) in rest.as_object().unwrap() {
            status[key] = value.clone();
        }
        status
    }

    fn line(stream: Stream, partial: bool, text: &[u8]) -> Line<'_> {
        Line { seconds: 0, nanos: 0, stream, partial, text }
    }

    fn text(printed: &mut Printed) -> Vec<(Target, String)> {
        let ready = printed.take().into_iter();
        ready.map(|(target, bytes)| (target, String::from_utf8(bytes).unwrap())).collect()
    }

    #[test]
    fn lines_are_whole_and_say_whose_they_are() {
        let mut printed = Printed::new("[p] ".into(), Target::Stdout);
        printed.push(&line(Stream::Stdout, true, b"one, "));
        assert_eq!(text(&mut printed), []);
        printed.push(&line(Stream::Stderr, false, b"oh"));
        printed.push(&line(Stream::Stdout, false, b"and the rest"));
        assert_eq!(
            text(&mut printed),
            [
                (Target::Stderr, "[p] oh\n".to_owned()),
                (Target::Stdout, "[p] one, and the rest\n".to_owned()),
            ]
        );
        printed.push(&line(Stream::Stdout, true, b"no end"));
        printed.finish();
        assert_eq!(text(&mut printed), [(Target::Stdout, "[p] no end\n".to_owned())]);
    }

    #[test]
    fn a_line_beyond_measure_comes_in_pieces_with_one_prefix() {
        let mut printed = Printed::new("[p] ".into(), Target::Stdout);
        let part = vec![b'x'; 16 * 1024];
        let mut all = String::new();
        for _ in 0..10 {
            printed.push(&line(Stream::Stdout, true, &part));
            assert!(printed.pending[0].bytes.len() <= LINE_BYTES_MAX);
            all.extend(text(&mut printed).into_iter().map(|(_, text)| text));
        }
        printed.push(&line(Stream::Stdout, false, b"end"));
        all.extend(text(&mut printed).into_iter().map(|(_, text)| text));
        assert_eq!(all, format!("[p] {}end\n", "x".repeat(10 * 16 * 1024)));
    }

    #[test]
    fn an_empty_line_is_a_line() {
        let mut printed = Printed::new(String::new(), Target::Stderr);
        printed.push(&line(Stream::Stdout, false, b""));
        assert_eq!(text(&mut printed), [(Target::Stderr, "\n".to_owned())]);
    }

    #[tokio::test]
    async fn every_attempt_is_followed_until_the_pod_says_that_it_has_ended() {
        let (printer, _) = crate::cli::output::Printer::captured().unwrap();
        let style = Style { prefix: true, stdout: Target::Stdout };
        let dir = tempfile::tempdir().unwrap();
        let mut followers = Followers::new(dir.path().to_owned(), style, printer.output());
        let ends = |followers: &Followers| -> Vec<(u32, bool)> {
            let all = followers.instances.get("u").into_iter().flatten();
            all.map(|(instance, followed)| (instance.attempt, followed.end.is_cancelled()))
                .collect()
        };
        let observe = |followers: &mut Followers, status| followers.observe(&pod(json!([status])));

        observe(&mut followers, status(0, json!({"state": {"waiting": {}}})));
        assert_eq!(ends(&followers), []);
        observe(&mut followers, status(0, json!({"state": {"running": {}}, "containerID": "a"})));
        assert_eq!(ends(&followers), [(0, false)]);
        let end = json!({"exitCode": 1, "containerID": "a"});
        let backoff = json!({"state": {"waiting": {}}, "lastState": {"terminated": end},
            "containerID": "a"});
        observe(&mut followers, status(0, backoff));
        assert_eq!(ends(&followers), [(0, true)]);
        let again = json!({"state": {"waiting": {}}, "lastState": {"terminated": end}});
        observe(&mut followers, status(1, again));
        assert_eq!(ends(&followers), [(0, true)]);
        observe(&mut followers, status(1, json!({"state": {"running": {}}, "containerID": "b"})));
        assert_eq!(ends(&followers), [(0, true), (1, false)]);
        followers.gone("u");
        while !followers.is_idle() {
            followers.ended().await;
        }
    }
}
