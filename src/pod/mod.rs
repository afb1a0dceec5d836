//! The pod's rules: what a kubelet decides.
//!
//! Owns: which container runs next, when it is restarted or stopped, and what the pod's status says.
//! Must not know: the store, containerd, tokio, the clock. What the runtime sees is an argument,
//! [`Observed`]; what is to be done is a [`Plan`]. The rules are those of
//! <https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/>.

mod admission;
mod check;
mod images;
mod order;
mod reconcile;
mod restart;
mod standing;
mod status;
mod stop;
mod storage;
mod timer;

#[cfg(test)]
mod cases;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::PodStatus;

use crate::api::event::Note;

pub use check::{Check, Checked, Handler, HttpGet};
pub use reconcile::reconcile;

/// What should happen to a pod next.
pub type Plan = crate::plan::Plan<Action, Record>;

/// What the pod says of itself from now on.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    pub status: PodStatus,
    pub ledger: Ledger,
}

/// What a pod has to remember beside its status: the restart back-off of each container that was
/// restarted. Kept as an annotation of the pod.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ledger {
    pub restarts: BTreeMap<String, Backoff>,
}

/// How long the next restart has to wait, and since when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    pub delay: Duration,
    /// When the delay was last advanced.
    pub advanced_at: Timestamp,
}

/// One start of one container of the pod.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instance {
    pub container: String,
    /// The container's restart count at this start: 0, 1, 2...
    pub attempt: u32,
}

impl fmt::Display for Instance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}#{}", self.container, self.attempt)
    }
}

/// What is known of a pod outside the store. Facts only, no intentions.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Observed {
    pub sandbox: Sandbox,
    /// By the reference in the pod's spec.
    pub images: BTreeMap<String, Image>,
    pub containers: BTreeMap<Instance, Container>,
    pub needs: Needs,
    /// What the pod had written when it was last looked at.
    pub storage: Option<Measured>,
    /// What was asked of containers that run.
    pub checks: BTreeMap<(Instance, Check), Checked>,
    /// Actions that were begun and have not ended.
    pub in_flight: BTreeSet<Operation>,
}

/// What is known of the objects that a pod is made from, besides itself: ConfigMaps, Secrets.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Needs {
    /// When the last change of any of them was seen.
    pub changed_at: Option<Timestamp>,
    /// Whether volumes may say what is not so any more.
    pub are_stale: bool,
}

/// How much a pod had written to the host's disk, and when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Measured {
    pub at: Timestamp,
    pub usage: Usage,
}

/// Bytes on the host's disk.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Usage {
    /// In each directory that is the pod's own, by the volume's name.
    pub volumes: BTreeMap<String, u64>,
    /// What each container has changed of its image, with its logs.
    pub containers: BTreeMap<String, u64>,
}

/// What the containers of a pod share: namespaces, addresses, directories, the pod's cgroup.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Sandbox {
    #[default]
    Absent,
    Ready {
        /// The pod's addresses; none without a network.
        ips: Vec<String>,
    },
    /// It could not be made.
    Failed { lack: Lack, message: String, at: Timestamp, failures: u32 },
}

/// What a pod lacks to start its containers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lack {
    Sandbox,
    Volume,
    /// Ports of the host.
    Ports,
    /// Storage that it claims.
    Claim,
}

impl Lack {
    /// The reason of the event that tells of it.
    fn event(self) -> &'static str {
        match self {
            Self::Sandbox => "FailedCreatePodSandBox",
            Self::Volume => "FailedMount",
            Self::Ports | Self::Claim => "FailedScheduling",
        }
    }
}

/// What is known of an image that the pod needs.
#[derive(Debug, Clone, PartialEq)]
pub enum Image {
    /// Pulled, or found, at this time, for this pod.
    Present {
        /// The digest reference for `imageID`.
        id: String,
        /// What to tell of it, if it was news: `Successfully pulled image...`.
        note: Option<String>,
    },
    Failed {
        error: ImageError,
        at: Timestamp,
        failures: u32,
    },
}

/// Why an image cannot be had.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageError {
    pub reason: ImageReason,
    /// For people: what the registry answered, and what to do.
    pub message: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ImageReason {
    ErrImagePull,
    InvalidImageName,
    ErrImageNeverPull,
}

/// One container instance that the runtime knows, or knew.
#[derive(Debug, Clone, PartialEq)]
pub struct Container {
    /// The id in containerd, without `containerd://`.
    pub id: String,
    /// The image as the spec names it, and its digest reference.
    pub image_id: String,
    pub state: State,
    /// The strongest signal sent so far, and when it was first sent.
    pub signalled: Option<(Signal, Timestamp)>,
}

/// What became of a container instance.
#[derive(Debug, Clone, PartialEq)]
pub enum State {
    /// It could not be created: nothing ran, and the same attempt may be tried again.
    Refused {
        reason: RefusedReason,
        message: String,
        at: Timestamp,
        failures: u32,
    },
    Running {
        started_at: Timestamp,
    },
    Exited(Exit),
}

/// Why a container could not even be created.
/// <https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#container-state-waiting>
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefusedReason {
    CreateContainerConfigError,
    CreateContainerError,
}

/// How a container instance ended.
#[derive(Debug, Clone, PartialEq)]
pub struct Exit {
    /// 0-255; 128 + n for signal n; 128 when it could not be started; 137 when it was lost.
    pub code: i32,
    pub cause: Cause,
    /// What it left to be read, or what stands in for that.
    pub message: Option<String>,
    pub started_at: Option<Timestamp>,
    pub finished_at: Timestamp,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cause {
    /// The program ended, or a signal ended it.
    Program,
    /// The kernel killed it for want of memory.
    OomKilled,
    /// The program ended by itself, but the kernel had killed another of its processes for want of memory.
    ChildOomKilled,
    /// The runtime could not start the program.
    StartError { message: String },
    /// Record, task and process are all gone; nobody knows how it ended.
    Lost,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Signal {
    /// The image's stop signal, or SIGTERM.
    Stop,
    /// SIGKILL.
    Kill,
}

/// One step of a plan.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// Make sure that the image is there.
    Pull {
        image: String,
        policy: PullPolicy,
    },
    /// Make what the containers share.
    CreateSandbox,
    /// Make the volumes say again what they are made from.
    UpdateVolumes,
    /// Look how much the pod has written.
    Measure,
    /// Create and start this instance.
    Start(Instance),
    Signal {
        instance: Instance,
        signal: Signal,
    },
    /// Ask this of a container that runs.
    Check {
        instance: Instance,
        check: Check,
    },
    /// The exit is committed: delete task, container and snapshot.
    Remove(Instance),
    /// Take the sandbox away, and whatever else the pod still has on the host.
    RemoveSandbox,
    /// The pod is deleted and nothing of it is left on the host: let its object go.
    ReleasePod,
    /// Tell what happened to the pod.
    Tell(Note),
}

/// The name of an action that takes time, to see that it is not begun twice.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Operation {
    Pull(String),
    CreateSandbox,
    UpdateVolumes,
    Measure,
    Start(Instance),
    Signal(Instance, Signal),
    Check(Instance, Check),
    Remove(Instance),
    RemoveSandbox,
}

/// <https://kubernetes.io/docs/concepts/containers/images/#image-pull-policy>
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PullPolicy {
    Always,
    IfNotPresent,
    Never,
}

/// The numbers that an operator may change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rules {
    /// How long the second restart of a container waits; doubles with each further one.
    pub restart_backoff_first: Duration,
    /// Where the doubling ends. A container that ran for twice as long starts over.
    pub restart_backoff_max: Duration,
    /// The same for pulls that failed.
    pub pull_backoff_first: Duration,
    pub pull_backoff_max: Duration,
    /// The name of this host, for `spec.nodeName` and events.
    pub node_name: String,
    /// The addresses of this host, for `status.hostIPs`.
    pub host_ips: Vec<String>,
    /// Whether this host has AppArmor.
    pub apparmor: bool,
}

impl Default for Rules {
    /// <https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#container-restarts>
    fn default() -> Self {
        Self {
            restart_backoff_first: Duration::from_secs(10),
            restart_backoff_max: Duration::from_secs(300),
            pull_backoff_first: Duration::from_secs(10),
            pull_backoff_max: Duration::from_secs(300),
            node_name: "localhost".to_owned(),
            host_ips: Vec::new(),
            apparmor: false,
        }
    }
}
