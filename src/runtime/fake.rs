//! A host that exists only in memory, for simulation.
//!
//! Owns: containers that end when a test says so, and the book of what was started. Must not know:
//! who drives it. It proves nothing about containerd.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use tokio::sync::watch;

use super::{Error, Executed, Found, PullError, Pulled, Pulls, Runtime, StartError};
use crate::api::object::Object;
use crate::api::references::Referred;
use crate::pod::{
    Cause, Container, Exit, Handler, ImageError, ImageReason, Instance, PullPolicy, Signal, State,
    Usage,
};

/// What is told of an instance of which nobody knows how it ended.
const LOST: i32 = 137;

/// The host. It outlives the engines that work with it.
pub struct Fake {
    now: Box<dyn Fn() -> Timestamp + Send + Sync>,
    host: Mutex<Host>,
    changes: watch::Sender<u64>,
    pulls: watch::Sender<Pulls>,
}

#[derive(Debug, Default)]
struct Host {
    pods: BTreeMap<String, Found>,
    names: BTreeMap<String, String>,
    starts: BTreeMap<(String, Instance), u32>,
    /// How each instance ended, of pods that are gone too.
    ends: BTreeMap<(String, Instance), i32>,
    /// Whether a start that is asked for again meets what runs under its name.
    unnamed: bool,
    missing_images: BTreeSet<String>,
    stubborn: bool,
    brief: bool,
    removals: Removals,
    /// The size of each pod's logs, by uid.
    logs: BTreeMap<String, u64>,
}

/// What becomes of what is to be removed.
#[derive(Debug, Clone, Copy, Default)]
pub enum Removals {
    #[default]
    Work,
    Fail,
    /// They are never answered.
    Hang,
}

impl std::fmt::Debug for Fake {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}", self.host())
    }
}

impl Fake {
    pub fn new(now: impl Fn() -> Timestamp + Send + Sync + 'static) -> Self {
        Self {
            now: Box::new(now),
            host: Mutex::default(),
            changes: watch::Sender::new(0),
            pulls: watch::Sender::new(Pulls::new()),
        }
    }

    fn host(&self) -> MutexGuard<'_, Host> {
        self.host.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn changed(&self) {
        self.changes.send_modify(|n| *n += 1);
    }

    /// The pods with a container that runs, by uid, with the instance; in order of pod name.
    pub fn running(&self) -> Vec<(String, Instance)> {
        let host = self.host();
        let mut running: Vec<_> = host
            .pods
            .iter()
            .flat_map(|(uid, found)| found.containers.iter().map(move |c| (uid, c)))
            .filter(|(_, (_, container))| matches!(container.state, State::Running { .. }))
            .map(|(uid, (instance, _))| (host.names.get(uid), uid.clone(), instance.clone()))
            .collect();
        running.sort();
        running.into_iter().map(|(_, uid, instance)| (uid, instance)).collect()
    }

    /// Ends an instance with this exit code.
    pub fn exit(&self, uid: &str, instance: &Instance, code: i32) {
        let finished_at = (self.now)();
        let mut guard = self.host();
        let host = &mut *guard;
        if let Some(found) = host.pods.get_mut(uid)
            && let Some(container) = found.containers.get_mut(instance)
            && let State::Running { started_at } = container.state
        {
            let started_at = Some(started_at);
            container.state = State::Exited(Exit {
                code,
                cause: Cause::Program,
                message: None,
                started_at,
                finished_at,
            });
            host.ends.insert((uid.to_owned(), instance.clone()), code);
        }
        drop(guard);
        self.changed();
    }

    /// Everything that runs is lost, as by a reboot; records of ends stay.
    pub fn reboot(&self) {
        let finished_at = (self.now)();
        let mut guard = self.host();
        let host = &mut *guard;
        for (uid, found) in &mut host.pods {
            for (instance, container) in &mut found.containers {
                let State::Running { started_at } = container.state else { continue };
                let (code, cause, started_at) = (LOST, Cause::Lost, Some(started_at));
                let exit = Exit { code, cause, message: None, started_at, finished_at };
                container.state = State::Exited(exit);
                host.ends.insert((uid.clone(), instance.clone()), code);
            }
        }
        drop(guard);
        self.changed();
    }

    /// How every instance ended that did, by the pod's uid.
    pub fn ends(&self) -> BTreeMap<(String, Instance), i32> {
        self.host().ends.clone()
    }

    /// How often an instance was started.
    pub fn starts(&self, uid: &str, instance: &Instance) -> u32 {
        self.host().starts.get(&(uid.to_owned(), instance.clone())).copied().unwrap_or(0)
    }

    /// Whether instances have names, by which a start that is asked for again meets the first one.
    pub fn set_named(&self, named: bool) {
        self.host().unnamed = !named;
    }

    /// From now on no registry has this image; or it has it again.
    pub fn set_missing(&self, image: &str, missing: bool) {
        let mut host = self.host();
        if missing {
            host.missing_images.insert(image.to_owned());
        } else {
            host.missing_images.remove(image);
        }
    }

    /// From now on no container ends because it is asked to; or they do again.
    pub fn set_stubborn(&self, stubborn: bool) {
        self.host().stubborn = stubborn;
    }

    /// From now on a container ends well as soon as it runs; or it runs on again.
    pub fn set_brief(&self, brief: bool) {
        self.host().brief = brief;
    }

    /// What becomes from now on of what is to be removed.
    pub fn set_removals(&self, removals: Removals) {
        self.host().removals = removals;
    }

    async fn removable(&self) -> Result<(), Error> {
        let removals = self.host().removals;
        match removals {
            Removals::Work => Ok(()),
            Removals::Fail => {
                Err(Error::Failed { attempt: "remove", message: "it is stuck".to_owned() })
            }
            Removals::Hang => std::future::pending().await,
        }
    }

    /// Instances that were started more than once. There must be none.
    pub fn doubled(&self) -> Vec<String> {
        let host = self.host();
        let doubled = host.starts.iter().filter(|(_, count)| **count > 1);
        doubled.map(|((uid, instance), count)| format!("{uid} {instance}: {count}")).collect()
    }

    /// The logs of this pod have so many bytes.
    pub fn write_log(&self, uid: &str, bytes: u64) {
        self.host().logs.insert(uid.to_owned(), bytes);
    }

    /// The uids of the pods that have logs.
    pub fn logs(&self) -> Vec<String> {
        self.host().logs.keys().cloned().collect()
    }

    /// How many pods have anything on the host.
    pub fn pods_left(&self) -> usize {
        self.host().pods.len()
    }
}

#[async_trait]
impl Runtime for Fake {
    async fn observe(&self) -> Result<BTreeMap<String, Found>, Error> {
        Ok(self.host().pods.clone())
    }

    async fn pull(&self, image: &str, _: PullPolicy, _: &Referred) -> Result<Pulled, PullError> {
        if self.host().missing_images.contains(image) {
            let message = format!("{image}: not found");
            let reason = ImageReason::ErrImagePull;
            return Err(PullError::Image(ImageError { reason, message }));
        }
        Ok(Pulled { id: format!("{image}@sha256:0"), transfer: None })
    }

    async fn create_sandbox(&self, pod: &Pod, _: &Referred) -> Result<Vec<String>, Error> {
        let mut host = self.host();
        host.names.insert(pod.uid().to_owned(), pod.name().to_owned());
        host.pods.entry(pod.uid().to_owned()).or_default().sandbox = true;
        Ok(Vec::new())
    }

    async fn update_volumes(&self, _: &Pod, _: &Referred) -> Result<(), Error> {
        Ok(())
    }

    async fn usage(&self, _: &Pod) -> Result<Usage, Error> {
        Ok(Usage::default())
    }

    async fn start(
        &self,
        pod: &Pod,
        instance: &Instance,
        _: &Referred,
    ) -> Result<Container, StartError> {
        let started_at = (self.now)();
        let mut host = self.host();
        let is_named = !host.unnamed;
        let found = host.pods.entry(pod.uid().to_owned()).or_default();
        if let Some(known) = found.containers.get(instance).filter(|_| is_named) {
            return Ok(known.clone());
        }
        let container = Container {
            id: format!("{}-{instance}", pod.uid()),
            image_id: String::new(),
            state: State::Running { started_at },
            signalled: None,
        };
        found.containers.insert(instance.clone(), container.clone());
        let brief = host.brief;
        *host.starts.entry((pod.uid().to_owned(), instance.clone())).or_default() += 1;
        drop(host);
        match brief {
            true => self.exit(pod.uid(), instance, 0),
            false => self.changed(),
        }
        Ok(container)
    }

    async fn wait(&self, pod: &Pod, instance: &Instance) -> Exit {
        let mut changes = self.changes.subscribe();
        loop {
            let known = self.host().pods.get(pod.uid()).cloned().unwrap_or_default();
            match known.containers.get(instance).map(|container| &container.state) {
                Some(State::Exited(exit)) => return exit.clone(),
                Some(State::Running { .. } | State::Refused { .. }) | None => {}
            }
            // The sender lives as long as this host.
            let _ = changes.changed().await;
        }
    }

    async fn exec(
        &self,
        _: &Pod,
        _: &Instance,
        _: &[String],
        _: Duration,
    ) -> Result<Executed, Error> {
        Ok(Executed::Exited { code: 0, output: String::new() })
    }

    async fn check(
        &self,
        _: &Pod,
        _: &Instance,
        _: &Handler,
        _: Duration,
    ) -> Result<Result<(), String>, Error> {
        Ok(Ok(()))
    }

    async fn signal(&self, pod: &Pod, instance: &Instance, signal: Signal) -> Result<(), Error> {
        let code = match signal {
            Signal::Stop if self.host().stubborn => return Ok(()),
            Signal::Stop => 143,
            Signal::Kill => 137,
        };
        self.exit(pod.uid(), instance, code);
        Ok(())
    }

    async fn remove(&self, pod: &Pod, instance: &Instance) -> Result<(), Error> {
        self.removable().await?;
        if let Some(found) = self.host().pods.get_mut(pod.uid()) {
            found.containers.remove(instance);
        }
        Ok(())
    }

    async fn remove_sandbox(&self, pod_uid: &str) -> Result<(), Error> {
        self.removable().await?;
        let mut host = self.host();
        host.pods.remove(pod_uid);
        host.names.remove(pod_uid);
        drop(host);
        Ok(())
    }

    async fn sweep(&self, live: &BTreeSet<String>) -> Result<Vec<String>, Error> {
        self.removable().await?;
        let mut host = self.host();
        let leftovers: Vec<String> =
            host.pods.keys().filter(|uid| !live.contains(*uid)).cloned().collect();
        leftovers.iter().for_each(|uid| drop(host.pods.remove(uid)));
        Ok(leftovers)
    }

    async fn claims(&self) -> Result<BTreeSet<String>, Error> {
        Ok(BTreeSet::new())
    }

    async fn remove_claim(&self, _: &str) -> Result<(), Error> {
        Ok(())
    }

    async fn log_bytes(&self, pod: &Pod) -> Result<u64, Error> {
        Ok(self.host().logs.get(pod.uid()).copied().unwrap_or(0))
    }

    async fn remove_logs(&self, pod: &Pod) -> Result<(), Error> {
        self.host().logs.remove(pod.uid());
        Ok(())
    }

    fn pulls(&self) -> watch::Receiver<Pulls> {
        self.pulls.subscribe()
    }
}
