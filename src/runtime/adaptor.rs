//! The runtime on containerd.
//!
//! Owns: putting together what the other files of this layer know: images, specs, sandboxes and tasks.
//! Must not know: why something is to be done.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use tokio::sync::watch;
use tokio_util::task::TaskTracker;

use super::accounts::AccountsOf;
use super::cgroups::Cgroups;
use super::containerd::Client;
use super::image::{self, Images, Logins};
use super::inventory;
use super::layout::{Layout, container_id};
use super::network::{Network, Networks};
use super::pause::pause;
use super::sandbox;
use super::spec::{Host, Origin, pod_limits};
use super::start::wanted;
use super::task::{Found as Standing, Shim, TERMINATION_LOG, Task};
use super::{
    Error, Executed, Found, PullError, Pulled, Pulls, Runtime, StartError, check, last_words, logs,
    namespaces, volumes,
};
use crate::api::object::Object;
use crate::api::references::Referred;
use crate::pod::{Container, Exit, Handler, Instance, PullPolicy, Signal, State, Usage};

/// What an operator may set.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where everything of this engine lies; it also says whose a container is.
    pub root: PathBuf,
    pub log_dir: PathBuf,
    /// The directory of `hosts.toml` files.
    pub hosts_dir: PathBuf,
    pub network: Network,
    /// Whether a container without a seccomp profile gets containerd's default one.
    pub seccomp_default: bool,
    /// The directory of the profiles that pods name with `Localhost`.
    pub seccomp_dir: PathBuf,
    /// How many processes a pod may have; `None`: as many as the host.
    pub pod_pids_limit: Option<u64>,
    /// `io.containerd.runc.v2`
    pub runtime: String,
    /// The OCI runtime that the shim calls, if not its default.
    pub runtime_binary: Option<String>,
    /// The binary that is started beside each container: kiln itself.
    pub monitor: PathBuf,
    /// A log is rotated at so many bytes; 0 means never.
    pub log_max_bytes: u64,
    /// How many log files an instance may have.
    pub log_max_files: u32,
}

/// Tells the time.
pub type Now = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// containerd, in the words of pods.
#[derive(Clone)]
pub struct Containerd {
    shared: Arc<Shared>,
}

pub(super) struct Shared {
    pub(super) client: Client,
    pub(super) settings: Settings,
    pub(super) shim: Shim,
    pub(super) layout: Layout,
    pub(super) images: Images,
    pub(super) accounts: AccountsOf,
    pub(super) cgroups: Cgroups,
    pub(super) networks: Arc<Networks>,
    pub(super) host: Host,
    pub(super) now: Now,
    /// What must not be cut short, whoever asked for it: see [`Containerd::finish`].
    pub(super) tasks: TaskTracker,
}

impl std::fmt::Debug for Containerd {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Containerd({})", self.shared.client.address().display())
    }
}

impl Containerd {
    pub fn new(client: Client, settings: Settings, now: Now) -> Self {
        let shim = Shim {
            runtime: settings.runtime.clone(),
            binary: settings.runtime_binary.clone(),
            snapshotter: SNAPSHOTTER.to_owned(),
        };
        let images = image::Settings {
            hosts_dir: settings.hosts_dir.clone(),
            snapshotter: SNAPSHOTTER.to_owned(),
            owner: settings.root.display().to_string(),
            ..image::Settings::default()
        };
        let cgroups = Cgroups::of_host();
        let layout = Layout::new(&settings.root, &settings.log_dir);
        let host = super::host::facts(&cgroups, layout.root(), settings.seccomp_default);
        Self {
            shared: Arc::new(Shared {
                images: Images::new(client.clone(), images, Arc::clone(&now)),
                accounts: AccountsOf::new(client.clone(), SNAPSHOTTER),
                networks: Arc::new(Networks::new(&layout, settings.network.clone())),
                layout,
                shim,
                cgroups,
                host,
                now,
                tasks: TaskTracker::new(),
                client,
                settings,
            }),
        }
    }

    /// Waits until nothing is under way that was asked for, and lets go of what no pod has any more.
    /// Answers whether no pod is left on this host.
    pub async fn finish(&self) -> bool {
        self.shared.tasks.close();
        let ended = async {
            self.shared.tasks.wait().await;
            // containerd lets go of what is held after a day.
            if let Err(error) = self.shared.images.release().await {
                tracing::debug!(%error, "cannot let go of what was pulled");
            }
        };
        tokio::select! {
            () = ended => {}
            () = pause(FINISH_TIMEOUT) => tracing::warn!("containerd does not answer"),
        }
        self.shared.cgroups.remove_parent(&self.shared.layout.cgroup_parent());
        let is_clear =
            inventory::pods_on_disk(&self.shared.layout).is_ok_and(|pods| pods.is_empty());
        if is_clear && let Err(error) = Arc::clone(&self.shared.networks).remove().await {
            tracing::warn!(%error, "the network is left behind");
        }
        is_clear
    }

    /// Carries something out that goes on to its end, also when whoever asked goes away.
    async fn carry_out<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> Option<T> {
        self.shared.tasks.spawn(work).await.ok()
    }
}

/// How long to wait for what is under way. A containerd that hangs answers never.
const FINISH_TIMEOUT: Duration = Duration::from_secs(20);

/// The snapshotter that every containerd has.
const SNAPSHOTTER: &str = "overlayfs";

#[async_trait]
impl Runtime for Containerd {
    async fn observe(&self) -> Result<BTreeMap<String, Found>, Error> {
        self.shared.observe().await
    }

    async fn pull(
        &self,
        image: &str,
        policy: PullPolicy,
        referred: &Referred,
    ) -> Result<Pulled, PullError> {
        let logins = Logins::new(referred.logins.clone());
        self.shared.images.pull_with(image, policy, &logins).await
    }

    async fn create_sandbox(&self, pod: &Pod, referred: &Referred) -> Result<Vec<String>, Error> {
        let (shared, pod, referred) = (Arc::clone(&self.shared), pod.clone(), referred.clone());
        let work = async move { shared.create_sandbox(&pod, &referred).await };
        self.carry_out(work).await.unwrap_or_else(broken)
    }

    async fn update_volumes(&self, pod: &Pod, referred: &Referred) -> Result<(), Error> {
        self.shared.with_volumes(pod, referred, volumes::update).await
    }

    async fn usage(&self, pod: &Pod) -> Result<Usage, Error> {
        self.shared.usage(pod).await
    }

    async fn start(
        &self,
        pod: &Pod,
        instance: &Instance,
        referred: &Referred,
    ) -> Result<Container, StartError> {
        let (shared, pod, instance) = (Arc::clone(&self.shared), pod.clone(), instance.clone());
        let referred = referred.clone();
        let work = async move { shared.start(&pod, &instance, &referred).await };
        let broken = || StartError::Retry { message: "the start broke".to_owned() };
        self.carry_out(work).await.ok_or_else(broken)?
    }

    async fn wait(&self, pod: &Pod, instance: &Instance) -> Exit {
        let shared = &self.shared;
        let mut exit = shared.task(pod.uid(), instance).wait(&*shared.now).await;
        let log = shared.speaking_log(pod, instance);
        shared.add_last_words(pod.uid(), instance, log.as_deref(), &mut exit);
        exit
    }

    async fn exec(
        &self,
        pod: &Pod,
        instance: &Instance,
        command: &[String],
        timeout: Duration,
    ) -> Result<Executed, Error> {
        let task = self.shared.task(pod.uid(), instance);
        let command = command.to_vec();
        let work = async move { super::exec::run(&task, command, timeout).await };
        self.carry_out(work).await.unwrap_or_else(broken)
    }

    async fn check(
        &self,
        pod: &Pod,
        instance: &Instance,
        handler: &Handler,
        timeout: Duration,
    ) -> Result<Result<(), String>, Error> {
        if let Handler::Exec(command) = handler {
            let ran = self.exec(pod, instance, command, timeout).await?;
            return Ok(check::of_program(ran, timeout));
        }
        let own = !self.shared.networks.is_on_host(pod);
        let net = own.then(|| namespaces::network(&self.shared.layout.namespaces(pod.uid())));
        let own = self.shared.networks.addresses(pod.uid()).unwrap_or_default();
        let own = own.into_iter().next().unwrap_or_else(|| check::LOOPBACK.to_owned());
        Ok(check::over_network(net, own, handler.clone(), timeout).await)
    }

    async fn signal(&self, pod: &Pod, instance: &Instance, signal: Signal) -> Result<(), Error> {
        self.shared.signal(pod, instance, signal).await
    }

    async fn remove(&self, pod: &Pod, instance: &Instance) -> Result<(), Error> {
        let task = self.shared.task(pod.uid(), instance);
        self.carry_out(async move { task.remove().await }).await.unwrap_or_else(broken)
    }

    async fn remove_sandbox(&self, pod_uid: &str) -> Result<(), Error> {
        let (shared, uid) = (Arc::clone(&self.shared), pod_uid.to_owned());
        self.carry_out(async move { shared.remove_pod(&uid).await }).await.unwrap_or_else(broken)
    }

    async fn sweep(&self, live: &BTreeSet<String>) -> Result<Vec<String>, Error> {
        let (shared, live) = (Arc::clone(&self.shared), live.clone());
        self.carry_out(async move { shared.sweep(&live).await }).await.unwrap_or_else(broken)
    }

    async fn log_bytes(&self, pod: &Pod) -> Result<u64, Error> {
        let dir = self.shared.layout.logs(pod);
        blocking("measure the logs", move || logs::size(&dir)).await
    }

    async fn remove_logs(&self, pod: &Pod) -> Result<(), Error> {
        let dir = self.shared.layout.logs(pod);
        blocking("delete the logs", move || logs::remove(&dir)).await
    }

    async fn claims(&self) -> Result<BTreeSet<String>, Error> {
        let layout = self.shared.layout.clone();
        blocking("read the directory of claims", move || volumes::claims(&layout)).await
    }

    async fn remove_claim(&self, uid: &str) -> Result<(), Error> {
        let dir = self.shared.layout.claim(uid);
        blocking("delete the directory of a claim", move || volumes::remove_claim(&dir)).await
    }

    fn pulls(&self) -> watch::Receiver<Pulls> {
        self.shared.images.pulls()
    }
}

fn broken<T>() -> Result<T, Error> {
    Err(Error::Failed { attempt: "carry it out", message: "the task broke".to_owned() })
}

/// Carries out what blocks.
pub(super) async fn blocking<T: Send + 'static>(
    attempt: &'static str,
    work: impl FnOnce() -> std::io::Result<T> + Send + 'static,
) -> Result<T, Error> {
    let failed = |message: String| Error::Failed { attempt, message };
    let done =
        tokio::task::spawn_blocking(work).await.map_err(|broken| failed(broken.to_string()))?;
    done.map_err(|error| failed(error.to_string()))
}

impl Shared {
    pub(super) fn task(&self, uid: &str, instance: &Instance) -> Task {
        Task {
            client: self.client.clone(),
            shim: self.shim.clone(),
            id: container_id(uid, instance),
            dir: self.layout.instance(uid, instance),
        }
    }

    /// The log of a container for which it speaks when it fails without a word.
    pub(super) fn speaking_log(&self, pod: &Pod, instance: &Instance) -> Option<PathBuf> {
        let container = wanted(pod, instance)?;
        last_words::falls_back_to_log(container).then(|| self.layout.log(pod, instance))
    }

    pub(super) fn add_last_words(
        &self,
        uid: &str,
        instance: &Instance,
        log: Option<&Path>,
        exit: &mut Exit,
    ) {
        let file = self.layout.instance(uid, instance).join(TERMINATION_LOG);
        exit.message = last_words::read(&file, log.filter(|_| exit.code != 0));
    }

    /// Namespaces, then at once what takes its time: the network and the volumes.
    /// Works on what the pod has on the disk.
    async fn with_volumes(
        &self,
        pod: &Pod,
        referred: &Referred,
        work: fn(&Layout, &Pod, Origin<'_>, Timestamp) -> io::Result<()>,
    ) -> Result<(), Error> {
        let (layout, pod, referred) = (self.layout.clone(), pod.clone(), referred.clone());
        let (capacity, now) = (self.host.capacity, (self.now)());
        let done = blocking("make the volumes", move || {
            let origin = Origin { referred: &referred, capacity: &capacity };
            Ok(work(&layout, &pod, origin, now).map_err(|error| error.to_string()))
        });
        done.await?.map_err(|message| Error::Volume { message })
    }

    async fn create_sandbox(&self, pod: &Pod, referred: &Referred) -> Result<Vec<String>, Error> {
        const ATTEMPT: &str = "create the sandbox";
        let uid = pod.uid();
        if !sandbox::stands(&self.layout, uid) {
            // After a reboot of the host what is written down is no more.
            self.networks.detach(uid).await?;
        }
        let on_host = self.networks.is_on_host(pod);
        let (layout, own) = (self.layout.clone(), pod.clone());
        let (cgroups, limits) =
            (self.cgroups.clone(), pod_limits(pod, self.settings.pod_pids_limit));
        let made = blocking(ATTEMPT, move || {
            sandbox::create(&layout, &own, on_host)?;
            cgroups.make_pod(&layout.pod_cgroup(own.uid()), &limits)
        });
        made.await?;
        let volumes = self.with_volumes(pod, referred, volumes::make);
        let (volumes, ips) = tokio::join!(volumes, self.networks.attach(pod));
        let ips = ips?;
        volumes?;
        let (layout, own, addresses) = (self.layout.clone(), pod.clone(), ips.clone());
        let write = move || sandbox::write_files(&layout, &own, &addresses, on_host);
        blocking(ATTEMPT, write).await?;
        self.networks.settle(uid).await?;
        Ok(ips)
    }

    async fn signal(&self, pod: &Pod, instance: &Instance, signal: Signal) -> Result<(), Error> {
        let task = self.task(pod.uid(), instance);
        task.signal(inventory::signal_number(&self.client, &task.id, signal).await?).await
    }

    async fn observe(&self) -> Result<BTreeMap<String, Found>, Error> {
        let mut found: BTreeMap<String, Found> = BTreeMap::new();
        for uid in inventory::pods_on_disk(&self.layout)? {
            let ips = self.networks.addresses(&uid);
            let sandbox = ips.is_some() && sandbox::stands(&self.layout, &uid);
            let ips = ips.unwrap_or_default();
            found.insert(uid, Found { sandbox, ips, ..Found::default() });
        }
        let known = inventory::containers(&self.client, self.layout.root()).await?;
        for known in known {
            let task = self.task(&known.uid, &known.instance);
            let state = match task.look((self.now)()).await? {
                Standing::Known(State::Exited(mut exit)) => {
                    let log = known.speaking_log.as_deref();
                    self.add_last_words(&known.uid, &known.instance, log, &mut exit);
                    State::Exited(exit)
                }
                Standing::Known(state) => state,
                // It has not run: the next start goes on with it.
                Standing::Nothing | Standing::Created => continue,
            };
            let image_id = known.image_id;
            let container = Container { id: task.id, image_id, state, signalled: None };
            let pod = found.entry(known.uid).or_default();
            pod.containers.insert(known.instance, container);
        }
        Ok(found)
    }

    /// Everything of a pod, in order: containers, shims that nobody knows, sandbox.
    async fn remove_pod(&self, uid: &str) -> Result<(), Error> {
        for known in inventory::containers_of_pod(&self.client, self.layout.root(), uid).await? {
            self.task(&known.uid, &known.instance).destroy().await?;
        }
        self.networks.detach(uid).await?;
        let (layout, cgroups, uid) = (self.layout.clone(), self.cgroups.clone(), uid.to_owned());
        blocking("remove the sandbox", move || {
            for shim in super::processes::shims(&format!("{uid}.")) {
                super::processes::kill(&shim);
            }
            sandbox::remove(&layout, &cgroups, &uid)
        })
        .await
    }

    async fn sweep(&self, live: &BTreeSet<String>) -> Result<Vec<String>, Error> {
        let (mut removed, mut failed) = (Vec::new(), None);
        for uid in inventory::pods(&self.client, &self.layout).await?.difference(live) {
            match self.remove_pod(uid).await {
                Ok(()) => removed.push(format!("pod {uid}")),
                // One that cannot be removed keeps no other from it.
                Err(error) => {
                    tracing::debug!(uid, %error, "cannot remove what no pod has");
                    failed.get_or_insert(error);
                }
            }
        }
        self.networks.sweep(live).await;
        failed.map_or(Ok(removed), Err)
    }
}
