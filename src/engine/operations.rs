//! What a pod's worker has begun and what came of it.
//!
//! Owns: carrying out the actions of a pod that take time, within the engine's bounds, and turning
//! their ends into facts. Must not know: what is to be done next.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use tokio::sync::{Semaphore, SemaphorePermit};
use tracing::{Instrument, debug_span};

use super::clock::later;
use super::metrics::took;
use super::objects::unread;
use super::{Shared, objects};
use crate::api::event::Note;
use crate::pod::{
    Action, Check, Checked, Container, Exit, Handler, Image, Instance, Lack, Measured, Observed,
    Operation, Sandbox, Signal, State, Usage,
};
use crate::runtime::{self, PullError, Pulled, StartError};

/// How long an operation that failed for a reason of the moment waits; doubles with each failure.
const RETRY_FIRST: Duration = Duration::from_millis(100);
/// Where the doubling ends.
const RETRY_MAX: Duration = Duration::from_secs(5);

/// How many different troubles are told of one pod: a message may say something new each time.
const TROUBLES_MAX: usize = 10;

/// What runs in a worker.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Task {
    /// Something that was begun and ends by itself.
    Operation(Operation),
    /// A wait for the end of an instance.
    Wait(Instance),
}

/// What became of a task.
#[derive(Debug)]
pub(super) enum Fact {
    Pulled {
        image: String,
        /// The Secrets to pull with that are not there.
        missing: Vec<String>,
        result: Result<Pulled, PullError>,
    },
    SandboxMade(Result<Vec<String>, runtime::Error>),
    VolumesUpdated(Result<(), runtime::Error>),
    Measured {
        at: Timestamp,
        result: Result<Usage, runtime::Error>,
    },
    Started(Instance, Result<Container, StartError>),
    Exited(Instance, Exit),
    Signalled {
        instance: Instance,
        signal: Signal,
        at: Timestamp,
        result: Result<(), runtime::Error>,
    },
    Checked {
        instance: Instance,
        check: Check,
        at: Timestamp,
        result: Result<Result<(), String>, runtime::Error>,
    },
    Removed(Instance, Result<(), runtime::Error>),
    SandboxRemoved(Result<(), runtime::Error>),
    /// The engine stops: it was not begun.
    NotBegun,
}

/// When an operation may be tried again.
#[derive(Debug, Clone, Copy)]
pub(super) struct Retry {
    failures: u32,
    pub(super) at: Timestamp,
}

impl Retry {
    pub(super) fn after(before: Option<Self>, now: Timestamp) -> Self {
        let failures = before.map_or(0, |retry| retry.failures).saturating_add(1);
        let doubled = RETRY_FIRST.saturating_mul(2u32.saturating_pow(failures - 1));
        Self { failures, at: later(now, doubled.min(RETRY_MAX)) }
    }
}

/// What was told of a pod's operations that fail again and again. Each is told once, so that a runtime
/// that is away for an hour does not fill the store.
#[derive(Debug, Default)]
pub(super) struct Troubles(Vec<Note>);

impl Troubles {
    /// What is to be told of an operation that failed again: nothing that was told before.
    pub(super) fn add(&mut self, pod: &Pod, operation: &Operation, why: String) -> Option<Note> {
        let note = trouble(pod, operation, why);
        if self.0.len() >= TROUBLES_MAX || self.0.contains(&note) {
            return None;
        }
        self.0.push(note.clone());
        Some(note)
    }
}

/// As near to the kubelet's words as may be.
fn trouble(pod: &Pod, operation: &Operation, why: String) -> Note {
    let about = |instance: &Instance, note: Note| {
        let inits = pod.spec.iter().flat_map(|spec| spec.init_containers.iter().flatten());
        match inits.map(|init| &init.name).any(|name| *name == instance.container) {
            true => note.about_init(&instance.container),
            false => note.about(&instance.container),
        }
    };
    match operation {
        Operation::Pull(image) => {
            Note::warning("Failed", format!("Failed to pull image \"{image}\": {why}"))
        }
        Operation::CreateSandbox => Note::warning("FailedCreatePodSandBox", why),
        Operation::UpdateVolumes => Note::warning("FailedMount", why),
        Operation::Measure => Note::warning("FailedMeasurement", why),
        Operation::Start(instance) => {
            about(instance, Note::warning("Failed", format!("Error: {why}")))
        }
        Operation::Check(instance, _) => {
            about(instance, Note::warning("Unhealthy", format!("Probe errored: {why}")))
        }
        Operation::Signal(instance, _) | Operation::Remove(instance) => {
            let text = format!("error killing container: {why}");
            about(instance, Note::warning("FailedKillPod", text))
        }
        Operation::RemoveSandbox => {
            Note::warning("FailedKillPod", format!("error killing pod: {why}"))
        }
    }
}

/// What is to be told of how something ended, besides what becomes of it.
pub(super) fn aside(fact: &Fact) -> Option<Note> {
    let Fact::Pulled { missing, .. } = fact else { return None };
    let names = missing.join(", ");
    (!missing.is_empty()).then(|| {
        let text = format!(
            "Unable to retrieve some image pull secrets ({names}); attempting to pull the image may not \
             succeed."
        );
        Note::warning("FailedToRetrieveImagePullSecret", text)
    })
}

/// The operation that an action begins; `None` for what is only written.
pub(super) fn operation(action: &Action) -> Option<Operation> {
    match action {
        Action::Pull { image, .. } => Some(Operation::Pull(image.clone())),
        Action::CreateSandbox => Some(Operation::CreateSandbox),
        Action::UpdateVolumes => Some(Operation::UpdateVolumes),
        Action::Measure => Some(Operation::Measure),
        Action::Start(instance) => Some(Operation::Start(instance.clone())),
        Action::Signal { instance, signal } => Some(Operation::Signal(instance.clone(), *signal)),
        Action::Check { instance, check } => Some(Operation::Check(instance.clone(), *check)),
        Action::Remove(instance) => Some(Operation::Remove(instance.clone())),
        Action::RemoveSandbox => Some(Operation::RemoveSandbox),
        Action::ReleasePod | Action::Tell(_) => None,
    }
}

/// Whether an action does no harm before the record that comes with it is stored: what it leaves on
/// the host is found again under the pod's names, and no exit is forgotten by it.
pub(super) fn may_precede_the_record(action: &Action) -> bool {
    match action {
        Action::Pull { .. }
        | Action::CreateSandbox
        | Action::UpdateVolumes
        | Action::Measure
        | Action::Signal { .. }
        | Action::Check { .. } => true,
        Action::Start(instance) => instance.attempt == 0,
        Action::Remove(_) | Action::RemoveSandbox | Action::ReleasePod | Action::Tell(_) => false,
    }
}

/// Carries an action out.
pub(super) async fn perform(shared: Arc<Shared>, pod: Arc<Pod>, action: Action) -> Fact {
    let span = debug_span!("operation", action = ?action);
    let (begun, operation) = (shared.clock.now(), operation(&action));
    let fact = carry_out(Arc::clone(&shared), pod, action).instrument(span).await;
    if let Fact::Pulled { result, .. } = &fact {
        shared.metrics.pulled(result);
    }
    if let (Some(operation), Some(is_done)) = (operation, is_done(&fact)) {
        shared.metrics.performed(&operation, is_done, took(begun, shared.clock.now()));
    }
    fact
}

/// Whether what was begun was done; `None`: it was not begun.
fn is_done(fact: &Fact) -> Option<bool> {
    match fact {
        Fact::Pulled { result, .. } => Some(result.is_ok()),
        Fact::Started(_, result) => Some(result.is_ok()),
        Fact::SandboxMade(result) => Some(result.is_ok()),
        Fact::Checked { result, .. } => Some(result.is_ok()),
        Fact::Measured { result, .. } => Some(result.is_ok()),
        Fact::Signalled { result, .. }
        | Fact::Removed(_, result)
        | Fact::VolumesUpdated(result)
        | Fact::SandboxRemoved(result) => Some(result.is_ok()),
        Fact::Exited(..) | Fact::NotBegun => None,
    }
}

async fn carry_out(shared: Arc<Shared>, pod: Arc<Pod>, action: Action) -> Fact {
    let (runtime, now) = (&shared.runtime, shared.clock.now());
    match action {
        Action::Pull { image, policy } => match objects::read_all(&shared.store, &pod).await {
            Ok((referred, missing)) => {
                let result = runtime.pull(&image, policy, &referred).await;
                Fact::Pulled { image, missing, result }
            }
            Err(error) => {
                let result = Err(PullError::Retry { message: unread(&error).to_string() });
                Fact::Pulled { image, missing: Vec::new(), result }
            }
        },
        Action::CreateSandbox => {
            let Some(_turn) = turn(&shared.starts).await else { return Fact::NotBegun };
            let made = match objects::read_claimed(&shared.store, &pod).await {
                Ok(referred) => runtime.create_sandbox(&pod, &referred).await,
                Err(error) => Err(error),
            };
            Fact::SandboxMade(made)
        }
        Action::UpdateVolumes => {
            let updated = match objects::read(&shared.store, &pod).await {
                Ok(referred) => runtime.update_volumes(&pod, &referred).await,
                Err(error) => Err(unread(&error)),
            };
            Fact::VolumesUpdated(updated)
        }
        Action::Measure => Fact::Measured { at: now, result: runtime.usage(&pod).await },
        Action::Start(instance) => {
            let Some(_turn) = turn(&shared.starts).await else { return Fact::NotBegun };
            let result = match objects::read_all(&shared.store, &pod).await {
                Ok((referred, _)) => runtime.start(&pod, &instance, &referred).await,
                Err(error) => Err(StartError::Retry { message: unread(&error).to_string() }),
            };
            Fact::Started(instance, result)
        }
        Action::Signal { instance, signal } => {
            let result = runtime.signal(&pod, &instance, signal).await;
            Fact::Signalled { instance, signal, at: now, result }
        }
        Action::Check { instance, check } => {
            let result = ask(&shared, &pod, &instance, check).await;
            Fact::Checked { instance, check, at: now, result }
        }
        Action::Remove(instance) => {
            let Some(_turn) = turn(&shared.removals).await else { return Fact::NotBegun };
            let result = runtime.remove(&pod, &instance).await;
            Fact::Removed(instance, result)
        }
        Action::RemoveSandbox => {
            let Some(_turn) = turn(&shared.removals).await else { return Fact::NotBegun };
            let uid = pod.metadata.uid.as_deref().unwrap_or_default();
            Fact::SandboxRemoved(runtime.remove_sandbox(uid).await)
        }
        Action::ReleasePod | Action::Tell(_) => Fact::NotBegun,
    }
}

/// Asks a container that runs.
async fn ask(
    shared: &Shared,
    pod: &Pod,
    instance: &Instance,
    check: Check,
) -> Result<Result<(), String>, runtime::Error> {
    let mut all = crate::api::pod::all_containers(pod);
    let container = all.find(|container| container.name == instance.container);
    let Some((container, handler)) = container.and_then(|c| Some((c, check.handler(c)?))) else {
        return Ok(Ok(()));
    };
    let timeout = check.timeout(pod, container);
    match handler {
        Handler::Sleep(time) => {
            shared.clock.sleep(time.min(timeout)).await;
            Ok(Ok(()))
        }
        Handler::Exec(_) | Handler::Http(_) | Handler::Tcp { .. } | Handler::Grpc { .. } => {
            shared.runtime.check(pod, instance, &handler, timeout).await
        }
    }
}

/// Waits for an instance to end.
pub(super) async fn wait(shared: Arc<Shared>, pod: Arc<Pod>, instance: Instance) -> Fact {
    let exit = shared.runtime.wait(&pod, &instance).await;
    Fact::Exited(instance, exit)
}

/// `None` once the engine stops.
async fn turn(semaphore: &Semaphore) -> Option<SemaphorePermit<'_>> {
    semaphore.acquire().await.ok()
}

/// Adds a fact to what is known. Answers why the operation is to be tried again soon, if so.
pub(super) fn learn(
    observed: &mut Observed,
    pod: &Pod,
    fact: Fact,
    now: Timestamp,
) -> Result<(), String> {
    match fact {
        Fact::NotBegun => Ok(()),
        Fact::Pulled { image, result, .. } => learn_image(observed, image, result, now),
        Fact::SandboxMade(Ok(ips)) => {
            observed.sandbox = Sandbox::Ready { ips };
            Ok(())
        }
        Fact::SandboxMade(Err(runtime::Error::Failed { attempt, message })) => {
            lack(observed, Lack::Sandbox, format!("cannot {attempt}: {message}"), now);
            Ok(())
        }
        Fact::SandboxMade(Err(runtime::Error::Volume { message })) => {
            lack(observed, Lack::Volume, message, now);
            Ok(())
        }
        Fact::SandboxMade(Err(error @ runtime::Error::PortsTaken)) => {
            lack(observed, Lack::Ports, format!("0/1 nodes are available: {error}."), now);
            Ok(())
        }
        Fact::SandboxMade(Err(error @ runtime::Error::Claim { .. })) => {
            lack(observed, Lack::Claim, format!("0/1 nodes are available: {error}."), now);
            Ok(())
        }
        Fact::Measured { at, result: Ok(usage) } => {
            observed.storage = Some(Measured { at, usage });
            Ok(())
        }
        Fact::VolumesUpdated(result) => {
            observed.needs.are_stale |= result.is_err();
            result.map_err(|error| error.to_string())
        }
        Fact::Started(instance, result) => learn_start(observed, pod, instance, result, now),
        Fact::Exited(instance, exit) => {
            if let Some(container) = observed.containers.get_mut(&instance) {
                container.state = State::Exited(exit);
            }
            Ok(())
        }
        Fact::Signalled { instance, signal, at, result: Ok(()) } => {
            if let Some(container) = observed.containers.get_mut(&instance)
                && container.signalled.is_none_or(|(sent, _)| sent < signal)
            {
                container.signalled = Some((signal, at));
            }
            Ok(())
        }
        Fact::Checked { instance, check, at, result: Ok(result) } => {
            learn_answer(observed, (instance, check), at, result);
            Ok(())
        }
        Fact::Removed(instance, Ok(())) => {
            observed.checks.retain(|(known, _), _| *known != instance);
            observed.containers.remove(&instance);
            Ok(())
        }
        Fact::SandboxRemoved(Ok(())) => {
            observed.sandbox = Sandbox::Absent;
            observed.containers.clear();
            observed.checks.clear();
            Ok(())
        }
        Fact::SandboxMade(Err(error))
        | Fact::Measured { result: Err(error), .. }
        | Fact::Signalled { result: Err(error), .. }
        | Fact::Checked { result: Err(error), .. }
        | Fact::Removed(_, Err(error))
        | Fact::SandboxRemoved(Err(error)) => Err(error.to_string()),
    }
}

fn lack(observed: &mut Observed, lack: Lack, message: String, now: Timestamp) {
    let failures = match observed.sandbox {
        Sandbox::Failed { failures, .. } => failures.saturating_add(1),
        Sandbox::Absent | Sandbox::Ready { .. } => 1,
    };
    observed.sandbox = Sandbox::Failed { lack, message, at: now, failures };
}

fn learn_answer(
    observed: &mut Observed,
    asked: (Instance, Check),
    at: Timestamp,
    result: Result<(), String>,
) {
    let before = observed.checks.get(&asked);
    let answers = match result {
        Ok(()) => {
            let successes = before.map_or(0, |known| known.successes).saturating_add(1);
            Checked { successes, failures: 0, at, message: String::new() }
        }
        Err(message) => {
            let failures = before.map_or(0, |known| known.failures).saturating_add(1);
            Checked { successes: 0, failures, at, message }
        }
    };
    observed.checks.insert(asked, answers);
}

fn learn_image(
    observed: &mut Observed,
    image: String,
    result: Result<Pulled, PullError>,
    now: Timestamp,
) -> Result<(), String> {
    let known = match result {
        Ok(pulled) => {
            let note = note(&image, &pulled);
            Image::Present { id: pulled.id, note: Some(note) }
        }
        Err(PullError::Image(error)) => {
            let failures = match observed.images.get(&image) {
                Some(Image::Failed { failures, .. }) => failures.saturating_add(1),
                Some(Image::Present { .. }) | None => 1,
            };
            Image::Failed { error, at: now, failures }
        }
        Err(PullError::Retry { message }) => return Err(message),
    };
    observed.images.insert(image, known);
    Ok(())
}

/// As the kubelet words it, for what people search for.
fn note(image: &str, pulled: &Pulled) -> String {
    let Some(transfer) = &pulled.transfer else {
        return format!("Container image \"{image}\" already present on machine");
    };
    let (took, with_wait) = (seconds(transfer.took), seconds(transfer.took_with_wait));
    let text =
        format!("Successfully pulled image \"{image}\" in {took} ({with_wait} including waiting)");
    match transfer.bytes {
        // The registry was asked, and all of it was here.
        0 => text,
        bytes => format!("{text}. Image size: {bytes} bytes."),
    }
}

fn seconds(time: Duration) -> String {
    match time.as_millis() {
        millis @ 0..1000 => format!("{millis}ms"),
        millis => format!("{}.{:03}s", millis / 1000, millis % 1000),
    }
}

fn learn_start(
    observed: &mut Observed,
    pod: &Pod,
    instance: Instance,
    result: Result<Container, StartError>,
    now: Timestamp,
) -> Result<(), String> {
    let container = match result {
        Ok(container) => container,
        Err(StartError::Refused { reason, message }) => {
            let failures = match observed.containers.get(&instance).map(|known| &known.state) {
                Some(State::Refused { failures, .. }) => failures.saturating_add(1),
                Some(State::Running { .. } | State::Exited(_)) | None => 1,
            };
            let state = State::Refused { reason, message, at: now, failures };
            Container { id: String::new(), image_id: String::new(), state, signalled: None }
        }
        Err(StartError::Retry { message }) => return Err(message),
    };
    forget_image(observed, pod, &instance);
    observed.containers.insert(instance, container);
    Ok(())
}

/// Under the policy `Always` every start asks the registry again.
/// <https://kubernetes.io/docs/concepts/containers/images/#image-pull-policy>
fn forget_image(observed: &mut Observed, pod: &Pod, instance: &Instance) {
    let mut all = crate::api::pod::all_containers(pod);
    if let Some(container) = all.find(|container| container.name == instance.container)
        && container.image_pull_policy.as_deref() == Some("Always")
        && let Some(image) = &container.image
    {
        observed.images.remove(image);
    }
}
