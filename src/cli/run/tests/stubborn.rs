//! A host that does not do as it is told.
//!
//! Owns: what it refuses. Must not know: which run is played on it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use k8s_openapi::api::core::v1::Pod;
use tokio::sync::watch;

use crate::api::references::Referred;
use crate::pod::{Container, Exit, Handler, Instance, PullPolicy, Signal, Usage};
use crate::runtime::fake::Fake;
use crate::runtime::{Error, Executed, Found, PullError, Pulled, Pulls, Runtime, StartError};

/// A host whose containers do not stop for being asked to, and which may never answer to anything that
/// ends or removes one.
pub(super) struct Stubborn {
    host: Arc<Fake>,
    is_deaf: bool,
}

impl Stubborn {
    pub(super) fn new(fake: Arc<Fake>) -> Arc<Self> {
        Arc::new(Self { host: fake, is_deaf: false })
    }

    pub(super) fn deaf(fake: Arc<Fake>) -> Arc<Self> {
        Arc::new(Self { host: fake, is_deaf: true })
    }

    async fn answers(&self) {
        if self.is_deaf {
            std::future::pending::<()>().await;
        }
    }
}

#[async_trait]
impl Runtime for Stubborn {
    async fn observe(&self) -> Result<BTreeMap<String, Found>, Error> {
        self.host.observe().await
    }

    async fn pull(
        &self,
        image: &str,
        policy: PullPolicy,
        referred: &Referred,
    ) -> Result<Pulled, PullError> {
        self.host.pull(image, policy, referred).await
    }

    async fn create_sandbox(&self, pod: &Pod, referred: &Referred) -> Result<Vec<String>, Error> {
        self.host.create_sandbox(pod, referred).await
    }

    async fn update_volumes(&self, pod: &Pod, referred: &Referred) -> Result<(), Error> {
        self.host.update_volumes(pod, referred).await
    }

    async fn usage(&self, pod: &Pod) -> Result<Usage, Error> {
        self.host.usage(pod).await
    }

    async fn start(
        &self,
        pod: &Pod,
        instance: &Instance,
        referred: &Referred,
    ) -> Result<Container, StartError> {
        self.host.start(pod, instance, referred).await
    }

    async fn wait(&self, pod: &Pod, instance: &Instance) -> Exit {
        self.host.wait(pod, instance).await
    }

    async fn exec(
        &self,
        pod: &Pod,
        instance: &Instance,
        command: &[String],
        timeout: Duration,
    ) -> Result<Executed, Error> {
        self.host.exec(pod, instance, command, timeout).await
    }

    async fn check(
        &self,
        pod: &Pod,
        instance: &Instance,
        handler: &Handler,
        timeout: Duration,
    ) -> Result<Result<(), String>, Error> {
        self.host.check(pod, instance, handler, timeout).await
    }

    async fn signal(&self, pod: &Pod, instance: &Instance, signal: Signal) -> Result<(), Error> {
        self.answers().await;
        match signal {
            Signal::Stop => Ok(()),
            Signal::Kill => self.host.signal(pod, instance, signal).await,
        }
    }

    async fn remove(&self, pod: &Pod, instance: &Instance) -> Result<(), Error> {
        self.answers().await;
        self.host.remove(pod, instance).await
    }

    async fn remove_sandbox(&self, pod_uid: &str) -> Result<(), Error> {
        self.answers().await;
        self.host.remove_sandbox(pod_uid).await
    }

    async fn sweep(&self, live: &BTreeSet<String>) -> Result<Vec<String>, Error> {
        self.host.sweep(live).await
    }

    async fn claims(&self) -> Result<BTreeSet<String>, Error> {
        self.host.claims().await
    }

    async fn remove_claim(&self, uid: &str) -> Result<(), Error> {
        self.host.remove_claim(uid).await
    }

    async fn log_bytes(&self, pod: &Pod) -> Result<u64, Error> {
        self.host.log_bytes(pod).await
    }

    async fn remove_logs(&self, pod: &Pod) -> Result<(), Error> {
        self.host.remove_logs(pod).await
    }

    fn pulls(&self) -> watch::Receiver<Pulls> {
        self.host.pulls()
    }
}
