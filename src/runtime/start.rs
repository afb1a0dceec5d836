//! How an instance comes to run.
//!
//! Owns: what is looked at before the first call, what is handed to a task, and what its failures mean.
//! Must not know: how a task is made in containerd.

use k8s_openapi::api::core::v1::{Container as Wanted, Pod};
use oci_spec::runtime::LinuxSeccomp;

use super::adaptor::{Shared, blocking};
use super::image::{LocalImage, Logins};
use super::inventory::Known;
use super::task::{Blueprint, Failure, Found as Standing, TERMINATION_LOG, Task};
use super::{StartError, namespaces, network, seccomp_files, spec, volumes};
use crate::api::object::Object;
use crate::api::references::Referred;
use crate::monitor;
use crate::pod::{Cause, Container, Exit, Instance, PullPolicy, RefusedReason, State};

/// What a program that could not be started is said to have exited with.
const START_ERROR_CODE: i32 = 128;

impl Shared {
    pub(super) async fn start(
        &self,
        pod: &Pod,
        instance: &Instance,
        referred: &Referred,
    ) -> Result<Container, StartError> {
        let task = self.task(pod.uid(), instance);
        // Before anything can be refused: what an earlier try has left may run.
        if let Some(state) = self.take_over(pod, instance, &task).await? {
            let image_id = self.image(pod, instance, referred).await.map(|image| image.id);
            let image_id = image_id.unwrap_or_default();
            return Ok(Container { id: task.id, image_id, state, signalled: None });
        }
        let image = self.image(pod, instance, referred).await?;
        let ips = self.networks.addresses(pod.uid()).unwrap_or_default();
        let pod = &network::with_addresses(pod, &ips);
        let ran = match self.blueprint((pod, referred), instance, &task, &image).await {
            Ok(blueprint) => task.run(blueprint, &*self.now).await,
            Err(failure) => Err(failure),
        };
        let state = match ran {
            Ok(state) => state,
            Err(Failure::Start { message }) => State::Exited(Exit {
                code: START_ERROR_CODE,
                cause: Cause::StartError { message },
                message: None,
                started_at: None,
                finished_at: (self.now)(),
            }),
            Err(Failure::Refused { reason, message }) => {
                self.clear(&task).await;
                return Err(StartError::Refused { reason, message });
            }
            Err(Failure::Retry { message }) => return Err(StartError::Retry { message }),
        };
        Ok(Container { id: task.id, image_id: image.id, state, signalled: None })
    }

    /// What an earlier try has left of an instance, if that runs or ran.
    async fn take_over(
        &self,
        pod: &Pod,
        instance: &Instance,
        task: &Task,
    ) -> Result<Option<State>, StartError> {
        let retry = |message: String| StartError::Retry { message };
        if !task.dir.exists() {
            return Ok(None);
        }
        match task.look((self.now)()).await.map_err(|error| retry(error.to_string()))? {
            Standing::Nothing => {
                self.clear(task).await;
                Ok(None)
            }
            Standing::Created => match task.start((self.now)()).await {
                Ok(state) => Ok(Some(state)),
                Err(Failure::Retry { message }) => Err(retry(message)),
                // It is made anew, and says again what is wrong with it.
                Err(Failure::Start { .. } | Failure::Refused { .. }) => {
                    self.clear(task).await;
                    Ok(None)
                }
            },
            Standing::Known(State::Exited(mut exit)) => {
                let log = self.speaking_log(pod, instance);
                self.add_last_words(pod.uid(), instance, log.as_deref(), &mut exit);
                Ok(Some(State::Exited(exit)))
            }
            Standing::Known(state) => Ok(Some(state)),
        }
    }

    /// Takes away what an instance that never ran has left. What cannot be taken away now is met again.
    async fn clear(&self, task: &Task) {
        if let Err(error) = task.destroy().await {
            tracing::warn!(id = task.id, %error, "cannot clear up after a start that failed");
        }
    }

    /// The image, which may have been deleted since it was pulled for this pod.
    async fn image(
        &self,
        pod: &Pod,
        instance: &Instance,
        referred: &Referred,
    ) -> Result<LocalImage, StartError> {
        let container = wanted(pod, instance);
        let name = container.and_then(|container| container.image.as_deref()).unwrap_or_default();
        let policy = container.and_then(|container| container.image_pull_policy.as_deref());
        let local = async || {
            let local = self.images.local(name).await;
            local.map_err(|error| StartError::Retry { message: error.to_string() })
        };
        if let Some(local) = local().await? {
            return Ok(local);
        }
        if policy != Some("Never") {
            let logins = Logins::new(referred.logins.clone());
            let pulled = self.images.pull_with(name, PullPolicy::IfNotPresent, &logins).await;
            pulled.map_err(|error| StartError::Retry { message: error.to_string() })?;
        }
        local().await?.ok_or_else(|| StartError::Refused {
            reason: RefusedReason::CreateContainerError,
            message: format!("image \"{name}\" is not in containerd any more"),
        })
    }

    async fn blueprint(
        &self,
        (pod, referred): (&Pod, &Referred),
        instance: &Instance,
        task: &Task,
        image: &LocalImage,
    ) -> Result<Blueprint, Failure> {
        let container = wanted(pod, instance).ok_or_else(|| Failure::Retry {
            message: format!("the pod has no container {}", instance.container),
        })?;
        let accounts = self.accounts.of(&image.chain_id).await;
        let accounts = accounts.map_err(|error| Failure::Retry { message: error.to_string() })?;
        let (uid, cgroups_path) = (pod.uid(), self.layout.cgroup(pod.uid(), &task.id));
        let sandbox = self.shared_paths(pod, instance);
        let origin = spec::Origin { referred, capacity: &self.host.capacity };
        let variables = spec::variables(pod, container, origin).map_err(refused)?;
        let volumes = self.volumes(pod, container, &variables).await?;
        let seccomp = self.seccomp_file(pod, container)?;
        let inputs = spec::Inputs {
            pod,
            container,
            image: &image.config,
            accounts: &accounts,
            sandbox: &sandbox,
            volumes: &volumes,
            variables: &variables,
            seccomp,
            host: &self.host,
            cgroups_path: cgroups_path.clone(),
        };
        let spec = spec::build(&inputs).map_err(refused)?;
        let spec = serde_json::to_vec(&spec).expect("a spec is JSON");
        let options = monitor::Options {
            state_dir: task.dir.clone(),
            log_path: self.layout.log(pod, instance),
            max_bytes: self.settings.log_max_bytes,
            max_files: self.settings.log_max_files,
            cgroup: Some(cgroups_path.into()),
        };
        let known = Known {
            root: self.layout.root().display().to_string(),
            uid: uid.to_owned(),
            instance: instance.clone(),
            image_id: image.id.clone(),
            stop_signal: spec::stop_signal(container, &image.config),
            speaking_log: self.speaking_log(pod, instance),
        };
        Ok(Blueprint {
            image: image.name.clone(),
            chain_id: image.chain_id.clone(),
            spec,
            labels: known.labels(pod),
            terminal: container.tty == Some(true),
            output: options.uri(&self.settings.monitor),
        })
    }

    /// The profile of the host's files that the container asks for.
    fn seccomp_file(&self, pod: &Pod, container: &Wanted) -> Result<Option<LinuxSeccomp>, Failure> {
        let name = spec::local_profile(pod, container);
        let read = name.map(|name| seccomp_files::read(&self.settings.seccomp_dir, name));
        read.transpose().map_err(refused)
    }

    /// What the container gets of the pod's volumes.
    async fn volumes(
        &self,
        pod: &Pod,
        container: &Wanted,
        variables: &spec::Variables,
    ) -> Result<Vec<spec::VolumeMount>, Failure> {
        if container.volume_mounts.as_ref().is_none_or(Vec::is_empty) {
            return Ok(Vec::new());
        }
        let (layout, pod, container) = (self.layout.clone(), pod.clone(), container.clone());
        let variables = variables.clone();
        let found = blocking("mount the volumes", move || {
            Ok(volumes::mounts(&layout, &pod, &container, &variables))
        });
        let found = found.await.map_err(|error| Failure::Retry { message: error.to_string() })?;
        found.map_err(refused)
    }

    fn shared_paths(&self, pod: &Pod, instance: &Instance) -> spec::SandboxPaths {
        let (layout, uid) = (&self.layout, pod.uid());
        let dir = layout.namespaces(uid);
        let own = !self.networks.is_on_host(pod);
        spec::SandboxPaths {
            net: own.then(|| namespaces::network(&dir)),
            ipc: namespaces::ipc(&dir),
            uts: own.then(|| namespaces::uts(&dir)),
            shm: layout.shm(uid),
            hosts: layout.etc(uid, "hosts"),
            hostname: layout.etc(uid, "hostname"),
            resolv_conf: layout.etc(uid, "resolv.conf"),
            termination_log: layout.instance(uid, instance).join(TERMINATION_LOG),
        }
    }
}

fn refused(refusal: spec::Refusal) -> Failure {
    Failure::Refused { reason: refusal.reason, message: refusal.message }
}

pub(super) fn wanted<'a>(pod: &'a Pod, instance: &Instance) -> Option<&'a Wanted> {
    crate::api::pod::all_containers(pod).find(|container| container.name == instance.container)
}
