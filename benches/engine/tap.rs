//! containerd, with a look at when containers end: a status tells no more than the second.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use kiln::api::references::Referred;
use kiln::pod::{Container, Exit, Handler, Instance, PullPolicy, Signal, Usage};
use kiln::runtime::{
    Containerd, Error, Executed, Found, PullError, Pulled, Pulls, Runtime, StartError,
};

pub(crate) struct Tap {
    pub(crate) inner: Containerd,
    last_exit: Mutex<Option<Timestamp>>,
}

impl Tap {
    pub(crate) fn new(inner: Containerd) -> Self {
        Self { inner, last_exit: Mutex::default() }
    }

    /// When the last container ended.
    pub(crate) fn last_exit(&self) -> Timestamp {
        self.last_exit.lock().unwrap().unwrap()
    }
}

#[async_trait]
impl Runtime for Tap {
    async fn observe(&self) -> Result<BTreeMap<String, Found>, Error> {
        self.inner.observe().await
    }

    async fn pull(
        &self,
        image: &str,
        policy: PullPolicy,
        referred: &Referred,
    ) -> Result<Pulled, PullError> {
        self.inner.pull(image, policy, referred).await
    }

    async fn create_sandbox(&self, pod: &Pod, referred: &Referred) -> Result<Vec<String>, Error> {
        self.inner.create_sandbox(pod, referred).await
    }

    async fn update_volumes(&self, pod: &Pod, referred: &Referred) -> Result<(), Error> {
        self.inner.update_volumes(pod, referred).await
    }

    async fn usage(&self, pod: &Pod) -> Result<Usage, Error> {
        self.inner.usage(pod).await
    }

    async fn start(
        &self,
        pod: &Pod,
        instance: &Instance,
        referred: &Referred,
    ) -> Result<Container, StartError> {
        self.inner.start(pod, instance, referred).await
    }

    async fn wait(&self, pod: &Pod, instance: &Instance) -> Exit {
        let exit = self.inner.wait(pod, instance).await;
        *self.last_exit.lock().unwrap() = Some(exit.finished_at);
        exit
    }

    async fn exec(
        &self,
        pod: &Pod,
        instance: &Instance,
        command: &[String],
        timeout: Duration,
    ) -> Result<Executed, Error> {
        self.inner.exec(pod, instance, command, timeout).await
    }

    async fn check(
        &self,
        pod: &Pod,
        instance: &Instance,
        handler: &Handler,
        timeout: Duration,
    ) -> Result<Result<(), String>, Error> {
        self.inner.check(pod, instance, handler, timeout).await
    }

    async fn signal(&self, pod: &Pod, instance: &Instance, signal: Signal) -> Result<(), Error> {
        self.inner.signal(pod, instance, signal).await
    }

    async fn remove(&self, pod: &Pod, instance: &Instance) -> Result<(), Error> {
        self.inner.remove(pod, instance).await
    }

    async fn remove_sandbox(&self, pod_uid: &str) -> Result<(), Error> {
        self.inner.remove_sandbox(pod_uid).await
    }

    async fn sweep(&self, live: &BTreeSet<String>) -> Result<Vec<String>, Error> {
        self.inner.sweep(live).await
    }

    async fn claims(&self) -> Result<BTreeSet<String>, Error> {
        self.inner.claims().await
    }

    async fn remove_claim(&self, uid: &str) -> Result<(), Error> {
        self.inner.remove_claim(uid).await
    }

    async fn log_bytes(&self, pod: &Pod) -> Result<u64, Error> {
        self.inner.log_bytes(pod).await
    }

    async fn remove_logs(&self, pod: &Pod) -> Result<(), Error> {
        self.inner.remove_logs(pod).await
    }

    fn pulls(&self) -> tokio::sync::watch::Receiver<Pulls> {
        self.inner.pulls()
    }
}
