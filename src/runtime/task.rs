//! One instance of a container: its record, snapshot and task in containerd.
//!
//! Owns: the order in which they are made and taken away, what is found of them after a crash, and how
//! an end is learnt. Must not know: pods' rules, images, what stands in the spec.
//!
//! The record comes first: it keeps the snapshot from the garbage collector, and it is the inventory
//! after a crash. A marker on disk says that the program may have run, so that no attempt runs twice.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use containerd_client::services::v1 as services;
use containerd_client::services::v1::container::Runtime;
use containerd_client::services::v1::snapshots;
use containerd_client::types::Mount;
use jiff::Timestamp;
use prost_types::Any;
use rustix::mount::{UnmountFlags, unmount};
use tonic::Status;
use tracing::{debug, warn};

use super::containerd::{Client, NAMESPACE, already_exists, call, is_away, is_not_found, plain};
use super::pause::pause;
use super::{Error, processes};
use crate::monitor::record::ExitRecord;
use crate::pod::{Cause, Exit, RefusedReason, State};

/// How long the exit record may come after the end, while a log is being written to a slow disk.
const RECORD_TIMEOUT: Duration = Duration::from_secs(10);
/// How often it is looked for.
const RECORD_LOOK: Duration = Duration::from_millis(1);
/// How often a containerd that is away is asked again.
const AWAY_LOOK: Duration = Duration::from_millis(200);
/// How long a task that was killed may take to end.
const KILL_TIMEOUT: Duration = Duration::from_secs(10);

/// A task has a directory below containerd's root, and one below its state.
const BUNDLES_MAX: u32 = 3;

const SIGKILL: u32 = 9;
/// How a program ends that was killed, by the kernel too.
const KILLED: u8 = 137;

/// The type of an OCI spec in containerd, exactly.
const SPEC_TYPE: &str = "types.containerd.io/opencontainers/runtime-spec/1/Spec";
/// The type of the shim's options, exactly: containerd 1.6 takes no other.
const OPTIONS_TYPE: &str = "containerd.runc.v1.Options";

/// Says that the program was about to start, and when.
const MARKER: &str = "started";

/// What is mounted at the container's `terminationMessagePath`.
pub(super) const TERMINATION_LOG: &str = "termination-log";

/// What is sent to the runc shim.
/// <https://github.com/containerd/containerd/blob/main/api/types/runc/options/oci.proto>
#[derive(Clone, PartialEq, prost::Message)]
struct RuncOptions {
    #[prost(string, tag = "6")]
    binary_name: String,
}

/// How containers are run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Shim {
    /// `io.containerd.runc.v2`
    pub(super) runtime: String,
    /// The OCI runtime that the shim calls, if not its default.
    pub(super) binary: Option<String>,
    pub(super) snapshotter: String,
}

/// What a new instance is made of.
#[derive(Debug)]
pub(super) struct Blueprint {
    pub(super) image: String,
    /// The image's top layer.
    pub(super) chain_id: String,
    /// The OCI spec, as JSON.
    pub(super) spec: Vec<u8>,
    pub(super) labels: HashMap<String, String>,
    /// Whether its output is that of a terminal, which has one stream.
    pub(super) terminal: bool,
    /// The URI of the monitor.
    pub(super) output: String,
}

/// What stands of an instance.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Found {
    /// Nothing that could have run.
    Nothing,
    /// The task waits for its start.
    Created,
    Known(State),
}

/// Why an instance does not run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Failure {
    /// The runtime could not start the program: the attempt is over.
    Start { message: String },
    /// It cannot be created as things are; nothing ran.
    Refused { reason: RefusedReason, message: String },
    /// It may go well in a moment.
    Retry { message: String },
}

/// One instance by its id, with the directory of its state.
#[derive(Debug, Clone)]
pub(super) struct Task {
    pub(super) client: Client,
    pub(super) shim: Shim,
    pub(super) id: String,
    pub(super) dir: PathBuf,
}

impl Task {
    /// Creates and starts it. `now` is for its status.
    pub(super) async fn run(
        &self,
        blueprint: Blueprint,
        now: impl Fn() -> Timestamp + Send,
    ) -> Result<State, Failure> {
        let (output, terminal) = (blueprint.output.clone(), blueprint.terminal);
        let mounts = self.create(blueprint).await?;
        self.create_task(mounts, output, terminal).await?;
        self.start(now()).await
    }

    /// The record and the snapshot.
    async fn create(&self, blueprint: Blueprint) -> Result<Vec<Mount>, Failure> {
        let local = |error: io::Error| Failure::Retry {
            message: format!("cannot prepare `{}`: {error}", self.dir.display()),
        };
        fs::create_dir_all(&self.dir).map_err(&local)?;
        make_termination_log(&self.dir).map_err(local)?;
        let container = services::Container {
            id: self.id.clone(),
            labels: blueprint.labels,
            image: blueprint.image,
            runtime: Some(Runtime { name: self.shim.runtime.clone(), options: self.options() }),
            spec: Some(Any { type_url: SPEC_TYPE.to_owned(), value: blueprint.spec }),
            snapshotter: self.shim.snapshotter.clone(),
            snapshot_key: self.id.clone(),
            ..services::Container::default()
        };
        let request = services::CreateContainerRequest { container: Some(container) };
        let created = self.client.containers().create(call(request)).await;
        created.map_err(|status| retry("create the container", &status))?;
        let request = snapshots::PrepareSnapshotRequest {
            snapshotter: self.shim.snapshotter.clone(),
            key: self.id.clone(),
            parent: blueprint.chain_id,
            ..snapshots::PrepareSnapshotRequest::default()
        };
        let prepared = self.client.snapshots().prepare(call(request)).await;
        let prepared = prepared.map_err(|status| retry("prepare the snapshot", &status))?;
        Ok(prepared.into_inner().mounts)
    }

    fn options(&self) -> Option<Any> {
        let binary_name = self.shim.binary.clone()?;
        let value = prost::Message::encode_to_vec(&RuncOptions { binary_name });
        Some(Any { type_url: OPTIONS_TYPE.to_owned(), value })
    }

    /// Never with a deadline: a creation that is cut short leaves a shim that nobody knows.
    async fn create_task(
        &self,
        rootfs: Vec<Mount>,
        output: String,
        terminal: bool,
    ) -> Result<(), Failure> {
        let request = services::CreateTaskRequest {
            container_id: self.id.clone(),
            rootfs,
            stderr: if terminal { String::new() } else { output.clone() },
            stdout: output,
            terminal,
            ..services::CreateTaskRequest::default()
        };
        for _ in 0..BUNDLES_MAX {
            match self.client.tasks().create(call(request.clone())).await {
                Ok(_) => return Ok(()),
                Err(status) => match bundle_in_the_way(&plain(&status), &self.id) {
                    Some(bundle) => self.clear_bundle(&bundle),
                    None => return Err(failure("create", &status)),
                },
            }
        }
        Err(Failure::Retry { message: "an earlier try is still in the way".to_owned() })
    }

    /// Takes away what a creation that was cut short has left where containerd keeps the task's files.
    fn clear_bundle(&self, bundle: &Path) {
        for shim in processes::shims(&self.id) {
            processes::kill(&shim);
        }
        processes::forget(&self.id);
        // It is a mount only where the creation got that far; what cannot be removed is met again.
        let _ = unmount(bundle.join("rootfs"), UnmountFlags::DETACH);
        let removed = fs::remove_dir_all(bundle);
        warn!(id = self.id, bundle = %bundle.display(), ?removed, "an earlier try was in the way");
    }

    /// Starts a task that was created.
    pub(super) async fn start(&self, now: Timestamp) -> Result<State, Failure> {
        let marked = fs::write(self.dir.join(MARKER), now.to_string());
        marked.map_err(|error| Failure::Retry {
            message: format!("cannot write to `{}`: {error}", self.dir.display()),
        })?;
        let request =
            services::StartRequest { container_id: self.id.clone(), ..Default::default() };
        match self.client.tasks().start(call(request)).await {
            Ok(_) => Ok(State::Running { started_at: now }),
            Err(status) => Err(failure("start", &status)),
        }
    }

    /// What stands of it now: the exit record first, then the task, then the marker.
    pub(super) async fn look(&self, now: Timestamp) -> Result<Found, Error> {
        if let Some(exit) = self.recorded() {
            return Ok(Found::Known(State::Exited(exit)));
        }
        let request = services::GetRequest { container_id: self.id.clone(), ..Default::default() };
        match self.client.tasks().get(call(request)).await {
            Ok(answer) => {
                let process = answer.into_inner().process.unwrap_or_default();
                Ok(self.standing(&process, now))
            }
            Err(status) if is_not_found(&status) => {
                Ok(match (self.recorded(), self.started_at()) {
                    (Some(exit), _) => Found::Known(State::Exited(exit)),
                    // containerd forgets tasks that end while it is away, and the monitor may still be
                    // writing: whoever waits for it learns how it ended.
                    (None, Some(started_at)) => Found::Known(State::Running { started_at }),
                    (None, None) => Found::Nothing,
                })
            }
            Err(status) => Err(self.client.error("look at a task", &status)),
        }
    }

    fn standing(&self, process: &containerd_client::types::v1::Process, now: Timestamp) -> Found {
        use containerd_client::types::v1::Status as Reported;
        match process.status() {
            Reported::Created => Found::Created,
            Reported::Stopped => {
                let at = process.exited_at.as_ref();
                let exit = self.exit(process.exit_status, at.and_then(time).unwrap_or(now));
                Found::Known(State::Exited(exit))
            }
            Reported::Running | Reported::Paused | Reported::Pausing | Reported::Unknown => {
                Found::Known(State::Running { started_at: self.started_at().unwrap_or(now) })
            }
        }
    }

    /// When the program was started, as far as is known.
    fn started_at(&self) -> Option<Timestamp> {
        fs::read_to_string(self.dir.join(MARKER)).ok()?.trim().parse().ok()
    }

    /// The end, as the monitor recorded it.
    fn recorded(&self) -> Option<Exit> {
        let record = match ExitRecord::read(&self.dir) {
            Ok(record) => record?,
            Err(error) => {
                warn!(id = self.id, %error, "cannot read the exit record");
                return None;
            }
        };
        let nanos = i32::try_from(record.nanos).unwrap_or(0);
        let finished_at = Timestamp::new(record.seconds, nanos).unwrap_or(Timestamp::UNIX_EPOCH);
        let cause = match (record.oom_killed, record.code) {
            (true, KILLED) => Cause::OomKilled,
            (true, _) => Cause::ChildOomKilled,
            (false, _) => Cause::Program,
        };
        let started_at = self.started_at();
        Some(Exit { code: record.code.into(), cause, message: None, started_at, finished_at })
    }

    fn exit(&self, status: u32, finished_at: Timestamp) -> Exit {
        let code = i32::try_from(status).unwrap_or(255);
        Exit {
            code,
            cause: Cause::Program,
            message: None,
            started_at: self.started_at(),
            finished_at,
        }
    }

    fn lost(&self, now: Timestamp) -> Exit {
        Exit {
            code: 137,
            cause: Cause::Lost,
            message: None,
            started_at: self.started_at(),
            finished_at: now,
        }
    }

    /// Waits for its end, also while containerd is away. Cancel-safe.
    pub(super) async fn wait(&self, now: impl Fn() -> Timestamp + Send + Sync) -> Exit {
        loop {
            if let Some(exit) = self.recorded() {
                return exit;
            }
            let request =
                services::WaitRequest { container_id: self.id.clone(), ..Default::default() };
            match self.client.waits().wait(call(request)).await {
                Ok(answer) => {
                    let answer = answer.into_inner();
                    let at = answer.exited_at.as_ref().and_then(time).unwrap_or_else(&now);
                    return self
                        .late_record()
                        .await
                        .unwrap_or_else(|| self.exit(answer.exit_status, at));
                }
                Err(status) if is_not_found(&status) => {
                    return self.late_record().await.unwrap_or_else(|| self.lost(now()));
                }
                Err(status) => {
                    // containerd is away, or the shim has just died: what follows from that shows.
                    debug!(id = self.id, message = plain(&status), "cannot wait for a task");
                    pause(AWAY_LOOK).await;
                }
            }
        }
    }

    /// The record of an end that is certain: it is written after the last line of the log.
    async fn late_record(&self) -> Option<Exit> {
        let wait = async {
            loop {
                match self.recorded() {
                    Some(exit) => return exit,
                    None => pause(RECORD_LOOK).await,
                }
            }
        };
        tokio::select! {
            exit = wait => Some(exit),
            () = pause(RECORD_TIMEOUT) => None,
        }
    }

    /// Sends a signal. One that is gone needs none.
    pub(super) async fn signal(&self, signal: u32) -> Result<(), Error> {
        let request = services::KillRequest {
            container_id: self.id.clone(),
            signal,
            ..services::KillRequest::default()
        };
        match self.client.tasks().kill(call(request)).await {
            Ok(_) => Ok(()),
            Err(status) if is_gone(&status) => Ok(()),
            Err(status) => Err(self.client.error("signal a container", &status)),
        }
    }

    /// Takes away what stands of it, in the reverse order: task, record, snapshot, directory.
    pub(super) async fn remove(&self) -> Result<(), Error> {
        let request = services::DeleteTaskRequest { container_id: self.id.clone() };
        gone(self.client.tasks().delete(call(request)).await)
            .map_err(|status| self.client.error("delete a task", &status))?;
        let request = services::DeleteContainerRequest { id: self.id.clone() };
        gone(self.client.containers().delete(call(request)).await)
            .map_err(|status| self.client.error("delete a container", &status))?;
        let request = snapshots::RemoveSnapshotRequest {
            snapshotter: self.shim.snapshotter.clone(),
            key: self.id.clone(),
        };
        gone(self.client.snapshots().remove(call(request)).await)
            .map_err(|status| self.client.error("remove a snapshot", &status))?;
        match fs::remove_dir_all(&self.dir) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(Error::Failed {
                attempt: "remove the state of a container",
                message: format!("{}: {error}", self.dir.display()),
            }),
            Ok(()) | Err(_) => Ok(()),
        }
    }

    /// The same, whatever it is doing; also the shim that a creation which was cut short has left.
    pub(super) async fn destroy(&self) -> Result<(), Error> {
        // A shim that does not answer is ended below.
        if let Err(away @ Error::Unreachable { .. }) = self.signal(SIGKILL).await {
            return Err(away);
        }
        let request = services::WaitRequest { container_id: self.id.clone(), ..Default::default() };
        let mut waits = self.client.waits();
        tokio::select! {
            // Whatever it answers, the task is deleted next.
            _ = waits.wait(call(request)) => {}
            () = pause(KILL_TIMEOUT) => warn!(id = self.id, "a task does not end although it was killed"),
        }
        let removed = self.remove().await;
        for shim in processes::shims(&self.id) {
            processes::kill(&shim);
        }
        processes::forget(&self.id);
        match removed {
            Ok(()) => Ok(()),
            Err(_) => self.remove().await,
        }
    }
}

/// Where the program may leave its last words: a file that any user may write.
/// <https://kubernetes.io/docs/tasks/debug/debug-application/determine-reason-pod-failure/>
fn make_termination_log(dir: &Path) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let file = fs::File::create(dir.join(TERMINATION_LOG))?;
    file.set_permissions(fs::Permissions::from_mode(0o666))
}

/// What is gone needs no removal.
pub(super) fn gone<T>(result: Result<T, Status>) -> Result<(), Status> {
    match result {
        Ok(_) => Ok(()),
        Err(status) if is_not_found(&status) => Ok(()),
        Err(status) => Err(status),
    }
}

fn is_gone(status: &Status) -> bool {
    is_not_found(status) || status.message().contains("process already finished")
}

fn retry(attempt: &'static str, status: &Status) -> Failure {
    Failure::Retry { message: format!("cannot {attempt}: {}", plain(status)) }
}

/// The directory of a task that containerd could not make, because it is there: only if it is this one's.
fn bundle_in_the_way(message: &str, id: &str) -> Option<PathBuf> {
    let (_, rest) = message.split_once("mkdir ")?;
    let (path, _) = rest.split_once(": file exists")?;
    let path = Path::new(path);
    let of_task =
        path.ends_with(Path::new("io.containerd.runtime.v2.task").join(NAMESPACE).join(id));
    (path.is_absolute() && of_task).then(|| path.to_owned())
}

/// What it means that a task could not be created or started. Nearly everything comes as "unknown", so
/// that the words have to tell.
fn failure(attempt: &'static str, status: &Status) -> Failure {
    /// The failure is of the moment, or of what an earlier try has left.
    const MOMENT: [&str; 5] = [
        "file exists",
        "failed to mount rootfs component",
        "does not exist: not found",
        "ttrpc: closed",
        "context canceled",
    ];
    /// What runs containers on this host is not as it should be.
    const HOST: [&str; 6] = [
        "unable to retrieve OCI runtime error",
        "binary not installed",
        "OCI runtime binary",
        "failed to create init process I/O",
        "failed to start shim",
        "failed to load cgroup",
    ];
    let message = plain(status);
    let says = |words: &[&str]| words.iter().any(|word| message.contains(word));
    // What the OCI runtime says is of the container; what comes before it is of the host, and so is a
    // runtime that could not be asked.
    let asked = !message.contains("unable to retrieve OCI runtime error");
    let of_container = asked
        && (message.contains("OCI runtime create failed")
            || message.contains("OCI runtime start failed"));
    let away = is_away(status) || already_exists(status) || is_not_found(status);
    if away || message.contains("no space left on device") || (!of_container && says(&MOMENT)) {
        return Failure::Retry { message: format!("cannot {attempt} the task: {message}") };
    }
    if !of_container && says(&HOST) {
        return Failure::Refused { reason: RefusedReason::CreateContainerError, message };
    }
    Failure::Start { message }
}

fn time(time: &prost_types::Timestamp) -> Option<Timestamp> {
    // A task that never ended tells the year 1.
    Timestamp::new(time.seconds, time.nanos).ok().filter(|at| *at > Timestamp::UNIX_EPOCH)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_is_not_there_is_a_failed_start() {
        let text = "failed to create task for container: failed to create shim task: OCI runtime create \
                    failed: runc create failed: unable to start container process: exec: \"nope\": \
                    executable file not found in $PATH: unknown";
        let Failure::Start { message } = failure("create", &Status::unknown(text)) else {
            panic!("it may be tried again")
        };
        assert!(message.ends_with("executable file not found in $PATH"), "{message}");
    }

    #[test]
    fn only_the_directory_of_the_task_itself_is_taken_out_of_the_way() {
        let state = "/run/containerd/io.containerd.runtime.v2.task/kiln";
        let message = format!("failed to start shim: mkdir {state}/u.a.0: file exists");
        let found = bundle_in_the_way(&message, "u.a.0");
        assert_eq!(found, Some(PathBuf::from(format!("{state}/u.a.0"))));
        assert_eq!(bundle_in_the_way(&message, "u.a.1"), None);
        assert_eq!(bundle_in_the_way("mkdir /etc/u.a.0: file exists", "u.a.0"), None);
        assert_eq!(bundle_in_the_way("ttrpc: closed", "u.a.0"), None);
    }

    #[test]
    fn what_is_of_the_moment_is_tried_again() {
        for text in [
            "failed to start shim: mkdir /run/x: file exists: unknown",
            "ttrpc: closed: unknown",
            "failed to mount rootfs component: no such file or directory",
        ] {
            let failure = failure("create", &Status::unknown(text));
            assert!(matches!(failure, Failure::Retry { .. }), "{text}");
        }
        let away = failure("create", &Status::unavailable("connection refused"));
        assert!(matches!(away, Failure::Retry { .. }));
    }

    #[test]
    fn a_runtime_that_is_not_installed_is_refused() {
        let text = "failed to start shim: failed to resolve runtime path: runtime \"io.containerd.nope.v1\" \
                    binary not installed \"containerd-shim-nope-v1\": file does not exist: unknown";
        let failure = failure("create", &Status::unknown(text));
        assert!(matches!(failure, Failure::Refused { .. }));
    }
}
