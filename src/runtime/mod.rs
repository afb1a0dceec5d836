//! The container runtime, in the words of pods.
//!
//! Owns: everything that touches containerd, registries, cgroups, namespaces and log files.
//! Must not know: Jobs, the store, the engine, or why something is to be done.

mod accounts;
mod adaptor;
mod cgroups;
mod check;
pub mod containerd;
mod exec;
pub mod fake;
mod host;
pub mod image;
pub mod inspect;
mod inventory;
mod last_words;
mod layout;
pub mod logs;
pub mod managed;
mod namespaces;
mod netlink;
mod network;
mod pause;
mod pod_cgroup;
mod processes;
mod sandbox;
mod seccomp_files;
pub mod spec;
mod start;
mod storage;
mod task;
mod volumes;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;

pub use self::adaptor::{Containerd, Now, Settings};
pub use self::host::has_apparmor;
pub use self::network::{Network, Plugins, State, host_addresses};
use crate::api::references::Referred;
use crate::pod::{
    Container, Exit, Handler, ImageError, Instance, PullPolicy, RefusedReason, Signal, Usage,
};

/// What a pod's containers can be asked for. Every verb is idempotent: done twice is done once, and
/// what is gone already is success.
#[async_trait]
pub trait Runtime: Send + Sync + 'static {
    /// Everything that stands under this engine's names, by the pod's uid: running containers and
    /// ended ones whose record or task is still there. For adoption after a restart of the engine.
    async fn observe(&self) -> Result<BTreeMap<String, Found>, Error>;

    /// Makes sure that an image is there and unpacked. Pulls of the same image share one transfer.
    async fn pull(
        &self,
        image: &str,
        policy: PullPolicy,
        referred: &Referred,
    ) -> Result<Pulled, PullError>;

    /// Makes what the pod's containers share. Answers the pod's addresses, if it has any.
    async fn create_sandbox(&self, pod: &Pod, referred: &Referred) -> Result<Vec<String>, Error>;

    /// Makes the volumes of a pod that runs say what they are made from now.
    async fn update_volumes(&self, pod: &Pod, referred: &Referred) -> Result<(), Error>;

    /// How much the pod has written to this host's disk.
    async fn usage(&self, pod: &Pod) -> Result<Usage, Error>;

    /// Creates and starts one instance; one that runs, or ran, is answered as it is.
    async fn start(
        &self,
        pod: &Pod,
        instance: &Instance,
        referred: &Referred,
    ) -> Result<Container, StartError>;

    /// Waits until an instance that was started has ended. Waits out a containerd that is away.
    async fn wait(&self, pod: &Pod, instance: &Instance) -> Exit;

    /// Runs a program in an instance that runs, to its end or for so long at most.
    async fn exec(
        &self,
        pod: &Pod,
        instance: &Instance,
        command: &[String],
        timeout: Duration,
    ) -> Result<Executed, Error>;

    /// Asks an instance that runs. The inner error is its answer, the outer one says that it could not be
    /// asked.
    async fn check(
        &self,
        pod: &Pod,
        instance: &Instance,
        handler: &Handler,
        timeout: Duration,
    ) -> Result<Result<(), String>, Error>;

    async fn signal(&self, pod: &Pod, instance: &Instance, signal: Signal) -> Result<(), Error>;

    /// Deletes task, exit record, container and snapshot of an instance that has ended.
    async fn remove(&self, pod: &Pod, instance: &Instance) -> Result<(), Error>;

    /// Removes whatever the pod still has on this host. The logs stay.
    async fn remove_sandbox(&self, pod_uid: &str) -> Result<(), Error>;

    /// Removes whatever stands under this engine's names for pods that are not in `live`, also what
    /// containerd no longer lists. Answers what it removed, a line each; or, when it has tried all, why
    /// the first of those failed that did.
    async fn sweep(&self, live: &BTreeSet<String>) -> Result<Vec<String>, Error>;

    /// How many bytes the logs of a pod have on this host.
    async fn log_bytes(&self, pod: &Pod) -> Result<u64, Error>;

    /// Deletes the logs of a pod of which nothing is left but them.
    async fn remove_logs(&self, pod: &Pod) -> Result<(), Error>;

    /// The claims that have a directory on this host, by their uids.
    async fn claims(&self) -> Result<BTreeSet<String>, Error>;

    /// Deletes the directory of a claim, and all that is in it.
    async fn remove_claim(&self, uid: &str) -> Result<(), Error>;

    /// The pulls that go on now, latest state wins.
    fn pulls(&self) -> tokio::sync::watch::Receiver<Pulls>;
}

/// What is found of one pod.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Found {
    pub sandbox: bool,
    pub ips: Vec<String>,
    pub containers: BTreeMap<Instance, Container>,
}

/// How a program ended that was run in a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Executed {
    Exited {
        code: i32,
        /// The end of what it wrote.
        output: String,
    },
    /// It could not be started.
    NotStarted {
        message: String,
    },
    TimedOut,
}

/// An image that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pulled {
    /// `<repository>@<digest>`.
    pub id: String,
    /// How much was fetched, and how long it took; `None` where no registry was asked.
    pub transfer: Option<Transfer>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transfer {
    pub bytes: u64,
    pub took: std::time::Duration,
    /// Including the time spent waiting for its turn.
    pub took_with_wait: std::time::Duration,
}

/// Progress of pulls: by image, then by layer in order.
pub type Pulls = BTreeMap<String, PullProgress>;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PullProgress {
    pub since: Timestamp,
    pub layers: Vec<LayerProgress>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LayerProgress {
    /// `sha256:...`
    pub digest: String,
    pub phase: LayerPhase,
    /// Bytes that are here.
    pub offset: u64,
    /// Bytes in all.
    pub total: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LayerPhase {
    Waiting,
    Downloading,
    Downloaded,
    Unpacking,
    Done,
}

/// Why an instance was not started.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum StartError {
    /// Nothing ran; the same attempt may be tried again later.
    #[error("{message}")]
    Refused { reason: RefusedReason, message: String },
    /// The container runtime is away or the failure is of the moment: try again soon.
    #[error("{message}")]
    Retry { message: String },
}

/// Why an image could not be had.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PullError {
    #[error("{}", .0.message)]
    Image(ImageError),
    /// The container runtime is away or the failure is of the moment: try again soon.
    #[error("{message}")]
    Retry { message: String },
}

/// What went wrong between kiln and the container runtime.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("containerd at `{address}` cannot be reached: {message}")]
    Unreachable { address: String, message: String },
    #[error("containerd at `{address}` cannot be used: {message}")]
    TooOld { address: String, message: String },
    /// A volume cannot be had.
    #[error("{message}")]
    Volume { message: String },
    /// What the pod claims is not there.
    #[error("{message}")]
    Claim { message: String },
    /// Another pod has a port of the host that this one asks for.
    #[error("1 node(s) didn't have free ports for the requested pod ports")]
    PortsTaken,
    #[error("cannot {attempt}: {message}")]
    Failed { attempt: &'static str, message: String },
}
